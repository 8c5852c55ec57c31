use std::time::Duration;

use lockstep_sandbox::{EmptyPage, Fault, FaultKind, RetryAfter, STATUS_ABANDONED};
use serde_json::Value;

use crate::client::{Client, Got};

const LIST: &str = "/users?$select=id&$top=2";

async fn with(kind: FaultKind) -> Client {
    let client = Client::small().await;
    client
        .control
        .add_fault(Fault::new(kind).on("/users").times(1))
        .unwrap();
    client
}

fn ids(pages: &[Got]) -> Vec<&str> {
    pages.iter().flat_map(|page| page.ids()).collect()
}

#[tokio::test]
async fn throttling_comes_with_every_form_of_retry_after_and_without() {
    let client = Client::small().await;
    let forms = [
        Some(RetryAfter::seconds(3)),
        Some(RetryAfter::fractional(2.128)),
        Some(RetryAfter::http_date(9)),
        None,
    ];
    let mut seen = Vec::new();
    for form in forms {
        client
            .control
            .add_fault(Fault::throttled(form).times(1))
            .unwrap();
        let response = client.request(LIST).send().await.unwrap();
        assert_eq!(response.status(), 429);
        seen.push(
            response
                .headers()
                .get("retry-after")
                .map(|value| value.to_str().unwrap().to_owned()),
        );
    }
    assert_eq!(seen[0].as_deref(), Some("3"));
    assert_eq!(seen[1].as_deref(), Some("2.128"));
    assert!(seen[2].as_ref().unwrap().ends_with(" GMT"));
    assert_eq!(seen[3], None);
    assert_eq!(client.get(LIST).await.status, 200);
    assert_eq!(client.control.request_counts().of("users.list", 429), 4);
}

#[tokio::test]
async fn a_gateway_answers_in_html() {
    for status in [502, 200] {
        let client = with(FaultKind::Html { status }).await;
        let got = client.get(LIST).await;
        assert_eq!(got.status.as_u16(), status);
        assert!(matches!(&got.body, Value::String(text) if text.starts_with("<html>")));
    }
}

#[tokio::test]
async fn a_connection_breaks_in_the_middle_of_the_body() {
    let client = with(FaultKind::Reset).await;
    let response = client.request(LIST).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.is_err());
    assert_eq!(client.get(LIST).await.status, 200);
}

#[tokio::test]
async fn a_body_ends_early_as_if_it_were_whole() {
    let client = with(FaultKind::Truncate).await;
    let got = client.get(LIST).await;
    assert_eq!(got.status, 200);
    assert!(
        matches!(&got.body, Value::String(text) if text.starts_with('{') && !text.ends_with('}'))
    );
}

