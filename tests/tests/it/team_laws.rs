//! Laws of teams, over made-up organizations and the whole engine: what must be so is worked out here by itself, from the
//! directory alone, in the plainest way.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeLimit, GroupMembership, InboundLimits, InboundRules, ManagerTeamDepth, TeamRole,
    TeamStatus,
};
use lockstep_sandbox::{Control, Fault, FaultKind, OptionsPatch, Tenant};
use lockstep_store::run::Run;
use serde_json::{Value, json};

use crate::team_world::{roster, rules, team, teams};
use crate::world::{Backend, World, actor, id_of, person};

/// Organizations made up for each law that the whole engine is put through. The planners alone are put through
/// thousands, see `sync/src/inbound/laws.rs`.
const ORGANIZATIONS: u64 = 40;

/// The same seed gives the same numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.roll(last + 1));
        }
    }
}

/// An organization: what the directory says, and which rules hold.
#[derive(Debug, Clone)]
struct Organization {
    active: BTreeMap<String, bool>,
    managers: BTreeMap<String, String>,
    /// Members by group; none while the group is deleted.
    groups: BTreeMap<String, BTreeSet<String>>,
    deleted: BTreeSet<String>,
    /// People whose accounts are deleted.
    gone: BTreeSet<String>,
    rules: InboundRules,
}

impl Organization {
    fn made_up(dice: &mut Dice) -> Self {
        let mut rules = rules();
        let generous = ChangeLimit {
            allowance: 1_000,
            percent: None,
            maximum: None,
        };
        rules.limits = InboundLimits {
            user_deactivations: generous,
            team_archivals: generous,
            member_removals_per_team: generous,
            email_changes: generous,
        };
        if dice.roll(2) == 0 {
            rules.group_teams.membership = GroupMembership::Direct;
        }
        if dice.roll(2) == 0 {
            rules.manager_teams.depth = ManagerTeamDepth::AllLevels;
        }
        let mut organization = Self {
            active: (0..8)
                .map(|n| (format!("p{n}"), dice.roll(6) > 0))
                .collect(),
            managers: BTreeMap::new(),
            groups: (0..4).map(|n| (format!("G{n}"), BTreeSet::new())).collect(),
            deleted: BTreeSet::new(),
            gone: BTreeSet::new(),
            rules,
        };
        // One who always stays, so that it never looks as if everyone had gone.
        organization.active.insert("p0".into(), true);
        for _ in 0..20 {
            organization.edit(dice, None);
        }
        organization
    }

    /// One random change, here and, when it is running, in the sandbox.
    fn edit(&mut self, dice: &mut Dice, control: Option<&Control>) {
        let someone = format!("p{}", dice.roll(8));
        let other = format!("p{}", dice.roll(8));
        let group = format!("G{}", dice.roll(4));
        let inner = format!("G{}", dice.roll(4));
        if [&someone, &other]
            .iter()
            .any(|name| self.gone.contains(*name))
        {
            return;
        }
        match dice.roll(10) {
            0 if someone != "p0" && control.is_some() => self.toggle(&someone, control),
            0..3 => self.report(&someone, Some(&other), control),
            3 => self.report(&someone, None, control),
            4..7 => self.join(&group, &someone, control),
            7 => self.join(&group, &inner, control),
            8 => self.part(&group, &someone, control),
            _ if control.is_some() => self.delete_or_restore(&group, control),
            _ => {}
        }
    }

    fn toggle(&mut self, someone: &str, control: Option<&Control>) {
        let active = self.active.get_mut(someone).unwrap();
        *active = !*active;
        let (id, enabled) = (id_of(someone), json!({ "accountEnabled": *active }));
        if let Some(control) = control {
            control.patch_user(&id, enabled).unwrap();
        }
    }

    fn report(&mut self, someone: &str, manager: Option<&str>, control: Option<&Control>) {
        match manager {
            Some(manager) => self.managers.insert(someone.into(), manager.into()),
            None => self.managers.remove(someone),
        };
        let manager = manager.map(id_of);
        if let Some(control) = control {
            control
                .set_manager(&id_of(someone), manager.as_deref())
                .unwrap();
        }
    }

