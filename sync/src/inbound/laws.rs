//! Laws of teams, over thousands of made-up organizations: what the planners and the fan-out together must never get
//! wrong. The world here is as plain as can be; everything that is decided is decided by the planners.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use lockstep_domain::{
    ChangeAction, DirectoryGroup, ExternalId, GroupMembership, InboundRules, IntegrationId,
    ManagerTeamDepth, MembersRead, MembershipOriginKind, OrganizationId, Presence, RecordOrigin,
    Team, TeamId, TeamKey, TeamRole, TeamSource, UserId, name_key,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::memberships::{Candidate, FormerTeam, Person, PlannedMembership, decide};
use super::reach::{Walk, reach};
use super::teams::{self, Members, PlannedTeam, TeamFacts};

const PEOPLE: u8 = 6;
const GROUPS: u8 = 4;

#[derive(Debug, Clone, Default)]
struct World {
    rules: InboundRules,
    active: BTreeSet<ExternalId>,
    managers: BTreeMap<ExternalId, ExternalId>,
    groups: BTreeMap<ExternalId, DirectoryGroup>,
    members: BTreeMap<ExternalId, BTreeSet<ExternalId>>,
    teams: BTreeMap<TeamKey, Team>,
    memberships: BTreeMap<(TeamId, UserId, MembershipOriginKind), TeamRole>,
    kept_out: BTreeSet<(TeamId, UserId)>,
}

/// One change of the directory.
#[derive(Debug, Clone)]
enum Edit {
    Toggle(u8),
    Report(u8, Option<u8>),
    Join(u8, u8, bool),
    Part(u8, u8, bool),
    Rename(u8, u8),
    DeleteOrRestore(u8),
    Unreadable(u8),
}

/// What is planned for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Planned {
    team: Option<PlannedTeam>,
    members: Vec<PlannedMembership>,
}

fn someone(n: u8) -> ExternalId {
    ExternalId(format!("p{}", n % PEOPLE))
}

fn some_group(n: u8) -> ExternalId {
    ExternalId(format!("g{}", n % GROUPS))
}

fn user_of(account: &ExternalId) -> UserId {
    UserId(Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        account.as_str().as_bytes(),
    ))
}

fn team_of(key: &TeamKey) -> TeamId {
    let name = format!("{}/{}", key.source, key.external_id);
    TeamId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
}

impl World {
    fn new(nested: bool, all_levels: bool) -> Self {
        let mut world = Self::default();
        world.rules.group_teams.enabled = true;
        world.rules.manager_teams.enabled = true;
        if !nested {
            world.rules.group_teams.membership = GroupMembership::Direct;
        }
        if all_levels {
            world.rules.manager_teams.depth = ManagerTeamDepth::AllLevels;
        }
        world.active = (0..PEOPLE).map(someone).collect();
        for id in (0..GROUPS).map(some_group) {
            let group = DirectoryGroup {
                display_name: Some(format!("Group {id}")),
                members: MembersRead::Known,
                ..DirectoryGroup::blank(id.clone())
            };
            world.groups.insert(id, group);
        }
        world
    }

    /// Makes a change and says which teams have to be looked at because of it.
    fn edit(&mut self, edit: &Edit) -> BTreeSet<TeamKey> {
        match edit {
            Edit::Toggle(n) => {
                let person = someone(*n);
                let action = if self.active.remove(&person) {
                    ChangeAction::Deactivate
                } else {
                    self.active.insert(person.clone());
                    ChangeAction::Reactivate
                };
                self.reached(&person, action)
            }
            Edit::Report(n, manager) => {
                let person = someone(*n);
                let before = match manager.map(someone) {
                    Some(manager) => self.managers.insert(person.clone(), manager),
                    None => self.managers.remove(&person),
                };
                let both = before
                    .into_iter()
                    .chain(self.managers.get(&person).cloned());
                both.map(TeamKey::of_manager).collect()
            }
            Edit::Join(g, n, is_group) | Edit::Part(g, n, is_group) => {
                let (group, member) = (some_group(*g), member(*n, *is_group));
                let members = self.members.entry(group.clone()).or_default();
                if matches!(edit, Edit::Join(..)) && member != group {
                    members.insert(member);
                } else {
                    members.remove(&member);
                }
                BTreeSet::from([of_group(group)])
            }
            Edit::Rename(g, name) => self.change(*g, |group| {
                group.display_name = Some(format!("Name {}", name % 3));
            }),
            Edit::DeleteOrRestore(g) => self.change(*g, |group| {
                group.presence = match group.presence {
                    Presence::Present => Presence::Removed,
                    Presence::Removed | Presence::Missing => Presence::Present,
                };
            }),
            Edit::Unreadable(g) => self.change(*g, |group| {
                group.members = match group.members {
                    MembersRead::Known => MembersRead::Unreadable,
                    _ => MembersRead::Known,
                };
            }),
        }
    }

