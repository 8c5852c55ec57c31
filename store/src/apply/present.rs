//! What is there now, and whether what was decided still holds.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    AddressKey, ChangeAction, ExternalId, PlatformUser, Role, UserFields, UserId, UserStatus,
};
use lockstep_entity::{platform_user, user_link};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::intent::Intent;
use crate::column::rows_per_statement;
use crate::lookup::one_of;
use crate::run_tx::RunTx;
use crate::user::read_user;
use crate::{Lease, StoreError};

/// What is there now.
pub(super) struct Present {
    pub(super) users: BTreeMap<UserId, PlatformUser>,
    pub(super) holders: BTreeMap<AddressKey, UserId>,
    pub(super) linked_accounts: BTreeSet<ExternalId>,
    pub(super) linked_users: BTreeSet<UserId>,
    /// Owners who are not deactivated; all of them when somebody is about to be.
    pub(super) active_owners: BTreeSet<UserId>,
}

impl Present {
    /// Reads what a chunk is checked against. On PostgreSQL the users are locked until the chunk is written, so that
    /// an edit that comes between is not written over (fault C3).
    pub(super) async fn load(
        tx: &RunTx,
        lease: &Lease,
        intents: &[Intent],
    ) -> Result<Self, StoreError> {
        let ids = concerned(tx, lease, intents).await?;
        let users = locked(tx, lease, &ids).await?;
        let (linked_accounts, linked_users) = links(tx, lease, intents).await?;
        let holders = users
            .values()
            .map(|user| (user.email_key.clone(), user.id))
            .collect();
        let is_owner = |user: &&PlatformUser| {
            user.role == Role::Owner && user.status != UserStatus::Deactivated
        };
        let active_owners = users
            .values()
            .filter(is_owner)
            .map(|user| user.id)
            .collect();
        Ok(Self {
            users,
            holders,
            linked_accounts,
            linked_users,
            active_owners,
        })
    }

    /// Says for each row whether what it was decided on still holds. A component stands or falls as a whole.
    pub(super) fn judge(&self, intents: &[Intent]) -> Vec<Result<(), String>> {
        let movers: BTreeSet<UserId> = intents
            .iter()
            .filter(|intent| intent.component && intent.before.is_some())
            .map(|intent| intent.user_id)
            .collect();
        let mut taken = BTreeSet::new();
        let mut owners = self.active_owners.clone();
        let verdicts: Vec<_> = intents
            .iter()
            .map(|intent| self.judge_one(intent, &movers, &mut taken, &mut owners))
            .collect();
        let broken = intents
            .iter()
            .zip(&verdicts)
            .any(|(intent, verdict)| intent.component && verdict.is_err());
        intents
            .iter()
            .zip(verdicts)
            .map(|(intent, verdict)| {
                if broken && intent.component && verdict.is_ok() {
                    return Err(
                        "Another change of the same exchange of addresses could not be made."
                            .to_owned(),
                    );
                }
                verdict
            })
            .collect()
    }

    fn judge_one(
        &self,
        intent: &Intent,
        movers: &BTreeSet<UserId>,
        taken: &mut BTreeSet<AddressKey>,
        owners: &mut BTreeSet<UserId>,
    ) -> Result<(), String> {
        let user = self.users.get(&intent.user_id);
        match (&intent.before, user) {
            (Some(before), Some(user)) if !UserFields::of(user).is_unedited_since(before) => {
                return Err("The user was changed while the run was going on.".to_owned());
            }
            (Some(_), None) => {
                return Err("The user vanished while the run was going on.".to_owned());
            }
            (None, _) | (Some(_), Some(_)) => {}
        }
        let takes_link = matches!(intent.action, ChangeAction::Create | ChangeAction::Link);
        if takes_link && self.linked_accounts.contains(&intent.external_id) {
            return Err("The account was linked to a user while the run was going on.".to_owned());
        }
        if intent.action == ChangeAction::Link && self.linked_users.contains(&intent.user_id) {
            return Err("The user was linked to an account while the run was going on.".to_owned());
        }
        let is_owner = user.is_some_and(|user| user.role == Role::Owner);
        if intent.action == ChangeAction::Link && is_owner {
            return Err("The user became an owner while the run was going on.".to_owned());
        }
        if intent.action == ChangeAction::Deactivate
            && owners.remove(&intent.user_id)
            && owners.is_empty()
        {
            owners.insert(intent.user_id);
            return Err("The organization would have no active owner left.".to_owned());
        }
        let key = intent.address();
        let holder = self
            .holders
            .get(&key)
            .filter(|holder| **holder != intent.user_id);
        if holder.is_some_and(|holder| !movers.contains(holder)) || !taken.insert(key) {
            return Err(
                "The address was taken by another user while the run was going on.".to_owned(),
            );
        }
        Ok(())
    }
}

