//! Confirmations: what the directory says when it is asked by id for people whom a list missed (D-21).

use lockstep_domain::{
    ChangeOutcome, ChangeReasonCode, DirectoryPatch, ExternalId, Presence, TeamSource,
};
use lockstep_entity::{directory_user, run_change};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use crate::column::rows_per_statement;
use crate::lease::Step;
use crate::lookup::{first_of, one_of, unweighed};
use crate::mirror::{ToldBy, forget_reports};
use crate::outcome::conclude;
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::{Lease, Store, StoreError};

/// What asking the directory about missing people said.
#[derive(Debug, Clone, Default)]
pub struct Confirmations {
    /// They are gone.
    pub gone: Vec<(Uuid, ExternalId)>,
    /// They are there after all; the account as it is goes into the mirror and is looked at again.
    pub found: Vec<(Uuid, DirectoryPatch)>,
    /// The directory did not say.
    pub unknown: Vec<Uuid>,
}

impl Store {
    /// Returns rows whose departure must be confirmed by the directory first (D-21).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unconfirmed(
        &self,
        lease: &Lease,
        limit: u64,
    ) -> Result<Vec<(Uuid, ExternalId)>, StoreError> {
        let rows = unconfirmed(lease)
            .select_only()
            .columns([run_change::Column::Id, run_change::Column::ExternalId])
            .order_by_asc(run_change::Column::Sequence);
        let rows: Vec<(Uuid, String)> = first_of(self.db(), rows, limit)
            .await
            .map_err(StoreError::of("read unconfirmed departures"))?;
        Ok(rows
            .into_iter()
            .map(|(id, external)| (id, ExternalId(external)))
            .collect())
    }

    /// Number of departures that are still to be confirmed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_unconfirmed(&self, lease: &Lease) -> Result<u64, StoreError> {
        unconfirmed(lease)
            .count(self.db())
            .await
            .map_err(StoreError::of("count unconfirmed departures"))
    }

    /// Stores what the directory said about missing people. Whoever is not confirmed to be gone stays.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn save_confirmations(
        &self,
        lease: &Lease,
        step: Step,
        said: Confirmations,
    ) -> Result<Run, StoreError> {
        let stays = (said.found.len() + said.unknown.len()) as u64;
        let tx = self.begin_telling(lease, step, stays).await?;
        run_change::Entity::update_many()
            .col_expr(run_change::Column::NeedsConfirmation, false.into())
            .filter(one_of(
                &tx,
                run_change::Column::Id,
                said.gone.iter().map(|(id, _)| *id),
            ))
            .exec(&tx)
            .await
            .map_err(StoreError::of("confirm departures"))?;
        let gone: Vec<ExternalId> = said.gone.into_iter().map(|(_, id)| id).collect();
        self.mark_removed(&tx, lease, &gone).await?;
        let unknown = said.unknown.iter().map(|id| {
            (
                *id,
                "Microsoft Graph did not confirm that the person is gone.",
            )
        });
        let found = said.found.iter().map(|(id, _)| {
            (
                *id,
                "The person was missing from the list, but is there when asked for by id.",
            )
        });
        let events = tx.first_event(stays)..;
        for (event, (id, message)) in events.zip(found.chain(unknown)) {
            let reason = (ChangeReasonCode::DepartureNotConfirmed, message.to_owned());
            conclude(
                &tx,
                &[id],
                ChangeOutcome::Skipped,
                Some(&reason),
                event,
                self.now(),
            )
            .await?;
        }
        let was_wrong = !said.found.is_empty();
        self.refresh_accounts(
            &tx,
            lease,
            said.found.into_iter().map(|(_, patch)| patch).collect(),
        )
        .await?;
        // A list that missed someone was wrong; who knows what else it missed.
        if was_wrong {
            self.mark_list(&tx, lease.integration_id).await?;
        }
        tx.commit("confirm departures").await
    }

    /// Notes that accounts are known to be deleted, as if a change had told it: should one come back, everything is listed.
    async fn mark_removed(
        &self,
        tx: &RunTx,
        lease: &Lease,
        gone: &[ExternalId],
    ) -> Result<(), StoreError> {
        for chunk in gone.chunks(rows_per_statement(3)) {
            directory_user::Entity::update_many()
                .col_expr(
                    directory_user::Column::Presence,
                    Presence::Removed.as_str().into(),
                )
                .filter(directory_user::Column::IntegrationId.eq(lease.integration_id.0))
                .filter(one_of(
                    tx,
                    directory_user::Column::ExternalId,
                    chunk.iter().map(ExternalId::as_str),
                ))
                .filter(directory_user::Column::Presence.eq(Presence::Missing.as_str()))
                .exec(tx)
                .await
                .map_err(StoreError::of("note who is deleted"))?;
        }
        let managers = forget_reports(tx, lease.integration_id, gone).await?;
        self.mark_teams(tx, lease.integration_id, TeamSource::Manager, managers)
            .await
    }

    async fn refresh_accounts(
        &self,
        tx: &RunTx,
        lease: &Lease,
        patches: Vec<DirectoryPatch>,
    ) -> Result<(), StoreError> {
        let ids: Vec<ExternalId> = patches
            .iter()
            .map(|patch| patch.external_id.clone())
            .collect();
        let known = crate::mirror::accounts(tx, lease.integration_id, ids.iter()).await?;
        let changed = patches
            .into_iter()
            .filter_map(|patch| {
                let before = known.get(&patch.external_id).cloned();
                patch.over(before)
            })
            .map(|account| (account.external_id.clone(), account))
            .collect();
        self.save_changed(tx, lease, &known, changed, ToldBy::Changes)
            .await
    }
}

/// Departures that are still to be confirmed, in the words of the index of such rows.
fn unconfirmed(lease: &Lease) -> sea_orm::Select<run_change::Entity> {
    let is_planned = run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str());
    run_change::Entity::of_run(lease.run_id.0)
        .filter(Expr::cust(r#""run_change"."needs_confirmation""#))
        .filter(unweighed(is_planned))
}
