//! Asks Graph until it answers, or until patience ends.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use reqwest::{
    Url,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use tokio::time::sleep;

use crate::{
    ClientOptions, GraphError,
    client::Inner,
    patience::{Next, Patience, Pause},
    throttle::Gate,
    token::Token,
    transport::{Reply, Transport},
};

/// One request, which may be sent many times.
#[derive(Debug)]
pub(crate) struct Call {
    operation: &'static str,
    url: Url,
    body: Option<Vec<u8>>,
    limit: Duration,
}

impl Call {
    pub(crate) const fn get(operation: &'static str, url: Url, limit: Duration) -> Self {
        Self {
            operation,
            url,
            body: None,
            limit,
        }
    }

    pub(crate) const fn post(
        operation: &'static str,
        url: Url,
        body: Vec<u8>,
        limit: Duration,
    ) -> Self {
        Self {
            operation,
            url,
            body: Some(body),
            limit,
        }
    }
}

impl Inner {
    /// Sends a request until an answer can be read. What `read` refuses counts as a bad answer.
    pub(crate) async fn fetch<T>(
        &self,
        call: &Call,
        read: impl Fn(&Reply) -> Result<T, &'static str>,
    ) -> Result<T, GraphError> {
        let mut patience = Patience::default();
        loop {
            let token = self.admit(call.operation).await?;
            let error = match self.attempt(call, &token, &read).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let pause = endure(
                error,
                &mut patience,
                &self.gate,
                &self.transport,
                &self.options,
            )
            .await?;
            if pause.renew_token {
                self.tokens.discard(token.generation).await;
            }
        }
    }

    /// Returns the token of this moment.
    pub(crate) async fn token(&self) -> Result<Token, GraphError> {
        self.tokens.get(&self.transport, &self.options).await
    }

    /// Waits for the throttle and returns a token. The gate may have closed again while the token came.
    async fn admit(&self, operation: &'static str) -> Result<Token, GraphError> {
        loop {
            let waited = self
                .gate
                .pass(operation, self.options.max_throttle_wait)
                .await?;
            self.transport.counters.count_wait(waited);
            let token = self.token().await?;
            if self.gate.remaining().is_zero() {
                return Ok(token);
            }
        }
    }

    async fn attempt<T>(
        &self,
        call: &Call,
        token: &Token,
        read: &impl Fn(&Reply) -> Result<T, &'static str>,
    ) -> Result<T, GraphError> {
        let mut reply = self.send(call, token).await?;
        let status = reply.status.as_u16();
        if status != 200 {
            return Err(reply.refusal().of_graph());
        }
        reply.generation = token.generation;
        read(&reply).map_err(|reason| GraphError::BadResponse {
            operation: call.operation,
            reason,
            status,
        })
    }

    async fn send(&self, call: &Call, token: &Token) -> Result<Reply, GraphError> {
        let client = self.transport.client();
        let request = match &call.body {
            None => client.get(call.url.clone()),
            Some(body) => client
                .post(call.url.clone())
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone()),
        };
        let request = request.header(AUTHORIZATION, token.bearer.clone());
        self.transport.counters.requests.fetch_add(1, Relaxed);
        self.transport
            .send(call.operation, request, call.limit)
            .await
    }
}

/// Waits out a failure, or returns it when it is final.
pub(crate) async fn endure(
    error: GraphError,
    patience: &mut Patience,
    gate: &Gate,
    transport: &Transport,
    options: &ClientOptions,
) -> Result<Pause, GraphError> {
    let next = patience.after(&error, options);
    note(&error, next, transport);
    match next {
        Next::Again(pause) => {
            rest(pause, gate, transport).await;
            Ok(pause)
        }
        Next::GiveUp => {
            // Whoever asks next has to respect the named time too.
            gate.close_for(error.retry_after().unwrap_or_default());
            Err(error)
        }
    }
}

/// Counts a failure, and drops connections to a server that is out of order.
pub(crate) fn note(error: &GraphError, next: Next, transport: &Transport) {
    let throttled = matches!(error, GraphError::Throttled { .. });
    transport
        .counters
        .count_failure(throttled, next != Next::GiveUp);
    if matches!(error, GraphError::Unavailable { answer, .. } if answer.status == 503) {
        transport.reconnect();
    }
}

/// Closes the gate for everyone, or waits alone.
pub(crate) async fn rest(pause: Pause, gate: &Gate, transport: &Transport) {
    if pause.everyone {
        gate.close_for(pause.wait);
    } else {
        transport.counters.count_wait(pause.wait);
        sleep(pause.wait).await;
    }
}
