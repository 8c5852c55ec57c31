//! The front door as others find it: a page in a browser, clients of other people, and peers who say nothing.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use lockstep_sandbox::{Fault, FaultKind};
use lockstep_tests::clients;
use lockstep_tests::process::{Invocation, Running};
use lockstep_tests::wait::{PATIENCE, eventually};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

use crate::set_up::{SetUp, free_port};
use crate::world::{both, many};

/// Where clients are installed, once for all tests.
const CACHE: &str = env!("CARGO_TARGET_TMPDIR");

/// A server of another origin, whose page uses the API.
struct Site {
    port: u16,
    settings: Arc<Mutex<Value>>,
    reports: mpsc::UnboundedReceiver<Value>,
}

impl Site {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = Arc::new(Mutex::new(Value::Null));
        let (reported, reports) = mpsc::unbounded_channel();
        let page = std::fs::read_to_string(clients::source("page.html")).unwrap();
        let site = Router::new()
            .route("/", get(|| async { Html(page) }))
            .route(
                "/settings",
                get(async |State(settings): State<Arc<Mutex<Value>>>| {
                    Json(settings.lock().await.clone())
                }),
            )
            .route(
                "/report",
                post(async move |Json(report): Json<Value>| drop(reported.send(report))),
            )
            .with_state(Arc::clone(&settings));
        tokio::spawn(async { axum::serve(listener, site).await });
        Self {
            port,
            settings,
            reports,
        }
    }

    /// Opens the page by one of the names of this host, and returns what it reports.
    async fn visit(&mut self, host: &str) -> Value {
        let profile = tempfile::tempdir().unwrap();
        let _browser = browse(&format!("http://{host}:{}/", self.port), profile.path());
        let report = tokio::time::timeout(PATIENCE * 2, self.reports.recv()).await;
        report.expect("a report of the page").unwrap()
    }
}

fn browse(page: &str, profile: &Path) -> Running {
    let mut flags = vec![
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ];
    let profile = format!("--user-data-dir={}", profile.display());
    flags.extend([profile.as_str(), page]);
    Invocation::program(&clients::chromium().unwrap(), flags)
        .start()
        .unwrap()
}

both! {
    async fn a_page_of_an_allowed_origin_queries_changes_and_follows_and_one_of_another_does_not(backend) {
        let mut site = Site::open().await;
        let allowed = [("LOCKSTEP_ALLOWED_ORIGINS", format!("http://127.0.0.1:{}", site.port))];
        let set_up = SetUp::with_environment(backend, many(3), None, &allowed).await;
        let token = set_up.owner().await;
        let _worker = set_up.worker();
        let first = set_up.activate(&token).await;
        set_up.succeeds(&token, &first).await;
        let endpoint = set_up.api.strip_prefix("http://").unwrap();
        *site.settings.lock().await = json!({
            "api": set_up.api,
            "socket": format!("ws://{endpoint}/ws"),
            "schema": set_up.api.replace("/graphql", "/schema.graphql"),
            "token": token,
            "integration": set_up.integration(&token).await,
        });

        let report = site.visit("127.0.0.1").await;
        assert_eq!(report["query"]["data"]["viewer"]["user"]["displayName"], "Olga Owner", "{report}");
        assert!(report["query"]["requestId"].is_string(), "a header that is exposed: {report}");
        assert_eq!(report["get"]["data"]["__typename"], "Query", "{report}");
        assert_eq!(report["schema"], "read", "{report}");
        assert_eq!(report["mutation"]["data"]["runIntegration"]["userErrors"], json!([]), "{report}");
        for way in ["stream", "socket"] {
            let events = report[way].as_array().unwrap_or_else(|| panic!("{way}: {report}"));
            assert_eq!(events.first(), Some(&json!("RunSnapshot")), "{way}: {report}");
            assert_eq!(events.last(), Some(&json!("RunFinished")), "{way}: {report}");
        }

        // The same page by another name of the host is of another origin.
        let report = site.visit("localhost").await;
        for step in ["query", "get", "schema", "mutation", "stream"] {
            assert_eq!(report[step]["error"], "TypeError: Failed to fetch", "{step}: {report}");
        }
        assert_eq!(report["socket"]["error"], "Error: closed with 1006", "{report}");
    }

    async fn clients_in_python_and_javascript_follow_a_run_to_its_end(backend) {
        let cache = Path::new(CACHE);
        let (python, (node, scripts)) = (clients::python(cache).unwrap(), clients::node(cache).unwrap());
        let set_up = SetUp::start(backend, many(3)).await;
        let token = set_up.owner().await;
        let _worker = set_up.worker();
        let first = set_up.activate(&token).await;
        set_up.succeeds(&token, &first).await;
        set_up.control().add_fault(Fault::new(FaultKind::Gate).on_request("users.delta").times(1)).unwrap();
        let run = set_up.run(&token).await;
        let socket = format!("{}/ws", set_up.api.replace("http:", "ws:"));
        let gql = clients::source("follow.py").display().to_string();
        let script = scripts.join("follow.mjs").display().to_string();
        let mut following = [
            Invocation::program(&python, [&gql, &socket, &token, &run]),
            Invocation::program(&node, [&script, "graphql-ws", &socket, &token, &run]),
            Invocation::program(&node, [&script, "graphql-sse", &set_up.api, &token, &run]),
        ]
        .map(|client| client.start().unwrap());
        for client in &following {
            client.line_with("RunSnapshot", PATIENCE).await.unwrap();
        }
        set_up.control().open_gates();
        for client in &mut following {
            client.line_with("RunFinished SUCCEEDED", PATIENCE).await.unwrap();
            assert!(client.exit(PATIENCE).await.unwrap().success(), "{client:?}");
        }
    }
}

#[tokio::test]
async fn idle_sockets_keep_nobody_out_of_a_process_with_few_files() {
    let folder = tempfile::tempdir().unwrap();
    let [listen, health] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let args = ["all", "--listen", &listen, "--health-listen", &health];
    let server = Invocation::lockstep(args)
        .folder(folder.path())
        .open_files(256)
        .start()
        .unwrap();
    server.line_with("Serving GraphQL", PATIENCE).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(TcpStream::connect(&listen).await.unwrap());
    }
    for address in [&listen, &health] {
        let url = format!("http://{address}/healthz");
        let answer = tokio::time::timeout(PATIENCE, reqwest::get(&url)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{url} does not answer: {server:?}"));
        assert_eq!(answer.unwrap().text().await.unwrap(), "ok\n");
    }
    let ready = format!("http://{listen}/readyz");
    eventually("the server is ready", PATIENCE, async || {
        let answer = reqwest::get(&ready).await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    drop(idle);
}
