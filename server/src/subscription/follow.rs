//! Following one run: the stored row first, then whatever is newer, until the end.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{Stream, stream};
use lockstep_domain::RunState;
use lockstep_queue::{Signal, SignalStream};
use lockstep_store::Store;
use lockstep_store::change::Change;
use lockstep_store::run::Run as Stored;
use tokio::time::{Instant, sleep_until};

use super::listen::{Listener, News};
use super::{SILENCE, Watcher};
use crate::error::{Failure, Result};
use crate::object::change::RunChange;
use crate::object::event::{
    Event, RunChangeRecorded, RunEvent, RunFinished, RunProgressed, RunSnapshot, RunStarted,
};
use crate::object::run::Run;
use crate::scalar::Timestamp;

/// Least time between two reports of progress: four a second (D-89).
const PACE: Duration = Duration::from_millis(250);
/// Entries of the change log that are read at a time.
const CHANGES: u64 = 200;
/// Number of the event that a worker took the run up. The row has 1 when it is queued and counts up with the claim.
const STARTED: i64 = 2;

/// One subscriber of one run.
pub(super) struct Follower {
    store: Store,
    watcher: Watcher,
    listener: Listener,
    include_changes: bool,
    /// The row as last read.
    run: Run,
    /// Number of the last event that was told, none before the first.
    told: Option<i64>,
    /// When the row was last looked at.
    looked_at: Instant,
    /// Whether the row was read and not told of yet.
    is_fresh: bool,
    events: VecDeque<RunEvent>,
    has_ended: bool,
}

impl Follower {
    pub(super) fn new(
        store: Store,
        watcher: Watcher,
        signals: SignalStream,
        run: Stored,
        after: Option<i64>,
        include_changes: bool,
    ) -> Self {
        // A number that the run has not reached is of another database.
        let told = after.filter(|after| (0..=run.sequence).contains(after));
        Self {
            store,
            watcher,
            listener: Listener::new(signals),
            include_changes,
            run: run.into(),
            told,
            looked_at: Instant::now(),
            is_fresh: true,
            events: VecDeque::new(),
            has_ended: false,
        }
    }

    /// Returns the events; the stream ends after the end of the run, or with an error.
    pub(super) fn events(self) -> impl Stream<Item = Result<RunEvent>> + use<> {
        stream::unfold(Some(self), async |follower| {
            let mut follower = follower?;
            match follower.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(follower))),
                Ok(None) => None,
                Err(failure) => Some((Err(failure), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<RunEvent>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                self.watcher.check_if_old(&self.store).await?;
                return Ok(Some(event));
            }
            if self.has_ended {
                return Ok(None);
            }
            self.go_on().await?;
        }
    }

    /// Finds the next events, or waits a while for them.
    async fn go_on(&mut self) -> Result<()> {
        if !self.is_fresh {
            self.wait().await;
            self.read().await?;
        }
        self.tell().await
    }

    /// Waits for a signal, but not for ever, and never looks more often than progress may be told.
    async fn wait(&mut self) {
        let (run, told) = (self.run.0.id, self.told.unwrap_or_default());
        let is_news = |signal: &Signal| match signal {
            Signal::Run {
                run_id, sequence, ..
            } => (*run_id == run && *sequence > told).then_some(()),
            _ => None,
        };
        // Either way the row is read again. Without signals at all, as when the bus is gone, that is so after a while.
        if self.listener.next(is_news).await == News::End {
            sleep_until(self.looked_at + SILENCE).await;
        }
        sleep_until(self.looked_at + PACE).await;
    }

    async fn read(&mut self) -> Result<()> {
        self.watcher.check(&self.store).await?;
        let run = self
            .store
            .run(self.watcher.organization, self.run.0.id)
            .await?;
        let run = run.ok_or_else(|| Failure::NotFound("The run is no longer kept.".to_owned()))?;
        self.run = run.into();
        self.looked_at = Instant::now();
        self.listener.looked();
        self.is_fresh = true;
        Ok(())
    }

    /// Tells what is newer than what was told, in the order of the numbers.
    async fn tell(&mut self) -> Result<()> {
        let Some(told) = self.told else {
            self.tell_snapshot();
            return Ok(());
        };
        if let Some(started_at) = self
            .run
            .0
            .started_at
            .filter(|_| told < STARTED && self.run.0.sequence >= STARTED)
        {
            let event = self.event(STARTED, started_at.into());
            self.push(RunEvent::Started(RunStarted { event }));
        }
        if self.include_changes && self.tell_changes().await? {
            // There are more of them; what follows has to wait for its turn.
            return Ok(());
        }
        self.is_fresh = false;
        self.tell_state();
        Ok(())
    }

    // The end has a number of its own, so the snapshot of a run that has ended takes the one before.
    fn tell_snapshot(&mut self) {
        let sequence = if self.run.0.state.has_ended() {
            self.run.0.sequence - 1
        } else {
            self.run.0.sequence
        };
        let event = self.event(sequence, self.run.0.updated_at.into());
        self.push(RunEvent::Snapshot(RunSnapshot { event }));
        self.is_fresh = self.run.0.state.has_ended();
    }

    /// Tells a part of the change log, and says whether there may be more.
    async fn tell_changes(&mut self) -> Result<bool> {
        let told = self.told.unwrap_or_default();
        let rows = self
            .store
            .changes_told_after(self.run.0.id, told, CHANGES)
            .await?;
        let is_full = rows.len() as u64 == CHANGES;
        // What was told after the row was read comes with the next row.
        let last = self.run.0.sequence;
        let older: Vec<Change> = rows
            .into_iter()
            .take_while(|row| row.event_sequence < Some(last))
            .collect();
        let more = is_full && older.len() as u64 == CHANGES;
        for change in older {
            let Some(sequence) = change.event_sequence else {
                continue;
            };
            let event = self.event(sequence, change.occurred_at.into());
            self.push(RunEvent::Change(RunChangeRecorded {
                event,
                change: RunChange::from(change),
            }));
        }
        Ok(more)
    }

    fn tell_state(&mut self) {
        let (sequence, told) = (self.run.0.sequence, self.told.unwrap_or_default());
        self.has_ended = self.run.0.state.has_ended();
        if sequence <= told {
            return;
        }
        match (self.run.0.state, self.run.0.finished_at) {
            (RunState::Queued | RunState::Running, _) | (_, None) => {
                let event = self.event(sequence, self.run.0.updated_at.into());
                self.push(RunEvent::Progressed(RunProgressed { event }));
            }
            (_, Some(finished_at)) => {
                let event = self.event(sequence, finished_at.into());
                self.push(RunEvent::Finished(RunFinished { event }));
            }
        }
    }

    fn event(&self, sequence: i64, occurred_at: Timestamp) -> Event {
        Event {
            sequence,
            occurred_at,
            run: self.run.clone(),
        }
    }

    fn push(&mut self, event: RunEvent) {
        self.told = Some(event.number());
        self.events.push_back(event);
    }
}
