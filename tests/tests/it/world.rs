//! A small world: an organization with an owner, an integration, a tenant in the sandbox, and a worker to be driven by hand.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_domain::{
    Actor, Address, Check, CheckKind, CheckStatus, EntraCloud, FieldChange, FixedClock,
    InboundRules, IntegrationId, OrganizationId, PlatformUser, Role, RunId, RunKind,
    RunTriggerKind, SeededIds,
};
use lockstep_graph::{ClientOptions, Url};
use lockstep_queue::{Bus, Queue};
use lockstep_sandbox::{
    Control, DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, DEMO_TENANT_ID, Sandbox, SandboxOptions, Tenant,
};
use lockstep_seal::{Opener, generate_keys};
use lockstep_store::Store;
use lockstep_store::change::{Change, ChangeFilter};
use lockstep_store::connection_test::{NewTest, TestResult};
use lockstep_store::credential::{AppRegistration, NewSecret};
use lockstep_store::integration::{Integration, NewIntegration};
use lockstep_store::order::Place;
use lockstep_store::organization::INBOUND_SYNC;
use lockstep_store::page::PageRequest;
use lockstep_store::run::{NewRun, Requested, Run};
use lockstep_store::user::{NewUser, UserFilter};
use lockstep_worker::connection::Provider;
use lockstep_worker::{Timing, Worker};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Which database a test runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// Writes a test once and runs it over both databases.
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($backend:ident) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs everything")]
            use super::*;

            $(#[$meta])*
            async fn test($backend: crate::world::Backend) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                test(crate::world::Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                test(crate::world::Backend::Postgres).await;
            }
        }
    )+};
}
pub(crate) use both;

