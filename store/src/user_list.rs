//! Lists for operators: all organizations, and all users of one, however many.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lockstep_domain::{OrganizationId, PlatformUser, Role, UserId, UserStatus};
use lockstep_entity::{organization, platform_user};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::column::count;
use crate::organization::Organization;
use crate::user::read_user;
use crate::{Store, StoreError};

/// A user in a list.
#[derive(Debug, Clone)]
pub struct ListedUser {
    /// The user.
    pub user: PlatformUser,
    /// When the user last signed in, to the hour; none when never.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// Which users are listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct WhichUsers {
    /// Only those with this role.
    pub role: Option<Role>,
    /// Only those with this status.
    pub status: Option<UserStatus>,
}

/// An organization in a list.
#[derive(Debug, Clone)]
pub struct ListedOrganization {
    /// The organization.
    pub organization: Organization,
    /// Number of users who are not deactivated.
    pub active_users: u64,
    /// Number of owners among them.
    pub active_owners: u64,
}

impl Store {
    /// Returns the next users of an organization in the order of their creation. Each page is one statement that begins
    /// where the last ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_users(
        &self,
        organization: OrganizationId,
        which: WhichUsers,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<ListedUser>, StoreError> {
        use platform_user::Column;
        let chosen = Condition::all()
            .add_option(after.map(|id| Column::Id.gt(id.0)))
            .add_option(which.role.map(|role| Column::Role.eq(role.as_str())))
            .add_option(
                which
                    .status
                    .map(|status| Column::Status.eq(status.as_str())),
            );
        let rows = platform_user::Entity::in_organization(organization.0)
            .filter(chosen)
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(self.db())
            .await
            .map_err(StoreError::of("list users"))?;
        rows.into_iter()
            .map(|row| {
                Ok(ListedUser {
                    last_seen_at: row.last_seen_at,
                    user: read_user(row)?,
                })
            })
            .collect()
    }

    /// Returns the next organizations in the order of their creation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_organizations(
        &self,
        after: Option<OrganizationId>,
        limit: u64,
    ) -> Result<Vec<ListedOrganization>, StoreError> {
        use organization::Column;
        let rows = organization::Entity::find()
            .filter(Condition::all().add_option(after.map(|id| Column::Id.gt(id.0))))
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(self.db())
            .await
            .map_err(StoreError::of("list organizations"))?;
        let ids: Vec<uuid::Uuid> = rows.iter().map(|row| row.id).collect();
        let users = self.count_active(&ids, None).await?;
        let owners = self.count_active(&ids, Some(Role::Owner)).await?;
        let number = |of: &BTreeMap<uuid::Uuid, u64>, id| of.get(&id).copied().unwrap_or_default();
        Ok(rows
            .into_iter()
            .map(|row| ListedOrganization {
                active_users: number(&users, row.id),
                active_owners: number(&owners, row.id),
                organization: crate::organization::read(row),
            })
            .collect())
    }

    async fn count_active(
        &self,
        organizations: &[uuid::Uuid],
        role: Option<Role>,
    ) -> Result<BTreeMap<uuid::Uuid, u64>, StoreError> {
        use platform_user::Column;
        let rows: Vec<(uuid::Uuid, i64)> = platform_user::Entity::find()
            .select_only()
            .column(Column::OrganizationId)
            .expr(Expr::col(Column::Id).count())
            .filter(Column::OrganizationId.is_in(organizations.iter().copied()))
            .filter(Column::Status.ne(UserStatus::Deactivated.as_str()))
            .filter(Condition::all().add_option(role.map(|role| Column::Role.eq(role.as_str()))))
            .group_by(Column::OrganizationId)
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("count users"))?;
        Ok(rows.into_iter().map(|(id, n)| (id, count(n))).collect())
    }
}
