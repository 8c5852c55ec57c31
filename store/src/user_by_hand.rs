//! What people do to single users by hand: runs respect it, and look again at whatever it touches.

use std::collections::BTreeSet;

use lockstep_domain::{
    Actor, AddressKey, DeactivationReason, ExternalId, IntegrationId, OrganizationId, PlatformUser,
    Role, TeamSource, UserId, UserStatus,
};
use lockstep_entity::{integration, platform_user, user_link};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, UpdateMany,
};

use crate::above::{containers, managers_of, those_with_reports};
use crate::column::to_json;
use crate::dirty::USER;
use crate::mirror::claimants;
use crate::user::read_user;
use crate::{Store, StoreError, Tx};

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// It was made: the user as of now.
    Done(PlatformUser),
    /// The user was that way already.
    Before(PlatformUser),
    /// It was refused: the organization would have no active owner left.
    LastOwner(PlatformUser),
    /// The user does not allow it as it is now.
    WrongState(PlatformUser),
    /// There is no such user in the organization.
    NotFound,
}

impl Store {
    /// Returns the user of an organization who has an address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_of_address(
        &self,
        organization: OrganizationId,
        key: &AddressKey,
    ) -> Result<Option<PlatformUser>, StoreError> {
        let row = platform_user::Entity::in_organization(organization.0)
            .filter(platform_user::Column::EmailKey.eq(key.as_str()))
            .one(self.db())
            .await
            .map_err(StoreError::of("look for a user by address"))?;
        row.map(read_user).transpose()
    }

    /// Gives a user another role. The last active owner stays one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_role(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: UserId,
        role: Role,
    ) -> Result<Edited, StoreError> {
        let (user, is_last) = match lock_with_owners(tx, organization, id).await? {
            Some(locked) => locked,
            None => return Ok(Edited::NotFound),
        };
        if user.role == role {
            return Ok(Edited::Before(user));
        }
        if is_last {
            return Ok(Edited::LastOwner(user));
        }
        let update = self
            .edit(&user)
            .col_expr(platform_user::Column::Role, Expr::value(role.as_str()));
        self.finish_edit(tx, update, organization, id).await
    }

    /// Deactivates a user for as long as people want: runs do not bring the user back. The last active owner stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deactivate_user(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: UserId,
        by: &Actor,
    ) -> Result<Edited, StoreError> {
        use platform_user::Column;
        let (user, is_last) = match lock_with_owners(tx, organization, id).await? {
            Some(locked) => locked,
            None => return Ok(Edited::NotFound),
        };
        let manual = DeactivationReason::Manual;
        if user.deactivation_reason == Some(manual) {
            return Ok(Edited::Before(user));
        }
        if is_last {
            return Ok(Edited::LastOwner(user));
        }
        // Whom a run has deactivated stays so even if the directory brings the account back.
        let update = self
            .edit(&user)
            .col_expr(
                Column::Status,
                Expr::value(UserStatus::Deactivated.as_str()),
            )
            .col_expr(Column::DeactivationReason, Expr::value(manual.as_str()))
            .col_expr(Column::DeactivatedAt, Expr::value(self.now()))
            .col_expr(Column::DeactivatedBy, Expr::value(to_json(by)))
            .col_expr(Column::DeactivatedByRun, Option::<uuid::Uuid>::None.into());
        self.finish_edit(tx, update, organization, id).await
    }

    /// Brings a user back who was deactivated by hand. Whom a run deactivated, a run brings back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reactivate_user(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: UserId,
    ) -> Result<Edited, StoreError> {
        use platform_user::Column;
        let Some((user, _)) = lock_with_owners(tx, organization, id).await? else {
            return Ok(Edited::NotFound);
        };
        if user.status != UserStatus::Deactivated {
            return Ok(Edited::Before(user));
        }
        if user
            .deactivation_reason
            .is_some_and(DeactivationReason::is_of_a_run)
        {
            return Ok(Edited::WrongState(user));
        }
        let status = if user.ever_active {
            UserStatus::Active
        } else {
            UserStatus::NotYetActivated
        };
        let update = self
            .edit(&user)
            .col_expr(Column::Status, Expr::value(status.as_str()))
            .col_expr(Column::DeactivationReason, Option::<String>::None.into())
            .col_expr(
                Column::DeactivatedAt,
                Option::<chrono::DateTime<chrono::Utc>>::None.into(),
            )
            .col_expr(
                Column::DeactivatedBy,
                Option::<sea_orm::JsonValue>::None.into(),
            )
            .col_expr(Column::DeactivatedByRun, Option::<uuid::Uuid>::None.into());
        self.finish_edit(tx, update, organization, id).await
    }

    /// Has the next runs look at all that a user who was added or edited by hand touches: the accounts that are linked
    /// to the user or claim the address, and the teams around them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_around(&self, tx: &Tx, user: &PlatformUser) -> Result<(), StoreError> {
        for integration in integrations(tx, user.organization_id).await? {
            let linked = accounts_of(tx, integration, user.id).await?;
            let groups = containers(tx, integration, &linked).await?;
            let mut managers = those_with_reports(tx, integration, &linked).await?;
            managers.extend(managers_of(tx, integration, &linked).await?.into_values());
            let mut accounts: BTreeSet<String> = linked.into_iter().map(|id| id.0).collect();
            accounts.extend(claimants(tx, integration, &[user.email_key.as_str()]).await?);
            self.mark_dirty(tx, integration, USER, accounts).await?;
            self.mark_teams(tx, integration, TeamSource::Group, groups)
                .await?;
            self.mark_teams(tx, integration, TeamSource::Manager, managers)
                .await?;
        }
        Ok(())
    }

    fn edit(&self, user: &PlatformUser) -> UpdateMany<platform_user::Entity> {
        platform_user::Entity::update_many()
            .col_expr(platform_user::Column::UpdatedAt, Expr::value(self.now()))
            .filter(platform_user::Column::OrganizationId.eq(user.organization_id.0))
            .filter(platform_user::Column::Id.eq(user.id.0))
    }

    async fn finish_edit(
        &self,
        tx: &Tx,
        update: UpdateMany<platform_user::Entity>,
        organization: OrganizationId,
        id: UserId,
    ) -> Result<Edited, StoreError> {
        update
            .exec(tx)
            .await
            .map_err(StoreError::of("edit a user"))?;
        let Some(user) = self.user_in(tx, organization, id).await? else {
            return Ok(Edited::NotFound);
        };
        self.mark_around(tx, &user).await?;
        Ok(Edited::Done(user))
    }
}

