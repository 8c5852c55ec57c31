//! A chunk of teams of one source: loaded together, decided one by one.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeAction, ChangeId, DirectoryGroup, ExternalId, GroupMembership, InboundRules,
    ManagerTeamDepth, MembershipOriginKind, Team, TeamArchivalReason, TeamId, TeamKey, TeamRole,
    TeamSource, TeamStatus, UserId, name_key,
};
use lockstep_store::lease::Step;
use lockstep_store::person::Someone;
use lockstep_store::plan::{PlannedTeams, TeamChange, TeamRow};
use lockstep_store::team_key::DirtyTeam;
use lockstep_sync::inbound::memberships::{Candidate, decide};
use lockstep_sync::inbound::names::choices;
use lockstep_sync::inbound::reach::reports_to_itself;
use lockstep_sync::inbound::teams::{self, Members, PlannedTeam, TeamFacts, Wish};

use super::{Ledger, PAGE};
use crate::failure::Stop;
use crate::inbound::{Execution, Frozen};

/// A team as far as it was planned.
pub(super) struct Slot {
    /// The team as it is, none while there is none.
    pub(super) team: Option<Team>,
    /// What is wanted, as long as it does not depend on whether anyone would be a member.
    wish: Wish,
    /// What was decided, none while that depends on whether anyone would be a member.
    pub(super) decided: Option<Decided>,
}

/// A team as it will be.
#[derive(Clone)]
pub(super) struct Decided {
    pub(super) team: TeamId,
    name: String,
    /// What becomes of the members.
    pub(super) members: Members,
    /// The planned change that archives the team.
    archival: Option<Archival>,
}

/// A planned archival of a team.
#[derive(Clone, Copy)]
struct Archival {
    change: ChangeId,
    /// Whether it follows from people leaving; else they leave because of it.
    is_for_want_of_reports: bool,
}

impl Archival {
    fn of(change: ChangeId, planned: &PlannedTeam) -> Option<Self> {
        (planned.action == ChangeAction::Archive).then(|| Self {
            change,
            is_for_want_of_reports: planned.after.archival_reason
                == Some(TeamArchivalReason::NoReports),
        })
    }
}

/// Teams of one source that are planned together.
pub(super) struct Chunk<'r, 'w> {
    pub(super) execution: &'r mut Execution<'w>,
    pub(super) frozen: &'r Frozen,
    pub(super) ledger: &'r mut Ledger,
    pub(super) source: TeamSource,
    pub(super) slots: BTreeMap<TeamKey, Slot>,
    /// Groups or managers whose people belong to each team.
    pub(super) below: BTreeMap<ExternalId, BTreeSet<ExternalId>>,
    /// Groups of which it cannot be told who left, as one that is nested in them cannot be read (D-51).
    pub(super) incomplete: BTreeSet<ExternalId>,
    managers: BTreeMap<ExternalId, Someone>,
    /// Language in which managers' teams are named.
    language: String,
    in_use: BTreeMap<String, BTreeSet<TeamId>>,
    /// What was decided and not stored yet.
    planned: PlannedTeams,
    /// Keys of which a warning is told. They are looked at in every run, so that it is told for as long as it holds (D-42).
    pub(super) complained: BTreeSet<TeamKey>,
    step: Step,
}

impl<'r, 'w> Chunk<'r, 'w> {
    /// Plans teams of one source.
    pub(super) async fn plan(
        execution: &'r mut Execution<'w>,
        frozen: &'r Frozen,
        ledger: &'r mut Ledger,
        dirty: Vec<DirtyTeam>,
        step: Step,
    ) -> Result<(), Stop> {
        let keys: Vec<TeamKey> = dirty.iter().map(|team| team.key.clone()).collect();
        let mut chunk = Self::load(execution, frozen, ledger, &keys, step).await?;
        if chunk.is_idle() {
            return chunk.save(&dirty).await;
        }
        chunk.load_below().await?;
        chunk.load_names().await?;
        chunk.decide_what_is_clear();
        chunk.join().await?;
        chunk.decide_the_rest();
        chunk.leave().await?;
        chunk.save(&dirty).await
    }

    /// Whether there are no teams and, as the rule is off, are to be none.
    fn is_idle(&self) -> bool {
        !self.is_on() && self.slots.values().all(|slot| slot.team.is_none())
    }

    fn is_on(&self) -> bool {
        match self.source {
            TeamSource::Group => self.frozen.rules.group_teams.enabled,
            TeamSource::Manager => self.frozen.rules.manager_teams.enabled,
        }
    }

