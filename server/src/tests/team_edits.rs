//! What owners do to teams by hand.

use futures::future::join_all;
use lockstep_domain::{ExternalId, TeamId, UserHoldId, name_suffix};
use serde_json::{Value, json};

use super::team_world::id_in;
use super::world::{Who, World, refused};
use crate::id::GlobalId as _;

const HOLDS: &str = "{ organization { users { nodes { displayName holds { id kind team { name } user { displayName }
    setBy { name } setAt } } } } }";

/// The holds of Ben, who comes second.
async fn holds(world: &World, who: Who) -> Value {
    let data = world.ask(who, HOLDS, json!({})).await;
    data["organization"]["users"]["nodes"][1]["holds"].clone()
}

async fn members(world: &World, team: TeamId) -> Vec<String> {
    let document = "query($id: ID!) { node(id: $id) { ... on Team { members { edges { node { displayName } } } } } }";
    let data = world
        .ask(Who::Ada, document, json!({ "id": team.global() }))
        .await;
    let edges = data["node"]["members"]["edges"].as_array().unwrap().clone();
    edges
        .iter()
        .map(|edge| edge["node"]["displayName"].as_str().unwrap().to_owned())
        .collect()
}

/// The kind of the first failure, and the value at fault.
fn fault(payload: &Value) -> (&str, &str) {
    let error = &payload["userErrors"][0];
    (
        error["code"].as_str().unwrap_or_default(),
        error["path"][1].as_str().unwrap_or_default(),
    )
}

#[tokio::test]
async fn d32_a_name_set_by_hand_wins_until_it_is_given_back() {
    let world = World::new().await;
    let integration = world.integration().await;
    let team = world.team("Sales").await;
    world.synchronize(team, integration).await;
    let update = async |change: Value| {
        let mut input = json!({ "teamId": team.global() });
        input
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let selection = "team { name sourceName nameIsLocal yearlyBudget }";
        let payload = world.mutate(Who::Ada, "updateTeam", selection, input).await;
        assert_eq!(payload["userErrors"], json!([]), "{change}");
        payload["team"].clone()
    };
    let team = |name: &str, is_local: bool, budget: Option<&str>| json!({ "name": name, "sourceName": "Sales", "nameIsLocal": is_local, "yearlyBudget": budget });

    let renamed = update(json!({ "name": "  Champions ", "yearlyBudget": "10" })).await;
    assert_eq!(renamed, team("Champions", true, Some("10.00")));
    assert_eq!(update(json!({})).await, renamed, "what is left out is kept");
    let given_back = update(json!({ "name": null })).await;
    assert_eq!(given_back, team("Sales", false, Some("10.00")));
    let without = update(json!({ "yearlyBudget": null })).await;
    assert_eq!(without, team("Sales", false, None));
}

/// More at once than the pool has connections: an edit that needed a second one would wait for the others for ever.
#[tokio::test]
async fn many_edits_at_once_take_one_connection_each() {
    let world = World::new().await;
    let integration = world.integration().await;
    let mut edits = Vec::new();
    for n in 0..12 {
        let team = world.team(&format!("Team {n}")).await;
        world.add(team, world.ben, "MEMBER").await;
        world.synchronize(team, integration).await;
        let removal = json!({ "teamId": team.global(), "userId": world.ben.global() });
        world
            .mutate(Who::Ada, "removeTeamMember", "team { id }", removal)
            .await;
        edits.push(json!({ "teamId": team.global(), "name": null, "yearlyBudget": "1" }));
    }
    let update = |input| world.mutate(Who::Ada, "updateTeam", "team { yearlyBudget }", input);
    for payload in join_all(edits.into_iter().map(update)).await {
        assert_eq!(payload["team"]["yearlyBudget"], json!("1.00"), "{payload}");
    }
    let held = holds(&world, Who::Ada).await;
    let held = held.as_array().unwrap();
    assert_eq!(held.len(), 12);
    let lift = |hold: &Value| {
        let input = json!({ "holdId": hold["id"] });
        world.mutate(Who::Ada, "liftUserHold", "user { id }", input)
    };
    for payload in join_all(held.iter().map(lift)).await {
        assert_eq!(payload["userErrors"], json!([]), "{payload}");
    }
    assert_eq!(holds(&world, Who::Ada).await, json!([]));
}

