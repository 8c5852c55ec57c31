//! Bearer tokens: who a caller says to be, and what the row of that user says about it.
//!
//! A token names a user (`sub`) and an organization (`org`) by their UUIDs. It grants nothing: role and status come
//! from the user's row, read anew for each request. Only the scope `staff` is taken from the token, because staff of
//! the platform have no row here.

mod jwks;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind,
};
use lockstep_domain::{OrganizationId, UserId, UserStatus};
use lockstep_store::{Store, StoreError};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tracing::error;

use self::jwks::JwksCache;
pub use self::jwks::{JwksError, JwksSource};
use crate::error::chain;
use crate::session::Session;
use crate::transport::{AuthRefusal, Authenticated, Authenticator};

/// The scope of the platform's staff.
pub const STAFF_SCOPE: &str = "staff";

/// How far the clock of whoever issues tokens may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);

/// How tokens are verified.
#[derive(Clone)]
pub struct JwtSettings {
    /// The `iss` that every token must have, none when it does not matter.
    pub issuer: Option<String>,
    /// The `aud` that every token must have, none when it does not matter.
    pub audience: Option<String>,
    /// What the signature is checked with.
    pub key: JwtKey,
}

/// What the signature of a token is checked with.
#[derive(Clone)]
pub enum JwtKey {
    /// A secret that issuer and verifier share (HS256); for local use and tests.
    Secret(SecretString),
    /// The public key of the issuer as PEM (RSA or elliptic curve).
    PublicPem(String),
    /// The public keys of the issuer, fetched and kept.
    Jwks(Arc<dyn JwksSource>),
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The subject: the UUID of a user, or any name for staff without an organization.
    pub subject: String,
    /// The organization of the user.
    pub organization: Option<OrganizationId>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// Name of a person, shown for staff who have no row.
    pub name: Option<String>,
    /// When the token ends.
    pub expires_at: DateTime<Utc>,
}

impl Claims {
    /// The claims of a user of an organization.
    #[must_use]
    pub fn of_user(user: UserId, organization: OrganizationId, expires_at: DateTime<Utc>) -> Self {
        Self {
            subject: user.0.to_string(),
            organization: Some(organization),
            scopes: Vec::new(),
            name: None,
            expires_at,
        }
    }

    /// The claims of staff who belong to no organization.
    #[must_use]
    pub fn of_staff(name: &str, expires_at: DateTime<Utc>) -> Self {
        Self {
            subject: name.to_owned(),
            organization: None,
            scopes: vec![STAFF_SCOPE.to_owned()],
            name: Some(name.to_owned()),
            expires_at,
        }
    }

    fn is_staff(&self) -> bool {
        self.scopes.iter().any(|scope| scope == STAFF_SCOPE)
    }
}

/// Claims as they travel.
#[derive(Serialize, Deserialize)]
struct WireClaims {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<OrganizationId>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<serde_json::Value>,
}

/// Why tokens cannot be made or verified with the settings at hand.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The PEM holds no public key that can be used.
    #[error(
        "the public key for tokens is not a PEM of an RSA or elliptic-curve key; check LOCKSTEP_JWT_PUBLIC_KEY_FILE"
    )]
    PublicKey,
    /// Tokens can only be made with a shared secret.
    #[error("tokens can only be made here with a shared secret; ask their issuer for one")]
    NoSecret,
    /// The token could not be written.
    #[error("the token could not be made")]
    Minting(#[source] jsonwebtoken::errors::Error),
}

/// Makes a token that these settings verify, for local use and tests.
///
/// # Errors
/// When the settings hold no shared secret.
pub fn mint(settings: &JwtSettings, claims: &Claims) -> Result<String, AuthError> {
    let JwtKey::Secret(secret) = &settings.key else {
        return Err(AuthError::NoSecret);
    };
    let claims = WireClaims {
        sub: claims.subject.clone(),
        org: claims.organization,
        scope: claims.scopes.join(" "),
        name: claims.name.clone(),
        exp: claims.expires_at.timestamp(),
        nbf: None,
        iss: settings.issuer.clone(),
        aud: settings.audience.clone().map(Into::into),
    };
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(AuthError::Minting)
}

/// Verifies bearer tokens and looks their users up.
pub struct TokenAuthenticator {
    store: Store,
    issuer: Option<String>,
    audience: Option<String>,
    keys: Keys,
}

enum Keys {
    One(DecodingKey),
    Jwks(JwksCache),
}

impl TokenAuthenticator {
    /// Makes an authenticator.
    ///
    /// # Errors
    /// When the public key cannot be read.
    pub fn new(store: Store, settings: JwtSettings) -> Result<Self, AuthError> {
        let keys = match settings.key {
            JwtKey::Secret(secret) => {
                Keys::One(DecodingKey::from_secret(secret.expose_secret().as_bytes()))
            }
            JwtKey::PublicPem(pem) => Keys::One(public_key(&pem)?),
            JwtKey::Jwks(source) => Keys::Jwks(JwksCache::new(source, store.clock())),
        };
        Ok(Self {
            store,
            issuer: settings.issuer,
            audience: settings.audience,
            keys,
        })
    }

