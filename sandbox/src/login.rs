//! The login: client credentials in, access token or an AADSTS error out.

use std::collections::HashMap;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::error::{GraphError, RequestIds};
use crate::options::Settings;
use crate::query::Options;

/// More tokens than this are not remembered; the oldest go first.
const MOST_TOKENS: usize = 10_000;

/// Hosts whose `/.default` scope is Microsoft Graph.
const GRAPH_RESOURCES: &[&str] = &[
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
    "00000003-0000-0000-c000-000000000000",
];

/// What an issued token allows, and until when.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    expires: DateTime<Utc>,
    pub(crate) permissions: Vec<String>,
}

/// All tokens that were issued and not revoked.
#[derive(Default)]
pub(crate) struct Tokens(HashMap<String, Issued>);

impl Tokens {
    /// The token behind an `Authorization` header, if it is good now.
    pub(crate) fn check(
        &self,
        header: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Issued, GraphError> {
        let token = header
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .filter(|token| !token.is_empty())
            .ok_or_else(|| GraphError::unauthenticated("Access token is empty."))?;
        let issued = self
            .0
            .get(token)
            .ok_or_else(|| GraphError::unauthenticated("Access token validation failure."))?;
        match issued.expires > now {
            true => Ok(issued.clone()),
            false => Err(GraphError::unauthenticated(
                "Access token has expired or is not yet valid.",
            )),
        }
    }

    /// Makes all tokens useless; returns how many there were.
    pub(crate) fn revoke(&mut self) -> usize {
        let count = self.0.len();
        self.0.clear();
        count
    }

    fn remember(&mut self, token: String, issued: Issued, now: DateTime<Utc>) {
        if self.0.len() >= MOST_TOKENS {
            self.0.retain(|_, known| known.expires > now);
        }
        if self.0.len() >= MOST_TOKENS
            && let Some(oldest) = self
                .0
                .iter()
                .min_by_key(|(_, known)| known.expires)
                .map(|(token, _)| token.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(token, issued);
    }
}

/// Answers `POST /{tenant}/oauth2/v2.0/token`.
pub(crate) fn answer(
    settings: &Settings,
    tokens: &mut Tokens,
    base: &str,
    tenant: &str,
    form: &Options,
    ids: &RequestIds,
) -> Answer {
    let resource = match check(settings, base, tenant, form) {
        Ok(resource) => resource,
        Err(code) => {
            return refusal_for(
                code,
                &Blamed {
                    settings,
                    tenant,
                    form,
                },
                ids,
            );
        }
    };
    let lifetime = settings.shown.token_lifetime_seconds;
    let expires = ids.at
        + TimeDelta::seconds(
            i64::try_from(lifetime)
                .unwrap_or(i64::MAX)
                .min(10 * 365 * 86_400),
        );
    let token = access_token(settings, &resource, ids, expires);
    let issued = Issued {
        expires,
        permissions: settings.shown.permissions.clone(),
    };
    tokens.remember(token.clone(), issued, ids.at);
    let body = json!({
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token,
    });
    plain(StatusCode::OK, body)
}

/// The answer to a login that fails with an AADSTS code, whatever was sent.
pub(crate) fn refusal(code: u32, ids: &RequestIds) -> Answer {
    let detail = "The request was refused on request of the sandbox.";
    let (status, error, text) = match code {
        7_000_215 => (
            401,
            "invalid_client",
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
        ),
        7_000_222 => (
            401,
            "invalid_client",
            "The provided client secret keys are expired. Create new keys for your app.",
        ),
        700_016 => (
            400,
            "unauthorized_client",
            "The application was not found in the directory. It may not be installed or consented to.",
        ),
        700_025 | 700_027 | 7_000_218 | 50_012 => (401, "invalid_client", detail),
        7_000_112 | 700_011 | 70_001 => (
            400,
            "unauthorized_client",
            "The application is disabled or missing.",
        ),
        90_002 => (
            400,
            "invalid_request",
            "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
        ),
        53_003 => (
            400,
            "access_denied",
            "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
        ),
        70_011 | 1_002_012 => (
            400,
            "invalid_scope",
            "The provided value for the input parameter 'scope' is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.",
        ),
        500_011 => (
            400,
            "invalid_resource",
            "The resource principal was not found in the tenant.",
        ),
        900_144 => (
            400,
            "invalid_request",
            "The request body must contain a required parameter.",
        ),
        65_001 | 650_056 => (
            400,
            "invalid_grant",
            "An administrator has not consented to use the application.",
        ),
        90_055 | 50_033 | 90_033 => (
            503,
            "temporarily_unavailable",
            "A transient error has occurred. Please try again.",
        ),
        _ => (400, "invalid_request", detail),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    oauth_error(status, error, Some(code), text, ids)
}

/// The answer of a login host that is in trouble itself.
pub(crate) fn failure(status: StatusCode, ids: &RequestIds) -> Answer {
    let error = match status.as_u16() {
        429 | 500..=599 => "temporarily_unavailable",
        401 => "invalid_client",
        _ => "invalid_request",
    };
    oauth_error(
        status,
        error,
        None,
        "The service is temporarily unavailable. Please retry later.",
        ids,
    )
}

/// Finds what is wrong with the request, or the resource the token is for.
fn check(settings: &Settings, base: &str, tenant: &str, form: &Options) -> Result<String, Refused> {
    let shown = &settings.shown;
    if !tenant.eq_ignore_ascii_case(&shown.tenant_id)
        && !tenant.eq_ignore_ascii_case(&shown.tenant_domain)
    {
        return Err(Refused::Code(90_002));
    }
    let grant = required(form, "grant_type")?;
    if grant != "client_credentials" {
        return Err(Refused::Grant);
    }
    let client = required(form, "client_id")?;
    if !client.eq_ignore_ascii_case(&shown.client_id) {
        return Err(Refused::Code(700_016));
    }
    let scope = required(form, "scope")?;
    let resource = resource_of(scope, base).map_err(Refused::Code)?;
    let secret = form
        .get("client_secret")
        .filter(|secret| !secret.is_empty());
    let secret = secret.ok_or(Refused::Code(7_000_218))?;
    if secret != settings.client_secret {
        return Err(Refused::Code(7_000_215));
    }
    if shown.secret_expired {
        return Err(Refused::Code(7_000_222));
    }
    if shown.access_blocked {
        return Err(Refused::Code(53_003));
    }
    Ok(resource)
}

enum Refused {
    Code(u32),
    Missing(&'static str),
    Grant,
}

fn required<'a>(form: &'a Options, name: &'static str) -> Result<&'a str, Refused> {
    form.get(name)
        .filter(|value| !value.is_empty())
        .ok_or(Refused::Missing(name))
}

fn resource_of(scope: &str, base: &str) -> Result<String, u32> {
    if scope.split_whitespace().count() != 1 {
        return Err(70_011);
    }
    let resource = scope
        .trim()
        .strip_suffix("/.default")
        .ok_or(1_002_012_u32)?;
    let resource = resource.trim_end_matches('/');
    match GRAPH_RESOURCES.contains(&resource) || resource == base {
        true => Ok(resource.to_owned()),
        false => Err(500_011),
    }
}

struct Blamed<'a> {
    settings: &'a Settings,
    tenant: &'a str,
    form: &'a Options,
}

/// The refusal with the names the caller gave, as the real texts have them. Never the secret.
fn refusal_for(refused: Refused, blamed: &Blamed<'_>, ids: &RequestIds) -> Answer {
    let client = blamed.form.get("client_id").unwrap_or_default();
    let bad = StatusCode::BAD_REQUEST;
    match refused {
        Refused::Grant => {
            let text = "The app requested an unsupported grant type.";
            oauth_error(bad, "unsupported_grant_type", Some(70_003), text, ids)
        }
        Refused::Missing(name) => {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            oauth_error(bad, "invalid_request", Some(900_144), &text, ids)
        }
        Refused::Code(90_002) => {
            let text = format!(
                "Tenant '{}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
                blamed.tenant
            );
            oauth_error(bad, "invalid_request", Some(90_002), &text, ids)
        }
        Refused::Code(700_016) => {
            let text = format!(
                "Application with identifier '{client}' was not found in the directory '{}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.",
                blamed.settings.shown.tenant_domain
            );
            oauth_error(bad, "unauthorized_client", Some(700_016), &text, ids)
        }
        Refused::Code(code) => refusal(code, ids),
    }
}

fn oauth_error(
    status: StatusCode,
    error: &str,
    code: Option<u32>,
    text: &str,
    ids: &RequestIds,
) -> Answer {
    let timestamp = ids.at.format("%Y-%m-%d %H:%M:%SZ").to_string();
    let start = code
        .map(|code| format!("AADSTS{code}: "))
        .unwrap_or_default();
    let mut body = json!({
        "error": error,
        "error_description": format!("{start}{text}\r\nTrace ID: {}\r\nCorrelation ID: {}\r\nTimestamp: {timestamp}", ids.request, ids.client),
        "error_codes": code.into_iter().collect::<Vec<u32>>(),
        "timestamp": timestamp,
        "trace_id": ids.request,
        "correlation_id": ids.client,
    });
    if let Some(code) = code {
        body["error_uri"] = format!("https://login.microsoftonline.com/error?code={code}").into();
    }
    plain(status, body)
}

/// The login sends plain JSON without OData parameters.
fn plain(status: StatusCode, body: Value) -> Answer {
    let mut answer = Answer::json(status, body);
    answer.set_header(
        axum::http::header::CONTENT_TYPE,
        "application/json; charset=utf-8".to_owned(),
    );
    answer.set_header(
        axum::http::header::CACHE_CONTROL,
        "no-store, no-cache".to_owned(),
    );
    answer
}

/// A token that looks like Entra's: three parts, of which the last one signs nothing.
fn access_token(
    settings: &Settings,
    resource: &str,
    ids: &RequestIds,
    expires: DateTime<Utc>,
) -> String {
    let shown = &settings.shown;
    if shown.opaque_tokens {
        return Uuid::new_v4().to_string();
    }
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": "sandbox" });
    let mut claims = json!({
        "aud": resource,
        "iss": format!("https://sts.windows.net/{}/", shown.tenant_id),
        "iat": ids.at.timestamp(),
        "nbf": ids.at.timestamp(),
        "exp": expires.timestamp(),
        "appid": shown.client_id,
        "appidacr": "1",
        "idtyp": "app",
        "tid": shown.tenant_id,
        "uti": ids.request,
        "ver": "1.0",
    });
    // Entra leaves the claim out when nothing is granted.
    if !shown.permissions.is_empty() {
        claims["roles"] = json!(shown.permissions);
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature =
        URL_SAFE_NO_PAD.encode([Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat());
    format!("{}.{}.{signature}", part(&header), part(&claims))
}
