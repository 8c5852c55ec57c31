//! What queries answer.

use lockstep_domain::{RunError, RunErrorCode, RunPhase};
use serde_json::{Value, json};

use super::world::{Who, World, at};
use crate::id::GlobalId as _;

#[tokio::test]
async fn e034_one_query_returns_everything_of_an_integration() {
    let world = World::new().await;
    let (id, run) = world.active().await;
    let lease = world.claim(run).await;
    world.clock.advance(chrono::TimeDelta::seconds(3));
    world.finish(&lease, None).await;
    let document = "query($id: ID!) { integration(id: $id) {
        name provider direction state pause { reason } defaultLanguage revision viewerCanManage viewerCanOperate
        freshness { dataAsOf ageSeconds isStale expectedDurationMs }
        setupGuide { url steps { title body url } }
        requiredPermissions { name features purpose granted }
        latestTest { status integration { name } testedBy { kind } }
        tests { totalCount nodes { id } }
        activeRun { id } runAwaitingApproval { id } openHold { id }
        latestFinishedRun {
          state durationMs attempt progress { phase percent } rules { version savedBy { name } rules { __typename } }
          cost { graphRequests } summary { total { created updated deactivated } conflicts } problemGroups { code } warnings { code }
          hold { id } changes { totalCount } error { code }
        }
        runs { totalCount edges { cursor node { id } } pageInfo { hasNextPage startCursor } }
    } }";
    let integration = world
        .ask(Who::Ada, document, json!({ "id": id.global() }))
        .await["integration"]
        .clone();
    assert_eq!(
        integration["freshness"],
        json!({ "dataAsOf": "2026-03-02T10:00:00Z", "ageSeconds": 3, "isStale": false, "expectedDurationMs": 3000 })
    );
    let finished = &integration["latestFinishedRun"];
    assert_eq!(
        (&finished["state"], &finished["durationMs"]),
        (&json!("SUCCEEDED"), &json!(3000))
    );
    assert_eq!(
        finished["progress"],
        json!({ "phase": "FINISHED", "percent": 100 })
    );
    assert_eq!(finished["rules"]["savedBy"]["name"], "Ada Doe");
    assert_eq!(
        integration["setupGuide"]["steps"].as_array().map(Vec::len),
        Some(8)
    );
    assert_eq!(
        integration["requiredPermissions"][0]["name"],
        "User.Read.All"
    );
}

#[tokio::test]
async fn e100_a_failed_run_shows_its_error_and_pauses() {
    let world = World::new().await;
    let (id, run) = world.active().await;
    let lease = world.claim(run).await;
    let error = RunError {
        code: RunErrorCode::CredentialExpired,
        message: "The client secret has expired.".to_owned(),
        remediation: Some("Enter a new one.".to_owned()),
        phase: RunPhase::Authenticating,
        occurred_at: at("2026-03-02T10:00:00Z"),
        provider_error_code: Some("AADSTS7000222".to_owned()),
        provider_request_id: None,
    };
    world.finish(&lease, Some(error)).await;
    let document = "query($id: ID!) { integration(id: $id) { state pause { reason since resolution run { id } error { code retryable providerErrorCode } } } }";
    let data = world
        .ask(Who::Ada, document, json!({ "id": id.global() }))
        .await;
    assert_eq!(
        data["integration"],
        json!({
            "state": "PAUSED",
            "pause": {
                "reason": "CREDENTIAL_EXPIRED",
                "since": "2026-03-02T10:00:00Z",
                "resolution": "TEST_OR_RUN",
                "run": { "id": run.global() },
                "error": { "code": "CREDENTIAL_EXPIRED", "retryable": false, "providerErrorCode": "AADSTS7000222" },
            },
        })
    );
}

