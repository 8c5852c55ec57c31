use lockstep_sandbox::{GenerateOptions, OptionsPatch, Tenant};
use serde_json::{Value, json};

use crate::client::{Client, item};

#[tokio::test]
async fn a_list_shows_the_default_properties_with_nulls_and_empty_collections() {
    let client = Client::small().await;
    let got = client.get("/users").await;
    assert_eq!(got.ids(), ["a", "b", "c", "d", "e"]);
    let ben = item(got.items(), "b");
    assert_eq!(ben["mail"], Value::Null);
    assert_eq!(ben["businessPhones"], json!([]));
    assert!(ben.as_object().unwrap().contains_key("mobilePhone"));
    assert!(!ben.as_object().unwrap().contains_key("accountEnabled"));
    assert!(
        got.body["@odata.context"]
            .as_str()
            .unwrap()
            .ends_with("/v1.0/$metadata#users")
    );
}

#[tokio::test]
async fn selected_properties_and_expanded_managers_come_as_asked() {
    let client = Client::small().await;
    let got = client
        .get("/users?$select=id,accountEnabled,userType&$expand=manager($select=id)")
        .await;
    assert_eq!(
        got.items()[1],
        json!({"id": "b", "accountEnabled": true, "userType": "Member", "manager": {"@odata.type": "#microsoft.graph.user", "id": "a"}})
    );
    assert_eq!(got.items()[4]["manager"]["id"], "ghost");
    assert!(got.items()[0].get("manager").is_none());
    let levels = client
        .get("/users?$expand=manager($levels=max;$select=id)")
        .await;
    assert_eq!(
        (levels.status.as_u16(), levels.code()),
        (400, "Request_Unsupported")
    );
}

