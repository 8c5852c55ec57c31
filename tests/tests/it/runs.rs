//! What runs do to users.

use lockstep_domain::{InboundRules, ReadMode, RunKind, RunState, RunTriggerKind, UserStatus};
use lockstep_sandbox::{Fault, FaultKind};
use lockstep_store::run::Requested;
use serde_json::json;

use crate::world::{World, actor, both, id_of, many, people, person, tenant};

both! {
    async fn e009_everyone_gets_a_user_and_a_second_run_writes_nothing(backend) {
        let world = World::around(backend, people(&["ada", "bob", "cyd"])).await;
        let run = world.sync().await;
        assert_eq!((run.state, run.read_mode), (RunState::Succeeded, Some(ReadMode::Full)));
        assert_eq!(run.summary.users.created, 3);
        assert_eq!(world.users().await.len(), 4, "three people and the owner");
        let before = world.users().await;
        let again = world.sync().await;
        assert_eq!((again.state, again.read_mode), (RunState::Succeeded, Some(ReadMode::Delta)));
        assert_eq!((again.change_count, again.cost.graph_requests), (0, 1), "e090, r034: one request, nothing written");
        assert_eq!(world.users().await, before);
        let full = world.full_sync().await;
        assert_eq!((full.change_count, full.summary.users.unchanged), (0, 3));
        assert_eq!(full.missed_by_delta, Some(0));
        assert_eq!(world.users().await, before);
    }

    async fn e010_e013_e014_exactly_the_three_changes_are_made(backend) {
        let rules = InboundRules { sync_job_title: true, ..InboundRules::default() };
        let world = World::with_rules(backend, people(&["ada", "bob", "cyd", "dan"]), rules).await;
        world.sync().await;
        let control = world.control();
        control.patch_user(&id_of("ada"), json!({ "accountEnabled": false })).unwrap();
        control.patch_user(&id_of("bob"), json!({ "jobTitle": "Head" })).unwrap();
        control.delete_user(&id_of("cyd")).unwrap();
        let run = world.sync().await;
        assert_eq!(
            world.lines(&run).await,
            [
                "DEACTIVATE ada Example [status: NOT_YET_ACTIVATED -> DEACTIVATED] APPLIED",
                "UPDATE bob Example [jobTitle: Teacher -> Head] APPLIED",
                "DEACTIVATE cyd Example [status: NOT_YET_ACTIVATED -> DEACTIVATED] APPLIED",
            ]
        );
        let users = run.summary.users;
        assert_eq!((users.created, users.updated, users.deactivated), (0, 1, 2));
        assert_eq!(world.user("cyd@example.com").await.deactivation_reason.map(|r| r.as_str()), Some("DELETED"));
        control.restore_user(&id_of("cyd")).unwrap();
        let id = world.user("cyd@example.com").await.id;
        let back = world.sync().await;
        assert_eq!(back.summary.users.reactivated, 1, "d16, fault_d18");
        assert_eq!(world.user("cyd@example.com").await.id, id);
    }

    async fn whoever_lost_a_manager_is_not_told_of_again(backend) {
        let mut room = person("room");
        room["givenName"] = json!(null);
        let world = World::around(backend, tenant(&[person("ada"), person("bob"), room])).await;
        world.control().set_manager(&id_of("room"), Some(&id_of("ada"))).unwrap();
        assert_eq!(world.sync().await.summary.users.skipped, 1);
        world.control().delete_user(&id_of("ada")).unwrap();
        let run = world.sync().await;
        assert_eq!((run.change_count, run.summary.users.deactivated), (1, 1), "{:?}", world.lines(&run).await);
    }

    async fn e3_two_people_swap_addresses_and_a_third_takes_one_that_is_given_up(backend) {
        let world = World::around(backend, people(&["ada", "bob", "cyd"])).await;
        world.sync().await;
        let (ada, bob) = (world.user("ada@example.com").await.id, world.user("bob@example.com").await.id);
        let control = world.control();
        control.patch_user(&id_of("ada"), json!({ "mail": "bob@example.com" })).unwrap();
        control.patch_user(&id_of("bob"), json!({ "mail": "ada@example.com" })).unwrap();
        control.patch_user(&id_of("cyd"), json!({ "mail": "cyd.new@example.com" })).unwrap();
        control.create_user(json!({ "mail": "cyd@example.com", "displayName": "Eve Example", "givenName": "Eve",
            "surname": "Example", "userPrincipalName": "eve@example.com", "accountEnabled": true, "userType": "Member" })).unwrap();
        let run = world.sync().await;
        assert_eq!(run.state, RunState::Succeeded, "{:?}", world.lines(&run).await);
        assert_eq!(world.user("bob@example.com").await.id, ada);
        assert_eq!(world.user("ada@example.com").await.id, bob);
        assert_eq!(world.user("cyd@example.com").await.given_name.as_deref(), Some("Eve"));
        assert_eq!(world.sync().await.change_count, 0);
    }

    async fn a_rule_change_looks_at_everyone_without_reading_everyone(backend) {
        let mut guest = person("gus");
        guest["userType"] = json!("Guest");
        let world = World::around(backend, tenant(&[person("ada"), guest])).await;
        let run = world.sync().await;
        assert_eq!((run.summary.users.created, run.summary.users.skipped), (1, 1));
        assert_eq!(run.state, RunState::SucceededWithWarnings);
        world.save_rules(&InboundRules { include_guest_users: true, sync_job_title: true, ..InboundRules::default() }).await;
        let run = world.sync().await;
        assert_eq!(run.read_mode, Some(ReadMode::Delta));
        assert_eq!((run.summary.users.created, run.summary.users.updated), (1, 1));
        world.save_rules(&InboundRules { sync_job_title: true, ..InboundRules::default() }).await;
        let run = world.sync().await;
        assert_eq!(run.summary.users.deactivated, 1, "d25: {:?}", world.lines(&run).await);
        assert_eq!(world.user("gus@example.com").await.status, UserStatus::Deactivated);
    }

    async fn fault_e11_rules_saved_during_a_run_hold_from_the_next_one_on(backend) {
        let mut guest = person("gus");
        guest["userType"] = json!("Guest");
        let world = World::around(backend, tenant(&[person("ada"), guest])).await;
        let gate = Fault::new(FaultKind::Gate).on_request("users.list").times(1);
        world.control().add_fault(gate).unwrap();
        let id = world.request(RunKind::Sync, false).await.run().id;
        let worker = world.worker();
        let work = tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await });
        world.control().gates_reached(1).await;
        world.save_rules(&InboundRules { include_guest_users: true, ..InboundRules::default() }).await;
        world.control().clear_faults();
        work.await.unwrap();
        let run = world.read_run(id).await;
        assert_eq!((run.rules_version, run.summary.users.created, run.summary.users.skipped), (1, 1, 1));
        let next = world.sync().await;
        assert_eq!((next.rules_version, next.summary.users.created), (2, 1), "{:?}", world.lines(&next).await);
        assert_eq!(world.sync().await.change_count, 0);
    }

    async fn settings_can_be_changed_while_pages_are_saved(backend) {
        let world = World::around(backend, many(3_000)).await;
        let id = world.request(RunKind::Sync, false).await.run().id;
        let worker = world.worker();
        let work = tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await });
        while !work.is_finished() {
            assert!(matches!(world.request(RunKind::Preview, false).await, Requested::Busy(_) | Requested::Queued(_)));
        }
        work.await.unwrap();
        let run = world.read_run(id).await;
        assert_eq!((run.state, run.attempt, run.summary.users.created), (RunState::Succeeded, 1, 3_000), "{:?}", run.error);
    }

    async fn d68_untested_settings_are_used_with_a_warning(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        let integration = world.integration().await;
        let tx = world.store.begin().await.unwrap();
        let rules = InboundRules { sync_job_title: true, ..InboundRules::default() };
        world.store.save_rules(&tx, &integration, &rules, &actor(&world.owner)).await.unwrap();
        tx.commit().await.unwrap();
        let run = world.sync().await;
        assert_eq!(run.state, RunState::SucceededWithWarnings);
        assert_eq!(run.warnings[0].code.as_str(), "UNTESTED_SETTINGS");
        world.pass_test().await;
        assert_eq!(world.sync().await.state, RunState::Succeeded);
    }

    async fn another_tenant_is_another_directory(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        assert_eq!(world.run(RunKind::Preview, false).await.summary.users.created, 2);
        let mut app = world.store.credential(world.integration).await.unwrap().unwrap().app;
        let waiting = world.request(RunKind::Sync, false).await.run().id;
        app.tenant_id = "other.example".into();
        let tx = world.store.begin().await.unwrap();
        world.store.save_credential(&tx, world.integration, &app, None, &actor(&world.owner)).await.unwrap();
        tx.commit().await.unwrap();
        let integration = world.integration().await;
        assert_eq!((integration.users_delta_link, integration.last_full_read_at), (None, None));
        assert_eq!(world.store.count_dirty_users(world.integration).await.unwrap(), 0, "nobody of the old tenant is left");
        assert_eq!(world.read_run(waiting).await.state, RunState::Canceled);
    }

    async fn a_preview_shows_and_applies_nothing_and_a_real_run_cancels_it(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        let preview = world.run(RunKind::Preview, false).await;
        assert_eq!((preview.state, preview.summary.users.created), (RunState::Succeeded, 2));
        assert!(preview.plan_hash.is_some());
        assert_eq!(world.users().await.len(), 1);
        let waiting = world.request(RunKind::Preview, false).await.run().id;
        let run = world.sync().await;
        assert_eq!(run.summary.users.created, 2, "what the preview saw is not lost");
        assert_eq!(world.read_run(waiting).await.state, RunState::Canceled);
    }

    async fn d53_one_run_at_a_time_and_a_second_wish_gets_the_same_run(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        let wishes = (0..20).map(|_| world.request(RunKind::Sync, false));
        let runs = futures::future::join_all(wishes).await;
        let ids: std::collections::BTreeSet<_> = runs.iter().map(|wish| wish.run().id).collect();
        assert_eq!(ids.len(), 1, "fault_a12");
        let (one, two) = (world.worker(), world.worker());
        let id = *ids.first().unwrap();
        tokio::join!(lockstep_worker::run::work(&one, id), lockstep_worker::run::work(&two, id));
        let run = world.read_run(id).await;
        assert_eq!((run.state, run.attempt, run.summary.users.created), (RunState::Succeeded, 1, 1));
    }

    async fn e062_e099_the_schedule_starts_each_slot_once(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        world.sync().await;
        let start = world.integration().await.next_start_at.expect("is active");
        let slot: chrono::DateTime<chrono::Utc> = "2026-03-03T04:00:00Z".parse().unwrap();
        assert!(start >= slot && start <= slot + chrono::Duration::minutes(10), "d65: {start}");
        assert_eq!(world.store.start_due_runs().await.unwrap(), []);
        world.clock.set(start + chrono::Duration::days(2));
        let (a, b) = tokio::join!(world.store.start_due_runs(), world.store.start_due_runs());
        let started: Vec<_> = a.unwrap().into_iter().chain(b.unwrap()).collect();
        assert_eq!(started.len(), 1, "fault_g1, fault_g2: a missed slot runs once");
        let run = world.read_run(started[0]).await;
        assert_eq!((run.trigger, run.triggered_by, run.slot_at), (RunTriggerKind::Schedule, None, Some(slot)), "e077");
        lockstep_worker::run::work(&world.worker(), run.id).await;
        assert_eq!(world.read_run(run.id).await.state, RunState::Succeeded);
        assert!(world.integration().await.next_start_at.unwrap() > world.store.now());
    }

    async fn d52_after_a_week_everything_is_read_and_what_delta_missed_is_found(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        world.sync().await;
        world.control().skip_changes(1);
        world.control().patch_user(&id_of("ada"), json!({ "surname": "Lovelace" })).unwrap();
        assert_eq!(world.sync().await.change_count, 0, "fault_d16: the event is lost");
        world.clock.advance(chrono::Duration::days(6));
        assert_eq!(world.sync().await.read_mode, Some(ReadMode::Delta));
        world.clock.advance(chrono::Duration::days(1));
        let sweep = world.sync().await;
        assert_eq!((sweep.read_mode, sweep.missed_by_delta), (Some(ReadMode::Full), Some(1)));
        assert_eq!(sweep.summary.users.updated, 1);
        assert_eq!(sweep.warnings[0].code.as_str(), "MISSED_BY_DELTA");
    }

    async fn a_tenant_of_several_pages_is_read_whole(backend) {
        let world = World::around(backend, many(2_500)).await;
        let run = world.sync().await;
        assert_eq!((run.summary.users.created, run.change_count), (2_500, 2_500));
        assert_eq!(run.cost.graph_requests, 4, "the delta link and three pages of 999");
        let sequences: Vec<i64> = world.changes(&run).await.iter().map(|change| change.sequence).collect();
        assert_eq!(sequences, (1..=2_500).collect::<Vec<i64>>(), "without gaps");
        let mut events: Vec<i64> = world.changes(&run).await.iter().filter_map(|change| change.event_sequence).collect();
        events.sort_unstable();
        events.dedup();
        assert_eq!(events.len(), 2_500, "every outcome is told once");
        assert!(events.last().unwrap() < &run.sequence);
    }
}
