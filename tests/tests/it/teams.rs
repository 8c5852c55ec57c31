//! Teams from groups and from managers, from end to end.

use std::collections::BTreeMap;

use lockstep_domain::{
    GroupCondition, GroupMembership, GroupTeamRules, InboundRules, ManagerTeamDepth,
    ManagerTeamRules, MembershipOriginKind, RecordOrigin, RunKind, RunState, SwitchedOffPolicy,
    Team, TeamArchivalReason, TeamRole, TeamStatus,
};
use lockstep_sandbox::Tenant;
use lockstep_store::membership::MembersRequest;
use lockstep_store::page::PageRequest;
use lockstep_store::run::Run;
use lockstep_store::team::TeamFilter;
use serde_json::{Value, json};

use crate::world::{Backend, World, actor, both, id_of, person};

/// Both team rules on.
pub(crate) fn rules() -> InboundRules {
    InboundRules {
        group_teams: GroupTeamRules {
            enabled: true,
            ..GroupTeamRules::default()
        },
        manager_teams: ManagerTeamRules {
            enabled: true,
            ..ManagerTeamRules::default()
        },
        ..InboundRules::default()
    }
}

fn groups_only() -> InboundRules {
    InboundRules {
        manager_teams: ManagerTeamRules::default(),
        ..rules()
    }
}

fn managers_only() -> InboundRules {
    InboundRules {
        group_teams: GroupTeamRules::default(),
        ..rules()
    }
}

/// A tenant told in names: people, who manages whom, and who is in which group.
pub(crate) fn school(
    people: &[&str],
    managers: &[(&str, &str)],
    groups: &[(&str, &[&str])],
) -> Tenant {
    let users: Vec<Value> = people.iter().map(|name| person(name)).collect();
    let group = |(name, _): &(&str, &[&str])| {
        json!({ "id": id_of(name), "displayName": name, "groupTypes": [], "mailEnabled": false,
                "securityEnabled": true, "mailNickname": name })
    };
    let managers: BTreeMap<String, String> = managers
        .iter()
        .map(|(person, manager)| (id_of(person), id_of(manager)))
        .collect();
    let members: BTreeMap<String, Vec<String>> = groups
        .iter()
        .map(|(name, members)| (id_of(name), members.iter().map(|m| id_of(m)).collect()))
        .collect();
    let data = json!({
        "users": users,
        "groups": groups.iter().map(group).collect::<Vec<_>>(),
        "managers": managers,
        "members": members,
    });
    Tenant::from_json(data.to_string().as_bytes()).unwrap()
}

pub(crate) async fn teams(world: &World) -> Vec<Team> {
    let request = PageRequest::first(100);
    let filter = TeamFilter::default();
    let page = world
        .store
        .teams(world.organization, &filter, &request)
        .await;
    page.unwrap().items
}

pub(crate) async fn team(world: &World, name: &str) -> Team {
    let teams = teams(world).await;
    let names: Vec<String> = teams.iter().map(|team| team.name.clone()).collect();
    let found = teams.into_iter().find(|team| team.name == name);
    found.unwrap_or_else(|| panic!("no team is called {name}, but {names:?}"))
}

/// `Sales: ada*, bob` for each team in use, supervisors with a star; sorted.
pub(crate) async fn roster(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for team in teams(world).await {
        let members = members(world, &team).await.join(", ");
        let archived = match team.status {
            TeamStatus::Active => "",
            TeamStatus::Archived => " (archived)",
        };
        lines.push(format!("{}{archived}: {members}", team.name));
    }
    lines.sort();
    lines
}

async fn members(world: &World, team: &Team) -> Vec<String> {
    let names: BTreeMap<_, _> = world
        .users()
        .await
        .into_iter()
        .map(|user| (user.id, user.given_name.unwrap_or_default()))
        .collect();
    let request = MembersRequest {
        role: None,
        page: PageRequest::first(100),
    };
    let pages = world
        .store
        .members_of_teams(world.organization, &[team.id], &request)
        .await
        .unwrap();
    let mut members: Vec<String> = pages[&team.id]
        .items
        .iter()
        .map(|one| {
            let star = if one.role == TeamRole::Supervisor {
                "*"
            } else {
                ""
            };
            let by_hand = one
                .origins
                .iter()
                .any(|o| o.origin == MembershipOriginKind::Manual);
            let hand = if by_hand { "+" } else { "" };
            format!("{}{star}{hand}", names[&one.user_id])
        })
        .collect();
    members.sort();
    members
}

/// Nothing is planned, nothing is written, and whatever had to be looked at was.
async fn assert_settled(world: &World) {
    let run = world.sync().await;
    assert_eq!(run.change_count, 0, "{:?}", world.lines(&run).await);
    let left = world
        .store
        .count_dirty_teams(world.integration)
        .await
        .unwrap();
    assert_eq!(left, 0, "teams are left to be looked at");
}

fn memberships(run: &Run) -> (u64, u64) {
    (
        run.summary.memberships.created,
        run.summary.memberships.removed,
    )
}

