//! Reads: how one begins, who was missing from it, and how it ends.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{IntegrationId, ObjectKind, Presence, ReadMode, RunPhase, RunStage};
use lockstep_entity::{
    directory_user, dirty_key, integration, read_seen, run, run_change, user_link,
};
use sea_orm::sea_query::{Expr, IntoIden, Query};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, UpdateMany,
};
use uuid::Uuid;

use crate::column::signed;
use crate::dirty::{LIST, USER};
use crate::lease::Step;
use crate::lookup::{among, first_of, one_of};
use crate::mirror::{CLAIMS, claimants};
use crate::run::Run;
use crate::run_tx::BATCH;
use crate::{Lease, Store, StoreError, Tx};

/// An account and the addresses it claims.
type Claims = (String, Option<String>, Option<String>);

/// Where the next read of changes of one kind of object goes on.
#[derive(Debug, Clone)]
pub struct NextRead {
    /// The delta link.
    pub delta_link: String,
    /// Fingerprint of the attributes that the link tracks.
    pub select: String,
}

/// How a read ended.
#[derive(Debug, Clone)]
pub struct ReadEnd {
    /// How the directory was read in the end: a delta that was refused becomes a complete read.
    pub mode: ReadMode,
    /// Where the next read of users goes on.
    pub users: NextRead,
    /// Where the next read of groups goes on, none when groups are not read: then the next one reads all of them.
    pub groups: Option<NextRead>,
    /// Changes that a complete read found and the reads before had missed.
    pub missed_by_delta: Option<u64>,
}

impl Store {
    /// Begins a read. What an earlier attempt of the same run left unapplied is thrown away (D-54).
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn begin_read(&self, lease: &Lease, mode: ReadMode) -> Result<Run, StoreError> {
        let step = Step {
            phase: RunPhase::ReadingUsers,
            processed: 0,
            total: None,
        };
        let begun = |update: UpdateMany<run::Entity>| {
            update
                .col_expr(run::Column::ReadMode, mode.as_str().into())
                .col_expr(run::Column::ChangeCount, 0_i64.into())
                .col_expr(run::Column::Unchanged, 0_i64.into())
                .col_expr(run::Column::Incomplete, 0_i64.into())
                .col_expr(run::Column::MissedByDelta, Option::<i64>::None.into())
                // A plan that is complete is never thrown away: it may be applied in part already.
                .filter(run::Column::Stage.eq(RunStage::Read.as_str()))
        };
        let tx = self.begin().await?;
        let tx = self.prove(tx, lease, step, 0, begun).await?;
        tx.commit("begin a read").await?;
        self.throw_plan_away(lease, step).await?;
        self.forget_seen(lease, step).await?;
        self.report(lease, step).await
    }

    /// Deletes a plan that is not complete. What it decided on is marked again: its outcomes are gone with it. Keys of
    /// teams are cleared only when a run has applied its plan, so they are all still there.
    async fn throw_plan_away(&self, lease: &Lease, step: Step) -> Result<(), StoreError> {
        let operation = "throw an unfinished plan away";
        let mut after = 0;
        loop {
            let rows = run_change::Entity::of_run(lease.run_id.0)
                .select_only()
                .columns([
                    run_change::Column::Id,
                    run_change::Column::ObjectKind,
                    run_change::Column::ExternalId,
                    run_change::Column::Sequence,
                ])
                .filter(run_change::Column::Sequence.gt(after))
                .order_by_asc(run_change::Column::Sequence);
            let rows: Vec<(Uuid, String, String, i64)> = first_of(self.db(), rows, BATCH)
                .await
                .map_err(StoreError::of(operation))?;
            let Some((.., last)) = rows.last() else {
                return Ok(());
            };
            after = *last;
            let users = rows
                .iter()
                .filter(|(_, kind, ..)| kind == ObjectKind::User.as_str());
            let users: BTreeSet<String> = users.map(|(_, _, id, _)| id.clone()).collect();
            let tx = self.begin_run(lease, step).await?;
            run_change::Entity::delete_many()
                .filter(one_of(
                    &tx,
                    run_change::Column::Id,
                    rows.iter().map(|(id, ..)| *id),
                ))
                .exec(&tx)
                .await
                .map_err(StoreError::of(operation))?;
            self.mark_dirty(&tx, lease.integration_id, USER, users)
                .await?;
            tx.commit(operation).await?;
        }
    }

    /// After the last page of a complete read: whoever the attempt did not see is missing, and has to be looked at.
    ///
    /// Nothing follows from that alone; departures are confirmed one by one later (D-21).
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn mark_missing(
        &self,
        lease: &Lease,
        step: Step,
        attempt: i32,
    ) -> Result<u64, StoreError> {
        let (mut after, mut marked) = (String::new(), 0);
        while let Some((missing, last)) = self.unseen_accounts(lease, attempt, &after).await? {
            after = last;
            if !missing.is_empty() {
                marked += missing.len() as u64;
                self.note_missing(lease, step, missing).await?;
            }
        }
        Ok(marked)
    }

