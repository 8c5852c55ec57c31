//! The real binary: what a new user sees, and what survives a SIGKILL.

use std::path::Path;
use std::time::Duration;

use lockstep_sandbox::{Control, Sandbox, SandboxOptions, Tenant};
use lockstep_tests::http::graphql;
use lockstep_tests::process::{Finished, Invocation, Running};
use lockstep_tests::wait::{PATIENCE, eventually};
use lockstep_tests::{Signal, postgres, redis};
use serde_json::{Value, json};

use crate::world::{Backend, both, many, people};

/// People in the tenant of the kill tests: enough for several chunks of every phase.
const CROWD: u32 = 4_000;

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

async fn demo(folder: &Path, more: &[&str]) -> Finished {
    let (listen, sandbox) = (
        format!("127.0.0.1:{}", free_port()),
        format!("127.0.0.1:{}", free_port()),
    );
    let mut args = vec![
        "demo",
        "--once",
        "--json",
        "--listen",
        &listen,
        "--sandbox-listen",
        &sandbox,
    ];
    args.extend(more);
    Invocation::lockstep(&args)
        .env("LOCKSTEP_LOG", "warn")
        .folder(folder)
        .finish(PATIENCE * 2)
        .await
        .unwrap()
}

fn last_line(finished: &Finished) -> Value {
    serde_json::from_str(finished.stdout.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("{finished:?}"))
}

#[tokio::test]
async fn the_demo_runs_once_and_a_second_time_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = demo(folder.path(), &[]).await;
    assert!(first.status.success(), "{first:?}");
    let told = last_line(&first);
    assert_eq!(told["run"]["state"], "SUCCEEDED_WITH_WARNINGS");
    assert!(
        told["run"]["counts"]["created"].as_u64().unwrap() >= 40,
        "{told}"
    );
    for field in [
        "graphqlUrl",
        "subscriptionsUrl",
        "sandboxUrl",
        "ownerToken",
        "staffToken",
        "organizationId",
        "integrationId",
    ] {
        assert!(
            told[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field}: {told}"
        );
    }
    let again = last_line(&demo(folder.path(), &[]).await);
    assert_eq!(again["run"]["counts"]["created"], 0);
    assert_eq!(again["organizationId"], told["organizationId"]);
    let counts = again["run"]["counts"].as_object().unwrap();
    let written = [
        "created",
        "linked",
        "updated",
        "deactivated",
        "reactivated",
        "failed",
    ];
    assert!(written.iter().all(|name| counts[*name] == 0), "{counts:?}");
}

#[tokio::test]
async fn bad_input_gets_a_sentence_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.json"), "{\"users\": [").unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    let cases: [(&[&str], i32, &str); 9] = [
        (&["demo", "--frobnicate"], 2, "--frobnicate"),
        (
            &["demo", "--once", "--data", "missing.json"],
            1,
            "cannot read missing.json",
        ),
        (
            &["demo", "--once", "--data", "broken.json"],
            1,
            "broken.json",
        ),
        (
            &["demo", "--once", "--listen", &busy],
            1,
            "choose another address with --listen",
        ),
        (&["demo", "--once", "--users", "0"], 2, "--users"),
        (
            &["all", "--database-url", "mysql://x"],
            1,
            "LOCKSTEP_DATABASE_URL",
        ),
        (
            &["all", "--queue-url", "amqp://x", "--listen", "127.0.0.1:0"],
            1,
            "LOCKSTEP_QUEUE_URL",
        ),
        (&["serve"], 1, "needs PostgreSQL"),
        (&["all", "--config", "nowhere.toml"], 1, "nowhere.toml"),
    ];
    for (args, code, text) in cases {
        let finished = Invocation::lockstep(args)
            .folder(folder.path())
            .finish(PATIENCE)
            .await
            .unwrap();
        assert_eq!(finished.status.code(), Some(code), "{args:?}: {finished:?}");
        assert!(
            finished.stderr.contains(text),
            "{args:?}: {}",
            finished.stderr
        );
        assert!(
            !finished.stderr.contains("panicked"),
            "{args:?}: {}",
            finished.stderr
        );
    }
}

/// A set-up of real processes around a sandbox in the test.
struct SetUp {
    environment: Vec<(&'static str, String)>,
    backend: Backend,
    sandbox: Sandbox,
    api: String,
    server: Option<Running>,
    folder: tempfile::TempDir,
}

impl SetUp {
    async fn start(backend: Backend, tenant: Tenant) -> Self {
        Self::with_queue(backend, tenant, None).await
    }

