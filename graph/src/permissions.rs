//! Reads the granted permissions out of the token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use crate::{GraphClient, GraphError, text};

impl GraphClient {
    /// Returns the application permissions that the token names, none when the token cannot be read.
    ///
    /// Microsoft does not promise what a token looks like, and a token can be older than a consent: show the answer, and
    /// decide on it only where being wrong does no harm, as in leaving something alone. A tenant that granted nothing still gives a token, without roles.
    pub async fn granted_permissions(&self) -> Result<Option<Vec<String>>, GraphError> {
        let token = self.inner.token().await?;
        Ok(roles(token.text.expose_secret()))
    }
}

fn roles(token: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Value,
    }
    let claims = token.split('.').nth(1)?.trim_end_matches('=');
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let Claims { roles } = serde_json::from_slice(&claims).ok()?;
    let names = roles.as_array().map(Vec::as_slice).unwrap_or_default();
    Some(
        names
            .iter()
            .filter_map(Value::as_str)
            .map(text::code)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn roles_are_read_if_the_token_can_be() {
        let named = token(r#"{"roles":["User.Read.All",5,"Group.Read.All"]}"#);
        assert_eq!(
            roles(&named),
            Some(vec![
                "User.Read.All".to_owned(),
                "Group.Read.All".to_owned()
            ])
        );
        assert_eq!(roles(&token(r#"{"aud":"x"}"#)), Some(Vec::new()));
        assert_eq!(roles("opaque"), None);
        assert_eq!(roles("a.%%%.c"), None);
        assert_eq!(roles(&token("not json")), None);
    }
}
