//! The HTTP endpoint as a client sees it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
    response::Response,
};
use chrono::DateTime;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{toy::Door, *};

const NEW: &str = "application/graphql-response+json";
const STREAM: &str = "text/event-stream";

fn door() -> Door {
    Door {
        anonymous: true,
        expires_at: None,
    }
}

fn app_with(options: TransportOptions, door: Door) -> Router {
    router(
        toy::schema(),
        Arc::new(door),
        options,
        CancellationToken::new(),
    )
}

fn app() -> Router {
    app_with(TransportOptions::default(), door())
}

fn query(document: &str, accept: &str) -> Request<Body> {
    let body = json!({ "query": document }).to_string();
    Request::post("/graphql")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, accept)
        .header(header::AUTHORIZATION, "Bearer good")
        .body(Body::from(body))
        .expect("a request of a test")
}

fn anonymous(document: &str) -> Request<Body> {
    let mut request = query(document, NEW);
    request.headers_mut().remove(header::AUTHORIZATION);
    request
}

fn get(uri: &str, accept: &str) -> Request<Body> {
    Request::get(uri)
        .header(header::ACCEPT, accept)
        .body(Body::empty())
        .expect("a request of a test")
}

async fn send(app: Router, request: Request<Body>) -> Response {
    app.oneshot(request)
        .await
        .expect("a router that cannot fail")
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body of a test");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

async fn answer(request: Request<Body>) -> (StatusCode, Value) {
    let response = send(app(), request).await;
    let status = response.status();
    (
        status,
        serde_json::from_str(&text(response).await).expect("a JSON body"),
    )
}

fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
}

#[tokio::test]
async fn query_is_answered_with_its_data() {
    let (status, body) = answer(query("{ hello viewer }", NEW)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        json!({ "data": { "hello": "world", "viewer": "ada" } })
    );
}

#[tokio::test]
async fn anonymous_caller_reaches_the_schema_when_the_authenticator_allows() {
    let (_, body) = answer(anonymous("{ viewer }")).await;
    assert_eq!(body, json!({ "data": { "viewer": null } }));
}

#[tokio::test]
async fn bad_credential_is_401_and_a_blocked_one_403() {
    for (credential, status, expected) in [
        ("Bearer bad", StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        ("Bearer blocked", StatusCode::FORBIDDEN, "FORBIDDEN"),
    ] {
        let mut request = query("{ hello }", "application/json");
        let value = credential.parse().expect("a header value");
        request.headers_mut().insert(header::AUTHORIZATION, value);
        let (got, body) = answer(request).await;
        assert_eq!((got, code(&body)), (status, expected));
    }
}

#[tokio::test]
async fn request_errors_have_no_data_but_a_code_and_the_request_id() {
    for (document, expected) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ unknown }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ echo(number: 3000000000) }", "BAD_USER_INPUT"),
        (
            "query A { hello } query B { hello }",
            "OPERATION_RESOLUTION_FAILURE",
        ),
        (
            "{ node{node{node{node{node{node{node{node{node{node{node{node{node{node{node{name}}}}}}}}}}}}}}} }",
            "DEPTH_LIMIT_EXCEEDED",
        ),
    ] {
        let response = send(app(), query(document, NEW)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{document}");
        let id = response.headers()["x-request-id"]
            .to_str()
            .expect("plain text")
            .to_owned();
        let body: Value = serde_json::from_str(&text(response).await).expect("a JSON body");
        assert_eq!(code(&body), expected, "{document}");
        assert_eq!(body["errors"][0]["extensions"]["requestId"], id);
        assert!(body.get("data").is_none(), "{document}");
    }
}

#[tokio::test]
async fn legacy_client_gets_200_for_a_bad_document() {
    let (status, body) = answer(query("{", "application/json")).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::OK, "GRAPHQL_PARSE_FAILED")
    );
}

