//! Who may see and do what (E-004, E-006, E-007, E-031, D-90).

use serde_json::{Value, json};

use super::world::{Who, World, refused};
use crate::id::GlobalId as _;

const ROOTS: [&str; 7] = [
    "{ integrations { totalCount } }",
    "{ runs { totalCount } }",
    "{ availableIntegrations { name } }",
    "{ integration(id: \"x\") { id } }",
    "{ run(id: \"x\") { id } }",
    "{ signInProposals { totalCount } }",
    "{ signInLinks(userId: \"x\") { id } }",
];

#[tokio::test]
async fn e004_integrations_are_for_owners() {
    let world = World::new().await;
    for root in ROOTS {
        assert_eq!(
            world.codes(Who::Ben, root, json!({})).await,
            ["FORBIDDEN"],
            "{root}"
        );
        assert_eq!(
            world.codes(Who::Staff, root, json!({})).await,
            ["FORBIDDEN"],
            "{root}"
        );
        assert_eq!(
            world.codes(Who::Ada, root, json!({})).await,
            Vec::<String>::new(),
            "{root}"
        );
    }
}

#[tokio::test]
async fn whoever_has_not_signed_in_sees_nothing() {
    let world = World::new().await;
    let more = [
        "{ viewer { role } }",
        "{ service { version } }",
        "{ node(id: \"x\") { id } }",
        "{ nodes(ids: []) { id } }",
    ];
    for root in ROOTS
        .into_iter()
        .chain(more)
        .chain(["{ organization { id } }"])
    {
        assert_eq!(
            world.codes(Who::Nobody, root, json!({})).await,
            ["UNAUTHENTICATED"],
            "{root}"
        );
    }
}

#[tokio::test]
async fn d90_a_foreign_id_is_like_an_unknown_one() {
    let world = World::new().await;
    let (integration, run) = world.active().await;
    let ids = [
        integration.global(),
        run.global(),
        world.ada.global(),
        world.organization.global(),
    ];
    let document = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename } }";
    let seen = |nodes: Value| {
        nodes["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| !node.is_null())
            .collect::<Vec<_>>()
    };
    let ask = async |who| seen(world.ask(who, document, json!({ "ids": ids })).await);
    assert_eq!(ask(Who::Ada).await, [true, true, true, true]);
    assert_eq!(
        ask(Who::Ben).await,
        [false, false, true, true],
        "a member sees people, not integrations"
    );
    assert_eq!(ask(Who::Eve).await, [false; 4]);
    assert_eq!(ask(Who::Staff).await, [false; 4]);

    let document = "query($id: ID!) { integration(id: $id) { id } }";
    assert_eq!(
        world
            .ask(Who::Eve, document, json!({ "id": integration.global() }))
            .await,
        json!({ "integration": null })
    );
    for (name, input) in [
        (
            "updateIntegration",
            json!({ "integrationId": integration.global(), "name": "Mine" }),
        ),
        (
            "runIntegration",
            json!({ "integrationId": integration.global() }),
        ),
        ("cancelRun", json!({ "runId": run.global() })),
        (
            "deactivateIntegration",
            json!({ "integrationId": integration.global() }),
        ),
    ] {
        assert_eq!(
            refused(&world.mutate(Who::Eve, name, "", input).await),
            ["NOT_FOUND"],
            "{name}"
        );
    }
}

#[tokio::test]
async fn e031_members_cannot_change_anything() {
    let world = World::new().await;
    let (integration, run) = world.active().await;
    let id = integration.global();
    for (name, field, input) in [
        (
            "createIntegration",
            "integration { id }",
            json!({ "name": "X", "syncRules": { "inbound": {} } }),
        ),
        (
            "updateIntegration",
            "integration { id }",
            json!({ "integrationId": id, "name": "X" }),
        ),
        (
            "updateSyncRules",
            "integration { id }",
            json!({ "integrationId": id, "syncRules": { "inbound": {} } }),
        ),
        (
            "testIntegration",
            "test { id }",
            json!({ "integrationId": id }),
        ),
        (
            "activateIntegration",
            "integration { id }",
            json!({ "integrationId": id }),
        ),
        (
            "deactivateIntegration",
            "integration { id }",
            json!({ "integrationId": id }),
        ),
        (
            "runIntegration",
            "run { id }",
            json!({ "integrationId": id }),
        ),
        ("previewRun", "run { id }", json!({ "integrationId": id })),
        ("cancelRun", "run { id }", json!({ "runId": run.global() })),
    ] {
        let payload = world.mutate(Who::Ben, name, field, input).await;
        assert_eq!(refused(&payload), ["FORBIDDEN"], "{name}");
        let shown = field.split(' ').next().unwrap();
        assert_eq!(payload[shown], Value::Null, "{name} shows nothing");
    }
}