    fn change(&mut self, group: u8, change: impl FnOnce(&mut DirectoryGroup)) -> BTreeSet<TeamKey> {
        let id = some_group(group);
        self.groups.entry(id.clone()).and_modify(change);
        BTreeSet::from([of_group(id)])
    }

    fn reached(&self, person: &ExternalId, action: ChangeAction) -> BTreeSet<TeamKey> {
        let far = reach(action, None, None);
        let mut keys = BTreeSet::new();
        if far.groups {
            keys.extend(self.containers(person).into_iter().map(of_group));
        }
        if far.own_team {
            keys.insert(TeamKey::of_manager(person.clone()));
        }
        if far.managers {
            keys.extend(self.managers.get(person).cloned().map(TeamKey::of_manager));
        }
        keys
    }

    fn containers(&self, member: &ExternalId) -> Vec<ExternalId> {
        let holds = self
            .members
            .iter()
            .filter(|(_, members)| members.contains(member));
        holds.map(|(group, _)| group.clone()).collect()
    }

    /// Everything above what is marked.
    fn spread(&self, marked: &BTreeSet<TeamKey>) -> BTreeSet<TeamKey> {
        let mut all = marked.clone();
        for source in [TeamSource::Group, TeamSource::Manager] {
            let start = marked.iter().filter(|key| key.source == source);
            let mut walk = Walk::from(start.map(|key| key.external_id.clone()));
            loop {
                let ids = walk.next(1);
                let Some(id) = ids.first() else { break };
                walk.found(match source {
                    TeamSource::Group => self.containers(id),
                    TeamSource::Manager => self.managers.get(id).cloned().into_iter().collect(),
                });
            }
            all.extend(walk.into_seen().into_iter().map(|external_id| TeamKey {
                source,
                external_id,
            }));
        }
        all
    }

    fn all_keys() -> BTreeSet<TeamKey> {
        let groups = (0..GROUPS).map(some_group).map(of_group);
        groups
            .chain((0..PEOPLE).map(someone).map(TeamKey::of_manager))
            .collect()
    }

    /// Who is directly or indirectly below a group or manager, and may be there.
    fn wanted(&self, key: &TeamKey) -> BTreeMap<ExternalId, TeamRole> {
        let deep = match key.source {
            TeamSource::Group => self.rules.group_teams.membership == GroupMembership::Transitive,
            TeamSource::Manager => self.rules.manager_teams.depth == ManagerTeamDepth::AllLevels,
        };
        let below = |id: &ExternalId| -> Vec<ExternalId> {
            match key.source {
                TeamSource::Group => self
                    .members
                    .get(id)
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect(),
                TeamSource::Manager => {
                    let reports = self.managers.iter().filter(|(_, manager)| *manager == id);
                    reports.map(|(person, _)| person.clone()).collect()
                }
            }
        };
        let is_there = |id: &ExternalId| {
            self.groups
                .get(id)
                .is_none_or(|group| group.presence != Presence::Removed)
        };
        let mut walk = Walk::default();
        walk.found(below(&key.external_id));
        loop {
            let ids = walk.next(1);
            let Some(id) = ids.first().filter(|_| deep) else {
                break;
            };
            walk.found(below(id).into_iter().filter(|_| is_there(id)));
        }
        let mut wanted: BTreeMap<ExternalId, TeamRole> = walk
            .into_seen()
            .into_iter()
            .filter(|id| !self.groups.contains_key(id))
            .map(|id| (id, TeamRole::Member))
            .collect();
        if key.source == TeamSource::Manager {
            wanted.insert(key.external_id.clone(), TeamRole::Supervisor);
        }
        wanted
    }