/// Users that a chunk is about: those it writes, whoever has an address that it gives, and the active owners when it
/// deactivates somebody. Read before any is locked, so that all of them are locked in one order.
async fn concerned(
    tx: &RunTx,
    lease: &Lease,
    intents: &[Intent],
) -> Result<BTreeSet<Uuid>, StoreError> {
    let mut ids: BTreeSet<Uuid> = intents.iter().map(|intent| intent.user_id.0).collect();
    let addresses: Vec<AddressKey> = intents.iter().map(Intent::address).collect();
    for chunk in addresses.chunks(rows_per_statement(1)) {
        let keys = chunk.iter().map(AddressKey::as_str);
        let holds = one_of(tx, platform_user::Column::EmailKey, keys);
        ids.extend(ids_of(tx, lease, holds.into()).await?);
    }
    if intents
        .iter()
        .any(|intent| intent.action == ChangeAction::Deactivate)
    {
        ids.extend(ids_of(tx, lease, active_owners()).await?);
    }
    Ok(ids)
}

fn active_owners() -> Condition {
    Condition::all()
        // In the words of the index of owners.
        .add(Expr::cust(r#""platform_user"."role" = 'OWNER'"#))
        .add(platform_user::Column::Status.ne(UserStatus::Deactivated.as_str()))
}

async fn ids_of(tx: &RunTx, lease: &Lease, which: Condition) -> Result<Vec<Uuid>, StoreError> {
    platform_user::Entity::in_organization(lease.organization_id.0)
        .select_only()
        .column(platform_user::Column::Id)
        .filter(which)
        .into_tuple()
        .all(tx)
        .await
        .map_err(StoreError::of("read users"))
}

/// Reads users of the organization, in the order of their ids so that two who lock them never wait for each other.
async fn locked(
    tx: &RunTx,
    lease: &Lease,
    ids: &BTreeSet<Uuid>,
) -> Result<BTreeMap<UserId, PlatformUser>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    let mut users = BTreeMap::new();
    for chunk in ids.chunks(rows_per_statement(1)) {
        let mut query = platform_user::Entity::in_organization(lease.organization_id.0)
            .filter(one_of(tx, platform_user::Column::Id, chunk.iter().copied()))
            .order_by_asc(platform_user::Column::Id);
        if tx.get_database_backend() == DbBackend::Postgres {
            query = query.lock(LockType::NoKeyUpdate);
        }
        for row in query.all(tx).await.map_err(StoreError::of("read users"))? {
            let user = read_user(row)?;
            users.insert(user.id, user);
        }
    }
    Ok(users)
}

/// Which of the accounts and users of a chunk are linked by now.
async fn links(
    tx: &RunTx,
    lease: &Lease,
    intents: &[Intent],
) -> Result<(BTreeSet<ExternalId>, BTreeSet<UserId>), StoreError> {
    let operation = "read links";
    let (mut accounts, mut users) = (BTreeSet::new(), BTreeSet::new());
    for chunk in intents.chunks(rows_per_statement(1)) {
        let ids = chunk.iter().map(|intent| intent.external_id.as_str());
        let rows = user_link::Entity::of_integration(lease.integration_id.0)
            .filter(one_of(tx, user_link::Column::ExternalId, ids))
            .all(tx);
        for row in rows.await.map_err(StoreError::of(operation))? {
            accounts.insert(ExternalId(row.external_id));
        }
        let ids = chunk.iter().map(|intent| intent.user_id.0);
        let rows = user_link::Entity::find()
            .filter(one_of(tx, user_link::Column::UserId, ids))
            .all(tx);
        for row in rows.await.map_err(StoreError::of(operation))? {
            users.insert(UserId(row.user_id));
        }
    }
    Ok((accounts, users))
}
