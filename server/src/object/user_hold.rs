//! What owners decided about single users.

use async_graphql::{Context, ID, Object};
use lockstep_domain as domain;

use super::enums::UserHoldKind;
use super::organization::Actor;
use super::team::Team;
use super::user::User;
use crate::error::{Failure, Result};
use crate::id::GlobalId as _;
use crate::loader::Loaders;
use crate::scalar::Timestamp;

/// A hold of a user as stored. Reached only by owners of its organization.
#[derive(Debug, Clone)]
pub(crate) struct UserHold(domain::UserHold);

impl From<domain::UserHold> for UserHold {
    fn from(hold: domain::UserHold) -> Self {
        Self(hold)
    }
}

/// A decision of an owner about one user that runs respect until it is lifted.
#[Object]
impl UserHold {
    /// The opaque, globally unique id of the hold.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// The user.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        let user = Loaders::one(ctx, self.0.user_id).await?;
        user.map(User::from)
            .ok_or_else(|| Failure::Fault("a hold has no user".to_owned()))
    }

    /// What runs must not do.
    async fn kind(&self) -> UserHoldKind {
        self.0.kind.into()
    }

    /// The team, null unless the kind is KEEP_OUT_OF_TEAM.
    async fn team(&self, ctx: &Context<'_>) -> Result<Option<Team>> {
        let Some(id) = self.0.team_id else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(Team::from))
    }

    /// Who set the hold.
    async fn set_by(&self) -> Actor {
        Actor(self.0.set_by.clone())
    }

    /// When the hold was set.
    async fn set_at(&self) -> Timestamp {
        self.0.set_at.into()
    }
}
