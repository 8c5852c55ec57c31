//! Users: a chunk of rows checked and written.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{AddressKey, ChangeOutcome, ChangeReasonCode, HeldKind, RunPhase, UserId};
use uuid::Uuid;

use super::Applied;
use super::intent::Intent;
use super::present::Present;
use super::written::{Chunk, Settings};
use crate::column::signed;
use crate::dirty::{DirtyKey, USER};
use crate::held::{forget, is_any_held};
use crate::lease::Step;
use crate::mirror::claimants;
use crate::outcome::conclude;
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::{Lease, Store, StoreError};

impl Store {
    /// Applies rows of users in one transaction, or none of them.
    pub(super) async fn try_users(
        &self,
        lease: &Lease,
        progress: Step,
        rows: &[Intent],
    ) -> Result<(Run, Applied), StoreError> {
        let count = rows.len() as u64;
        let step = Step {
            processed: progress.processed + count,
            phase: RunPhase::ApplyingUsers,
            ..progress
        };
        let tx = self.begin_telling(lease, step, count).await?;
        let present = Present::load(&tx, lease, rows).await?;
        let settings = Settings::load(&tx, lease).await?;
        let mut chunk = Chunk {
            lease,
            settings,
            now: self.now(),
            users: BTreeMap::new(),
            links: Vec::new(),
            vacated: BTreeSet::new(),
            moved: Vec::new(),
            deactivated: Vec::new(),
            reactivated: Vec::new(),
        };
        let verdicts: Vec<Result<(), String>> = present.judge(rows).into_iter().collect();
        for (intent, verdict) in rows.iter().zip(&verdicts) {
            if verdict.is_ok() {
                chunk.take(intent, &present);
            }
        }
        chunk.write(&tx).await?;
        forget_moved(&tx, lease, &chunk.moved).await?;
        let applied = self
            .conclude_chunk(&tx, rows, &verdicts, tx.first_event(count))
            .await?;
        self.wake_claimants(&tx, lease, &chunk.vacated).await?;
        Ok((tx.commit("apply changes").await?, applied))
    }

    async fn conclude_chunk(
        &self,
        tx: &RunTx,
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
        self.clear_dirty(tx, &settled).await?;
        let applied = done.len() as u64;
        Ok(Applied {
            applied,
            skipped: decisions.len() as u64 - applied,
            ..Applied::default()
        })
    }

    /// Whoever asks for an address that was just given up has to be looked at again.
    async fn wake_claimants(
        &self,
        tx: &RunTx,
        lease: &Lease,
        vacated: &BTreeSet<AddressKey>,
    ) -> Result<(), StoreError> {
        let vacated: Vec<&str> = vacated.iter().map(AddressKey::as_str).collect();
        let ids = claimants(tx, lease.integration_id, &vacated).await?;
        self.mark_dirty(tx, lease.integration_id, USER, ids).await
    }
}

/// A move of an address that was held is made: it is held no longer.
async fn forget_moved(tx: &RunTx, lease: &Lease, users: &[UserId]) -> Result<(), StoreError> {
    let integration = lease.integration_id;
    if users.is_empty() || !is_any_held(tx, integration).await? {
        return Ok(());
    }
    let users = users.iter().map(|user| user.0);
    forget(tx, integration, HeldKind::Address, users).await
}