/// When every test begins.
pub(crate) fn dawn() -> DateTime<Utc> {
    "2026-03-02T09:00:00Z".parse().expect("a constant")
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) sandbox: Sandbox,
    pub(crate) queue: Queue,
    pub(crate) opener: Opener,
    pub(crate) organization: OrganizationId,
    pub(crate) owner: PlatformUser,
    pub(crate) integration: IntegrationId,
    pub(crate) url: String,
    pub(crate) provider: Provider,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    /// A world around a tenant, with an active integration that was never run.
    pub(crate) async fn around(backend: Backend, tenant: Tenant) -> Self {
        Self::with_rules(backend, tenant, InboundRules::default()).await
    }

    pub(crate) async fn with_rules(backend: Backend, tenant: Tenant, rules: InboundRules) -> Self {
        let (url, folder) = database(backend);
        Self::at(url, folder, tenant, rules).await
    }

    /// A world on a database of the test's own.
    pub(crate) async fn at(
        url: String,
        folder: Option<tempfile::TempDir>,
        tenant: Tenant,
        rules: InboundRules,
    ) -> Self {
        Self::seeded(url, folder, tenant, rules, 1).await
    }

    /// A world that shares its database with others, which have other seeds.
    pub(crate) async fn seeded(
        url: String,
        folder: Option<tempfile::TempDir>,
        tenant: Tenant,
        rules: InboundRules,
        seed: u64,
    ) -> Self {
        let clock = Arc::new(FixedClock::at(dawn()));
        let store = Store::with(
            &url,
            Arc::clone(&clock) as _,
            // Seeds are where ids are counted from.
            Arc::new(SeededIds::from_seed((seed - 1) * 1_000_000_000 + 1)),
        )
        .await
        .unwrap();
        store.migrate().await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = Sandbox::start(listener, tenant, SandboxOptions::default())
            .await
            .unwrap();
        let opener = Opener::from_private_keys(&generate_keys().1).unwrap();
        let (organization, owner, integration) = settle(&store, &opener, &rules).await;
        let provider = provider(sandbox.url());
        let queue = Queue::in_process();
        Self {
            store,
            clock,
            sandbox,
            queue,
            opener,
            organization,
            owner,
            integration,
            url,
            provider,
            _folder: folder,
        }
    }

    pub(crate) fn control(&self) -> Control {
        self.sandbox.control()
    }

    pub(crate) fn bus(&self) -> Bus {
        self.queue.bus()
    }

    /// A worker of its own name, as every start has.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_until(CancellationToken::new())
    }

    pub(crate) fn worker_until(&self, stopping: CancellationToken) -> Worker {
        self.worker_of(Duration::from_millis(100), stopping)
    }

    /// A worker that says so seldom that it is alive.
    pub(crate) fn worker_that_renews_every(&self, renewal: Duration) -> Worker {
        self.worker_of(renewal, CancellationToken::new())
    }

    fn worker_of(&self, renewal: Duration, stopping: CancellationToken) -> Worker {
        let name = format!("test-{}", self.store.fresh_id());
        let timing = Timing {
            renewal,
            ..Timing::default()
        };
        Worker::new(
            self.store.clone(),
            self.bus(),
            self.opener.clone(),
            self.provider.clone(),
            timing,
            &name,
            stopping,
        )
    }

    /// Asks for a run.
    pub(crate) async fn request(&self, kind: RunKind, full: bool) -> Requested {
        let tx = self.store.begin().await.unwrap();
        let (_, row) = self
            .store
            .lock_integration(&tx, self.organization, self.integration)
            .await
            .unwrap()
            .unwrap();
        let new = NewRun {
            kind,
            trigger: RunTriggerKind::Manual,
            by: Some(actor(&self.owner)),
            full,
            slot_at: None,
        };
        let requested = self.store.request_run(&tx, &row, &new).await.unwrap();
        tx.commit().await.unwrap();
        requested
    }

    /// Asks for a run and works on it to its end.
    pub(crate) async fn sync(&self) -> Run {
        self.run(RunKind::Sync, false).await
    }

    pub(crate) async fn full_sync(&self) -> Run {
        self.run(RunKind::Sync, true).await
    }

    pub(crate) async fn run(&self, kind: RunKind, full: bool) -> Run {
        let id = self.request(kind, full).await.run().id;
        lockstep_worker::run::work(&self.worker(), id).await;
        self.read_run(id).await
    }

    pub(crate) async fn read_run(&self, id: RunId) -> Run {
        self.store
            .run(self.organization, id)
            .await
            .unwrap()
            .expect("the run is there")
    }

    pub(crate) async fn integration(&self) -> Integration {
        self.store
            .integration(self.organization, self.integration)
            .await
            .unwrap()
            .expect("the integration is there")
    }

    pub(crate) async fn changes(&self, run: &Run) -> Vec<Change> {
        let mut all = Vec::new();
        let mut request = PageRequest::first(100);
        loop {
            let page = self
                .store
                .changes(run.id, &ChangeFilter::default(), &request)
                .await
                .unwrap();
            all.extend(page.items);
            if !page.has_next {
                return all;
            }
            request.after = all.last().map(|change: &Change| change.sequence);
        }
    }

    /// The change log in lines a person can read.
    pub(crate) async fn lines(&self, run: &Run) -> Vec<String> {
        self.changes(run).await.iter().map(line).collect()
    }

    pub(crate) async fn users(&self) -> Vec<PlatformUser> {
        let mut all: Vec<PlatformUser> = Vec::new();
        let mut request = PageRequest::first(100);
        loop {
            let page = self
                .store
                .users(self.organization, &UserFilter::default(), &request)
                .await
                .unwrap();
            all.extend(page.items);
            if !page.has_next {
                return all;
            }
            request.after = all.last().map(|user| Place::Created(user.id));
        }
    }

    pub(crate) async fn user(&self, email: &str) -> PlatformUser {
        let users = self.users().await;
        users
            .into_iter()
            .find(|user| user.email.eq_ignore_ascii_case(email))
            .unwrap_or_else(|| panic!("no user has {email}"))
    }

    /// Saves other rules, as an owner would.
    pub(crate) async fn save_rules(&self, rules: &InboundRules) {
        let integration = self.integration().await;
        let tx = self.store.begin().await.unwrap();
        self.store
            .save_rules(&tx, &integration, rules, &actor(&self.owner))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.pass_test().await;
    }

    /// Has a test of the saved settings pass, without asking anyone.
    pub(crate) async fn pass_test(&self) {
        let integration = self.integration().await;
        let tx = self.store.begin().await.unwrap();
        pass(&self.store, tx, &integration, &self.owner).await;
    }
}