#[tokio::test]
async fn e073_runs_are_paged_in_both_directions() {
    let world = World::new().await;
    let (id, first) = world.active().await;
    let mut runs = vec![first];
    for _ in 0..4 {
        let lease = world.claim(*runs.last().unwrap()).await;
        world.finish(&lease, None).await;
        world.clock.advance(chrono::TimeDelta::minutes(1));
        let payload = world
            .mutate(
                Who::Ada,
                "runIntegration",
                "run { id }",
                json!({ "integrationId": id.global() }),
            )
            .await;
        runs.push(
            crate::id::GlobalId::local(&payload["run"]["id"].as_str().unwrap().into()).unwrap(),
        );
    }
    let newest_first: Vec<Value> = runs.iter().rev().map(|run| json!(run.global())).collect();
    let document = "query($first: Int, $after: String, $last: Int, $before: String, $order: RunOrder) {
        runs(first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
            totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    let page = async |variables: Value| {
        let data = world.ask(Who::Ada, document, variables).await["runs"].clone();
        let ids: Vec<Value> = data["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["id"].clone())
            .collect();
        (ids, data["pageInfo"].clone())
    };
    let (all, info) = page(json!({})).await;
    assert_eq!(
        (all, &info["hasNextPage"]),
        (newest_first.clone(), &json!(false))
    );
    let (ids, info) = page(json!({ "first": 2 })).await;
    assert_eq!(
        (ids, &info["hasNextPage"]),
        (newest_first[..2].to_vec(), &json!(true))
    );
    let (ids, next) = page(json!({ "first": 2, "after": info["endCursor"] })).await;
    assert_eq!(
        (ids, &next["hasPreviousPage"]),
        (newest_first[2..4].to_vec(), &json!(true))
    );
    let (ids, _) = page(json!({ "last": 2, "before": next["startCursor"] })).await;
    assert_eq!(ids, newest_first[..2]);
    let order = json!({ "field": "TRIGGERED_AT", "direction": "ASC" });
    let (ids, _) = page(json!({ "first": 1, "order": order })).await;
    assert_eq!(ids, newest_first[4..]);
    for bad in [
        json!({ "first": 101 }),
        json!({ "first": 1, "last": 1 }),
        json!({ "after": "x" }),
        json!({ "last": 0 }),
    ] {
        assert_eq!(
            world.codes(Who::Ada, document, bad.clone()).await,
            ["BAD_USER_INPUT"],
            "{bad}"
        );
    }
}

#[tokio::test]
async fn users_are_listed_and_filtered() {
    let world = World::new().await;
    let document = "query($filter: UserFilter) { organization { users(filter: $filter) { totalCount nodes {
        displayName role status origin externalId syncedFields lastSyncedAt link { matchedBy } deactivation { reason } } } } }";
    let owners = json!({ "filter": { "roles": ["OWNER"], "search": "ada" } });
    let data = world.ask(Who::Ben, document, owners).await;
    let user = json!({
        "displayName": "Ada Doe", "role": "OWNER", "status": "ACTIVE", "origin": "LOCAL", "externalId": null,
        "syncedFields": [], "lastSyncedAt": null, "link": null, "deactivation": null,
    });
    assert_eq!(
        data["organization"]["users"],
        json!({ "totalCount": 1, "nodes": [user] })
    );
}

#[tokio::test]
async fn a_document_that_asks_for_too_much_is_refused() {
    let world = World::new().await;
    let document = "{ integrations(first: 100) { nodes { runs(first: 100) { nodes { changes(first: 100) { nodes { id } } } } } } }";
    let response = world.execute(Who::Ada, document, json!({})).await;
    assert!(costs_too_much(&response), "{:?}", response.errors);
    // Not a page, but a list all the same, whose items lead back to where they come from.
    let circle = "{ organization { users(first: 1) { nodes { holds { user { holds { user { holds { id } } } } } } } } }";
    let response = world.execute(Who::Ada, circle, json!({})).await;
    assert!(costs_too_much(&response), "{:?}", response.errors);
}

fn costs_too_much(response: &async_graphql::Response) -> bool {
    let message = &response.errors[0].message;
    message.starts_with("The document costs ") && message.contains("at most 50000 are allowed")
}