    async fn load(
        execution: &'r mut Execution<'w>,
        frozen: &'r Frozen,
        ledger: &'r mut Ledger,
        keys: &[TeamKey],
        step: Step,
    ) -> Result<Self, Stop> {
        let source = keys.first().map_or(TeamSource::Group, |key| key.source);
        let ids: Vec<ExternalId> = keys.iter().map(|key| key.external_id.clone()).collect();
        let (store, integration) = (&execution.worker.store, frozen.integration.id);
        let mut teams = store.teams_by_key(integration, keys).await?;
        let (groups, managers) = match source {
            TeamSource::Group => (store.groups(integration, &ids).await?, BTreeMap::new()),
            TeamSource::Manager => {
                let people = store.people(&execution.lease, &ids).await?;
                (BTreeMap::new(), people)
            }
        };
        // Read after the keys: whoever changes it marks them again.
        let organization = frozen.integration.organization_id;
        let integration = store.integration(organization, integration).await?;
        let language = integration
            .and_then(|integration| integration.default_language)
            .unwrap_or_else(|| "en".to_owned());
        let slot = |key: &TeamKey| Slot {
            team: teams.remove(key),
            wish: wish(&frozen.rules, &language, key, &groups, &managers),
            decided: None,
        };
        let slots: Vec<Slot> = keys.iter().map(slot).collect();
        Ok(Self {
            execution,
            frozen,
            ledger,
            source,
            slots: keys.iter().cloned().zip(slots).collect(),
            below: BTreeMap::new(),
            incomplete: BTreeSet::new(),
            managers,
            language,
            in_use: BTreeMap::new(),
            planned: PlannedTeams::default(),
            complained: BTreeSet::new(),
            step,
        })
    }

    /// Looks up whose people belong to the teams that are to be.
    async fn load_below(&mut self) -> Result<(), Stop> {
        let rules = &self.frozen.rules;
        let (store, integration) = (&self.execution.worker.store, self.frozen.integration.id);
        let is_on = self.is_on();
        let is_counted = |slot: &Slot| {
            // The people of a manager who is not synchronized are counted, as they are in no team.
            matches!(slot.wish, Wish::Wanted { .. }) || self.source == TeamSource::Manager
        };
        let ids: Vec<ExternalId> = self
            .slots
            .iter()
            .filter(|(_, slot)| is_on && is_counted(slot))
            .map(|(key, _)| key.external_id.clone())
            .collect();
        self.below = match self.source {
            TeamSource::Group => {
                let nested = rules.group_teams.membership == GroupMembership::Transitive;
                // Of each group once: those that are nested are looked at by themselves.
                let unsupported = store.count_unsupported_members(integration, &ids).await?;
                self.ledger.unsupported += unsupported.values().sum::<u64>();
                let keys = unsupported.into_keys().map(TeamKey::of_group);
                self.complained.extend(keys);
                let found = store.groups_below(integration, &ids, nested).await?;
                self.incomplete = found.incomplete;
                found.below
            }
            TeamSource::Manager => {
                let in_circles = self.those_in_circles(&ids).await?;
                self.ledger.in_circles += in_circles.len() as u64;
                let keys = in_circles.into_iter().map(TeamKey::of_manager);
                self.complained.extend(keys);
                let all_levels = rules.manager_teams.depth == ManagerTeamDepth::AllLevels;
                // Of those who are no users, only the people who report directly are counted.
                let (there, gone): (Vec<ExternalId>, Vec<ExternalId>) =
                    ids.into_iter().partition(|id| self.is_active(id));
                let mut below = store
                    .managers_below(integration, &there, all_levels)
                    .await?;
                below.extend(store.managers_below(integration, &gone, false).await?);
                below
            }
        };
        Ok(())
    }

    fn is_active(&self, manager: &ExternalId) -> bool {
        self.managers
            .get(manager)
            .is_some_and(|manager| manager.person.is_active)
    }

    async fn those_in_circles(&self, managers: &[ExternalId]) -> Result<Vec<ExternalId>, Stop> {
        let store = &self.execution.worker.store;
        let mut above = store
            .managers_above(self.frozen.integration.id, managers)
            .await?;
        // People who are their own manager are counted as such.
        above.retain(|person, manager| person != manager);
        let in_circle = managers.iter().filter(|id| reports_to_itself(id, &above));
        Ok(in_circle.cloned().collect())
    }

