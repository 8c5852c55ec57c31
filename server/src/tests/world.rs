//! A small world for the tests: two organizations, their people, a database file, a queue and a worker's hand.

use std::path::PathBuf;
use std::sync::Arc;

use async_graphql::{Request, Response, Variables};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use lockstep_domain::{
    Address, ChangeAction, ChangeReason, ChangeReasonCode, Check, CheckKind, CheckStatus,
    ContentHash, ExternalId, FixedClock, IntegrationId, OrganizationId, Role, RunCost, RunError,
    RunId, RunPhase, SystemIds, TestId, UserId,
};
use lockstep_queue::Queue;
use lockstep_seal::{Opener, generate_keys};
use lockstep_store::connection_test::TestResult;
use lockstep_store::finish::End;
use lockstep_store::lease::Step;
use lockstep_store::organization::INBOUND_SYNC;
use lockstep_store::plan::{MarkedChange, PlannedChunk};
use lockstep_store::user::NewUser;
use lockstep_store::{Lease, Store};
use lockstep_sync::inbound::users::PlannedChange;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::id::GlobalId as _;
use crate::{Context, Language, Schema, Session, dress, schema};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// An owner of the first organization.
    Ada,
    /// A member of the first organization.
    Ben,
    /// The owner of the second organization.
    Eve,
    /// Staff of the platform.
    Staff,
    /// Nobody.
    Nobody,
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) context: Arc<Context>,
    pub(crate) opener: Opener,
    pub(crate) schema: Schema,
    pub(crate) organization: OrganizationId,
    pub(crate) other: OrganizationId,
    pub(crate) ada: UserId,
    pub(crate) ben: UserId,
    pub(crate) eve: UserId,
    file: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.file.display()));
        }
    }
}

pub(crate) const TENANT: &str = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
pub(crate) const CLIENT: &str = "3f0e1b5c-2222-4333-8444-555566667777";
pub(crate) const SECRET: &str = "qX~8Q~very.secret-value_0123456789abcdef";

