//! Real processes of the binary around a sandbox in the test.

use lockstep_sandbox::{Control, Sandbox, SandboxOptions, Tenant};
use lockstep_tests::http::graphql;
use lockstep_tests::process::{Invocation, Running};
use lockstep_tests::wait::{PATIENCE, eventually};
use lockstep_tests::{postgres, redis};
use serde_json::{Value, json};

use crate::world::Backend;

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A set-up of real processes around a sandbox in the test.
pub(crate) struct SetUp {
    environment: Vec<(&'static str, String)>,
    backend: Backend,
    sandbox: Sandbox,
    pub(crate) api: String,
    server: Option<Running>,
    folder: tempfile::TempDir,
}

impl SetUp {
    pub(crate) async fn start(backend: Backend, tenant: Tenant) -> Self {
        Self::with_queue(backend, tenant, None).await
    }

    /// On PostgreSQL at another address, such as that of a pooler.
    pub(crate) async fn at_database(tenant: Tenant, database: String) -> Self {
        let database = [("LOCKSTEP_DATABASE_URL", database)];
        Self::with_environment(Backend::Postgres, tenant, None, &database).await
    }

    /// With a queue of its own on PostgreSQL, for a test that breaks it.
    pub(crate) async fn with_queue(
        backend: Backend,
        tenant: Tenant,
        queue: Option<String>,
    ) -> Self {
        Self::with_environment(backend, tenant, queue, &[]).await
    }

