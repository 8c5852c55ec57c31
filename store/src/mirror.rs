//! The mirror: our copy of the directory, written a page a transaction.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    DirectoryPatch, DirectoryUser, ExternalId, IntegrationId, Presence, ReadMode, RunPhase,
    RunStage,
};
use lockstep_entity::{
    directory_user, dirty_key, integration, read_seen, run, run_change, user_link,
};
use sea_orm::sea_query::{Expr, IntoIden, OnConflict, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::column::{parse, rows_per_statement, signed};
use crate::dirty::USER;
use crate::lease::Step;
use crate::run::Run;
use crate::{Lease, Store, StoreError, Tx};

/// What a page changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageOutcome {
    /// Accounts that were new or different.
    pub changed: u64,
}

impl Store {
    /// Begins a read. What an earlier attempt of the same run left unapplied is thrown away (D-54).
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn begin_read(&self, lease: &Lease, mode: ReadMode) -> Result<Run, StoreError> {
        let tx = self.begin().await?;
        let step = Step {
            phase: RunPhase::ReadingUsers,
            processed: 0,
            total: None,
        };
        let row = self
            .advance(&tx, lease, step, 0, |update| {
                update
                    .col_expr(run::Column::ReadMode, mode.as_str().into())
                    .col_expr(run::Column::ChangeCount, 0_i64.into())
                    .col_expr(run::Column::Unchanged, 0_i64.into())
                    .col_expr(run::Column::Incomplete, 0_i64.into())
                    .col_expr(run::Column::MissedByDelta, Option::<i64>::None.into())
                    // A plan that is complete is never thrown away: it may be applied in part already.
                    .filter(run::Column::Stage.eq(RunStage::Read.as_str()))
            })
            .await?;
        let operation = "throw an unfinished plan away";
        self.mark_thrown_away(&tx, lease).await?;
        run_change::Entity::delete_many()
            .filter(run_change::Column::RunId.eq(lease.run_id.0))
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        forget_seen(&tx, lease).await?;
        tx.commit().await.map_err(StoreError::of(operation))?;
        Run::read(row)
    }