    fn join(&mut self, group: &str, member: &str, control: Option<&Control>) {
        if self.deleted.contains(group) || self.deleted.contains(member) || group == member {
            return;
        }
        self.groups.get_mut(group).unwrap().insert(member.into());
        if let Some(control) = control {
            control.add_member(&id_of(group), &id_of(member)).unwrap();
        }
    }

    fn part(&mut self, group: &str, member: &str, control: Option<&Control>) {
        if self.deleted.contains(group) {
            return;
        }
        self.groups.get_mut(group).unwrap().remove(member);
        if let Some(control) = control {
            control
                .remove_member(&id_of(group), &id_of(member))
                .unwrap();
        }
    }

    fn delete_or_restore(&mut self, group: &str, control: Option<&Control>) {
        let id = id_of(group);
        if self.deleted.remove(group) {
            if let Some(control) = control {
                control.restore_group(&id).unwrap();
            }
        } else {
            self.deleted.insert(group.into());
            if let Some(control) = control {
                control.delete_group(&id).unwrap();
            }
        }
    }

    /// Deletes someone's account, or restores it.
    fn go_or_return(&mut self, dice: &mut Dice, control: &Control) {
        let someone = format!("p{}", 1 + dice.roll(7));
        let id = id_of(&someone);
        if self.gone.remove(&someone) {
            control.restore_user(&id).unwrap();
        } else {
            control.delete_user(&id).unwrap();
            self.gone.insert(someone);
        }
    }

    fn is_active(&self, person: &str) -> bool {
        self.active[person] && !self.gone.contains(person)
    }

    fn tenant(&self, dice: &mut Dice) -> Tenant {
        let mut users: Vec<Value> = self
            .active
            .iter()
            .map(|(name, active)| {
                let mut user = person(name);
                user["accountEnabled"] = json!(active);
                user
            })
            .collect();
        dice.shuffle(&mut users);
        let mut groups: Vec<Value> = self
            .groups
            .keys()
            .map(|name| {
                json!({ "id": id_of(name), "displayName": name, "groupTypes": [],
                        "mailEnabled": false, "securityEnabled": true, "mailNickname": name })
            })
            .collect();
        dice.shuffle(&mut groups);
        let mut member_lists = BTreeMap::new();
        for (name, members) in &self.groups {
            let mut ids: Vec<String> = members.iter().map(|member| id_of(member)).collect();
            dice.shuffle(&mut ids);
            member_lists.insert(id_of(name), ids);
        }
        let managers: BTreeMap<String, String> = self
            .managers
            .iter()
            .map(|(person, manager)| (id_of(person), id_of(manager)))
            .collect();
        let data = json!({ "users": users, "groups": groups, "managers": managers, "members": member_lists });
        Tenant::from_json(data.to_string().as_bytes()).unwrap()
    }

    /// Who must be in the team of a group.
    fn in_group(&self, group: &str) -> BTreeSet<String> {
        let nested = self.rules.group_teams.membership == GroupMembership::Transitive;
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut open = vec![group.to_owned()];
        while let Some(group) = open.pop() {
            if self.deleted.contains(&group) || !seen.insert(group.clone()) {
                continue;
            }
            for member in &self.groups[&group] {
                if self.groups.contains_key(member) {
                    open.extend(nested.then(|| member.clone()));
                } else if self.is_active(member) {
                    found.insert(member.clone());
                }
            }
        }
        found
    }

    /// Who must be in the team of a manager, without the manager.
    fn under(&self, manager: &str) -> BTreeSet<String> {
        let all = self.rules.manager_teams.depth == ManagerTeamDepth::AllLevels;
        let reports = |manager: &str| -> Vec<String> {
            let reports = self.managers.iter().filter(|(_, boss)| *boss == manager);
            let reports = reports.filter(|_| !self.gone.contains(manager));
            reports.map(|(person, _)| person.clone()).collect()
        };
        let (mut found, mut open) = (BTreeSet::new(), reports(manager));
        while let Some(person) = open.pop() {
            if found.insert(person.clone()) && all {
                open.extend(reports(&person));
            }
        }
        found.remove(manager);
        found.retain(|person| self.is_active(person));
        found
    }

