//! Watching lists: which runs and integrations have changed.

use std::collections::{HashMap, VecDeque};

use futures::{Stream, stream};
use lockstep_domain::{IntegrationId, IntegrationState, OrganizationId, RunId, RunState};
use lockstep_queue::{Signal, SignalStream};
use lockstep_store::Store;
use lockstep_store::integration::Integration;
use lockstep_store::page::PageRequest;
use lockstep_store::run::{Run, RunFilter};

use super::listen::{Listener, News};
use super::{Watcher, not_found};
use crate::error::Result;
use crate::object::event::{IntegrationUpdatedEvent, RunUpdatedEvent};

/// Rows of one organization that a look reads. Those beyond are told of by signals alone.
const KNOWN: u64 = 100;
/// Ended runs that are remembered.
const KNOWN_ENDS: usize = 256;

/// One subscriber of runs.
pub(super) struct RunWatch {
    store: Store,
    watcher: Watcher,
    listener: Listener,
    only: Option<IntegrationId>,
    /// States of the runs that have not ended, as last told.
    states: HashMap<RunId, RunState>,
    /// Runs that were told to have ended, the latest last: a late signal of one of them is no news.
    ended: VecDeque<RunId>,
    /// What is still to be told.
    events: VecDeque<RunUpdatedEvent>,
}

impl RunWatch {
    pub(super) async fn start(
        store: Store,
        watcher: Watcher,
        signals: SignalStream,
        only: Option<IntegrationId>,
    ) -> Result<Self> {
        let organization = watcher.organization;
        check_exists(&store, organization, only).await?;
        let mut watch = Self {
            store,
            watcher,
            listener: Listener::new(signals),
            only,
            states: HashMap::new(),
            ended: VecDeque::new(),
            events: VecDeque::new(),
        };
        let runs = going_on(&watch.store, organization, only).await?;
        watch.states = runs.into_iter().map(|run| (run.id, run.state)).collect();
        Ok(watch)
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
            if let Some(event) = self.events.pop_front() {
                self.watcher.check_if_old(&self.store).await?;
                return Ok(Some(event));
            }
            let (organization, only, states) = (self.watcher.organization, self.only, &self.states);
            let meant = |signal: &Signal| match signal {
                Signal::Run {
                    organization_id,
                    integration_id,
                    run_id,
                    state,
                    ..
                } => {
                    let is_ours = *organization_id == organization
                        && only.is_none_or(|only| only == *integration_id);
                    (is_ours && states.get(run_id) != Some(state)).then_some(*run_id)
                }
                _ => None,
            };
            match self.listener.next(meant).await {
                News::Meant(id) => self.look(id).await?,
                News::Look => self.look_around().await?,
                News::End => return Ok(None),
            }
        }
    }

    /// Reads the run: the signal may be older than the row, or told of already.
    async fn look(&mut self, id: RunId) -> Result<()> {
        self.watcher.check(&self.store).await?;
        let run = self.store.run(self.watcher.organization, id).await?;
        run.into_iter().for_each(|run| self.tell(run));
        Ok(())
    }

    /// A signal may be lost, and whoever ends a run from outside may send none: so the runs that are going on, and
    /// those that were, are read again from time to time.
    async fn look_around(&mut self) -> Result<()> {
        self.watcher.check(&self.store).await?;
        let organization = self.watcher.organization;
        let going_on = going_on(&self.store, organization, self.only).await?;
        let is_read = |id: &RunId| going_on.iter().any(|run| run.id == *id);
        let others: Vec<RunId> = self
            .states
            .keys()
            .copied()
            .filter(|id| !is_read(id))
            .collect();
        let ended = match others.as_slice() {
            [] => Vec::new(),
            ids => {
                self.store
                    .runs_by_id(self.watcher.organization, ids)
                    .await?
            }
        };
        for run in going_on.into_iter().chain(ended) {
            self.tell(run);
        }
        Ok(())
    }

    /// Makes an event of a run whose state is another than was told.
    fn tell(&mut self, run: Run) {
        if self.ended.contains(&run.id) {
            return;
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
        if previous != Some(run.state) {
            self.events.push_back(RunUpdatedEvent {
                previous_state: previous.map(Into::into),
                occurred_at: run.updated_at.into(),
                run: run.into(),
            });
        }
    }
}

