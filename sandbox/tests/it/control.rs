use serde_json::{Value, json};

use crate::client::Client;

async fn ok(client: &Client, method: &str, path: &str, body: Value) -> Value {
    let got = client.control_call(method, path, body).await;
    assert_eq!(got.status, 200, "{method} {path}: {}", got.body);
    got.body
}

#[tokio::test]
async fn users_are_changed_over_http() {
    let client = Client::small().await;
    let made = ok(
        &client,
        "POST",
        "/users",
        json!({"displayName": "Fay", "userPrincipalName": "fay@x.example"}),
    )
    .await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        client
            .get(&format!("/users/{id}?$select=accountEnabled"))
            .await
            .body["accountEnabled"],
        true
    );
    ok(
        &client,
        "PATCH",
        "/users/fay@x.example",
        json!({"accountEnabled": false, "userPrincipalName": "fay.new@x.example"}),
    )
    .await;
    ok(
        &client,
        "PUT",
        &format!("/users/{id}/manager"),
        json!({"id": "ann@x.example"}),
    )
    .await;
    assert_eq!(
        client.control.manager("fay.new@x.example").as_deref(),
        Some("a")
    );
    ok(
        &client,
        "DELETE",
        &format!("/users/{id}/manager"),
        Value::Null,
    )
    .await;
    ok(&client, "DELETE", &format!("/users/{id}"), Value::Null).await;
    ok(
        &client,
        "POST",
        &format!("/users/{id}/restore"),
        Value::Null,
    )
    .await;
    ok(
        &client,
        "DELETE",
        &format!("/users/{id}?purge=true"),
        Value::Null,
    )
    .await;
    assert_eq!(
        client
            .control_call("POST", &format!("/users/{id}/restore"), Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(
        client
            .control_call(
                "POST",
                "/users",
                json!({"id": id, "displayName": "F", "userPrincipalName": "f@x"})
            )
            .await
            .status,
        409
    );
}

#[tokio::test]
async fn groups_are_changed_over_http() {
    let client = Client::small().await;
    let made = ok(&client, "POST", "/groups", json!({"displayName": "New"})).await;
    let id = made["id"].as_str().unwrap();
    ok(
        &client,
        "PUT",
        &format!("/groups/{id}/members/a"),
        Value::Null,
    )
    .await;
    ok(
        &client,
        "PATCH",
        &format!("/groups/{id}"),
        json!({"description": "Newer"}),
    )
    .await;
    assert_eq!(
        ok(
            &client,
            "GET",
            &format!("/groups/{id}/members"),
            Value::Null
        )
        .await["ids"],
        json!(["a"])
    );
    ok(
        &client,
        "DELETE",
        &format!("/groups/{id}/members/a"),
        Value::Null,
    )
    .await;
    ok(&client, "DELETE", &format!("/groups/{id}"), Value::Null).await;
    ok(
        &client,
        "POST",
        &format!("/groups/{id}/restore"),
        Value::Null,
    )
    .await;
    assert_eq!(
        client.get(&format!("/groups/{id}")).await.body["description"],
        "Newer"
    );
}

#[tokio::test]
async fn owners_are_changed_over_http() {
    let client = Client::small().await;
    let added = ok(&client, "PUT", "/groups/h/owners/b", Value::Null).await;
    assert_eq!(added, json!({"added": true}));
    let ids = ok(&client, "GET", "/groups/h/owners", Value::Null).await;
    assert_eq!(ids, json!({"ids": ["b"]}));
    let removed = ok(&client, "DELETE", "/groups/h/owners/b", Value::Null).await;
    assert_eq!(removed, json!({"removed": true}));
    assert!(client.control.owner_ids("h").is_empty());
}

#[tokio::test]
async fn mistakes_are_named() {
    let client = Client::small().await;
    let cases = [
        (
            "PATCH",
            "/users/zz",
            json!({}),
            404,
            "there is no user 'zz'",
        ),
        (
            "PATCH",
            "/users/a",
            json!({"nickname": "x"}),
            400,
            "'nickname' is not a property",
        ),
        (
            "PATCH",
            "/users/a",
            json!({"userPrincipalName": "ben@x.example"}),
            409,
            "already exists",
        ),
        (
            "POST",
            "/users",
            json!({"displayName": "X"}),
            400,
            "'userPrincipalName' is missing",
        ),
        (
            "PUT",
            "/options",
            json!({"latency": 5}),
            400,
            "unknown field `latency`",
        ),
        (
            "POST",
            "/faults",
            json!({"kind": "status", "status": 200}),
            400,
            "'status' must be from 400 to 599",
        ),
        (
            "POST",
            "/delta/expire",
            json!({"status": 500}),
            400,
            "410 or 400",
        ),
        (
            "DELETE",
            "/groups/g/owners/zz",
            Value::Null,
            404,
            "there is no owner 'zz'",
        ),
        (
            "PUT",
            "/groups/zz/owners/a",
            Value::Null,
            404,
            "there is no group 'zz'",
        ),
        ("GET", "/nowhere", Value::Null, 404, "no such control"),
    ];
    for (method, path, body, status, text) in cases {
        let got = client.control_call(method, path, body).await;
        assert_eq!(got.status.as_u16(), status, "{method} {path}");
        assert!(got.message().contains(text), "{}", got.message());
    }
}

#[tokio::test]
async fn options_faults_time_and_churn_are_set_over_http() {
    let mut client = Client::small().await;
    let options = json!({"client_secret": "new", "permissions": ["User.Read.All"], "token_lifetime_seconds": 60, "delta_page_size": 2, "list_page_cap": 3});
    let options = ok(&client, "PUT", "/options", options).await;
    assert_eq!(options["delta_page_size"], 2);
    assert_eq!(client.login(&[]).await.status, 401);
    assert_eq!(
        client.login(&[("client_secret", "new")]).await.body["expires_in"],
        60
    );
    ok(
        &client,
        "PUT",
        "/options",
        json!({"client_secret": lockstep_sandbox::DEMO_CLIENT_SECRET}),
    )
    .await;
    client.renew().await;
    assert_eq!(client.get("/users?$top=5").await.items().len(), 3);
    assert_eq!(
        ok(
            &client,
            "POST",
            "/faults",
            json!({"kind": "status", "status": 503, "path": "/users", "times": 1})
        )
        .await["id"],
        1
    );
    assert_eq!(client.get("/users").await.status, 503);
    assert_eq!(
        ok(&client, "GET", "/faults", Value::Null).await["faults"][0]["happened"],
        1
    );
    ok(&client, "DELETE", "/faults/1", Value::Null).await;
    ok(&client, "DELETE", "/faults", Value::Null).await;
    ok(&client, "POST", "/clock/advance", json!({"days": 1})).await;
    assert_eq!(client.get("/users").await.status, 401);
    assert_eq!(
        ok(
            &client,
            "POST",
            "/churn",
            json!({"users": 2, "groups": 1, "seed": 4})
        )
        .await["users"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    ok(&client, "POST", "/delta/skip", json!({"count": 1})).await;
    ok(&client, "POST", "/delta/expire", json!({"status": 400})).await;
    ok(&client, "POST", "/pages/expire", Value::Null).await;
    assert_eq!(
        ok(&client, "POST", "/tokens/revoke", Value::Null).await["revoked"],
        3
    );
}

#[tokio::test]
async fn the_state_and_the_request_log_tell_much_but_no_secret() {
    let client = Client::small().await;
    client.login(&[("client_secret", "letmein")]).await;
    client.get("/users?$select=id").await;
    client.get("/me").await;
    let log = ok(&client, "GET", "/requests", Value::Null).await;
    assert_eq!((&log["total"], &log["refused"]), (&json!(3), &json!(1)));
    assert_eq!(log["by_kind"]["users.list"]["200"], 1);
    assert_eq!(log["last"][1]["target"], "/v1.0/users?$select=id");
    let state = ok(&client, "GET", "/state", Value::Null).await;
    assert_eq!((&state["users"], &state["groups"]), (&json!(5), &json!(3)));
    for text in [log.to_string(), state.to_string()] {
        for secret in [
            "letmein",
            lockstep_sandbox::DEMO_CLIENT_SECRET,
            &client.token,
        ] {
            assert!(!text.contains(secret));
        }
    }
    ok(&client, "POST", "/requests/reset", Value::Null).await;
    assert_eq!(client.control.request_counts().total(), 0);
}

#[tokio::test]
async fn oversized_bodies_are_refused() {
    let client = Client::small().await;
    let url = format!("{}/v1.0/$batch", client.sandbox.url());
    let body = "x".repeat(1024 * 1024 + 1);
    let sent = client
        .http
        .post(url)
        .bearer_auth(&client.token)
        .body(body)
        .send()
        .await;
    // The server may hang up before the whole body is sent.
    assert!(sent.map_or(true, |response| response.status() == 413));
    assert_eq!(client.get("/users").await.status, 200);
}