#[tokio::test]
async fn e006_and_e007_without_the_add_on_nothing_can_be_changed_and_only_staff_switch_it() {
    let world = World::new().await;
    let integration = world.integration().await.global();
    let switch = |enabled| json!({ "organizationId": world.organization.global(), "feature": "ENTRA_INBOUND_SYNC", "enabled": enabled });
    let selection = "entitlement { enabled changedBy { kind name } }";
    let refusal = world
        .mutate(Who::Ada, "setEntitlement", selection, switch(false))
        .await;
    assert_eq!(
        (refused(&refusal), &refusal["entitlement"]),
        (vec!["FORBIDDEN"], &Value::Null)
    );

    let payload = world
        .mutate(Who::Staff, "setEntitlement", selection, switch(false))
        .await;
    assert_eq!(
        payload["entitlement"],
        json!({ "enabled": false, "changedBy": { "kind": "STAFF", "name": "Sam" } })
    );
    for (name, input) in [
        (
            "createIntegration",
            json!({ "name": "X", "syncRules": { "inbound": {} } }),
        ),
        ("runIntegration", json!({ "integrationId": integration })),
        ("testIntegration", json!({ "integrationId": integration })),
    ] {
        assert_eq!(
            refused(&world.mutate(Who::Ada, name, "", input).await),
            ["ENTITLEMENT_MISSING"],
            "{name}"
        );
    }
    let available = "{ availableIntegrations { entitled configured integrations { name activationBlockers { code } } } }";
    let available = world.ask(Who::Ada, available, json!({})).await;
    assert_eq!(
        available["availableIntegrations"][0],
        json!({
            "entitled": false,
            "configured": true,
            "integrations": [{
                "name": "Directory",
                "activationBlockers": [{ "code": "ENTITLEMENT_MISSING" }, { "code": "TEST_REQUIRED" }],
            }],
        })
    );
}

#[tokio::test]
async fn staff_see_add_ons_of_any_organization_and_nobody_s_users() {
    let world = World::new().await;
    let id = json!({ "id": world.organization.global() });
    let document =
        "query($id: ID) { organization(id: $id) { name entitlements { feature enabled } } }";
    let seen = world.ask(Who::Staff, document, id.clone()).await;
    let entitlement = json!({ "feature": "ENTRA_INBOUND_SYNC", "enabled": true });
    assert_eq!(
        seen["organization"],
        json!({ "name": "First", "entitlements": [entitlement] })
    );
    assert_eq!(
        world.codes(Who::Eve, document, id.clone()).await,
        ["FORBIDDEN"]
    );
    let users = "query($id: ID) { organization(id: $id) { users { totalCount } } }";
    assert_eq!(world.codes(Who::Staff, users, id).await, ["FORBIDDEN"]);
    assert_eq!(
        world
            .ask(Who::Staff, "{ organization { id } }", json!({}))
            .await,
        json!({ "organization": null })
    );
    let member = world
        .ask(
            Who::Ben,
            "{ organization { entitlements { enabled } } }",
            json!({}),
        )
        .await;
    assert_eq!(member["organization"]["entitlements"], Value::Null);
}

#[tokio::test]
async fn the_viewer_knows_what_is_allowed() {
    let world = World::new().await;
    let document = "{ viewer { role isStaff permissions user { email } organization { name } } }";
    let ben = world.ask(Who::Ben, document, json!({})).await;
    assert_eq!(
        ben["viewer"],
        json!({
            "role": "MEMBER", "isStaff": false, "permissions": [],
            "user": { "email": "Ben@example.com" }, "organization": { "name": "First" },
        })
    );
    let staff = world.ask(Who::Staff, document, json!({})).await;
    assert_eq!(
        staff["viewer"]["permissions"],
        json!(["MANAGE_ENTITLEMENTS"])
    );
    let ada = world.ask(Who::Ada, document, json!({})).await;
    assert_eq!(
        ada["viewer"]["permissions"].as_array().map(Vec::len),
        Some(5)
    );
}