#[tokio::test]
async fn unexpected_error_reveals_nothing() {
    let response = send(app(), query("{ unexpected hello }", NEW)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = text(response).await;
    assert!(
        !body.contains("10.0.0.1") && body.contains("INTERNAL_SERVER_ERROR"),
        "{body}"
    );
}

#[tokio::test]
async fn panic_of_a_resolver_is_an_answer_too() {
    let (status, body) = answer(query("{ panics }", NEW)).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR")
    );
}

#[tokio::test]
async fn session_that_a_field_finds_ended_is_401() {
    let (status, body) = answer(query("{ signedIn }", NEW)).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED")
    );
}

#[tokio::test]
async fn operation_that_takes_too_long_is_ended() {
    let options = TransportOptions {
        request_timeout: Duration::from_millis(20),
        ..TransportOptions::default()
    };
    let response = send(app_with(options, door()), query("{ slow }", NEW)).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn mutation_by_get_is_not_executed() {
    let response = send(app(), get("/graphql?query=mutation%7Bbump%7D", NEW)).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "POST");
}

#[tokio::test]
async fn get_takes_the_operation_name() {
    let uri = "/graphql?query=query+A%7Ba:hello%7Dquery+B%7Bb:hello%7D&operationName=B";
    let (_, body) = answer(get(uri, NEW)).await;
    assert_eq!(body, json!({ "data": { "b": "world" } }));
}

#[tokio::test]
async fn other_methods_are_405() {
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let request = Request::builder()
            .method(method)
            .uri("/graphql")
            .body(Body::empty());
        let (status, body) = answer(request.expect("a request of a test")).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::METHOD_NOT_ALLOWED, "BAD_USER_INPUT")
        );
    }
}

#[tokio::test]
async fn body_that_a_foreign_page_can_send_is_415() {
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ] {
        let request = Request::post("/graphql")
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(r#"{"query":"mutation { bump }"}"#))
            .expect("a request of a test");
        let (status, _) = answer(request).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
}

#[tokio::test]
async fn unacceptable_media_type_is_406() {
    let (status, _) = answer(query("{ hello }", "image/png")).await;
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn body_beyond_the_limit_is_413_also_without_a_length() {
    let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
    let request = Request::post("/graphql")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from_stream(chunks))
        .expect("a request of a test");
    let (status, _) = answer(request).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn body_that_does_not_arrive_is_408_and_ends_the_connection() {
    let options = TransportOptions {
        request_timeout: Duration::from_millis(20),
        ..TransportOptions::default()
    };
    let mut request = query("{ hello }", NEW);
    let pending = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    *request.body_mut() = Body::from_stream(pending);
    let response = send(app_with(options, door()), request).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(response.headers()[header::CONNECTION], "close");
}

#[tokio::test]
async fn document_beyond_the_limit_is_refused_unparsed() {
    let document = format!("{{ hello }}{}", " ".repeat(64 << 10));
    let (status, body) = answer(query(&document, NEW)).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "COST_LIMIT_EXCEEDED")
    );
}

#[tokio::test]
async fn document_that_costs_too_much_is_told_its_cost_and_the_limit() {
    // 20 fields below a list in 20 places, which the engine answers in no time.
    let fields = "name ".repeat(20);
    let places: String = (0..20)
        .map(|n| format!("n{n}: node {{ {fields} }} "))
        .collect();
    let document = format!("{{ {places} }}");
    let (status, body) = answer(query(&document, NEW)).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "COST_LIMIT_EXCEEDED")
    );
    let message = body["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("costs 420") && message.contains("at most 400"),
        "{message}"
    );
}