    /// Takes a page over: changed rows, what has to be looked at because of them, and who was seen.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn save_page(
        &self,
        lease: &Lease,
        step: Step,
        page: Vec<DirectoryPatch>,
        seen_in_attempt: Option<i32>,
    ) -> Result<(Run, PageOutcome), StoreError> {
        let tx = self.begin().await?;
        let row = self.advance(&tx, lease, step, 0, |update| update).await?;
        let ids: BTreeSet<ExternalId> =
            page.iter().map(|patch| patch.external_id.clone()).collect();
        let known = accounts(&tx, lease.integration_id, ids.iter()).await?;
        let changed = lay_over(&known, page);
        let outcome = PageOutcome {
            changed: changed.len() as u64,
        };
        self.save_changed(&tx, lease, &known, changed).await?;
        if let Some(attempt) = seen_in_attempt {
            mark_seen(&tx, lease, attempt, &ids).await?;
        }
        tx.commit().await.map_err(StoreError::of("save a page"))?;
        Ok((Run::read(row)?, outcome))
    }

    pub(crate) async fn save_changed(
        &self,
        tx: &Tx,
        lease: &Lease,
        known: &BTreeMap<ExternalId, DirectoryUser>,
        changed: BTreeMap<ExternalId, DirectoryUser>,
    ) -> Result<(), StoreError> {
        let mut dirty: BTreeSet<String> = changed
            .values()
            .filter(|account| concerns_the_user(known.get(&account.external_id), account))
            .map(|account| account.external_id.0.clone())
            .collect();
        let touched = touched_addresses(known, &changed);
        let touched: Vec<&str> = touched.iter().map(String::as_str).collect();
        dirty.extend(claimants(tx, lease.integration_id, &touched).await?);
        let rows: Vec<_> = changed
            .into_values()
            .map(|account| write_account(lease.integration_id, account))
            .collect();
        for chunk in rows.chunks(rows_per_statement(15)) {
            let everything = [
                directory_user::Column::DisplayName,
                directory_user::Column::GivenName,
                directory_user::Column::Surname,
                directory_user::Column::Mail,
                directory_user::Column::MailKey,
                directory_user::Column::UserPrincipalName,
                directory_user::Column::UpnKey,
                directory_user::Column::AccountEnabled,
                directory_user::Column::UserType,
                directory_user::Column::JobTitle,
                directory_user::Column::EmployeeId,
                directory_user::Column::ManagerId,
                directory_user::Column::Presence,
            ];
            let key = [
                directory_user::Column::IntegrationId,
                directory_user::Column::ExternalId,
            ];
            directory_user::Entity::insert_many(chunk.iter().cloned())
                .on_conflict(
                    OnConflict::columns(key)
                        .update_columns(everything)
                        .to_owned(),
                )
                .exec_without_returning(tx)
                .await
                .map_err(StoreError::of("save accounts"))?;
        }
        self.mark_dirty(tx, lease.integration_id, USER, dirty).await
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
        let operation = "mark who is missing";
        let tx = self.begin().await?;
        self.advance(&tx, lease, step, 0, |update| update).await?;
        // NOT EXISTS, because PostgreSQL hashes a NOT IN only while it fits its working memory.
        let seen = Query::select()
            .expr(Expr::val(1))
            .from(read_seen::Entity)
            .and_where(read_seen::Column::RunId.eq(lease.run_id.0))
            .and_where(read_seen::Column::Attempt.eq(attempt))
            .and_where(same_account(
                read_seen::Entity,
                read_seen::Column::ExternalId,
            ))
            .to_owned();
        let missing = Condition::all()
            .add(directory_user::Column::IntegrationId.eq(lease.integration_id.0))
            .add(directory_user::Column::Presence.eq(Presence::Present.as_str()))
            .add(Expr::exists(seen).not());
        self.mark_sharers_of(&tx, lease.integration_id, &missing)
            .await?;
        self.mark_dirty_where(&tx, lease.integration_id, missing.clone())
            .await?;
        let marked = directory_user::Entity::update_many()
            .col_expr(
                directory_user::Column::Presence,
                Presence::Missing.as_str().into(),
            )
            .filter(missing)
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        forget_seen(&tx, lease).await?;
        tx.commit().await.map_err(StoreError::of(operation))?;
        Ok(marked.rows_affected)
    }

    /// Whoever asks for the address of someone who is missing has to be looked at too.
    async fn mark_sharers_of(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        missing: &Condition,
    ) -> Result<(), StoreError> {
        for column in CLAIMS {
            let addresses = Query::select()
                .column((directory_user::Entity, column))
                .from(directory_user::Entity)
                .cond_where(missing.clone())
                .and_where(column.is_not_null())
                .to_owned();
            for claim in CLAIMS {
                let sharers = Condition::all()
                    .add(directory_user::Column::IntegrationId.eq(integration.0))
                    .add(claim.in_subquery(addresses.clone()));
                self.mark_dirty_where(tx, integration, sharers).await?;
            }
        }
        Ok(())
    }

    /// Whether someone who has to be looked at was missing from a list: then only another list can tell that the first
    /// one was wrong.
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
            .filter(dirty_key::Column::Kind.eq(USER))
            .filter(Expr::exists(missing))
            .one(self.db())
            .await
            .map_err(StoreError::of("look for missing people"))?;
        Ok(waiting.is_some())
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
        let forgotten = read_seen::Entity::delete_many()
            .filter(read_seen::Column::RunId.not_in_subquery(going_on))
            .exec(self.db())
            .await
            .map_err(StoreError::of("forget who was seen"))?;
        Ok(forgotten.rows_affected)
    }

    /// Ends a read: the delta link is safe to keep, because all it covers is in the mirror and marked to be looked at.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn end_read(&self, lease: &Lease, end: &ReadEnd) -> Result<Run, StoreError> {
        let operation = "end a read";
        let tx = self.begin().await?;
        // The integration first, as every mutation does: in the other order the two could wait for each other.
        self.lock_integration(&tx, lease.organization_id, lease.integration_id)
            .await?;
        let step = Step {
            phase: RunPhase::Planning,
            processed: 0,
            total: None,
        };
        let missed = end.missed_by_delta.map(signed);
        let unchanged = if end.mode == ReadMode::Full {
            self.count_settled(&tx, lease.integration_id).await?
        } else {
            0
        };
        let row = self
            .advance(&tx, lease, step, 0, |update| {
                update
                    .col_expr(run::Column::MissedByDelta, missed.into())
                    .col_expr(run::Column::ReadMode, end.mode.as_str().into())
                    .col_expr(run::Column::Unchanged, signed(unchanged).into())
            })
            .await?;
        let mut update = integration::Entity::update_many()
            .col_expr(
                integration::Column::UsersDeltaLink,
                end.delta_link.clone().into(),
            )
            .col_expr(integration::Column::UsersSelect, end.select.clone().into());
        if end.mode == ReadMode::Full {
            update = update.col_expr(integration::Column::LastFullReadAt, self.now().into());
        }
        update
            .filter(integration::Column::Id.eq(lease.integration_id.0))
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit().await.map_err(StoreError::of(operation))?;
        Run::read(row)
    }

    /// Number of linked accounts that the directory lists and nobody has to look at. Counted from what is stored, so
    /// that a read that was begun again after a crash counts the same.
    async fn count_settled(&self, tx: &Tx, integration: IntegrationId) -> Result<u64, StoreError> {
        let dirty = Query::select()
            .expr(Expr::val(1))
            .from(dirty_key::Entity)
            .and_where(dirty_key::Column::IntegrationId.eq(integration.0))
            .and_where(dirty_key::Column::Kind.eq(USER))
            .and_where(same_account(dirty_key::Entity, dirty_key::Column::Key))
            .to_owned();
        let linked = Query::select()
            .expr(Expr::val(1))
            .from(user_link::Entity)
            .and_where(user_link::Column::IntegrationId.eq(integration.0))
            .and_where(same_account(
                user_link::Entity,
                user_link::Column::ExternalId,
            ))
            .to_owned();
        directory_user::Entity::of_integration(integration.0)
            .filter(directory_user::Column::Presence.eq(Presence::Present.as_str()))
            .filter(Expr::exists(dirty).not())
            .filter(Expr::exists(linked))
            .count(tx)
            .await
            .map_err(StoreError::of("count accounts"))
    }

    /// Number of accounts that the directory lists.
    pub(crate) async fn count_accounts(
        &self,
        tx: &Tx,
        integration: IntegrationId,
    ) -> Result<u64, StoreError> {
        directory_user::Entity::of_integration(integration.0)
            .filter(directory_user::Column::Presence.eq(Presence::Present.as_str()))
            .count(tx)
            .await
            .map_err(StoreError::of("count accounts"))
    }

    /// Reads the accounts that the directory lists, in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn listed_accounts(
        &self,
        integration: IntegrationId,
        after: Option<&ExternalId>,
        limit: u64,
    ) -> Result<Vec<DirectoryUser>, StoreError> {
        let after = after.map(|id| directory_user::Column::ExternalId.gt(id.as_str()));
        let rows = directory_user::Entity::of_integration(integration.0)
            .filter(directory_user::Column::Presence.eq(Presence::Present.as_str()))
            .filter(Condition::all().add_option(after))
            .order_by_asc(directory_user::Column::ExternalId)
            .limit(limit)
            .all(self.db());
        rows.await
            .map_err(StoreError::of("read accounts"))?
            .into_iter()
            .map(read_account)
            .collect()
    }

    /// Reads accounts of the mirror by their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(
        &self,
        integration: IntegrationId,
        ids: &[ExternalId],
    ) -> Result<Vec<DirectoryUser>, StoreError> {
        Ok(accounts(self.db(), integration, ids.iter())
            .await?
            .into_values()
            .collect())
    }
}