    /// Looks up who has the names that the teams could get.
    async fn load_names(&mut self) -> Result<(), Stop> {
        let wanted = self
            .slots
            .iter()
            .filter_map(|(key, slot)| match &slot.wish {
                Wish::Wanted { name } => Some((key, name.clone())),
                _ => None,
            });
        let mut names: BTreeSet<String> = wanted
            .flat_map(|(key, name)| choices(&name, self.job_title(key)).collect::<Vec<_>>())
            .map(|name| name_key(&name))
            .collect();
        let own = self.slots.values().filter_map(|slot| slot.team.as_ref());
        names.extend(own.map(|team| name_key(&team.name)));
        let names: Vec<String> = names.into_iter().collect();
        let organization = self.frozen.integration.organization_id;
        let store = &self.execution.worker.store;
        self.in_use = store.names_in_use(organization, &names).await?;
        let vacated = self.vacated().await?;
        for teams in self.in_use.values_mut() {
            teams.retain(|team| !vacated.contains(team));
        }
        Ok(())
    }

    /// Teams that have one of the names and will give it up in this run, so that names can move on from team to team.
    async fn vacated(&self) -> Result<BTreeSet<TeamId>, Stop> {
        let holders: BTreeSet<TeamId> = self.in_use.values().flatten().copied().collect();
        let holders: Vec<TeamId> = holders.into_iter().collect();
        let (store, integration) = (&self.execution.worker.store, &self.frozen.integration);
        let teams = store
            .teams_by_id(integration.organization_id, &holders)
            .await?;
        let of = |source| {
            let keys = teams.iter().filter_map(|team| team.key.as_ref());
            let keys = keys.filter(move |key| key.source == source);
            keys.map(|key| key.external_id.clone()).collect::<Vec<_>>()
        };
        let groups = store.groups(integration.id, &of(TeamSource::Group)).await?;
        let managers = store
            .people(&self.execution.lease, &of(TeamSource::Manager))
            .await?;
        let ours = teams
            .iter()
            .filter(|team| team.integration_id == Some(integration.id));
        let leaves = |team: &&Team| {
            let key = team.key.as_ref();
            key.is_some_and(|key| {
                let rules = &self.frozen.rules;
                teams::gives_up_name(team, &wish(rules, &self.language, key, &groups, &managers))
            })
        };
        Ok(ours.filter(leaves).map(|team| team.id).collect())
    }

    fn job_title(&self, key: &TeamKey) -> Option<&str> {
        self.managers.get(&key.external_id)?.job_title.as_deref()
    }

    /// The manager behind a key, as a member of the own team.
    pub(super) fn manager(&self, key: &TeamKey) -> Option<&Someone> {
        self.managers.get(&key.external_id)
    }

    /// Origin of the memberships that these teams get from the directory.
    pub(super) const fn origin(&self) -> MembershipOriginKind {
        self.source.origin()
    }

    /// Decides about the teams for which it does not matter whether anyone would be a member.
    fn decide_what_is_clear(&mut self) {
        let depends = |slot: &Slot| {
            let is_wanted = matches!(slot.wish, Wish::Wanted { .. });
            is_wanted && (slot.team.is_none() || self.source == TeamSource::Manager)
        };
        let clear: Vec<TeamKey> = self
            .slots
            .iter()
            .filter(|(_, slot)| !depends(slot))
            .map(|(key, _)| key.clone())
            .collect();
        for key in clear {
            self.decide(&key, false);
        }
    }

    /// Decides about the teams for which nobody was found.
    fn decide_the_rest(&mut self) {
        let open: Vec<TeamKey> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.decided.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        for key in open {
            self.decide(&key, false);
        }
    }

