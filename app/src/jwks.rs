//! Public keys of the issuer of tokens, over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use lockstep_graph::Url;
use lockstep_server::auth::{JwksError, JwksSource};

/// Greatest size of a key set; real ones have a few KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Fetches a key set.
#[derive(Debug)]
pub(crate) struct HttpJwks {
    client: reqwest::Client,
    url: Url,
}

impl HttpJwks {
    pub(crate) fn new(url: Url) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self { client, url })
    }

    async fn fetch(&self) -> Result<String, reqwest::Error> {
        let mut answer = self
            .client
            .get(self.url.clone())
            .send()
            .await?
            .error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MAX_BYTES {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

#[async_trait]
impl JwksSource for HttpJwks {
    async fn jwks(&self) -> Result<String, JwksError> {
        self.fetch()
            .await
            .map_err(|error| JwksError(Box::new(error)))
    }
}
