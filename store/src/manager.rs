//! Who manages whom, among the users.

use lockstep_domain::{OrganizationId, UserId};
use lockstep_entity::{directory_user, user_link};
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, JoinType, Query, SelectStatement};
use uuid::Uuid;

use crate::{Store, StoreError};

impl Store {
    /// Returns the managers of users as the directory gives them, each after whose manager it is: only those who are
    /// linked by the same integration, and nobody as the manager of themselves (D-43).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn manager_users(
        &self,
        organization: OrganizationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserId)>, StoreError> {
        let operation = "read managers";
        let rows = self
            .db()
            .query_all(&managers(organization, users))
            .await
            .map_err(StoreError::of(operation))?;
        rows.into_iter()
            .map(|row| {
                let id = |name: &str| row.try_get::<Uuid>("", name);
                let user = id("user_id").map_err(StoreError::of(operation))?;
                let manager = id("manager").map_err(StoreError::of(operation))?;
                Ok((UserId(user), UserId(manager)))
            })
            .collect()
    }
}

/// The link of each user, the account behind it, and the link of that account's manager.
fn managers(organization: OrganizationId, users: &[UserId]) -> SelectStatement {
    use directory_user::Column as Account;
    use user_link::Column as Link;
    let (of_user, of_manager) = (Alias::new("of_user"), Alias::new("of_manager"));
    let own = |column: Link| Expr::col((of_user.clone(), column));
    let theirs = |column: Link| Expr::col((of_manager.clone(), column));
    let account = |column: Account| Expr::col((directory_user::Entity, column));
    Query::select()
        .expr_as(own(Link::UserId), Alias::new("user_id"))
        .expr_as(theirs(Link::UserId), Alias::new("manager"))
        .from_as(user_link::Entity, of_user.clone())
        .inner_join(
            directory_user::Entity,
            account(Account::IntegrationId)
                .eq(own(Link::IntegrationId))
                .and(account(Account::ExternalId).eq(own(Link::ExternalId))),
        )
        .join_as(
            JoinType::InnerJoin,
            user_link::Entity,
            of_manager.clone(),
            theirs(Link::IntegrationId)
                .eq(own(Link::IntegrationId))
                .and(theirs(Link::ExternalId).eq(account(Account::ManagerId))),
        )
        .and_where(own(Link::OrganizationId).eq(organization.0))
        .and_where(own(Link::UserId).is_in(users.iter().map(|id| id.0)))
        .and_where(theirs(Link::UserId).ne(own(Link::UserId)))
        .to_owned()
}