    fn person(&self, account: &ExternalId) -> Person {
        Person {
            user_id: user_of(account),
            external_id: account.clone(),
            name: account.0.clone(),
            is_active: self.active.contains(account),
            cause: None,
            withheld: None,
        }
    }

    fn plan(&self, keys: &BTreeSet<TeamKey>) -> BTreeMap<TeamKey, Planned> {
        let mut claimed = BTreeSet::new();
        let planned = keys.iter().map(|key| {
            let planned = self.plan_one(key, &claimed);
            claimed.extend(planned.team.iter().map(|team| name_key(&team.after.name)));
            (key.clone(), planned)
        });
        planned
            .filter(|(_, planned)| planned.team.is_some() || !planned.members.is_empty())
            .collect()
    }

    fn plan_one(&self, key: &TeamKey, claimed: &BTreeSet<String>) -> Planned {
        let wanted = self.wanted(key);
        let is_joining = |id: &ExternalId| self.active.contains(id) && *id != key.external_id;
        let has_members = wanted.keys().any(is_joining);
        let wish = match key.source {
            TeamSource::Group => {
                teams::wish_of_group(self.groups.get(&key.external_id), &self.rules)
            }
            TeamSource::Manager => {
                let leads = self.active.contains(&key.external_id);
                let name = leads.then_some(key.external_id.as_str());
                teams::wish_of_manager(name, has_members, &self.rules, "en")
            }
        };
        let facts = TeamFacts {
            key,
            team: self.teams.get(key),
            wish,
            has_members,
            job_title: None,
            cause: None,
            withheld: None,
        };
        let decision = teams::plan(&facts, |name| {
            let others = self.teams.iter().filter(|(other, _)| *other != key);
            let others = others.filter(|(_, team)| team.archival_reason.is_none());
            let mut names = others.map(|(_, team)| name_key(&team.name));
            names.any(|taken| taken == name_key(name)) || claimed.contains(&name_key(name))
        });
        let members = match decision.members {
            Members::Stay => Vec::new(),
            Members::Leave => self.plan_members(key, &BTreeMap::new()),
            Members::Follow => self.plan_members(key, &wanted),
        };
        Planned {
            team: decision.change,
            members,
        }
    }

    fn plan_members(
        &self,
        key: &TeamKey,
        wanted: &BTreeMap<ExternalId, TeamRole>,
    ) -> Vec<PlannedMembership> {
        let team = team_of(key);
        let everyone = (0..PEOPLE).map(someone);
        let candidates = everyone.map(|account| {
            let place = (team, user_of(&account), key.source.origin());
            Candidate {
                person: self.person(&account),
                wanted: wanted.get(&account).copied(),
                present: self.memberships.get(&place).copied(),
                is_kept_out: self.kept_out.contains(&(team, place.1)),
                moves_from: None::<FormerTeam>,
                is_taken_along: false,
                manager_withheld: None,
            }
        });
        candidates.filter_map(decide).collect()
    }

    fn apply(&mut self, plan: BTreeMap<TeamKey, Planned>) {
        for (key, planned) in plan {
            let id = team_of(&key);
            if let Some(change) = planned.team {
                let team = Team {
                    id,
                    organization_id: OrganizationId(Uuid::nil()),
                    integration_id: Some(IntegrationId(Uuid::nil())),
                    key: Some(key.clone()),
                    name: change.after.name,
                    source_name: change.after.source_name,
                    name_is_local: self.teams.get(&key).is_some_and(|team| team.name_is_local),
                    status: change.after.status,
                    archival_reason: change.after.archival_reason,
                    archived_at: None,
                    origin: RecordOrigin::EntraId,
                    yearly_budget: None,
                    created_at: DateTime::UNIX_EPOCH,
                    updated_at: DateTime::UNIX_EPOCH,
                };
                self.teams.insert(key.clone(), team);
            }
            for change in planned.members {
                let place = (id, change.person.user_id, key.source.origin());
                match change.after {
                    Some(after) => self.memberships.insert(place, after.role),
                    None => self.memberships.remove(&place),
                };
            }
        }
    }

    fn sync(&mut self) {
        self.apply(self.plan(&Self::all_keys()));
    }
}

fn of_group(external_id: ExternalId) -> TeamKey {
    TeamKey {
        source: TeamSource::Group,
        external_id,
    }
}

