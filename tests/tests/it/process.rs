//! The real binary: what a new user sees, and what survives a SIGKILL.

use std::path::Path;
use std::time::Duration;

use lockstep_tests::process::{Finished, Invocation};
use lockstep_tests::wait::{PATIENCE, eventually};
use lockstep_tests::{Signal, redis};
use serde_json::{Value, json};

use crate::set_up::{SetUp, free_port};
use crate::world::{Backend, both, many, people};

/// People in the tenant of the kill tests: enough for several chunks of every phase.
const CROWD: u32 = 4_000;

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