    /// Says what a token claims, once its signature, issuer, audience and time hold.
    async fn verify(&self, token: &str) -> Result<Claims, AuthRefusal> {
        let key = match &self.keys {
            Keys::One(key) => key.clone(),
            Keys::Jwks(cache) => cache.key_of(token).await?,
        };
        let decoded = jsonwebtoken::decode::<WireClaims>(token, &key, &self.validation(&key));
        let wire = decoded.map_err(|error| refusal_of(error.kind()))?.claims;
        self.check_time(wire)
    }

    // The family of the key decides on the algorithm, never the token alone: a public key is not a shared secret.
    fn validation(&self, key: &DecodingKey) -> Validation {
        let mut validation = match key.family() {
            AlgorithmFamily::Hmac => Validation::new(Algorithm::HS256),
            family => Validation::new_for_family(family),
        };
        let mut required = vec!["exp", "sub"];
        // The time is checked with our own clock.
        validation.validate_exp = false;
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn check_time(&self, wire: WireClaims) -> Result<Claims, AuthRefusal> {
        let now = self.store.now();
        let expires_at = DateTime::from_timestamp(wire.exp, 0)
            .ok_or_else(|| refused("The token has no valid end."))?;
        if expires_at <= now {
            return Err(refused("The token has expired. Sign in again."));
        }
        let begins_at = wire.nbf.and_then(|nbf| DateTime::from_timestamp(nbf, 0));
        if begins_at.is_some_and(|at| at > now + CLOCK_SKEW) {
            return Err(refused("The token is not valid yet."));
        }
        Ok(Claims {
            subject: wire.sub,
            organization: wire.org,
            scopes: wire
                .scope
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect(),
            name: wire.name,
            expires_at,
        })
    }

    /// Looks the user up. Staff need none, but whoever names an organization must be a user of it.
    async fn session(&self, claims: &Claims) -> Result<Session, AuthRefusal> {
        let mut session = Session {
            user: None,
            organization: None,
            is_staff: claims.is_staff(),
            subject: claims.subject.clone(),
            name: claims.name.clone(),
        };
        let Some(organization) = claims.organization else {
            return if session.is_staff {
                Ok(session)
            } else {
                Err(refused("The token names no organization."))
            };
        };
        let unknown = || refused("The user of the token is unknown here or deactivated.");
        let user = claims.subject.parse().map(UserId).map_err(|_| unknown())?;
        let user = self
            .store
            .user(organization, user)
            .await
            .map_err(unavailable)?;
        session.user = user.filter(|user| user.status != UserStatus::Deactivated);
        session.organization = self
            .store
            .organization(organization)
            .await
            .map_err(unavailable)?;
        if session.user.is_none() || session.organization.is_none() {
            return Err(unknown());
        }
        Ok(session)
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    type Session = Session;

    async fn authenticate(
        &self,
        authorization: Option<&str>,
    ) -> Result<Authenticated<Session>, AuthRefusal> {
        let token = authorization
            .and_then(bearer)
            .ok_or_else(|| refused("Sign in first: send a bearer token."))?;
        let claims = self.verify(token).await?;
        let session = self.session(&claims).await?;
        Ok(Authenticated {
            session: Some(session),
            expires_at: Some(claims.expires_at),
        })
    }

    fn caller(session: &Session) -> Option<String> {
        Some(match &session.user {
            Some(user) => user.id.0.to_string(),
            None => format!("staff {}", session.subject),
        })
    }
}

/// Takes the token out of the value of an `Authorization` header; the scheme is compared without regard to case.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn public_key(pem: &str) -> Result<DecodingKey, AuthError> {
    DecodingKey::from_rsa_pem(pem.as_bytes())
        .or_else(|_| DecodingKey::from_ec_pem(pem.as_bytes()))
        .map_err(|_| AuthError::PublicKey)
}

fn refused(message: &str) -> AuthRefusal {
    AuthRefusal::Unauthenticated(message.to_owned())
}

fn refusal_of(kind: &ErrorKind) -> AuthRefusal {
    refused(match kind {
        ErrorKind::InvalidIssuer => "The token comes from an issuer that is not trusted here.",
        ErrorKind::InvalidAudience => "The token was made for another service.",
        ErrorKind::MissingRequiredClaim(_) => {
            "The token lacks a claim; `sub`, `org` and `exp` are needed."
        }
        ErrorKind::InvalidSignature => "The signature of the token does not hold.",
        _ => "The token cannot be read.",
    })
}

fn unavailable(error: StoreError) -> AuthRefusal {
    error!(error = %chain(&error), "Could not look a user up");
    AuthRefusal::Unavailable
}

#[cfg(test)]
mod tests;
