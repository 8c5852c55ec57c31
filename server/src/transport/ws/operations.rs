//! The operations that run on one socket.

use std::{collections::HashMap, time::Instant};

use async_graphql::{Executor, Request};
use axum::extract::ws::Message;
use futures::{StreamExt, stream};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id, JoinError, JoinSet},
};
use tracing::Instrument;

use super::{
    super::{
        Transport,
        auth::{self, Authenticator},
        credentials::Credentials,
        executor::{OperationKind, Outcome, Prepared},
        options::{OperationReport, TransportKind},
        request_id::RequestId,
    },
    message::ServerMessage,
};

/// Each runs as a task; all of them are aborted when this is dropped.
#[derive(Default)]
pub(super) struct Operations {
    running: HashMap<String, AbortHandle>,
    tasks: JoinSet<Ended>,
}

/// An operation that has come to its end by itself.
pub(super) struct Ended {
    pub(super) id: String,
    /// Whether the client is still to be told. After `error` it is not.
    pub(super) completes: bool,
}

impl Operations {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.running.contains_key(id)
    }

    pub(super) fn start(
        &mut self,
        id: String,
        operation: impl Future<Output = Ended> + Send + 'static,
    ) {
        let task = self.tasks.spawn(operation);
        self.running.insert(id, task);
    }

    /// Stops an operation that the client no longer wants. An unknown id is one that has just ended.
    pub(super) fn stop(&mut self, id: &str) {
        if let Some(task) = self.running.remove(id) {
            task.abort();
        }
    }

    /// Waits for the next operation to end; `None` when none runs. Safe to cancel.
    pub(super) async fn ended(&mut self) -> Option<Result<(Id, Ended), JoinError>> {
        self.tasks.join_next_with_id().await
    }

    /// Forgets an operation that has ended and returns what the client is to be told.
    ///
    /// The id is free before `complete` is sent, so a client may use it again at once. The task is compared too: the
    /// id may already belong to another operation.
    pub(super) fn forget(&mut self, ended: Result<(Id, Ended), JoinError>) -> Option<Ended> {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let before = self.running.len();
        self.running.retain(|_, running| running.id() != task);
        let was_running = self.running.len() < before;
        ended.ok().map(|(_, ended)| ended).filter(|_| was_running)
    }
}

/// What a client asks for, and who that is as far as the socket knows.
pub(super) struct Asked<S> {
    pub(super) request: Request,
    pub(super) request_id: RequestId,
    pub(super) credentials: Credentials,
    pub(super) session: Option<S>,
}

impl<S: Clone + Send + Sync + 'static> Asked<S> {
    /// Asks who the caller is now, as each request over HTTP does: what a socket knows may be half a minute old.
    async fn prepare<E: Executor, A: Authenticator<Session = S>>(
        self,
        transport: &Transport<E, A>,
    ) -> Result<Prepared, Box<Outcome>> {
        let authenticated = auth::recheck(
            transport.authenticator.as_ref(),
            &self.credentials,
            self.session.as_ref(),
            transport.options.init_timeout,
        );
        let session = match authenticated.await {
            Ok(authenticated) => authenticated.session,
            Err(refusal) => return Err(Box::new(Outcome::of_refusal(refusal))),
        };
        let request = transport.dress(self.request, &session, &self.request_id);
        transport.executor.prepare(request)
    }
}

/// One operation, from the `subscribe` message to its last result.
pub(super) struct Operation<E, A: Authenticator> {
    pub(super) id: String,
    pub(super) asked: Asked<A::Session>,
    pub(super) transport: Transport<E, A>,
    pub(super) outgoing: mpsc::Sender<Message>,
}

impl<E: Executor, A: Authenticator> Operation<E, A> {
    pub(super) async fn run(self) -> Ended {
        let started = Instant::now();
        let Self {
            id,
            asked,
            transport,
            outgoing,
        } = self;
        let prepared = asked.prepare(&transport).await;
        let (executor, options) = (transport.executor, transport.options);
        let mut answers = Answers {
            id: &id,
            outgoing: &outgoing,
            error: None,
        };
        let (kind, completes) = match prepared {
            Err(outcome) => (None, answers.all(stream::iter([*outcome])).await),
            Ok(prepared) => {
                let (kind, span) = (prepared.kind(), prepared.span());
                let completes = if kind == OperationKind::Subscription {
                    answers
                        .all(executor.stream(prepared, None))
                        .instrument(span)
                        .await
                } else {
                    let outcome = executor.run(prepared).await;
                    answers.all(stream::iter([outcome])).await
                };
                (Some(kind), completes)
            }
        };
        let error = answers.error;
        OperationReport::send(
            &options,
            TransportKind::WebSocket,
            kind,
            error.as_deref(),
            started,
        );
        Ended { id, completes }
    }
}

/// Hands results on to the socket.
struct Answers<'a> {
    id: &'a str,
    outgoing: &'a mpsc::Sender<Message>,
    error: Option<String>,
}

impl Answers<'_> {
    /// Sends every result and returns whether `complete` is to follow.
    async fn all(&mut self, outcomes: impl stream::Stream<Item = Outcome>) -> bool {
        let mut outcomes = std::pin::pin!(outcomes);
        while let Some(outcome) = outcomes.next().await {
            if self.error.is_none() {
                self.error = outcome.code().map(ToOwned::to_owned);
            }
            let id = self.id;
            let message = if outcome.refused {
                ServerMessage::Error {
                    id,
                    payload: &outcome.response.errors,
                }
            } else {
                ServerMessage::Next {
                    id,
                    payload: &outcome,
                }
            };
            let sent = self.outgoing.send(message.frame()).await;
            if outcome.refused || sent.is_err() {
                return false;
            }
        }
        true
    }
}
