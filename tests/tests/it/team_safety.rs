//! What no run does to teams: act on too much at once, or on what is held, or on what was done by hand meanwhile.

use lockstep_domain::{ManagerTeamDepth, RunKind, RunState};
use serde_json::json;

use crate::team_world::{
    DOZEN, assert_settled, dozen, edit_members, groups_only, managers_only, memberships, roster,
    rules, school, teams,
};
use crate::world::{World, both, id_of};

/// Has an owner allow one departure more.
async fn raise_departures(world: &World) {
    let mut raised = rules();
    raised.limits.user_deactivations.allowance += 1;
    world.save_rules(&raised).await;
}

both! {
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
        assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (3, 0), "three would be allowed, but these were held: {:?}", world.lines(&run).await);
        for (name, _) in &groups[1..4] {
            world.control().restore_group(&id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (0, 0), "{:?}", world.lines(&run).await);
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
        assert_eq!((run.summary.memberships.held, run.summary.memberships.removed), (10, 0), "half would be allowed, but these were held");
    }

    async fn d48_nothing_follows_from_a_departure_that_is_held(backend) {
        let world = dozen(backend, &DOZEN[1..]).await;
        let before = roster(&world).await;
        for name in &DOZEN[..6] {
            world.control().patch_user(&id_of(name), json!({ "accountEnabled": false })).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(run.summary.users.held, 6);
        assert_eq!(run.change_count, 6, "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, before);
        for name in &DOZEN[..5] {
            world.control().patch_user(&id_of(name), json!({ "accountEnabled": true })).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.users.held, run.change_count), (1, 1), "{:?}", world.lines(&run).await);
        raise_departures(&world).await;
        let run = world.sync().await;
        assert_eq!((run.summary.users.deactivated, run.summary.memberships.removed), (1, 2), "{:?}", world.lines(&run).await);
    }

    async fn d48_what_a_deleted_account_leaves_is_held_with_its_departure(backend) {
        // The directory takes a deleted account out of its groups, and its people have no manager, at once.
        let world = dozen(backend, &DOZEN[6..]).await;
        let before = roster(&world).await;
        for name in &DOZEN[..6] {
            world.control().delete_user(&id_of(name)).unwrap();
        }
        for run in [world.sync().await, world.full_sync().await] {
            assert_eq!((run.summary.users.held, run.summary.teams.held), (6, 1), "{:?}", world.lines(&run).await);
            assert_eq!((run.summary.memberships.held, run.summary.memberships.removed), (13, 0), "{:?}", world.lines(&run).await);
            assert_eq!(roster(&world).await, before);
            let hold = world.store.open_hold_of(world.integration).await.unwrap().expect("a hold is open");
            assert_eq!(hold.categories.iter().map(|category| category.0.as_str()).collect::<Vec<_>>(), ["USER_DEACTIVATIONS"]);
        }
        for name in &DOZEN[..5] {
            world.control().restore_user(&id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.users.held, run.summary.memberships.held, run.summary.memberships.removed), (1, 1, 0), "{:?}", world.lines(&run).await);
        raise_departures(&world).await;
        let run = world.sync().await;
        assert_eq!((run.summary.users.deactivated, run.summary.memberships.removed), (1, 1), "{:?}", world.lines(&run).await);
        assert_settled(&world).await;
    }

    async fn d48_people_below_a_deleted_manager_whose_departure_is_held_stay_where_they_are(backend) {
        let mut rules = managers_only();
        rules.manager_teams.depth = ManagerTeamDepth::AllLevels;
        let tenant = school(&DOZEN, &[("p01", "p00"), ("p02", "p01"), ("p11", "p00")], &[]);
        let world = World::with_rules(backend, tenant, rules).await;
        world.control().set_options(lockstep_sandbox::OptionsPatch { quiet_deletions: Some(true), ..Default::default() });
        world.sync().await;
        let before = roster(&world).await;
        for name in ["p01", "p03", "p04", "p05", "p06", "p07", "p08"] {
            world.control().delete_user(&id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.users.held, roster(&world).await), (7, before.clone()), "{:?}", world.lines(&run).await);
        let full = world.full_sync().await;
        assert_eq!((full.summary.users.held, roster(&world).await), (7, before), "{:?}", world.lines(&full).await);
    }

    async fn d34_a_team_is_archived_although_the_departure_of_a_member_is_held(backend) {
        let world = dozen(backend, &[]).await;
        for name in &DOZEN[..6] {
            world.control().delete_user(&id_of(name)).unwrap();
        }
        world.control().delete_group(&id_of("All")).unwrap();
        let run = world.sync().await;
        assert_eq!((run.summary.users.held, run.summary.teams.deactivated), (6, 1), "{:?}", world.lines(&run).await);
        assert_eq!((run.summary.memberships.held, run.summary.memberships.removed), (0, 12), "{:?}", world.lines(&run).await);
    }

    async fn d34_an_archival_does_not_wait_for_a_member_who_was_missing_and_is_found(backend) {
        use lockstep_sandbox::{Fault, FaultKind};
        let world = dozen(backend, &[]).await;
        world.control().delete_group(&id_of("All")).unwrap();
        world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 4 }).on_request("users.list")).unwrap();
        let run = world.full_sync().await;
        assert!(run.summary.users.skipped > 0, "someone was missing: {:?}", world.lines(&run).await);
        assert_eq!((run.summary.teams.deactivated, run.summary.memberships.removed), (1, 12), "{:?}", world.lines(&run).await);
    }

    async fn d48_people_below_a_manager_whose_departure_is_held_stay_with_the_manager_above(backend) {
        let mut all_levels = managers_only();
        all_levels.manager_teams.depth = ManagerTeamDepth::AllLevels;
        let people: Vec<&str> = [&DOZEN[..], &["top", "low"]].concat();
        let managers: Vec<(&str, &str)> = DOZEN.iter().map(|name| (*name, "top")).chain([("low", "p00")]).collect();
        let world = World::with_rules(backend, school(&people, &managers, &[]), all_levels).await;
        world.sync().await;
        let before = roster(&world).await;
        assert!(before.iter().any(|line| line.starts_with("top Example's team") && line.contains("low")), "{before:?}");
        for name in &DOZEN[..6] {
            world.control().delete_user(&id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.users.held, run.summary.memberships.removed), (6, 0), "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, before);
    }

    async fn d33_a_name_whose_team_is_held_is_not_given_twice(backend) {
        let groups: Vec<(String, Vec<&str>)> = (0..6).map(|n| (format!("Class {n}"), vec!["ada"])).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(name, members)| (name.as_str(), members.as_slice())).collect();
        let world = World::with_rules(backend, school(&["ada"], &[], &groups), groups_only()).await;
        world.sync().await;
        // A new school year: groups of the same names, made anew.
        for (name, _) in &groups {
            world.control().delete_group(&id_of(name)).unwrap();
            let id = world.control().create_group(json!({ "displayName": name })).unwrap();
            world.control().add_member(&id, &id_of("ada")).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.teams.held, run.summary.teams.created), (6, 6), "{:?}", world.lines(&run).await);
        let names: Vec<String> = teams(&world).await.into_iter().map(|team| team.name).collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!((names.len(), distinct.len()), (12, 12), "{names:?}");
        let lines = world.lines(&run).await;
        assert!(lines.iter().all(|line| !line.starts_with("CREATE Class 0 [")), "the log says what was done: {lines:?}");
        for (name, _) in &groups {
            world.control().restore_group(&id_of(name)).unwrap();
        }
        world.sync().await;
        let again: Vec<String> = teams(&world).await.into_iter().map(|team| team.name).collect();
        assert_eq!(again, names);
        assert_settled(&world).await;
    }

    async fn d48_small_teams_that_are_all_emptied_at_once_are_held(backend) {
        let groups: Vec<(String, Vec<&str>)> = (0..6).map(|n| (format!("Class {n}"), DOZEN[..4].to_vec())).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(name, members)| (name.as_str(), members.as_slice())).collect();
        let world = World::with_rules(backend, school(&DOZEN, &[], &groups), groups_only()).await;
        world.sync().await;
        let before = roster(&world).await;
        for (name, members) in &groups {
            for member in &members[..3] {
                world.control().remove_member(&id_of(name), &id_of(member)).unwrap();
            }
        }
        let run = world.sync().await;
        assert_eq!((run.summary.memberships.held, run.summary.memberships.removed), (18, 0), "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, before);
        let hold = world.store.open_hold_of(world.integration).await.unwrap().expect("a hold is open");
        assert_eq!(hold.categories[0].0.as_str(), "MEMBER_REMOVALS");
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
}