/// Locks a user together with all active owners and says whether the user is the last of them.
///
/// In the order of the ids, as runs do: of two who would take the last two owners away one waits and is refused.
async fn lock_with_owners(
    tx: &Tx,
    organization: OrganizationId,
    id: UserId,
) -> Result<Option<(PlatformUser, bool)>, StoreError> {
    use platform_user::Column;
    let active_owner = Condition::all()
        .add(Column::Role.eq(Role::Owner.as_str()))
        .add(Column::Status.ne(UserStatus::Deactivated.as_str()));
    let mut query = platform_user::Entity::in_organization(organization.0)
        .filter(Condition::any().add(Column::Id.eq(id.0)).add(active_owner))
        .order_by_asc(Column::Id);
    if tx.get_database_backend() == DbBackend::Postgres {
        query = query.lock(LockType::NoKeyUpdate);
    }
    let rows = query.all(tx).await.map_err(StoreError::of("read owners"))?;
    let mut users: Vec<PlatformUser> = rows.into_iter().map(read_user).collect::<Result<_, _>>()?;
    let is_owner =
        |user: &PlatformUser| user.role == Role::Owner && user.status != UserStatus::Deactivated;
    let owners = users.iter().filter(|user| is_owner(user)).count();
    let at = users.iter().position(|user| user.id == id);
    Ok(at.map(|at| {
        let user = users.swap_remove(at);
        let is_last = is_owner(&user) && owners == 1;
        (user, is_last)
    }))
}

async fn integrations(
    tx: &Tx,
    organization: OrganizationId,
) -> Result<Vec<IntegrationId>, StoreError> {
    let ids: Vec<uuid::Uuid> = integration::Entity::in_organization(organization.0)
        .select_only()
        .column(integration::Column::Id)
        .order_by_asc(integration::Column::Id)
        .into_tuple()
        .all(tx)
        .await
        .map_err(StoreError::of("read integrations"))?;
    Ok(ids.into_iter().map(IntegrationId).collect())
}

async fn accounts_of(
    tx: &Tx,
    integration: IntegrationId,
    user: UserId,
) -> Result<Vec<ExternalId>, StoreError> {
    let ids: Vec<String> = user_link::Entity::of_integration(integration.0)
        .select_only()
        .column(user_link::Column::ExternalId)
        .filter(user_link::Column::UserId.eq(user.0))
        .into_tuple()
        .all(tx)
        .await
        .map_err(StoreError::of("read links"))?;
    Ok(ids.into_iter().map(ExternalId).collect())
}
