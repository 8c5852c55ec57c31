//! What is read of teams.

use lockstep_domain::TeamId;
use serde_json::{Value, json};

use super::statements::counted;
use super::team_world::{account, id_in};
use super::world::{Who, World};
use crate::id::GlobalId as _;

const TEAMS: &str = "query($filter: TeamFilter, $role: TeamRole, $first: Int, $after: String, $last: Int, $before: String) {
    organization { teams(filter: $filter) { totalCount nodes {
        name sourceName nameIsLocal status archival { reason at } origin source externalId yearlyBudget lastSyncedAt
        members(first: $first, after: $after, last: $last, before: $before, role: $role) {
            totalCount
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            edges { role node { displayName } origins { kind addedBy { name } integration { name } } }
        } } } } }";

async fn teams(world: &World, who: Who, variables: Value) -> Value {
    world.ask(who, TEAMS, variables).await["organization"]["teams"].clone()
}

fn names(members: &Value) -> Vec<&str> {
    let edges = members["edges"].as_array().unwrap();
    edges
        .iter()
        .map(|edge| edge["node"]["displayName"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn x008_a_team_has_a_name_members_supervisors_and_a_budget() {
    let world = World::new().await;
    let input = json!({ "name": "Sales", "yearlyBudget": "1234.5" });
    let payload = world
        .mutate(Who::Ada, "createTeam", "team { id }", input)
        .await;
    let id = TeamId::local(&id_in(&payload["team"]["id"])).unwrap();
    world.add(id, world.ada, "SUPERVISOR").await;
    world.add(id, world.ben, "MEMBER").await;

    let seen = teams(&world, Who::Ben, json!({})).await;
    let edge = |role: &str, name: &str| {
        let origin =
            json!({ "kind": "MANUAL", "addedBy": { "name": "Ada Doe" }, "integration": null });
        json!({ "role": role, "node": { "displayName": name }, "origins": [origin] })
    };
    let mut team = seen["nodes"][0].clone();
    let members = team["members"].take();
    assert_eq!(
        members["edges"],
        json!([edge("SUPERVISOR", "Ada Doe"), edge("MEMBER", "Ben Doe")])
    );
    assert_eq!(
        team,
        json!({
            "name": "Sales", "sourceName": null, "nameIsLocal": true, "status": "ACTIVE", "archival": null,
            "origin": "LOCAL", "source": null, "externalId": null, "yearlyBudget": "1234.50", "lastSyncedAt": null,
            "members": null,
        })
    );
}

#[tokio::test]
async fn members_are_listed_by_role_and_by_page() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    world.add(team, world.ada, "SUPERVISOR").await;
    world.add(team, world.ben, "MEMBER").await;
    let members =
        async |variables| teams(&world, Who::Ada, variables).await["nodes"][0]["members"].clone();

    let supervisors = members(json!({ "role": "SUPERVISOR" })).await;
    assert_eq!(
        (&supervisors["totalCount"], names(&supervisors)),
        (&json!(1), vec!["Ada Doe"])
    );
    let page = members(json!({ "first": 1 })).await;
    assert_eq!(
        (&page["totalCount"], names(&page)),
        (&json!(2), vec!["Ada Doe"])
    );
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    let rest = members(json!({ "first": 1, "after": page["pageInfo"]["endCursor"] })).await;
    assert_eq!(names(&rest), ["Ben Doe"]);
    assert_eq!(rest["pageInfo"]["hasNextPage"], false);
    let last = members(json!({ "last": 1 })).await;
    assert_eq!(
        (names(&last), &last["pageInfo"]["hasPreviousPage"]),
        (vec!["Ben Doe"], &json!(true))
    );
    let before = members(json!({ "last": 1, "before": last["pageInfo"]["startCursor"] })).await;
    assert_eq!(
        (names(&before), &before["pageInfo"]["hasPreviousPage"]),
        (vec!["Ada Doe"], &json!(false))
    );
    assert_eq!(
        world.codes(Who::Ada, TEAMS, json!({ "first": 101 })).await,
        ["BAD_USER_INPUT"]
    );
}

#[tokio::test]
async fn a_synchronized_team_says_what_it_was_made_from_and_the_integration_to_owners_alone() {
    let world = World::new().await;
    let (integration, run) = world.active().await;
    let team = world.team("Sales").await;
    world.add(team, world.ben, "MEMBER").await;
    world.synchronize(team, integration).await;
    let lease = world.claim(run).await;
    world.finish(&lease, None).await;

    let seen = teams(&world, Who::Ada, json!({})).await["nodes"][0].clone();
    assert_eq!(
        (&seen["origin"], &seen["source"], &seen["sourceName"]),
        (&json!("ENTRA_ID"), &json!("GROUP"), &json!("Sales"))
    );
    assert_eq!(seen["externalId"], team.0.to_string());
    assert_eq!(seen["lastSyncedAt"], "2026-03-02T10:00:00Z");
    let origin = |seen: &Value| seen["members"]["edges"][0]["origins"][0].clone();
    assert_eq!(
        origin(&seen),
        json!({ "kind": "GROUP", "addedBy": null, "integration": { "name": "Directory" } })
    );
    let by_member = teams(&world, Who::Ben, json!({})).await["nodes"][0].clone();
    assert_eq!(origin(&by_member)["integration"], Value::Null);
}

#[tokio::test]
async fn d34_archived_teams_are_listed_and_filtered() {
    let world = World::new().await;
    world.team("Sales").await;
    let old = world.team("Old 100% team").await;
    world.archive(old).await;
    let found = async |filter| {
        let seen = teams(&world, Who::Ben, json!({ "filter": filter })).await;
        let nodes = seen["nodes"].as_array().unwrap().clone();
        nodes
            .iter()
            .map(|team| team["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(json!({})).await, ["Old 100% team", "Sales"]);
    assert_eq!(found(json!({ "statuses": ["ACTIVE"] })).await, ["Sales"]);
    assert_eq!(found(json!({ "search": "100%" })).await, ["Old 100% team"]);
    assert_eq!(
        found(json!({ "origins": ["ENTRA_ID"] })).await,
        Vec::<String>::new()
    );
    assert_eq!(
        found(json!({ "sources": ["GROUP"] })).await,
        Vec::<String>::new()
    );
    let seen = teams(
        &world,
        Who::Ben,
        json!({ "filter": { "statuses": "ARCHIVED" } }),
    )
    .await;
    assert_eq!(
        seen["nodes"][0]["archival"],
        json!({ "reason": "SOURCE_DELETED", "at": "2026-03-02T10:00:00Z" })
    );
}

#[tokio::test]
async fn x006_users_are_filtered_by_team_and_know_their_teams() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    world.add(team, world.ben, "SUPERVISOR").await;
    let document =
        "query($team: ID) { organization { users(filter: { teamId: $team }) { nodes { displayName
        teams { totalCount edges { role node { name } origins { kind } } } } } } }";
    let data = world
        .ask(Who::Ben, document, json!({ "team": team.global() }))
        .await;
    let edge = json!({ "role": "SUPERVISOR", "node": { "name": "Sales" }, "origins": [{ "kind": "MANUAL" }] });
    assert_eq!(
        data["organization"]["users"]["nodes"],
        json!([{ "displayName": "Ben Doe", "teams": { "totalCount": 1, "edges": [edge] } }])
    );
    let other = json!({ "team": world.ada.global() });
    let data = world.ask(Who::Ben, document, other).await;
    assert_eq!(
        data["organization"]["users"]["nodes"],
        json!([]),
        "an id of something else is of no team"
    );
}

