#!/usr/bin/env bash
# gql 4.4.0 (Python, its usual WebSocket transport over websockets 17.4) against hyper 1.12.0 (Rust, with axum 0.8.9).
#
# Behaviour: gql keeps the headers of the upgrade in a plain dict and looks there for exactly "Sec-WebSocket-Protocol".
# hyper writes names of headers small, which HTTP allows. So gql finds no sub-protocol and speaks the retired one
# ("graphql-ws") although the server has chosen "graphql-transport-ws". hyper's `title_case_headers(true)` does not help:
# it writes "Sec-Websocket-Protocol", with a small s. What helps is `preserve_header_case(true)` and to hand the
# extensions of the request on to the answer: hyper keeps there how the client has spelled its own header.
#
# Seen:
#   small     server chose graphql-transport-ws, gql speaks graphql-ws
#   title     server chose graphql-transport-ws, gql speaks graphql-ws
#   preserve  server chose graphql-transport-ws, gql speaks graphql-transport-ws
#
# Needs cargo, python3 with venv, and their registries. Exits with 1 when something else is seen.
set -euo pipefail

folder=$(mktemp -d)
server=0
trap '[ "$server" = 0 ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "spelling"
version = "0.0.0"
edition = "2024"

[dependencies]
axum = { version = "=0.8.9", features = ["ws"] }
hyper = { version = "=1.12.0", features = ["server", "http1"] }
hyper-util = { version = "=0.1.21", features = ["service", "tokio"] }
tokio = { version = "=1.54.1", features = ["macros", "net", "rt"] }
TOML
cat >src/main.rs <<'RUST'
use axum::{Router, extract::{FromRequestParts, Request, ws::WebSocketUpgrade}, response::Response, routing::any};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};

async fn upgrade(request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.unwrap();
    let mut response = upgrade.protocols(["graphql-transport-ws"]).on_upgrade(|mut socket| async move {
        socket.recv().await;
        let _ = socket.send(r#"{"type":"connection_ack"}"#.into()).await;
        socket.recv().await;
    });
    response.extensions_mut().extend(parts.extensions);
    response
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let spelling = std::env::args().nth(1).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(Router::new().route("/", any(upgrade)));
        let mut http = hyper::server::conn::http1::Builder::new();
        http.title_case_headers(spelling == "title").preserve_header_case(spelling == "preserve");
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}
RUST
cat >client.py <<'PYTHON'
import asyncio, sys
from gql import Client
from gql.transport.websockets import WebsocketsTransport

async def main():
    transport = WebsocketsTransport(url=f"ws://127.0.0.1:{sys.argv[1]}/")
    async with Client(transport=transport, fetch_schema_from_transport=False):
        chosen = transport.adapter.websocket.subprotocol
        print(f"server chose {chosen}, gql speaks {transport.subprotocol}")

asyncio.run(main())
PYTHON

cargo build --quiet
python3 -m venv venv
venv/bin/pip install --quiet 'gql[websockets]==4.4.0' 'websockets==17.4'

seen() {
    "${CARGO_TARGET_DIR:-target}/debug/spelling" "$1" >port &
    server=$!
    for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
    printf '%-9s %s\n' "$1" "$(timeout 30 venv/bin/python client.py "$(cat port)")"
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=0
    : >port
}

{ seen small; seen title; seen preserve; } | tee seen
diff seen - <<'EXPECTED'
small     server chose graphql-transport-ws, gql speaks graphql-ws
title     server chose graphql-transport-ws, gql speaks graphql-ws
preserve  server chose graphql-transport-ws, gql speaks graphql-transport-ws
EXPECTED
