//! What mutations do and refuse.

use lockstep_domain::TestId;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::world::{CLIENT, SECRET, TENANT, Who, World, refused};
use crate::id::GlobalId as _;

#[tokio::test]
async fn e037_a_secret_is_sealed_and_never_comes_back() {
    let world = World::new().await;
    let id = world.integration().await;
    let stored = world.store.credential(id).await.unwrap().unwrap();
    let sealed = stored.secret.unwrap();
    assert!(!sealed.as_str().contains(SECRET));
    let opened = world
        .opener
        .open(&stored.app.owner(world.organization, id), &sealed)
        .unwrap();
    assert_eq!(opened.expose_secret(), SECRET);

    let document = "query($id: ID!) { integration(id: $id) { credential { tenantId clientId clientSecret { expiry keyId setBy { name email user { id } } } } } }";
    let data = world
        .ask(Who::Ada, document, json!({ "id": id.global() }))
        .await;
    assert_eq!(data["integration"]["credential"]["tenantId"], TENANT);
    assert_eq!(data["integration"]["credential"]["clientId"], CLIENT);
    assert_eq!(
        data["integration"]["credential"]["clientSecret"]["setBy"]["user"]["id"],
        json!(world.ada.global())
    );
    assert!(!data.to_string().contains(SECRET));
}

#[tokio::test]
async fn names_and_languages_are_checked() {
    let world = World::new().await;
    world.integration().await;
    let create = async |input: Value| {
        let payload = world.mutate(Who::Ada, "createIntegration", "", input).await;
        let error = &payload["userErrors"][0];
        (
            error["code"].as_str().unwrap_or_default().to_owned(),
            error["path"].clone(),
        )
    };
    let rules = json!({ "inbound": {} });
    for (input, code, path) in [
        (
            json!({ "name": "  ", "syncRules": rules }),
            "REQUIRED",
            json!(["input", "name"]),
        ),
        (
            json!({ "name": "x".repeat(101), "syncRules": rules }),
            "TOO_LONG",
            json!(["input", "name"]),
        ),
        (
            json!({ "name": "Directory", "syncRules": rules }),
            "NAME_TAKEN",
            json!(["input", "name"]),
        ),
        (
            json!({ "name": "X", "syncRules": rules, "defaultLanguage": "tlh" }),
            "INVALID",
            json!(["input", "defaultLanguage"]),
        ),
        (
            json!({ "name": "X", "syncRules": { "inbound": { "fullReadEveryDays": 31 } } }),
            "INVALID",
            json!(["input", "syncRules", "inbound", "fullReadEveryDays"]),
        ),
    ] {
        assert_eq!(
            create(input.clone()).await,
            (code.to_owned(), path),
            "{input}"
        );
    }
}

#[tokio::test]
async fn d85_the_same_key_does_the_same_once() {
    let world = World::new().await;
    let create = async |name: &str| {
        let input =
            json!({ "name": name, "syncRules": { "inbound": {} }, "idempotencyKey": "k-1" });
        world
            .mutate(Who::Ada, "createIntegration", "integration { id }", input)
            .await
    };
    let first = create("A").await;
    assert_eq!(refused(&first), Vec::<&str>::new());
    assert_eq!(create("A").await, first);
    assert_eq!(refused(&create("B").await), ["IDEMPOTENCY_KEY_REUSED"]);
    let count = world
        .ask(Who::Ada, "{ integrations { totalCount } }", json!({}))
        .await;
    assert_eq!(count["integrations"]["totalCount"], 1);
}

#[tokio::test]
async fn d87_a_stale_change_is_refused_and_shows_what_is_there() {
    let world = World::new().await;
    let id = world.integration().await.global();
    let rename = async |name: &str, revision: i32| {
        let input = json!({ "integrationId": id, "name": name, "expectedRevision": revision });
        world
            .mutate(
                Who::Ada,
                "updateIntegration",
                "integration { name revision }",
                input,
            )
            .await
    };
    let first = rename("One", 1).await;
    assert_eq!(
        first["integration"],
        json!({ "name": "One", "revision": 2 })
    );
    let stale = rename("Two", 1).await;
    assert_eq!(refused(&stale), ["REVISION_CONFLICT"]);
    assert_eq!(
        stale["integration"],
        json!({ "name": "One", "revision": 2 })
    );
}

