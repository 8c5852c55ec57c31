//! Apply: what was planned becomes true, a chunk a transaction.
//!
//! A chunk is checked row by row against what is there now, in memory, and then written with a fixed number of
//! statements. A row whose `before` no longer holds is left out and looked at again by the next run. What the database
//! refuses is taken apart by halves until the refused row is alone, so that it keeps no other from being applied.

mod intent;
mod present;
mod user;
mod written;

use lockstep_domain::{ChangeOutcome, ChangeReasonCode, ObjectKind};
use lockstep_entity::run_change;
use sea_orm::{ColumnTrait as _, PaginatorTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::lease::Step;
use crate::outcome::conclude;
use crate::plan::planned;
use crate::run::Run;
use crate::{Lease, Store, StoreError};
use crate::{membership_apply, team_apply};

/// Rows that are applied in one transaction. SQLite has one writer, so a transaction must be short.
pub const CHUNK: u64 = 500;

/// What became of a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows that were applied.
    pub applied: u64,
    /// Rows that were left out.
    pub skipped: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Place in the change log up to which no row of the kind is left.
    pub through: i64,
}

impl Applied {
    /// Number of rows that were dealt with.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.applied + self.skipped + self.failed
    }

    /// Both together, of which the first says through which place.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            applied: self.applied + other.applied,
            skipped: self.skipped + other.skipped,
            failed: self.failed + other.failed,
            through: self.through,
        }
    }
}

/// Rows that are to be applied together, of one kind of object.
enum Rows {
    Users(Vec<intent::Intent>),
    Teams(Vec<team_apply::Intent>),
    Memberships(Vec<membership_apply::Intent>),
}

impl Rows {
    fn ids(&self) -> Vec<Uuid> {
        match self {
            Self::Users(rows) => rows.iter().map(|row| row.id).collect(),
            Self::Teams(rows) => rows.iter().map(|row| row.id).collect(),
            Self::Memberships(rows) => rows.iter().map(|row| row.id).collect(),
        }
    }

    /// Both halves, in their order; none when it is one row, or an exchange of addresses, which is made as a whole.
    fn halves(self) -> Result<(Self, Self), Self> {
        let rows = self.ids().len();
        let is_whole = matches!(&self, Self::Users(rows) if rows.iter().any(|row| row.component));
        if rows < 2 || is_whole {
            return Err(self);
        }
        Ok(match self {
            Self::Users(mut first) => {
                let second = first.split_off(rows / 2);
                (Self::Users(first), Self::Users(second))
            }
            Self::Teams(mut first) => {
                let second = first.split_off(rows / 2);
                (Self::Teams(first), Self::Teams(second))
            }
            Self::Memberships(mut first) => {
                let second = first.split_off(rows / 2);
                (Self::Memberships(first), Self::Memberships(second))
            }
        })
    }
}

impl Store {
    /// Number of rows of one kind of object that are still to be applied.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_planned(&self, lease: &Lease, kind: ObjectKind) -> Result<u64, StoreError> {
        planned(lease)
            .filter(run_change::Column::ObjectKind.eq(kind.as_str()))
            .count(self.db())
            .await
            .map_err(StoreError::of("count what is to be applied"))
    }

    /// Applies the next rows of one kind of object: a whole component of address moves, or up to `limit` rows after a
    /// place of the change log. None when all are done. A row that the database refuses is failed, and costs the others no
    /// more than a few tries.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn apply_next(
        &self,
        lease: &Lease,
        kind: ObjectKind,
        progress: Step,
        after: i64,
        limit: u64,
    ) -> Result<Option<(Run, Applied)>, StoreError> {
        let (rows, through) = self.next_rows(lease, kind, after, limit).await?;
        if rows.ids().is_empty() {
            return Ok(None);
        }
        let done = Applied {
            through,
            ..Applied::default()
        };
        let (mut parts, mut done, mut run) = (vec![rows], done, None);
        while let Some(part) = parts.pop() {
            let step = Step {
                processed: progress.processed + done.total(),
                ..progress
            };
            let (now, applied) = match self.try_rows(lease, step, &part).await {
                Err(error) if error.refusal().is_some() => match part.halves() {
                    Ok((first, second)) => {
                        parts.extend([second, first]);
                        continue;
                    }
                    Err(alone) => self.try_alone(lease, step, &alone).await?,
                },
                outcome => outcome?,
            };
            (run, done) = (Some(now), done.and(applied));
        }
        Ok(run.map(|run| (run, done)))
    }

    async fn next_rows(
        &self,
        lease: &Lease,
        kind: ObjectKind,
        after: i64,
        limit: u64,
    ) -> Result<(Rows, i64), StoreError> {
        let db = self.db();
        Ok(match kind {
            ObjectKind::User => {
                let (rows, through) = intent::next(db, lease, after, limit).await?;
                (Rows::Users(rows), through)
            }
            ObjectKind::Team => {
                let (rows, through) = team_apply::next(db, lease, after, limit).await?;
                (Rows::Teams(rows), through)
            }
            ObjectKind::Membership => {
                let (rows, through) = membership_apply::next(db, lease, after, limit).await?;
                (Rows::Memberships(rows), through)
            }
        })
    }

    async fn try_rows(
        &self,
        lease: &Lease,
        progress: Step,
        rows: &Rows,
    ) -> Result<(Run, Applied), StoreError> {
        match rows {
            Rows::Users(rows) => self.try_users(lease, progress, rows).await,
            Rows::Teams(rows) => self.try_teams(lease, progress, rows).await,
            Rows::Memberships(rows) => self.try_memberships(lease, progress, rows).await,
        }
    }

    /// Tries what cannot be taken apart once more, as someone may have taken an address between our look and our write,
    /// and fails it when it is refused again.
    async fn try_alone(
        &self,
        lease: &Lease,
        progress: Step,
        rows: &Rows,
    ) -> Result<(Run, Applied), StoreError> {
        match self.try_rows(lease, progress, rows).await {
            Err(error) => match error.refusal() {
                Some(code) => self.fail_rows(lease, progress, rows.ids(), &code).await,
                None => Err(error),
            },
            outcome => outcome,
        }
    }

    async fn fail_rows(
        &self,
        lease: &Lease,
        progress: Step,
        ids: Vec<Uuid>,
        code: &str,
    ) -> Result<(Run, Applied), StoreError> {
        tracing::error!(run.id = %lease.run_id, change.ids = ?ids, code, "The database refused a change");
        let failed = ids.len() as u64;
        let step = Step {
            processed: progress.processed + failed,
            ..progress
        };
        let tx = self.begin_telling(lease, step, failed).await?;
        let reason = (
            ChangeReasonCode::Internal,
            format!("The database refused the change (code {code})."),
        );
        let (outcome, first) = (ChangeOutcome::Failed, tx.first_event(failed));
        conclude(&tx, &ids, outcome, Some(&reason), first, self.now()).await?;
        let applied = Applied {
            failed,
            ..Applied::default()
        };
        Ok((tx.commit("note a failure").await?, applied))
    }
}
