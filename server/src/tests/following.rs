//! Live updates.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Request, Variables};
use futures::StreamExt as _;
use lockstep_domain::{IntegrationId, Role, RunPhase};
use lockstep_queue::{Queue, Signal};
use lockstep_store::lease::Step;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::world::{Who, World};
use crate::id::GlobalId as _;
use crate::{Context, dress, schema, signal};

/// How long to wait for what comes within two seconds; generous, because machines are busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for a stream to have begun to listen.
const QUIET: Duration = Duration::from_secs(1);

const FOLLOW: &str = "subscription($id: ID!, $after: String, $changes: Boolean! = false) {
    runProgress(runId: $id, after: $after, includeChanges: $changes) {
        __typename cursor sequence run { state } ... on RunProgressed { progress { phase processed percent } } } }";

async fn next(stream: &mut (impl futures::Stream<Item = Value> + Unpin)) -> Option<Value> {
    let answer = timeout(Duration::from_secs(5), stream.next())
        .await
        .expect("an event within 5 s");
    answer.map(|answer| {
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"]["runProgress"].clone()
    })
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["__typename"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn d89_a_run_is_followed_from_the_queue_to_its_end() {
    let world = World::new().await;
    let (_, run) = world.active().await;
    let mut stream = world
        .follow(Who::Ada, FOLLOW, json!({ "id": run.global() }))
        .await;
    let mut events = vec![next(&mut stream).await.unwrap()];
    assert_eq!(events[0]["run"]["state"], "QUEUED");

    let lease = world.claim(run).await;
    signal::run_changed(&world.context, world.organization, run).await;
    events.push(next(&mut stream).await.unwrap());
    let begun = Instant::now();
    for processed in 1..=20 {
        let step = Step {
            phase: RunPhase::ReadingUsers,
            processed,
            total: Some(20),
        };
        world.store.report(&lease, step).await.unwrap();
        signal::run_changed(&world.context, world.organization, run).await;
    }
    let mut reports = 0;
    while events
        .last()
        .is_some_and(|event| event["progress"]["processed"] != 20)
    {
        let event = next(&mut stream).await.unwrap();
        reports += 1;
        events.truncate(2);
        events.push(event);
    }
    let most = begun.elapsed().as_millis() / 250 + 1;
    assert!(
        reports <= most,
        "{reports} reports, but at most four a second"
    );
    world.finish(&lease, None).await;
    // No signal: the row is read again after a silence.
    events.push(next(&mut stream).await.unwrap());
    assert_eq!(next(&mut stream).await, None);

    assert_eq!(
        kinds(&events),
        ["RunSnapshot", "RunStarted", "RunProgressed", "RunFinished"]
    );
    let numbers: Vec<i64> = events
        .iter()
        .map(|event| event["sequence"].as_i64().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");

    // Whoever comes later sees the end at once, and whoever saw it nothing more.
    let mut late = world
        .follow(Who::Ada, FOLLOW, json!({ "id": run.global() }))
        .await;
    let seen = [
        next(&mut late).await.unwrap(),
        next(&mut late).await.unwrap(),
    ];
    assert_eq!(
        (kinds(&seen), next(&mut late).await),
        (vec!["RunSnapshot", "RunFinished"], None)
    );
    assert_eq!(
        seen[1]["sequence"], events[3]["sequence"],
        "the same event has the same number for everyone"
    );
    let after = |event: &Value| json!({ "id": run.global(), "after": event["cursor"] });
    let mut resumed = world.follow(Who::Ada, FOLLOW, after(&events[0])).await;
    let seen = [
        next(&mut resumed).await.unwrap(),
        next(&mut resumed).await.unwrap(),
    ];
    assert_eq!(
        (kinds(&seen), next(&mut resumed).await),
        (vec!["RunStarted", "RunFinished"], None)
    );
    let mut done = world.follow(Who::Ada, FOLLOW, after(&events[3])).await;
    assert_eq!(next(&mut done).await, None);
}

#[tokio::test]
async fn a_subscription_is_refused_like_a_query() {
    let world = World::new().await;
    let (_, run) = world.active().await;
    let code = async |who, variables: Value| {
        let answer = world
            .follow(who, FOLLOW, variables)
            .await
            .next()
            .await
            .unwrap();
        answer["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let id = json!({ "id": run.global() });
    assert_eq!(code(Who::Nobody, id.clone()).await, "UNAUTHENTICATED");
    assert_eq!(code(Who::Ben, id.clone()).await, "FORBIDDEN");
    assert_eq!(code(Who::Eve, id).await, "NOT_FOUND");
    assert_eq!(code(Who::Ada, json!({ "id": "x" })).await, "NOT_FOUND");
    assert_eq!(
        code(Who::Ada, json!({ "id": run.global(), "after": "x" })).await,
        "BAD_USER_INPUT"
    );
}

async fn ends_with_forbidden(world: &World, change: impl Future<Output = ()>) {
    let (_, run) = world.active().await;
    let mut stream = world
        .follow(Who::Ada, FOLLOW, json!({ "id": run.global() }))
        .await;
    next(&mut stream).await.unwrap();
    change.await;
    let answer = timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_subscription_ends_when_its_viewer_is_no_owner_any_more() {
    let world = World::new().await;
    ends_with_forbidden(&world, world.set_role(world.ada, Role::Member)).await;
}

#[tokio::test]
async fn a_subscription_ends_when_its_viewer_is_deactivated() {
    let world = World::new().await;
    ends_with_forbidden(&world, world.deactivate(world.ada)).await;
}

/// The signals of a busy installation: another organization has something to say all the time.
fn others_are_busy(world: &World) -> tokio::task::JoinHandle<()> {
    let bus = world.context.queue.bus();
    let foreign = Signal::Integration {
        organization_id: world.other,
        integration_id: IntegrationId(uuid::Uuid::from_u128(1)),
    };
    tokio::spawn(async move {
        let mut often = tokio::time::interval(Duration::from_millis(50));
        loop {
            often.tick().await;
            bus.publish(&foreign).await;
        }
    })
}

#[tokio::test]
async fn d89_lists_are_looked_at_while_others_are_busy_and_end_for_who_is_no_owner_any_more() {
    let world = World::new().await;
    let (_, run) = world.active().await;
    let others = others_are_busy(&world);
    let mut runs = world
        .follow(
            Who::Ada,
            "subscription { runUpdated { run { state } } }",
            json!({}),
        )
        .await;
    let integrations = "subscription { integrationUpdated { integration { state } } }";
    let mut integrations = world.follow(Who::Ada, integrations, json!({})).await;
    let mut progress = world
        .follow(Who::Ada, FOLLOW, json!({ "id": run.global() }))
        .await;
    next(&mut progress).await.unwrap();

    // The streams listen from their first poll on.
    assert!(timeout(QUIET, runs.next()).await.is_err());
    assert!(timeout(QUIET, integrations.next()).await.is_err());
    // Nobody tells of the claim: only a look at the rows can find it.
    world.claim(run).await;
    let told = timeout(PATIENCE, runs.next())
        .await
        .expect("a look while others are busy")
        .unwrap();
    assert_eq!(told["data"]["runUpdated"]["run"]["state"], "RUNNING");

    world.set_role(world.ada, Role::Member).await;
    for stream in [&mut runs, &mut integrations, &mut progress] {
        let refusal = timeout(PATIENCE, async {
            loop {
                let answer = stream.next().await.expect("an error before the end");
                if answer.get("errors").is_some() {
                    return answer;
                }
            }
        });
        let refusal = refusal.await.expect("an end while others are busy");
        assert_eq!(refusal["errors"][0]["extensions"]["code"], "FORBIDDEN");
        assert_eq!(stream.next().await, None);
    }
    others.abort();
}

#[tokio::test]
async fn a_run_that_no_signal_told_of_is_found_by_the_next_look() {
    let world = World::new().await;
    let id = world.integration().await;
    world.pass_test(id).await;
    let mut runs = world
        .follow(
            Who::Ada,
            "subscription { runUpdated { previousState run { state } } }",
            json!({}),
        )
        .await;
    assert!(timeout(QUIET, runs.next()).await.is_err());
    // Through a server whose bus does not reach ours.
    let apart = Arc::new(Context {
        store: world.store.clone(),
        queue: Queue::in_process(),
        sealer: world.opener.sealer(),
        languages: Vec::new(),
        version: String::new(),
        revision: None,
    });
    let activate =
        "mutation($id: ID!) { activateIntegration(input: { integrationId: $id }) { run { id } } }";
    let request =
        Request::new(activate).variables(Variables::from_json(json!({ "id": id.global() })));
    let request = dress(request, &apart, world.session(Who::Ada).await);
    assert!(schema(apart).execute(request).await.is_ok());
    let told = timeout(PATIENCE, runs.next())
        .await
        .expect("a look")
        .unwrap();
    assert_eq!(
        told["data"]["runUpdated"],
        json!({ "previousState": null, "run": { "state": "QUEUED" } })
    );
}

#[tokio::test]
async fn lists_are_told_of_runs_and_integrations() {
    let world = World::new().await;
    let id = world.integration().await;
    world.pass_test(id).await;
    let runs = "subscription { runUpdated { previousState run { state } } }";
    let integrations =
        "subscription { integrationUpdated { previousState integration { state } } }";
    let mut runs = world.follow(Who::Ada, runs, json!({})).await;
    let mut integrations = world.follow(Who::Ada, integrations, json!({})).await;
    // The streams listen from their first poll on.
    let silence = Duration::from_secs(1);
    assert!(timeout(silence, runs.next()).await.is_err());
    assert!(timeout(silence, integrations.next()).await.is_err());
    let foreign = Signal::Integration {
        organization_id: world.other,
        integration_id: id,
    };
    world.context.queue.bus().publish(&foreign).await;
    world
        .mutate(
            Who::Ada,
            "activateIntegration",
            "",
            json!({ "integrationId": id.global() }),
        )
        .await;
    let (run, integration) = tokio::join!(runs.next(), integrations.next());
    let queued = json!({ "previousState": null, "run": { "state": "QUEUED" } });
    assert_eq!(run.unwrap()["data"]["runUpdated"], queued);
    let activated = json!({ "previousState": "DRAFT", "integration": { "state": "ACTIVE" } });
    assert_eq!(
        integration.unwrap()["data"]["integrationUpdated"],
        activated
    );

    let deactivate = world.mutate(
        Who::Ada,
        "deactivateIntegration",
        "",
        json!({ "integrationId": id.global() }),
    );
    let (run, _) = tokio::join!(runs.next(), deactivate);
    assert_eq!(
        run.unwrap()["data"]["runUpdated"],
        json!({ "previousState": "QUEUED", "run": { "state": "CANCELED" } })
    );
}

#[tokio::test]
async fn entries_of_the_change_log_come_in_order_and_are_replayed() {
    let world = World::new().await;
    let (_, run) = world.active().await;
    let variables = json!({ "id": run.global(), "changes": true });
    let mut stream = world.follow(Who::Ada, FOLLOW, variables.clone()).await;
    let snapshot = next(&mut stream).await.unwrap();
    let lease = world.claim(run).await;
    // More than are read at a time, in two transactions.
    world.skip_people(&lease, 250).await;
    world.skip_people(&lease, 3).await;
    world.finish(&lease, None).await;
    signal::run_changed(&world.context, world.organization, run).await;
    let mut events = Vec::new();
    while let Some(event) = next(&mut stream).await {
        events.push(event);
    }
    let told = |kind: &str| kinds(&events).iter().filter(|name| **name == kind).count();
    assert_eq!(
        (
            told("RunStarted"),
            told("RunChangeRecorded"),
            told("RunFinished")
        ),
        (1, 253, 1)
    );
    assert_eq!(kinds(&events).last(), Some(&"RunFinished"));
    let numbers: Vec<i64> = events
        .iter()
        .map(|event| event["sequence"].as_i64().unwrap())
        .collect();
    assert!(
        numbers.is_sorted_by(|a, b| a < b)
            && snapshot["sequence"].as_i64() < numbers.first().copied()
    );

    let mut after = variables;
    after["after"] = events[99]["cursor"].clone();
    let mut resumed = world.follow(Who::Ada, FOLLOW, after).await;
    let mut again = Vec::new();
    while let Some(event) = next(&mut resumed).await {
        again.push(event["cursor"].clone());
    }
    let rest: Vec<Value> = events[100..]
        .iter()
        .map(|event| event["cursor"].clone())
        .collect();
    assert_eq!(again, rest, "nothing is missing and nothing comes twice");

    let document = "query($id: ID!) { run(id: $id) { state
        problemGroups { code field count message sample(first: 2) { sequence } }
        changes(first: 1, filter: { reasons: [MISSING_REQUIRED], search: \"person 7\" }) { totalCount nodes {
            sequence action outcome target { type displayName node { id } } reason { code message field retryable } fieldChanges { field } run { id } } } } }";
    let data = world
        .ask(Who::Ada, document, json!({ "id": run.global() }))
        .await;
    assert_eq!(data["run"]["state"], "SUCCEEDED_WITH_WARNINGS");
    let group = &data["run"]["problemGroups"][0];
    assert_eq!(
        (&group["code"], &group["field"], &group["count"]),
        (&json!("MISSING_REQUIRED"), &json!("surname"), &json!(253))
    );
    assert_eq!(
        group["sample"],
        json!([{ "sequence": 1 }, { "sequence": 2 }])
    );
    assert_eq!(
        data["run"]["changes"]["nodes"][0]["target"]["displayName"],
        "Person 7"
    );
}
