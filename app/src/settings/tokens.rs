//! How tokens are checked, and whom they name.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::bail;
use lockstep_graph::Url;
use lockstep_server::auth::{self, Issuer, People, PersonClaims};
use secrecy::SecretString;

use super::groups::Tokens;
use super::{check, file};

/// Shortest secret for tokens: 256 bits of text are what HS256 wants.
const MIN_JWT_SECRET: usize = 32;

/// What Microsoft Graph is called in tokens for it.
const GRAPH_AUDIENCES: [&str; 2] = [
    "00000003-0000-0000-c000-000000000000",
    "https://graph.microsoft.com",
];

/// How tokens are checked, and how they name people.
#[derive(Clone)]
pub(crate) struct Jwt {
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) audiences: Vec<String>,
    pub(crate) people: People,
    pub(crate) staff_claim: Option<String>,
    pub(crate) source: Option<JwtSource>,
}

/// What a token's signature is checked with.
#[derive(Clone)]
pub(crate) enum JwtSource {
    Secret(SecretString),
    PublicPem(String),
    JwksUrl(Url),
}

/// Reads the settings of tokens.
pub(super) fn jwt(given: Tokens) -> anyhow::Result<Jwt> {
    let source = jwt_source(
        given.jwt_secret,
        given.jwt_public_key_file,
        given.jwt_jwks_url,
    )?;
    let issuers = texts(given.jwt_issuer.as_deref()).map(Issuer::parse);
    let audiences = texts(given.jwt_audience.as_deref()).map(audience);
    let people = people(given.jwt_provider_claim, given.jwt_subject_claim)?;
    let jwt = Jwt {
        issuers: issuers.collect::<Result<_, _>>()?,
        audiences: audiences.collect::<anyhow::Result<_>>()?,
        staff_claim: staff_claim(given.jwt_staff_claim, &people),
        people,
        source,
    };
    let is_shared = matches!(
        jwt.source,
        Some(JwtSource::PublicPem(_) | JwtSource::JwksUrl(_))
    );
    let is_by_provider = jwt.people != People::ByOurIds;
    if (is_shared || is_by_provider) && (jwt.issuers.is_empty() || jwt.audiences.is_empty()) {
        bail!(
            "LOCKSTEP_JWT_ISSUER and LOCKSTEP_JWT_AUDIENCE must be set as well: the issuer signs tokens for other services too"
        );
    }
    auth::check(&jwt.issuers, &jwt.people, jwt.staff_claim.as_deref())?;
    Ok(jwt)
}

/// How tokens name people.
fn people(provider: Option<String>, subject: Option<String>) -> anyhow::Result<People> {
    match (provider, subject) {
        (None, None) => Ok(People::ByOurIds),
        (Some(provider), Some(subject)) => Ok(People::ByLink(PersonClaims::new(
            provider.trim(),
            subject.trim(),
        )?)),
        _ => bail!(
            "set both LOCKSTEP_JWT_PROVIDER_CLAIM and LOCKSTEP_JWT_SUBJECT_CLAIM, or neither: tid and oid for Microsoft Entra ID, iss and sub for others"
        ),
    }
}

/// A provider's `scope` says what a client asked for, not who a person is: there, staff must be told explicitly.
fn staff_claim(claim: Option<String>, people: &People) -> Option<String> {
    claim.or_else(|| (*people == People::ByOurIds).then(|| "scope".to_owned()))
}

fn audience(text: &str) -> anyhow::Result<String> {
    if GRAPH_AUDIENCES.contains(&text.trim_end_matches('/')) {
        bail!(
            "LOCKSTEP_JWT_AUDIENCE: tokens for Microsoft Graph are for nobody else to verify; set the Application (client) ID of the app that people sign in to, and have it ask for a scope of its own API"
        );
    }
    Ok(text.to_owned())
}

/// The entries of a text, separated by commas.
fn texts(text: Option<&str>) -> impl Iterator<Item = &str> {
    let entries = text.into_iter().flat_map(|text| text.split(','));
    entries.map(str::trim).filter(|entry| !entry.is_empty())
}

fn jwt_source(
    secret: Option<String>,
    pem: Option<PathBuf>,
    jwks: Option<String>,
) -> anyhow::Result<Option<JwtSource>> {
    match (secret, pem, jwks) {
        (None, None, None) => Ok(None),
        (Some(secret), None, None) if secret.chars().count() < MIN_JWT_SECRET => {
            bail!("LOCKSTEP_JWT_SECRET is too short; use at least {MIN_JWT_SECRET} characters")
        }
        (Some(secret), None, None) => Ok(Some(JwtSource::Secret(secret.into()))),
        (None, Some(path), None) => Ok(Some(JwtSource::PublicPem(file::read(
            &path,
            "LOCKSTEP_JWT_PUBLIC_KEY_FILE",
        )?))),
        (None, None, Some(text)) => jwks_url(text),
        _ => bail!(
            "set one of LOCKSTEP_JWT_JWKS_URL, LOCKSTEP_JWT_PUBLIC_KEY_FILE and LOCKSTEP_JWT_SECRET, not several"
        ),
    }
}

/// Whoever can change the keys on their way can sign in as anybody, so they come over TLS or from this machine.
fn jwks_url(text: String) -> anyhow::Result<Option<JwtSource>> {
    let url = check::url(Some(text), "LOCKSTEP_JWT_JWKS_URL")?;
    if let Some(url) = &url
        && url.scheme() != "https"
        && !is_loopback(url)
    {
        bail!(
            "LOCKSTEP_JWT_JWKS_URL must begin with https://: whoever can change the keys on their way can sign in as anybody; http:// is for this machine alone (127.0.0.1, localhost)"
        );
    }
    Ok(url.map(JwtSource::JwksUrl))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