    /// With a queue of its own on PostgreSQL, for a test that breaks it.
    async fn with_queue(backend: Backend, tenant: Tenant, queue: Option<String>) -> Self {
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
        let mut set_up = Self {
            environment,
            backend,
            sandbox,
            api: format!("http://{listen}/graphql"),
            server: None,
            folder,
        };
        set_up.command(&["migrate"]).finish(PATIENCE).await.unwrap();
        if backend == Backend::Postgres {
            set_up.server = Some(set_up.command(&["serve"]).start().unwrap());
        }
        set_up
    }

    fn control(&self) -> Control {
        self.sandbox.control()
    }

    fn command(&self, args: &[&str]) -> Invocation {
        self.environment.iter().fold(
            Invocation::lockstep(args).folder(self.folder.path()),
            |invocation, (name, value)| invocation.env(name, value),
        )
    }

    /// Whoever works: a worker of its own, or the one process that does everything.
    fn worker(&self) -> Running {
        match self.backend {
            Backend::Sqlite => self.command(&["all"]).start().unwrap(),
            Backend::Postgres => self.command(&["work"]).start().unwrap(),
        }
    }

    async fn printed(&self, args: &[&str]) -> String {
        let finished = self.command(args).finish(PATIENCE).await.unwrap();
        assert!(finished.status.success(), "{finished:?}");
        finished.stdout
    }