impl World {
    pub(crate) async fn new() -> Self {
        let file = std::env::temp_dir().join(format!("lockstep-server-{}.db", Uuid::now_v7()));
        let clock = Arc::new(FixedClock::at(at("2026-03-02T10:00:00Z")));
        let url = format!("sqlite:{}", file.display());
        let store = Store::with(&url, clock.clone(), Arc::new(SystemIds))
            .await
            .unwrap();
        store.migrate().await.unwrap();
        let opener = Opener::from_private_keys(&generate_keys().1).unwrap();
        let context = Arc::new(Context {
            store: store.clone(),
            queue: Queue::in_process(),
            sealer: opener.sealer(),
            languages: ["en", "de"]
                .map(|tag| Language {
                    tag: tag.to_owned(),
                    name: tag.to_owned(),
                })
                .into(),
            version: "0.0.0".to_owned(),
            revision: None,
        });
        let tx = store.begin().await.unwrap();
        let organization = store.create_organization(&tx, "First").await.unwrap().id;
        let other = store.create_organization(&tx, "Second").await.unwrap().id;
        let mut people = Vec::new();
        let named = [
            ("Ada", organization, Role::Owner),
            ("Ben", organization, Role::Member),
            ("Eve", other, Role::Owner),
        ];
        for (name, organization, role) in named {
            let new = NewUser {
                given_name: name.to_owned(),
                family_name: "Doe".to_owned(),
                email: Address::parse(&format!("{name}@example.com")).unwrap(),
                role,
                language: "en".to_owned(),
            };
            people.push(store.create_user(&tx, organization, &new).await.unwrap().id);
        }
        let service = lockstep_domain::Actor::service();
        for organization in [organization, other] {
            store
                .set_entitlement(&tx, organization, INBOUND_SYNC, true, &service)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        let [ada, ben, eve] = people.try_into().unwrap();
        let schema = schema(Arc::clone(&context));
        Self {
            store,
            clock,
            context,
            opener,
            schema,
            organization,
            other,
            ada,
            ben,
            eve,
            file,
        }
    }

    pub(crate) async fn session(&self, who: Who) -> Option<Session> {
        let (organization, user) = match who {
            Who::Ada => (self.organization, self.ada),
            Who::Ben => (self.organization, self.ben),
            Who::Eve => (self.other, self.eve),
            Who::Staff => {
                let subject = "sam".to_owned();
                return Some(Session {
                    user: None,
                    organization: None,
                    is_staff: true,
                    subject,
                    name: Some("Sam".to_owned()),
                });
            }
            Who::Nobody => return None,
        };
        Some(Session {
            user: self.store.user(organization, user).await.unwrap(),
            organization: self.store.organization(organization).await.unwrap(),
            is_staff: false,
            subject: user.0.to_string(),
            name: None,
        })
    }

    async fn request(&self, who: Who, document: &str, variables: Value) -> Request {
        let request = Request::new(document).variables(Variables::from_json(variables));
        dress(request, &self.context, self.session(who).await)
    }

    pub(crate) async fn execute(&self, who: Who, document: &str, variables: Value) -> Response {
        self.schema
            .execute(self.request(who, document, variables).await)
            .await
    }

    /// Runs an operation that must not fail and returns its data.
    pub(crate) async fn ask(&self, who: Who, document: &str, variables: Value) -> Value {
        let response = self.execute(who, document, variables).await;
        assert!(
            response.errors.is_empty(),
            "{document}: {:?}",
            response.errors
        );
        response.data.into_json().unwrap()
    }

    /// Runs an operation that must fail and returns the codes of its errors.
    pub(crate) async fn codes(&self, who: Who, document: &str, variables: Value) -> Vec<String> {
        let response = self.execute(who, document, variables).await;
        let errors = serde_json::to_value(&response.errors).unwrap();
        let code = |error: &Value| {
            error["extensions"]["code"]
                .as_str()
                .unwrap_or("none")
                .to_owned()
        };
        errors.as_array().unwrap().iter().map(code).collect()
    }

    /// Runs a mutation and returns its payload.
    pub(crate) async fn mutate(
        &self,
        who: Who,
        name: &str,
        selection: &str,
        input: Value,
    ) -> Value {
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let document = format!(
            "mutation($input: {kind}!) {{ {name}(input: $input) {{ {selection} userErrors {{ code path message }} }} }}"
        );
        self.ask(who, &document, json!({ "input": input })).await[name].clone()
    }

    pub(crate) async fn follow(
        &self,
        who: Who,
        document: &str,
        variables: Value,
    ) -> BoxStream<'static, Value> {
        let request = self.request(who, document, variables).await;
        let answers = self.schema.execute_stream(request);
        answers
            .map(|answer| serde_json::to_value(answer).unwrap())
            .boxed()
    }

    /// Creates an integration with credentials, as Ada.
    pub(crate) async fn integration(&self) -> IntegrationId {
        let input = json!({
            "name": "Directory",
            "syncRules": { "inbound": {} },
            "defaultLanguage": "en",
            "credential": { "tenantId": TENANT, "clientId": CLIENT, "clientSecret": { "value": SECRET } },
        });
        let payload = self
            .mutate(Who::Ada, "createIntegration", "integration { id }", input)
            .await;
        assert_eq!(payload["userErrors"], json!([]));
        IntegrationId::local(&payload["integration"]["id"].as_str().unwrap().into()).unwrap()
    }

    /// Creates an integration and activates it, as Ada; returns it with its first run.
    pub(crate) async fn active(&self) -> (IntegrationId, RunId) {
        let id = self.integration().await;
        self.pass_test(id).await;
        let payload = self
            .mutate(
                Who::Ada,
                "activateIntegration",
                "run { id }",
                json!({ "integrationId": id.global() }),
            )
            .await;
        assert_eq!(payload["userErrors"], json!([]));
        (
            id,
            RunId::local(&payload["run"]["id"].as_str().unwrap().into()).unwrap(),
        )
    }