/// How a read ended.
#[derive(Debug, Clone)]
pub struct ReadEnd {
    /// How the directory was read in the end: a delta that was refused becomes a complete read.
    pub mode: ReadMode,
    /// Where the next read of changes goes on.
    pub delta_link: Option<String>,
    /// Fingerprint of the attributes that the link tracks.
    pub select: String,
    /// Changes that a complete read found and the reads before had missed.
    pub missed_by_delta: Option<u64>,
}

/// Ties a subquery to the account of the query around it.
fn same_account<E: IntoIden, C: IntoIden>(table: E, column: C) -> Expr {
    Expr::col((table, column)).equals((directory_user::Entity, directory_user::Column::ExternalId))
}

/// Lays the patches of a page over what was known and returns who is different in the end.
fn lay_over(
    known: &BTreeMap<ExternalId, DirectoryUser>,
    page: Vec<DirectoryPatch>,
) -> BTreeMap<ExternalId, DirectoryUser> {
    let mut latest: BTreeMap<ExternalId, DirectoryUser> = BTreeMap::new();
    for patch in page {
        // The same account may come twice in one page: the later word counts.
        let before = latest
            .remove(&patch.external_id)
            .or_else(|| known.get(&patch.external_id).cloned());
        if let Some(account) = patch.over(before) {
            latest.insert(account.external_id.clone(), account);
        }
    }
    latest.retain(|id, account| known.get(id) != Some(account));
    latest
}

/// Whether a change is one that the plan of the user depends on; who the manager is, is not.
fn concerns_the_user(known: Option<&DirectoryUser>, account: &DirectoryUser) -> bool {
    let DirectoryUser {
        manager_id,
        employee_id,
        ..
    } = account.clone();
    known.is_none_or(|known| {
        DirectoryUser {
            manager_id,
            employee_id,
            ..known.clone()
        } != *account
    })
}

