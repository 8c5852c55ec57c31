//! Who is no longer to be in the teams: everyone whom earlier runs put there and the directory does not any more.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeId, ExternalId, ManagerTeamDepth, TeamId, TeamKey, TeamRole, TeamSource, UserId,
    UserStatus,
};
use lockstep_sync::inbound::memberships::{Candidate, FormerTeam, Person, former_team};
use lockstep_sync::inbound::teams::Members;

use super::PAGE;
use super::batches::{Batch, batches};
use super::chunk::{Chunk, MEMBER};
use crate::failure::Stop;

/// Members as they are: team, user, and role that the directory gave.
type Rows = Vec<(TeamId, UserId, TeamRole)>;

impl Chunk<'_, '_> {
    /// Decides about everyone whom earlier runs put into a team of the chunk.
    pub(super) async fn leave(&mut self) -> Result<(), Stop> {
        let stays = |members| members == Members::Stay;
        let teams: BTreeMap<TeamId, TeamKey> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.decided.as_ref().is_some_and(|d| !stays(d.members)))
            .filter_map(|(key, slot)| Some((slot.team.as_ref()?.id, key.clone())))
            .collect();
        let ids: Vec<TeamId> = teams.keys().copied().collect();
        let (store, origin) = (&self.execution.worker.store, self.origin());
        let sizes = store.count_synced_members(&ids, origin).await?;
        for batch in batches(sizes, PAGE) {
            match batch {
                Batch::Together(ids) => {
                    let store = &self.execution.worker.store;
                    let mut rows = store.synced_members(&ids, origin).await?;
                    rows.sort();
                    self.leave_page(&teams, rows).await?;
                }
                Batch::Alone(id) => self.leave_alone(&teams, id).await?,
            }
        }
        Ok(())
    }

    /// Decides about everyone of one large team, page by page.
    async fn leave_alone(
        &mut self,
        teams: &BTreeMap<TeamId, TeamKey>,
        id: TeamId,
    ) -> Result<(), Stop> {
        let mut after = None;
        loop {
            let (store, origin) = (&self.execution.worker.store, self.origin());
            let rows = store.next_synced_members(id, origin, after, PAGE).await?;
            let Some((_, last, _)) = rows.last() else {
                return Ok(());
            };
            after = Some(*last);
            self.leave_page(teams, rows).await?;
        }
    }

    async fn leave_page(
        &mut self,
        teams: &BTreeMap<TeamId, TeamKey>,
        rows: Rows,
    ) -> Result<(), Stop> {
        let users: BTreeSet<UserId> = rows.iter().map(|(_, user, _)| *user).collect();
        let users: Vec<UserId> = users.into_iter().collect();
        let people = self.people_of(&users).await?;
        let accounts: Vec<ExternalId> =
            people.values().map(|one| one.external_id.clone()).collect();
        let (store, integration) = (&self.execution.worker.store, self.frozen.integration.id);
        let within = self.below.values().flatten().cloned().collect();
        let sources = store
            .sources_of(integration, self.source, &within, &accounts)
            .await?;
        let organization = self.frozen.integration.organization_id;
        let kept_out = store.kept_out(organization, &users).await?;
        let taken_along = self.taken_along(&people, &kept_out).await?;
        let withheld = self.withheld_above(&users).await?;
        let places: Vec<TeamId> = teams.keys().copied().collect();
        let held = store.held_removals(integration, &places, &users).await?;
        for (team, user, role) in rows {
            let (Some(key), Some(person)) = (teams.get(&team), people.get(&user)) else {
                continue;
            };
            let Some(decided) = self.slots.get(key).and_then(|slot| slot.decided.clone()) else {
                continue;
            };
            let follows = decided.members == Members::Follow;
            let wanted = self.wanted(key, person, &sources).filter(|_| follows);
            let is_kept_out = kept_out.contains(&(team, user));
            if wanted.is_some() && person.is_active && !is_kept_out {
                // Decided about among those who are to be in the team.
                if held.contains(&(team, user)) {
                    self.listed_again(team, user);
                }
                continue;
            }
            if follows
                && person.is_active
                && !is_kept_out
                && self.incomplete.contains(&key.external_id)
            {
                // Perhaps the person is in a nested group that cannot be read.
                continue;
            }
            let candidate = Candidate {
                person: person.clone(),
                wanted,
                present: Some(role),
                is_kept_out,
                moves_from: None,
                is_taken_along: role == MEMBER
                    && wanted.is_none()
                    && taken_along.contains(&(team, user)),
                manager_withheld: withheld.get(&user).copied(),
            };
            self.decide_member(key, &decided, candidate);
        }
        self.flush().await
    }

    /// Role that the directory gives, none when it gives none.
    fn wanted(
        &self,
        key: &TeamKey,
        person: &Person,
        sources: &BTreeMap<ExternalId, BTreeSet<ExternalId>>,
    ) -> Option<TeamRole> {
        if self.source == TeamSource::Manager && key.external_id == person.external_id {
            return Some(TeamRole::Supervisor);
        }
        let below = self.below.get(&key.external_id)?;
        let mut groups = sources.get(&person.external_id)?.iter();
        groups.any(|group| below.contains(group)).then_some(MEMBER)
    }

    /// Users as this run will leave them. One who is no longer tied to the directory belongs to none of its teams.
    async fn people_of(&self, users: &[UserId]) -> Result<BTreeMap<UserId, Person>, Stop> {
        let (store, frozen) = (&self.execution.worker.store, self.frozen);
        let accounts = store
            .accounts_of_users(frozen.integration.id, users)
            .await?;
        let ids: Vec<ExternalId> = accounts.values().cloned().collect();
        let people = store.people(&self.execution.lease, &ids).await?;
        let mut found: BTreeMap<UserId, Person> = people
            .into_values()
            .map(|one| (one.person.user_id, one.person))
            .collect();
        let untied: Vec<UserId> = users
            .iter()
            .copied()
            .filter(|user| !found.contains_key(user))
            .collect();
        let organization = frozen.integration.organization_id;
        for user in store.users_by_id(organization, &untied).await? {
            let person = Person {
                user_id: user.id,
                external_id: ExternalId(String::new()),
                name: user.display_name(),
                is_active: user.status != UserStatus::Deactivated,
                cause: None,
                withheld: None,
            };
            found.insert(user.id, person);
        }
        Ok(found)
    }

    /// Withheld departures of managers in whose teams people are. Whoever is deleted is nobody's manager any more, so that
    /// the people below would drop out of the teams above as well.
    async fn withheld_above(&self, users: &[UserId]) -> Result<BTreeMap<UserId, ChangeId>, Stop> {
        if self.source != TeamSource::Manager {
            return Ok(BTreeMap::new());
        }
        let (store, integration) = (&self.execution.worker.store, self.frozen.integration.id);
        let teams = store.manager_teams_of(integration, users).await?;
        let managers: BTreeSet<ExternalId> =
            teams.values().flat_map(BTreeMap::keys).cloned().collect();
        let managers: Vec<ExternalId> = managers.into_iter().collect();
        let managers = store.people(&self.execution.lease, &managers).await?;
        let withheld = |manager: &ExternalId| managers.get(manager)?.person.withheld;
        let above = |(user, teams): (&UserId, &BTreeMap<ExternalId, FormerTeam>)| {
            Some((*user, teams.keys().find_map(withheld)?))
        };
        Ok(teams.iter().filter_map(above).collect())
    }

    /// Those whom the plan of another manager's team takes away, and from which team: it shows the move as one change
    /// (D-41).
    async fn taken_along(
        &self,
        people: &BTreeMap<UserId, Person>,
        kept_out: &BTreeSet<(TeamId, UserId)>,
    ) -> Result<BTreeSet<(TeamId, UserId)>, Stop> {
        let rules = &self.frozen.rules.manager_teams;
        let moves = self.source == TeamSource::Manager
            && rules.enabled
            && rules.depth == ManagerTeamDepth::DirectReports;
        if !moves {
            return Ok(BTreeSet::new());
        }
        let (store, integration) = (&self.execution.worker.store, self.frozen.integration.id);
        let accounts: Vec<ExternalId> =
            people.values().map(|one| one.external_id.clone()).collect();
        let manager_of = store.managers_of_people(integration, &accounts).await?;
        let managers: BTreeSet<ExternalId> = manager_of.values().cloned().collect();
        let managers: Vec<ExternalId> = managers.into_iter().collect();
        let active = store.people(&self.execution.lease, &managers).await?;
        let keys: Vec<TeamKey> = managers.into_iter().map(TeamKey::of_manager).collect();
        let teams = store.teams_by_key(integration, &keys).await?;
        let ids: Vec<TeamId> = teams.values().map(|team| team.id).collect();
        let users: Vec<UserId> = people.keys().copied().collect();
        let present = store.synced_among(&ids, self.origin(), &users).await?;
        let former = store.manager_teams_of(integration, &users).await?;
        let taken_from = |person: &Person| {
            let manager = manager_of.get(&person.external_id)?;
            let leads = active.get(manager).is_some_and(|one| one.person.is_active);
            let team = teams.get(&TeamKey::of_manager(manager.clone()));
            let is_free = team.is_none_or(|team| {
                let place = (team.id, person.user_id);
                !kept_out.contains(&place) && !present.contains_key(&place)
            });
            let moves = person.is_active && *manager != person.external_id && leads && is_free;
            let left = former_team(former.get(&person.user_id)?, manager)?;
            moves.then_some((left.id, person.user_id))
        };
        Ok(people.values().filter_map(taken_from).collect())
    }
}
