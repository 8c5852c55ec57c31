//! A read of one collection, by list or by delta: the same for users and for groups.

use std::future::Future;

use lockstep_domain::{ReadMode, RunPhase, RunWarning, RunWarningCode};
use lockstep_graph::{DeltaLink, ErrorClass, GraphClient, GraphError, Page, Pages};
use lockstep_store::lease::Step;
use lockstep_store::run::Run;
use lockstep_store::{Lease, Store, StoreError};
use uuid::Uuid;

use super::{ROUNDS, incomplete};
use crate::failure::Stop;
use crate::inbound::{Execution, Frozen};

/// Something that Graph lists and tells changes of.
pub(super) trait Collection: Send + Sync {
    /// An object of it.
    type Item: Send;
    /// What a run does that reads it.
    const PHASE: RunPhase;

    /// Lists everything.
    fn list(&self, client: &GraphClient) -> Pages<Self::Item>;

    /// Goes on from a delta link.
    fn resume(
        &self,
        client: &GraphClient,
        link: &DeltaLink,
    ) -> Result<Pages<Self::Item>, GraphError>;

    /// Returns the link to changes from now on.
    fn latest(
        &self,
        client: &GraphClient,
    ) -> impl Future<Output = Result<DeltaLink, GraphError>> + Send;

    /// Takes a page over; returns how many objects were new or different.
    fn save(
        &self,
        store: &Store,
        lease: &Lease,
        step: Step,
        items: Vec<Self::Item>,
        seen_in_attempt: Option<i32>,
    ) -> impl Future<Output = Result<(Run, u64), StoreError>> + Send;

    /// Marks what a complete list did not name; returns how many there are.
    fn mark_missing(
        &self,
        store: &Store,
        lease: &Lease,
        step: Step,
        attempt: i32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// How a collection was read.
pub(super) struct Read {
    /// Completely, or what changed.
    pub(super) mode: ReadMode,
    /// Where the next read goes on.
    pub(super) link: DeltaLink,
    /// Changes that a complete read found and the reads before had missed.
    pub(super) missed_by_delta: Option<u64>,
    /// Whose changes have the last word over what was listed, none when nothing was listed, or nothing known before.
    pub(super) since: Option<DeltaLink>,
    /// The cause for which everything was listed, as it was before that began.
    pub(super) list_mark: Option<Uuid>,
}

/// A read that is going on.
pub(super) struct Reading<'r, 'w, C> {
    execution: &'r mut Execution<'w>,
    frozen: &'r Frozen,
    collection: C,
    phase: RunPhase,
    processed: u64,
    changed: u64,
}

impl<'r, 'w, C: Collection> Reading<'r, 'w, C> {
    pub(super) fn of(execution: &'r mut Execution<'w>, frozen: &'r Frozen, collection: C) -> Self {
        Self {
            execution,
            frozen,
            collection,
            phase: C::PHASE,
            processed: 0,
            changed: 0,
        }
    }

    /// Says that the run has come to a later phase.
    pub(super) fn in_phase(self, phase: RunPhase) -> Self {
        Self { phase, ..self }
    }

    pub(super) async fn read(
        mut self,
        mode: ReadMode,
        link: Option<DeltaLink>,
    ) -> Result<Read, Stop> {
        match (mode, link) {
            (ReadMode::Delta, Some(link)) => self.changes_or_everything(&link).await,
            (ReadMode::Full, Some(link)) => self.sweep(&link).await,
            (_, None) => self.first().await,
        }
    }

    async fn first(&mut self) -> Result<Read, Stop> {
        let list_mark = self.list_mark().await?;
        let link = self.collection.latest(&self.frozen.client).await?;
        self.list().await?;
        let was_read = self.frozen.integration.last_full_read_at.is_some();
        Ok(Read {
            mode: ReadMode::Full,
            since: was_read.then(|| link.clone()),
            link,
            missed_by_delta: None,
            list_mark,
        })
    }

    /// D15: a link that Graph no longer knows is no failure; everything is read instead.
    async fn changes_or_everything(&mut self, link: &DeltaLink) -> Result<Read, Stop> {
        let Some(next) = self.changes(link).await? else {
            return self.first().await;
        };
        let store = &self.execution.worker.store;
        if store.waits_for_a_list(self.frozen.integration.id).await? {
            let read = self.list_over(link, next).await?;
            // It was listed because changes cannot tell all of it.
            return Ok(Read {
                missed_by_delta: None,
                ..read
            });
        }
        Ok(Read {
            mode: ReadMode::Delta,
            link: next,
            missed_by_delta: None,
            since: None,
            list_mark: None,
        })
    }

    async fn sweep(&mut self, link: &DeltaLink) -> Result<Read, Stop> {
        match self.changes(link).await? {
            Some(next) => self.list_over(link, next).await,
            None => self.first().await,
        }
    }

    async fn list_mark(&self) -> Result<Option<Uuid>, Stop> {
        let store = &self.execution.worker.store;
        Ok(store.list_mark(self.frozen.integration.id).await?)
    }

    /// Lists everything over what the changes since `link` left.
    async fn list_over(&mut self, link: &DeltaLink, next: DeltaLink) -> Result<Read, Stop> {
        let list_mark = self.list_mark().await?;
        let before = self.changed;
        let missing = self.list().await?;
        Ok(Read {
            list_mark,
            mode: ReadMode::Full,
            link: next,
            missed_by_delta: Some(self.changed - before + missing),
            since: Some(link.clone()),
        })
    }

    /// Takes the changes over once more after everything was listed, and returns the link to the next ones: a list may come
    /// from a copy of the directory that lags behind the changes, and the directory may have changed between its pages.
    pub(super) async fn catch_up(mut self, read: Read) -> Result<DeltaLink, Stop> {
        let next = match &read.since {
            Some(since) => self.changes(since).await?,
            None => None,
        };
        Ok(next.unwrap_or(read.link))
    }

    /// Follows a delta link to the next one. None when Graph no longer knows it.
    async fn changes(&mut self, link: &DeltaLink) -> Result<Option<DeltaLink>, Stop> {
        for _ in 0..ROUNDS {
            match self.changes_once(link).await {
                Err(Round::Again) => {}
                Err(Round::Reset) => {
                    self.execution.note(RunWarning {
                        code: RunWarningCode::DeltaReset,
                        message: "Microsoft Graph could no longer tell what changed, so everything was read.".to_owned(),
                        count: 1,
                    });
                    return Ok(None);
                }
                Err(Round::Stop(stop)) => return Err(stop),
                Ok(next) => return Ok(Some(next)),
            }
        }
        Ok(None)
    }

    async fn changes_once(&mut self, link: &DeltaLink) -> Result<DeltaLink, Round> {
        let mut pages = match self.collection.resume(&self.frozen.client, link) {
            Ok(pages) => pages,
            // A stored link that leads elsewhere, as after a move to another cloud, is not followed.
            Err(_) => return Err(Round::Reset),
        };
        let mut has_begun = false;
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Err(Round::Again),
                Err(error) if !has_begun && is_link_refused(&error) => return Err(Round::Reset),
                Err(error) => return Err(Round::of(error)),
            };
            has_begun = true;
            let link = page.delta_link.clone();
            self.save(page, None).await?;
            if let Some(link) = link {
                return Ok(link);
            }
        }
    }

