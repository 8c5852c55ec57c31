//! Bearer tokens: who a caller says to be, and what the row of that user says about it.
//!
//! A token names a person, by our own ids (`sub` and `org`) or as a provider of sign-ins knows them (`tid` and `oid`, or
//! `iss` and `sub`); then a stored link says who that is here. It grants nothing: role and status come from the user's
//! row, read anew for each request. Only the scope `staff` is taken from the token, because staff of the platform have
//! no row here, and only from the claim that the settings name.

mod issuer;
mod jwks;
mod person;
mod presence;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind,
};
use lockstep_domain::{OrganizationId, UserId, UserStatus};
use lockstep_store::sign_in::{Principal, SignIn};
use lockstep_store::{Store, StoreError};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{error, warn};

pub use self::issuer::Issuer;
use self::jwks::{JwksCache, Published};
pub use self::jwks::{JwksError, JwksSource};
pub use self::person::{People, PersonClaims};
use self::presence::Presence;
use crate::error::chain;
use crate::id::GlobalId as _;
use crate::session::Session;
use crate::transport::{AuthRefusal, Authenticated, Authenticator, Credentials, ErrorCode};

/// The scope of the platform's staff.
pub const STAFF_SCOPE: &str = "staff";
/// The claim that holds scopes, separated by blanks.
const SCOPE: &str = "scope";
/// The claim that names an organization by our id.
const ORGANIZATION: &str = "org";
/// The claim that names a tenant of Microsoft Entra ID.
const TENANT: &str = "tid";

/// How far the clock of whoever issues tokens may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);

/// How tokens are verified and read.
#[derive(Clone)]
pub struct JwtSettings {
    /// The issuers of which one must be the `iss` of every token, none when it does not matter.
    pub issuers: Vec<Issuer>,
    /// What must be among the `aud` of every token, none when it does not matter.
    pub audiences: Vec<String>,
    /// What the signature is checked with.
    pub key: JwtKey,
    /// How a token names a person.
    pub people: People,
    /// The claim that holds the scope `staff`, none when no token makes anybody staff.
    pub staff_claim: Option<String>,
}

impl JwtSettings {
    /// Settings for tokens of our own: they name people by our ids, and staff by `scope`.
    #[must_use]
    pub fn of_ours(key: JwtKey) -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            key,
            people: People::ByOurIds,
            staff_claim: Some(SCOPE.to_owned()),
        }
    }
}

/// Finds what does not go together, so that it is told at the start and not by the first token.
///
/// # Errors
/// When nothing says which tenant a token is of, or anybody's tenant could make its people staff.
pub fn check(
    issuers: &[Issuer],
    people: &People,
    staff_claim: Option<&str>,
) -> Result<(), AuthError> {
    let is_entra = people.are_of_entra();
    if is_entra && issuers.is_empty() {
        return Err(AuthError::IssuerNeeded);
    }
    if is_entra && let Some(issuer) = issuers.iter().find(|issuer| !issuer.names_tenant()) {
        return Err(AuthError::IssuerWithoutTenant(issuer.to_string()));
    }
    if !issuers.iter().any(Issuer::is_template) {
        return Ok(());
    }
    if !is_entra {
        return Err(AuthError::TenantNeeded);
    }
    match staff_claim {
        None => Ok(()),
        Some(_) => Err(AuthError::StaffOfMany),
    }
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

/// What a token that is made here says.
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
}

