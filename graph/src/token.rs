//! The one token of a client: fetched when needed, shared, renewed before it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use reqwest::{Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    ClientOptions, Credentials, Endpoints, GraphError, fetch::endure, link, patience::Patience,
    throttle::Gate, transport::Transport, url,
};

const OPERATION: &str = "sign in";
/// A token is renewed this long before its end, so that none ends on its way.
const MARGIN: Duration = Duration::from_secs(300);
/// A sensible life, where the answer does not name one.
const USUAL_LIFE: u64 = 3600;

/// A token, ready to send.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) bearer: HeaderValue,
    pub(crate) text: Arc<SecretString>,
    pub(crate) generation: u64,
    renew_at: Instant,
}

/// Fetches the token for all requests of a client.
pub(crate) struct TokenSource {
    endpoint: Url,
    scope: String,
    credentials: Credentials,
    gate: Gate,
    fetches: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    generation: u64,
    failure: Option<GraphError>,
}

impl TokenSource {
    pub(crate) fn new(endpoints: &Endpoints, credentials: Credentials) -> Result<Self, GraphError> {
        credentials.check()?;
        let endpoint = link::verbatim(&url::token(&endpoints.login, &credentials.tenant)).ok_or(
            GraphError::Configuration {
                reason: "the login address is not usable",
            },
        )?;
        let scope = endpoints.scope();
        let (gate, fetches, held) = (Gate::default(), AtomicU64::new(0), Mutex::default());
        Ok(Self {
            endpoint,
            scope,
            credentials,
            gate,
            fetches,
            held,
        })
    }

    /// Returns a token with life left in it. Who asks while it is being fetched waits for that one fetch,
    /// and shares its failure.
    pub(crate) async fn get(
        &self,
        transport: &Transport,
        options: &ClientOptions,
    ) -> Result<Token, GraphError> {
        let asked = self.fetches.load(Relaxed);
        let mut held = self.held.lock().await;
        if let Some(token) = held
            .token
            .as_ref()
            .filter(|token| Instant::now() < token.renew_at)
        {
            return Ok(token.clone());
        }
        if let Some(failure) = held
            .failure
            .as_ref()
            .filter(|_| self.fetches.load(Relaxed) > asked)
        {
            return Err(failure.clone());
        }
        let outcome = self.fetch(transport, options, held.generation + 1).await;
        self.fetches.fetch_add(1, Relaxed);
        held.keep(outcome)
    }

    /// Throws a refused token away, unless another request already did.
    pub(crate) async fn discard(&self, generation: u64) {
        let mut held = self.held.lock().await;
        if held.generation == generation {
            held.token = None;
        }
    }

    async fn fetch(
        &self,
        transport: &Transport,
        options: &ClientOptions,
        generation: u64,
    ) -> Result<Token, GraphError> {
        let mut patience = Patience::default();
        loop {
            let waited = self.gate.pass(OPERATION, options.max_throttle_wait).await?;
            transport.counters.count_wait(waited);
            match self.ask(transport, options, generation).await {
                Ok(token) => return Ok(token),
                Err(error) => endure(error, &mut patience, &self.gate, transport, options).await?,
            };
        }
    }

    async fn ask(
        &self,
        transport: &Transport,
        options: &ClientOptions,
        generation: u64,
    ) -> Result<Token, GraphError> {
        let Credentials {
            tenant: _,
            client_id,
            client_secret,
        } = &self.credentials;
        let form = [
            ("client_id", client_id.as_str()),
            ("scope", &self.scope),
            ("client_secret", client_secret.expose_secret()),
            ("grant_type", "client_credentials"),
        ];
        transport.counters.token_requests.fetch_add(1, Relaxed);
        let began = Instant::now();
        let request = transport.client().post(self.endpoint.clone()).form(&form);
        let reply = transport
            .send(OPERATION, request, options.request_timeout)
            .await?;
        if reply.status != 200 {
            return Err(reply.refusal().of_login());
        }
        Token::read(&reply.body, began, generation).ok_or(GraphError::BadResponse {
            operation: OPERATION,
            reason: "no token in the answer",
            status: 200,
        })
    }
}

impl Held {
    fn keep(&mut self, outcome: Result<Token, GraphError>) -> Result<Token, GraphError> {
        match outcome {
            Ok(token) => {
                *self = Self {
                    token: Some(token.clone()),
                    generation: token.generation,
                    failure: None,
                };
                Ok(token)
            }
            Err(error) => {
                self.failure = Some(error.clone());
                Err(error)
            }
        }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: Value,
}

impl Token {
    fn read(body: &[u8], began: Instant, generation: u64) -> Option<Self> {
        let TokenAnswer {
            access_token,
            expires_in,
        } = serde_json::from_slice(body).ok()?;
        if access_token.is_empty() {
            return None;
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {access_token}")).ok()?;
        bearer.set_sensitive(true);
        let life = renewal(seconds(&expires_in));
        let text = Arc::new(SecretString::from(access_token));
        Some(Self {
            bearer,
            text,
            generation,
            renew_at: began + life,
        })
    }
}

/// The number also comes as text.
fn seconds(expires_in: &Value) -> Duration {
    let number = expires_in
        .as_u64()
        .or_else(|| expires_in.as_str()?.parse().ok());
    // A week is more than any token lives, and keeps the clock from overflowing.
    Duration::from_secs(number.unwrap_or(USUAL_LIFE).min(7 * 24 * 3600))
}

/// Returns when in its life a token is renewed: five minutes before the end, a short one at half-life.
fn renewal(life: Duration) -> Duration {
    life.saturating_sub(MARGIN).max(life / 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_renewed_five_minutes_early_and_a_short_one_at_half_life() {
        assert_eq!(
            renewal(Duration::from_secs(3599)),
            Duration::from_secs(3299)
        );
        assert_eq!(renewal(Duration::from_secs(60)), Duration::from_secs(30));
        assert_eq!(renewal(Duration::from_secs(600)), Duration::from_secs(300));
    }

    #[test]
    fn the_life_of_a_token_may_be_text_or_missing() {
        assert_eq!(seconds(&json!(5)), Duration::from_secs(5));
        assert_eq!(seconds(&json!("5")), Duration::from_secs(5));
        assert_eq!(seconds(&Value::Null), Duration::from_secs(3600));
        assert_eq!(
            seconds(&json!(u64::MAX)),
            Duration::from_secs(7 * 24 * 3600)
        );
    }

    #[test]
    fn an_answer_without_a_usable_token_is_none() {
        for body in [
            r#"{"access_token":""}"#,
            r#"{"access_token":"a\nb"}"#,
            "{}",
            "<html>",
        ] {
            assert!(
                Token::read(body.as_bytes(), Instant::now(), 1).is_none(),
                "{body}"
            );
        }
    }
}