/// Addresses that someone took or gave up: whoever shares one has to be looked at too.
fn touched_addresses(
    known: &BTreeMap<ExternalId, DirectoryUser>,
    changed: &BTreeMap<ExternalId, DirectoryUser>,
) -> BTreeSet<String> {
    let keys = |account: &DirectoryUser| {
        [account.mail_key(), account.upn_key()]
            .into_iter()
            .flatten()
            .collect::<BTreeSet<_>>()
    };
    let mut touched = BTreeSet::new();
    let telling = changed
        .iter()
        .filter(|(id, account)| concerns_the_user(known.get(*id), account));
    for (id, account) in telling {
        touched.extend(keys(account));
        touched.extend(known.get(id).map(keys).unwrap_or_default());
    }
    touched
        .into_iter()
        .map(|key| key.as_str().to_owned())
        .collect()
}

/// The two columns that claim an address. They are asked for one after the other: with an OR between them, SQLite
/// would walk through the whole integration.
pub(crate) const CLAIMS: [directory_user::Column; 2] = [
    directory_user::Column::MailKey,
    directory_user::Column::UpnKey,
];

/// Object ids of the accounts that claim one of the addresses.
pub(crate) async fn claimants(
    tx: &Tx,
    integration: IntegrationId,
    addresses: &[&str],
) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    for chunk in addresses.chunks(rows_per_statement(1)) {
        for column in CLAIMS {
            let ids: Vec<String> = directory_user::Entity::of_integration(integration.0)
                .select_only()
                .column(directory_user::Column::ExternalId)
                .filter(column.is_in(chunk.iter().copied()))
                .into_tuple()
                .all(tx)
                .await
                .map_err(StoreError::of("look for shared addresses"))?;
            found.extend(ids);
        }
    }
    Ok(found)
}

async fn mark_seen(
    tx: &Tx,
    lease: &Lease,
    attempt: i32,
    ids: &BTreeSet<ExternalId>,
) -> Result<(), StoreError> {
    let rows: Vec<_> = ids
        .iter()
        .map(|id| read_seen::ActiveModel {
            run_id: Set(lease.run_id.0),
            attempt: Set(attempt),
            external_id: Set(id.0.clone()),
        })
        .collect();
    for chunk in rows.chunks(rows_per_statement(3)) {
        read_seen::Entity::insert_many(chunk.iter().cloned())
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("note who was seen"))?;
    }
    Ok(())
}

async fn forget_seen(tx: &Tx, lease: &Lease) -> Result<(), StoreError> {
    read_seen::Entity::delete_many()
        .filter(read_seen::Column::RunId.eq(lease.run_id.0))
        .exec(tx)
        .await
        .map_err(StoreError::of("forget who was seen"))?;
    Ok(())
}

pub(crate) async fn accounts<'a>(
    db: &impl sea_orm::ConnectionTrait,
    integration: IntegrationId,
    ids: impl Iterator<Item = &'a ExternalId>,
) -> Result<BTreeMap<ExternalId, DirectoryUser>, StoreError> {
    let ids: Vec<&str> = ids.map(ExternalId::as_str).collect();
    let mut found = BTreeMap::new();
    for chunk in ids.chunks(rows_per_statement(1)) {
        let rows = directory_user::Entity::of_integration(integration.0)
            .filter(directory_user::Column::ExternalId.is_in(chunk.iter().copied()))
            .all(db)
            .await
            .map_err(StoreError::of("read accounts"))?;
        for row in rows {
            let account = read_account(row)?;
            found.insert(account.external_id.clone(), account);
        }
    }
    Ok(found)
}

pub(crate) fn read_account(row: directory_user::Model) -> Result<DirectoryUser, StoreError> {
    Ok(DirectoryUser {
        external_id: ExternalId(row.external_id),
        display_name: row.display_name,
        given_name: row.given_name,
        surname: row.surname,
        mail: row.mail,
        user_principal_name: row.user_principal_name,
        account_enabled: row.account_enabled,
        user_type: parse("directory_user.user_type", &row.user_type)?,
        job_title: row.job_title,
        employee_id: row.employee_id,
        manager_id: row.manager_id.map(ExternalId),
        presence: parse("directory_user.presence", &row.presence)?,
    })
}

fn write_account(
    integration: IntegrationId,
    account: DirectoryUser,
) -> directory_user::ActiveModel {
    let key = |key: Option<lockstep_domain::AddressKey>| key.map(|key| key.as_str().to_owned());
    directory_user::ActiveModel {
        integration_id: Set(integration.0),
        mail_key: Set(key(account.mail_key())),
        upn_key: Set(key(account.upn_key())),
        external_id: Set(account.external_id.0),
        display_name: Set(account.display_name),
        given_name: Set(account.given_name),
        surname: Set(account.surname),
        mail: Set(account.mail),
        user_principal_name: Set(account.user_principal_name),
        account_enabled: Set(account.account_enabled),
        user_type: Set(account.user_type.as_str().into()),
        job_title: Set(account.job_title),
        employee_id: Set(account.employee_id),
        manager_id: Set(account.manager_id.map(|id| id.0)),
        presence: Set(account.presence.as_str().into()),
    }
}