    /// Decides about a team, if that was not done before, and returns what was decided.
    pub(super) fn decide(&mut self, key: &TeamKey, has_members: bool) -> Option<Decided> {
        let slot = self.slots.get(key)?;
        if slot.decided.is_some() {
            return slot.decided.clone();
        }
        let wish = match &slot.wish {
            Wish::Wanted { .. } if self.source == TeamSource::Manager => teams::wish_of_manager(
                self.manager(key)
                    .map(|manager| manager.person.name.as_str()),
                has_members,
                &self.frozen.rules,
                &self.language,
            ),
            wish => wish.clone(),
        };
        let facts = TeamFacts {
            key,
            team: slot.team.as_ref(),
            wish,
            has_members,
            job_title: self.job_title(key),
            cause: self.manager(key).and_then(|manager| manager.person.cause),
            withheld: self
                .manager(key)
                .and_then(|manager| manager.person.withheld),
        };
        let own = slot.team.as_ref().map(|team| team.id);
        let is_wanted = matches!(facts.wish, Wish::Wanted { .. });
        let decision = teams::plan(&facts, |name| self.is_taken(name, own));
        let change_id = ChangeId(self.execution.worker.store.fresh_id());
        let team = own.unwrap_or_else(|| TeamId(self.execution.worker.store.fresh_id()));
        let name = decision
            .change
            .as_ref()
            .map(|change| change.after.name.clone())
            .or_else(|| slot.team.as_ref().map(|team| team.name.clone()))
            .unwrap_or_default();
        let decided = Decided {
            team,
            name: name.clone(),
            members: decision.members,
            archival: decision
                .change
                .as_ref()
                .and_then(|change| Archival::of(change_id, change)),
        };
        if let Some(change) = decision.change {
            if change.after.status == TeamStatus::Active {
                self.ledger.claim(&name);
            }
            self.planned.changes.push(TeamRow {
                id: change_id,
                key: key.clone(),
                team_id: team,
                name,
                depends_on: change.depends_on,
                change: TeamChange::Team(change),
            });
        }
        self.planned.wanted.extend(own.filter(|_| is_wanted));
        let slot = self.slots.get_mut(key)?;
        slot.decided = Some(decided.clone());
        Some(decided)
    }

    fn is_taken(&self, name: &str, own: Option<TeamId>) -> bool {
        let others = self
            .in_use
            .get(&name_key(name))
            .is_some_and(|teams| teams.iter().any(|team| Some(*team) != own));
        others || self.ledger.is_claimed(name)
    }

    /// Decides about one membership and keeps the change, if there is one.
    pub(super) fn decide_member(&mut self, key: &TeamKey, decided: &Decided, candidate: Candidate) {
        let Some(change) = decide(candidate) else {
            return;
        };
        let depends_on = match decided.archival {
            Some(archival) if archival.is_for_want_of_reports => {
                change.depends_on.or(Some(archival.change))
            }
            Some(archival) => Some(archival.change),
            None => change.depends_on,
        };
        self.planned.changes.push(TeamRow {
            id: ChangeId(self.execution.worker.store.fresh_id()),
            key: key.clone(),
            team_id: decided.team,
            name: decided.name.clone(),
            depends_on,
            change: TeamChange::Membership(change),
        });
    }

    /// Notes members whom the directory lists, though their removal was held.
    pub(super) fn listed_again(&mut self, team: TeamId, user: UserId) {
        self.planned.listed.push((team, user));
    }

    /// Whether so much was decided that it should be stored before going on.
    pub(super) fn is_full(&self) -> bool {
        self.planned.changes.len() as u64 >= PAGE
    }

    /// Stores what was decided so far.
    pub(super) async fn flush(&mut self) -> Result<(), Stop> {
        if self.planned.changes.is_empty() && self.planned.listed.is_empty() {
            return Ok(());
        }
        self.save(&[]).await
    }

    async fn save(&mut self, decided: &[DirtyTeam]) -> Result<(), Stop> {
        let planned = std::mem::take(&mut self.planned);
        let store = &self.execution.worker.store;
        // A preview decides on nothing: the next run has to look at everything again.
        let is_preview = crate::run::is_preview(&self.execution.run);
        let decided: Vec<DirtyTeam> = decided
            .iter()
            .filter(|team| !is_preview && !self.complained.contains(&team.key))
            .cloned()
            .collect();
        let planned = PlannedTeams { decided, ..planned };
        let run = store
            .save_team_plan(&self.execution.lease, self.step, planned)
            .await?;
        self.execution.reached(run).await
    }
}

/// What is wanted of a team, as far as that can be said without its members.
fn wish(
    rules: &InboundRules,
    language: &str,
    key: &TeamKey,
    groups: &BTreeMap<ExternalId, DirectoryGroup>,
    managers: &BTreeMap<ExternalId, Someone>,
) -> Wish {
    match key.source {
        TeamSource::Group => teams::wish_of_group(groups.get(&key.external_id), rules),
        TeamSource::Manager => {
            let manager = managers
                .get(&key.external_id)
                .map(|manager| &manager.person);
            let name = manager
                .filter(|manager| manager.is_active)
                .map(|manager| manager.name.as_str());
            teams::wish_of_manager(name, true, rules, language)
        }
    }
}

/// Role of a person who is not the manager.
pub(super) const MEMBER: TeamRole = TeamRole::Member;