#[tokio::test]
async fn d33_a_name_given_back_gets_a_mark_when_another_team_has_taken_it() {
    let world = World::new().await;
    let integration = world.integration().await;
    let team = world.team("Sales").await;
    world.synchronize(team, integration).await;
    let rename = async |name: Value| {
        let input = json!({ "teamId": team.global(), "name": name });
        let payload = world
            .mutate(Who::Ada, "updateTeam", "team { name }", input)
            .await;
        payload["team"]["name"].clone()
    };
    assert_eq!(rename(json!("Champions")).await, "Champions");
    world.team("sales").await;
    let mark = name_suffix(&ExternalId(team.0.to_string()));
    assert_eq!(rename(Value::Null).await, format!("Sales ({mark})"));
}

#[tokio::test]
async fn a_team_that_the_directory_gives_no_name_needs_one() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    let input = json!({ "teamId": team.global(), "name": null });
    let payload = world
        .mutate(Who::Ada, "updateTeam", "team { name }", input)
        .await;
    assert_eq!(fault(&payload), ("REQUIRED", "name"));
    assert_eq!(payload["team"], Value::Null);
}

#[tokio::test]
async fn d35_a_synchronized_member_who_is_removed_is_kept_out_until_the_hold_is_lifted() {
    let world = World::new().await;
    let integration = world.integration().await;
    let team = world.team("Sales").await;
    world.add(team, world.ben, "MEMBER").await;
    world.synchronize(team, integration).await;
    let both = json!({ "teamId": team.global(), "userId": world.ben.global() });
    let payload = world
        .mutate(
            Who::Ada,
            "removeTeamMember",
            "team { members { totalCount } }",
            both.clone(),
        )
        .await;
    assert_eq!(payload["team"]["members"]["totalCount"], 0);
    let again = world.mutate(Who::Ada, "removeTeamMember", "", both).await;
    assert_eq!(fault(&again), ("NOT_FOUND", "userId"));

    let mut held = holds(&world, Who::Ada).await;
    let id = held[0]["id"].take();
    assert_eq!(
        held,
        json!([{
            "id": null, "kind": "KEEP_OUT_OF_TEAM", "team": { "name": "Sales" }, "user": { "displayName": "Ben Doe" },
            "setBy": { "name": "Ada Doe" }, "setAt": "2026-03-02T10:00:00Z",
        }])
    );
    assert_eq!(holds(&world, Who::Ben).await, json!([]), "only for owners");
    let node = "query($id: ID!) { node(id: $id) { __typename } }";
    let variables = json!({ "id": id });
    for (who, seen) in [
        (Who::Ada, json!({ "__typename": "UserHold" })),
        (Who::Ben, Value::Null),
        (Who::Eve, Value::Null),
    ] {
        let data = world.ask(who, node, variables.clone()).await;
        assert_eq!(data["node"], seen, "{who:?}");
    }

    let input = json!({ "holdId": id });
    let stranger = world
        .mutate(Who::Eve, "liftUserHold", "", input.clone())
        .await;
    assert_eq!(fault(&stranger), ("NOT_FOUND", "holdId"));
    let lifted = world
        .mutate(
            Who::Ada,
            "liftUserHold",
            "user { displayName holds { id } }",
            input.clone(),
        )
        .await;
    assert_eq!(
        lifted["user"],
        json!({ "displayName": "Ben Doe", "holds": [] })
    );
    let again = world.mutate(Who::Ada, "liftUserHold", "", input).await;
    assert_eq!(fault(&again), ("NOT_FOUND", "holdId"));
}