#[tokio::test]
async fn variable_costs_what_all_its_mentions_come_to() {
    let options = TransportOptions {
        max_argument_bytes: 150,
        ..TransportOptions::default()
    };
    let app = app_with(options, door());
    // A text of 68 bytes weighs 100.
    for (fields, status) in [
        ("a: find(id: $id)", StatusCode::OK),
        ("a: find(id: $id) b: find(id: $id)", StatusCode::BAD_REQUEST),
    ] {
        let variables = json!({ "id": "x".repeat(68) });
        let document = format!("query($id: ID!) {{ {fields} }}");
        let body = json!({ "query": document, "variables": variables }).to_string();
        let mut request = query(&document, NEW);
        *request.body_mut() = Body::from(body);
        let response = send(app.clone(), request).await;
        assert_eq!(response.status(), status, "{fields}");
        let refused = text(response).await.contains("200; the limit is 150");
        assert_eq!(refused, status != StatusCode::OK, "{fields}");
    }
}

#[tokio::test]
async fn missing_and_ill_typed_variables_are_errors_of_the_request() {
    let document = "query($id: ID!, $filter: Filter) { find(id: $id, filter: $filter) }";
    for variables in [
        json!({}),
        json!({ "id": null }),
        json!({ "id": "a", "filter": "x" }),
        json!({ "id": "a", "filter": { "name": "x", "size": 3_000_000_000_i64 } }),
    ] {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let mut request = query(document, NEW);
        *request.body_mut() = Body::from(body);
        let (status, body) = answer(request).await;
        assert_eq!(
            (status, code(&body), body.get("data")),
            (StatusCode::BAD_REQUEST, "BAD_USER_INPUT", None),
            "{variables}"
        );
    }
}

#[tokio::test]
async fn schema_is_for_known_callers() {
    let document = include_str!("testdata/introspection.graphql");
    let (status, body) = answer(query(document, NEW)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, body) = answer(anonymous(document)).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED")
    );
}

#[tokio::test]
async fn schema_is_for_nobody_when_introspection_is_off() {
    let options = TransportOptions {
        introspection: false,
        ..TransportOptions::default()
    };
    let app = app_with(options, door());
    let response = send(app.clone(), query("{ __schema { types { name } } }", NEW)).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let response = send(app, query("{ helo }", NEW)).await;
    assert!(!text(response).await.contains("Did you mean"));
}

#[tokio::test]
async fn hook_sees_each_request_with_its_session_and_resolvers_find_the_request_id() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let extend: ExtendRequest<toy::Session> = Arc::new(move |request, session| {
        sink.lock()
            .expect("a lock of a test")
            .push(session.as_ref().map(|session| session.0));
        request
    });
    let options = TransportOptions::default();
    let token = CancellationToken::new();
    let app = router_with(toy::schema(), Arc::new(door()), options, token, extend);
    let mut request = query("{ requestId }", NEW);
    request.headers_mut().insert(
        "x-request-id",
        "from-proxy".parse().expect("a header value"),
    );
    assert_eq!(
        text(send(app, request).await).await,
        r#"{"data":{"requestId":"from-proxy"}}"#
    );
    assert_eq!(*seen.lock().expect("a lock of a test"), [Some("ada")]);
}

#[tokio::test]
async fn browser_gets_a_page_that_loads_nothing() {
    let response = send(app(), get("/graphql", "text/html,*/*;q=0.8")).await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    let page = text(response).await;
    assert!(
        page.contains("/schema.graphql") && !page.contains("src=") && !page.contains("href=\"http")
    );
}

