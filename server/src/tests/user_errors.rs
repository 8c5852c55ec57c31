//! Everything that is wrong with an input is told at once.

use lockstep_domain::{
    IntegrationId, RunId, SignInLinkId, SignInProposalId, TeamId, UserHoldId, UserId,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{CLIENT, TENANT, Who, World};
use crate::id::GlobalId as _;

/// The id of something that does not exist, in the form of one that could.
fn nowhere() -> Uuid {
    Uuid::from_u128(7)
}

/// Codes and paths of the user errors of a payload, as `CODE input.path`.
fn told(payload: &Value) -> Vec<String> {
    let told = |error: &Value| {
        let path: Vec<&str> = match error["path"].as_array() {
            Some(path) => path.iter().map(|part| part.as_str().unwrap()).collect(),
            None => Vec::new(),
        };
        format!("{} {}", error["code"].as_str().unwrap(), path.join("."))
    };
    let errors = payload["userErrors"].as_array().unwrap();
    errors.iter().map(told).collect()
}

/// Inputs of every mutation with all in them that can be wrong, and what is told of each besides the key.
fn inputs(world: &World) -> Vec<(Who, &'static str, Value, Vec<&'static str>)> {
    let integration = IntegrationId(nowhere()).global();
    let credential = || {
        json!({
            "tenantId": "common", "clientId": "app",
            "clientSecret": { "value": " ", "keyId": "k".repeat(101) },
        })
    };
    let of_credential = [
        "INVALID input.credential.tenantId",
        "INVALID input.credential.clientId",
        "REQUIRED input.credential.clientSecret.value",
        "TOO_LONG input.credential.clientSecret.keyId",
    ];
    let with = |first: &[&'static str], then: &[&'static str]| [first, then].concat();
    let not_found = "NOT_FOUND input.integrationId";
    let days = json!({ "inbound": { "fullReadEveryDays": 0 } });
    let of_days = "INVALID input.syncRules.inbound.fullReadEveryDays";
    let patterns = |texts: [&str; 3]| texts.map(|text| json!({ "namePattern": text }));
    let long = "x".repeat(257);
    let rules = json!({ "inbound": { "fullReadEveryDays": 31, "groupTeams": {
        "include": patterns(["", "*", &long]), "exclude": patterns(["a", "b", "\u{7}"]),
    } } });
    vec![
        (
            Who::Ada,
            "createIntegration",
            json!({ "name": "Directory", "syncRules": days, "defaultLanguage": "tlh", "credential": credential() }),
            with(
                &[
                    "NAME_TAKEN input.name",
                    of_days,
                    "INVALID input.defaultLanguage",
                ],
                &of_credential,
            ),
        ),
        (
            Who::Ada,
            "updateIntegration",
            json!({ "integrationId": integration, "name": " ", "defaultLanguage": "tlh" }),
            vec![
                not_found,
                "REQUIRED input.name",
                "INVALID input.defaultLanguage",
            ],
        ),
        (
            Who::Ada,
            "setIntegrationCredential",
            json!({ "integrationId": integration, "credential": credential() }),
            with(&[not_found], &of_credential),
        ),
        (
            Who::Ada,
            "updateSyncRules",
            json!({ "integrationId": integration, "syncRules": rules }),
            vec![
                not_found,
                "REQUIRED input.syncRules.inbound.groupTeams.include.0.namePattern",
                "TOO_LONG input.syncRules.inbound.groupTeams.include.2.namePattern",
                "INVALID input.syncRules.inbound.groupTeams.exclude.2.namePattern",
                of_days,
            ],
        ),
        (
            Who::Ada,
            "testIntegration",
            json!({ "integrationId": integration, "credential": credential(), "syncRules": days }),
            with(&with(&[not_found], &of_credential), &[of_days]),
        ),
        (
            Who::Ada,
            "activateIntegration",
            json!({ "integrationId": integration, "expectedRevision": 7 }),
            vec![not_found],
        ),
        (
            Who::Ada,
            "deactivateIntegration",
            json!({ "integrationId": integration }),
            vec![not_found],
        ),
        (
            Who::Ada,
            "runIntegration",
            json!({ "integrationId": integration }),
            vec![not_found],
        ),
        (
            Who::Ada,
            "previewRun",
            json!({ "integrationId": integration }),
            vec![not_found],
        ),
        (
            Who::Ada,
            "cancelRun",
            json!({ "runId": RunId(nowhere()).global() }),
            vec!["NOT_FOUND input.runId"],
        ),
        (
            Who::Staff,
            "setEntitlement",
            json!({ "organizationId": world.ada.global(), "feature": "ENTRA_INBOUND_SYNC", "enabled": true }),
            vec!["NOT_FOUND input.organizationId"],
        ),
        (
            Who::Ada,
            "createTeam",
            json!({ "name": "x".repeat(257), "yearlyBudget": "-1" }),
            vec!["TOO_LONG input.name", "INVALID input.yearlyBudget"],
        ),
        (
            Who::Ada,
            "updateTeam",
            json!({ "teamId": TeamId(nowhere()).global(), "name": "a\u{0}", "yearlyBudget": "1.234" }),
            vec![
                "NOT_FOUND input.teamId",
                "INVALID input.name",
                "INVALID input.yearlyBudget",
            ],
        ),
        (
            Who::Ada,
            "addTeamMember",
            json!({ "teamId": TeamId(nowhere()).global(), "userId": UserId(nowhere()).global() }),
            vec!["NOT_FOUND input.teamId", "NOT_FOUND input.userId"],
        ),
        (
            Who::Ada,
            "removeTeamMember",
            json!({ "teamId": TeamId(nowhere()).global(), "userId": UserId(nowhere()).global() }),
            vec!["NOT_FOUND input.teamId", "NOT_FOUND input.userId"],
        ),
        (
            Who::Ada,
            "liftUserHold",
            json!({ "holdId": UserHoldId(nowhere()).global() }),
            vec!["NOT_FOUND input.holdId"],
        ),
        (
            Who::Ada,
            "confirmSignInProposal",
            json!({ "proposalId": SignInProposalId(nowhere()).global() }),
            vec!["NOT_FOUND input.proposalId"],
        ),
        (
            Who::Ada,
            "dismissSignInProposal",
            json!({ "proposalId": SignInProposalId(nowhere()).global() }),
            vec!["NOT_FOUND input.proposalId"],
        ),
        (
            Who::Ada,
            "removeSignInLink",
            json!({ "linkId": SignInLinkId(nowhere()).global() }),
            vec!["NOT_FOUND input.linkId"],
        ),
    ]
}

/// The names of all mutations of the schema.
async fn mutations(world: &World) -> Vec<String> {
    let document = "{ __schema { mutationType { fields { name } } } }";
    let data = world.ask(Who::Ada, document, json!({})).await;
    let fields = data["__schema"]["mutationType"]["fields"].as_array();
    let name = |field: &Value| field["name"].as_str().unwrap().to_owned();
    fields.unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn d84_every_mutation_tells_everything_that_is_wrong_with_its_input_at_once() {
    let world = World::new().await;
    world.integration().await;
    let inputs = inputs(&world);
    let mut tried: Vec<&str> = inputs.iter().map(|(_, name, _, _)| *name).collect();
    let mut all = mutations(&world).await;
    tried.sort_unstable();
    all.sort_unstable();
    assert_eq!(tried, all, "every mutation is tried");
    for (who, name, mut input, expected) in inputs {
        let payload = world.mutate(who, name, "", input.clone()).await;
        assert_eq!(told(&payload), expected, "{name}");
        for key in ["", "a\u{0}", &"k".repeat(256)] {
            input["idempotencyKey"] = json!(key);
            let payload = world.mutate(who, name, "", input.clone()).await;
            let mut told = told(&payload);
            let key = told
                .iter()
                .position(|told| told == "INVALID input.idempotencyKey");
            told.remove(key.unwrap_or_else(|| panic!("{name}: {payload}")));
            assert_eq!(told, expected, "{name}");
        }
    }
}

/// A malformed key alone keeps a mutation from being done, whatever else is right.
#[tokio::test]
async fn d85_nothing_is_done_under_a_malformed_key() {
    let world = World::new().await;
    let (integration, run) = world.active().await;
    let team = world.team("Sales").await;
    let (integration, team, key) = (integration.global(), team.global(), "k".repeat(256));
    for (who, name, input) in [
        (
            Who::Ada,
            "createIntegration",
            json!({ "name": "New", "syncRules": { "inbound": {} }, "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "updateIntegration",
            json!({ "integrationId": integration, "name": "New", "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "setIntegrationCredential",
            json!({ "integrationId": integration, "credential": { "tenantId": TENANT, "clientId": CLIENT }, "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "updateSyncRules",
            json!({ "integrationId": integration, "syncRules": { "inbound": { "syncJobTitle": true } }, "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "testIntegration",
            json!({ "integrationId": integration, "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "deactivateIntegration",
            json!({ "integrationId": integration, "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "runIntegration",
            json!({ "integrationId": integration, "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "previewRun",
            json!({ "integrationId": integration, "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "cancelRun",
            json!({ "runId": run.global(), "idempotencyKey": key }),
        ),
        (
            Who::Staff,
            "setEntitlement",
            json!({ "organizationId": world.organization.global(), "feature": "ENTRA_INBOUND_SYNC", "enabled": false, "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "createTeam",
            json!({ "name": "New", "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "updateTeam",
            json!({ "teamId": team, "name": "New", "idempotencyKey": key }),
        ),
        (
            Who::Ada,
            "addTeamMember",
            json!({ "teamId": team, "userId": world.ben.global(), "idempotencyKey": key }),
        ),
    ] {
        let payload = world.mutate(who, name, "", input).await;
        assert_eq!(told(&payload), ["INVALID input.idempotencyKey"], "{name}");
    }
    let document = "query($team: ID!) { node(id: $team) { ... on Team { name members { totalCount } } }
        integrations { nodes { name state revision } } organization { entitlements { enabled } teams { totalCount } } }";
    let data = world.ask(Who::Ada, document, json!({ "team": team })).await;
    let untouched = json!({
        "node": { "name": "Sales", "members": { "totalCount": 0 } },
        "integrations": { "nodes": [{ "name": "Directory", "state": "ACTIVE", "revision": 2 }] },
        "organization": { "entitlements": [{ "enabled": true }], "teams": { "totalCount": 1 } },
    });
    assert_eq!(data, untouched);
}

#[tokio::test]
async fn what_is_wrong_with_the_team_and_with_the_user_is_told_together() {
    let world = World::new().await;
    let integration = world.integration().await;
    let team = world.team("Sales").await;
    world.synchronize(team, integration).await;
    world.archive(team).await;
    world.deactivate(world.ben).await;
    let input = json!({ "teamId": team.global(), "userId": world.ben.global() });
    let payload = world.mutate(Who::Ada, "addTeamMember", "", input).await;
    assert_eq!(
        told(&payload),
        ["WRONG_STATE input.teamId", "WRONG_STATE input.userId"]
    );
    let local = world.team("Local").await;
    let input = json!({ "teamId": local.global(), "name": null, "yearlyBudget": "0.001" });
    let payload = world.mutate(Who::Ada, "updateTeam", "", input).await;
    assert_eq!(
        told(&payload),
        ["REQUIRED input.name", "INVALID input.yearlyBudget"]
    );
}