/// Claims as they travel.
#[derive(Serialize)]
struct WireClaims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<OrganizationId>,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
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
    /// Tokens name people as a provider knows them.
    #[error(
        "people sign in at a provider here (LOCKSTEP_JWT_PROVIDER_CLAIM); get a token there, and link it with `lockstep user link`"
    )]
    NamedByProvider,
    /// A template with another place than that of the tenant.
    #[error(
        "LOCKSTEP_JWT_ISSUER: {0:?} is no issuer; write the `iss` of the tokens, with {{tenantid}} once where each tenant has its own id"
    )]
    IssuerTemplate(String),
    /// A name that no token has.
    #[error(
        "LOCKSTEP_JWT_ISSUER: no token says {0:?}; write {{tenantid}} in the place of the tenant, or the id of yours"
    )]
    PseudoTenant(String),
    /// The claim does not name a person for good.
    #[error(
        "{0:?} names nobody for good: set LOCKSTEP_JWT_PROVIDER_CLAIM to tid and LOCKSTEP_JWT_SUBJECT_CLAIM to oid for Microsoft Entra ID, to iss and sub for others"
    )]
    UnfitClaim(String),
    /// A template without the claim that fills it.
    #[error(
        "an issuer with {{tenantid}} in it needs LOCKSTEP_JWT_PROVIDER_CLAIM = tid and LOCKSTEP_JWT_SUBJECT_CLAIM = oid"
    )]
    TenantNeeded,
    /// Tokens name a tenant, and nothing holds it against who signed them.
    #[error(
        "LOCKSTEP_JWT_ISSUER must be set with LOCKSTEP_JWT_PROVIDER_CLAIM = tid: it says whose tokens are trusted"
    )]
    IssuerNeeded,
    /// Tokens name a tenant, and their issuer could name any.
    #[error(
        "LOCKSTEP_JWT_ISSUER: {0:?} holds no id of a tenant, so its tokens could name any in `tid`; write the Directory (tenant) ID or {{tenantid}} in its place, or set LOCKSTEP_JWT_PROVIDER_CLAIM to iss and LOCKSTEP_JWT_SUBJECT_CLAIM to sub"
    )]
    IssuerWithoutTenant(String),
    /// Any tenant could give its people the role.
    #[error(
        "LOCKSTEP_JWT_STAFF_CLAIM cannot be used with an issuer that has {{tenantid}} in it: every tenant decides itself what its tokens say; leave it out, or name one tenant as the issuer"
    )]
    StaffOfMany,
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
    if settings.people != People::ByOurIds {
        return Err(AuthError::NamedByProvider);
    }
    let claims = WireClaims {
        sub: &claims.subject,
        org: claims.organization,
        scope: claims.scopes.join(" "),
        name: claims.name.as_deref(),
        exp: claims.expires_at.timestamp(),
        iss: settings.issuers.first().map(ToString::to_string),
        aud: settings.audiences.first().map(String::as_str),
    };
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(AuthError::Minting)
}

/// Verifies bearer tokens and looks their users up.
pub struct TokenAuthenticator {
    store: Store,
    verifier: Verifier,
    people: People,
    staff_claim: Option<String>,
    presence: Presence,
}

impl TokenAuthenticator {
    /// Makes an authenticator.
    ///
    /// # Errors
    /// When the public key cannot be read, or settings do not go together.
    pub fn new(store: Store, settings: JwtSettings) -> Result<Self, AuthError> {
        check(
            &settings.issuers,
            &settings.people,
            settings.staff_claim.as_deref(),
        )?;
        let JwtSettings {
            issuers,
            audiences,
            key,
            people,
            staff_claim,
        } = settings;
        let verifier = Verifier {
            keys: Keys::of(key, &store)?,
            issuers,
            audiences,
            is_entra: people.are_of_entra(),
        };
        Ok(Self {
            presence: Presence::new(store.clone()),
            store,
            verifier,
            people,
            staff_claim,
        })
    }

    /// Loads what authorizes a caller, now and again while a connection lives: the row of the user and its organization.
    async fn load(
        &self,
        token: &Verified,
        chosen: Option<OrganizationId>,
    ) -> Result<Session, AuthRefusal> {
        let is_staff = self
            .staff_claim
            .as_deref()
            .is_some_and(|claim| token.has_scope(claim));
        // Whoever means another organization than the token would act in the wrong one.
        if self.people == People::ByOurIds
            && let Some((own, chosen)) = token.organization().zip(chosen)
            && own != chosen
        {
            return Err(other_organization());
        }
        let (user, nobody) = match &self.people {
            People::ByOurIds => (token.our_ids()?, lacks(ORGANIZATION)),
            People::ByLink(claims) => (self.linked(token, claims, chosen).await?, unknown()),
        };
        let Some((organization, user)) = user else {
            return is_staff.then(|| staff(token)).ok_or(nobody);
        };
        let mut principal = self.principal(organization, user).await?;
        self.presence.note(&mut principal).await;
        Ok(Session {
            is_staff,
            subject: principal.user.id.0.to_string(),
            name: token.text("name").map(ToOwned::to_owned),
            user: Some(principal.user),
            organization: Some(principal.organization),
        })
    }