#[tokio::test]
async fn a_stalled_body_never_comes_and_does_not_keep_the_sandbox_from_stopping() {
    let client = with(FaultKind::Stall).await;
    let response = client.request(LIST).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let body = tokio::spawn(response.text());
    tokio::time::timeout(Duration::from_millis(100), async {
        while !body.is_finished() {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap_err();
    client.sandbox.stop().await;
    assert!(body.await.unwrap().is_err());
}

#[tokio::test]
async fn an_empty_page_is_extra_or_loses_its_items() {
    let all = ["a", "b", "c", "d", "e"];
    let cases: [(EmptyPage, &[&str], usize); 3] = [
        (EmptyPage::Extra, &all, 4),
        (EmptyPage::Kept, &all[2..], 3),
        (EmptyPage::None, &[], 1),
    ];
    for (next_link, left, pages) in cases {
        let client = with(FaultKind::Empty { next_link }).await;
        let got = client.pages(LIST).await;
        assert_eq!(
            (ids(&got), got.len()),
            (left.to_vec(), pages),
            "{next_link:?}"
        );
    }
}

#[tokio::test]
async fn links_are_dropped_looped_or_lead_elsewhere() {
    let client = with(FaultKind::DropNextLink).await;
    assert_eq!(ids(&client.pages(LIST).await), ["a", "b"]);
    let client = with(FaultKind::LoopNextLink).await;
    let own = format!("{}/v1.0{LIST}", client.sandbox.url());
    assert_eq!(client.get(LIST).await.link("nextLink"), Some(own));
    let client = with(FaultKind::ForeignNextLink).await;
    assert!(
        client
            .get(LIST)
            .await
            .link("nextLink")
            .unwrap()
            .starts_with("http://other.invalid/v1.0/users?")
    );
}

#[tokio::test]
async fn an_item_is_repeated_on_the_following_page() {
    let client = with(FaultKind::Duplicate).await;
    assert_eq!(
        ids(&client.pages(LIST).await),
        ["a", "b", "b", "c", "d", "e"]
    );
    assert_eq!(ids(&client.pages(LIST).await), ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn an_item_is_repeated_in_its_own_list_alone() {
    let client = Client::small().await;
    client
        .control
        .add_fault(Fault::new(FaultKind::Duplicate).on_request("groups.members"))
        .unwrap();
    let list = |group: &str| format!("/groups/{group}/members?$select=id&$top=1");
    // Two lists that are read side by side, as the parts of a batch are.
    let (g, h) = (client.get(&list("g")).await, client.get(&list("h")).await);
    let last = client.get(&list("s")).await;
    let next = |page: &Got| page.link("nextLink").unwrap();
    let (g2, h2) = (client.get(&next(&g)).await, client.get(&next(&h)).await);
    let shown = [&g, &h, &last, &g2, &h2].map(Got::ids);
    assert_eq!(g2.ids(), ["b", "c"], "{shown:?}");
    assert_eq!(h2.ids()[0], h.ids()[0], "{shown:?}");
}

#[tokio::test]
async fn the_same_users_are_hidden_every_time() {
    let client = Client::of(lockstep_sandbox::Tenant::demo()).await;
    client
        .control
        .add_fault(Fault::new(FaultKind::Hide { modulus: 4 }).on_request("users.list"))
        .unwrap();
    let first = client.get("/users?$top=999").await;
    let second = client.get("/users?$top=999").await;
    assert_eq!(first.ids(), second.ids());
    assert!(
        (35..60).contains(&first.items().len()),
        "{}",
        first.items().len()
    );
    assert_eq!(client.round("/users/delta").await.0.len(), 62);
}

#[tokio::test]
async fn a_header_is_added_and_an_answer_delayed() {
    let name = "x-ms-throttle-limit-percentage".to_owned();
    let client = with(FaultKind::Header {
        name: name.clone(),
        value: "0.9".to_owned(),
    })
    .await;
    client
        .control
        .add_fault(Fault::new(FaultKind::Latency { milliseconds: 60 }).times(1))
        .unwrap();
    let started = std::time::Instant::now();
    let response = client.request(LIST).send().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(60));
    assert_eq!(response.headers()[&name], "0.9");
}

#[tokio::test]
async fn a_gate_holds_requests_until_it_is_opened_and_forgets_those_who_left() {
    let client = Client::small().await;
    client
        .control
        .add_fault(
            Fault::new(FaultKind::Gate)
                .on_request("users.list")
                .times(2),
        )
        .unwrap();
    let leaver = tokio::spawn(client.request(LIST).send());
    client.control.gates_reached(1).await;
    leaver.abort();
    while client.control.gates_waiting() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        client
            .control
            .request_counts()
            .of("users.list", STATUS_ABANDONED),
        1
    );
    let waiter = tokio::spawn(client.request(LIST).send());
    client.control.gates_reached(1).await;
    assert_eq!(
        client.control_call("GET", "/gates", Value::Null).await.body["waiting"],
        1
    );
    assert_eq!(
        client
            .control_call("POST", "/gates/open", Value::Null)
            .await
            .body["opened"],
        1
    );
    assert_eq!(waiter.await.unwrap().unwrap().status(), 200);
    assert_eq!(client.get(LIST).await.status, 200);
}

#[tokio::test]
async fn a_gate_does_not_keep_the_sandbox_from_stopping() {
    let client = with(FaultKind::Gate).await;
    let waiter = tokio::spawn(client.request(LIST).send());
    client.control.gates_reached(1).await;
    let stopping = tokio::time::timeout(Duration::from_secs(2), client.sandbox.stop());
    assert!(stopping.await.is_ok());
    assert_eq!(waiter.await.unwrap().unwrap().status(), 200);
}
