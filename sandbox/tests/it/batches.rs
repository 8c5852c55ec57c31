use lockstep_sandbox::{Fault, RetryAfter};
use serde_json::{Value, json};

use crate::client::{Client, Got, read};

async fn batch(client: &Client, requests: Value) -> Got {
    let url = format!("{}/v1.0/$batch", client.sandbox.url());
    let request = client
        .http
        .post(url)
        .bearer_auth(&client.token)
        .json(&json!({ "requests": requests }));
    read(request.send().await.unwrap()).await
}

fn get(id: &str, url: &str) -> Value {
    json!({ "id": id, "method": "GET", "url": url })
}

fn answer<'a>(got: &'a Got, id: &str) -> &'a Value {
    got.body["responses"]
        .as_array()
        .unwrap()
        .iter()
        .find(|answer| answer["id"] == id)
        .unwrap()
}

#[tokio::test]
async fn items_are_judged_one_by_one_and_answered_in_another_order() {
    let client = Client::small().await;
    client
        .control
        .add_fault(Fault::throttled(Some(RetryAfter::seconds(12))).on("/users/c"))
        .unwrap();
    let requests = json!([
        get("1", "/users/a?$select=id"),
        get("2", "/users/a/manager"),
        get("3", "/users/c"),
        get("4", "/nowhere")
    ]);
    let got = batch(&client, requests).await;
    assert_eq!(got.status, 200);
    let order: Vec<&str> = got.body["responses"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|answer| answer["id"].as_str())
        .collect();
    assert_ne!(order, ["1", "2", "3", "4"]);
    assert_eq!(answer(&got, "1")["body"]["id"], "a");
    assert_eq!(answer(&got, "2")["status"], 404);
    assert_eq!(answer(&got, "3")["status"], 429);
    assert_eq!(answer(&got, "3")["headers"]["Retry-After"], "12");
    assert_eq!(answer(&got, "4")["status"], 400);
    assert_eq!(client.control.request_counts().of("batch", 200), 1);
    assert_eq!(client.control.request_counts().total(), 5);
}

#[tokio::test]
async fn groups_members_and_owners_can_be_asked_for_in_one_batch() {
    let client = Client::small().await;
    let requests = json!([
        get("1", "/groups/g?$select=id,displayName"),
        get("2", "/groups/zz?$select=id,displayName"),
        get("3", "/groups/g/owners?$select=id&$top=1"),
        get("4", "/groups/h/members?$select=id&$top=1"),
        get("5", "/groups/zz/owners?$select=id&$top=1")
    ]);
    let got = batch(&client, requests).await;
    assert_eq!(answer(&got, "1")["body"]["displayName"], "Teachers");
    for id in ["2", "5"] {
        let code = &answer(&got, id)["body"]["error"]["code"];
        assert_eq!(
            (&answer(&got, id)["status"], code),
            (&json!(404), &json!("Request_ResourceNotFound"))
        );
    }
    assert_eq!(answer(&got, "3")["body"]["value"][0]["id"], "a");
    assert!(answer(&got, "3")["body"].get("@odata.nextLink").is_none());
    let next = answer(&got, "4")["body"]["@odata.nextLink"]
        .as_str()
        .unwrap();
    assert_eq!(client.get(next).await.ids(), ["h"]);
}

#[tokio::test]
async fn what_depends_on_a_failure_fails_with_424() {
    let client = Client::small().await;
    let mut second = get("2", "/users/a");
    second["dependsOn"] = json!(["1"]);
    let got = batch(&client, json!([get("1", "/users/zz"), second.clone()])).await;
    assert_eq!(
        (&answer(&got, "1")["status"], &answer(&got, "2")["status"]),
        (&json!(404), &json!(424))
    );
    let got = batch(&client, json!([get("1", "/users/b"), second])).await;
    assert_eq!(answer(&got, "2")["status"], 200);
}

#[tokio::test]
async fn malformed_batches_are_refused_as_a_whole() {
    let client = Client::small().await;
    let many: Vec<Value> = (0..21).map(|at| get(&at.to_string(), "/users/a")).collect();
    let mut unknown = get("1", "/users/a");
    unknown["dependsOn"] = json!(["9"]);
    let cases = [
        json!(many),
        json!([]),
        json!([get("x", "/users/a"), get("X", "/users/b")]),
        json!([unknown]),
        json!([get("1", "https://graph.microsoft.com/v1.0/users")]),
        json!([{"id": "1", "url": "/users"}]),
        json!([{"id": "1", "method": "POST", "url": "/groups", "body": {}}]),
    ];
    for requests in cases {
        assert_eq!(
            batch(&client, requests.clone()).await.status,
            400,
            "{requests}"
        );
    }
    let got = batch(&client, json!([{"id": "1", "method": "POST", "url": "/$batch", "headers": {"Content-Type": "application/json"}, "body": {"requests": []}}])).await;
    assert_eq!(answer(&got, "1")["status"], 400);
}

#[tokio::test]
async fn a_bad_token_fails_the_envelope() {
    let client = Client::small().await;
    client.control.revoke_tokens();
    assert_eq!(
        batch(&client, json!([get("1", "/users/a")])).await.status,
        401
    );
}