    /// Lists everything; returns how much is missing. Only a list that came to its last page concludes that (D-51).
    async fn list(&mut self) -> Result<u64, Stop> {
        for _ in 0..ROUNDS {
            match self.list_once().await {
                Ok(()) => {
                    let attempt = self.execution.run.attempt;
                    let (store, step) = (&self.execution.worker.store, self.step());
                    return Ok(self
                        .collection
                        .mark_missing(store, &self.execution.lease, step, attempt)
                        .await?);
                }
                Err(Round::Again) => {}
                Err(Round::Stop(stop)) => return Err(stop),
                Err(Round::Reset) => break,
            }
        }
        Err(incomplete())
    }

    async fn list_once(&mut self) -> Result<(), Round> {
        let mut pages = self.collection.list(&self.frozen.client);
        while let Some(page) = pages.next().await.map_err(Round::of)? {
            let attempt = self.execution.run.attempt;
            self.save(page, Some(attempt)).await?;
        }
        Ok(())
    }

    async fn save(&mut self, page: Page<C::Item>, attempt: Option<i32>) -> Result<(), Stop> {
        self.processed += page.items.len() as u64;
        let (store, step) = (&self.execution.worker.store, self.step());
        let (run, changed) = self
            .collection
            .save(store, &self.execution.lease, step, page.items, attempt)
            .await?;
        self.changed += changed;
        self.execution.reached(run).await
    }

    fn step(&self) -> Step {
        Step {
            phase: self.phase,
            processed: self.processed,
            total: None,
        }
    }
}

/// Whether Graph refuses a delta link itself. How it words that it is too old is not settled (some get 400 with
/// `Request_UnsupportedQuery`), and a link that is refused once is refused for ever: the complete read that follows has
/// the last word.
fn is_link_refused(error: &GraphError) -> bool {
    let is_refusal = matches!(error.class(), ErrorClass::Refused | ErrorClass::NotFound);
    is_refusal
        && error
            .answer()
            .is_some_and(|answer| matches!(answer.status, 400 | 404))
}

/// Why a round of pages did not come to its end.
pub(super) enum Round {
    /// Graph forgot its pages: begin the round again.
    Again,
    /// Graph forgot the delta link: read everything.
    Reset,
    /// The run does not go on.
    Stop(Stop),
}

impl From<Stop> for Round {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl Round {
    /// Says what an error means for the round.
    pub(super) fn of(error: GraphError) -> Self {
        match error.class() {
            ErrorClass::Resync => Self::Reset,
            ErrorClass::RestartRound => Self::Again,
            _ => Self::Stop(error.into()),
        }
    }
}
