//! Public keys of the issuer of tokens, over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use lockstep_graph::Url;
use lockstep_server::auth::{JwksError, JwksSource};
use reqwest::StatusCode;
use reqwest::redirect::Policy;

/// Greatest size of a key set; real ones have a few KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(
        "the address answers {0}; give the one that has the keys itself, no redirects are followed"
    )]
    Status(StatusCode),
    #[error("the answer has more than {MAX_BYTES} bytes, which no key set has")]
    TooLong,
}

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
            // The address is what somebody decided to trust, not wherever it points.
            .redirect(Policy::none())
            .build()?;
        Ok(Self { client, url })
    }

    async fn fetch(&self) -> Result<String, FetchError> {
        let mut answer = self.client.get(self.url.clone()).send().await?;
        if !answer.status().is_success() {
            return Err(FetchError::Status(answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(FetchError::TooLong);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What fetching says of an address that answers once.
    async fn fetched(head: &str, body: &str) -> Result<String, FetchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.unwrap();
            let _ = peer.read(&mut [0; 4096]).await.unwrap();
            // Whoever has read enough hangs up.
            let _ = peer.write_all(answer.as_bytes()).await;
        });
        HttpJwks::new(url.parse().unwrap()).unwrap().fetch().await
    }

    #[tokio::test]
    async fn keys_come_from_the_address_itself_and_have_a_greatest_size() {
        let whole = " ".repeat(MAX_BYTES);
        assert_eq!(fetched("200 OK", &whole).await.unwrap(), whole);
        let told = fetched("200 OK", &format!("{whole} ")).await.unwrap_err();
        assert!(matches!(told, FetchError::TooLong), "{told:?}");
        // Followed, it would come to an address where nobody listens.
        let elsewhere = "302 Found\r\nlocation: http://127.0.0.1:9/keys";
        let told = fetched(elsewhere, "{}").await.unwrap_err();
        assert!(
            matches!(told, FetchError::Status(StatusCode::FOUND)),
            "{told:?}"
        );
    }
}
