//! A provider of sign-ins: it publishes a key and signs tokens with it. And an installation that trusts it.

use std::sync::Arc;

use aws_lc_rs::{encoding::AsDer as _, rand::SystemRandom, signature as signing};
use futures::{SinkExt as _, StreamExt as _};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use lockstep_domain::{Clock as _, SystemClock};
use lockstep_tests::http::graphql;
use lockstep_tests::postgres;
use lockstep_tests::process::{Finished, Invocation, Running, Stream};
use lockstep_tests::wait::{PATIENCE, eventually};
use serde_json::{Value, json};
use signing::KeyPair as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::set_up::free_port;
use crate::world::Backend;

/// Name of the key that the provider publishes.
const KEY: &str = "key-1";

/// What Microsoft calls the issuer of tokens of any tenant.
pub(crate) const ENTRA: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
/// Whom tokens are for.
pub(crate) const AUDIENCE: &str = "6e74172b-be56-4843-9ff4-e66a39bb12e3";

/// Somebody who signs tokens and publishes the key.
pub(crate) struct Provider {
    key: EncodingKey,
    /// The public key as the settings want it.
    pub(crate) pem: String,
    pub(crate) jwks_url: String,
}

impl Provider {
    /// Starts to publish; `issuer` is what Microsoft adds to each key.
    pub(crate) async fn start(issuer: Option<&str>) -> Self {
        let algorithm = &signing::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = signing::EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(KEY.to_owned());
        let mut jwk = serde_json::to_value(jwk).unwrap();
        if let Some(issuer) = issuer {
            jwk["issuer"] = json!(issuer);
        }
        let published: Arc<str> = json!({ "keys": [jwk] }).to_string().into();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let jwks_url = format!("http://{}/keys", listener.local_addr().unwrap());
        let router = axum::Router::new().route(
            "/keys",
            axum::routing::get(move || async move { published.to_string() }),
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        let pair = signing::EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
        Self {
            key,
            pem: pem(pair.public_key().as_der().unwrap().as_ref()),
            jwks_url,
        }
    }

    /// Signs a token.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(KEY.to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

/// The end of a token, in seconds, by the clock that the server under test has.
pub(crate) fn in_an_hour() -> i64 {
    SystemClock.now().timestamp() + 3_600
}

/// Claims of a person who signed in at a tenant of Microsoft, an hour long.
pub(crate) fn entra(tenant: &str, person: &str) -> Value {
    json!({
        "iss": ENTRA.replace("{tenantid}", tenant),
        "aud": AUDIENCE,
        "exp": in_an_hour(),
        "sub": format!("pairwise-{person}"),
        "tid": tenant,
        "oid": person,
        "ver": "2.0",
    })
}

/// The program in one process, on a database of the test's own.
pub(crate) struct Installation {
    environment: Vec<(&'static str, String)>,
    api: String,
    folder: tempfile::TempDir,
    running: Option<Running>,
}

impl Installation {
    pub(crate) fn new(backend: Backend, settings: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = format!("127.0.0.1:{}", free_port());
        let database = match backend {
            Backend::Sqlite => format!("sqlite:{}", folder.path().join("l.db").display()),
            Backend::Postgres => postgres::shared().fresh_database().unwrap(),
        };
        let (_, private) = lockstep_seal::generate_keys();
        let private = secrecy::ExposeSecret::expose_secret(&private).to_owned();
        let mut environment = vec![
            ("LOCKSTEP_DATABASE_URL", database),
            ("LOCKSTEP_OPEN_KEY", private),
            ("LOCKSTEP_LISTEN", listen.clone()),
            ("LOCKSTEP_LOG", "info".to_owned()),
        ];
        let settings = settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        environment.extend(settings);
        Self {
            environment,
            api: format!("127.0.0.1:{}/graphql", listen.rsplit(':').next().unwrap()),
            folder,
            running: None,
        }
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.environment[0].1
    }

    fn command(&self, args: &[&str]) -> Invocation {
        self.environment.iter().fold(
            Invocation::lockstep(args).folder(self.folder.path()),
            |invocation, (name, value)| invocation.env(name, value),
        )
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Finished {
        self.command(args).finish(PATIENCE).await.unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub(crate) async fn printed(&self, args: &[&str]) -> String {
        let finished = self.run(args).await;
        assert!(finished.status.success(), "{args:?}: {finished:?}");
        finished.stdout
    }

    /// Runs a command that must fail, and returns what it said.
    pub(crate) async fn refused(&self, args: &[&str]) -> String {
        let finished = self.run(args).await;
        assert!(!finished.status.success(), "{args:?}: {finished:?}");
        finished.stderr
    }

    /// Brings the database up to date and makes an organization with an owner; returns its id.
    pub(crate) async fn organization(&self, name: &str, owner: &str) -> String {
        self.printed(&["migrate"]).await;
        let args = [
            "org",
            "create",
            "--name",
            name,
            "--owner-email",
            owner,
            "--owner-given-name",
            "Olga",
            "--owner-family-name",
            "Owner",
        ];
        let printed = self.printed(&args).await;
        printed.split_whitespace().nth(1).unwrap().to_owned()
    }

    pub(crate) async fn serve(&mut self) {
        self.running = Some(self.command(&["all"]).start().unwrap());
        let health = format!("http://{}", self.api.replace("/graphql", "/healthz"));
        eventually("the server answers", PATIENCE, async || {
            reqwest::get(&health).await.ok().map(drop)
        })
        .await;
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        let running = self.running.as_ref().unwrap();
        running.printed(Stream::Stderr) + &running.printed(Stream::Stdout)
    }

    pub(crate) async fn ask(&self, token: &str, query: &str, variables: Value) -> Value {
        let url = format!("http://{}", self.api);
        graphql(&url, Some(token), query, variables).await.unwrap()
    }

    /// Who the server takes the bearer for: address and role, or the code of the refusal.
    pub(crate) async fn viewer(&self, token: &str) -> String {
        let answer = self
            .ask(
                token,
                "{ viewer { role user { email status } } }",
                json!({}),
            )
            .await;
        if let Some(code) = answer["errors"][0]["extensions"]["code"].as_str() {
            return code.to_owned();
        }
        let viewer = &answer["data"]["viewer"];
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        format!(
            "{} {}",
            text(&viewer["user"]["email"]),
            text(&viewer["role"])
        )
    }

    /// The same for a caller who means one organization.
    pub(crate) async fn viewer_in(&self, token: &str, organization: &str) -> String {
        let request = reqwest::Client::new()
            .post(format!("http://{}", self.api))
            .bearer_auth(token)
            .header("lockstep-organization", organization)
            .json(&json!({ "query": "{ viewer { organization { name } user { email } } }" }));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let code = answer["errors"][0]["extensions"]["code"].as_str();
        let email = answer["data"]["viewer"]["user"]["email"].as_str();
        code.or(email)
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    /// Says who is there over WebSocket: the type of the answer, or the close code and its reason.
    pub(crate) async fn greet(&self, payload: Value) -> String {
        let mut request = format!("ws://{}/ws", self.api)
            .into_client_request()
            .unwrap();
        request.headers_mut().insert(
            "sec-websocket-protocol",
            "graphql-transport-ws".parse().unwrap(),
        );
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let init = json!({ "type": "connection_init", "payload": payload });
        socket.send(Message::text(init.to_string())).await.unwrap();
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => {
                let answer: Value = serde_json::from_str(&text).unwrap();
                answer["type"].as_str().unwrap().to_owned()
            }
            Message::Close(Some(frame)) => format!("{} {}", u16::from(frame.code), frame.reason),
            other => panic!("{other:?}"),
        }
    }
}
