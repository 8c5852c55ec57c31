//! Who is to be in the teams: everyone whom the directory puts there, page by page.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ExternalId, ManagerTeamDepth, TeamId, TeamKey, TeamRole, TeamSource, UserId,
};
use lockstep_store::person::Someone;
use lockstep_sync::inbound::memberships::{Candidate, FormerTeam, Person, former_team};
use lockstep_sync::inbound::teams::Members;

use super::PAGE;
use super::batches::{Batch, batches};
use super::chunk::{Chunk, Decided, MEMBER};
use crate::failure::Stop;

/// What the memberships of some people depend on.
struct Around {
    people: BTreeMap<ExternalId, Someone>,
    present: BTreeMap<(TeamId, UserId), TeamRole>,
    kept_out: BTreeSet<(TeamId, UserId)>,
    /// Groups of the chunk that each person is directly in, when a team can have several.
    groups: BTreeMap<ExternalId, BTreeSet<ExternalId>>,
    owners: BTreeSet<(ExternalId, ExternalId)>,
    former: BTreeMap<UserId, BTreeMap<ExternalId, FormerTeam>>,
}

impl Chunk<'_, '_> {
    /// Decides about everyone whom the directory puts into a team of the chunk.
    pub(super) async fn join(&mut self) -> Result<(), Stop> {
        let mut keys_of: BTreeMap<ExternalId, Vec<TeamKey>> = BTreeMap::new();
        for key in self.slots.keys() {
            for below in self.below.get(&key.external_id).into_iter().flatten() {
                keys_of.entry(below.clone()).or_default().push(key.clone());
            }
        }
        let sources: Vec<ExternalId> = keys_of.keys().cloned().collect();
        let (store, integration) = (&self.execution.worker.store, self.frozen.integration.id);
        let sizes = store
            .count_people_below(integration, self.source, &sources)
            .await?;
        for batch in batches(sizes, PAGE) {
            match batch {
                Batch::Together(ids) => {
                    let store = &self.execution.worker.store;
                    let pairs = store.people_below(integration, self.source, &ids).await?;
                    self.join_page(&keys_of, pairs).await?;
                }
                Batch::Alone(id) => self.join_alone(&keys_of, &id).await?,
            }
        }
        Ok(())
    }

    /// Decides about everyone below one group or manager, page by page.
    async fn join_alone(
        &mut self,
        keys_of: &BTreeMap<ExternalId, Vec<TeamKey>>,
        id: &ExternalId,
    ) -> Result<(), Stop> {
        let mut after = None;
        loop {
            let (store, integration) = (&self.execution.worker.store, self.frozen.integration.id);
            let pairs = store
                .next_people_below(integration, self.source, id, after.as_ref(), PAGE)
                .await?;
            let Some((_, last)) = pairs.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            self.join_page(keys_of, pairs).await?;
        }
    }