#[tokio::test]
async fn d35_whoever_is_added_and_removed_by_hand_stays_out_of_a_synchronized_team() {
    let world = World::new().await;
    let integration = world.integration().await;
    let team = world.team("Sales").await;
    world.synchronize(team, integration).await;
    let both = json!({ "teamId": team.global(), "userId": world.ben.global() });
    world
        .mutate(Who::Ada, "addTeamMember", "", both.clone())
        .await;
    let removed = world
        .mutate(Who::Ada, "removeTeamMember", "", both.clone())
        .await;
    assert_eq!(refused(&removed), Vec::<&str>::new());
    assert_eq!(holds(&world, Who::Ada).await[0]["kind"], "KEEP_OUT_OF_TEAM");
    world.mutate(Who::Ada, "addTeamMember", "", both).await;
    assert_eq!(holds(&world, Who::Ada).await, json!([]), "added again");
}

#[tokio::test]
async fn d35_whoever_is_added_by_hand_leaves_no_hold_behind() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    world.add(team, world.ben, "MEMBER").await;
    assert_eq!(members(&world, team).await, ["Ben Doe"]);
    let both = json!({ "teamId": team.global(), "userId": world.ben.global() });
    let payload = world.mutate(Who::Ada, "removeTeamMember", "", both).await;
    assert_eq!(refused(&payload), Vec::<&str>::new());
    assert_eq!(members(&world, team).await, Vec::<String>::new());
    assert_eq!(holds(&world, Who::Ada).await, json!([]));
}

#[tokio::test]
async fn nobody_is_added_to_an_archived_team_and_nobody_who_is_deactivated() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    let both = json!({ "teamId": team.global(), "userId": world.ben.global() });
    let add = async || {
        world
            .mutate(Who::Ada, "addTeamMember", "team { id }", both.clone())
            .await
    };
    world.deactivate(world.ben).await;
    assert_eq!(fault(&add().await), ("WRONG_STATE", "userId"));
    world.archive(team).await;
    assert_eq!(fault(&add().await), ("WRONG_STATE", "teamId"));
    assert_eq!(members(&world, team).await, Vec::<String>::new());
}

#[tokio::test]
async fn e031_members_cannot_change_teams() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    world.add(team, world.ben, "MEMBER").await;
    let both = json!({ "teamId": team.global(), "userId": world.ben.global() });
    let hold = UserHoldId(uuid::Uuid::nil()).global();
    for (name, shown, input) in [
        ("createTeam", "team", json!({ "name": "Mine" })),
        (
            "updateTeam",
            "team",
            json!({ "teamId": team.global(), "name": "Mine" }),
        ),
        ("addTeamMember", "team", both.clone()),
        ("removeTeamMember", "team", both),
        ("liftUserHold", "user", json!({ "holdId": hold })),
    ] {
        for who in [Who::Ben, Who::Staff] {
            let payload = world
                .mutate(who, name, &format!("{shown} {{ id }}"), input.clone())
                .await;
            assert_eq!(refused(&payload), ["FORBIDDEN"], "{name} by {who:?}");
            assert_eq!(payload[shown], Value::Null, "{name} shows nothing");
        }
    }
}

#[tokio::test]
async fn d90_a_team_of_others_is_like_an_unknown_one() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    let seen = "query($id: ID!) { node(id: $id) { id } }";
    let variables = json!({ "id": team.global() });
    for (who, is_seen) in [
        (Who::Ada, true),
        (Who::Ben, true),
        (Who::Eve, false),
        (Who::Staff, false),
    ] {
        let data = world.ask(who, seen, variables.clone()).await;
        assert_eq!(!data["node"].is_null(), is_seen, "{who:?}");
    }
    let (mine, theirs) = (world.ada.global(), world.eve.global());
    for (who, name, input, path) in [
        (
            Who::Eve,
            "updateTeam",
            json!({ "teamId": team.global() }),
            "teamId",
        ),
        (
            Who::Eve,
            "addTeamMember",
            json!({ "teamId": team.global(), "userId": theirs }),
            "teamId",
        ),
        (
            Who::Ada,
            "addTeamMember",
            json!({ "teamId": team.global(), "userId": theirs }),
            "userId",
        ),
        (
            Who::Ada,
            "removeTeamMember",
            json!({ "teamId": team.global(), "userId": theirs }),
            "userId",
        ),
        (
            Who::Ada,
            "addTeamMember",
            json!({ "teamId": mine, "userId": mine }),
            "teamId",
        ),
    ] {
        let payload = world.mutate(who, name, "", input.clone()).await;
        assert_eq!(fault(&payload), ("NOT_FOUND", path), "{name} {input}");
    }
}