    /// Every team in use that has synchronized members, as [`roster`] shows it.
    fn expected(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for group in self
            .groups
            .keys()
            .filter(|group| !self.deleted.contains(*group))
        {
            let members: Vec<String> = self.in_group(group).into_iter().collect();
            if !members.is_empty() {
                lines.insert(format!("{group}: {}", members.join(", ")));
            }
        }
        for manager in self.active.keys().filter(|name| self.is_active(name)) {
            let under = self.under(manager);
            if !under.is_empty() {
                let mut members: Vec<String> = under.into_iter().collect();
                members.push(format!("{manager}*"));
                members.sort();
                lines.insert(format!("{manager} Example's team: {}", members.join(", ")));
            }
        }
        lines
    }
}

/// Teams that have anybody; an empty one stays or is archived, depending on what it was made from.
async fn shown(world: &World) -> BTreeSet<String> {
    let lines = roster(world).await.into_iter();
    lines.filter(|line| !line.ends_with(": ")).collect()
}

async fn sorted_log(world: &World, run: &Run) -> Vec<String> {
    let mut lines = world.lines(run).await;
    lines.sort();
    lines
}

/// Small pages, so that groups come in slices and rounds have several pages.
async fn world_of(organization: &Organization, dice: &mut Dice) -> World {
    let tenant = organization.tenant(dice);
    let world = World::with_rules(Backend::Sqlite, tenant, organization.rules.clone()).await;
    world.control().set_options(OptionsPatch {
        delta_page_size: Some(2),
        delta_member_page: Some(2),
        list_page_cap: Some(3),
        ..OptionsPatch::default()
    });
    world
}

