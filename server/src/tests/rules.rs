//! The rules that make teams.

use serde_json::{Value, json};

use super::world::{Who, World};
use crate::id::GlobalId as _;

const RULES: &str = "integration { requiredPermissions { name features } syncRules { ... on InboundSyncRules {
    groupTeams { enabled include { id namePattern type } exclude { type } membership ownersAreSupervisors whenSwitchedOff }
    managerTeams { enabled depth whenSwitchedOff }
    limits { teamArchivals { allowance percent maximum } memberRemovalsPerTeam { allowance percent maximum } } } } }";

async fn update(world: &World, id: &async_graphql::ID, rules: Value) -> Value {
    let input = json!({ "integrationId": id, "syncRules": { "inbound": rules } });
    world
        .mutate(Who::Ada, "updateSyncRules", RULES, input)
        .await
}

#[tokio::test]
async fn e053_both_rules_are_off_by_default_and_can_be_combined() {
    let world = World::new().await;
    let id = world.integration().await.global();
    let none = update(&world, &id, json!({})).await["integration"].clone();
    let limit = |allowance: u32, percent: Option<u32>| json!({ "allowance": allowance, "percent": percent, "maximum": null });
    assert_eq!(
        none["syncRules"],
        json!({
            "groupTeams": {
                "enabled": false, "include": [], "exclude": [], "membership": "TRANSITIVE",
                "ownersAreSupervisors": false, "whenSwitchedOff": "ARCHIVE",
            },
            "managerTeams": { "enabled": false, "depth": "DIRECT_REPORTS", "whenSwitchedOff": "ARCHIVE" },
            "limits": { "teamArchivals": limit(3, Some(20)), "memberRemovalsPerTeam": limit(9, Some(50)) },
        })
    );
    let group = "3f0e1b5c-2222-4333-8444-555566667777";
    let groups = json!({
        "enabled": true, "include": [{ "id": group }, { "namePattern": "Class *" }],
        "exclude": [{ "type": "MICROSOFT_365" }], "membership": "DIRECT",
    });
    let both =
        json!({ "groupTeams": groups, "managerTeams": { "enabled": true, "depth": "ALL_LEVELS" } });
    update(&world, &id, both).await;
    let limits = json!({ "teamArchivals": { "allowance": 1 } });
    let changed = json!({ "groupTeams": { "whenSwitchedOff": "RELEASE" }, "limits": limits });
    let laid = update(&world, &id, changed).await["integration"].clone();
    let condition = |id: Option<&str>, pattern: Option<&str>| json!({ "id": id, "namePattern": pattern, "type": null });
    assert_eq!(
        laid["syncRules"],
        json!({
            "groupTeams": {
                "enabled": true, "include": [condition(Some(group), None), condition(None, Some("Class *"))],
                "exclude": [{ "type": "MICROSOFT_365" }], "membership": "DIRECT",
                "ownersAreSupervisors": false, "whenSwitchedOff": "RELEASE",
            },
            "managerTeams": { "enabled": true, "depth": "ALL_LEVELS", "whenSwitchedOff": "ARCHIVE" },
            "limits": { "teamArchivals": limit(1, Some(20)), "memberRemovalsPerTeam": limit(9, Some(50)) },
        })
    );
    assert_eq!(
        laid["requiredPermissions"],
        json!([
            { "name": "User.Read.All", "features": ["USERS", "MANAGER_TEAMS"] },
            { "name": "Group.Read.All", "features": ["GROUP_TEAMS"] },
            { "name": "GroupMember.Read.All", "features": ["GROUP_TEAMS"] },
        ])
    );
}

#[tokio::test]
async fn d27_a_bad_condition_is_named_by_its_path() {
    let world = World::new().await;
    let id = world.integration().await.global();
    let payload = update(
        &world,
        &id,
        json!({ "groupTeams": { "exclude": [{ "type": "SECURITY" }, { "namePattern": " " }] } }),
    )
    .await;
    let error = &payload["userErrors"][0];
    let path = [
        "input",
        "syncRules",
        "inbound",
        "groupTeams",
        "exclude",
        "1",
        "namePattern",
    ];
    assert_eq!(
        (&error["code"], &error["path"]),
        (&json!("REQUIRED"), &json!(path))
    );

    let document = "mutation($input: UpdateSyncRulesInput!) { updateSyncRules(input: $input) { userErrors { code } } }";
    for (condition, told) in [
        (json!({ "id": "sales" }), "UUID"),
        (
            json!({ "namePattern": "*", "type": "SECURITY" }),
            "exactly one",
        ),
        (json!({}), "exactly one"),
    ] {
        let rules = json!({ "groupTeams": { "include": [condition] } });
        let input = json!({ "integrationId": id, "syncRules": { "inbound": rules } });
        let response = world
            .execute(Who::Ada, document, json!({ "input": input }))
            .await;
        assert!(
            response.errors[0].message.contains(told),
            "{condition}: {:?}",
            response.errors
        );
    }
}