#[tokio::test]
async fn names_and_budgets_are_checked() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    for (change, expected) in [
        (json!({ "name": "  " }), ("REQUIRED", "name")),
        (json!({ "name": "x".repeat(257) }), ("TOO_LONG", "name")),
        (json!({ "name": "a\u{0}b" }), ("INVALID", "name")),
        (
            json!({ "name": "X", "yearlyBudget": "1.005" }),
            ("INVALID", "yearlyBudget"),
        ),
        (
            json!({ "name": "X", "yearlyBudget": "-1" }),
            ("INVALID", "yearlyBudget"),
        ),
        (
            json!({ "name": "X", "yearlyBudget": "1000000000000" }),
            ("INVALID", "yearlyBudget"),
        ),
    ] {
        let payload = world
            .mutate(Who::Ada, "createTeam", "", change.clone())
            .await;
        assert_eq!(fault(&payload), expected, "create {change}");
        let mut input = change.clone();
        input["teamId"] = json!(team.global());
        let payload = world.mutate(Who::Ada, "updateTeam", "", input).await;
        assert_eq!(fault(&payload), expected, "update {change}");
    }
    let document =
        "mutation($input: CreateTeamInput!) { createTeam(input: $input) { team { id } } }";
    for budget in [json!("much"), json!(5)] {
        let input = json!({ "input": { "name": "X", "yearlyBudget": budget } });
        let response = world.execute(Who::Ada, document, input).await;
        assert!(
            response.errors[0].message.contains("Decimal"),
            "{:?}",
            response.errors
        );
    }
}

#[tokio::test]
async fn d85_the_same_key_creates_one_team_and_null_is_not_silence() {
    let world = World::new().await;
    let create = async |name: &str| {
        let input = json!({ "name": name, "idempotencyKey": "k-1" });
        world
            .mutate(Who::Ada, "createTeam", "team { id }", input)
            .await
    };
    let first = create("Sales").await;
    assert_eq!(create("Sales").await, first);
    assert_eq!(refused(&create("Other").await), ["IDEMPOTENCY_KEY_REUSED"]);
    let count = "{ organization { teams { totalCount } } }";
    let data = world.ask(Who::Ada, count, json!({})).await;
    assert_eq!(data["organization"]["teams"]["totalCount"], 1);

    let team = TeamId::local(&id_in(&first["team"]["id"])).unwrap();
    let left_out = json!({ "teamId": team.global(), "idempotencyKey": "k-2" });
    let with_null =
        json!({ "teamId": team.global(), "yearlyBudget": null, "idempotencyKey": "k-2" });
    let payload = world.mutate(Who::Ada, "updateTeam", "", left_out).await;
    assert_eq!(refused(&payload), Vec::<&str>::new());
    let payload = world.mutate(Who::Ada, "updateTeam", "", with_null).await;
    assert_eq!(refused(&payload), ["IDEMPOTENCY_KEY_REUSED"]);
}

#[tokio::test]
async fn teams_need_no_add_on() {
    let world = World::new().await;
    let input = json!({ "organizationId": world.organization.global(), "feature": "ENTRA_INBOUND_SYNC", "enabled": false });
    let payload = world.mutate(Who::Staff, "setEntitlement", "", input).await;
    assert_eq!(refused(&payload), Vec::<&str>::new());
    let team = world.team("Sales").await;
    world.add(team, world.ben, "MEMBER").await;
    assert_eq!(members(&world, team).await, ["Ben Doe"]);
}
