//! Teams of managers.

use lockstep_domain::{ManagerTeamDepth, TeamArchivalReason};
use serde_json::json;

use crate::team_world::{assert_settled, managers_only, memberships, roster, school, team, teams};
use crate::world::{World, both, id_of};

both! {
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
        let again = world.sync().await;
        assert_eq!((again.change_count, again.warnings), (0, run.warnings), "told for as long as it holds");
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
        assert!(run.warnings.iter().any(|w| w.code.as_str() == "SELF_MANAGER" && w.count == 1), "{:?}", run.warnings);
        for run in [world.sync().await, world.full_sync().await] {
            assert!(run.warnings.iter().any(|w| w.code.as_str() == "SELF_MANAGER" && w.count == 1), "{:?}", run.warnings);
        }
        world.control().set_manager(&id_of("ada"), None).unwrap();
        assert_eq!(world.sync().await.warnings, Vec::new());
        assert_settled(&world).await;
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