#[tokio::test]
async fn subscription_over_json_is_406() {
    let (status, _) = answer(query("subscription { count(to: 1) }", NEW)).await;
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn subscription_is_an_event_stream_with_a_data_line_in_each_event() {
    let response = send(app(), query("subscription { count(to: 2) }", STREAM)).await;
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let expected = ":\n\nevent: next\ndata: {\"data\":{\"count\":1}}\n\n\
                    event: next\ndata: {\"data\":{\"count\":2}}\n\nevent: complete\ndata:\n\n";
    assert_eq!(text(response).await, expected);
}

#[tokio::test]
async fn query_is_an_event_stream_only_when_no_json_is_accepted() {
    let both = send(app(), query("{ hello }", &format!("{NEW}, {STREAM}"))).await;
    assert_eq!(text(both).await, r#"{"data":{"hello":"world"}}"#);
    let stream = send(app(), query("{ hello }", STREAM)).await;
    let expected =
        "event: next\ndata: {\"data\":{\"hello\":\"world\"}}\n\nevent: complete\ndata:\n\n";
    assert_eq!(text(stream).await, expected);
}

#[tokio::test]
async fn stream_ends_without_complete_at_shutdown_so_that_the_client_returns() {
    let token = CancellationToken::new();
    let options = TransportOptions::default();
    let streams = options.streams.clone();
    let app = router(toy::schema(), Arc::new(door()), options, token.clone());
    let response = send(app, query("subscription { silent }", STREAM)).await;
    token.cancel();
    assert_eq!(text(response).await, ":\n\n");
    streams.close();
    streams.wait().await;
}

#[tokio::test]
async fn stream_ends_with_an_error_when_the_credential_ends() {
    let door = Door {
        anonymous: true,
        expires_at: Some(DateTime::UNIX_EPOCH),
    };
    let app = app_with(TransportOptions::default(), door);
    let body = text(send(app, query("subscription { silent }", STREAM)).await).await;
    assert!(
        body.contains("UNAUTHENTICATED") && body.ends_with("event: complete\ndata:\n\n"),
        "{body}"
    );
}

#[tokio::test]
async fn quiet_stream_is_kept_alive_with_comments() {
    let token = CancellationToken::new();
    let options = TransportOptions {
        keep_alive: Duration::from_millis(5),
        ..TransportOptions::default()
    };
    let app = router(toy::schema(), Arc::new(door()), options, token);
    let response = send(app, query("subscription { silent }", STREAM)).await;
    let mut chunks = response.into_body().into_data_stream();
    for _ in 0..3 {
        let chunk = futures::StreamExt::next(&mut chunks)
            .await
            .expect("a comment")
            .expect("no error");
        assert_eq!(chunk.as_ref(), b":\n\n");
    }
}

#[tokio::test]
async fn reader_that_takes_nothing_loses_its_stream() {
    let options = TransportOptions {
        slow_consumer_timeout: Duration::from_millis(10),
        outgoing_buffer: 2,
        ..TransportOptions::default()
    };
    let streams = options.streams.clone();
    let response = send(
        app_with(options, door()),
        query("subscription { flood }", STREAM),
    )
    .await;
    streams.close();
    // Ends only when the producer has given up, for the body is held and not read.
    streams.wait().await;
    drop(response);
}

#[tokio::test]
async fn stream_of_a_caller_who_has_too_many_is_429_until_another_ends() {
    let options = TransportOptions {
        max_streams_per_caller: 1,
        ..TransportOptions::default()
    };
    let app = app_with(options, door());
    let silent = || query("subscription { silent }", STREAM);
    let first = send(app.clone(), silent()).await;
    let second = send(app.clone(), silent()).await;
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(second.headers()[header::RETRY_AFTER], "5");
    assert!(text(second).await.contains("1 live connections already"));
    assert_eq!(
        send(app.clone(), query("{ hello }", NEW)).await.status(),
        StatusCode::OK,
        "requests are not counted"
    );
    drop(first);
    while send(app.clone(), silent()).await.status() != StatusCode::OK {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn observer_hears_of_each_operation() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let observer: Observer = Arc::new(move |report| {
        let entry = (report.transport, report.kind, report.error.clone());
        sink.lock().expect("a lock of a test").push(entry);
    });
    let options = TransportOptions {
        observer: Some(observer),
        ..TransportOptions::default()
    };
    let app = app_with(options, door());
    send(app.clone(), query("{ hello }", NEW)).await;
    send(app, query("{", NEW)).await;
    let expected = [
        (TransportKind::Http, Some(OperationKind::Query), None),
        (
            TransportKind::Http,
            None,
            Some("GRAPHQL_PARSE_FAILED".to_owned()),
        ),
    ];
    assert_eq!(*heard.lock().expect("a lock of a test"), expected);
}