    /// Accounts that a complete read did not see, with the addresses they claim, of those of the mirror that come after one
    /// in the order of their ids, and the last that was looked at. None when there are no more.
    async fn unseen_accounts(
        &self,
        lease: &Lease,
        attempt: i32,
        after: &str,
    ) -> Result<Option<(Vec<Claims>, String)>, StoreError> {
        use directory_user::Column;
        type Row = (String, Option<String>, Option<String>, String);
        let operation = "read who is missing";
        let listed = directory_user::Entity::of_integration(lease.integration_id.0)
            .select_only()
            .column(Column::ExternalId)
            .columns(CLAIMS)
            .column(Column::Presence)
            .filter(Column::ExternalId.gt(after))
            .order_by_asc(Column::ExternalId);
        let known: Vec<Row> = first_of(self.db(), listed, BATCH)
            .await
            .map_err(StoreError::of(operation))?;
        let Some((last, ..)) = known.last().cloned() else {
            return Ok(None);
        };
        // Both in the order of one key, not joined: what is read of either is what is asked for.
        let seen: Vec<String> = read_seen::Entity::find()
            .select_only()
            .column(read_seen::Column::ExternalId)
            .filter(read_seen::Column::RunId.eq(lease.run_id.0))
            .filter(read_seen::Column::Attempt.eq(attempt))
            .filter(read_seen::Column::ExternalId.gt(after))
            .filter(read_seen::Column::ExternalId.lte(last.as_str()))
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of(operation))?;
        let seen: BTreeSet<String> = seen.into_iter().collect();
        let missing = known
            .into_iter()
            .filter(|(id, .., presence)| {
                presence == Presence::Present.as_str() && !seen.contains(id)
            })
            .map(|(id, mail, upn, _)| (id, mail, upn))
            .collect();
        Ok(Some((missing, last)))
    }

    /// Notes that accounts are missing. Whoever asks for an address of theirs has to be looked at too.
    async fn note_missing(
        &self,
        lease: &Lease,
        step: Step,
        missing: Vec<Claims>,
    ) -> Result<Run, StoreError> {
        let operation = "mark who is missing";
        let tx = self.begin_run(lease, step).await?;
        let addresses: BTreeSet<&str> = missing
            .iter()
            .flat_map(|(_, mail, upn)| [mail.as_deref(), upn.as_deref()])
            .flatten()
            .collect();
        let addresses: Vec<&str> = addresses.into_iter().collect();
        let mut dirty = claimants(&tx, lease.integration_id, &addresses).await?;
        directory_user::Entity::update_many()
            .col_expr(
                directory_user::Column::Presence,
                Presence::Missing.as_str().into(),
            )
            .filter(directory_user::Column::IntegrationId.eq(lease.integration_id.0))
            .filter(one_of(
                &tx,
                directory_user::Column::ExternalId,
                missing.iter().map(|(id, ..)| id.as_str()),
            ))
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        dirty.extend(missing.into_iter().map(|(id, ..)| id));
        self.mark_dirty(&tx, lease.integration_id, USER, dirty)
            .await?;
        tx.commit(operation).await
    }

    /// Whether only a list can tell how things are: when someone who has to be looked at was missing from the last one,
    /// or came back from a deletion.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waits_for_a_list(&self, integration: IntegrationId) -> Result<bool, StoreError> {
        let missing = Query::select()
            .expr(Expr::val(1))
            .from(directory_user::Entity)
            .and_where(directory_user::Column::IntegrationId.eq(integration.0))
            .and_where(directory_user::Column::Presence.eq(Presence::Missing.as_str()))
            .and_where(same_account(dirty_key::Entity, dirty_key::Column::Key))
            .to_owned();
        let waiting = dirty_key::Entity::of_integration(integration.0)
            .filter(
                Condition::any().add(dirty_key::Column::Kind.eq(LIST)).add(
                    Condition::all()
                        .add(dirty_key::Column::Kind.eq(USER))
                        .add(Expr::exists(missing)),
                ),
            )
            .one(self.db())
            .await
            .map_err(StoreError::of("look for missing people"))?;
        Ok(waiting.is_some())
    }

    /// Forgets whom an earlier attempt saw, or the same one before the database failed: that is not what a list says now.
    async fn forget_seen(&self, lease: &Lease, step: Step) -> Result<(), StoreError> {
        loop {
            let of_run = read_seen::Column::RunId.eq(lease.run_id.0);
            let seen = self.seen(of_run.into()).await?;
            if seen.is_empty() {
                return Ok(());
            }
            let tx = self.begin_run(lease, step).await?;
            forget(&tx, &seen).await?;
            tx.commit("forget who was seen").await?;
        }
    }

    /// Forgets whom reads saw that have ended, however they ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_old_reads(&self) -> Result<u64, StoreError> {
        let going_on = Query::select()
            .column(run::Column::Id)
            .from(run::Entity)
            .and_where(run::Column::FinishedAt.is_null())
            .to_owned();
        let mut forgotten = 0;
        loop {
            let which = read_seen::Column::RunId.not_in_subquery(going_on.clone());
            let seen = self.seen(which.into()).await?;
            if seen.is_empty() {
                return Ok(forgotten);
            }
            // A few at a time, so that nobody waits for long.
            let tx = self.begin().await?;
            forget(&tx, &seen).await?;
            tx.commit()
                .await
                .map_err(StoreError::of("forget who was seen"))?;
            forgotten += seen.len() as u64;
        }
    }

    async fn seen(&self, which: Condition) -> Result<Vec<read_seen::Model>, StoreError> {
        read_seen::Entity::find()
            .filter(which)
            .limit(BATCH)
            .all(self.db())
            .await
            .map_err(StoreError::of("read who was seen"))
    }

    /// Ends a read: the delta link is safe to keep, because all it covers is in the mirror and marked to be looked at.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn end_read(&self, lease: &Lease, end: &ReadEnd) -> Result<Run, StoreError> {
        let operation = "end a read";
        let step = Step {
            phase: RunPhase::Planning,
            processed: 0,
            total: None,
        };
        let missed = end.missed_by_delta.map(signed);
        let unchanged = if end.mode == ReadMode::Full {
            self.count_settled(lease.integration_id).await?
        } else {
            0
        };
        let read = |update: UpdateMany<run::Entity>| {
            update
                .col_expr(run::Column::MissedByDelta, missed.into())
                .col_expr(run::Column::ReadMode, end.mode.as_str().into())
                .col_expr(run::Column::Unchanged, signed(unchanged).into())
        };
        let tx = self.begin().await?;
        // The integration first, as every mutation does: in the other order the two could wait for each other. Nothing is
        // counted while it is locked, as mutations wait for it.
        self.lock_integration(&tx, lease.organization_id, lease.integration_id)
            .await?;
        let tx = self.prove(tx, lease, step, 0, read).await?;
        let (groups_link, groups_select) = end
            .groups
            .clone()
            .map(|next| (next.delta_link, next.select))
            .unzip();
        let mut update = integration::Entity::update_many()
            .col_expr(
                integration::Column::UsersDeltaLink,
                Some(end.users.delta_link.clone()).into(),
            )
            .col_expr(
                integration::Column::UsersSelect,
                Some(end.users.select.clone()).into(),
            )
            .col_expr(integration::Column::GroupsDeltaLink, groups_link.into())
            .col_expr(integration::Column::GroupsSelect, groups_select.into());
        if end.mode == ReadMode::Full {
            update = update.col_expr(integration::Column::LastFullReadAt, self.now().into());
        }
        update
            .filter(integration::Column::Id.eq(lease.integration_id.0))
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit(operation).await
    }

    /// Number of linked accounts that the directory lists and nobody has to look at. Counted from what is stored, so
    /// that a read that was begun again after a crash counts the same.
    async fn count_settled(&self, integration: IntegrationId) -> Result<u64, StoreError> {
        let dirty = Query::select()
            .column(dirty_key::Column::Key)
            .from(dirty_key::Entity)
            .and_where(dirty_key::Column::IntegrationId.eq(integration.0))
            .and_where(dirty_key::Column::Kind.eq(USER))
            .to_owned();
        let linked = Query::select()
            .column(user_link::Column::ExternalId)
            .from(user_link::Entity)
            .and_where(user_link::Column::IntegrationId.eq(integration.0))
            .to_owned();
        let id = || Expr::col((directory_user::Entity, directory_user::Column::ExternalId));
        directory_user::Entity::of_integration(integration.0)
            .filter(directory_user::Column::Presence.eq(Presence::Present.as_str()))
            .filter(among(id(), dirty).not())
            .filter(among(id(), linked))
            .count(self.db())
            .await
            .map_err(StoreError::of("count accounts"))
    }
}

/// Ties a subquery to the account of the query around it.
fn same_account<E: IntoIden, C: IntoIden>(table: E, column: C) -> Expr {
    Expr::col((table, column)).equals((directory_user::Entity, directory_user::Column::ExternalId))
}

async fn forget(tx: &Tx, seen: &[read_seen::Model]) -> Result<(), StoreError> {
    let mut by_attempt: BTreeMap<(Uuid, i32), Vec<&str>> = BTreeMap::new();
    for row in seen {
        let ids = by_attempt.entry((row.run_id, row.attempt)).or_default();
        ids.push(row.external_id.as_str());
    }
    for ((run, attempt), ids) in by_attempt {
        read_seen::Entity::delete_many()
            .filter(read_seen::Column::RunId.eq(run))
            .filter(read_seen::Column::Attempt.eq(attempt))
            .filter(one_of(tx, read_seen::Column::ExternalId, ids))
            .exec(tx)
            .await
            .map_err(StoreError::of("forget who was seen"))?;
    }
    Ok(())
}
