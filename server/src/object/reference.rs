//! Objects by their names: what the entries of a change log speak of, and groups of the directory.

use async_graphql::{Context, Object};
use lockstep_domain::{DirectoryGroup, ExternalId, ObjectKind, TeamId, UserId};
use lockstep_store::change::Change;

use super::enums::DirectoryObjectType;
use super::node::Node;
use crate::error::Result;
use crate::loader::Loaders;
use crate::scalar::Guid;

/// An object of an entry of a change log as it was then, or a group as last read.
#[derive(Debug, Clone)]
pub(crate) struct DirectoryObjectRef {
    display_name: String,
    /// None when the change did not keep it.
    external_id: Option<ExternalId>,
    here: Here,
}

/// The object here; none when it has no id, as nobody was created.
#[derive(Debug, Clone, Copy)]
enum Here {
    User(Option<UserId>),
    Team(Option<TeamId>),
    /// A group of the directory, of which there is nothing here to fetch.
    Group,
}

impl DirectoryObjectRef {
    /// The object that was changed; for a membership, its team.
    pub(crate) fn target(change: &Change) -> Self {
        Self {
            display_name: change.display_name.clone(),
            external_id: Some(change.external_id.clone()),
            here: match change.object_kind {
                ObjectKind::User => Here::User(change.user_id),
                ObjectKind::Team | ObjectKind::Membership => Here::Team(change.team_id),
            },
        }
    }

    /// Whose membership was changed.
    pub(crate) fn member(change: &Change) -> Option<Self> {
        let member = change.member.as_ref()?;
        Some(Self {
            display_name: member.name.clone(),
            external_id: Some(member.external_id.clone()),
            here: Here::User(Some(member.user_id)),
        })
    }

    /// A group of the directory.
    pub(crate) fn group(group: &DirectoryGroup) -> Self {
        Self {
            display_name: group.shown_name().to_owned(),
            external_id: Some(group.external_id.clone()),
            here: Here::Group,
        }
    }

    /// The team that a member was moved away from.
    pub(crate) fn moved_from(change: &Change) -> Option<Self> {
        let (team, name) = change.moved_from.as_ref()?;
        Some(Self {
            display_name: name.clone(),
            external_id: None,
            here: Here::Team(Some(*team)),
        })
    }
}

/// Names an object of a change log as it was then, even when it no longer exists, or a group of the directory.
#[Object]
impl DirectoryObjectRef {
    /// Kind of the object.
    #[graphql(name = "type")]
    async fn kind(&self) -> DirectoryObjectType {
        match self.here {
            Here::User(_) => DirectoryObjectType::User,
            Here::Team(_) => DirectoryObjectType::Team,
            Here::Group => DirectoryObjectType::Group,
        }
    }

    /// Display name at the time of the change; of a group, as last read.
    async fn display_name(&self) -> &str {
        &self.display_name
    }

    /// Object id in Microsoft Entra ID, null when it was not created there.
    async fn external_id(&self, ctx: &Context<'_>) -> Result<Option<Guid>> {
        let read = |id: &ExternalId| Guid::read(id.as_str());
        if let Some(id) = &self.external_id {
            return Ok(read(id));
        }
        let Here::Team(Some(id)) = self.here else {
            return Ok(None);
        };
        let team = Loaders::one(ctx, id).await?;
        Ok(team
            .and_then(|team| team.key)
            .and_then(|key| read(&key.external_id)))
    }

    /// The object here as it is now, null when there is none.
    async fn node(&self, ctx: &Context<'_>) -> Result<Option<Node>> {
        Ok(match self.here {
            Here::User(Some(id)) => Loaders::one(ctx, id)
                .await?
                .map(|user| Node::User(user.into())),
            Here::Team(Some(id)) => Loaders::one(ctx, id)
                .await?
                .map(|team| Node::Team(team.into())),
            Here::User(None) | Here::Team(None) | Here::Group => None,
        })
    }
}