async fn edit_members(world: &World, team: &str, user: &str, add: bool) {
    let team = team_in(world, team).await;
    let user = world.user(&format!("{user}@example.com")).await.id;
    let by = actor(&world.owner);
    let tx = world.store.begin().await.unwrap();
    if add {
        world
            .store
            .add_member(&tx, &team, user, TeamRole::Member, &by)
            .await
            .unwrap();
    } else {
        world
            .store
            .remove_member(&tx, &team, user, &by)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

async fn team_in(world: &World, name: &str) -> Team {
    team(world, name).await
}

async fn rename(world: &World, name: &str, to: &str) {
    let team = Team {
        name: to.to_owned(),
        name_is_local: true,
        ..team(world, name).await
    };
    let tx = world.store.begin().await.unwrap();
    world.store.save_team(&tx, &team).await.unwrap();
    tx.commit().await.unwrap();
}

both! {
    async fn e051_a_team_for_each_group_and_again_nothing(backend) {
        let tenant = school(&["ada", "bob", "cyd"], &[], &[("Sales", &["ada", "bob"]), ("Staff", &["cyd"]), ("Empty", &[])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        let run = world.sync().await;
        assert_eq!(run.state, RunState::Succeeded, "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, ["Sales: ada, bob", "Staff: cyd"], "d31: an empty group makes none");
        assert_eq!((run.summary.teams.created, memberships(&run)), (2, (3, 0)));
        assert_settled(&world).await;
        let full = world.full_sync().await;
        assert_eq!(full.change_count, 0, "{:?}", world.lines(&full).await);
    }

    async fn e065_ten_managers_make_ten_teams(backend) {
        let names: Vec<String> = (0..20).map(|n| format!("p{n:02}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let managers: Vec<(&str, &str)> = (10..20).map(|n| (people[n], people[n - 10])).collect();
        let world = World::with_rules(backend, school(&people, &managers, &[]), managers_only()).await;
        let run = world.sync().await;
        assert_eq!(run.summary.teams.created, 10);
        assert_eq!(teams(&world).await.len(), 10);
        assert_settled(&world).await;
        assert_eq!(teams(&world).await.len(), 10, "e071");
    }

    async fn e066_to_e070_a_manager_leads_the_own_team_and_is_a_member_of_another(backend) {
        let tenant = school(&["ada", "bob", "cyd", "dan"], &[("bob", "ada"), ("cyd", "ada"), ("dan", "bob")], &[]);
        let world = World::with_rules(backend, tenant, managers_only()).await;
        world.sync().await;
        assert_eq!(roster(&world).await, ["ada Example's team: ada*, bob, cyd", "bob Example's team: bob*, dan"], "e069");
    }

    async fn e053_all_four_combinations_work(backend) {
        let tenant = || school(&["ada", "bob"], &[("bob", "ada")], &[("Sales", &["bob"])]);
        for (rules, expected) in [
            (InboundRules::default(), vec![]),
            (groups_only(), vec!["Sales: bob"]),
            (managers_only(), vec!["ada Example's team: ada*, bob"]),
            (rules(), vec!["Sales: bob", "ada Example's team: ada*, bob"]),
        ] {
            let reads_groups = rules.group_teams.enabled;
            let world = World::with_rules(backend, tenant(), rules).await;
            world.sync().await;
            assert_eq!(roster(&world).await, expected);
            assert_eq!(world.control().request_counts().kind("groups.list") > 0, reads_groups, "e026");
        }
    }

    async fn d32_d34_renamed_deleted_and_restored_it_stays_the_same_team(backend) {
        let tenant = school(&["ada", "bob"], &[], &[("Sales", &["ada", "bob"]), ("Staff", &["ada"])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        let id = team(&world, "Sales").await.id;
        edit_members(&world, "Staff", "bob", true).await;
        let control = world.control();
        control.patch_group(&id_of("Sales"), json!({ "displayName": "Sales EU" })).unwrap();
        let run = world.sync().await;
        assert_eq!(world.lines(&run).await, ["UPDATE Sales EU [name: Sales -> Sales EU, sourceName: Sales -> Sales EU] APPLIED"]);
        control.remove_member(&id_of("Sales"), &id_of("bob")).unwrap();
        let run = world.sync().await;
        assert_eq!(world.lines(&run).await, ["REMOVE_MEMBER bob Example to Sales EU APPLIED"]);
        assert_eq!(run.summary.teams.updated, 1, "2.7: a changed membership updates its team");
        control.delete_group(&id_of("Sales")).unwrap();
        let run = world.sync().await;
        assert_eq!((run.summary.teams.deactivated, memberships(&run)), (1, (0, 1)), "e089: {:?}", world.lines(&run).await);
        let gone = team(&world, "Sales EU").await;
        assert_eq!((gone.id, gone.status, gone.archival_reason), (id, TeamStatus::Archived, Some(TeamArchivalReason::SourceDeleted)));
        control.restore_group(&id_of("Sales")).unwrap();
        let run = world.sync().await;
        assert_eq!(run.summary.teams.reactivated, 1, "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, ["Sales EU: ada", "Staff: ada, bob+"]);
        assert_eq!(team(&world, "Sales EU").await.id, id);
        assert_settled(&world).await;
    }

    async fn d32_a_name_that_an_owner_set_wins(backend) {
        let world = World::with_rules(backend, school(&["ada"], &[], &[("Sales", &["ada"])]), groups_only()).await;
        world.sync().await;
        rename(&world, "Sales", "Our sales").await;
        assert_settled(&world).await;
        world.control().patch_group(&id_of("Sales"), json!({ "displayName": "Sales EU" })).unwrap();
        let run = world.sync().await;
        assert_eq!(world.lines(&run).await, ["UPDATE Our sales [sourceName: Sales -> Sales EU] APPLIED"]);
        assert_eq!(team(&world, "Our sales").await.source_name.as_deref(), Some("Sales EU"));
    }

    async fn d33_a_team_by_hand_of_the_same_name_is_not_taken_over(backend) {
        let world = World::with_rules(backend, school(&["ada", "bob"], &[], &[("Sales", &["ada"]), ("sales", &["bob"])]), groups_only()).await;
        let tx = world.store.begin().await.unwrap();
        let by_hand = world.store.create_team(&tx, world.organization, "SALES", None).await.unwrap();
        tx.commit().await.unwrap();
        world.sync().await;
        let all = teams(&world).await;
        assert_eq!(all.len(), 3);
        let kept = all.iter().find(|team| team.id == by_hand.id).unwrap();
        assert_eq!((kept.name.as_str(), kept.origin), ("SALES", RecordOrigin::Local));
        let mut names: Vec<String> = all.iter().map(|team| team.name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 3, "d33: a mark tells them apart");
        assert_settled(&world).await;
    }

    async fn d28_members_of_nested_groups_count_however_they_are_nested(backend) {
        let tenant = || school(&["ada", "bob", "cyd"], &[], &[
            ("All", &["Inner", "ada"]), ("Inner", &["bob", "ada", "Ring"]), ("Ring", &["All", "cyd"]),
        ]);
        let world = World::with_rules(backend, tenant(), groups_only()).await;
        let run = world.sync().await;
        assert_eq!(roster(&world).await, ["All: ada, bob, cyd", "Inner: ada, bob, cyd", "Ring: ada, bob, cyd"]);
        assert_eq!(memberships(&run), (9, 0), "each once: {:?}", world.lines(&run).await);
        let control = world.control();
        control.remove_member(&id_of("Inner"), &id_of("Ring")).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["All: ada, bob", "Inner: ada, bob", "Ring: ada, bob, cyd"], "the groups above as well");
        control.remove_member(&id_of("All"), &id_of("ada")).unwrap();
        let run = world.sync().await;
        assert_eq!(run.change_count, 0, "ada is in by both, until both let go: {:?}", world.lines(&run).await);
        let mut direct = groups_only();
        direct.group_teams.membership = GroupMembership::Direct;
        let world = World::with_rules(backend, tenant(), direct).await;
        world.sync().await;
        assert_eq!(roster(&world).await, ["All: ada", "Inner: ada, bob", "Ring: cyd"]);
    }

    async fn d29_only_active_users_belong_and_the_others_are_counted(backend) {
        let world = World::with_rules(backend, school(&["ada", "bob"], &[], &[("Sales", &["ada", "bob"])]), groups_only()).await;
        let control = world.control();
        control.patch_user(&id_of("bob"), json!({ "accountEnabled": false })).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada"]);
        control.patch_user(&id_of("bob"), json!({ "accountEnabled": true })).unwrap();
        let run = world.sync().await;
        assert_eq!(world.lines(&run).await.last().unwrap(), "ADD_MEMBER bob Example to Sales APPLIED", "with the user, in one run");
        control.patch_user(&id_of("ada"), json!({ "accountEnabled": false })).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: bob"], "d14: whoever is deactivated leaves");
        control.patch_user(&id_of("ada"), json!({ "accountEnabled": true })).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada, bob"], "d16: and comes back");
        assert_settled(&world).await;
    }

    async fn d35_hand_made_members_stay_and_hand_removed_ones_stay_out(backend) {
        let world = World::with_rules(backend, school(&["ada", "bob", "cyd"], &[], &[("Sales", &["ada", "bob"])]), groups_only()).await;
        world.sync().await;
        edit_members(&world, "Sales", "cyd", true).await;
        edit_members(&world, "Sales", "bob", false).await;
        assert_settled(&world).await;
        assert_eq!(roster(&world).await, ["Sales: ada, cyd+"]);
        let full = world.full_sync().await;
        assert_eq!(full.change_count, 0, "{:?}", world.lines(&full).await);
        world.control().remove_member(&id_of("Sales"), &id_of("bob")).unwrap();
        world.control().add_member(&id_of("Sales"), &id_of("bob")).unwrap();
        world.control().add_member(&id_of("Sales"), &id_of("cyd")).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada, cyd+"], "bob stays out, cyd is in by both");
        world.control().remove_member(&id_of("Sales"), &id_of("cyd")).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada, cyd+"], "a run removes only what it added");
        let user = world.user("bob@example.com").await.id;
        let hold = world.store.holds_of_users(world.organization, &[user]).await.unwrap().remove(0);
        let tx = world.store.begin().await.unwrap();
        world.store.lift_user_hold(&tx, world.organization, hold.id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada, bob, cyd+"], "lifted");
    }

    async fn d41_a_new_manager_moves_the_person_in_one_change(backend) {
        let tenant = school(&["ada", "bob", "cyd", "dan"], &[("cyd", "ada"), ("dan", "ada"), ("ada", "bob")], &[]);
        let world = World::with_rules(backend, tenant, managers_only()).await;
        world.sync().await;
        let ids: Vec<_> = teams(&world).await.iter().map(|team| team.id).collect();
        world.control().set_manager(&id_of("cyd"), Some(&id_of("bob"))).unwrap();
        let run = world.sync().await;
        assert_eq!(world.lines(&run).await, ["MOVE_MEMBER cyd Example from ada Example's team to bob Example's team APPLIED"]);
        assert_eq!((run.summary.teams.updated, memberships(&run)), (2, (1, 1)), "2.7");
        assert_eq!(roster(&world).await, ["ada Example's team: ada*, dan", "bob Example's team: ada, bob*, cyd"]);
        assert_eq!(teams(&world).await.iter().map(|team| team.id).collect::<Vec<_>>(), ids);
        assert_settled(&world).await;
        // To someone who had no reports: the team is made in the same run, and the old one has none left.
        world.control().set_manager(&id_of("dan"), Some(&id_of("cyd"))).unwrap();
        let run = world.sync().await;
        assert_eq!(roster(&world).await, [
            "ada Example's team (archived): ", "bob Example's team: ada, bob*, cyd", "cyd Example's team: cyd*, dan",
        ], "{:?}", world.lines(&run).await);
        assert_eq!(team(&world, "ada Example's team").await.archival_reason, Some(TeamArchivalReason::NoReports), "d42");
        assert_settled(&world).await;
    }

    async fn d42_d44_a_manager_who_leaves_has_no_team_until_the_return(backend) {
        let tenant = school(&["ada", "bob", "cyd", "eve"], &[("bob", "ada"), ("cyd", "ada")], &[]);
        let world = World::with_rules(backend, tenant, managers_only()).await;
        world.sync().await;
        world.control().patch_user(&id_of("ada"), json!({ "accountEnabled": false })).unwrap();
        let run = world.sync().await;
        assert_eq!(roster(&world).await, ["ada Example's team (archived): "], "{:?}", world.lines(&run).await);
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "MANAGER_OUT_OF_SCOPE" && w.count == 2), "{:?}", run.warnings);
        world.control().patch_user(&id_of("ada"), json!({ "accountEnabled": true })).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["ada Example's team: ada*, bob, cyd"]);
        assert_settled(&world).await;
    }

    async fn d37_d43_all_levels_go_down_and_end_in_a_circle(backend) {
        let tenant = school(&["ada", "bob", "cyd", "dan"], &[("bob", "ada"), ("cyd", "bob"), ("dan", "cyd"), ("ada", "dan")], &[]);
        let mut rules = managers_only();
        rules.manager_teams.depth = ManagerTeamDepth::AllLevels;
        let world = World::with_rules(backend, tenant, rules).await;
        let run = world.sync().await;
        assert_eq!(roster(&world).await[0], "ada Example's team: ada*, bob, cyd, dan");
        assert_eq!(roster(&world).await.len(), 4);
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "MANAGER_CYCLE" && w.count == 4), "{:?}", run.warnings);
        world.control().set_manager(&id_of("ada"), None).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, [
            "ada Example's team: ada*, bob, cyd, dan", "bob Example's team: bob*, cyd, dan", "cyd Example's team: cyd*, dan",
            "dan Example's team (archived): ",
        ]);
        assert_settled(&world).await;
    }

    async fn d43_someone_who_is_the_own_manager_makes_no_team(backend) {
        let world = World::with_rules(backend, school(&["ada"], &[("ada", "ada")], &[]), managers_only()).await;
        let run = world.sync().await;
        assert_eq!(roster(&world).await, Vec::<String>::new());
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "SELF_MANAGER"), "{:?}", run.warnings);
    }

    async fn d39_d40_names_follow_the_manager_and_two_of_a_name_are_told_apart(backend) {
        let tenant = school(&["ada", "bob", "cyd", "dan"], &[("bob", "ada"), ("dan", "cyd")], &[]);
        let mut rules = managers_only();
        rules.sync_job_title = true;
        let world = World::with_rules(backend, tenant, rules).await;
        world.control().patch_user(&id_of("cyd"), json!({ "givenName": "ada", "jobTitle": "Head" })).unwrap();
        world.sync().await;
        let mut names: Vec<String> = teams(&world).await.into_iter().map(|team| team.name).collect();
        names.sort();
        assert_eq!(names, ["ada Example's team", "ada Example's team (Head)"]);
        world.control().patch_user(&id_of("cyd"), json!({ "givenName": "Eve" })).unwrap();
        let run = world.sync().await;
        assert!(world.lines(&run).await.iter().any(|line| line.contains("name: ada Example's team (Head) -> Eve Example's team")), "{:?}", world.lines(&run).await);
        assert_settled(&world).await;
    }

    async fn d27_filters_select_and_what_is_excluded_is_archived(backend) {
        let tenant = school(&["ada"], &[], &[("Class 7a", &["ada"]), ("Class 7b", &["ada"]), ("Staff", &["ada"])]);
        let mut rules = groups_only();
        rules.group_teams.include = vec![GroupCondition::NamePattern("class*".into())];
        let world = World::with_rules(backend, tenant, rules.clone()).await;
        world.sync().await;
        assert_eq!(roster(&world).await, ["Class 7a: ada", "Class 7b: ada"]);
        rules.group_teams.exclude = vec![GroupCondition::Id(id_of("Class 7b").as_str().into())];
        world.save_rules(&rules).await;
        world.sync().await;
        assert_eq!(roster(&world).await, ["Class 7a: ada", "Class 7b (archived): "]);
        assert_eq!(team(&world, "Class 7b").await.archival_reason, Some(TeamArchivalReason::SourceExcluded));
        assert_settled(&world).await;
    }

    async fn d45_a_rule_that_is_switched_off_archives_or_releases(backend) {
        let groups: Vec<(String, Vec<&str>)> = (0..6).map(|n| (format!("Class {n}"), vec!["ada"])).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(name, members)| (name.as_str(), members.as_slice())).collect();
        let tenant = || school(&["ada"], &[], &groups);
        let world = World::with_rules(backend, tenant(), groups_only()).await;
        world.sync().await;
        world.save_rules(&InboundRules::default()).await;
        let run = world.sync().await;
        assert_eq!(run.summary.teams.deactivated, 6, "the owner said so, whatever the limit: {:?}", world.lines(&run).await);
        assert_eq!(team(&world, "Class 0").await.archival_reason, Some(TeamArchivalReason::RuleOff));
        assert_settled(&world).await;
        world.save_rules(&groups_only()).await;
        let run = world.sync().await;
        assert_eq!(run.summary.teams.reactivated, 6, "{:?}", world.lines(&run).await);
        let mut released = groups_only();
        released.group_teams.enabled = false;
        released.group_teams.when_switched_off = SwitchedOffPolicy::Release;
        world.save_rules(&released).await;
        world.sync().await;
        let kept = team(&world, "Class 0").await;
        assert_eq!((kept.status, kept.origin, kept.integration_id), (TeamStatus::Active, RecordOrigin::Local, None));
        assert_eq!(members(&world, &kept).await, ["ada+"], "they are members by hand now");
        assert_settled(&world).await;
    }

    async fn d48_archiving_too_many_teams_is_held_with_what_follows(backend) {
        let groups: Vec<(String, Vec<&str>)> = (0..6).map(|n| (format!("Class {n}"), vec!["ada"])).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(name, members)| (name.as_str(), members.as_slice())).collect();
        let world = World::with_rules(backend, school(&["ada"], &[], &groups), groups_only()).await;
        world.sync().await;
        for (name, _) in &groups[..4] {
            world.control().delete_group(&id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.teams.held, run.summary.memberships.held, run.summary.teams.deactivated), (4, 4, 0), "{:?}", world.lines(&run).await);
        assert_eq!(run.state, RunState::SucceededWithWarnings);
        assert!(roster(&world).await.iter().all(|line| line.ends_with(": ada")));
        let hold = world.store.open_hold_of(world.integration).await.unwrap().expect("a hold is open");
        assert_eq!(hold.categories[0].0.as_str(), "TEAM_ARCHIVALS");
        let again = world.sync().await;
        assert_eq!((again.hold_id, again.summary.teams.held), (Some(hold.id), 4), "carried on");
        assert_eq!(world.store.open_hold_of(world.integration).await.unwrap().unwrap().plan_hash, hold.plan_hash);
        world.control().restore_group(&id_of(groups[0].0)).unwrap();
        let run = world.sync().await;
        assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (0, 3), "three are allowed: {:?}", world.lines(&run).await);
        assert!(world.store.open_hold_of(world.integration).await.unwrap().is_none());
    }

    async fn d48_a_team_that_would_lose_most_of_its_members_is_held(backend) {
        let names: Vec<String> = (0..21).map(|n| format!("p{n:02}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let world = World::with_rules(backend, school(&people, &[], &[("All", &people[..20]), ("Few", &people[20..])]), groups_only()).await;
        world.sync().await;
        for name in &people[..11] {
            world.control().remove_member(&id_of("All"), &id_of(name)).unwrap();
        }
        world.control().add_member(&id_of("Few"), &id_of("p00")).unwrap();
        let run = world.sync().await;
        let counts = run.summary.memberships;
        assert_eq!((counts.held, counts.removed, counts.created), (11, 0, 1), "the rest goes on: {:?}", world.lines(&run).await);
        let hold = world.store.open_hold_of(world.integration).await.unwrap().unwrap();
        assert_eq!(hold.categories[0].0.as_str(), "MEMBER_REMOVALS");
        world.control().add_member(&id_of("All"), &id_of("p00")).unwrap();
        let run = world.sync().await;
        assert_eq!((run.summary.memberships.held, run.summary.memberships.removed), (0, 10), "half is allowed");
    }

    async fn nothing_follows_from_a_departure_that_is_held(backend) {
        let names: Vec<String> = (0..12).map(|n| format!("p{n:02}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let managers: Vec<(&str, &str)> = people[1..].iter().map(|name| (*name, people[0])).collect();
        let world = World::with_rules(backend, school(&people, &managers, &[("All", &people)]), rules()).await;
        world.sync().await;
        let before = roster(&world).await;
        for name in &people[..6] {
            world.control().patch_user(&id_of(name), json!({ "accountEnabled": false })).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(run.summary.users.held, 6);
        assert_eq!(run.change_count, 6, "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, before);
        for name in &people[..5] {
            world.control().patch_user(&id_of(name), json!({ "accountEnabled": true })).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.users.deactivated, run.summary.memberships.removed), (1, 2), "{:?}", world.lines(&run).await);
    }

    async fn d21_nothing_follows_from_a_departure_that_is_not_confirmed(backend) {
        let names: Vec<String> = (0..12).map(|n| format!("p{n:02}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let world = World::with_rules(backend, school(&people, &[("p01", "p00"), ("p03", "p02")], &[("All", &people)]), rules()).await;
        world.sync().await;
        let before = roster(&world).await;
        use lockstep_sandbox::{Fault, FaultKind};
        world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 4 }).on_request("users.list")).unwrap();
        let run = world.full_sync().await;
        assert!(run.summary.users.skipped > 0, "someone was missing: {:?}", world.lines(&run).await);
        assert_eq!((run.summary.memberships.removed, run.summary.teams.deactivated), (0, 0), "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, before);
        world.control().clear_faults();
        world.full_sync().await;
        assert_eq!(roster(&world).await, before);
        assert_settled(&world).await;
    }

    async fn a_group_that_a_list_missed_is_asked_for_by_id_first(backend) {
        let groups: Vec<(String, Vec<&str>)> = (0..8).map(|n| (format!("Class {n}"), vec!["ada"])).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(name, members)| (name.as_str(), members.as_slice())).collect();
        let world = World::with_rules(backend, school(&["ada"], &[], &groups), groups_only()).await;
        world.sync().await;
        use lockstep_sandbox::{Fault, FaultKind};
        world.control().skip_changes(1);
        world.control().purge_group(&id_of("Class 3")).unwrap();
        world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 2 }).on_request("groups.list")).unwrap();
        let run = world.full_sync().await;
        assert_eq!(run.summary.teams.deactivated, 1, "{:?}", world.lines(&run).await);
        assert_eq!(team(&world, "Class 3").await.status, TeamStatus::Archived);
        world.control().clear_faults();
        assert_settled(&world).await;
    }

    async fn d51_a_group_that_cannot_be_read_leaves_its_team_as_it_is(backend) {
        let tenant = school(&["ada", "bob"], &[], &[("Sales", &["ada", "bob"]), ("Staff", &["ada"])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        use lockstep_sandbox::Fault;
        let fault = Fault::status(403).on(format!("/groups/{}/members", id_of("Sales")));
        world.control().add_fault(fault).unwrap();
        world.control().skip_changes(1);
        world.control().remove_member(&id_of("Sales"), &id_of("bob")).unwrap();
        let run = world.full_sync().await;
        assert_eq!(run.state, RunState::SucceededWithWarnings, "{:?}", run.error);
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "GROUP_UNREADABLE" && w.count == 1), "{:?}", run.warnings);
        assert_eq!(roster(&world).await, ["Sales: ada, bob", "Staff: ada"]);
        world.control().clear_faults();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada", "Staff: ada"], "read as soon as it can be");
        assert_settled(&world).await;
    }

    async fn hidden_members_are_said_and_not_taken_for_none(backend) {
        let tenant = school(&["ada", "bob"], &[], &[("Board", &["ada"]), ("Staff", &["bob"])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.control().patch_group(&id_of("Board"), json!({ "visibility": "HiddenMembership" })).unwrap();
        let run = world.sync().await;
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "MEMBERS_HIDDEN" && w.count == 1), "{:?}", run.warnings);
        assert_eq!(roster(&world).await, ["Staff: bob"]);
        world.control().set_permissions(&["User.Read.All", "Group.Read.All", "GroupMember.Read.All", "Member.Read.Hidden"]);
        world.sync().await;
        assert_eq!(roster(&world).await, ["Board: ada", "Staff: bob"]);
    }

    async fn a_preview_shows_teams_and_changes_none(backend) {
        let tenant = school(&["ada", "bob"], &[("bob", "ada")], &[("Sales", &["ada", "bob"])]);
        let world = World::with_rules(backend, tenant, rules()).await;
        let preview = world.run(RunKind::Preview, false).await;
        assert_eq!((preview.summary.teams.created, preview.summary.memberships.created), (2, 4));
        assert_eq!(teams(&world).await.len(), 0);
        let run = world.sync().await;
        assert_eq!((run.summary.teams.created, run.summary.memberships.created), (2, 4), "what the preview saw is not lost");
    }

    async fn d30_owners_who_are_members_become_supervisors_when_asked_for(backend) {
        let tenant = school(&["ada", "bob", "cyd"], &[], &[("Sales", &["ada", "bob"])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.control().add_owner(&id_of("Sales"), &id_of("ada")).unwrap();
        world.control().add_owner(&id_of("Sales"), &id_of("cyd")).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada, bob"], "off by default, and owning is not membership");
        let mut rules = groups_only();
        rules.group_teams.owners_are_supervisors = true;
        world.save_rules(&rules).await;
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada*, bob"]);
        world.control().remove_owner(&id_of("Sales"), &id_of("ada")).unwrap();
        world.control().add_owner(&id_of("Sales"), &id_of("bob")).unwrap();
        let run = world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada, bob*"], "{:?}", world.lines(&run).await);
        assert_settled(&world).await;
    }

    async fn a_large_group_is_read_page_by_page_and_followed(backend) {
        let names: Vec<String> = (0..2_300).map(|n| format!("p{n:04}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let world = World::with_rules(backend, school(&people, &[], &[("All", &people)]), groups_only()).await;
        let run = world.sync().await;
        assert_eq!(memberships(&run), (2_300, 0), "{:?}", run.error);
        let sequences: Vec<i64> = world.changes(&run).await.iter().map(|change| change.sequence).collect();
        assert_eq!(sequences, (1..=4_601).collect::<Vec<i64>>(), "without gaps");
        let mut events: Vec<i64> = world.changes(&run).await.iter().filter_map(|change| change.event_sequence).collect();
        events.sort_unstable();
        events.dedup();
        assert_eq!(events.len(), 4_601, "every outcome is told once");
        assert!(events.last().unwrap() < &run.sequence);
        world.control().remove_member(&id_of("All"), &id_of("p0007")).unwrap();
        world.control().skip_changes(1);
        world.control().remove_member(&id_of("All"), &id_of("p1500")).unwrap();
        let run = world.sync().await;
        assert_eq!(memberships(&run), (0, 1), "{:?}", world.lines(&run).await);
        let sweep = world.full_sync().await;
        assert_eq!((memberships(&sweep), sweep.missed_by_delta), ((0, 1), Some(1)), "what delta missed is found");
        assert_settled(&world).await;
    }

    async fn d48_whom_an_archived_team_loses_is_counted_with_the_archival(backend) {
        let names: Vec<String> = (0..40).map(|n| format!("p{n:02}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let managers: Vec<(&str, &str)> = people[2..14].iter().map(|name| (*name, people[0])).collect();
        let world = World::with_rules(backend, school(&people, &managers, &[("Class", &people[14..26])]), rules()).await;
        world.sync().await;
        // All the reports of one manager go to another, who had none.
        for name in &people[2..14] {
            world.control().set_manager(&id_of(name), Some(&id_of("p01"))).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.memberships.held, run.summary.teams.deactivated, run.summary.teams.created), (0, 1, 1), "{:?}", world.lines(&run).await);
        assert_eq!(world.changes(&run).await.iter().filter(|change| change.moved_from.is_some()).count(), 12);
        assert_settled(&world).await;
        // A class leaves: the group goes, and with it some of its pupils.
        world.control().delete_group(&id_of("Class")).unwrap();
        for name in &people[14..17] {
            world.control().patch_user(&id_of(name), json!({ "accountEnabled": false })).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.memberships.held, memberships(&run)), (0, (0, 12)), "{:?}", world.lines(&run).await);
        assert_settled(&world).await;
    }

    async fn a_team_that_lost_its_run_half_way_is_emptied_by_the_next(backend) {
        let names: Vec<String> = (0..14).map(|n| format!("p{n:02}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let managers: Vec<(&str, &str)> = people[2..].iter().map(|name| (*name, people[0])).collect();
        let world = World::with_rules(backend, school(&people, &managers, &[]), managers_only()).await;
        world.sync().await;
        // As a run leaves it that is stopped between teams and memberships.
        crate::world::sql(&world, "UPDATE team SET status = 'ARCHIVED', archival_reason = 'NO_REPORTS'").await;
        for name in &people[2..] {
            world.control().set_manager(&id_of(name), Some(&id_of("p01"))).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(roster(&world).await.len(), 2, "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await[0], "p00 Example's team (archived): ");
        assert_settled(&world).await;
    }

    async fn a_new_depth_leaves_nobody_behind(backend) {
        let tenant = school(&["ada", "bob", "cyd", "dan", "eve"], &[("bob", "ada"), ("cyd", "bob"), ("dan", "cyd")], &[]);
        let mut rules = managers_only();
        rules.manager_teams.depth = ManagerTeamDepth::AllLevels;
        let world = World::with_rules(backend, tenant, rules).await;
        world.sync().await;
        world.control().set_manager(&id_of("dan"), Some(&id_of("eve"))).unwrap();
        world.save_rules(&managers_only()).await;
        let run = world.sync().await;
        assert_eq!(roster(&world).await, [
            "ada Example's team: ada*, bob", "bob Example's team: bob*, cyd", "cyd Example's team (archived): ",
            "eve Example's team: dan, eve*",
        ], "{:?}", world.lines(&run).await);
        assert_settled(&world).await;
    }

    async fn someone_who_was_missing_and_is_there_after_all_joins_with_the_next_run(backend) {
        let names: Vec<String> = (0..12).map(|n| format!("p{n:02}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        use lockstep_sandbox::{Fault, FaultKind};
        let world = World::with_rules(backend, school(&people, &[], &[("All", &people[..1])]), rules()).await;
        world.sync().await;
        for name in &people[1..] {
            world.control().add_member(&id_of("All"), &id_of(name)).unwrap();
            world.control().set_manager(&id_of(name), Some(&id_of("p00"))).unwrap();
        }
        world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 4 }).on_request("users.list")).unwrap();
        let run = world.full_sync().await;
        assert!(run.summary.users.skipped > 0, "someone was missing: {:?}", world.lines(&run).await);
        world.control().clear_faults();
        world.full_sync().await;
        let everyone = people[1..].join(", ");
        assert_eq!(roster(&world).await, [format!("All: p00, {everyone}"), format!("p00 Example's team: p00*, {everyone}")]);
        assert_settled(&world).await;
    }

    async fn what_is_done_by_hand_while_teams_are_planned_is_looked_at_again(backend) {
        let world = World::with_rules(backend, school(&["ada", "bob"], &[], &[("Sales", &["ada", "bob"])]), groups_only()).await;
        world.sync().await;
        edit_members(&world, "Sales", "bob", false).await;
        let planned = world.store.dirty_teams(world.integration, None, 10).await.unwrap();
        assert_eq!(planned.len(), 1);
        let user = world.user("bob@example.com").await.id;
        let hold = world.store.holds_of_users(world.organization, &[user]).await.unwrap().remove(0);
        let tx = world.store.begin().await.unwrap();
        world.store.lift_user_hold(&tx, world.organization, hold.id).await.unwrap();
        tx.commit().await.unwrap();
        let now = world.store.dirty_teams(world.integration, None, 10).await.unwrap();
        assert_ne!(now[0].mark, planned[0].mark, "a run that planned the old one does not clear it");
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada, bob"]);
    }

    async fn fault_d20_a_large_group_that_goes_while_it_is_read_leaves_its_team_as_it_is(backend) {
        let names: Vec<String> = (0..2_300).map(|n| format!("p{n:04}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let world = World::with_rules(backend, school(&people, &[], &[("All", &people), ("Few", &people[..2])]), groups_only()).await;
        world.sync().await;
        use lockstep_sandbox::Fault;
        world.control().add_fault(Fault::status(404).on_request("groups.members").after(1)).unwrap();
        let run = world.full_sync().await;
        assert_eq!(run.state, RunState::SucceededWithWarnings, "{:?}", run.error);
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "GROUP_UNREADABLE"), "{:?}", run.warnings);
        assert_eq!(run.change_count, 0, "{:?}", world.lines(&run).await);
    }

    async fn d33_names_move_on_from_team_to_team(backend) {
        let tenant = school(&["ada"], &[], &[("Class 7", &["ada"]), ("Class 8", &["ada"]), ("Class 9", &["ada"])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        for (group, name) in [("Class 7", "Class 8"), ("Class 8", "Class 9"), ("Class 9", "Class 7")] {
            world.control().patch_group(&id_of(group), json!({ "displayName": name })).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(roster(&world).await, ["Class 7: ada", "Class 8: ada", "Class 9: ada"], "{:?}", world.lines(&run).await);
        assert_settled(&world).await;
        world.control().delete_group(&id_of("Class 7")).unwrap();
        world.control().create_group(json!({ "id": id_of("new"), "displayName": "Class 8", "groupTypes": [], "mailEnabled": false, "securityEnabled": true, "mailNickname": "new" })).unwrap();
        world.control().add_member(&id_of("new"), &id_of("ada")).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Class 7: ada", "Class 8 (archived): ", "Class 8: ada", "Class 9: ada"], "made anew under its name");
        assert_settled(&world).await;
    }

    async fn d28_the_name_of_the_nested_group_is_told_with_the_member(backend) {
        let tenant = school(&["ada", "bob"], &[], &[("All", &["Inner", "ada"]), ("Inner", &["bob", "ada"])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        let all = team(&world, "All").await.id;
        let (ada, bob) = (world.user("ada@example.com").await.id, world.user("bob@example.com").await.id);
        let via = world.store.via_groups(world.organization, &[(all, ada), (all, bob)]).await.unwrap();
        assert_eq!(via.len(), 1, "d28: ada is a direct member");
        assert_eq!(via[&(all, bob)].shown_name(), "Inner");
    }

    async fn the_language_of_the_integration_names_managers_teams(backend) {
        let world = World::with_rules(backend, school(&["ada", "bob"], &[("bob", "ada")], &[]), managers_only()).await;
        world.sync().await;
        let tx = world.store.begin().await.unwrap();
        world.store.rename_integration(&tx, world.integration, None, Some("de")).await.unwrap();
        tx.commit().await.unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Team von ada Example: ada*, bob"], "d39");
    }
}

#[allow(dead_code, reason = "the macro names it")]
const fn _backend(_: Backend) {}
