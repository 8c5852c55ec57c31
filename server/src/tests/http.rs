//! The whole server, from the header to the row.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::world::World;
use crate::auth::{Claims, JwtKey, JwtSettings, TokenAuthenticator, mint};
use crate::router;
use crate::transport::TransportOptions;

fn settings() -> JwtSettings {
    JwtSettings::of_ours(JwtKey::Secret("a secret of the tests".to_owned().into()))
}

fn server(world: &World) -> Router {
    let authenticator = TokenAuthenticator::new(world.store.clone(), settings()).unwrap();
    let options = TransportOptions {
        clock: world.store.clock(),
        ..TransportOptions::default()
    };
    router(
        Arc::clone(&world.context),
        Arc::new(authenticator),
        options,
        CancellationToken::new(),
    )
}

async fn send(server: Router, request: Request<Body>) -> (StatusCode, String) {
    let response = server.oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn ask(world: &World, token: Option<String>, document: &str) -> (StatusCode, Value) {
    let request = Request::post("/graphql")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/graphql-response+json");
    let request = match token {
        Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    };
    let body = json!({ "query": document }).to_string();
    let (status, body) = send(server(world), request.body(Body::from(body)).unwrap()).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn a_token_opens_the_door_to_its_own_organization() {
    let world = World::new().await;
    let claims = Claims::of_user(
        world.eve,
        world.other,
        world.store.now() + TimeDelta::hours(1),
    );
    let token = mint(&settings(), &claims).unwrap();
    let (status, body) = ask(
        &world,
        Some(token),
        "{ viewer { organization { name users { nodes { displayName } } } } service { maxDepth } }",
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    let organization =
        json!({ "name": "Second", "users": { "nodes": [{ "displayName": "Eve Doe" }] } });
    assert_eq!(
        body["data"],
        json!({ "viewer": { "organization": organization }, "service": { "maxDepth": 15 } })
    );
    let (status, body) = ask(&world, None, "{ service { version } }").await;
    assert_eq!(
        (status, &body["errors"][0]["extensions"]["code"]),
        (StatusCode::UNAUTHORIZED, &json!("UNAUTHENTICATED"))
    );
}

#[tokio::test]
async fn health_and_schema_are_told_to_everyone() {
    let world = World::new().await;
    let get = async |path: &str| {
        send(
            server(&world),
            Request::get(path).body(Body::empty()).unwrap(),
        )
        .await
    };
    assert_eq!(get("/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    let ready = json!({ "database": true, "migrations": true, "queue": true }).to_string();
    assert_eq!(get("/readyz").await, (StatusCode::OK, ready));
    assert_eq!(get("/schema.graphql").await, (StatusCode::OK, crate::sdl()));
}

#[tokio::test]
async fn the_introspection_of_tools_fits_the_limits() {
    let world = World::new().await;
    let claims = Claims::of_user(
        world.ada,
        world.organization,
        world.store.now() + TimeDelta::hours(1),
    );
    let token = mint(&settings(), &claims).unwrap();
    let document = include_str!("../transport/testdata/introspection.graphql");
    let (status, body) = ask(&world, Some(token), document).await;
    assert_eq!((status, body.get("errors")), (StatusCode::OK, None));
}