#[tokio::test]
async fn a_manager_is_shown_when_both_are_linked_and_nobody_is_their_own() {
    let world = World::new().await;
    let integration = world.integration().await;
    world
        .link(integration, world.ada, account(1), account(1))
        .await;
    world
        .link(integration, world.ben, account(2), account(1))
        .await;
    let document = "{ organization { users { nodes { displayName manager { displayName } } } } }";
    let data = world.ask(Who::Ben, document, json!({})).await;
    assert_eq!(
        data["organization"]["users"]["nodes"],
        json!([
            { "displayName": "Ada Doe", "manager": null },
            { "displayName": "Ben Doe", "manager": { "displayName": "Ada Doe" } },
        ])
    );
}

#[tokio::test]
async fn d67_a_test_shows_groups_and_whether_they_become_teams() {
    let world = World::new().await;
    let id = world.integration().await;
    let rules = json!({ "inbound": { "groupTeams": { "enabled": true, "exclude": [{ "namePattern": "test *" }] } } });
    let input = json!({ "integrationId": id.global(), "syncRules": rules });
    let payload = world
        .mutate(Who::Ada, "updateSyncRules", "integration { id }", input)
        .await;
    assert_eq!(payload["userErrors"], json!([]));
    world.pass_test(id).await;
    let document = "query($id: ID!) { integration(id: $id) { latestTest { sampleGroups {
        externalId displayName type isDynamic isSelected team { name } } } } }";
    let data = world
        .ask(Who::Ada, document, json!({ "id": id.global() }))
        .await;
    let group = |id: &str, name: &str, is_selected: bool| {
        json!({ "externalId": id, "displayName": name, "type": "SECURITY", "isDynamic": false,
            "isSelected": is_selected, "team": null })
    };
    assert_eq!(
        data["integration"]["latestTest"]["sampleGroups"],
        json!([
            group("00000000-0000-0000-0000-000000000007", "Sales", true),
            group("00000000-0000-0000-0000-000000000008", "Test 1", false),
        ])
    );
}

/// On several threads, as the server runs: the moment at which statements begin must not depend on a clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teams_and_people_take_as_many_statements_for_one_as_for_forty() {
    let world = World::new().await;
    let team = world.team("Team 0").await;
    world.add(team, world.ada, "SUPERVISOR").await;
    let by_team = "{ organization { teams(first: 35) { nodes { name lastSyncedAt
        supervisors: members(role: SUPERVISOR) { totalCount edges { node { displayName } } }
        members(first: 35) { edges { role origins { viaGroup { displayName } addedBy { user { displayName } }
            integration { name latestFinishedRun { id } latestTest { id } activeRun { id } openHold { id }
                activationBlockers { code } requiredPermissions { name } } }
            node { displayName externalId syncedFields deactivation { at } manager { displayName } } } } } } } }";
    let by_user = "{ organization { users(first: 50) { nodes { displayName holds { kind } manager { displayName }
        teams(first: 50) { edges { role node { name members(first: 3) { totalCount edges { node { displayName } } } } } } } } } }";
    let integration = world.integration().await;
    world.synchronize(team, integration).await;
    let count = async |document: &str| counted(world.ask(Who::Ada, document, json!({}))).await.1;
    let few = (count(by_team).await, count(by_user).await);
    let mut people = Vec::new();
    for n in 1..40 {
        people.push(world.person(n).await);
        let team = world.team(&format!("Team {n}")).await;
        world.add(team, world.ben, "SUPERVISOR").await;
        for person in &people {
            world.add(team, *person, "MEMBER").await;
        }
        world.synchronize(team, integration).await;
    }
    let many = (count(by_team).await, count(by_user).await);
    assert_eq!(many, few);
    assert!(few.0 > 5, "the statements are counted at all: {few:?}");
}
