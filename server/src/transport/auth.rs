//! Who is calling, asked at the start and again while a connection lives.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lockstep_domain::Clock;
use tokio::{sync::watch, task::JoinHandle, time};
use tracing::warn;

use super::{credentials::Credentials, error::ErrorCode, options::TransportOptions};

/// Decides who is calling, for each request and for each socket.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// What resolvers find with `ctx.data_opt::<Session>()`.
    type Session: Clone + Send + Sync + 'static;

    /// Says whose credentials these are.
    ///
    /// `Ok` without a session lets an anonymous caller reach the schema, where each field decides.
    async fn authenticate(
        &self,
        credentials: &Credentials,
    ) -> Result<Authenticated<Self::Session>, AuthRefusal>;

    /// Says whether the credential still holds while a socket or an event stream lives.
    ///
    /// Asked every [`TransportOptions::recheck`], and by a socket for each operation that starts.
    async fn recheck(
        &self,
        credentials: &Credentials,
        _session: Option<&Self::Session>,
    ) -> Result<Authenticated<Self::Session>, AuthRefusal> {
        self.authenticate(credentials).await
    }

    /// Names the caller, the same for each of their credentials, so that their sockets and streams can be counted and
    /// end when the credential names somebody else.
    fn caller(_session: &Self::Session) -> Option<String> {
        None
    }
}

/// A caller that may go on to the schema.
#[derive(Debug, Clone)]
pub struct Authenticated<S> {
    /// The caller, or `None` for an anonymous one.
    pub session: Option<S>,
    /// When the credential ends, if it does.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a caller may not go on. The text is shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthRefusal {
    /// The credential is missing, unknown or has expired: 401, or 4401 on a socket, after which clients give up.
    Unauthenticated(String),
    /// The credential is known but has no right to be here: 403, or 4403 on a socket, after which clients try again.
    Forbidden(String),
    /// The credential holds, but does not let in whom it names: 403 with a code of its own, or 4403 on a socket with that
    /// code at the start of the reason.
    Denied(ErrorCode, String),
    /// Nobody can tell at the moment: 503, or 1013 on a socket.
    Unavailable,
}

/// Asks the authenticator, for no longer than the caller has to say who they are.
pub(super) async fn authenticate<A: Authenticator>(
    authenticator: &A,
    credentials: &Credentials,
    options: &TransportOptions,
) -> Result<Authenticated<A::Session>, AuthRefusal> {
    let answer = authenticator.authenticate(credentials);
    match time::timeout(options.init_timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(AuthRefusal::Unavailable),
    }
}

/// Asks the authenticator again, for no longer than `within`.
///
/// Refuses when the credential names somebody else by now: what has begun on the connection is the former caller's.
pub(super) async fn recheck<A: Authenticator>(
    authenticator: &A,
    credentials: &Credentials,
    session: Option<&A::Session>,
    within: Duration,
) -> Result<Authenticated<A::Session>, AuthRefusal> {
    let answer = authenticator.recheck(credentials, session);
    let authenticated = match time::timeout(within, answer).await {
        Ok(answer) => answer?,
        Err(_) => return Err(AuthRefusal::Unavailable),
    };
    let name = |session: Option<&A::Session>| session.and_then(A::caller);
    if name(session) == name(authenticated.session.as_ref()) {
        return Ok(authenticated);
    }
    let message = "The credential is of somebody else by now; connect again.";
    Err(AuthRefusal::Unauthenticated(message.to_owned()))
}

/// Watches the credential of one socket or stream until it is dropped.
///
/// A task of its own, because a question that is asked inside a `select!` would be thrown away by each message.
pub(super) struct CredentialWatch<S> {
    session: watch::Receiver<Option<S>>,
    task: JoinHandle<AuthRefusal>,
}

impl<S: Clone + Send + Sync + 'static> CredentialWatch<S> {
    pub(super) fn start<A: Authenticator<Session = S>>(
        authenticator: Arc<A>,
        credentials: Credentials,
        authenticated: Authenticated<S>,
        options: &TransportOptions,
    ) -> Self {
        let (sender, session) = watch::channel(authenticated.session);
        let round = Round {
            authenticator,
            credentials,
            expires_at: authenticated.expires_at,
            recheck: options.recheck,
            answer_within: options.init_timeout,
            clock: Arc::clone(&options.clock),
        };
        Self {
            session,
            task: tokio::spawn(round.run(sender)),
        }
    }

    /// Returns the caller as last confirmed.
    pub(super) fn session(&self) -> Option<S> {
        self.session.borrow().clone()
    }

    /// Waits until the credential no longer holds. Safe to cancel; not to be called after it has answered.
    pub(super) async fn refused(&mut self) -> AuthRefusal {
        (&mut self.task).await.unwrap_or(AuthRefusal::Unavailable)
    }
}

impl<S> Drop for CredentialWatch<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Round<A> {
    authenticator: Arc<A>,
    credentials: Credentials,
    expires_at: Option<DateTime<Utc>>,
    recheck: Duration,
    answer_within: Duration,
    clock: Arc<dyn Clock>,
}

impl<A: Authenticator> Round<A> {
    async fn run(mut self, sender: watch::Sender<Option<A::Session>>) -> AuthRefusal {
        loop {
            time::sleep(self.pause()).await;
            let session = sender.borrow().clone();
            match self.ask(session.as_ref()).await {
                Ok(authenticated) => {
                    self.expires_at = authenticated.expires_at;
                    sender.send_replace(authenticated.session);
                }
                // Nobody can tell: a credential that was good keeps its connection, but not past its end.
                Err(AuthRefusal::Unavailable) => {
                    warn!("Could not check the credential of a live connection again")
                }
                Err(refusal) => return refusal,
            }
            if self.has_expired() {
                return AuthRefusal::Unauthenticated("The credential has expired.".to_owned());
            }
        }
    }

    async fn ask(
        &self,
        session: Option<&A::Session>,
    ) -> Result<Authenticated<A::Session>, AuthRefusal> {
        let credentials = &self.credentials;
        let authenticator = self.authenticator.as_ref();
        recheck(authenticator, credentials, session, self.answer_within).await
    }

    // At the end of a credential the authenticator is asked once more: a session that slides has a new end by then.
    fn pause(&self) -> Duration {
        match self.expires_at {
            None => self.recheck,
            Some(end) => (end - self.clock.now())
                .to_std()
                .unwrap_or(Duration::ZERO)
                .min(self.recheck),
        }
    }

    fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|end| end <= self.clock.now())
    }
}
