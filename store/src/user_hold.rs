//! What owners decided about single users and runs respect.

use lockstep_domain::{
    Actor, OrganizationId, Team, TeamId, UserHold, UserHoldId, UserHoldKind, UserId,
};
use lockstep_entity::user_hold;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::column::{from_json, parse, to_json};
use crate::{Store, StoreError, Tx};

impl Store {
    /// Returns the holds of users, for a data loader.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holds_of_users(
        &self,
        organization: OrganizationId,
        users: &[UserId],
    ) -> Result<Vec<UserHold>, StoreError> {
        let rows = user_hold::Entity::in_organization(organization.0)
            .filter(user_hold::Column::UserId.is_in(users.iter().map(|id| id.0)))
            .all(self.db());
        rows.await
            .map_err(StoreError::of("read holds of users"))?
            .into_iter()
            .map(read)
            .collect()
    }

    /// Returns holds of users of an organization by their ids, for a data loader.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_holds(
        &self,
        organization: OrganizationId,
        ids: &[UserHoldId],
    ) -> Result<Vec<UserHold>, StoreError> {
        let rows = user_hold::Entity::in_organization(organization.0)
            .filter(user_hold::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .all(self.db());
        rows.await
            .map_err(StoreError::of("read holds of users"))?
            .into_iter()
            .map(read)
            .collect()
    }

    /// Lifts a hold; the next run looks at what it kept from happening. None when there is no such hold.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lift_user_hold(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: UserHoldId,
    ) -> Result<Option<UserHold>, StoreError> {
        let row = user_hold::Entity::in_organization(organization.0)
            .filter(user_hold::Column::Id.eq(id.0))
            .one(tx);
        let Some(row) = row.await.map_err(StoreError::of("read a hold of a user"))? else {
            return Ok(None);
        };
        let hold = read(row)?;
        // The team first, as whoever edits its members does: in the other order the two could wait for each other.
        let team = match hold.team_id {
            Some(team) => self.lock_team(tx, organization, team).await?,
            None => None,
        };
        let lifted = user_hold::Entity::delete_many()
            .filter(user_hold::Column::OrganizationId.eq(organization.0))
            .filter(user_hold::Column::Id.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("lift a hold of a user"))?;
        if lifted.rows_affected == 0 {
            return Ok(None);
        }
        if let Some(team) = team {
            self.mark_team_dirty(tx, &team).await?;
        }
        Ok(Some(hold))
    }

    /// Has runs keep a user out of a team.
    pub(crate) async fn keep_out_of_team(
        &self,
        tx: &Tx,
        team: &Team,
        user: UserId,
        by: &Actor,
    ) -> Result<(), StoreError> {
        use user_hold::Column;
        let row = user_hold::ActiveModel {
            id: Set(self.fresh_id()),
            organization_id: Set(team.organization_id.0),
            user_id: Set(user.0),
            kind: Set(UserHoldKind::KeepOutOfTeam.as_str().into()),
            team_id: Set(Some(team.id.0)),
            set_by: Set(to_json(by)),
            set_at: Set(self.now()),
        };
        user_hold::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([Column::UserId, Column::Kind, Column::TeamId])
                    .update_columns([Column::SetBy, Column::SetAt])
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("set a hold of a user"))?;
        Ok(())
    }

    /// Takes back [`Store::keep_out_of_team`].
    pub(crate) async fn let_into_team(
        &self,
        tx: &Tx,
        team: &Team,
        user: UserId,
    ) -> Result<(), StoreError> {
        user_hold::Entity::delete_many()
            .filter(user_hold::Column::UserId.eq(user.0))
            .filter(user_hold::Column::TeamId.eq(team.id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("lift a hold of a user"))?;
        Ok(())
    }
}

fn read(row: user_hold::Model) -> Result<UserHold, StoreError> {
    Ok(UserHold {
        id: row.id.into(),
        organization_id: row.organization_id.into(),
        user_id: row.user_id.into(),
        kind: parse("user_hold.kind", &row.kind)?,
        team_id: row.team_id.map(TeamId),
        set_by: from_json("user_hold.set_by", row.set_by)?,
        set_at: row.set_at,
    })
}