#[tokio::test]
async fn pages_are_a_hundred_by_default_999_at_most_and_never_clamped() {
    let client = Client::of(Tenant::generate(GenerateOptions {
        users: 1150,
        groups: 0,
        ..GenerateOptions::default()
    }))
    .await;
    let sizes = |pages: &[crate::client::Got]| {
        pages
            .iter()
            .map(|page| page.items().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        sizes(&client.pages("/users?$top=999&$select=id").await),
        [999, 151]
    );
    let pages = client.pages("/users?$select=id%2CdisplayName").await;
    assert_eq!(pages.len(), 12);
    let mut ids: Vec<&str> = pages.iter().flat_map(|page| page.ids()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1150);
    let got = client.get("/users?$top=1000").await;
    assert_eq!(got.status, 400);
    assert_eq!(
        got.message(),
        "Invalid page size specified: '1000'. Must be between 1 and 999 inclusive."
    );
    client.control.set_options(OptionsPatch {
        list_page_cap: Some(500),
        ..OptionsPatch::default()
    });
    assert_eq!(
        sizes(&client.pages("/users?$top=999&$select=id").await),
        [500, 500, 150]
    );
}

#[tokio::test]
async fn a_page_token_dies_when_told_to_and_fits_no_other_list() {
    let client = Client::small().await;
    let next = client.get("/users?$top=2").await.link("nextLink").unwrap();
    assert_eq!(client.get(&next).await.ids(), ["c", "d"]);
    let foreign = next.replace("/users?", "/groups?");
    assert_eq!(client.get(&foreign).await.status, 400);
    client.control.expire_page_tokens();
    let got = client.get(&next).await;
    assert_eq!(
        (got.status.as_u16(), got.code()),
        (400, "Directory_ExpiredPageToken")
    );
}

#[tokio::test]
async fn unknown_properties_options_and_paths_are_refused_and_counted() {
    let client = Client::small().await;
    for path in [
        "/users?$select=id,nickname",
        "/users?$skip=5",
        "/users?$orderby=displayName",
        "/users?$filter=accountEnabled eq true",
        "/users/a?$top=1",
    ] {
        assert_eq!(client.get(path).await.status, 400, "{path}");
    }
    assert_eq!(client.get("/users?$select=id,skills").await.status, 501);
    let got = client.get("/me").await;
    assert_eq!(
        (got.status.as_u16(), got.message()),
        (400, "Resource not found for the segment 'me'.")
    );
    let deletion = client
        .http
        .delete(format!("{}/v1.0/groups/g/members/a", client.sandbox.url()));
    assert_eq!(
        deletion
            .bearer_auth(&client.token)
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    let write = client
        .http
        .post(format!("{}/v1.0/groups", client.sandbox.url()));
    assert_eq!(
        write
            .bearer_auth(&client.token)
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
    assert_eq!(client.control.request_counts().refused(), 3);
}

#[tokio::test]
async fn users_are_found_by_id_by_principal_name_and_by_filter() {
    let client = Client::small().await;
    assert_eq!(
        client.get("/users/a?$select=displayName").await.body["displayName"],
        "Ann"
    );
    assert_eq!(
        client
            .get("/users/dan_y.example%23EXT%23@x.example")
            .await
            .body["id"],
        "d"
    );
    assert_eq!(
        client
            .get("/users?$filter=id in ('e','a','zz')&$select=id")
            .await
            .ids(),
        ["e", "a"]
    );
    let got = client.get("/users/zz").await;
    assert_eq!(
        (got.status.as_u16(), got.code()),
        (404, "Request_ResourceNotFound")
    );
    assert!(got.body["error"]["innerError"]["request-id"].is_string());
}

#[tokio::test]
async fn a_manager_is_found_unknown_or_absent() {
    let client = Client::small().await;
    assert_eq!(
        client.get("/users/b/manager?$select=id").await.body["id"],
        "a"
    );
    assert_eq!(client.get("/users/e/manager").await.body["id"], "ghost");
    let got = client.get("/users/a/manager").await;
    assert_eq!(
        (got.status.as_u16(), got.code()),
        (404, "Request_ResourceNotFound")
    );
    client.control.delete_user("a").unwrap();
    assert_eq!(client.get("/users/b/manager").await.status, 404);
}

#[tokio::test]
async fn every_answer_names_its_request_and_what_it_cost() {
    let client = Client::small().await;
    let response = client
        .request("/users?$select=id")
        .header("client-request-id", "mine")
        .send()
        .await
        .unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!(header("client-request-id"), "mine");
    assert_eq!(header("x-ms-resource-unit"), "1");
    assert_eq!(header("odata-version"), "4.0");
    assert!(header("content-type").starts_with("application/json;odata.metadata=minimal"));
    assert!(!header("request-id").is_empty());
}

#[tokio::test]
async fn a_deleted_user_is_in_deleted_items_until_restored() {
    let client = Client::small().await;
    client.control.delete_user("b").unwrap();
    assert_eq!(client.get("/users/b").await.status, 404);
    let got = client.get("/directory/deletedItems/microsoft.graph.user?$select=id,deletedDateTime,userPrincipalName").await;
    assert_eq!(got.ids(), ["b"]);
    assert!(got.items()[0]["deletedDateTime"].is_string());
    assert_eq!(got.items()[0]["userPrincipalName"], "bben@x.example");
    client.control.restore_user("b").unwrap();
    assert_eq!(client.get("/users/ben@x.example").await.body["id"], "b");
    assert!(
        client
            .get("/directory/deletedItems/microsoft.graph.user")
            .await
            .items()
            .is_empty()
    );
}

#[tokio::test]
async fn the_organization_is_a_list_of_one() {
    let client = Client::of(Tenant::demo()).await;
    let got = client
        .get("/organization?$select=id,displayName,verifiedDomains")
        .await;
    assert_eq!(got.ids(), [lockstep_sandbox::DEMO_TENANT_ID]);
    assert_eq!(
        got.items()[0]["verifiedDomains"][0]["name"],
        lockstep_sandbox::DEMO_TENANT_DOMAIN
    );
    assert!(got.items()[0].get("assignedPlans").is_none());
}

#[tokio::test]
async fn the_demo_tenant_has_the_irregularities_of_a_real_one() {
    let client = Client::of(Tenant::demo()).await;
    let select = "$select=id,displayName,givenName,mail,userType,accountEnabled&$expand=manager($select=id)&$top=999";
    let got = client.get(&format!("/users?{select}")).await;
    let users = got.items();
    let count = |test: &dyn Fn(&Value) -> bool| users.iter().filter(|user| test(user)).count();
    assert_eq!(users.len(), 62);
    assert_eq!(count(&|user| user["userType"] == "Guest"), 4);
    assert_eq!(count(&|user| user["userType"].is_null()), 1);
    assert_eq!(count(&|user| user["accountEnabled"] == false), 4);
    assert_eq!(count(&|user| user["givenName"].is_null()), 3);
    assert_eq!(count(&|user| user["mail"].is_null()), 1);
    assert_eq!(count(&|user| user["manager"]["id"] == user["id"]), 1);
    let known: Vec<&str> = got.ids();
    let dangling = |user: &Value| {
        user["manager"]["id"]
            .as_str()
            .is_some_and(|id| !known.contains(&id))
    };
    assert_eq!(count(&dangling), 1);
    let peter = users
        .iter()
        .find(|user| user["displayName"] == "Peter Wright")
        .unwrap();
    assert!(count(&|user| user["manager"]["id"] == peter["id"]) >= 4);
    assert_eq!(client.get("/groups?$top=999").await.items().len(), 15);
}
