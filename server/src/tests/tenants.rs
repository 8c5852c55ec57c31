//! One tenant, one inbound integration of an organization.

use lockstep_domain::IntegrationId;
use serde_json::{Value, json};

use super::world::{CLIENT, SECRET, TENANT, Who, World};
use crate::id::GlobalId as _;

const OTHER: &str = "11111111-6d4d-4958-8b9f-9d6445542f95";
const DOMAIN: &str = "contoso.onmicrosoft.com";

fn credential(tenant: &str) -> Value {
    json!({ "tenantId": tenant, "clientId": CLIENT, "clientSecret": { "value": SECRET } })
}

async fn create(world: &World, who: Who, name: &str, tenant: &str) -> Value {
    let input = json!({ "name": name, "syncRules": { "inbound": {} }, "defaultLanguage": "en", "credential": credential(tenant) });
    world
        .mutate(who, "createIntegration", "integration { id }", input)
        .await
}

fn id(payload: &Value) -> IntegrationId {
    let id = payload["integration"]["id"].as_str();
    IntegrationId::local(&id.unwrap_or_else(|| panic!("refused: {payload}")).into()).unwrap()
}

async fn set(world: &World, integration: IntegrationId, tenant: &str) -> Value {
    let input = json!({ "integrationId": integration.global(), "credential": credential(tenant) });
    world
        .mutate(Who::Ada, "setIntegrationCredential", "", input)
        .await
}

async fn activate(world: &World, integration: IntegrationId) -> Value {
    let input = json!({ "integrationId": integration.global() });
    world
        .mutate(Who::Ada, "activateIntegration", "", input)
        .await
}

/// Code, last part of the path, and message of the only error.
fn refusal(payload: &Value) -> (String, String, String) {
    let errors = payload["userErrors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{payload}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let path = errors[0]["path"].as_array().and_then(|path| path.last());
    (
        text(&errors[0]["code"]),
        path.map(text).unwrap_or_default(),
        text(&errors[0]["message"]),
    )
}

fn assert_in_use(payload: &Value, path: &str, name: &str) {
    let (code, at, message) = refusal(payload);
    assert_eq!(
        (code.as_str(), at.as_str()),
        ("TENANT_IN_USE", path),
        "{message}"
    );
    assert!(message.contains(&format!("\"{name}\"")), "{message}");
}

#[tokio::test]
async fn a_tenant_that_another_inbound_integration_reads_is_refused_by_its_name() {
    let world = World::new().await;
    let first = world.integration().await;
    assert_in_use(
        &create(&world, Who::Ada, "Second", TENANT).await,
        "tenantId",
        "Directory",
    );
    assert_in_use(
        &create(&world, Who::Ada, "Second", &TENANT.to_uppercase()).await,
        "tenantId",
        "Directory",
    );
    let second = id(&create(&world, Who::Ada, "Second", OTHER).await);
    assert_in_use(&set(&world, second, TENANT).await, "tenantId", "Directory");
    assert_eq!(
        set(&world, second, OTHER).await["userErrors"],
        json!([]),
        "its own"
    );
    assert_eq!(
        set(&world, first, TENANT).await["userErrors"],
        json!([]),
        "its own"
    );
    // Whatever is wrong is told with it.
    let input =
        json!({ "name": "", "syncRules": { "inbound": {} }, "credential": credential(TENANT) });
    let payload = world.mutate(Who::Ada, "createIntegration", "", input).await;
    assert_eq!(
        payload["userErrors"].as_array().unwrap().len(),
        2,
        "{payload}"
    );
}

#[tokio::test]
async fn a_tenant_is_known_by_its_domain_and_its_id() {
    let world = World::new().await;
    let first = id(&create(&world, Who::Ada, "First", DOMAIN).await);
    world
        .store
        .save_tenant(first, TENANT, Some("Contoso"))
        .await
        .unwrap();
    for name in [DOMAIN, "Contoso.onMicrosoft.com", TENANT] {
        assert_in_use(
            &create(&world, Who::Ada, "Second", name).await,
            "tenantId",
            "First",
        );
    }
    // A new secret is no new tenant.
    assert_eq!(set(&world, first, DOMAIN).await["userErrors"], json!([]));
    assert_in_use(
        &create(&world, Who::Ada, "Second", TENANT).await,
        "tenantId",
        "First",
    );
    assert_eq!(
        set(&world, first, TENANT).await["userErrors"],
        json!([]),
        "the same by its id"
    );
    assert_in_use(
        &create(&world, Who::Ada, "Second", TENANT).await,
        "tenantId",
        "First",
    );
}

#[tokio::test]
async fn two_that_turn_out_to_read_one_tenant_are_not_both_activated() {
    let world = World::new().await;
    let first = id(&create(&world, Who::Ada, "First", DOMAIN).await);
    let second = id(&create(&world, Who::Ada, "Second", "contoso.example").await);
    for integration in [first, second] {
        world.pass_test(integration).await;
        world
            .store
            .save_tenant(integration, TENANT, None)
            .await
            .unwrap();
    }
    assert_eq!(activate(&world, first).await["userErrors"], json!([]));
    assert_in_use(&activate(&world, second).await, "", "First");
    let input = json!({ "integrationId": first.global() });
    world
        .mutate(Who::Ada, "deactivateIntegration", "", input)
        .await;
    assert_eq!(
        activate(&world, second).await["userErrors"],
        json!([]),
        "nobody is linked through the first"
    );
}

#[tokio::test]
async fn an_outbound_integration_and_another_organization_may_have_the_same_tenant() {
    let world = World::new().await;
    world.integration().await;
    let elsewhere = create(&world, Who::Eve, "Elsewhere", TENANT).await;
    assert_eq!(
        elsewhere["userErrors"],
        json!([]),
        "what others read is not told"
    );
    world
        .sql("UPDATE integration SET direction = 'OUTBOUND'")
        .await;
    let beside = create(&world, Who::Ada, "Beside", TENANT).await;
    assert_eq!(beside["userErrors"], json!([]));
}

#[tokio::test]
async fn of_two_at_once_one_is_refused() {
    let world = World::new().await;
    let names = ["One", "Two", "Three", "Four"];
    let payloads = names.map(|name| create(&world, Who::Ada, name, TENANT));
    let payloads = futures::future::join_all(payloads).await;
    let made = payloads
        .iter()
        .filter(|payload| payload["userErrors"] == json!([]));
    assert_eq!(made.count(), 1, "{payloads:?}");
}
