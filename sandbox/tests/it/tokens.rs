use std::time::Duration;

use lockstep_sandbox::{DEMO_TENANT_DOMAIN, Fault, FaultKind, OptionsPatch};
use serde_json::Value;

use crate::client::{Client, read};

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn a_token_carries_tenant_application_and_roles() {
    let client = Client::small().await;
    let got = client.login(&[("tenant", DEMO_TENANT_DOMAIN)]).await;
    assert_eq!(
        (
            got.body["token_type"].as_str(),
            got.body["expires_in"].as_u64()
        ),
        (Some("Bearer"), Some(3599))
    );
    let claims = claims(got.body["access_token"].as_str().unwrap());
    assert_eq!(claims["roles"][0], "User.Read.All");
    assert_eq!(claims["aud"], "https://graph.microsoft.com");
    assert_eq!(claims["tid"], lockstep_sandbox::DEMO_TENANT_ID);
    assert_eq!(claims["appid"], lockstep_sandbox::DEMO_CLIENT_ID);
}

#[tokio::test]
async fn a_token_without_permissions_has_no_roles_and_opens_nothing() {
    let mut client = Client::small().await;
    client.control.set_permissions(&[]);
    client.renew().await;
    assert!(claims(&client.token).get("roles").is_none());
    for path in [
        "/users",
        "/users/delta",
        "/groups",
        "/groups/g/members",
        "/groups/delta",
        "/organization",
    ] {
        let got = client.get(path).await;
        assert_eq!(
            (got.status.as_u16(), got.code()),
            (403, "Authorization_RequestDenied"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn each_permission_opens_its_own_paths_only() {
    let mut client = Client::small().await;
    client.control.set_permissions(&["User.Read.All"]);
    client.renew().await;
    assert_eq!(client.get("/users").await.status, 200);
    assert_eq!(client.get("/groups").await.status, 403);
    client.control.set_permissions(&["GroupMember.Read.All"]);
    client.renew().await;
    assert_eq!(client.get("/users").await.status, 403);
    assert_eq!(client.get("/groups/g/members").await.status, 200);
}

#[tokio::test]
async fn every_mistake_at_the_login_has_its_own_code() {
    let client = Client::small().await;
    let cases = [
        (
            ("tenant", "11111111-2222-3333-4444-555555555555"),
            400,
            "invalid_request",
            90002,
        ),
        (
            ("client_id", "11111111-2222-3333-4444-555555555555"),
            400,
            "unauthorized_client",
            700016,
        ),
        (("client_secret", "wrong"), 401, "invalid_client", 7000215),
        (("client_secret", ""), 401, "invalid_client", 7000218),
        (("scope", ""), 400, "invalid_request", 900144),
        (("scope", "User.Read"), 400, "invalid_scope", 1002012),
        (
            ("scope", "https://graph.microsoft.com/.default openid"),
            400,
            "invalid_scope",
            70011,
        ),
        (
            ("scope", "https://vault.azure.net/.default"),
            400,
            "invalid_resource",
            500011,
        ),
        (
            ("grant_type", "password"),
            400,
            "unsupported_grant_type",
            70003,
        ),
    ];
    for (change, status, error, code) in cases {
        let got = client.login(&[change]).await;
        assert_eq!(
            (got.status.as_u16(), &got.body["error"]),
            (status, &Value::from(error)),
            "{change:?}"
        );
        assert_eq!(got.body["error_codes"][0], code);
        let text = got.body["error_description"].as_str().unwrap();
        assert!(
            text.starts_with(&format!("AADSTS{code}: ")) && text.contains("\r\nTrace ID: "),
            "{text}"
        );
        for name in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
            assert!(got.body[name].is_string(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_secret_expires_and_conditional_access_blocks_on_request() {
    let client = Client::small().await;
    client.control.set_options(OptionsPatch {
        secret_expired: Some(true),
        ..OptionsPatch::default()
    });
    assert_eq!(client.login(&[]).await.body["error_codes"][0], 7_000_222);
    client.control.set_options(OptionsPatch {
        secret_expired: Some(false),
        access_blocked: Some(true),
        ..OptionsPatch::default()
    });
    assert_eq!(client.login(&[]).await.body["error_codes"][0], 53003);
    client.control.set_options(OptionsPatch {
        access_blocked: Some(false),
        ..OptionsPatch::default()
    });
    client
        .control
        .add_fault(Fault::new(FaultKind::TokenError { code: 700016 }).times(1))
        .unwrap();
    assert_eq!(client.login(&[]).await.body["error_codes"][0], 700016);
    client
        .control
        .add_fault(Fault::status(503).on("/oauth2/").times(1))
        .unwrap();
    let got = client.login(&[]).await;
    assert_eq!(
        (got.status.as_u16(), &got.body["error"]),
        (503, &Value::from("temporarily_unavailable"))
    );
    assert_eq!(client.login(&[]).await.status, 200);
}

#[tokio::test]
async fn a_token_ends_by_age_by_revocation_and_by_not_being_one() {
    let mut client = Client::small().await;
    client.control.advance_clock(Duration::from_secs(3600));
    let got = client.get("/users").await;
    assert_eq!(
        (got.status.as_u16(), got.code()),
        (401, "InvalidAuthenticationToken")
    );
    assert!(got.message().contains("expired"));
    client.renew().await;
    assert_eq!(client.get("/users").await.status, 200);
    assert_eq!(client.control.revoke_tokens(), 2);
    assert_eq!(client.get("/users").await.status, 401);
    let url = format!("{}/v1.0/users", client.sandbox.url());
    let response = client.http.get(url).send().await.unwrap();
    assert!(response.headers().contains_key("www-authenticate"));
    let got = read(response).await;
    assert_eq!(
        (got.status.as_u16(), got.message()),
        (401, "Access token is empty.")
    );
}