    /// Does what a worker does with a test that passes.
    pub(crate) async fn pass_test(&self, id: IntegrationId) {
        let tx = self.store.begin().await.unwrap();
        let (integration, _) = self
            .store
            .lock_integration(&tx, self.organization, id)
            .await
            .unwrap()
            .unwrap();
        let by = lockstep_domain::Actor::service();
        let new = lockstep_store::connection_test::NewTest {
            app: None,
            secret: None,
            rules: None,
            by,
        };
        let test = self
            .store
            .request_test(&tx, &integration, &new)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.finish_test(test.id).await;
    }

    pub(crate) async fn finish_test(&self, id: TestId) {
        let test = self
            .store
            .claim_test(id, TimeDelta::minutes(1))
            .await
            .unwrap()
            .unwrap();
        let checks = vec![Check::new(
            CheckKind::ReadUsers,
            CheckStatus::Passed,
            "Users can be read.",
        )];
        let group = |id: u128, name: &str| lockstep_domain::DirectoryGroup {
            display_name: Some(name.to_owned()),
            security_enabled: true,
            ..lockstep_domain::DirectoryGroup::blank(ExternalId(Uuid::from_u128(id).to_string()))
        };
        let result = TestResult {
            checks,
            sample_groups: vec![group(7, "Sales"), group(8, "Test 1")],
            ..TestResult::default()
        };
        self.store.finish_test(&test, &result).await.unwrap();
    }

    /// Changes the role of a user, for which there is no mutation yet.
    pub(crate) async fn set_role(&self, user: UserId, role: Role) {
        let statement = format!(
            "UPDATE platform_user SET role = '{}' WHERE id = X'{}'",
            role.as_str(),
            user.0.simple()
        );
        let tx = self.store.begin().await.unwrap();
        let done = tx.execute_unprepared(&statement).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }

    /// Does what a worker does when it takes a run up.
    pub(crate) async fn claim(&self, run: RunId) -> Lease {
        self.store
            .claim_run(run, "test", TimeDelta::minutes(1))
            .await
            .unwrap()
            .unwrap()
            .1
    }

    /// Does what a worker does with people who lack a last name.
    pub(crate) async fn skip_people(&self, lease: &Lease, count: usize) {
        let skip = |n: usize| {
            let reason =
                ChangeReason::new(ChangeReasonCode::MissingRequired, "There is no last name.")
                    .at("surname");
            let change = PlannedChange {
                external_id: ExternalId(Uuid::now_v7().to_string()),
                user_id: None,
                display_name: format!("Person {n}"),
                action: ChangeAction::Create,
                before: None,
                after: None,
                matched_by: None,
                waits_for: None,
                needs_confirmation: false,
                source_hash: ContentHash::of([]),
                skipped: Some(reason),
            };
            MarkedChange {
                change,
                mark: Uuid::now_v7(),
            }
        };
        let chunk = PlannedChunk {
            changes: (0..count).map(skip).collect(),
            ..PlannedChunk::default()
        };
        let step = Step {
            phase: RunPhase::Planning,
            processed: 1,
            total: Some(1),
        };
        self.store.save_plan(lease, step, chunk).await.unwrap();
    }

    /// Does what a worker does at the end of a run.
    pub(crate) async fn finish(&self, lease: &Lease, error: Option<RunError>) {
        let end = End {
            error,
            canceled: false,
            warnings: Vec::new(),
            cost: RunCost::default(),
        };
        self.store.finish_run(lease, &end).await.unwrap();
    }
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The codes of the user errors of a payload.
pub(crate) fn refused(payload: &Value) -> Vec<&str> {
    payload["userErrors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["code"].as_str().unwrap())
        .collect()
}