    /// An organization with an owner, and the owner's token.
    async fn owner(&self) -> String {
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

    async fn ask(&self, token: &str, operation: &str, variables: Value) -> Value {
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
    async fn activate(&self, token: &str) -> String {
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

    /// Starts a run by hand.
    async fn run(&self, token: &str) -> String {
        let found = self
            .ask(
                token,
                "{ integrations(first: 1) { nodes { id } } }",
                json!({}),
            )
            .await;
        let run = "mutation($i: RunIntegrationInput!) { runIntegration(input: $i) { run { id } userErrors { message } } }";
        let id = &found["integrations"]["nodes"][0]["id"];
        let started = self
            .ask(token, run, json!({ "i": { "integrationId": id } }))
            .await;
        started["runIntegration"]["run"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{started}"))
            .to_owned()
    }

    /// Waits for a run to end well.
    async fn succeeds(&self, token: &str, run: &str) {
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

    async fn look(&self, token: &str, run: &str) -> Value {
        let query = "query($id: ID!) { run(id: $id) { state attempt progress { phase processed } summary { users { created } }
            error { code message } changes(first: 1) { totalCount } } organization { users(first: 1) { totalCount } } }";
        self.ask(token, query, json!({ "id": run })).await
    }
}

fn secrecy_text(secret: &secrecy::SecretString) -> String {
    use secrecy::ExposeSecret as _;
    secret.expose_secret().to_owned()
}

/// Kills the worker in a phase; whoever comes next ends the run right, and nothing is doubled.
async fn kill_in(backend: Backend, phase: &str) {
    let set_up = SetUp::start(backend, many(CROWD)).await;
    let token = set_up.owner().await;
    let mut worker = set_up.worker();
    let gate = lockstep_sandbox::Fault::new(lockstep_sandbox::FaultKind::Gate)
        .on_request("users.list")
        .after(2)
        .times(1);
    set_up.control().add_fault(gate).unwrap();
    let run = set_up.activate(&token).await;
    tokio::time::timeout(PATIENCE, set_up.control().gates_reached(1))
        .await
        .expect("the read has begun");
    if phase != "READING_USERS" {
        set_up.control().open_gates();
        eventually("the phase is reached", PATIENCE, async || {
            let seen = set_up.look(&token, &run).await;
            assert_eq!(
                seen["run"]["state"], "RUNNING",
                "the run was too quick to be killed: {seen}"
            );
            let here = seen["run"]["progress"]["phase"] == phase
                && seen["run"]["progress"]["processed"].as_u64() > Some(0);
            here.then_some(())
        })
        .await;
    }
    worker.signal(Signal::Kill).unwrap();
    worker.exit(PATIENCE).await.unwrap();
    set_up.control().clear_faults();
    let _next = set_up.worker();
    let ended = eventually("the run has ended", PATIENCE, async || {
        let seen = set_up.look(&token, &run).await;
        (!matches!(seen["run"]["state"].as_str(), Some("RUNNING" | "QUEUED"))).then_some(seen)
    })
    .await;
    assert_eq!(ended["run"]["state"], "SUCCEEDED", "{ended}");
    // More than two when the machine was so busy that the next worker lost its lease as well.
    assert!(ended["run"]["attempt"].as_u64() >= Some(2), "{ended}");
    assert_eq!(ended["run"]["summary"]["users"]["created"], CROWD);
    assert_eq!(ended["run"]["changes"]["totalCount"], CROWD);
    assert_eq!(ended["organization"]["users"]["totalCount"], CROWD + 1);
}

both! {
    async fn fault_a2_a_worker_killed_in_the_read_loses_nothing(backend) {
        kill_in(backend, "READING_USERS").await;
    }

    async fn fault_a3_a_worker_killed_in_the_plan_loses_nothing(backend) {
        kill_in(backend, "PLANNING").await;
    }

    async fn fault_a4_a_worker_killed_in_the_apply_loses_nothing(backend) {
        kill_in(backend, "APPLYING_USERS").await;
    }
}

#[tokio::test]
async fn b012_two_workers_share_the_work_and_no_run_is_doubled() {
    let set_up = SetUp::start(Backend::Postgres, people(&["ada", "bob", "cyd"])).await;
    let token = set_up.owner().await;
    let _workers = [set_up.worker(), set_up.worker()];
    let first = set_up.activate(&token).await;
    let ended = eventually("the run has ended", PATIENCE, async || {
        let seen = set_up.look(&token, &first).await;
        (seen["run"]["state"] == "SUCCEEDED").then_some(seen)
    })
    .await;
    assert_eq!(
        (
            &ended["run"]["attempt"],
            &ended["run"]["summary"]["users"]["created"]
        ),
        (&json!(1), &json!(3))
    );
    let events = follow(&set_up, &token, &first).await;
    assert_eq!(
        events.last().map(|event| event["__typename"].clone()),
        Some(json!("RunFinished")),
        "late: {events:?}"
    );
}

/// Follows a run over server-sent events until the stream completes.
async fn follow(set_up: &SetUp, token: &str, run: &str) -> Vec<Value> {
    let query =
        "subscription($id: ID!) { runProgress(runId: $id) { __typename sequence run { state } } }";
    let body = json!({ "query": query, "variables": { "id": run } });
    let request = reqwest::Client::new()
        .post(&set_up.api)
        .bearer_auth(token)
        .header("accept", "text/event-stream")
        .timeout(Duration::from_secs(60))
        .json(&body);
    let text = request.send().await.unwrap().text().await.unwrap();
    let events = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok());
    events
        .filter_map(|event| event.pointer("/data/runProgress").cloned())
        .collect()
}

both! {
    async fn b006_p23_a_run_is_followed_live_to_its_end(backend) {
        let set_up = SetUp::start(backend, many(2_000)).await;
        let token = set_up.owner().await;
        let _worker = set_up.worker();
        let gate = lockstep_sandbox::Fault::new(lockstep_sandbox::FaultKind::Gate).on_request("users.list")
            .after(1).times(1);
        set_up.control().add_fault(gate).unwrap();
        let run = set_up.activate(&token).await;
        tokio::time::timeout(PATIENCE, set_up.control().gates_reached(1)).await.expect("the read has begun");
        let (events, ()) = tokio::join!(follow(&set_up, &token, &run), async {
            set_up.control().clear_faults();
        });
        let kinds: Vec<&str> = events.iter().filter_map(|event| event["__typename"].as_str()).collect();
        assert_eq!((kinds.first(), kinds.last()), (Some(&"RunSnapshot"), Some(&"RunFinished")), "{kinds:?}");
        let sequences: Vec<i64> = events.iter().filter_map(|event| event["sequence"].as_i64()).collect();
        assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "strictly rising: {sequences:?}");
        assert_eq!(events.last().unwrap()["run"]["state"], "SUCCEEDED");
    }
}

#[tokio::test]
async fn fault_b1_b2_b3_redis_may_be_emptied_stopped_and_restarted() {
    let mut redis = redis::RedisServer::start().unwrap();
    let tenant = people(&["ada", "bob"]);
    let set_up = SetUp::with_queue(Backend::Postgres, tenant, Some(redis.url(0))).await;
    let token = set_up.owner().await;
    let _worker = set_up.worker();
    let first = set_up.activate(&token).await;
    set_up.succeeds(&token, &first).await;
    redis.empty().unwrap();
    let after_flush = set_up.run(&token).await;
    set_up.succeeds(&token, &after_flush).await;
    redis.stop().unwrap();
    let while_down = set_up.run(&token).await;
    assert_eq!(
        set_up.look(&token, &while_down).await["run"]["state"],
        "QUEUED",
        "accepted, and waits"
    );
    redis.restart().unwrap();
    set_up.succeeds(&token, &while_down).await;
}