    async fn join_page(
        &mut self,
        keys_of: &BTreeMap<ExternalId, Vec<TeamKey>>,
        mut pairs: Vec<(ExternalId, ExternalId)>,
    ) -> Result<(), Stop> {
        // In an order of ours, so that the same directory makes the same log on every database.
        pairs.sort();
        let around = self.around(&pairs).await?;
        for (source, person) in &pairs {
            if self.source == TeamSource::Manager && source == person {
                self.complain_of_self_manager(person);
                continue;
            }
            let Some(someone) = around.people.get(person).filter(|one| one.person.is_active) else {
                continue;
            };
            for key in keys_of.get(source).into_iter().flatten() {
                self.join_one(key, source, &someone.person, &around);
            }
            // A group that is nested in many of the teams makes many rows of one person.
            if self.is_full() {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    /// Counts someone who is the own manager, where the own team is looked at: that is done once.
    fn complain_of_self_manager(&mut self, person: &ExternalId) {
        let key = TeamKey::of_manager(person.clone());
        if self.slots.contains_key(&key) {
            self.ledger.self_managers += 1;
            self.complained.insert(key);
        }
    }

    fn join_one(&mut self, key: &TeamKey, source: &ExternalId, person: &Person, around: &Around) {
        if self.is_gone(key) {
            // The manager is no user: people who report directly are in no manager's team (D-42).
            if *source == key.external_id {
                self.ledger.without_manager += 1;
                self.complained.insert(key.clone());
            }
            return;
        }
        if key.external_id == person.external_id || !self.is_first(key, source, person, around) {
            return;
        }
        let was_open = self
            .slots
            .get(key)
            .is_some_and(|slot| slot.decided.is_none());
        let Some(decided) = self.decide(key, true) else {
            return;
        };
        if was_open {
            self.join_manager(key, &decided, around);
        }
        if decided.members != Members::Follow {
            return;
        }
        let owns = (key.external_id.clone(), person.external_id.clone());
        let role = if around.owners.contains(&owns) {
            TeamRole::Supervisor
        } else {
            MEMBER
        };
        let candidate = self.candidate(key, &decided, person, role, around);
        self.decide_member(key, &decided, candidate);
    }

    /// E-066: the manager is the supervisor of the own team, and nothing else in it (D-38).
    fn join_manager(&mut self, key: &TeamKey, decided: &Decided, around: &Around) {
        let Some(manager) = self.manager(key).map(|manager| manager.person.clone()) else {
            return;
        };
        if decided.members == Members::Follow {
            let role = TeamRole::Supervisor;
            let candidate = self.candidate(key, decided, &manager, role, around);
            self.decide_member(key, decided, candidate);
        }
    }

    fn candidate(
        &self,
        key: &TeamKey,
        decided: &Decided,
        person: &Person,
        role: TeamRole,
        around: &Around,
    ) -> Candidate {
        let place = (decided.team, person.user_id);
        let former = around
            .former
            .get(&person.user_id)
            .filter(|_| role == MEMBER);
        let moves_from = former
            .and_then(|teams| former_team(teams, &key.external_id))
            .cloned();
        Candidate {
            person: person.clone(),
            wanted: Some(role),
            present: around.present.get(&place).copied(),
            is_kept_out: around.kept_out.contains(&place),
            moves_from,
            is_taken_along: false,
            manager_withheld: None,
        }
    }

    /// Whether the manager behind a key is no user, or will be none.
    fn is_gone(&self, key: &TeamKey) -> bool {
        self.source == TeamSource::Manager
            && !self
                .manager(key)
                .is_some_and(|manager| manager.person.is_active)
    }

    /// Someone who is in several groups of a team is decided about in the first of them alone.
    fn is_first(
        &self,
        key: &TeamKey,
        source: &ExternalId,
        person: &Person,
        around: &Around,
    ) -> bool {
        let Some(below) = self.below.get(&key.external_id) else {
            return true;
        };
        let mut groups = around.groups.get(&person.external_id).into_iter().flatten();
        let first = groups.find(|group| below.contains(*group));
        first.is_none_or(|first| first == source)
    }

    async fn around(&self, pairs: &[(ExternalId, ExternalId)]) -> Result<Around, Stop> {
        let (store, integration) = (&self.execution.worker.store, self.frozen.integration.id);
        let rules = &self.frozen.rules;
        let people: BTreeSet<ExternalId> = pairs.iter().map(|(_, person)| person.clone()).collect();
        let people: Vec<ExternalId> = people.into_iter().collect();
        let found = store.people(&self.execution.lease, &people).await?;
        let mut users: Vec<UserId> = found.values().map(|one| one.person.user_id).collect();
        users.extend(
            self.slots
                .keys()
                .filter_map(|key| Some(self.manager(key)?.person.user_id)),
        );
        let teams: Vec<TeamId> = self
            .slots
            .values()
            .filter_map(|slot| Some(slot.team.as_ref()?.id))
            .collect();
        let own: Vec<ExternalId> = self
            .slots
            .keys()
            .map(|key| key.external_id.clone())
            .collect();
        let is_nested = self.below.values().any(|below| below.len() > 1);
        let groups = if self.source == TeamSource::Group && is_nested {
            let within = self.below.values().flatten().cloned().collect();
            store
                .sources_of(integration, self.source, &within, &people)
                .await?
        } else {
            BTreeMap::new()
        };
        let leads = self.source == TeamSource::Group && rules.group_teams.owners_are_supervisors;
        let owners = if leads {
            store.owners_among(integration, &own, &people).await?
        } else {
            BTreeSet::new()
        };
        let moves = self.source == TeamSource::Manager
            && rules.manager_teams.depth == ManagerTeamDepth::DirectReports;
        let former = if moves {
            store.manager_teams_of(integration, &users).await?
        } else {
            BTreeMap::new()
        };
        Ok(Around {
            people: found,
            present: store.synced_among(&teams, self.origin(), &users).await?,
            kept_out: store
                .kept_out(self.frozen.integration.organization_id, &users)
                .await?,
            groups,
            owners,
            former,
        })
    }
}