fn member(n: u8, is_group: bool) -> ExternalId {
    if is_group { some_group(n) } else { someone(n) }
}

fn arbitrary_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        1 => any::<u8>().prop_map(Edit::Toggle),
        3 => (any::<u8>(), any::<Option<u8>>()).prop_map(|(n, m)| Edit::Report(n, m)),
        5 => (any::<u8>(), any::<u8>(), prop::bool::weighted(0.3)).prop_map(|(g, n, x)| Edit::Join(g, n, x)),
        2 => (any::<u8>(), any::<u8>(), prop::bool::weighted(0.3)).prop_map(|(g, n, x)| Edit::Part(g, n, x)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(g, n)| Edit::Rename(g, n)),
        1 => any::<u8>().prop_map(Edit::DeleteOrRestore),
        1 => any::<u8>().prop_map(Edit::Unreadable),
    ]
}

fn edits(count: usize) -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(arbitrary_edit(), count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// The second run plans nothing.
    #[test]
    fn e071_the_second_run_plans_nothing(first in edits(20), second in edits(8), nested: bool, all_levels: bool) {
        let mut world = World::new(nested, all_levels);
        for edits in [first, second] {
            for edit in &edits {
                world.edit(edit);
            }
            world.sync();
            prop_assert_eq!(world.plan(&World::all_keys()), BTreeMap::new());
        }
    }

    /// Looking at what a change reaches finds everything that looking at everything finds, and in the same words.
    #[test]
    fn d52_delta_and_full_agree(first in edits(20), second in edits(8), nested: bool, all_levels: bool) {
        let mut world = World::new(nested, all_levels);
        for edit in &first {
            world.edit(edit);
        }
        world.sync();
        let mut marked = BTreeSet::new();
        for edit in &second {
            marked.extend(world.edit(edit));
        }
        let marked = world.spread(&marked);
        prop_assert_eq!(world.plan(&marked), world.plan(&World::all_keys()));
    }

    /// In whatever order the directory tells its changes, the plan is the same.
    #[test]
    fn the_order_of_items_does_not_matter(edits in edits(12).prop_shuffle(), nested: bool, all_levels: bool) {
        // Only changes that do not undo each other say the same in any order.
        let joins: Vec<&Edit> = edits.iter().filter(|edit| matches!(edit, Edit::Join(..))).collect();
        let (mut one, mut other) = (World::new(nested, all_levels), World::new(nested, all_levels));
        for edit in &joins {
            one.edit(edit);
        }
        for edit in joins.iter().rev() {
            other.edit(edit);
        }
        prop_assert_eq!(one.plan(&World::all_keys()), other.plan(&World::all_keys()));
    }

    /// A membership made by hand is never touched, and whom an owner removed never comes back.
    #[test]
    fn d35_what_was_done_by_hand_stays(first in edits(20), second in edits(8), added in any::<[u8; 3]>(), removed in any::<[u8; 3]>(), nested: bool) {
        let mut world = World::new(nested, false);
        for edit in &first {
            world.edit(edit);
        }
        world.sync();
        let teams: Vec<TeamId> = world.teams.values().map(|team| team.id).collect();
        let place = |n: u8| teams.get(usize::from(n) % teams.len().max(1)).map(|team| (*team, user_of(&someone(n))));
        for (team, user) in added.iter().filter_map(|n| place(*n)) {
            world.memberships.insert((team, user, MembershipOriginKind::Manual), TeamRole::Member);
        }
        for (team, user) in removed.iter().filter_map(|n| place(*n)) {
            world.memberships.retain(|(t, u, _), _| (*t, *u) != (team, user));
            world.kept_out.insert((team, user));
        }
        let by_hand = |world: &World| -> BTreeSet<_> {
            let manual = world.memberships.keys().filter(|place| place.2 == MembershipOriginKind::Manual);
            manual.copied().collect()
        };
        let before = by_hand(&world);
        for edit in &second {
            world.edit(edit);
        }
        world.sync();
        prop_assert_eq!(by_hand(&world), before);
        for (team, user, _) in world.memberships.keys().filter(|place| place.2 != MembershipOriginKind::Manual) {
            prop_assert!(!world.kept_out.contains(&(*team, *user)));
        }
    }
}