    /// With more variables.
    pub(crate) async fn with_environment(
        backend: Backend,
        tenant: Tenant,
        queue: Option<String>,
        more: &[(&'static str, String)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = Sandbox::start(listener, tenant, SandboxOptions::default())
            .await
            .unwrap();
        let listen = format!("127.0.0.1:{}", free_port());
        let (public, private) = lockstep_seal::generate_keys();
        let mut environment = vec![
            ("LOCKSTEP_GRAPH_URL", sandbox.url().to_owned()),
            ("LOCKSTEP_LOGIN_URL", sandbox.url().to_owned()),
            ("LOCKSTEP_LISTEN", listen.clone()),
            ("LOCKSTEP_LEASE_SECONDS", "6".to_owned()),
            ("LOCKSTEP_LOG", "warn".to_owned()),
        ];
        match backend {
            Backend::Sqlite => {
                environment.push((
                    "LOCKSTEP_DATABASE_URL",
                    format!("sqlite:{}", folder.path().join("l.db").display()),
                ));
            }
            Backend::Postgres => environment.extend([
                (
                    "LOCKSTEP_DATABASE_URL",
                    postgres::shared().fresh_database().unwrap(),
                ),
                (
                    "LOCKSTEP_QUEUE_URL",
                    queue.unwrap_or_else(|| redis::shared().fresh_url()),
                ),
                ("LOCKSTEP_SEAL_KEY", public),
                ("LOCKSTEP_OPEN_KEY", secrecy_text(&private)),
                (
                    "LOCKSTEP_JWT_SECRET",
                    "a secret of the tests, long enough".to_owned(),
                ),
            ]),
        }
        environment.extend(more.iter().cloned());
        let mut set_up = Self {
            environment,
            backend,
            sandbox,
            api: format!("http://{listen}/graphql"),
            server: None,
            folder,
        };
        set_up.printed(&["migrate"]).await;
        if backend == Backend::Postgres {
            set_up.server = Some(set_up.command(&["serve"]).start().unwrap());
        }
        set_up
    }

    pub(crate) fn control(&self) -> Control {
        self.sandbox.control()
    }

    /// The address of the database.
    pub(crate) fn database_url(&self) -> String {
        let mut settings = self.environment.iter();
        let url = settings.find(|(name, _)| *name == "LOCKSTEP_DATABASE_URL");
        url.expect("every set-up has a database").1.clone()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Invocation {
        self.environment.iter().fold(
            Invocation::lockstep(args).folder(self.folder.path()),
            |invocation, (name, value)| invocation.env(name, value),
        )
    }

    /// Whoever works: a worker of its own, or the one process that does everything.
    pub(crate) fn worker(&self) -> Running {
        match self.backend {
            Backend::Sqlite => self.command(&["all"]).start().unwrap(),
            Backend::Postgres => self.command(&["work"]).start().unwrap(),
        }
    }

    pub(crate) async fn printed(&self, args: &[&str]) -> String {
        let finished = self.command(args).finish(PATIENCE).await.unwrap();
        assert!(finished.status.success(), "{finished:?}");
        finished.stdout
    }

    /// An organization with an owner, and the owner's token.
    pub(crate) async fn owner(&self) -> String {
        let created = self
            .printed(&[
                "org",
                "create",
                "--name",
                "Northwind",
                "--owner-email",
                "olga@owner.example",
                "--owner-given-name",
                "Olga",
                "--owner-family-name",
                "Owner",
            ])
            .await;
        let organization = created
            .split_whitespace()
            .nth(1)
            .expect("an id is printed")
            .to_owned();
        let token = self
            .printed(&[
                "token",
                "--organization",
                &organization,
                "--user",
                "olga@owner.example",
            ])
            .await;
        token.trim().to_owned()
    }

    pub(crate) async fn ask(&self, token: &str, operation: &str, variables: Value) -> Value {
        let answer = eventually("the API answers", PATIENCE, async || {
            graphql(&self.api, Some(token), operation, variables.clone())
                .await
                .ok()
        })
        .await;
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    /// Creates, tests and activates; returns the first run.
    pub(crate) async fn activate(&self, token: &str) -> String {
        let input = json!({ "name": "Entra", "defaultLanguage": "en", "syncRules": { "inbound": {} }, "credential": {
            "tenantId": lockstep_sandbox::DEMO_TENANT_ID, "clientId": lockstep_sandbox::DEMO_CLIENT_ID,
            "clientSecret": { "value": lockstep_sandbox::DEMO_CLIENT_SECRET } } });
        let create = "mutation($i: CreateIntegrationInput!) { createIntegration(input: $i) { integration { id } userErrors { message } } }";
        let created = self.ask(token, create, json!({ "i": input })).await;
        let id = created["createIntegration"]["integration"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{created}"))
            .to_owned();
        let test = "mutation($i: TestIntegrationInput!) { testIntegration(input: $i) { test { status checks { message } } userErrors { message } } }";
        let tested = self
            .ask(token, test, json!({ "i": { "integrationId": id } }))
            .await;
        assert_eq!(
            tested["testIntegration"]["test"]["status"], "PASSED",
            "{tested}"
        );
        let activate = "mutation($i: ActivateIntegrationInput!) { activateIntegration(input: $i) { run { id } userErrors { message } } }";
        let activated = self
            .ask(token, activate, json!({ "i": { "integrationId": id } }))
            .await;
        activated["activateIntegration"]["run"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{activated}"))
            .to_owned()
    }

    /// The id of the integration.
    pub(crate) async fn integration(&self, token: &str) -> String {
        let first = "{ integrations(first: 1) { nodes { id } } }";
        let found = self.ask(token, first, json!({})).await;
        let id = &found["integrations"]["nodes"][0]["id"];
        id.as_str().unwrap_or_else(|| panic!("{found}")).to_owned()
    }

    /// Starts a run by hand.
    pub(crate) async fn run(&self, token: &str) -> String {
        let run = "mutation($i: RunIntegrationInput!) { runIntegration(input: $i) { run { id } userErrors { message } } }";
        let id = self.integration(token).await;
        let started = self
            .ask(token, run, json!({ "i": { "integrationId": id } }))
            .await;
        started["runIntegration"]["run"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{started}"))
            .to_owned()
    }

    /// Waits for a run to end well.
    pub(crate) async fn succeeds(&self, token: &str, run: &str) {
        eventually("the run succeeds", PATIENCE, async || {
            let seen = self.look(token, run).await;
            assert_ne!(seen["run"]["state"], "FAILED", "{seen}");
            seen["run"]["state"]
                .as_str()?
                .starts_with("SUCCEEDED")
                .then_some(())
        })
        .await;
    }

    pub(crate) async fn look(&self, token: &str, run: &str) -> Value {
        let query = "query($id: ID!) { run(id: $id) { state attempt progress { phase processed } summary { users { created } }
            error { code message } changes(first: 1) { totalCount } } organization { users(first: 1) { totalCount } } }";
        self.ask(token, query, json!({ "id": run })).await
    }
}

fn secrecy_text(secret: &secrecy::SecretString) -> String {
    use secrecy::ExposeSecret as _;
    secret.expose_secret().to_owned()
}
