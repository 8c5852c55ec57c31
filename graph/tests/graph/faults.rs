//! Throttling, outages and answers that make no sense.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use lockstep_graph::{ErrorClass, GraphError, UserSelect};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::Instant,
};

use crate::support::{Fake, Seen, all, client_of, error, hasty, reply, token};

const PLAIN: UserSelect = UserSelect { manager: false };
const EMPTY: &str = r#"{"value":[]}"#;

/// Throttles the first request and calls everything early that comes before the named time.
async fn strict(retry_after: Duration) -> Fake {
    let open_at = OnceLock::new();
    Fake::start(move |_, n| {
        if n == 0 {
            open_at.set(Instant::now() + retry_after).unwrap();
            return error(429, "TooManyRequests")
                .with("retry-after", &retry_after.as_secs_f64().to_string());
        }
        match Instant::now() < *open_at.get().unwrap() {
            true => error(400, "TooEarly"),
            false => reply(200, EMPTY),
        }
    })
    .await
}

#[tokio::test]
async fn a_throttled_request_never_comes_back_early() {
    let fake = strict(Duration::from_millis(150)).await;
    let client = fake.client();
    all(client.list_users(PLAIN)).await.unwrap();
    let stats = client.stats();
    assert_eq!((stats.requests, stats.retried, stats.throttled), (2, 1, 1));
    assert!(
        stats.waited >= Duration::from_millis(140),
        "{:?}",
        stats.waited
    );
}

#[tokio::test]
async fn while_one_request_is_throttled_its_siblings_wait_too() {
    let fake = strict(Duration::from_millis(300)).await;
    let client = fake.client();
    let first = tokio::spawn({
        let client = client.clone();
        async move { all(client.list_users(PLAIN)).await.map(drop) }
    });
    while client.stats().throttled == 0 {
        tokio::task::yield_now().await;
    }
    let ids = vec!["a".to_owned()];
    let (list, batch) = tokio::join!(
        all(client.list_users(PLAIN)),
        client.users_by_id(&ids, PLAIN)
    );
    assert!(list.is_ok());
    // The server answers a batch as it answers a list; what matters is that nothing came early.
    assert_eq!(batch.unwrap_err().class(), ErrorClass::BadResponse);
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn throttling_may_come_without_a_time_or_as_503() {
    let fake = Fake::start(|_, n| match n {
        0 => error(429, "TooManyRequests"),
        1 => error(503, "serviceNotAvailable").with("retry-after", "0.01"),
        _ => reply(200, EMPTY),
    })
    .await;
    let client = fake.client();
    all(client.list_users(PLAIN)).await.unwrap();
    let stats = client.stats();
    assert_eq!((stats.requests, stats.retried, stats.throttled), (3, 2, 1));
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_left_to_the_caller_and_to_nobody_else_earlier() {
    let fake = Fake::start(|_, _| error(429, "").with("retry-after", "1000")).await;
    let client = fake.client();
    let error = all(client.list_users(PLAIN)).await.unwrap_err();
    assert_eq!(
        (error.class(), error.retry_after()),
        (ErrorClass::Throttled, Some(Duration::from_secs(1000)))
    );
    let second = all(client.list_users(PLAIN)).await.unwrap_err();
    assert_eq!(
        (second.class(), fake.asked().len()),
        (ErrorClass::Throttled, 1)
    );
}

#[tokio::test]
async fn an_outage_is_endured() {
    let fake = Fake::start(|_, n| match n {
        0..8 => reply([500, 502, 503, 504][n % 4], "<html>Bad Gateway</html>"),
        _ => reply(200, EMPTY),
    })
    .await;
    all(fake.client().list_users(PLAIN)).await.unwrap();
    assert_eq!(fake.asked().len(), 9);
}

#[tokio::test]
async fn an_outage_longer_than_the_budget_is_reported() {
    let fake = Fake::start(|_, _| reply(503, "<html>secret page</html>")).await;
    let options = lockstep_graph::ClientOptions {
        retry_budget: Duration::from_millis(40),
        ..hasty()
    };
    let error = all(fake.client_with(options).list_users(PLAIN))
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.answer().unwrap().status),
        (ErrorClass::Unavailable, 503)
    );
    assert!(!format!("{error:?}").contains("secret page"));
}

#[tokio::test]
async fn nonsense_with_status_200_is_asked_for_three_times() {
    for body in [
        r#"{"value":[{"id":"a"},{"id""#,
        "<html>Welcome</html>",
        "",
        "{}",
        r#"{"value":[{"id":5}]}"#,
        r#"{"value":{}}"#,
    ] {
        let fake = Fake::start(move |_, _| reply(200, body)).await;
        let error = all(fake.client().list_users(PLAIN)).await.unwrap_err();
        assert_eq!(
            (error.class(), fake.asked().len()),
            (ErrorClass::BadResponse, 3),
            "{body}"
        );
        assert!(!format!("{error:?}{error}").contains("Welcome"));
    }
}

