//! The public keys of an issuer, kept for a while.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, jwk::JwkSet};
use lockstep_domain::Clock;
use serde::Deserialize;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::{Issuer, refused};
use crate::error::chain;
use crate::transport::AuthRefusal;

/// Least time between two questions to the issuer because of a key that is not known.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);
/// Least time between two questions after one that failed.
const PATIENCE_AFTER_FAILURE: TimeDelta = TimeDelta::seconds(5);
/// How long keys are used before they are asked for again, so that a withdrawn one goes.
const FRESH: TimeDelta = TimeDelta::hours(1);

/// Where the public keys of an issuer come from. The application provides the one over HTTP.
#[async_trait]
pub trait JwksSource: Send + Sync + 'static {
    /// Fetches the JSON Web Key Set.
    ///
    /// # Errors
    /// When the issuer cannot be asked.
    async fn jwks(&self) -> Result<String, JwksError>;
}

/// Why the keys of the issuer could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("could not fetch the keys of the token issuer")]
pub struct JwksError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The keys, and when they were fetched.
pub(super) struct JwksCache {
    source: Arc<dyn JwksSource>,
    clock: Arc<dyn Clock>,
    keys: RwLock<Arc<Keys>>,
    /// Held while the issuer is asked, so that it is asked once.
    asking: Mutex<()>,
}

/// A public key, and for whose tokens its issuer says that it is.
pub(super) struct Published {
    pub(super) key: DecodingKey,
    pub(super) issuer: Option<Issuer>,
}

struct Keys {
    set: KeySet,
    fetched_at: Option<DateTime<Utc>>,
    asked_at: Option<DateTime<Utc>>,
}

impl JwksCache {
    pub(super) fn new(source: Arc<dyn JwksSource>, clock: Arc<dyn Clock>) -> Self {
        let none = Keys {
            set: KeySet::default(),
            fetched_at: None,
            asked_at: None,
        };
        Self {
            source,
            clock,
            keys: RwLock::new(Arc::new(none)),
            asking: Mutex::new(()),
        }
    }

    /// Returns the key that a token says to be signed with.
    pub(super) async fn key_of(&self, token: &str) -> Result<Published, AuthRefusal> {
        let header =
            jsonwebtoken::decode_header(token).map_err(|_| refused("The token cannot be read."))?;
        let kid = header.kid.as_deref();
        let keys = self.keys();
        if let Some(key) = keys
            .find(kid)
            .filter(|_| !keys.is_older_than(FRESH, self.clock.now()))
        {
            return Ok(key);
        }
        self.refresh(kid).await;
        let keys = self.keys();
        match keys.find(kid) {
            Some(key) => Ok(key),
            None if keys.fetched_at.is_none() || keys.fetched_at < keys.asked_at => {
                Err(AuthRefusal::Unavailable)
            }
            None => Err(refused(
                "The token is signed with a key that its issuer does not publish.",
            )),
        }
    }

    async fn refresh(&self, kid: Option<&str>) {
        let _asking = self.asking.lock().await;
        let (keys, now) = (self.keys(), self.clock.now());
        let known = keys.find(kid).is_some() && !keys.is_older_than(FRESH, now);
        if known || keys.was_asked_lately(now) {
            return;
        }
        let (set, fetched_at) = match self.fetch().await {
            Some(set) => (set, Some(now)),
            // Keys that were good an hour ago are better than nobody being let in.
            None => (keys.set.clone(), keys.fetched_at),
        };
        let fresh = Arc::new(Keys {
            set,
            fetched_at,
            asked_at: Some(now),
        });
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    async fn fetch(&self) -> Option<KeySet> {
        let text = match self.source.jwks().await {
            Ok(text) => text,
            Err(error) => {
                warn!(error = %chain(&error), "The keys of the token issuer could not be fetched");
                return None;
            }
        };
        match KeySet::read(&text) {
            Ok(set) => {
                info!(
                    keys = set.keys.keys.len(),
                    "Fetched the keys of the token issuer"
                );
                Some(set)
            }
            Err(error) => {
                warn!(%error, "What the token issuer publishes is no JSON Web Key Set");
                None
            }
        }
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keys {
    fn find(&self, kid: Option<&str>) -> Option<Published> {
        self.set.find(kid)
    }

    fn is_older_than(&self, age: TimeDelta, now: DateTime<Utc>) -> bool {
        self.fetched_at.is_none_or(|at| now - at > age)
    }

    fn was_asked_lately(&self, now: DateTime<Utc>) -> bool {
        let failed = self.fetched_at < self.asked_at;
        let patience = if failed {
            PATIENCE_AFTER_FAILURE
        } else {
            PATIENCE
        };
        self.asked_at.is_some_and(|at| now - at < patience)
    }
}

/// A key set as published.
#[derive(Clone)]
struct KeySet {
    keys: JwkSet,
    /// What Microsoft adds to each key.
    issuers: Issuers,
}

#[derive(Clone, Default, Deserialize)]
struct Issuers {
    keys: Vec<KeyIssuer>,
}

#[derive(Clone, Deserialize)]
struct KeyIssuer {
    kid: Option<String>,
    issuer: Option<String>,
}

impl Default for KeySet {
    fn default() -> Self {
        Self {
            keys: JwkSet { keys: Vec::new() },
            issuers: Issuers::default(),
        }
    }
}

impl KeySet {
    fn read(text: &str) -> serde_json::Result<Self> {
        Ok(Self {
            keys: serde_json::from_str(text)?,
            issuers: serde_json::from_str(text)?,
        })
    }

    /// Finds the public key of that name; a token without a name is one of an issuer with one key.
    fn find(&self, kid: Option<&str>) -> Option<Published> {
        let jwk = match (kid, self.keys.keys.as_slice()) {
            (Some(kid), _) => self.keys.find(kid)?,
            (None, [only]) => only,
            (None, _) => return None,
        };
        // A published secret would be one that everybody knows.
        let key = DecodingKey::from_jwk(jwk)
            .ok()
            .filter(|key| key.family() != AlgorithmFamily::Hmac)?;
        let kid = jwk.common.key_id.as_deref();
        let mut named = self.issuers.keys.iter();
        let issuer = named
            .find(|key| key.kid.as_deref() == kid)?
            .issuer
            .as_deref();
        // A key for the tokens of an issuer that cannot be is a key for none.
        let issuer = issuer.map(Issuer::parse).transpose().ok()?;
        Some(Published { key, issuer })
    }
}
