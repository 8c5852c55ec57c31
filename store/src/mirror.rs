//! The mirror: our copy of the directory, written a page a transaction.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    DirectoryPatch, DirectoryUser, ExternalId, IntegrationId, Presence, TeamSource,
};
use lockstep_entity::{directory_user, platform_user, read_seen, user_link};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::above::those_with_reports;
use crate::column::{parse, rows_per_statement};
use crate::dirty::USER;
use crate::lease::Step;
use crate::lookup::{first, one_of, unweighed};
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::{Lease, Store, StoreError, Tx};

/// What a page changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageOutcome {
    /// Accounts that were new or different.
    pub changed: u64,
}

/// What told of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToldBy {
    /// A list, which tells all relations as well.
    List,
    /// A change, or an answer about this one account: it does not tell who reports to someone who is back.
    Changes,
}

impl Store {
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
        let tx = self.begin_run(lease, step).await?;
        let ids: BTreeSet<ExternalId> =
            page.iter().map(|patch| patch.external_id.clone()).collect();
        let known = accounts(&tx, lease.integration_id, ids.iter()).await?;
        let changed = lay_over(&known, page);
        let outcome = PageOutcome {
            changed: changed.len() as u64,
        };
        let told_by = match seen_in_attempt {
            Some(_) => ToldBy::List,
            None => ToldBy::Changes,
        };
        self.save_changed(&tx, lease, &known, changed, told_by)
            .await?;
        if let Some(attempt) = seen_in_attempt {
            mark_seen(&tx, lease, attempt, &ids).await?;
        }
        Ok((tx.commit("save a page").await?, outcome))
    }

    pub(crate) async fn save_changed(
        &self,
        tx: &RunTx,
        lease: &Lease,
        known: &BTreeMap<ExternalId, DirectoryUser>,
        changed: BTreeMap<ExternalId, DirectoryUser>,
        told_by: ToldBy,
    ) -> Result<(), StoreError> {
        let mut dirty: BTreeSet<String> = changed
            .values()
            .filter(|account| concerns_the_user(known.get(&account.external_id), account))
            .map(|account| account.external_id.0.clone())
            .collect();
        let mut managers = touched_managers(known, &changed);
        let was = |id: &ExternalId, presence: Presence| {
            known
                .get(id)
                .is_some_and(|account| account.presence == presence)
        };
        let returns = changed.iter().any(|(id, account)| {
            let was_missing = told_by == ToldBy::Changes && was(id, Presence::Missing);
            account.presence == Presence::Present && (was(id, Presence::Removed) || was_missing)
        });
        let gone: Vec<ExternalId> = changed
            .values()
            .filter(|account| account.presence == Presence::Removed)
            .map(|account| account.external_id.clone())
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
        managers.extend(forget_reports(tx, lease.integration_id, &gone).await?);
        self.mark_dirty(tx, lease.integration_id, USER, dirty)
            .await?;
        self.mark_teams(tx, lease.integration_id, TeamSource::Manager, managers)
            .await?;
        if returns {
            self.mark_list(tx, lease.integration_id).await?;
        }
        Ok(())
    }

    /// Number of accounts that the directory lists.
    pub(crate) async fn count_accounts(
        &self,
        integration: IntegrationId,
    ) -> Result<u64, StoreError> {
        directory_user::Entity::of_integration(integration.0)
            .filter(directory_user::Column::Presence.eq(Presence::Present.as_str()))
            .count(self.db())
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
            .filter(unweighed(
                directory_user::Column::Presence.eq(Presence::Present.as_str()),
            ))
            .filter(Condition::all().add_option(after))
            .order_by_asc(directory_user::Column::ExternalId);
        first(self.db(), rows, limit)
            .await
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

/// Has nobody report to those who are deleted any more, and returns who of them had reports. A list tells it of the
/// reports, but not every delta does, and until the next list they would count as people of the managers above.
pub(crate) async fn forget_reports(
    tx: &Tx,
    integration: IntegrationId,
    gone: &[ExternalId],
) -> Result<BTreeSet<ExternalId>, StoreError> {
    let managers = those_with_reports(tx, integration, gone).await?;
    let ids: Vec<&str> = managers.iter().map(ExternalId::as_str).collect();
    for chunk in ids.chunks(rows_per_statement(1)) {
        directory_user::Entity::update_many()
            .col_expr(
                directory_user::Column::ManagerId,
                Option::<String>::None.into(),
            )
            .filter(directory_user::Column::IntegrationId.eq(integration.0))
            .filter(one_of(
                tx,
                directory_user::Column::ManagerId,
                chunk.iter().copied(),
            ))
            .exec(tx)
            .await
            .map_err(StoreError::of("forget who reported to the deleted"))?;
    }
    Ok(managers)
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

/// Managers whom someone came to or left: their teams have to be looked at.
fn touched_managers(
    known: &BTreeMap<ExternalId, DirectoryUser>,
    changed: &BTreeMap<ExternalId, DirectoryUser>,
) -> BTreeSet<ExternalId> {
    let before = |id| known.get(id).and_then(|known| known.manager_id.clone());
    changed
        .iter()
        .filter(|(id, account)| before(id) != account.manager_id)
        .flat_map(|(id, account)| [before(id), account.manager_id.clone()])
        .flatten()
        .collect()
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

/// Object ids of the accounts that claim one of the addresses, of those that claim an address that their users may give up
/// then, and so on: whoever waits for an address is looked at in the same run as whoever gives it up.
pub(crate) async fn claimants(
    tx: &Tx,
    integration: IntegrationId,
    addresses: &[&str],
) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    let mut asked: BTreeSet<String> = addresses.iter().map(|key| (*key).to_owned()).collect();
    let mut open: Vec<String> = asked.iter().cloned().collect();
    while !open.is_empty() {
        let new: Vec<String> = direct_claimants(tx, integration, &open)
            .await?
            .into_iter()
            .filter(|id| found.insert(id.clone()))
            .collect();
        open = addresses_behind(tx, integration, &new)
            .await?
            .into_iter()
            .filter(|key| asked.insert(key.clone()))
            .collect();
    }
    Ok(found)
}

async fn direct_claimants(
    tx: &Tx,
    integration: IntegrationId,
    addresses: &[String],
) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    for chunk in addresses.chunks(rows_per_statement(1)) {
        for column in CLAIMS {
            let ids: Vec<String> = directory_user::Entity::of_integration(integration.0)
                .select_only()
                .column(directory_user::Column::ExternalId)
                .filter(one_of(tx, column, chunk.iter().map(String::as_str)))
                .into_tuple()
                .all(tx)
                .await
                .map_err(StoreError::of("look for shared addresses"))?;
            found.extend(ids);
        }
    }
    Ok(found)
}

/// The addresses that the users of some accounts have.
async fn addresses_behind(
    tx: &Tx,
    integration: IntegrationId,
    accounts: &[String],
) -> Result<BTreeSet<String>, StoreError> {
    let operation = "read the addresses of users";
    let mut found = BTreeSet::new();
    for chunk in accounts.chunks(rows_per_statement(1)) {
        let users: Vec<Uuid> = user_link::Entity::of_integration(integration.0)
            .select_only()
            .column(user_link::Column::UserId)
            .filter(one_of(
                tx,
                user_link::Column::ExternalId,
                chunk.iter().map(String::as_str),
            ))
            .into_tuple()
            .all(tx)
            .await
            .map_err(StoreError::of(operation))?;
        let keys: Vec<String> = platform_user::Entity::find()
            .select_only()
            .column(platform_user::Column::EmailKey)
            .filter(one_of(tx, platform_user::Column::Id, users))
            .into_tuple()
            .all(tx)
            .await
            .map_err(StoreError::of(operation))?;
        found.extend(keys);
    }
    Ok(found)
}

pub(crate) async fn mark_seen(
    tx: &RunTx,
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

pub(crate) async fn accounts<'a>(
    db: &impl sea_orm::ConnectionTrait,
    integration: IntegrationId,
    ids: impl Iterator<Item = &'a ExternalId>,
) -> Result<BTreeMap<ExternalId, DirectoryUser>, StoreError> {
    let ids: Vec<&str> = ids.map(ExternalId::as_str).collect();
    let mut found = BTreeMap::new();
    for chunk in ids.chunks(rows_per_statement(1)) {
        let rows = directory_user::Entity::of_integration(integration.0)
            .filter(one_of(
                db,
                directory_user::Column::ExternalId,
                chunk.iter().copied(),
            ))
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
