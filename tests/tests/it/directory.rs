//! What a directory can say that must not be believed too quickly.

use lockstep_domain::{
    ChangeLimit, InboundLimits, InboundRules, PauseReason, ReadMode, RunErrorCode, RunState,
    UserStatus,
};
use lockstep_sandbox::{EmptyPage, Fault, FaultKind};
use serde_json::json;

use crate::world::{World, both, id_of, many, people};

both! {
    async fn fault_d12_an_empty_directory_deactivates_nobody(backend) {
        let generous = ChangeLimit { allowance: 1_000, percent: None, maximum: None };
        let limits = InboundLimits { user_deactivations: generous, email_changes: generous, ..InboundLimits::default() };
        let rules = InboundRules { limits, ..InboundRules::default() };
        let world = World::with_rules(backend, many(30), rules).await;
        world.sync().await;
        world.control().add_fault(Fault::new(FaultKind::Empty { next_link: EmptyPage::None }).on_request("users.list")).unwrap();
        let run = world.full_sync().await;
        assert_eq!((run.state, run.summary.users.held, run.summary.users.deactivated), (RunState::SucceededWithWarnings, 30, 0));
        let hold = world.store.open_hold_of(world.integration).await.unwrap().expect("a hold is open");
        assert_eq!(hold.categories[0].0.as_str(), "EMPTY_SOURCE", "d48: cannot be switched off");
        assert_eq!(world.control().request_counts().kind("users.get"), 0, "nobody is asked for by id");
        let again = world.full_sync().await;
        assert_eq!(again.hold_id, Some(hold.id), "carried on, not opened again");
        assert_eq!(world.store.open_hold_of(world.integration).await.unwrap().unwrap().plan_hash, hold.plan_hash);
        world.control().clear_faults();
        let healed = world.full_sync().await;
        assert_eq!((healed.summary.users.held, healed.hold_id), (0, None));
        assert!(world.store.open_hold_of(world.integration).await.unwrap().is_none(), "d49: a later run finds fewer");
        assert!(world.users().await.iter().all(|user| user.status != UserStatus::Deactivated));
    }

    async fn fault_d13_half_of_the_people_missing_is_held_and_the_rest_goes_on(backend) {
        let world = World::around(backend, many(40)).await;
        world.sync().await;
        let control = world.control();
        control.add_fault(Fault::new(FaultKind::Hide { modulus: 2 }).on_request("users.list")).unwrap();
        control.patch_user(&id_of("p00001"), json!({ "surname": "Changed" })).unwrap();
        let run = world.full_sync().await;
        let users = run.summary.users;
        assert_eq!((users.deactivated, users.updated), (0, 1), "what is below the limits is applied");
        assert!(users.held > 10, "{users:?}");
        let hold = world.store.open_hold_of(world.integration).await.unwrap().unwrap();
        assert_eq!(hold.categories[0].0.as_str(), "USER_DEACTIVATIONS");
    }

    async fn d21_whoever_a_list_missed_is_asked_for_by_id_first(backend) {
        let world = World::around(backend, many(60)).await;
        world.sync().await;
        let control = world.control();
        control.skip_changes(1);
        control.purge_user(&id_of("p00007")).unwrap();
        control.add_fault(Fault::new(FaultKind::Hide { modulus: 20 }).on_request("users.list")).unwrap();
        let run = world.full_sync().await;
        let users = run.summary.users;
        assert_eq!(users.deactivated, 1, "the one who is really gone: {:?}", world.lines(&run).await);
        assert!(users.skipped >= 2, "those who are there after all");
        assert!(run.warnings.iter().any(|warning| warning.code.as_str() == "DEPARTURE_NOT_CONFIRMED"));
        assert_eq!(world.user("p00007@example.com").await.deactivation_reason.map(|r| r.as_str()), Some("NOT_FOUND"));
        control.clear_faults();
        assert_eq!(world.full_sync().await.change_count, 0);
    }

    async fn fault_d14_a_read_that_breaks_off_concludes_nothing(backend) {
        let world = World::around(backend, many(2_500)).await;
        world.sync().await;
        let control = world.control();
        control.skip_changes(1);
        control.delete_user(&id_of("p00001")).unwrap();
        control.add_fault(Fault::status(500).on_request("users.list").after(2)).unwrap();
        let run = world.full_sync().await;
        assert_eq!(run.state, RunState::Failed);
        assert_eq!(run.error.as_ref().map(|error| error.code), Some(RunErrorCode::ProviderUnavailable));
        assert_eq!(run.change_count, 0);
        let pause = world.integration().await.pause.expect("e099: paused");
        assert_eq!(pause.reason, PauseReason::ProviderUnavailable);
        assert!(pause.next_attempt_at.is_some(), "d60: tries again by itself");
        control.clear_faults();
        let run = world.full_sync().await;
        assert_eq!(run.summary.users.deactivated, 1);
        assert!(world.integration().await.pause.is_none(), "e101");
    }

    async fn fault_d15_a_forgotten_delta_link_means_reading_everything(backend) {
        for status in [410, 400] {
            let world = World::around(backend, people(&["ada", "bob"])).await;
            world.sync().await;
            world.control().expire_delta_tokens(status);
            world.control().delete_user(&id_of("bob")).unwrap();
            let run = world.sync().await;
            assert_eq!((run.read_mode, run.summary.users.deactivated), (Some(ReadMode::Full), 1), "{status}");
            assert_eq!(run.warnings[0].code.as_str(), "DELTA_RESET");
            assert_eq!(world.sync().await.read_mode, Some(ReadMode::Delta));
        }
    }

    async fn fault_d15_a_delta_link_that_is_refused_in_other_words_is_given_up_too(backend) {
        for (status, is_full) in [(400, false), (404, false), (400, true)] {
            let world = World::around(backend, people(&["ada", "bob"])).await;
            world.sync().await;
            world.control().add_fault(Fault::status(status).on_request("users.delta").times(1)).unwrap();
            world.control().delete_user(&id_of("bob")).unwrap();
            let run = if is_full { world.full_sync().await } else { world.sync().await };
            assert_eq!((run.read_mode, run.summary.users.deactivated), (Some(ReadMode::Full), 1), "{status}: {:?}", run.error);
            assert_eq!(run.warnings[0].code.as_str(), "DELTA_RESET");
            assert_eq!(world.sync().await.read_mode, Some(ReadMode::Delta));
        }
        let world = World::around(backend, people(&["ada"])).await;
        world.sync().await;
        world.control().add_fault(Fault::status(403).on_request("users.delta").times(1)).unwrap();
        assert_eq!(world.sync().await.error.map(|error| error.code), Some(RunErrorCode::PermissionMissing), "no verdict on the link");
    }

    async fn everyday_weather_does_not_stop_a_run(backend) {
        let faults = [
            Fault::status(503).times(2),
            Fault::throttled(Some(lockstep_sandbox::RetryAfter::fractional(0.01))).times(2),
            Fault::new(FaultKind::Reset).times(1),
            Fault::new(FaultKind::Truncate).times(2),
            Fault::new(FaultKind::Html { status: 502 }).times(1),
            Fault::new(FaultKind::Empty { next_link: EmptyPage::Extra }).times(1),
            Fault::new(FaultKind::Duplicate).times(1),
        ];
        for fault in faults {
            let world = World::around(backend, many(1_200)).await;
            let name = format!("{:?}", fault.kind);
            world.control().add_fault(fault.on_request("users.list")).unwrap();
            let run = world.sync().await;
            assert_eq!((run.state, run.summary.users.created), (RunState::Succeeded, 1_200), "{name}: {:?}", run.error);
            assert_eq!(world.sync().await.change_count, 0, "{name}");
        }
    }

    async fn fault_d10_links_that_lead_elsewhere_or_in_a_circle_are_not_followed(backend) {
        for kind in [FaultKind::ForeignNextLink, FaultKind::LoopNextLink] {
            let world = World::around(backend, many(1_200)).await;
            world.control().add_fault(Fault::new(kind).on_request("users.list")).unwrap();
            let run = world.sync().await;
            assert_eq!(run.error.as_ref().map(|error| error.code), Some(RunErrorCode::ProviderBadResponse));
            assert_eq!(world.users().await.len(), 1, "nobody was created from half a list");
        }
    }

    async fn fault_d22_a_token_that_ends_in_the_middle_is_renewed(backend) {
        let world = World::around(backend, many(2_500)).await;
        world.control().add_fault(Fault::status(401).on_request("users.list").after(1).times(1)).unwrap();
        let run = world.sync().await;
        assert_eq!((run.state, run.summary.users.created), (RunState::Succeeded, 2_500), "{:?}", run.error);
    }

    async fn e7_d19_the_last_active_owner_stays(backend) {
        let world = World::around(backend, people(&["ada", "bob", "cyd", "dan", "eve"])).await;
        world.sync().await;
        crate::world::sql(&world, "UPDATE platform_user SET role = 'OWNER' WHERE email = 'ada@example.com'").await;
        crate::world::sql(&world, "UPDATE platform_user SET role = 'MEMBER' WHERE email = 'olga@owner.example'").await;
        world.control().delete_user(&id_of("ada")).unwrap();
        world.control().delete_user(&id_of("bob")).unwrap();
        let run = world.sync().await;
        assert_eq!((run.summary.users.deactivated, run.summary.users.skipped), (1, 1), "{:?}", world.lines(&run).await);
        assert_ne!(world.user("ada@example.com").await.status, UserStatus::Deactivated);
        assert_eq!(run.warnings[0].code.as_str(), "LAST_OWNER_PROTECTED");
    }

    async fn d48_everyone_leaving_is_held_and_the_last_owner_with_them(backend) {
        let world = World::around(backend, people(&["ada", "bob", "cyd", "dan", "eve", "fay"])).await;
        world.sync().await;
        crate::world::sql(&world, "UPDATE platform_user SET role = 'OWNER' WHERE email = 'ada@example.com'").await;
        crate::world::sql(&world, "UPDATE platform_user SET role = 'MEMBER' WHERE email = 'olga@owner.example'").await;
        for name in ["ada", "bob", "cyd", "dan", "eve", "fay"] {
            world.control().patch_user(&id_of(name), json!({ "accountEnabled": false })).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.users.deactivated, run.summary.users.held),
            (0, 6), "{:?}", world.lines(&run).await);
        let hold = world.store.open_hold_of(world.integration).await.unwrap().unwrap();
        assert_eq!(hold.categories[0].0.as_str(), "ALL_USERS_GONE");
    }

    async fn fault_e10_an_edit_during_the_run_survives(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        world.sync().await;
        let gate = Fault::new(FaultKind::Gate).on_request("users.delta");
        world.control().add_fault(gate).unwrap();
        world.control().patch_user(&id_of("ada"), json!({ "surname": "Lovelace" })).unwrap();
        let id = world.request(lockstep_domain::RunKind::Sync, false).await.run().id;
        let worker = world.worker();
        let work = tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await });
        world.control().gates_reached(1).await;
        crate::world::sql(&world, "UPDATE platform_user SET family_name = 'Byron' WHERE email = 'bob@example.com'").await;
        world.control().clear_faults();
        work.await.unwrap();
        let run = world.read_run(id).await;
        assert_eq!(run.summary.users.updated, 1);
        assert_eq!(world.user("bob@example.com").await.family_name.as_deref(), Some("Byron"));
    }
}