/// One subscriber of integrations.
pub(super) struct IntegrationWatch {
    store: Store,
    watcher: Watcher,
    listener: Listener,
    only: Option<IntegrationId>,
    /// States as last told.
    states: HashMap<IntegrationId, IntegrationState>,
    /// What is still to be told.
    events: VecDeque<IntegrationUpdatedEvent>,
}

impl IntegrationWatch {
    pub(super) async fn start(
        store: Store,
        watcher: Watcher,
        signals: SignalStream,
        only: Option<IntegrationId>,
    ) -> Result<Self> {
        let organization = watcher.organization;
        check_exists(&store, organization, only).await?;
        let mut watch = Self {
            store,
            watcher,
            listener: Listener::new(signals),
            only,
            states: HashMap::new(),
            events: VecDeque::new(),
        };
        let rows = watched(&watch.store, organization, only).await?;
        watch.states = rows.into_iter().map(|row| (row.id, row.state)).collect();
        Ok(watch)
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
            if let Some(event) = self.events.pop_front() {
                self.watcher.check_if_old(&self.store).await?;
                return Ok(Some(event));
            }
            let (organization, only) = (self.watcher.organization, self.only);
            let meant = |signal: &Signal| match signal {
                Signal::Integration {
                    organization_id,
                    integration_id,
                } => {
                    let is_ours = *organization_id == organization
                        && only.is_none_or(|only| only == *integration_id);
                    is_ours.then_some(*integration_id)
                }
                _ => None,
            };
            match self.listener.next(meant).await {
                News::Meant(id) => self.look(id).await?,
                News::Look => self.look_around().await?,
                News::End => return Ok(None),
            }
        }
    }

    async fn look(&mut self, id: IntegrationId) -> Result<()> {
        self.watcher.check(&self.store).await?;
        let row = self.store.integration(self.watcher.organization, id);
        row.await?.into_iter().for_each(|row| self.tell(row));
        Ok(())
    }

    /// A signal may be lost: from time to time the states are read again.
    async fn look_around(&mut self) -> Result<()> {
        self.watcher.check(&self.store).await?;
        for row in watched(&self.store, self.watcher.organization, self.only).await? {
            if self.states.get(&row.id) != Some(&row.state) {
                self.tell(row);
            }
        }
        Ok(())
    }

    fn tell(&mut self, row: Integration) {
        let previous = self.states.insert(row.id, row.state).unwrap_or(row.state);
        self.events.push_back(IntegrationUpdatedEvent {
            previous_state: previous.into(),
            occurred_at: self.store.now().into(),
            integration: row.into(),
        });
    }
}

/// Returns the runs that have not ended, the latest first.
async fn going_on(
    store: &Store,
    organization: OrganizationId,
    only: Option<IntegrationId>,
) -> Result<Vec<Run>> {
    let filter = RunFilter {
        integration: only,
        states: Some(vec![RunState::Queued, RunState::Running]),
        ..RunFilter::default()
    };
    let page = PageRequest::first(KNOWN);
    Ok(store.runs(organization, &filter, &page).await?.items)
}

/// Returns the integrations that are watched.
async fn watched(
    store: &Store,
    organization: OrganizationId,
    only: Option<IntegrationId>,
) -> Result<Vec<Integration>> {
    let Some(id) = only else {
        let page = PageRequest::first(KNOWN);
        return Ok(store.integrations(organization, None, &page).await?.items);
    };
    Ok(Vec::from_iter(store.integration(organization, id).await?))
}

async fn check_exists(
    store: &Store,
    organization: OrganizationId,
    id: Option<IntegrationId>,
) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    match store.integration(organization, id).await? {
        Some(_) => Ok(()),
        None => Err(not_found("There is no such integration.")),
    }
}
