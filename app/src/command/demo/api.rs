//! The API as a client sees it: GraphQL over HTTP.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// A client of the API.
pub(crate) struct Api {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    pub(crate) fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            client,
            url: url.to_owned(),
            token: token.to_owned(),
        })
    }

    /// Sends an operation and returns its data. Errors and userErrors end the demo with their message.
    pub(crate) async fn send(&self, operation: &str, variables: Value) -> anyhow::Result<Value> {
        let body = json!({ "query": operation, "variables": variables });
        let request = self
            .client
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("accept", "application/graphql-response+json");
        let answer: Value = request
            .json(&body)
            .send()
            .await?
            .json()
            .await
            .context("the API did not answer with JSON")?;
        if let Some(message) = answer.pointer("/errors/0/message").and_then(Value::as_str) {
            bail!("the API refused: {message}");
        }
        let data = answer
            .get("data")
            .cloned()
            .context("the API answered without data")?;
        let payloads = data.as_object().into_iter().flat_map(|data| data.values());
        for payload in payloads {
            if let Some(message) = payload
                .pointer("/userErrors/0/message")
                .and_then(Value::as_str)
            {
                bail!("the API refused: {message}");
            }
        }
        Ok(data)
    }
}