    async fn principal(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Principal, AuthRefusal> {
        let principal = self.store.principal(organization, user).await;
        let principal = principal.map_err(unavailable)?.ok_or_else(unknown)?;
        if principal.user.status == UserStatus::Deactivated {
            return Err(deactivated());
        }
        Ok(principal)
    }

    /// Finds the user of a sign-in. For one that nobody knows, a verified address may propose whom it is of.
    async fn linked(
        &self,
        token: &Verified,
        claims: &PersonClaims,
        chosen: Option<OrganizationId>,
    ) -> Result<Option<(OrganizationId, UserId)>, AuthRefusal> {
        let sign_in = claims.read(&token.claims).map_err(lacks)?;
        let links = self
            .store
            .sign_in_links(&sign_in, chosen)
            .await
            .map_err(unavailable)?;
        let mut links = links.into_iter();
        match (links.next(), links.next()) {
            (Some(link), None) => Ok(Some((link.organization_id, link.user_id))),
            (Some(_), Some(_)) => Err(which_organization()),
            (None, _) => {
                self.propose(token, claims, &sign_in, chosen).await;
                Ok(None)
            }
        }
    }

    /// Whether somebody is proposed or not, the answer is the same: it tells nothing about who is here.
    async fn propose(
        &self,
        token: &Verified,
        claims: &PersonClaims,
        sign_in: &SignIn,
        organization: Option<OrganizationId>,
    ) {
        let Some(address) = claims.verified_address(&token.claims) else {
            return;
        };
        let address = address.to_string();
        let proposed = self.store.propose_sign_in(sign_in, &address, organization);
        if let Err(error) = proposed.await {
            warn!(error = %chain(&error), "Could not propose a sign-in");
        }
    }
}

fn staff(token: &Verified) -> Session {
    Session {
        user: None,
        organization: None,
        is_staff: true,
        subject: token.text("sub").unwrap_or(STAFF_SCOPE).to_owned(),
        name: token.text("name").map(ToOwned::to_owned),
    }
}

/// Checks that tokens are what they say.
struct Verifier {
    keys: Keys,
    issuers: Vec<Issuer>,
    audiences: Vec<String>,
    /// Whether tokens name people by the tenant, which then must be that of the issuer.
    is_entra: bool,
}

enum Keys {
    One(DecodingKey),
    Jwks(JwksCache),
}

impl Keys {
    fn of(key: JwtKey, store: &Store) -> Result<Self, AuthError> {
        Ok(match key {
            JwtKey::Secret(secret) => {
                Self::One(DecodingKey::from_secret(secret.expose_secret().as_bytes()))
            }
            JwtKey::PublicPem(pem) => Self::One(public_key(&pem)?),
            JwtKey::Jwks(source) => Self::Jwks(JwksCache::new(source, store.clock())),
        })
    }
}

impl Verifier {
    /// Returns the claims of a token once its signature, issuer, audience and time hold.
    async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Verified, AuthRefusal> {
        let key = match &self.keys {
            Keys::One(key) => Published {
                key: key.clone(),
                issuer: None,
            },
            Keys::Jwks(cache) => cache.key_of(token).await?,
        };
        let validation = self.validation(&key.key);
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation);
        let claims = decoded.map_err(|error| refusal_of(error.kind()))?.claims;
        self.check_issuer(&claims, key.issuer.as_ref())?;
        let expires_at = check_time(&claims, now)?;
        Ok(Verified { claims, expires_at })
    }

    // The family of the key decides on the algorithm, never the token alone: a public key is not a shared secret.
    fn validation(&self, key: &DecodingKey) -> Validation {
        let mut validation = match key.family() {
            AlgorithmFamily::Hmac => Validation::new(Algorithm::HS256),
            family => Validation::new_for_family(family),
        };
        let mut required = vec!["exp", "sub"];
        // Time and issuer are checked here: with our own clock, and with templates.
        validation.validate_exp = false;
        validation.validate_aud = !self.audiences.is_empty();
        if !self.audiences.is_empty() {
            validation.set_audience(&self.audiences);
            required.push("aud");
        }
        if !self.issuers.is_empty() {
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    /// A published key may say itself for whose tokens it is: those of Microsoft's personal accounts and those of all
    /// tenants lie in one set, and the one must not sign for the other.
    fn check_issuer(
        &self,
        claims: &Map<String, Value>,
        of_key: Option<&Issuer>,
    ) -> Result<(), AuthRefusal> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let (issuer, tenant) = (text("iss").unwrap_or_default(), text(TENANT));
        let is_of_tenant =
            |trusted: &Issuer| !self.is_entra || tenant.is_some_and(|tenant| trusted.is_of(tenant));
        let is_trusted = self.issuers.is_empty()
            || self
                .issuers
                .iter()
                .any(|trusted| trusted.admits(issuer, tenant) && is_of_tenant(trusted));
        if is_trusted && of_key.is_none_or(|of_key| of_key.admits(issuer, tenant)) {
            Ok(())
        } else {
            Err(refusal_of(&ErrorKind::InvalidIssuer))
        }
    }
}

fn check_time(
    claims: &Map<String, Value>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, AuthRefusal> {
    let time = |name: &str| claims.get(name).map(|value| instant(value).ok_or(()));
    let expires_at = match time("exp") {
        Some(Ok(at)) => at,
        _ => return Err(refused("The token has no valid end.")),
    };
    if expires_at <= now {
        return Err(refused("The token has expired. Sign in again."));
    }
    match time("nbf") {
        Some(Err(())) => Err(refused("The token has no valid beginning.")),
        Some(Ok(at)) if at > now + CLOCK_SKEW => Err(refused("The token is not valid yet.")),
        _ => Ok(expires_at),
    }
}

/// Reads a number of seconds, which may have a fraction.
fn instant(value: &Value) -> Option<DateTime<Utc>> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fraction of a second does not matter, and what is out of range is no time"
    )]
    let seconds = value
        .as_i64()
        .or_else(|| value.as_f64().map(|seconds| seconds as i64))?;
    DateTime::from_timestamp(seconds, 0)
}

