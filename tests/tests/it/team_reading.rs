//! What no run does to teams: act on what it did not read, or did not confirm, or read from a copy that lags behind.

use lockstep_domain::{GroupCondition, ManagerTeamDepth, ReadMode, RunState, TeamStatus};
use serde_json::json;

use crate::team_world::{
    DOZEN, assert_settled, dozen, edit_members, groups_only, managers_only, roster, rules, school,
    team,
};
use crate::world::{World, both, id_of};

both! {
    async fn d21_a_managers_team_stays_when_its_only_report_was_removed_by_hand_and_is_missing(backend) {
        use lockstep_sandbox::{Fault, FaultKind};
        let mut missed = 0;
        for name in ["p01", "p02", "p03", "p04", "p05", "p06"] {
            let world = World::with_rules(backend, school(&["boss", name, "x1", "x2"], &[(name, "boss")], &[]), managers_only()).await;
            world.sync().await;
            edit_members(&world, "boss Example's team", name, false).await;
            world.sync().await;
            world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 2 }).on_request("users.list")).unwrap();
            let run = world.full_sync().await;
            let lines = world.lines(&run).await;
            missed += usize::from(lines.iter().any(|line| line.contains(&format!("DEACTIVATE {name}")) && line.contains("SKIPPED")));
            assert_eq!(run.summary.teams.deactivated, 0, "{lines:?}");
        }
        assert!(missed > 0, "the report was never missing");
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

    async fn d51_nobody_leaves_the_team_of_a_group_around_one_that_cannot_be_read(backend) {
        use lockstep_sandbox::Fault;
        let tenant = school(&["ada", "bob", "cyd"], &[], &[("Outer", &["ada", "bob"]), ("Inner", &[])]);
        let mut rules = groups_only();
        rules.group_teams.exclude = vec![GroupCondition::NamePattern("inner".to_owned())];
        let world = World::with_rules(backend, tenant, rules).await;
        world.control().add_fault(Fault::status(403).on(format!("/groups/{}/members", id_of("Inner")))).unwrap();
        world.control().add_member(&id_of("Outer"), &id_of("Inner")).unwrap();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Outer: ada, bob"]);
        // Bob moves into the nested group, where nobody can see it; cyd joins, and ada is no longer active.
        world.control().remove_member(&id_of("Outer"), &id_of("bob")).unwrap();
        world.control().add_member(&id_of("Outer"), &id_of("cyd")).unwrap();
        world.control().patch_user(&id_of("ada"), json!({ "accountEnabled": false })).unwrap();
        let run = world.sync().await;
        assert_eq!(roster(&world).await, ["Outer: bob, cyd"], "{:?}", world.lines(&run).await);
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "GROUP_UNREADABLE" && w.count == 1), "{:?}", run.warnings);
        world.control().clear_faults();
        world.sync().await;
        assert_eq!(roster(&world).await, ["Outer: cyd"], "as soon as it can be read");
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

    async fn d51_hidden_members_are_not_asked_for_without_the_permission(backend) {
        use lockstep_sandbox::Fault;
        let tenant = school(&["ada", "bob"], &[], &[("Board", &["ada"]), ("Staff", &["bob"])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        assert_eq!(roster(&world).await, ["Board: ada", "Staff: bob"]);
        for group in ["Board", "Staff"] {
            world.control().patch_group(&id_of(group), json!({ "visibility": "HiddenMembership" })).unwrap();
        }
        world.control().add_fault(Fault::status(403).on("/members")).unwrap();
        let run = world.full_sync().await;
        assert_eq!(run.state, RunState::SucceededWithWarnings, "not a missing permission of the run: {:?}", run.error);
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "MEMBERS_HIDDEN" && w.count == 2), "{:?}", run.warnings);
        assert_eq!(roster(&world).await, ["Board: ada", "Staff: bob"]);
        world.control().reset_requests();
        world.sync().await;
        let kinds: Vec<String> = world.control().requests().into_iter().map(|line| line.kind).collect();
        assert_eq!(kinds, ["token", "users.delta", "groups.delta"], "nobody asks again for what is not shown");
    }

    async fn hidden_members_on_pages_that_show_nobody_are_not_taken_for_none(backend) {
        use lockstep_sandbox::{EmptyPage, Fault, FaultKind, OptionsPatch};
        let tenant = school(&["ada", "bob"], &[], &[("Board", &["ada"]), ("Staff", &["bob"])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        // A token that tells no permissions, and a hidden group whose pages are all empty.
        world.control().patch_group(&id_of("Board"), json!({ "visibility": "HiddenMembership" })).unwrap();
        world.control().set_options(OptionsPatch { opaque_tokens: Some(true), ..OptionsPatch::default() });
        let empty = FaultKind::Empty { next_link: EmptyPage::Extra };
        world.control().add_fault(Fault::new(empty).on(format!("/groups/{}/members", id_of("Board"))).times(1)).unwrap();
        let run = world.full_sync().await;
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "MEMBERS_HIDDEN" && w.count == 1), "{:?}", run.warnings);
        assert_eq!(roster(&world).await, ["Board: ada", "Staff: bob"]);
    }

    async fn d21_members_whom_one_list_lacks_stay_until_another_does(backend) {
        use lockstep_sandbox::{EmptyPage, Fault, FaultKind};
        let tenant = school(&DOZEN, &[], &[("All", &DOZEN), ("Few", &DOZEN[..3])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        let before = roster(&world).await;
        // An empty copy of the directory answers once; a removal that no delta told is in every list.
        let empty = FaultKind::Empty { next_link: EmptyPage::None };
        world.control().add_fault(Fault::new(empty).on_request("groups.members").times(2)).unwrap();
        let run = world.full_sync().await;
        assert_eq!(run.change_count, 0, "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, before);
        world.control().skip_changes(1);
        world.control().remove_member(&id_of("Few"), &id_of("p00")).unwrap();
        let run = world.full_sync().await;
        assert_eq!((run.summary.memberships.removed, run.missed_by_delta), (1, Some(1)), "{:?}", world.lines(&run).await);
        assert_settled(&world).await;
    }

    async fn d21_whoever_a_stale_copy_lacks_altogether_keeps_the_teams(backend) {
        use lockstep_sandbox::{Fault, FaultKind};
        let world = dozen(backend, &DOZEN[1..]).await;
        let before = roster(&world).await;
        for request in ["users.list", "groups.members"] {
            world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 4 }).on_request(request)).unwrap();
        }
        let run = world.full_sync().await;
        assert!(run.summary.users.skipped > 0, "someone was missing: {:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, before);
        world.control().clear_faults();
        let run = world.sync().await;
        assert_eq!((run.read_mode, run.summary.memberships.removed), (Some(ReadMode::Full), 0), "{:?}", world.lines(&run).await);
        assert_eq!(roster(&world).await, before);
        assert_settled(&world).await;
    }

    async fn d52_what_changed_has_the_last_word_over_a_list_that_lags_behind(backend) {
        use lockstep_sandbox::{Fault, FaultKind};
        let world = World::with_rules(backend, school(&DOZEN, &[], &[("All", &DOZEN[..6])]), groups_only()).await;
        world.sync().await;
        for name in &DOZEN[6..] {
            world.control().add_member(&id_of("All"), &id_of(name)).unwrap();
        }
        world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 2 }).on_request("groups.members")).unwrap();
        // Whom no list shows is removed, but for those of whom the changes say that they joined.
        let run = world.full_sync().await;
        let everyone = world.control().member_ids(&id_of("All")).len();
        assert_eq!((everyone, run.summary.memberships.created), (12, 6), "{:?}", world.lines(&run).await);
    }

    async fn d18_whoever_is_restored_is_back_in_every_team(backend) {
        let tenant = school(&["ada", "bob", "cyd"], &[("bob", "ada"), ("cyd", "ada")], &[("Sales", &["ada", "bob", "cyd"]), ("Staff", &["cyd"])]);
        for quiet in [false, true] {
            let world = World::with_rules(backend, tenant.clone(), rules()).await;
            world.control().set_options(lockstep_sandbox::OptionsPatch { quiet_deletions: Some(quiet), ..Default::default() });
            world.sync().await;
            let before = roster(&world).await;
            for name in ["ada", "bob"] {
                world.control().delete_user(&id_of(name)).unwrap();
            }
            let run = world.sync().await;
            assert_eq!(run.summary.users.deactivated, 2, "{:?}", world.lines(&run).await);
            let run = world.full_sync().await;
            assert_eq!((run.missed_by_delta, run.change_count), (Some(0), 0), "quiet: {quiet}, {:?}", world.lines(&run).await);
            for name in ["ada", "bob"] {
                world.control().restore_user(&id_of(name)).unwrap();
            }
            let run = world.sync().await;
            assert_eq!((run.read_mode, roster(&world).await), (Some(ReadMode::Full), before), "quiet: {quiet}, {:?}", world.lines(&run).await);
            assert_eq!(world.sync().await.read_mode, Some(ReadMode::Delta), "listed once");
            assert_settled(&world).await;
        }
    }

    async fn d18_whoever_only_a_list_found_to_be_deleted_is_back_in_every_team_too(backend) {
        let tenant = school(&["ada", "bob", "cyd"], &[("bob", "ada"), ("cyd", "bob")], &[("Sales", &["ada", "bob", "cyd"])]);
        let world = World::with_rules(backend, tenant, rules()).await;
        world.control().set_options(lockstep_sandbox::OptionsPatch { quiet_deletions: Some(true), ..Default::default() });
        world.sync().await;
        let before = roster(&world).await;
        world.control().skip_changes(1);
        world.control().delete_user(&id_of("bob")).unwrap();
        let run = world.full_sync().await;
        assert_eq!(world.user("bob@example.com").await.deactivation_reason.map(|r| r.as_str()), Some("NOT_FOUND"), "{:?}", world.lines(&run).await);
        world.control().restore_user(&id_of("bob")).unwrap();
        let run = world.sync().await;
        assert_eq!((run.read_mode, roster(&world).await), (Some(ReadMode::Full), before), "{:?}", world.lines(&run).await);
        assert_eq!(world.sync().await.read_mode, Some(ReadMode::Delta), "listed once");
        assert_settled(&world).await;
    }

    async fn d37_nobody_is_counted_below_a_manager_who_is_deleted(backend) {
        let mut rules = managers_only();
        rules.manager_teams.depth = ManagerTeamDepth::AllLevels;
        let tenant = school(&["boss", "mid", "leaf", "aide"], &[("mid", "boss"), ("leaf", "mid"), ("aide", "boss")], &[]);
        for quiet in [false, true] {
            let world = World::with_rules(backend, tenant.clone(), rules.clone()).await;
            world.control().set_options(lockstep_sandbox::OptionsPatch { quiet_deletions: Some(quiet), ..Default::default() });
            world.sync().await;
            let before = roster(&world).await;
            world.control().delete_user(&id_of("mid")).unwrap();
            let run = world.sync().await;
            let by_delta = roster(&world).await;
            assert_eq!(by_delta[0], "boss Example's team: aide, boss*", "quiet: {quiet}, {:?}", world.lines(&run).await);
            assert!(run.warnings.is_empty(), "{:?}", run.warnings);
            let full = world.full_sync().await;
            assert_eq!((full.change_count, roster(&world).await), (0, by_delta), "quiet: {quiet}, {:?}", world.lines(&full).await);
            world.control().restore_user(&id_of("mid")).unwrap();
            world.sync().await;
            assert_eq!(roster(&world).await, before, "quiet: {quiet}");
            assert_settled(&world).await;
        }
    }

    async fn d21_a_second_look_at_members_goes_in_batches(backend) {
        use lockstep_sandbox::{EmptyPage, Fault, FaultKind};
        let groups: Vec<String> = (0..45).map(|n| format!("Class {n:02}")).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|name| (name.as_str(), &DOZEN[..2])).collect();
        let mut rules = groups_only();
        rules.group_teams.owners_are_supervisors = true;
        let world = World::with_rules(backend, school(&DOZEN, &[], &groups), rules).await;
        world.sync().await;
        let before = roster(&world).await;
        let empty = FaultKind::Empty { next_link: EmptyPage::None };
        world.control().add_fault(Fault::new(empty).on_request("groups.members").times(45)).unwrap();
        world.control().skip_changes(1);
        world.control().remove_member(&id_of("Class 44"), &id_of("p01")).unwrap();
        world.control().reset_requests();
        let run = world.full_sync().await;
        assert_eq!(run.summary.memberships.removed, 1, "absent twice: {:?}", world.lines(&run).await);
        let requests = world.control().requests();
        let alone = requests.iter().filter(|line| line.kind == "groups.members" && !line.batched);
        assert_eq!(alone.count(), 0, "a group at a time");
        let batches = requests.iter().filter(|line| line.kind == "batch").count();
        assert_eq!(batches, 9, "members, owners, and members once more, of 45 groups each");
        assert_eq!(roster(&world).await[..44], before[..44]);
        assert_settled(&world).await;
    }

    async fn someone_who_was_missing_and_is_there_after_all_joins_with_the_next_run(backend) {
        let names: Vec<String> = (0..12).map(|n| format!("p{n:02}")).collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        use lockstep_sandbox::{Fault, FaultKind};
        let world = World::with_rules(backend, school(&people, &[], &[("All", &people[..1]), ("Outer", &people[..1])]), rules()).await;
        world.control().add_member(&id_of("Outer"), &id_of("All")).unwrap();
        world.sync().await;
        for name in &people[1..] {
            world.control().add_member(&id_of("All"), &id_of(name)).unwrap();
            // What changes tell is believed over a list.
            world.control().skip_changes(1);
            world.control().set_manager(&id_of(name), Some(&id_of("p00"))).unwrap();
        }
        world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 4 }).on_request("users.list")).unwrap();
        let run = world.full_sync().await;
        assert!(run.summary.users.skipped > 0, "someone was missing: {:?}", world.lines(&run).await);
        world.control().clear_faults();
        world.full_sync().await;
        let everyone = people[1..].join(", ");
        assert_eq!(roster(&world).await, [format!("All: p00, {everyone}"), format!("Outer: p00, {everyone}"), format!("p00 Example's team: p00*, {everyone}")]);
        assert_settled(&world).await;
    }

    async fn someone_who_was_missing_joins_the_teams_of_outer_groups_with_the_next_run(backend) {
        use lockstep_sandbox::{Fault, FaultKind};
        let tenant = school(&DOZEN, &[], &[("Inner", &DOZEN[..1]), ("Outer", &DOZEN[..1])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.control().add_member(&id_of("Outer"), &id_of("Inner")).unwrap();
        world.sync().await;
        for name in &DOZEN[1..] {
            world.control().add_member(&id_of("Inner"), &id_of(name)).unwrap();
        }
        world.control().add_fault(Fault::new(FaultKind::Hide { modulus: 4 }).on_request("users.list")).unwrap();
        let run = world.full_sync().await;
        assert!(run.summary.users.skipped > 0, "someone was missing: {:?}", world.lines(&run).await);
        world.control().clear_faults();
        let run = world.sync().await;
        let everyone = DOZEN.join(", ");
        assert_eq!(roster(&world).await, [format!("Inner: {everyone}"), format!("Outer: {everyone}")], "{:?}", world.lines(&run).await);
        assert_settled(&world).await;
    }
}
