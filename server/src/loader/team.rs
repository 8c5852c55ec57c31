//! Loaders of teams and of who belongs to them.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use lockstep_domain::{
    DirectoryGroup, IntegrationId, Team, TeamId, TeamKey, UserHold, UserHoldId, UserId,
};
use lockstep_store::StoreError;
use lockstep_store::membership::{MembersRequest, Membership};
use lockstep_store::page::{Page, PageRequest};

use super::{Reader, by_key, by_request};

/// Key of a page of the members of a team.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MembersOf(pub(crate) TeamId, pub(crate) MembersRequest);

/// Key of a page of the teams of a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TeamsOf(pub(crate) UserId, pub(crate) PageRequest<TeamId>);

/// Key of the team that was made from a group or manager, of an integration that was looked up in its organization.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TeamMadeFrom(pub(crate) IntegrationId, pub(crate) TeamKey);

/// Key of the holds of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HoldsOf(pub(crate) UserId);

/// Key of the manager of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ManagerOf(pub(crate) UserId);

/// Key of the nested group through which a user is in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ViaGroupOf(pub(crate) TeamId, pub(crate) UserId);

impl Loader<ViaGroupOf> for Reader {
    type Value = DirectoryGroup;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[ViaGroupOf],
    ) -> Result<HashMap<ViaGroupOf, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        let pairs: Vec<(TeamId, UserId)> = keys.iter().map(|key| (key.0, key.1)).collect();
        let groups = self.store.via_groups(organization, &pairs).await?;
        Ok(groups
            .into_iter()
            .map(|((team, user), group)| (ViaGroupOf(team, user), group))
            .collect())
    }
}

impl Loader<TeamId> for Reader {
    type Value = Team;
    type Error = Arc<StoreError>;

    async fn load(&self, keys: &[TeamId]) -> Result<HashMap<TeamId, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        Ok(by_key(
            self.store.teams_by_id(organization, keys).await?,
            |row| row.id,
        ))
    }
}

impl Loader<TeamMadeFrom> for Reader {
    type Value = Team;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[TeamMadeFrom],
    ) -> Result<HashMap<TeamMadeFrom, Self::Value>, Self::Error> {
        let mut found = HashMap::with_capacity(keys.len());
        for (integration, keys) in by_request(keys.iter().map(|key| (&key.0, key.1.clone()))) {
            let teams = self.store.teams_by_key(*integration, &keys).await?;
            let keyed = |(key, team)| (TeamMadeFrom(*integration, key), team);
            found.extend(teams.into_iter().map(keyed));
        }
        Ok(found)
    }
}

impl Loader<MembersOf> for Reader {
    type Value = Page<Membership>;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[MembersOf],
    ) -> Result<HashMap<MembersOf, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        let mut found = HashMap::with_capacity(keys.len());
        for (request, teams) in by_request(keys.iter().map(|key| (&key.1, key.0))) {
            let pages = self
                .store
                .members_of_teams(organization, &teams, request)
                .await?;
            let keyed = |(team, page)| (MembersOf(team, request.clone()), page);
            found.extend(pages.into_iter().map(keyed));
        }
        Ok(found)
    }
}

impl Loader<TeamsOf> for Reader {
    type Value = Page<Membership>;
    type Error = Arc<StoreError>;

    async fn load(&self, keys: &[TeamsOf]) -> Result<HashMap<TeamsOf, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        let mut found = HashMap::with_capacity(keys.len());
        for (request, users) in by_request(keys.iter().map(|key| (&key.1, key.0))) {
            let pages = self
                .store
                .teams_of_users(organization, &users, request)
                .await?;
            let keyed = |(user, page)| (TeamsOf(user, request.clone()), page);
            found.extend(pages.into_iter().map(keyed));
        }
        Ok(found)
    }
}

impl Loader<HoldsOf> for Reader {
    type Value = Vec<UserHold>;
    type Error = Arc<StoreError>;

    async fn load(&self, keys: &[HoldsOf]) -> Result<HashMap<HoldsOf, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let mut found: HashMap<HoldsOf, Self::Value> = HashMap::new();
        for hold in self.store.holds_of_users(organization, &users).await? {
            found.entry(HoldsOf(hold.user_id)).or_default().push(hold);
        }
        Ok(found)
    }
}

impl Loader<UserHoldId> for Reader {
    type Value = UserHold;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[UserHoldId],
    ) -> Result<HashMap<UserHoldId, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        Ok(by_key(
            self.store.user_holds(organization, keys).await?,
            |row| row.id,
        ))
    }
}

impl Loader<ManagerOf> for Reader {
    type Value = UserId;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[ManagerOf],
    ) -> Result<HashMap<ManagerOf, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let pairs = self.store.manager_users(organization, &users).await?;
        Ok(pairs
            .into_iter()
            .map(|(user, manager)| (ManagerOf(user), manager))
            .collect())
    }
}
