//! Watching lists: which runs and integrations have changed.

use std::collections::{HashMap, VecDeque};

use futures::{Stream, StreamExt as _, stream};
use lockstep_domain::{IntegrationId, IntegrationState, RunId, RunState};
use lockstep_queue::{Signal, SignalStream};
use lockstep_store::Store;
use lockstep_store::integration::Integration;
use lockstep_store::page::PageRequest;
use lockstep_store::run::{Run, RunFilter};
use tokio::time::timeout;

use super::{SILENCE, Watcher, not_found};
use crate::error::Result;
use crate::object::event::{IntegrationUpdatedEvent, RunUpdatedEvent};

/// Rows whose state is remembered at the start.
const KNOWN: u64 = 100;
/// Ended runs that are remembered.
const KNOWN_ENDS: usize = 256;

/// One subscriber of runs.
pub(super) struct RunWatch {
    store: Store,
    watcher: Watcher,
    signals: SignalStream,
    only: Option<IntegrationId>,
    /// States of the runs that have not ended, as last told.
    states: HashMap<RunId, RunState>,
    /// Runs that were told to have ended, the latest last: a late signal of one of them is no news.
    ended: VecDeque<RunId>,
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
            ended: VecDeque::new(),
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
        loop {
            let event = match timeout(SILENCE, self.signals.next()).await {
                Ok(None) => return Ok(None),
                Ok(Some(signal)) => match self.meant(&signal) {
                    Some(id) => self.look(id).await?,
                    None => None,
                },
                Err(_) => self.look_around().await?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// The run that a signal speaks of, none when it is not ours or nothing new.
    fn meant(&self, signal: &Signal) -> Option<RunId> {
        let Signal::Run {
            organization_id,
            integration_id,
            run_id,
            state,
            ..
        } = signal
        else {
            return None;
        };
        let is_ours = *organization_id == self.watcher.organization
            && self.only.is_none_or(|only| only == *integration_id);
        (is_ours && self.states.get(run_id) != Some(state)).then_some(*run_id)
    }

    /// Reads the run: the signal may be older than the row, or told of already.
    async fn look(&mut self, id: RunId) -> Result<Option<RunUpdatedEvent>> {
        self.watcher.check(&self.store).await?;
        let run = self.store.run(self.watcher.organization, id).await?;
        Ok(run.and_then(|run| self.tell(run)))
    }

    /// A signal may be lost, and whoever ends a run from outside may send none: after a silence the runs that were
    /// going on are read again. One that has changed is told; the next silence tells the next.
    async fn look_around(&mut self) -> Result<Option<RunUpdatedEvent>> {
        self.watcher.check(&self.store).await?;
        let ids: Vec<RunId> = self.states.keys().copied().collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let runs = self
            .store
            .runs_by_id(self.watcher.organization, &ids)
            .await?;
        Ok(runs.into_iter().find_map(|run| self.tell(run)))
    }

    /// The event of a run whose state is another than was told.
    fn tell(&mut self, run: Run) -> Option<RunUpdatedEvent> {
        if self.ended.contains(&run.id) {
            return None;
        }
        let previous = if run.state.has_ended() {
            if self.ended.len() == KNOWN_ENDS {
                self.ended.pop_front();
            }
            self.ended.push_back(run.id);
            self.states.remove(&run.id)
        } else {
            self.states.insert(run.id, run.state)
        };
        (previous != Some(run.state)).then(|| RunUpdatedEvent {
            previous_state: previous.map(Into::into),
            occurred_at: run.updated_at.into(),
            run: run.into(),
        })
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
        loop {
            let event = match timeout(SILENCE, self.signals.next()).await {
                Ok(None) => return Ok(None),
                Ok(Some(signal)) => match self.meant(&signal) {
                    Some(id) => self.look(id).await?,
                    None => None,
                },
                Err(_) => self.look_around().await?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// The integration that a signal speaks of, none when it is not ours.
    fn meant(&self, signal: &Signal) -> Option<IntegrationId> {
        let Signal::Integration {
            organization_id,
            integration_id,
        } = signal
        else {
            return None;
        };
        let is_ours = *organization_id == self.watcher.organization
            && self.only.is_none_or(|only| only == *integration_id);
        is_ours.then_some(*integration_id)
    }

    async fn look(&mut self, id: IntegrationId) -> Result<Option<IntegrationUpdatedEvent>> {
        self.watcher.check(&self.store).await?;
        let row = self
            .store
            .integration(self.watcher.organization, id)
            .await?;
        Ok(row.map(|row| self.tell(row)))
    }

    /// A signal may be lost: after a silence the states are read again.
    async fn look_around(&mut self) -> Result<Option<IntegrationUpdatedEvent>> {
        self.watcher.check(&self.store).await?;
        let ids: Vec<IntegrationId> = self.states.keys().copied().collect();
        let rows = self
            .store
            .integrations_by_id(self.watcher.organization, &ids)
            .await?;
        let mut meant = rows
            .into_iter()
            .filter(|row| self.only.is_none_or(|only| only == row.id));
        let changed = meant.find(|row| self.states.get(&row.id) != Some(&row.state));
        Ok(changed.map(|row| self.tell(row)))
    }

    fn tell(&mut self, row: Integration) -> IntegrationUpdatedEvent {
        let previous = self.states.insert(row.id, row.state).unwrap_or(row.state);
        IntegrationUpdatedEvent {
            previous_state: previous.into(),
            occurred_at: self.store.now().into(),
            integration: row.into(),
        }
    }
}

async fn check_exists(store: &Store, watcher: Watcher, id: Option<IntegrationId>) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    match store.integration(watcher.organization, id).await? {
        Some(_) => Ok(()),
        None => Err(not_found("There is no such integration.")),
    }
}
