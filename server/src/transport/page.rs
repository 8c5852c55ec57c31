//! What a browser sees that opens the server.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

use super::options::TransportOptions;

const PAGE: &str = include_str!("page.html");

/// Nothing is loaded from anywhere, so that the page works on a closed network and nobody hears of it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// Returns the page: what this is, where the schema is, and how to send a query.
pub(crate) fn page(options: &TransportOptions, headers: &HeaderMap) -> Response {
    let schema = if options.introspection {
        let path = escaped(&options.sdl_path);
        format!(
            "<p>The schema, with a description of every type and field, is at <a href=\"{path}\">{path}</a>.</p>"
        )
    } else {
        String::new()
    };
    let text = PAGE
        .replace("{schema}", &schema)
        .replace("{origin}", &escaped(&origin(headers)));
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Where the browser believes the server to be, as far as it says so; a proxy tells whether over TLS.
fn origin(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    format!("{scheme}://{}", text("host").unwrap_or("HOST"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