/// Puts a law to several organizations at once.
async fn for_all<F: Future<Output = ()> + Send + 'static>(law: impl Fn(u64, Dice) -> F) {
    for chunk in (0..ORGANIZATIONS).collect::<Vec<_>>().chunks(4) {
        let laws = chunk
            .iter()
            .map(|seed| tokio::spawn(law(*seed, Dice(*seed))));
        for outcome in futures::future::join_all(laws).await {
            outcome.expect("the law holds");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teams_are_what_the_directory_says_and_the_second_run_plans_nothing() {
    for_all(|seed, mut dice| async move {
        let mut organization = Organization::made_up(&mut dice);
        let world = world_of(&organization, &mut dice).await;
        for round in 0..4 {
            let run = world.sync().await;
            assert!(
                run.state.is_success(),
                "seed {seed}, round {round}: {:?}",
                run.error
            );
            let log = world.lines(&run).await;
            assert_eq!(
                shown(&world).await,
                organization.expected(),
                "seed {seed}, round {round}: {log:?}\n{organization:?}"
            );
            let again = if round % 2 == 0 {
                world.sync().await
            } else {
                world.full_sync().await
            };
            assert_eq!(
                again.change_count,
                0,
                "seed {seed}, round {round}: {:?}",
                world.lines(&again).await
            );
            for _ in 0..6 {
                organization.edit(&mut dice, Some(&world.control()));
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_and_full_agree_and_the_order_of_pages_does_not_matter() {
    for_all(|seed, mut dice| async move {
        let organization = Organization::made_up(&mut dice);
        // The same directory, listed in another order.
        let (by_delta, by_list) = (
            world_of(&organization, &mut dice).await,
            world_of(&organization, &mut dice).await,
        );
        let (one, other) = (by_delta.sync().await, by_list.sync().await);
        assert_eq!(
            sorted_log(&by_delta, &one).await,
            sorted_log(&by_list, &other).await,
            "seed {seed}"
        );
        let (mut a, mut b, state) = (organization.clone(), organization, dice.0);
        let (mut first, mut second) = (Dice(state), Dice(state));
        for _ in 0..8 {
            a.edit(&mut first, Some(&by_delta.control()));
            b.edit(&mut second, Some(&by_list.control()));
        }
        // Changes that were told before come again.
        let replay = FaultKind::Replay { count: 5 };
        by_delta
            .control()
            .add_fault(Fault::new(replay).on_request("groups.delta"))
            .unwrap();
        let (delta, full) = (by_delta.sync().await, by_list.full_sync().await);
        assert_eq!(
            sorted_log(&by_delta, &delta).await,
            sorted_log(&by_list, &full).await,
            "seed {seed}: {a:?}"
        );
        assert_eq!(
            roster(&by_delta).await,
            roster(&by_list).await,
            "seed {seed}"
        );
        assert_eq!(shown(&by_delta).await, a.expected(), "seed {seed}");
    })
    .await;
}

/// Whether people are deleted loudly, so that the changes of everyone around tell it too, or quietly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d18_d52_delta_and_full_agree_on_whoever_is_deleted_and_comes_back() {
    for_all(|seed, mut dice| async move {
        let organization = Organization::made_up(&mut dice);
        let (by_delta, by_list) = (
            world_of(&organization, &mut dice).await,
            world_of(&organization, &mut dice).await,
        );
        for world in [&by_delta, &by_list] {
            world.control().set_options(OptionsPatch {
                quiet_deletions: Some(seed % 2 == 0),
                ..OptionsPatch::default()
            });
            world.sync().await;
        }
        let (mut a, mut b) = (organization.clone(), organization);
        for round in 0..4 {
            let (mut first, mut second) = (Dice(dice.0), Dice(dice.0));
            for n in 0..6 {
                if n % 3 == 0 {
                    a.go_or_return(&mut first, &by_delta.control());
                    b.go_or_return(&mut second, &by_list.control());
                } else {
                    a.edit(&mut first, Some(&by_delta.control()));
                    b.edit(&mut second, Some(&by_list.control()));
                }
            }
            dice = first;
            let (delta, full) = (by_delta.sync().await, by_list.full_sync().await);
            assert!(delta.state.is_success() && full.state.is_success());
            let logs = (by_delta.lines(&delta).await, by_list.lines(&full).await);
            let (one, other) = (roster(&by_delta).await, roster(&by_list).await);
            assert_eq!(one, other, "seed {seed}, round {round}: {logs:?}\n{a:?}");
            assert_eq!(
                shown(&by_delta).await,
                a.expected(),
                "seed {seed}, round {round}: {logs:?}\n{a:?}"
            );
        }
    })
    .await;
}

/// Memberships by hand, as (team, person).
async fn by_hand(world: &World) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for line in roster(world).await {
        let (name, members) = line.split_once(": ").unwrap();
        let name = name.trim_end_matches(" (archived)");
        for member in members.split(", ").filter(|member| member.ends_with('+')) {
            let person = member.trim_end_matches(['+', '*']);
            found.insert((name.to_owned(), person.to_owned()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d35_a_membership_made_by_hand_is_never_touched() {
    for_all(|seed, mut dice| async move {
        let mut organization = Organization::made_up(&mut dice);
        let world = world_of(&organization, &mut dice).await;
        world.sync().await;
        for _ in 0..5 {
            let all = teams(&world).await;
            let Some(chosen) = all.get(dice.roll(all.len().max(1))) else {
                break;
            };
            let active = chosen.status == TeamStatus::Active;
            let someone = format!("p{}", dice.roll(8));
            if active && organization.active[&someone] {
                let user = world.user(&format!("{someone}@example.com")).await.id;
                let chosen = team(&world, &chosen.name).await;
                let tx = world.store.begin().await.unwrap();
                let by = actor(&world.owner);
                world
                    .store
                    .add_member(&tx, &chosen, user, TeamRole::Member, &by)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            }
        }
        let made = by_hand(&world).await;
        for round in 0..3 {
            for _ in 0..8 {
                organization.edit(&mut dice, Some(&world.control()));
            }
            let run = if round == 1 {
                world.full_sync().await
            } else {
                world.sync().await
            };
            assert!(run.state.is_success(), "seed {seed}: {:?}", run.error);
            assert_eq!(by_hand(&world).await, made, "seed {seed}, round {round}");
        }
    })
    .await;
}
