//! Which web pages may use the endpoint: one list for sockets and for everything else.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{self, ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::map_response,
    response::Response,
};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::request_id;

/// How long a browser may remember what a preflight said. Chromium keeps it no longer.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// What every answer to a page begins with that browsers look for.
const PREFIX: &str = "access-control-";

/// Origins of pages, such as `https://console.example.com`.
#[derive(Debug, Clone)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// Takes a list. A slash at the end and the case do not matter.
    pub fn new(listed: &[String]) -> Self {
        let plain = |entry: &String| entry.trim_end_matches('/').to_ascii_lowercase();
        Self(listed.iter().map(plain).collect())
    }

    /// Whether an origin is listed.
    pub(super) fn lists(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        self.0
            .iter()
            .any(|entry| entry.eq_ignore_ascii_case(origin))
    }

    /// Whether the page that opens a socket may do so. CORS does not cover sockets, so this is the only check.
    ///
    /// A caller without `Origin` is no browser. A page of the endpoint's own host is always let in.
    pub(super) fn may_open_socket(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        self.lists(origin) || is_own(origin, headers.get(header::HOST))
    }
}

fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), host.map(HeaderValue::to_str)) else {
        return false;
    };
    let authority = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Lets pages of the listed origins use every route of `router`, preflights included. Pages of others are told nothing.
///
/// Without credentials: tokens come in a header that the page sets, so there is no cookie that another page could use.
/// Any header may be sent, because clients add their own and the page is trusted with a token anyway.
pub fn open_to(router: Router, origins: Origins) -> Router {
    let exposed = [request_id::HEADER, RETRY_AFTER, WWW_AUTHENTICATE, ALLOW];
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origins.lists(origin)
        }))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed)
        .max_age(MAX_AGE);
    router.layer(layer).layer(map_response(silent_to_others))
}

/// The layer lists methods and headers also to those it does not allow.
async fn silent_to_others(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        let told = headers
            .keys()
            .filter(|name| name.as_str().starts_with(PREFIX));
        let told: Vec<HeaderName> = told.cloned().collect();
        told.iter().for_each(|name| drop(headers.remove(name)));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, StatusCode},
        routing::get,
    };
    use tower::ServiceExt;

    use super::*;

    const PAGE: &str = "https://console.example.com";

    fn app() -> Router {
        let answer = || async { [(request_id::HEADER, "1"), (header::VARY, "accept")] };
        let listed = ["https://Console.example.com/".to_owned()];
        open_to(
            Router::new().route("/schema.graphql", get(answer)),
            Origins::new(&listed),
        )
    }

    async fn ask(method: Method, origin: &str) -> Response {
        let request = Request::builder()
            .method(method)
            .uri("/schema.graphql")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                "authorization,content-type,x-own",
            );
        app()
            .oneshot(request.body(Body::empty()).expect("a request of a test"))
            .await
            .expect("a router that cannot fail")
    }

    fn told(response: &Response) -> Vec<String> {
        let names = response
            .headers()
            .keys()
            .map(|name| name.as_str().to_owned());
        names.filter(|name| name.starts_with(PREFIX)).collect()
    }

    #[tokio::test]
    async fn preflight_of_a_listed_page_is_answered_without_credentials() {
        let response = ask(Method::OPTIONS, PAGE).await;
        assert_eq!(response.status(), StatusCode::OK);
        let header = |name: &str| response.headers()[name].to_str().expect("plain text");
        assert_eq!(header("access-control-allow-origin"), PAGE);
        assert_eq!(header("access-control-allow-methods"), "GET,POST");
        assert_eq!(
            header("access-control-allow-headers"),
            "authorization,content-type,x-own"
        );
        assert_eq!(header("access-control-max-age"), "7200");
        assert!(!told(&response).contains(&"access-control-allow-credentials".to_owned()));
    }

    #[tokio::test]
    async fn answer_to_a_listed_page_can_be_read_with_its_request_id() {
        let response = ask(Method::GET, PAGE).await;
        assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
        let exposed = response.headers()["access-control-expose-headers"]
            .to_str()
            .expect("text");
        assert!(
            exposed.contains("x-request-id") && exposed.contains("retry-after"),
            "{exposed}"
        );
        let vary = response.headers().get_all(header::VARY).iter();
        let vary: Vec<&str> = vary.filter_map(|value| value.to_str().ok()).collect();
        assert!(
            vary.join(",").contains("origin") && vary.join(",").contains("accept"),
            "{vary:?}"
        );
    }

    #[tokio::test]
    async fn pages_of_other_origins_are_told_nothing() {
        for origin in [
            "https://evil.example",
            "null",
            "https://console.example.com.evil.example",
        ] {
            for method in [Method::OPTIONS, Method::GET] {
                let response = ask(method, origin).await;
                assert_eq!(told(&response), [""; 0], "{origin}");
                assert!(
                    response.headers().contains_key(header::VARY),
                    "a cache must know"
                );
            }
        }
    }
}
