//! Through which nested group someone is in the team of a group (D-28). It is worked out when asked for, so that it is never
//! out of date.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    DirectoryGroup, ExternalId, IntegrationId, OrganizationId, TeamId, TeamSource, UserId,
};

use crate::{Store, StoreError};

/// Members of teams of one integration: the group of each team, and whom is asked about.
#[derive(Default)]
struct Asked {
    groups: BTreeMap<TeamId, ExternalId>,
    pairs: Vec<(TeamId, UserId)>,
}

impl Store {
    /// Returns for members of teams the nested group that they are in; members of the team's own group, and whoever is in no
    /// group of the team, are left out. Of several groups the first by its id is named.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn via_groups(
        &self,
        organization: OrganizationId,
        pairs: &[(TeamId, UserId)],
    ) -> Result<BTreeMap<(TeamId, UserId), DirectoryGroup>, StoreError> {
        let teams: BTreeSet<TeamId> = pairs.iter().map(|(team, _)| *team).collect();
        let teams: Vec<TeamId> = teams.into_iter().collect();
        let mut asked: BTreeMap<IntegrationId, Asked> = BTreeMap::new();
        for team in self.teams_by_id(organization, &teams).await? {
            let group = team.key.filter(|key| key.source == TeamSource::Group);
            if let (Some(integration), Some(group)) = (team.integration_id, group) {
                let asked = asked.entry(integration).or_default();
                asked.groups.insert(team.id, group.external_id);
                asked
                    .pairs
                    .extend(pairs.iter().filter(|(id, _)| *id == team.id));
            }
        }
        let mut found = BTreeMap::new();
        for (integration, asked) in asked {
            found.extend(self.via_groups_of(integration, asked).await?);
        }
        Ok(found)
    }

    async fn via_groups_of(
        &self,
        integration: IntegrationId,
        asked: Asked,
    ) -> Result<BTreeMap<(TeamId, UserId), DirectoryGroup>, StoreError> {
        let users: BTreeSet<UserId> = asked.pairs.iter().map(|(_, user)| *user).collect();
        let users: Vec<UserId> = users.into_iter().collect();
        let accounts = self.accounts_of_users(integration, &users).await?;
        let groups: Vec<ExternalId> = asked.groups.values().cloned().collect();
        let below = self.groups_below(integration, &groups, true).await?.below;
        let within: BTreeSet<ExternalId> = below.values().flatten().cloned().collect();
        let people: Vec<ExternalId> = accounts.values().cloned().collect();
        let sources = self
            .sources_of(integration, TeamSource::Group, &within, &people)
            .await?;
        let via = |team: &TeamId, user: &UserId| -> Option<ExternalId> {
            let group = asked.groups.get(team)?;
            let direct = sources.get(accounts.get(user)?)?;
            let below = below.get(group)?;
            let nested = direct.iter().find(|id| below.contains(*id))?;
            (!direct.contains(group)).then(|| nested.clone())
        };
        let via: BTreeMap<(TeamId, UserId), ExternalId> = asked
            .pairs
            .iter()
            .filter_map(|(team, user)| Some(((*team, *user), via(team, user)?)))
            .collect();
        let named: BTreeSet<ExternalId> = via.values().cloned().collect();
        let named: Vec<ExternalId> = named.into_iter().collect();
        let groups = self.groups(integration, &named).await?;
        Ok(via
            .into_iter()
            .filter_map(|(pair, id)| Some((pair, groups.get(&id)?.clone())))
            .collect())
    }
}
