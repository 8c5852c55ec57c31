//! What a browser sees that opens the endpoint.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};

use super::options::TransportOptions;

/// Returns the page. It loads nothing, so it works on a closed network.
pub(super) fn page(options: &TransportOptions) -> Response {
    let path = escaped(&options.sdl_path);
    let mut response = Response::new(Body::from(PAGE.replace("{sdl}", &path)));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Lockstep GraphQL API</title>
<style>
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark }
pre { overflow-x: auto; padding: 1rem; border: 1px solid; border-radius: .4rem }
</style>
</head>
<body>
<h1>Lockstep GraphQL API</h1>
<p>This address is for programs. The schema, with a description of every type and field, is at <a href="{sdl}">{sdl}</a>.</p>
<h2>Queries and mutations</h2>
<pre>POST /graphql
Authorization: Bearer …
Content-Type: application/json
Accept: application/graphql-response+json, application/json

{"query": "{ __typename }"}</pre>
<h2>Subscriptions</h2>
<p>Either over a WebSocket at <code>/graphql/ws</code> with the sub-protocol <code>graphql-transport-ws</code> and
<code>{"Authorization": "Bearer …"}</code> as the payload of <code>connection_init</code>, or with the same POST and
<code>Accept: text/event-stream</code>.</p>
</body>
</html>
"#;
