//! A server that records what it is asked and answers what a test wants.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, Response},
};
use lockstep_graph::{
    ClientOptions, Credentials, Endpoints, GraphClient, GraphError, Page, Pages, Url, Waits,
};
use tokio::net::TcpListener;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// An answer. `{base}` in the body becomes the server's address.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

pub(crate) fn reply(status: u16, body: impl Into<String>) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

pub(crate) fn error(status: u16, code: &str) -> Reply {
    reply(
        status,
        format!(r#"{{"error":{{"code":"{code}","message":"no"}}}}"#),
    )
}

impl Reply {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

type Handler = Box<dyn Fn(&Seen, usize) -> Reply + Send + Sync>;

/// The server. The number a handler is given counts the requests of its kind, from zero.
pub(crate) struct Fake {
    pub(crate) base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(crate) async fn start(
        graph: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with_login(graph, |_, n| token(&format!("tok-{}", n + 1), 3600)).await
    }

    pub(crate) async fn start_with_login(
        graph: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
        login: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Script {
            graph: Box::new(graph),
            login: Box::new(login),
            base: base.clone(),
            seen: Arc::clone(&seen),
        });
        let app = Router::new().fallback(move |request: Request| {
            let script = Arc::clone(&script);
            async move { script.answer(record(request).await) }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, seen }
    }

    /// The requests for anything but tokens.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| !seen.target.ends_with("/token"))
            .cloned()
            .collect()
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.asked().into_iter().map(|seen| seen.target).collect()
    }

    pub(crate) fn token_requests(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| seen.target.ends_with("/token"))
            .cloned()
            .collect()
    }

    pub(crate) fn client(&self) -> GraphClient {
        client_of(&self.base, hasty())
    }

    pub(crate) fn client_with(&self, options: ClientOptions) -> GraphClient {
        client_of(&self.base, options)
    }
}

/// What the server does.
struct Script {
    graph: Handler,
    login: Handler,
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Script {
    fn answer(&self, seen: Seen) -> Response<Body> {
        let is_login = seen.target.ends_with("/token");
        let number = count(&self.seen, &seen, is_login);
        let handler = if is_login { &self.login } else { &self.graph };
        respond(handler(&seen, number), &self.base)
    }
}

fn count(all: &Mutex<Vec<Seen>>, seen: &Seen, is_login: bool) -> usize {
    let mut all = all.lock().unwrap();
    let number = all
        .iter()
        .filter(|seen| seen.target.ends_with("/token") == is_login)
        .count();
    all.push(seen.clone());
    number
}

async fn record(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn respond(reply: Reply, base: &str) -> Response<Body> {
    let mut response = Response::builder()
        .status(reply.status)
        .header("content-type", "application/json");
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response
        .body(Body::from(reply.body.replace("{base}", base)))
        .unwrap()
}

pub(crate) fn token(text: &str, expires_in: u64) -> Reply {
    reply(
        200,
        format!(r#"{{"token_type":"Bearer","expires_in":{expires_in},"access_token":"{text}"}}"#),
    )
}

/// Options with the shape of the real ones, a thousand times faster.
pub(crate) fn hasty() -> ClientOptions {
    let ms = Duration::from_millis;
    ClientOptions {
        waits: Waits {
            throttle_first: ms(2),
            throttle_longest: ms(20),
            transient_first: ms(1),
            transient_longest: ms(10),
            identity: ms(1),
        },
        ..ClientOptions::default()
    }
}

pub(crate) fn client_of(base: &str, options: ClientOptions) -> GraphClient {
    let url = Url::parse(base).unwrap();
    let endpoints = Endpoints {
        graph: url.clone(),
        login: url,
    };
    GraphClient::new(endpoints, credentials(), options).unwrap()
}

pub(crate) fn credentials() -> Credentials {
    Credentials {
        tenant: "contoso.onmicrosoft.com".into(),
        client_id: "535fb089-9ff3-47b6-9bfb-4f1264799865".into(),
        client_secret: "s~e+c/r.e_t&".into(),
    }
}

/// Reads all pages.
pub(crate) async fn all<T>(mut pages: Pages<T>) -> Result<Vec<Page<T>>, GraphError> {
    let mut read = Vec::new();
    while let Some(page) = pages.next().await? {
        read.push(page);
    }
    Ok(read)
}
