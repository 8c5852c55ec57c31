//! Fetch: the directory into the mirror (D-52).
//!
//! A complete read takes the delta link first and lists afterwards, so that whatever happens while it lists comes
//! again with the next read of changes. When a delta link is there already, its changes are taken over before the
//! list: what the list then still finds was missed by delta, and is counted.

use lockstep_domain::{DirectoryPatch, ReadMode, RunPhase, RunWarning, RunWarningCode};
use lockstep_graph::{DeltaLink, ErrorClass, GraphError, Page, Pages, User, UserSelect};
use lockstep_store::integration::Integration;
use lockstep_store::lease::Step;
use lockstep_store::read::ReadEnd;

use super::{Execution, Frozen, patch};
use crate::failure::Stop;

/// What every read of users asks for.
const SELECT: UserSelect = UserSelect { manager: true };

/// How often a round begins again because Graph forgot its pages.
const ROUNDS: u32 = 3;

/// Reads the directory into the mirror, completely or what changed.
///
/// # Errors
/// Why the read was not complete; nothing is concluded from it then.
pub(super) async fn fetch(execution: &mut Execution<'_>, frozen: &Frozen) -> Result<(), Stop> {
    let link = usable_link(&frozen.integration);
    let mode = read_mode(execution, frozen, link.is_some()).await?;
    let run = execution
        .worker
        .store
        .begin_read(&execution.lease, mode)
        .await?;
    execution.reached(run).await?;
    let mut reading = Reading {
        execution,
        frozen,
        processed: 0,
        changed: 0,
    };
    let end = match (mode, link) {
        (ReadMode::Delta, Some(link)) => reading.changes_or_everything(&link).await?,
        (ReadMode::Full, Some(link)) => reading.sweep(&link).await?,
        (_, None) => reading.first().await?,
    };
    let run = execution
        .worker
        .store
        .end_read(&execution.lease, &end)
        .await?;
    execution.reached(run).await
}

/// A link tracks the attributes it was asked with; with others it is of no use.
fn usable_link(integration: &Integration) -> Option<DeltaLink> {
    let same = integration.users_select.as_deref() == Some(SELECT.fingerprint().as_str());
    integration
        .users_delta_link
        .clone()
        .filter(|_| same)
        .map(DeltaLink::new)
}

/// Everything is read the first time, once a week, when someone asks for it, when a worker that was lost had begun to,
/// and when someone was missing from the last list: only another list can tell that it was wrong.
async fn read_mode(
    execution: &Execution<'_>,
    frozen: &Frozen,
    has_link: bool,
) -> Result<ReadMode, Stop> {
    let store = &execution.worker.store;
    let age = frozen
        .integration
        .last_full_read_at
        .map(|at| store.now() - at);
    let limit = chrono::Duration::days(i64::from(frozen.rules.full_read_every_days));
    let began_full = execution.run.read_mode == Some(ReadMode::Full);
    let full = !has_link
        || execution.run.full_requested
        || began_full
        || age.is_none_or(|age| age >= limit)
        || store.waits_for_a_list(frozen.integration.id).await?;
    Ok(if full {
        ReadMode::Full
    } else {
        ReadMode::Delta
    })
}

struct Reading<'r, 'w> {
    execution: &'r mut Execution<'w>,
    frozen: &'r Frozen,
    processed: u64,
    changed: u64,
}

impl Reading<'_, '_> {
    async fn first(&mut self) -> Result<ReadEnd, Stop> {
        let link = self.frozen.client.users_delta_latest(SELECT).await?;
        self.list().await?;
        Ok(self.end(ReadMode::Full, link, None))
    }

    /// D15: a link that Graph no longer knows is no failure; everything is read instead.
    async fn changes_or_everything(&mut self, link: &DeltaLink) -> Result<ReadEnd, Stop> {
        match self.changes(link).await? {
            Some(next) => Ok(self.end(ReadMode::Delta, next, None)),
            None => self.first().await,
        }
    }

    async fn sweep(&mut self, link: &DeltaLink) -> Result<ReadEnd, Stop> {
        let Some(next) = self.changes(link).await? else {
            return self.first().await;
        };
        let before = self.changed;
        let missing = self.list().await?;
        let missed = self.changed - before + missing;
        Ok(self.end(ReadMode::Full, next, Some(missed)))
    }

    fn end(&self, mode: ReadMode, link: DeltaLink, missed_by_delta: Option<u64>) -> ReadEnd {
        ReadEnd {
            mode,
            delta_link: Some(link.into_string()),
            select: SELECT.fingerprint(),
            missed_by_delta,
        }
    }

    /// Follows a delta link to the next one. None when Graph no longer knows it.
    async fn changes(&mut self, link: &DeltaLink) -> Result<Option<DeltaLink>, Stop> {
        for _ in 0..ROUNDS {
            match self.changes_once(link).await {
                Err(Round::Again) => {}
                Err(Round::Reset) => {
                    self.execution.notes.push(RunWarning {
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
        let mut pages = match self.frozen.client.resume_users(link) {
            Ok(pages) => pages,
            // A stored link that leads elsewhere, as after a move to another cloud, is not followed.
            Err(_) => return Err(Round::Reset),
        };
        while let Some(page) = next(&mut pages).await? {
            let link = page.delta_link.clone();
            self.save(page, None).await?;
            if let Some(link) = link {
                return Ok(link);
            }
        }
        Err(Round::Again)
    }

    /// Lists everyone; returns how many are missing. Only a list that came to its last page concludes that (D-51).
    async fn list(&mut self) -> Result<u64, Stop> {
        for _ in 0..ROUNDS {
            match self.list_once().await {
                Ok(()) => {
                    let attempt = self.execution.run.attempt;
                    let step = self.step();
                    let worker = self.execution.worker;
                    return Ok(worker
                        .store
                        .mark_missing(&self.execution.lease, step, attempt)
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
        let mut pages = self.frozen.client.list_users(SELECT);
        while let Some(page) = next(&mut pages).await? {
            let attempt = self.execution.run.attempt;
            self.save(page, Some(attempt)).await?;
        }
        Ok(())
    }

    async fn save(&mut self, page: Page<User>, attempt: Option<i32>) -> Result<(), Stop> {
        self.processed += page.items.len() as u64;
        let patches: Vec<DirectoryPatch> = page.items.into_iter().map(patch::patch).collect();
        let step = self.step();
        let store = &self.execution.worker.store;
        let (run, outcome) = store
            .save_page(&self.execution.lease, step, patches, attempt)
            .await?;
        self.changed += outcome.changed;
        self.execution.reached(run).await
    }

    fn step(&self) -> Step {
        Step {
            phase: RunPhase::ReadingUsers,
            processed: self.processed,
            total: None,
        }
    }
}

/// Why a round of pages did not come to its end.
enum Round {
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

async fn next(pages: &mut Pages<User>) -> Result<Option<Page<User>>, Round> {
    pages
        .next()
        .await
        .map_err(|error: GraphError| match error.class() {
            ErrorClass::Resync => Round::Reset,
            ErrorClass::RestartRound => Round::Again,
            _ => Round::Stop(error.into()),
        })
}

fn incomplete() -> Stop {
    Stop::Failed(Box::new(crate::failure::Failure::new(
        lockstep_domain::RunErrorCode::IncompleteRead,
        "The directory could not be read to the end, so nothing was concluded from it.",
        None,
    )))
}
