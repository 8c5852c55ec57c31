//! Apply, for users: what was planned becomes true, a chunk a transaction.
//!
//! A chunk is checked row by row against what is there now, in memory, and then written with a fixed number of
//! statements. A row whose `before` no longer holds is left out and looked at again by the next run.

mod intent;
mod present;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{AddressKey, ChangeOutcome, ChangeReasonCode, ObjectKind, RunPhase};
use lockstep_entity::{run, run_change};
use sea_orm::{ColumnTrait as _, PaginatorTrait as _, QueryFilter as _};
use uuid::Uuid;

use self::intent::{Intent, next_rows};
use self::present::Present;
use self::written::{Chunk, Settings};
use crate::column::signed;
use crate::dirty::{DirtyKey, USER};
use crate::lease::Step;
use crate::mirror::claimants;
use crate::outcome::conclude;
use crate::plan::planned;
use crate::run::Run;
use crate::{Lease, Store, StoreError, Tx};

/// Rows that are applied in one transaction. SQLite has one writer, so a transaction must be short.
pub const CHUNK: u64 = 500;

/// How often a chunk is tried again when someone else wrote the same users meanwhile.
const TRIES: u32 = 3;

/// What became of a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows that were applied.
    pub applied: u64,
    /// Rows that were left out.
    pub skipped: u64,
    /// Rows that failed.
    pub failed: u64,
}

impl Applied {
    /// Number of rows that were dealt with.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.applied + self.skipped + self.failed
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

    /// Applies the next chunk: a whole component of address moves, or up to `limit` rows. None when all is done.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn apply_next(
        &self,
        lease: &Lease,
        progress: Step,
        limit: u64,
    ) -> Result<Option<(Run, Applied)>, StoreError> {
        for attempt in 1..=TRIES {
            match self.try_chunk(lease, progress, limit).await {
                // Someone took an address or an account between our look and our write: look again.
                Err(error) if error.is_taken() && attempt < TRIES => {}
                Err(error) if error.is_taken() && limit > 1 => {
                    return self.one_by_one(lease, progress).await;
                }
                Err(error) if error.is_taken() => {
                    return self.fail_next(lease, progress).await.map(Some);
                }
                outcome => return outcome,
            }
        }
        Err(StoreError::LeaseLost)
    }

    /// A chunk that keeps failing is taken apart, so that one bad row does not keep the others from being applied.
    async fn one_by_one(
        &self,
        lease: &Lease,
        progress: Step,
    ) -> Result<Option<(Run, Applied)>, StoreError> {
        Box::pin(self.apply_next(lease, progress, 1)).await
    }

    async fn fail_next(&self, lease: &Lease, progress: Step) -> Result<(Run, Applied), StoreError> {
        let tx = self.begin().await?;
        let rows = next_rows(&tx, lease, 1).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let events = signed(ids.len() as u64);
        let row = self
            .advance(&tx, lease, progress, events, |update| update)
            .await?;
        let reason = (
            ChangeReasonCode::Internal,
            "The database refused the change.".to_owned(),
        );
        conclude(
            &tx,
            &ids,
            ChangeOutcome::Failed,
            Some(&reason),
            row.sequence - events,
            self.now(),
        )
        .await?;
        tx.commit()
            .await
            .map_err(StoreError::of("note a failure"))?;
        Ok((
            Run::read(row)?,
            Applied {
                failed: ids.len() as u64,
                ..Applied::default()
            },
        ))
    }

    async fn try_chunk(
        &self,
        lease: &Lease,
        progress: Step,
        limit: u64,
    ) -> Result<Option<(Run, Applied)>, StoreError> {
        let tx = self.begin().await?;
        let rows = next_rows(&tx, lease, limit).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let events = signed(rows.len() as u64);
        let step = Step {
            processed: progress.processed + rows.len() as u64,
            phase: RunPhase::ApplyingUsers,
            ..progress
        };
        let run = self
            .advance(&tx, lease, step, events, |update| update)
            .await?;
        let decisions = rows
            .into_iter()
            .map(Intent::read)
            .collect::<Result<Vec<_>, _>>()?;
        let present = Present::load(&tx, lease, &decisions).await?;
        let settings = Settings::load(&tx, lease).await?;
        let mut chunk = Chunk {
            lease,
            settings,
            now: self.now(),
            users: BTreeMap::new(),
            links: Vec::new(),
            vacated: BTreeSet::new(),
            deactivated: Vec::new(),
            reactivated: Vec::new(),
        };
        let verdicts: Vec<Result<(), String>> = present.judge(&decisions).into_iter().collect();
        for (intent, verdict) in decisions.iter().zip(&verdicts) {
            if verdict.is_ok() {
                chunk.take(intent, &present);
            }
        }
        chunk.write(&tx).await?;
        let applied = self
            .conclude_chunk(&tx, &run, &decisions, &verdicts, run.sequence - events)
            .await?;
        self.wake_claimants(&tx, lease, &chunk.vacated).await?;
        tx.commit().await.map_err(StoreError::of("apply changes"))?;
        Ok(Some((Run::read(run)?, applied)))
    }

    async fn conclude_chunk(
        &self,
        tx: &Tx,
        run: &run::Model,
        decisions: &[Intent],
        verdicts: &[Result<(), String>],
        first_event: i64,
    ) -> Result<Applied, StoreError> {
        let both = || decisions.iter().zip(verdicts);
        let done: Vec<Uuid> = both()
            .filter(|(_, verdict)| verdict.is_ok())
            .map(|(intent, _)| intent.id)
            .collect();
        conclude(
            tx,
            &done,
            ChangeOutcome::Applied,
            None,
            first_event,
            self.now(),
        )
        .await?;
        let mut event = first_event + signed(done.len() as u64);
        for (intent, verdict) in both() {
            if let Err(message) = verdict {
                let reason = (ChangeReasonCode::ChangedMeanwhile, message.clone());
                conclude(
                    tx,
                    &[intent.id],
                    ChangeOutcome::Skipped,
                    Some(&reason),
                    event,
                    self.now(),
                )
                .await?;
                event += 1;
            }
        }
        let settled: Vec<DirtyKey> = both()
            .filter(|(_, verdict)| verdict.is_ok())
            .filter_map(|(intent, _)| {
                Some(DirtyKey {
                    key: intent.external_id.0.clone(),
                    mark: intent.mark?,
                })
            })
            .collect();
        self.clear_dirty(tx, run, &settled).await?;
        let applied = done.len() as u64;
        Ok(Applied {
            applied,
            skipped: decisions.len() as u64 - applied,
            failed: 0,
        })
    }

    /// Whoever asks for an address that was just given up has to be looked at again.
    async fn wake_claimants(
        &self,
        tx: &Tx,
        lease: &Lease,
        vacated: &BTreeSet<AddressKey>,
    ) -> Result<(), StoreError> {
        let vacated: Vec<&str> = vacated.iter().map(AddressKey::as_str).collect();
        let ids = claimants(tx, lease.integration_id, &vacated).await?;
        self.mark_dirty(tx, lease.integration_id, USER, ids).await
    }
}