#[tokio::test]
async fn nonsense_that_passes_is_no_error() {
    let fake = Fake::start(|_, n| reply(200, if n < 2 { "{\"value\":[" } else { EMPTY })).await;
    assert_eq!(all(fake.client().list_users(PLAIN)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let trap = Fake::start(|_, _| reply(200, EMPTY)).await;
    let location = trap.base.clone();
    let fake = Fake::start(move |_, _| reply(302, "").with("location", &location)).await;
    let error = all(fake.client().list_users(PLAIN)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::BadResponse);
    assert!(trap.asked().is_empty());
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_a_bad_answer() {
    let fake = Fake::start(|_, _| {
        reply(
            200,
            format!(r#"{{"value":[],"x":"{}"}}"#, "a".repeat(100_000)),
        )
    })
    .await;
    let options = lockstep_graph::ClientOptions {
        max_body_bytes: 50_000,
        ..hasty()
    };
    let error = all(fake.client_with(options).list_users(PLAIN))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::BadResponse);
    assert!(error.to_string().contains("too large"));
}

#[tokio::test]
async fn a_host_that_is_not_there_is_unreachable() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let options = lockstep_graph::ClientOptions {
        retry_budget: Duration::from_millis(20),
        ..hasty()
    };
    let error = all(client_of(&base, options).list_users(PLAIN))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unreachable);
    assert!(!format!("{error:?}").contains("oauth2"));
}

/// Answers each connection with the next of these bytes, then closes or keeps silent.
async fn raw(answers: Vec<(&'static str, bool)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (recorded, own) = (Arc::clone(&heads), base.clone());
    tokio::spawn(async move {
        for (answer, silent) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            recorded.lock().await.push(head(&mut stream).await);
            stream
                .write_all(answer.replace("{base}", &own).as_bytes())
                .await
                .unwrap();
            if silent {
                // Kept open: the other side has to lose patience.
                std::mem::forget(stream);
            }
        }
    });
    (base, heads)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

const WHOLE: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"value\":[]}";
const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"value\":[";

const LINKED: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
    {\"value\":[],\"@odata.nextLink\":\"{base}/v1.0/groups/x/members?$top=5&$skiptoken=X%274453~!*(),;:@+%2b%2B&$a=(b)/c?d\"}";

async fn raw_client(
    answers: Vec<(&'static str, bool)>,
) -> (lockstep_graph::GraphClient, Arc<Mutex<Vec<String>>>) {
    let (graph, heads) = raw(answers).await;
    let login =
        Fake::start_with_login(|_: &Seen, _| reply(500, ""), |_, _| token("tok", 3600)).await;
    let parse = |text: &str| lockstep_graph::Url::parse(text).unwrap();
    let endpoints = lockstep_graph::Endpoints {
        graph: parse(&graph),
        login: parse(&login.base),
    };
    let options = lockstep_graph::ClientOptions {
        read_timeout: Duration::from_millis(50),
        ..hasty()
    };
    let client =
        lockstep_graph::GraphClient::new(endpoints, crate::support::credentials(), options)
            .unwrap();
    (client, heads)
}

#[tokio::test]
async fn a_connection_that_breaks_or_stalls_inside_a_page_is_tried_again() {
    let (client, heads) = raw_client(vec![
        (HALF, false),
        ("", false),
        (HALF, true),
        (WHOLE, false),
    ])
    .await;
    let pages = all(client.list_users(PLAIN)).await.unwrap();
    assert_eq!((pages.len(), heads.lock().await.len()), (1, 4));
}

#[tokio::test]
async fn the_request_line_is_the_link_to_the_byte() {
    let (client, heads) = raw_client(vec![(LINKED, false), (WHOLE, false)]).await;
    all(client.group_members("a'b c")).await.unwrap();
    let heads = heads.lock().await;
    let lines: Vec<&str> = heads
        .iter()
        .filter_map(|head| head.lines().next())
        .collect();
    assert_eq!(
        lines,
        [
            "GET /v1.0/groups/a%27b%20c/members?$select=id&$top=999 HTTP/1.1",
            "GET /v1.0/groups/x/members?$top=5&$skiptoken=X%274453~!*(),;:@+%2b%2B&$a=(b)/c?d HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn content_that_cannot_be_decompressed_is_a_bad_answer() {
    let fake = Fake::start(|_, _| reply(200, EMPTY).with("content-encoding", "gzip")).await;
    let error = all(fake.client().list_users(PLAIN)).await.unwrap_err();
    assert_eq!(
        (error.class(), fake.asked().len()),
        (ErrorClass::BadResponse, 3)
    );
}

#[tokio::test]
async fn a_failed_handshake_is_never_downgraded() {
    let fake = Fake::start(|_, _| reply(200, EMPTY)).await;
    let options = lockstep_graph::ClientOptions {
        retry_budget: Duration::from_millis(20),
        ..hasty()
    };
    let client = client_of(&fake.base.replace("http:", "https:"), options);
    assert_eq!(
        all(client.list_users(PLAIN)).await.unwrap_err().class(),
        ErrorClass::Unreachable
    );
    assert!(fake.asked().is_empty() && fake.token_requests().is_empty());
}

#[tokio::test]
async fn a_client_is_not_made_of_what_cannot_work() {
    let make = |graph: &str, tenant: &str| {
        let endpoints = lockstep_graph::Endpoints::global()
            .overridden(Some(lockstep_graph::Url::parse(graph).unwrap()), None);
        let credentials = lockstep_graph::Credentials {
            tenant: tenant.into(),
            ..crate::support::credentials()
        };
        lockstep_graph::GraphClient::new(endpoints, credentials, hasty())
            .err()
            .map(|error: GraphError| error.class())
    };
    assert_eq!(make("https://graph.microsoft.com", "contoso.com"), None);
    assert_eq!(
        make("http://graph.microsoft.com", "contoso.com"),
        Some(ErrorClass::Configuration)
    );
    assert_eq!(
        make("https://graph.microsoft.com", "common"),
        Some(ErrorClass::Configuration)
    );
    assert_eq!(
        make("https://graph.microsoft.com", "a.b/c"),
        Some(ErrorClass::Configuration)
    );
}
