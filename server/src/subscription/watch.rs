//! Watching lists: which runs and integrations have changed.

use std::collections::HashMap;

use futures::{Stream, StreamExt as _, stream};
use lockstep_domain::{IntegrationId, IntegrationState, RunId, RunState};
use lockstep_queue::{Signal, SignalStream};
use lockstep_store::Store;
use lockstep_store::page::PageRequest;
use lockstep_store::run::RunFilter;

use super::{Watcher, not_found};
use crate::error::Result;
use crate::object::event::{IntegrationUpdatedEvent, RunUpdatedEvent};

/// Rows whose state is remembered at the start.
const KNOWN: u64 = 100;

/// One subscriber of runs.
pub(super) struct RunWatch {
    store: Store,
    watcher: Watcher,
    signals: SignalStream,
    only: Option<IntegrationId>,
    /// States of the runs that have not ended, as last told.
    states: HashMap<RunId, RunState>,
}

impl RunWatch {
    pub(super) async fn start(
        store: Store,
        watcher: Watcher,
        signals: SignalStream,
        only: Option<IntegrationId>,
    ) -> Result<Self> {
        check_exists(&store, watcher, only).await?;
        let going_on = vec![RunState::Queued, RunState::Running];
        let filter = RunFilter {
            integration: only,
            states: Some(going_on),
            ..RunFilter::default()
        };
        let runs = store
            .runs(watcher.organization, &filter, &PageRequest::first(KNOWN))
            .await?
            .items;
        let states = runs.into_iter().map(|run| (run.id, run.state)).collect();
        Ok(Self {
            store,
            watcher,
            signals,
            only,
            states,
        })
    }

    pub(super) fn events(self) -> impl Stream<Item = Result<RunUpdatedEvent>> + use<> {
        stream::unfold(Some(self), async |watch| {
            let mut watch = watch?;
            match watch.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(watch))),
                Ok(None) => None,
                Err(failure) => Some((Err(failure), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<RunUpdatedEvent>> {
        while let Some(signal) = self.signals.next().await {
            let Signal::Run {
                organization_id,
                integration_id,
                run_id,
                state,
                ..
            } = signal
            else {
                continue;
            };
            let is_meant = organization_id == self.watcher.organization
                && self.only.is_none_or(|only| only == integration_id);
            if !is_meant || self.states.get(&run_id) == Some(&state) {
                continue;
            }
            if let Some(event) = self.look(run_id).await? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Reads the run: the signal may be older than the row, or told of already.
    async fn look(&mut self, id: RunId) -> Result<Option<RunUpdatedEvent>> {
        self.watcher.check(&self.store).await?;
        let Some(run) = self.store.run(self.watcher.organization, id).await? else {
            return Ok(None);
        };
        let previous = match run.state.has_ended() {
            true => self.states.remove(&id),
            false => self.states.insert(id, run.state),
        };
        // A late signal of a run that was told to have ended.
        let is_news = previous != Some(run.state) && (previous.is_some() || !run.state.has_ended());
        Ok(is_news.then(|| RunUpdatedEvent {
            previous_state: previous.map(Into::into),
            occurred_at: run.updated_at.into(),
            run: run.into(),
        }))
    }
}

/// One subscriber of integrations.
pub(super) struct IntegrationWatch {
    store: Store,
    watcher: Watcher,
    signals: SignalStream,
    only: Option<IntegrationId>,
    /// States as last told.
    states: HashMap<IntegrationId, IntegrationState>,
}

impl IntegrationWatch {
    pub(super) async fn start(
        store: Store,
        watcher: Watcher,
        signals: SignalStream,
        only: Option<IntegrationId>,
    ) -> Result<Self> {
        check_exists(&store, watcher, only).await?;
        let rows = store
            .integrations(watcher.organization, None, &PageRequest::first(KNOWN))
            .await?
            .items;
        let states = rows.into_iter().map(|row| (row.id, row.state)).collect();
        Ok(Self {
            store,
            watcher,
            signals,
            only,
            states,
        })
    }

    pub(super) fn events(self) -> impl Stream<Item = Result<IntegrationUpdatedEvent>> + use<> {
        stream::unfold(Some(self), async |watch| {
            let mut watch = watch?;
            match watch.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(watch))),
                Ok(None) => None,
                Err(failure) => Some((Err(failure), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<IntegrationUpdatedEvent>> {
        while let Some(signal) = self.signals.next().await {
            let Signal::Integration {
                organization_id,
                integration_id,
            } = signal
            else {
                continue;
            };
            let is_meant = organization_id == self.watcher.organization
                && self.only.is_none_or(|only| only == integration_id);
            if !is_meant {
                continue;
            }
            self.watcher.check(&self.store).await?;
            let Some(row) = self
                .store
                .integration(organization_id, integration_id)
                .await?
            else {
                continue;
            };
            let previous = self
                .states
                .insert(integration_id, row.state)
                .unwrap_or(row.state);
            return Ok(Some(IntegrationUpdatedEvent {
                previous_state: previous.into(),
                occurred_at: self.store.now().into(),
                integration: row.into(),
            }));
        }
        Ok(None)
    }
}

async fn check_exists(store: &Store, watcher: Watcher, id: Option<IntegrationId>) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    match store.integration(watcher.organization, id).await? {
        Some(_) => Ok(()),
        None => Err(not_found("There is no such integration.")),
    }
}
