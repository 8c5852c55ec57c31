//! What is there now, and whether what was decided still holds.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{AddressKey, ChangeAction, ExternalId, PlatformUser, UserFields, UserId};
use lockstep_entity::{platform_user, user_link};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::intent::Intent;
use crate::column::rows_per_statement;
use crate::user::users_by_id;
use crate::{Lease, StoreError, Tx};

/// What is there now.
pub(super) struct Present {
    pub(super) users: BTreeMap<UserId, PlatformUser>,
    pub(super) holders: BTreeMap<AddressKey, UserId>,
    pub(super) linked_accounts: BTreeSet<ExternalId>,
    pub(super) linked_users: BTreeSet<UserId>,
}

impl Present {
    pub(super) async fn load(
        tx: &Tx,
        lease: &Lease,
        intents: &[Intent],
    ) -> Result<Self, StoreError> {
        let ids: Vec<Uuid> = intents.iter().map(|intent| intent.user_id.0).collect();
        let mut users: BTreeMap<UserId, PlatformUser> =
            users_by_id(tx, lease.organization_id, &ids)
                .await?
                .into_iter()
                .map(|user| (user.id, user))
                .collect();
        let addresses: Vec<String> = intents
            .iter()
            .map(|intent| intent.address().as_str().to_owned())
            .collect();
        for chunk in addresses.chunks(rows_per_statement(1)) {
            let rows = platform_user::Entity::in_organization(lease.organization_id.0)
                .filter(platform_user::Column::EmailKey.is_in(chunk.iter().map(String::as_str)))
                .all(tx);
            for row in rows.await.map_err(StoreError::of("read users"))? {
                let user = crate::user::read_user(row)?;
                users.insert(user.id, user);
            }
        }
        let (mut linked_accounts, mut linked_users) = (BTreeSet::new(), BTreeSet::new());
        let external: Vec<&str> = intents
            .iter()
            .map(|intent| intent.external_id.as_str())
            .collect();
        for (external, ids) in external
            .chunks(rows_per_statement(2))
            .zip(ids.chunks(rows_per_statement(2)))
        {
            let ours = Condition::all()
                .add(user_link::Column::IntegrationId.eq(lease.integration_id.0))
                .add(user_link::Column::ExternalId.is_in(external.iter().copied()));
            let which = Condition::any()
                .add(ours)
                .add(user_link::Column::UserId.is_in(ids.iter().copied()));
            let rows = user_link::Entity::find()
                .filter(which)
                .all(tx)
                .await
                .map_err(StoreError::of("read links"))?;
            for row in rows {
                linked_users.insert(UserId(row.user_id));
                if row.integration_id == lease.integration_id.0 {
                    linked_accounts.insert(ExternalId(row.external_id));
                }
            }
        }
        let holders = users
            .values()
            .map(|user| (user.email_key.clone(), user.id))
            .collect();
        Ok(Self {
            users,
            holders,
            linked_accounts,
            linked_users,
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
        let verdicts: Vec<_> = intents
            .iter()
            .map(|intent| self.judge_one(intent, &movers, &mut taken))
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
    ) -> Result<(), String> {
        let user = self.users.get(&intent.user_id);
        match (&intent.before, user) {
            (Some(before), Some(user)) if UserFields::of(user) != *before => {
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
