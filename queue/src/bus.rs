//! The bus: "this row has changed", from those who change rows to those who show them.
//!
//! The row is written first and the signal sent second, so a lost signal is harmless: whoever listens reads the row
//! first, and again after a silence.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use lockstep_domain::{IntegrationId, OrganizationId, RunId, RunPhase, RunState, TestId};
use redis::Client;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::bus_redis;
use crate::error::QueueError;
use crate::link::Link;

/// Signals that one slow listener may be behind before it misses some. At a hundred changes a second this is ten
/// seconds, far more than a page takes to be sent.
const BACKLOG: usize = 1024;

/// Signals that may wait to be sent to Redis; more are dropped, so that a Redis that is away never slows a run.
const OUTBOX: usize = 256;

/// A message of the bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Signal {
    /// The full present state of a run, so that one signal makes up for all that were missed.
    Run {
        /// Whose run it is.
        organization_id: OrganizationId,
        /// The integration that runs.
        integration_id: IntegrationId,
        /// The run.
        run_id: RunId,
        /// Rises with every change of the row; a lower one than already seen is old news.
        sequence: i64,
        /// Where the run stands.
        state: RunState,
        /// What the run is doing.
        phase: RunPhase,
        /// Things of the phase that are done.
        processed: i64,
        /// Things of the phase in all, when known.
        total: Option<i64>,
        /// Share of the whole run that is done, when known.
        percent: Option<i32>,
        /// When the row was written.
        at: DateTime<Utc>,
    },
    /// A connection test has changed.
    Test {
        /// Whose test it is.
        organization_id: OrganizationId,
        /// The integration that is tested.
        integration_id: IntegrationId,
        /// The test.
        test_id: TestId,
    },
    /// An integration has changed.
    Integration {
        /// Whose integration it is.
        organization_id: OrganizationId,
        /// The integration.
        integration_id: IntegrationId,
    },
}

/// Sends and receives signals. Clones are the same bus.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    /// Hands every signal of the process to its listeners.
    fan: broadcast::Sender<Signal>,
    /// What goes to Redis; none when the bus stays in the process.
    outbox: Option<mpsc::Sender<String>>,
    /// Hands the signals of Redis to the fan.
    _listener: Option<AbortOnDropHandle<()>>,
}

impl Bus {
    /// Makes a bus that stays in the process.
    pub(crate) fn in_process() -> Self {
        Self(Arc::new(Inner {
            fan: broadcast::Sender::new(BACKLOG),
            outbox: None,
            _listener: None,
        }))
    }

    /// Makes a bus over Redis; it hears everything that is published after this returns.
    pub(crate) async fn over_redis(client: Client, link: Link) -> Result<Self, QueueError> {
        let fan = broadcast::Sender::new(BACKLOG);
        let listener = bus_redis::listen(client, fan.clone()).await?;
        let (outbox, posts) = mpsc::channel(OUTBOX);
        // Not aborted with the bus: it ends by itself when the last clone is gone and what was posted is sent.
        tokio::spawn(bus_redis::send(link, posts));
        Ok(Self(Arc::new(Inner {
            fan,
            outbox: Some(outbox),
            _listener: Some(listener),
        })))
    }

    /// Sends a signal to everyone who listens now. Never fails and never waits for Redis.
    pub async fn publish(&self, signal: &Signal) {
        let Some(outbox) = &self.0.outbox else {
            // Fails only when nobody listens.
            let _ = self.0.fan.send(signal.clone());
            return;
        };
        match serde_json::to_string(signal) {
            Ok(text) => {
                if outbox.try_send(text).is_err() {
                    tracing::debug!("A signal was dropped: too many wait for Redis");
                }
            }
            Err(error) => tracing::debug!(%error, "A signal could not be written"),
        }
    }

    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self) -> SignalStream {
        let signals = stream::unfold(self.0.fan.subscribe(), async |mut listener| {
            loop {
                match listener.recv().await {
                    Ok(signal) => return Some((signal, listener)),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::debug!(missed, "A listener was too slow and missed signals");
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        SignalStream(signals.boxed())
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("in_process", &self.0.outbox.is_none())
            .finish_non_exhaustive()
    }
}

/// The signals that were sent since the subscription; ends when the bus is gone. A slow reader misses signals
/// rather than filling the memory.
pub struct SignalStream(BoxStream<'static, Signal>);

impl Stream for SignalStream {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Signal>> {
        self.0.poll_next_unpin(context)
    }
}