async fn pass(
    store: &Store,
    tx: lockstep_store::Tx,
    integration: &Integration,
    owner: &PlatformUser,
) {
    let new = NewTest {
        app: None,
        secret: None,
        rules: None,
        by: actor(owner),
    };
    let test = store.request_test(&tx, integration, &new).await.unwrap();
    tx.commit().await.unwrap();
    let check = Check::new(CheckKind::ReadUsers, CheckStatus::Passed, "Passed.");
    store
        .finish_test(
            &test,
            &TestResult {
                checks: vec![check],
                ..TestResult::default()
            },
        )
        .await
        .unwrap();
}

fn database(backend: Backend) -> (String, Option<tempfile::TempDir>) {
    match backend {
        Backend::Sqlite => {
            let folder = tempfile::tempdir().unwrap();
            (
                format!("sqlite:{}", folder.path().join("lockstep.db").display()),
                Some(folder),
            )
        }
        Backend::Postgres => (
            lockstep_tests::postgres::shared().fresh_database().unwrap(),
            None,
        ),
    }
}

async fn settle(
    store: &Store,
    opener: &Opener,
    rules: &InboundRules,
) -> (OrganizationId, PlatformUser, IntegrationId) {
    let tx = store.begin().await.unwrap();
    let organization = store
        .create_organization(&tx, "Northwind")
        .await
        .unwrap()
        .id;
    let owner = NewUser {
        given_name: "Olga".into(),
        family_name: "Owner".into(),
        email: Address::parse("olga@owner.example").unwrap(),
        role: Role::Owner,
        language: "en".into(),
    };
    let owner = store.create_user(&tx, organization, &owner).await.unwrap();
    store
        .set_entitlement(&tx, organization, INBOUND_SYNC, true, &Actor::service())
        .await
        .unwrap();
    let new = NewIntegration {
        name: "Entra".into(),
        default_language: Some("en".into()),
        rules: rules.clone(),
    };
    let integration = store
        .create_integration(&tx, organization, &new, &actor(&owner))
        .await
        .unwrap();
    let app = AppRegistration {
        cloud: EntraCloud::Global,
        tenant_id: DEMO_TENANT_ID.into(),
        client_id: DEMO_CLIENT_ID.into(),
    };
    let sealed = opener
        .sealer()
        .seal(
            app.owner(organization, integration.id),
            &DEMO_CLIENT_SECRET.into(),
        )
        .unwrap();
    let secret = NewSecret {
        sealed,
        expires_at: None,
        key_id: None,
    };
    store
        .save_credential(&tx, integration.id, &app, Some(&secret), &actor(&owner))
        .await
        .unwrap();
    store.activate(&tx, &integration).await.unwrap();
    pass(store, tx, &integration, &owner).await;
    (organization, owner, integration.id)
}

pub(crate) fn actor(user: &PlatformUser) -> Actor {
    Actor {
        kind: lockstep_domain::ActorKind::User,
        id: Some(user.id.0),
        name: user.display_name(),
        email: Some(user.email.clone()),
        image_url: None,
    }
}

/// The sandbox in place of Microsoft, with tries that follow at once.
pub(crate) fn provider(sandbox: &str) -> Provider {
    let url: Url = sandbox.parse().unwrap();
    let mut options = ClientOptions {
        retry_budget: Duration::from_millis(500),
        ..ClientOptions::default()
    };
    options.waits.transient_first = Duration::from_millis(5);
    options.waits.transient_longest = Duration::from_millis(50);
    options.waits.throttle_first = Duration::from_millis(5);
    options.waits.throttle_longest = Duration::from_millis(50);
    options.waits.identity = Duration::from_millis(5);
    Provider {
        graph_url: Some(url.clone()),
        login_url: Some(url),
        options,
    }
}

