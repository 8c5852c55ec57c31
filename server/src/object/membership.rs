//! Who belongs to teams, seen from the team and from the user.

use async_graphql::{Context, Object};
use futures::future::try_join_all;
use lockstep_domain as domain;
use lockstep_store::membership::Membership;

use super::enums::{MembershipOriginKind, TeamRole};
use super::integration::Integration;
use super::organization::Actor;
use super::reference::DirectoryObjectRef;
use super::team::Team;
use super::user::User;
use crate::error::{Failure, Result};
use crate::loader::{Loaders, ViaGroupOf};
use crate::page::{EdgeOf, connection};
use crate::scalar::Timestamp;
use crate::session::Session;

connection! {
    /// A page of the members of a team.
    TeamMemberConnection of TeamMemberEdge;
    /// Number of users in the team that match.
    total
    {
        /// The users of the page, without what the membership says.
        async fn nodes(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
            try_join_all(self.0.items.iter().map(|edge| edge.node_of(ctx))).await
        }
    }
}

connection! {
    /// A page of the teams of a user.
    UserTeamConnection of UserTeamEdge;
    /// Number of teams of the user.
    total
    {
        /// The teams of the page, without what the membership says.
        async fn nodes(&self, ctx: &Context<'_>) -> Result<Vec<Team>> {
            try_join_all(self.0.items.iter().map(|edge| edge.node_of(ctx))).await
        }
    }
}

/// A membership seen from its team.
#[derive(Debug, Clone)]
pub(crate) struct TeamMemberEdge {
    cursor: String,
    row: Membership,
}

/// A membership seen from its user.
#[derive(Debug, Clone)]
pub(crate) struct UserTeamEdge {
    cursor: String,
    row: Membership,
}

/// Declares what an edge of a membership says: what it leads to, and the same of the membership from both sides.
macro_rules! membership_edge {
    (
        $(#[$meta:meta])* $edge:ident;
        $(#[$node_meta:meta])* node: $node:ident = $key:ident
    ) => {
        impl EdgeOf<Membership> for $edge {
            fn of(cursor: String, row: Membership) -> Self {
                Self { cursor, row }
            }
        }

        impl $edge {
            async fn node_of(&self, ctx: &Context<'_>) -> Result<$node> {
                let node = Loaders::one(ctx, self.row.$key).await?;
                node.map($node::from)
                    .ok_or_else(|| Failure::Fault("a membership leads nowhere".to_owned()))
            }
        }

        $(#[$meta])*
        #[Object]
        impl $edge {
            /// Cursor of the edge.
            async fn cursor(&self) -> &str {
                &self.cursor
            }

            $(#[$node_meta])*
            async fn node(&self, ctx: &Context<'_>) -> Result<$node> {
                self.node_of(ctx).await
            }

            /// Role of the user in the team.
            async fn role(&self) -> TeamRole {
                self.row.role.into()
            }

            /// Where the membership comes from; it ends when the last of its origins does.
            async fn origins(&self) -> Vec<MembershipOrigin> {
                self.row.origins.iter().cloned().map(MembershipOrigin).collect()
            }
        }
    };
}

membership_edge! {
    /// A user in a team and the user's role in it.
    TeamMemberEdge;
    /// The user.
    node: User = user_id
}

membership_edge! {
    /// A team of a user and the user's role in it.
    UserTeamEdge;
    /// The team.
    node: Team = team_id
}

/// One origin of a membership as stored.
pub(crate) struct MembershipOrigin(domain::MembershipOrigin);

/// Where a membership comes from. A run removes only what the same integration added.
#[Object]
impl MembershipOrigin {
    /// The kind of origin.
    async fn kind(&self) -> MembershipOriginKind {
        self.0.origin.into()
    }

    /// The integration that added the membership, null for memberships added by hand and unless the viewer is an owner.
    async fn integration(&self, ctx: &Context<'_>) -> Result<Option<Integration>> {
        if self.0.origin == domain::MembershipOriginKind::Manual {
            return Ok(None);
        }
        let team = Loaders::one(ctx, self.0.team_id).await?;
        let shown = team.filter(|team| Session::owns(ctx, team.organization_id));
        let Some(id) = shown.and_then(|team| team.integration_id) else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(Integration::from))
    }

    /// The nested group through which the user is a member, null when the membership is direct.
    async fn via_group(&self, ctx: &Context<'_>) -> Result<Option<DirectoryObjectRef>> {
        if self.0.origin != domain::MembershipOriginKind::Group {
            return Ok(None);
        }
        let group = Loaders::one(ctx, ViaGroupOf(self.0.team_id, self.0.user_id)).await?;
        Ok(group.as_ref().map(DirectoryObjectRef::group))
    }

    /// Who added the membership by hand, null for synchronized ones and for those of a team that was released.
    async fn added_by(&self) -> Option<Actor> {
        self.0.added_by.clone().map(Actor)
    }

    /// When the membership was added.
    async fn added_at(&self) -> Timestamp {
        self.0.added_at.into()
    }
}
