//! Signing in.

use lockstep_graph::{ErrorClass, SignInProblem, UserSelect};

use crate::support::{Fake, Seen, all, error, reply, token};

const EMPTY: &str = r#"{"value":[]}"#;
const PLAIN: UserSelect = UserSelect { manager: false };

fn eight_readers(fake: &Fake) -> Vec<tokio::task::JoinHandle<Result<usize, ErrorClass>>> {
    let client = fake.client();
    let read = |client: lockstep_graph::GraphClient| async move {
        all(client.list_users(PLAIN))
            .await
            .map(|pages| pages.len())
            .map_err(|error| error.class())
    };
    (0..8).map(|_| tokio::spawn(read(client.clone()))).collect()
}

async fn outcomes(
    readers: Vec<tokio::task::JoinHandle<Result<usize, ErrorClass>>>,
) -> Vec<Result<usize, ErrorClass>> {
    let mut all = Vec::new();
    for reader in readers {
        all.push(reader.await.unwrap());
    }
    all
}

fn bearer(seen: &Seen) -> &str {
    seen.header("authorization")
}

#[tokio::test]
async fn the_token_request_is_the_form_that_entra_wants() {
    let fake = Fake::start(|_, _| reply(200, EMPTY)).await;
    all(fake.client().list_users(PLAIN)).await.unwrap();
    let asked = &fake.token_requests()[0];
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/contoso.onmicrosoft.com/oauth2/v2.0/token")
    );
    assert_eq!(
        asked.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        asked.body,
        "client_id=535fb089-9ff3-47b6-9bfb-4f1264799865&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\
         &client_secret=s%7Ee%2Bc%2Fr.e_t%26&grant_type=client_credentials"
    );
}

#[tokio::test]
async fn many_requests_share_one_token() {
    let fake = Fake::start(|_, _| reply(200, EMPTY)).await;
    assert_eq!(outcomes(eight_readers(&fake)).await, vec![Ok(1); 8]);
    assert_eq!(fake.token_requests().len(), 1);
    assert!(
        fake.asked()
            .iter()
            .all(|seen| bearer(seen) == "Bearer tok-1")
    );
}

#[tokio::test]
async fn a_token_that_ended_is_renewed_before_it_is_sent() {
    let fake = Fake::start_with_login(
        |_, _| reply(200, EMPTY),
        |_, n| token(&format!("tok-{n}"), 0),
    )
    .await;
    let client = fake.client();
    all(client.list_users(PLAIN)).await.unwrap();
    all(client.list_users(PLAIN)).await.unwrap();
    let sent: Vec<String> = fake
        .asked()
        .iter()
        .map(|seen| bearer(seen).to_owned())
        .collect();
    assert_eq!(sent, ["Bearer tok-0", "Bearer tok-1"]);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_requests() {
    let fake = Fake::start(|seen, _| match bearer(seen) {
        "Bearer tok-1" => error(401, "InvalidAuthenticationToken"),
        _ => reply(200, EMPTY),
    })
    .await;
    assert_eq!(outcomes(eight_readers(&fake)).await, vec![Ok(1); 8]);
    assert_eq!(fake.token_requests().len(), 2);
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_is_the_verdict() {
    let fake = Fake::start(|_, _| error(401, "InvalidAuthenticationToken")).await;
    let error = all(fake.client().list_users(PLAIN)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::AuthRejected);
    assert_eq!((fake.token_requests().len(), fake.asked().len()), (2, 2));
}

#[tokio::test]
async fn an_expired_secret_is_reported_at_once_and_never_shown() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS7000222: keys expired.\r\nTrace ID: 1","error_codes":[7000222]}"#;
    let fake = Fake::start_with_login(|_, _| reply(200, EMPTY), move |_, _| reply(401, body)).await;
    let error = all(fake.client().list_users(PLAIN)).await.unwrap_err();
    assert_eq!(
        (error.class(), error.aadsts()),
        (ErrorClass::Configuration, Some(7_000_222))
    );
    assert_eq!(
        error.sign_in().unwrap().problem,
        SignInProblem::ExpiredSecret
    );
    assert_eq!((fake.token_requests().len(), fake.asked().len()), (1, 0));
    assert!(!format!("{error:?} {error}").contains("s~e+c"));
}

#[tokio::test]
async fn a_failed_sign_in_is_shared_by_those_who_waited_for_it() {
    let body = r#"{"error":"invalid_client","error_codes":[7000215]}"#;
    let fake = Fake::start_with_login(|_, _| reply(200, EMPTY), move |_, _| reply(401, body)).await;
    let readers = eight_readers(&fake);
    assert_eq!(
        outcomes(readers).await,
        vec![Err(ErrorClass::Configuration); 8]
    );
    assert_eq!(fake.token_requests().len(), 1);
}

#[tokio::test]
async fn a_login_host_in_trouble_is_asked_again() {
    let login = |_: &Seen, n| match n {
        0 => reply(503, "<html>"),
        1 => reply(
            400,
            r#"{"error":"temporarily_unavailable","error_codes":[90033]}"#,
        ),
        2 => reply(429, "").with("retry-after", "0.01"),
        3 => reply(200, "<html>"),
        _ => token("tok", 3600),
    };
    let fake = Fake::start_with_login(|_, _| reply(200, EMPTY), login).await;
    let client = fake.client();
    all(client.list_users(PLAIN)).await.unwrap();
    let stats = client.stats();
    assert_eq!(
        (
            stats.token_requests,
            stats.retried,
            stats.throttled,
            stats.requests
        ),
        (5, 4, 1, 1)
    );
}

#[tokio::test]
async fn a_young_consent_is_waited_for_with_new_tokens() {
    let fake = Fake::start(|_, n| {
        if n < 6 {
            error(403, "Authorization_IdentityNotFound")
        } else {
            reply(200, EMPTY)
        }
    })
    .await;
    all(fake.client().list_users(PLAIN)).await.unwrap();
    assert_eq!((fake.asked().len(), fake.token_requests().len()), (7, 7));
}

#[tokio::test]
async fn a_missing_permission_is_reported_with_graphs_code() {
    let fake =
        Fake::start(|_, _| error(403, "Authorization_RequestDenied").with("request-id", "r-1"))
            .await;
    let error = all(fake.client().list_users(PLAIN)).await.unwrap_err();
    assert_eq!(
        (error.class(), error.operation()),
        (ErrorClass::Permission, "read users")
    );
    let answer = error.answer().unwrap();
    assert_eq!(
        (answer.code.as_str(), answer.request_id.as_deref()),
        ("Authorization_RequestDenied", Some("r-1"))
    );
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn granted_permissions_come_from_the_token() {
    // {"roles":["User.Read.All"]}
    let jwt = "h.eyJyb2xlcyI6WyJVc2VyLlJlYWQuQWxsIl19.s";
    let fake = Fake::start_with_login(|_, _| reply(200, EMPTY), move |_, _| token(jwt, 3600)).await;
    assert_eq!(
        fake.client().granted_permissions().await.unwrap(),
        Some(vec!["User.Read.All".to_owned()])
    );
    let opaque = Fake::start(|_, _| reply(200, EMPTY)).await;
    assert_eq!(opaque.client().granted_permissions().await.unwrap(), None);
}

#[tokio::test]
async fn nothing_that_can_be_printed_holds_a_secret() {
    let fake = Fake::start(|_, _| reply(200, EMPTY)).await;
    let client = fake.client();
    all(client.list_users(PLAIN)).await.unwrap();
    let printed = format!("{client:?}");
    assert!(
        !printed.contains("tok-1") && !printed.contains("s~e+c"),
        "{printed}"
    );
}