/// `UPDATE Ada Example [jobTitle: Teacher -> Head] APPLIED`, `ADD_MEMBER Ada Example to Sales APPLIED`
pub(crate) fn line(change: &Change) -> String {
    let after = change.after.as_ref().or(change.before.as_ref());
    let fields: Vec<String> = FieldChange::between(change.before.as_ref(), after)
        .iter()
        .map(|f| {
            format!(
                "{}: {} -> {}",
                f.field,
                f.before.as_deref().unwrap_or("-"),
                f.after.as_deref().unwrap_or("-")
            )
        })
        .collect();
    let fields = fields.join(", ");
    let reason = change.reason.as_ref().map(|reason| match &reason.field {
        Some(field) => format!(" {} {field}", reason.code),
        None => format!(" {}", reason.code),
    });
    let (action, outcome) = (change.action, change.outcome);
    let reason = reason.unwrap_or_default();
    let Some(member) = &change.member else {
        return format!(
            "{action} {} [{fields}] {outcome}{reason}",
            change.display_name
        );
    };
    let from = change
        .moved_from
        .as_ref()
        .map(|(_, name)| format!(" from {name}"));
    let (name, team) = (&member.name, &change.display_name);
    format!(
        "{action} {name}{} to {team} {outcome}{reason}",
        from.unwrap_or_default()
    )
}

/// A tenant of people who all have what is required.
pub(crate) fn people(names: &[&str]) -> Tenant {
    let users: Vec<Value> = names.iter().map(|name| person(name)).collect();
    tenant(&users)
}

pub(crate) fn many(count: u32) -> Tenant {
    let users: Vec<Value> = (0..count).map(|n| person(&format!("p{n:05}"))).collect();
    tenant(&users)
}

pub(crate) fn tenant(users: &[Value]) -> Tenant {
    let data = json!({ "users": users, "groups": [], "managers": {}, "members": {} });
    Tenant::from_json(data.to_string().as_bytes()).unwrap()
}

pub(crate) fn person(name: &str) -> Value {
    json!({
        "id": id_of(name),
        "displayName": format!("{name} Example"),
        "givenName": name,
        "surname": "Example",
        "mail": format!("{name}@example.com"),
        "userPrincipalName": format!("{name}@example.com"),
        "accountEnabled": true,
        "userType": "Member",
        "jobTitle": "Teacher",
    })
}

/// The object id of a person, told from the name.
pub(crate) fn id_of(name: &str) -> String {
    let mut bytes = [0_u8; 16];
    for (place, byte) in name.bytes().take(16).enumerate() {
        bytes[place] = byte;
    }
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// Does by hand what no function of the store does.
pub(crate) async fn sql(world: &World, statement: &str) {
    use sea_orm::ConnectionTrait as _;
    let tx = world.store.begin().await.unwrap();
    tx.execute_unprepared(statement).await.unwrap();
    tx.commit().await.unwrap();
}

/// Everything the database holds, as text.
pub(crate) async fn dump(world: &World) -> String {
    match world.url.strip_prefix("sqlite:") {
        Some(file) => {
            use sea_orm::ConnectionTrait as _;
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            world
                .store
                .db()
                .execute_unprepared(checkpoint)
                .await
                .unwrap();
            String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()
        }
        None => {
            let name = world.url.rsplit('/').next().expect("a URL has a path");
            let tables = lockstep_tests::postgres::shared()
                .sql(
                    name,
                    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
                )
                .unwrap();
            let rows = |table: &str| {
                lockstep_tests::postgres::shared()
                    .sql(name, &format!("SELECT t::text FROM \"{table}\" t"))
                    .unwrap()
            };
            tables.lines().map(rows).collect()
        }
    }
}
