//! GraphQL requests.

use serde_json::{Value, json};

use crate::SupportError;

/// Sends a GraphQL request and returns the whole answer: `data`, `errors`, `extensions`.
///
/// The HTTP status is not looked at, because refusals carry their reason in the answer.
pub async fn graphql(
    url: &str,
    token: Option<&str>,
    query: &str,
    variables: Value,
) -> Result<Value, SupportError> {
    let mut request = reqwest::Client::new()
        .post(url)
        .header(
            "accept",
            "application/graphql-response+json, application/json",
        )
        .json(&json!({ "query": query, "variables": variables }));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request
        .send()
        .await
        .map_err(SupportError::http("send a GraphQL request"))?;
    answer
        .json()
        .await
        .map_err(SupportError::http("read a GraphQL answer"))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with `status` and `body` and returns the request.
    async fn answer_once(listener: TcpListener, status: &str, body: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    #[tokio::test]
    async fn request_carries_token_query_and_variables_and_refusals_are_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let (request, answer) = tokio::join!(
            answer_once(listener, "401 Unauthorized", r#"{"errors":[]}"#),
            graphql(&url, Some("secret"), "{ me { id } }", json!({ "n": 1 })),
        );
        assert_eq!(answer.unwrap(), json!({ "errors": [] }));
        assert!(request.contains("authorization: Bearer secret"));
        assert!(request.contains(r#""query":"{ me { id } }""#));
        assert!(request.contains(r#""variables":{"n":1}"#));
    }
}