/// A token that holds. What it claims is never shown or logged.
struct Verified {
    claims: Map<String, Value>,
    expires_at: DateTime<Utc>,
}

impl Verified {
    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// The organization that the token names by our id.
    fn organization(&self) -> Option<OrganizationId> {
        self.text(ORGANIZATION)?.parse().ok()
    }

    /// The user that the token names by our ids; none when it names no organization.
    fn our_ids(&self) -> Result<Option<(OrganizationId, UserId)>, AuthRefusal> {
        if !self.claims.contains_key(ORGANIZATION) {
            return Ok(None);
        }
        let user = self.text("sub").and_then(|text| text.parse().ok());
        self.organization().zip(user).map(Some).ok_or_else(unknown)
    }

    /// Whether a claim holds the scope of staff: a text of words, or a list of them.
    fn has_scope(&self, claim: &str) -> bool {
        match self.claims.get(claim) {
            Some(Value::String(words)) => words.split_whitespace().any(|word| word == STAFF_SCOPE),
            Some(Value::Array(words)) => words.iter().any(|word| word == STAFF_SCOPE),
            _ => false,
        }
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    type Session = Session;

    async fn authenticate(
        &self,
        credentials: &Credentials,
    ) -> Result<Authenticated<Session>, AuthRefusal> {
        let chosen = chosen(credentials)?;
        let token = credentials
            .authorization
            .as_deref()
            .and_then(bearer)
            .ok_or_else(|| refused("Sign in first: send a bearer token."))?;
        let token = self.verifier.verify(token, self.store.now()).await?;
        let session = self.load(&token, chosen).await?;
        Ok(Authenticated {
            session: Some(session),
            expires_at: Some(token.expires_at),
        })
    }

    fn caller(session: &Session) -> Option<String> {
        Some(match &session.user {
            Some(user) => user.id.0.to_string(),
            None => format!("staff {}", session.subject),
        })
    }
}

/// The organization that the caller means, by our id or by that of the API.
fn chosen(credentials: &Credentials) -> Result<Option<OrganizationId>, AuthRefusal> {
    let Some(text) = &credentials.organization else {
        return Ok(None);
    };
    let id = text.trim().parse().ok();
    let id = id.or_else(|| OrganizationId::local(&text.as_str().into()));
    let message = "`Lockstep-Organization` holds no id of an organization.";
    id.map(Some).ok_or_else(|| refused(message))
}

/// Takes the token out of the value of an `Authorization` header; the scheme is compared without regard to case.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Looks whether a text is a public key that tokens can be checked with.
///
/// # Errors
/// When it is none.
pub fn check_public_key(pem: &str) -> Result<(), AuthError> {
    public_key(pem).map(drop)
}

fn public_key(pem: &str) -> Result<DecodingKey, AuthError> {
    DecodingKey::from_rsa_pem(pem.as_bytes())
        .or_else(|_| DecodingKey::from_ec_pem(pem.as_bytes()))
        .map_err(|_| AuthError::PublicKey)
}

fn refused(message: &str) -> AuthRefusal {
    AuthRefusal::Unauthenticated(message.to_owned())
}

/// The same for everyone whom no row lets in: whether there is such a user, organization or address is not told.
fn unknown() -> AuthRefusal {
    let message = "Nobody here has this sign-in. Ask an owner of your organization to confirm it, or the operator to link it.";
    AuthRefusal::Denied(ErrorCode::SignInUnknown, message.to_owned())
}

fn deactivated() -> AuthRefusal {
    let message = "Your user is deactivated. Ask an owner of your organization to bring it back.";
    AuthRefusal::Denied(ErrorCode::UserDeactivated, message.to_owned())
}

fn which_organization() -> AuthRefusal {
    let message = "You are in several organizations: name one in `Lockstep-Organization`.";
    AuthRefusal::Denied(ErrorCode::OrganizationNeeded, message.to_owned())
}

fn other_organization() -> AuthRefusal {
    let message = "The token is good for another organization than `Lockstep-Organization` names.";
    AuthRefusal::Denied(ErrorCode::SignInUnknown, message.to_owned())
}

fn lacks(claim: &str) -> AuthRefusal {
    refused(&format!("The token lacks the claim `{claim}`."))
}

fn refusal_of(kind: &ErrorKind) -> AuthRefusal {
    refused(match kind {
        ErrorKind::InvalidIssuer => "The token comes from an issuer that is not trusted here.",
        ErrorKind::InvalidAudience => "The token was made for another service.",
        ErrorKind::MissingRequiredClaim(claim) => return lacks(claim),
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
