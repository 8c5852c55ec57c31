//! Teams of groups, and what is done to teams by hand.

use std::collections::BTreeMap;

use lockstep_domain::{
    CheckStatus, GroupCondition, GroupMembership, GroupType, InboundRules, RecordOrigin, RunState,
    SwitchedOffPolicy, TeamArchivalReason, TeamStatus,
};
use lockstep_sandbox::Tenant;
use serde_json::json;

use crate::failures::tested;
use crate::team_world::{
    assert_settled, edit_members, groups_only, managers_only, members, memberships, rename, roster,
    rules, school, team, teams,
};
use crate::world::{World, both, id_of, person};

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

    async fn d27_d29_every_kind_of_group_makes_a_team_and_members_who_are_no_people_are_counted(backend) {
        let kinds = [("Security", false, true, vec![]), ("Unified", true, false, vec!["Unified"]), ("Mail", true, true, vec![]),
            ("Distribution", true, false, vec![]), ("Dynamic", false, true, vec!["DynamicMembership"])];
        let groups: Vec<_> = kinds.iter().map(|(name, mail, security, types)| json!({
            "id": id_of(name), "displayName": name, "mailEnabled": mail, "securityEnabled": security, "groupTypes": types })).collect();
        let others: Vec<_> = [("pc", "device"), ("app", "servicePrincipal"), ("partner", "orgContact")]
            .map(|(name, kind)| json!({ "@odata.type": format!("#microsoft.graph.{kind}"), "id": id_of(name), "displayName": name })).into();
        let mut members: BTreeMap<String, Vec<String>> = kinds.iter().map(|kind| (id_of(kind.0), vec![id_of("ada")])).collect();
        members.insert(id_of("Mail"), ["ada", "pc", "app", "partner"].map(id_of).into());
        let data = json!({ "users": [person("ada")], "groups": groups, "others": others, "members": members });
        let world = World::with_rules(backend, Tenant::from_json(data.to_string().as_bytes()).unwrap(), groups_only()).await;
        let run = world.sync().await;
        assert_eq!(roster(&world).await, ["Distribution: ada", "Dynamic: ada", "Mail: ada", "Security: ada", "Unified: ada"]);
        let unsupported = run.warnings.iter().find(|warning| warning.code.as_str() == "UNSUPPORTED_MEMBERS");
        assert_eq!(unsupported.map(|warning| warning.count), Some(3), "{:?}", run.warnings);
        let mut rules = groups_only();
        rules.group_teams.include = [GroupType::Microsoft365, GroupType::Distribution].map(GroupCondition::Type).into();
        world.save_rules(&rules).await;
        world.sync().await;
        let left = ["Dynamic (archived): ", "Mail (archived): ", "Security (archived): "];
        assert_eq!(roster(&world).await, [&["Distribution: ada"][..], &left[..], &["Unified: ada"][..]].concat());
    }

    async fn d67_a_test_reads_groups_and_members_when_teams_are_made_of_them(backend) {
        let tenant = school(&["ada"], &[], &[("Sales", &["ada"]), ("Staff", &[])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        let test = tested(&world).await;
        let names: Vec<&str> = test.sample_groups.iter().map(|group| group.shown_name()).collect();
        assert_eq!((test.status, names), (CheckStatus::Passed, vec!["Sales", "Staff"]), "{:?}", test.checks);
        assert!(test.checks.iter().any(|check| check.message == "Read as a sample: 1 member of a group."), "{:?}", test.checks);
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

    async fn d35_whoever_was_put_in_and_removed_by_hand_before_any_run_stays_out(backend) {
        let world = World::with_rules(backend, school(&["ada", "bob", "cyd"], &[], &[("Sales", &["ada"])]), groups_only()).await;
        world.sync().await;
        for name in ["bob", "cyd"] {
            edit_members(&world, "Sales", name, true).await;
        }
        // The directory says it as well, and no run has read that when bob is removed.
        for name in ["bob", "cyd"] {
            world.control().add_member(&id_of("Sales"), &id_of(name)).unwrap();
        }
        edit_members(&world, "Sales", "bob", false).await;
        world.sync().await;
        assert_eq!(roster(&world).await, ["Sales: ada, cyd+"], "bob stays out");
        edit_members(&world, "Sales", "cyd", false).await;
        for run in [world.sync().await, world.full_sync().await] {
            assert_eq!(run.summary.memberships.created, 0, "{:?}", world.lines(&run).await);
        }
        assert_eq!(roster(&world).await, ["Sales: ada"]);
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
}
