//! The client: one tenant, one token, one throttle.

use std::{fmt, sync::Arc};

use crate::{
    ClientOptions, Credentials, Endpoints, GraphError, RequestStats, throttle::Gate,
    token::TokenSource, transport::Transport, url::Root,
};

/// Reads one tenant. Clones share token, throttle, connections and counters.
#[derive(Clone)]
pub struct GraphClient {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) root: Root,
    pub(crate) options: ClientOptions,
    pub(crate) transport: Transport,
    pub(crate) tokens: TokenSource,
    pub(crate) gate: Gate,
}

impl GraphClient {
    /// Makes a client. Nothing is sent before the first read.
    pub fn new(
        endpoints: Endpoints,
        credentials: Credentials,
        options: ClientOptions,
    ) -> Result<Self, GraphError> {
        endpoints.check()?;
        let root = Root::new(&endpoints.graph);
        let transport = Transport::new(&endpoints, options.clone())?;
        let tokens = TokenSource::new(&endpoints, credentials)?;
        Ok(Self {
            inner: Arc::new(Inner {
                root,
                options,
                transport,
                tokens,
                gate: Gate::default(),
            }),
        })
    }

    /// Signs in, unless that was done already. Every request does so by itself; this tells a refusal before the first.
    ///
    /// # Errors
    /// What the sign-in service says.
    pub async fn sign_in(&self) -> Result<(), GraphError> {
        self.inner.token().await.map(drop)
    }

    /// Returns what the client and its clones did so far.
    pub fn stats(&self) -> RequestStats {
        self.inner.transport.counters.snapshot()
    }
}

impl fmt::Debug for GraphClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphClient")
            .field("root", &self.inner.root)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