#[tokio::test]
async fn credentials_are_checked_against_what_is_stored() {
    let world = World::new().await;
    let id = world.integration().await.global();
    let set = async |credential: Value| {
        let input = json!({ "integrationId": id, "credential": credential });
        let payload = world
            .mutate(Who::Ada, "setIntegrationCredential", "", input)
            .await;
        payload["userErrors"][0]["code"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    };
    let guid = "11111111-2222-4333-8444-555555555555";
    let cases = [
        (json!({ "tenantId": TENANT, "clientId": CLIENT }), "none"),
        (
            json!({ "tenantId": format!(" {TENANT} "), "clientId": CLIENT, "clientSecret": { "value": " new~secret " } }),
            "none",
        ),
        (
            json!({ "tenantId": TENANT, "clientId": CLIENT, "clientSecret": { "value": guid } }),
            "SECRET_ID_GIVEN",
        ),
        (json!({ "tenantId": TENANT, "clientId": guid }), "REQUIRED"),
        (
            json!({ "tenantId": "contoso.com", "clientId": CLIENT }),
            "REQUIRED",
        ),
        (
            json!({ "tenantId": "common", "clientId": CLIENT }),
            "INVALID",
        ),
        (json!({ "tenantId": TENANT, "clientId": "app" }), "INVALID"),
        (
            json!({ "tenantId": "contoso.com", "clientId": guid, "clientSecret": { "value": "new" } }),
            "none",
        ),
    ];
    for (credential, code) in cases {
        assert_eq!(set(credential.clone()).await, code, "{credential}");
    }
}

#[tokio::test]
async fn d68_changed_rules_are_a_new_version_and_need_a_new_test() {
    let world = World::new().await;
    let id = world.integration().await;
    world.pass_test(id).await;
    let selection = "integration { activationBlockers { code } syncRules { ... on InboundSyncRules { version syncJobTitle limits { emailChanges { allowance percent } } } } }";
    let update = async |rules: Value| {
        let input = json!({ "integrationId": id.global(), "syncRules": { "inbound": rules } });
        world
            .mutate(Who::Ada, "updateSyncRules", selection, input)
            .await["integration"]
            .clone()
    };
    let same = update(json!({ "syncJobTitle": false })).await;
    assert_eq!(
        (&same["activationBlockers"], &same["syncRules"]["version"]),
        (&json!([]), &json!(1))
    );
    let limit = json!({ "allowance": 7 });
    let changed =
        update(json!({ "syncJobTitle": true, "limits": { "emailChanges": limit } })).await;
    assert_eq!(
        changed["activationBlockers"],
        json!([{ "code": "TEST_REQUIRED" }])
    );
    let rules = json!({ "version": 2, "syncJobTitle": true, "limits": { "emailChanges": { "allowance": 7, "percent": 5 } } });
    assert_eq!(changed["syncRules"], rules);
}

#[tokio::test]
async fn e057_an_untested_integration_is_not_activated() {
    let world = World::new().await;
    let id = world.integration().await;
    let input = json!({ "integrationId": id.global() });
    let payload = world
        .mutate(
            Who::Ada,
            "activateIntegration",
            "integration { state } run { id }",
            input,
        )
        .await;
    assert_eq!(refused(&payload), ["NOT_READY"]);
    assert_eq!(payload["integration"]["state"], "DRAFT");
    assert_eq!(payload["run"], Value::Null);
}

#[tokio::test]
async fn e061_and_e079_activation_queues_the_first_run_by_who_activated() {
    let world = World::new().await;
    let (id, _) = world.active().await;
    let document = "query($id: ID!) { integration(id: $id) { state nextRunAt activeRun { state trigger { kind by { kind name email } } } schedule { preset description upcoming(first: 2) } } }";
    let data = world
        .ask(Who::Ada, document, json!({ "id": id.global() }))
        .await;
    let integration = &data["integration"];
    assert_eq!(integration["state"], "ACTIVE");
    let by = json!({ "kind": "USER", "name": "Ada Doe", "email": "Ada@example.com" });
    assert_eq!(
        integration["activeRun"],
        json!({ "state": "QUEUED", "trigger": { "kind": "ACTIVATION", "by": by } })
    );
    assert_eq!(
        integration["schedule"]["description"],
        "Every day at 04:00 UTC"
    );
    assert_eq!(
        integration["schedule"]["upcoming"],
        json!(["2026-03-03T04:00:00Z", "2026-03-04T04:00:00Z"])
    );
    assert!(
        integration["nextRunAt"]
            .as_str()
            .unwrap()
            .starts_with("2026-03-03T04:0")
    );
    let again = world
        .mutate(
            Who::Ada,
            "activateIntegration",
            "",
            json!({ "integrationId": id.global() }),
        )
        .await;
    assert_eq!(refused(&again), ["WRONG_STATE"]);
}

#[tokio::test]
async fn e093_deactivation_cancels_the_run_and_refuses_new_ones() {
    let world = World::new().await;
    let (id, run) = world.active().await;
    let input = json!({ "integrationId": id.global() });
    let payload = world
        .mutate(
            Who::Ada,
            "deactivateIntegration",
            "integration { state nextRunAt activeRun { id } }",
            input.clone(),
        )
        .await;
    assert_eq!(
        payload["integration"],
        json!({ "state": "INACTIVE", "nextRunAt": null, "activeRun": null })
    );
    let document = "query($id: ID!) { run(id: $id) { state cancelRequestedBy { name } } }";
    let data = world
        .ask(Who::Ada, document, json!({ "id": run.global() }))
        .await;
    assert_eq!(
        data["run"],
        json!({ "state": "CANCELED", "cancelRequestedBy": { "name": "Ada Doe" } })
    );
    assert_eq!(
        refused(
            &world
                .mutate(Who::Ada, "runIntegration", "", input.clone())
                .await
        ),
        ["NOT_ACTIVE"]
    );
    let preview = world
        .mutate(Who::Ada, "previewRun", "run { kind }", input.clone())
        .await;
    assert_eq!(
        (refused(&preview), &preview["run"]["kind"]),
        (vec![], &json!("PREVIEW"))
    );
    let again = world
        .mutate(
            Who::Ada,
            "activateIntegration",
            "run { trigger { kind } }",
            input,
        )
        .await;
    assert_eq!(
        (refused(&again), &again["run"]["trigger"]["kind"]),
        (vec![], &json!("ACTIVATION")),
        "D-57"
    );
}

#[tokio::test]
async fn d53_a_second_run_is_the_one_that_is_going_on() {
    let world = World::new().await;
    let (id, run) = world.active().await;
    let input = json!({ "integrationId": id.global() });
    let payload = world
        .mutate(
            Who::Ada,
            "runIntegration",
            "alreadyRunning run { id }",
            input,
        )
        .await;
    assert_eq!(payload["alreadyRunning"], true);
    assert_eq!(payload["run"]["id"], json!(run.global()));
}

#[tokio::test]
async fn d63_a_run_is_canceled_once_and_not_after_its_end() {
    let world = World::new().await;
    let (_, run) = world.active().await;
    let input = json!({ "runId": run.global() });
    let first = world
        .mutate(
            Who::Ada,
            "cancelRun",
            "run { state viewerCanCancel }",
            input.clone(),
        )
        .await;
    assert_eq!(
        first["run"],
        json!({ "state": "CANCELED", "viewerCanCancel": false })
    );
    assert_eq!(
        refused(&world.mutate(Who::Ada, "cancelRun", "", input).await),
        ["ALREADY_FINISHED"]
    );
}

#[tokio::test]
async fn a_run_needs_credentials() {
    let world = World::new().await;
    let input = json!({ "name": "Bare", "syncRules": { "inbound": {} } });
    let created = world
        .mutate(Who::Ada, "createIntegration", "integration { id }", input)
        .await;
    let input = json!({ "integrationId": created["integration"]["id"] });
    assert_eq!(
        refused(&world.mutate(Who::Ada, "previewRun", "", input).await),
        ["CREDENTIAL_MISSING"]
    );
}

#[tokio::test]
async fn e054_a_test_is_answered_when_the_worker_has_made_it() {
    let world = World::new().await;
    let id = world.integration().await;
    let input = json!({ "integrationId": id.global(), "credential": { "tenantId": TENANT, "clientId": CLIENT, "clientSecret": { "value": "other" } } });
    let selection = "test { status stale checks { kind status title } }";
    let worker = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let page = lockstep_store::page::PageRequest::<TestId>::first(1);
            let waiting = world.store.tests(id, &page).await.unwrap().items;
            if let Some(test) = waiting.first() {
                assert!(!test.is_saved && test.secret.is_some());
                return world.finish_test(test.id).await;
            }
        }
    };
    let (payload, ()) = tokio::join!(
        world.mutate(Who::Ada, "testIntegration", selection, input),
        worker
    );
    let check = json!({ "kind": "READ_USERS", "status": "PASSED", "title": "Users can be read" });
    assert_eq!(
        payload["test"],
        json!({ "status": "PASSED", "stale": false, "checks": [check] })
    );
    let data = world
        .ask(
            Who::Ada,
            "{ integrations { nodes { activationBlockers { code } latestTest { id } } } }",
            json!({}),
        )
        .await;
    let blockers = &data["integrations"]["nodes"][0]["activationBlockers"];
    assert_eq!(
        blockers,
        &json!([{ "code": "TEST_REQUIRED" }]),
        "unsaved values count for nothing"
    );
}
