//! Workers that die over teams: however often, the teams and the change log come out the same.

use lockstep_domain::{RunKind, RunState};
use lockstep_sandbox::Tenant;
use lockstep_tests::wait::{PATIENCE, eventually};
use serde_json::json;

use crate::crashes::{die_after, die_anywhere};
use crate::team_world::{roster, rules, school};
use crate::world::{Backend, World, both, id_of, person};

/// Points between the reports at which runs die.
const POINTS: usize = 24;

fn tenant() -> Tenant {
    let names: Vec<String> = (0..30).map(|n| format!("p{n:02}")).collect();
    let people: Vec<&str> = names.iter().map(String::as_str).collect();
    let managers: Vec<(&str, &str)> = (5..30).map(|n| (people[n], people[n % 5])).collect();
    let outer = [&["Inner", "Ring"], &people[..3]].concat();
    school(
        &people,
        &managers,
        &[
            ("All", &people),
            ("Outer", &outer),
            ("Inner", &people[3..9]),
            ("Ring", &["Outer", "p20"]),
            ("Doomed", &people[10..14]),
            ("Renamed", &people[14..18]),
        ],
    )
}

fn change_a_lot(world: &World) {
    let control = world.control();
    control.create_user(person("new")).unwrap();
    control.add_member(&id_of("Inner"), &id_of("new")).unwrap();
    control
        .set_manager(&id_of("new"), Some(&id_of("p00")))
        .unwrap();
    control.delete_user(&id_of("p20")).unwrap();
    let off = json!({ "accountEnabled": false });
    control.patch_user(&id_of("p01"), off).unwrap();
    for n in [5, 7, 8] {
        let manager = id_of("p04");
        control
            .set_manager(&id_of(&format!("p{n:02}")), Some(&manager))
            .unwrap();
    }
    control.delete_group(&id_of("Doomed")).unwrap();
    let name = json!({ "displayName": "Another name" });
    control.patch_group(&id_of("Renamed"), name).unwrap();
    control
        .remove_member(&id_of("Inner"), &id_of("p03"))
        .unwrap();
    let married = json!({ "surname": "Married" });
    control.patch_user(&id_of("p02"), married).unwrap();
}

async fn world(backend: Backend, is_first: bool) -> World {
    let world = World::with_rules(backend, tenant(), rules()).await;
    if !is_first {
        world.sync().await;
        change_a_lot(&world);
    }
    world
}

/// The change log without the names of steps, sorted: what is decided on together may be cut differently.
async fn log(world: &World, run: &lockstep_store::run::Run) -> Vec<String> {
    let mut lines = world.lines(run).await;
    lines.sort();
    lines
}

async fn dirty_teams(world: &World) -> u64 {
    let dirty = world.store.count_dirty_teams(world.integration);
    dirty.await.unwrap()
}

async fn crash_at_every_step(backend: Backend, is_first: bool, full: bool) {
    let calm = world(backend, is_first).await;
    let reference = calm.run(RunKind::Sync, full).await;
    let (expected, entries) = (roster(&calm).await, log(&calm, &reference).await);
    calm.sync().await;
    // The team of a manager who left is looked at in every run, to tell how many people have none.
    let (standing, complaints) = (dirty_teams(&calm).await, reference.warnings.clone());
    assert!(standing <= 1, "{standing} for {complaints:?}");
    // Of what is stored, only some is reported, so a run dies after each report, and then at points in between.
    let waits = {
        let calm = world(backend, is_first).await;
        let id = calm.request(RunKind::Sync, full).await.run().id;
        die_anywhere(&calm, id, usize::MAX).await
    };
    let mut anywhere = 0;
    for step in 1.. {
        let world = world(backend, is_first).await;
        let id = world.request(RunKind::Sync, full).await.run().id;
        if anywhere == 0 && !die_after(&world, id, step).await {
            assert!(step > 12, "the run reports more often than {step} times");
            anywhere = 1;
            continue;
        }
        if anywhere > 0 {
            die_anywhere(&world, id, waits * anywhere / POINTS).await;
            anywhere += 1;
        }
        if anywhere == POINTS {
            return;
        }
        if world.read_run(id).await.state.has_ended() {
            continue;
        }
        world.clock.advance(chrono::Duration::seconds(31));
        // What was open is rolled back a little later, and a run that is being written to is not taken up.
        eventually("another worker takes the run up", PATIENCE, async || {
            lockstep_worker::run::work(&world.worker(), id).await;
            let has_ended = world.read_run(id).await.state.has_ended();
            has_ended.then_some(())
        })
        .await;
        let run = world.read_run(id).await;
        assert_eq!(
            run.state, reference.state,
            "after step {step}: {:?}",
            run.error
        );
        // A worker that dies before it has claimed the run, or after it has ended it, does not count.
        let attempts = if anywhere == 0 { 2..=2 } else { 1..=2 };
        assert!(
            attempts.contains(&run.attempt),
            "after step {step}: {}",
            run.attempt
        );
        assert_eq!(log(&world, &run).await, entries, "after step {step}");
        assert_eq!(run.summary, reference.summary, "after step {step}");
        assert_eq!(roster(&world).await, expected, "after step {step}");
        assert_eq!(run.warnings, reference.warnings, "after step {step}");
        let again = world.sync().await;
        assert_eq!(
            again.change_count,
            0,
            "after step {step}: {:?}",
            world.lines(&again).await
        );
        assert_eq!(
            dirty_teams(&world).await,
            standing,
            "after step {step}: nothing was left to do"
        );
    }
}

both! {
    async fn fault_a2_a3_a4_the_first_run_survives_a_crash_at_every_step(backend) {
        crash_at_every_step(backend, true, false).await;
    }

    async fn fault_a2_a3_a4_a_run_of_changes_survives_a_crash_at_every_step(backend) {
        crash_at_every_step(backend, false, false).await;
    }

    async fn fault_a2_a3_a4_a_sweep_survives_a_crash_at_every_step(backend) {
        crash_at_every_step(backend, false, true).await;
    }

    async fn a_run_that_is_canceled_leaves_nothing_undone_for_the_next(backend) {
        let calm = world(backend, true).await;
        calm.sync().await;
        let expected = roster(&calm).await;
        for step in [8, 11, 14] {
            let world = world(backend, true).await;
            let id = world.request(RunKind::Sync, false).await.run().id;
            if !die_after(&world, id, step).await {
                return;
            }
            let tx = world.store.begin().await.unwrap();
            world.store.cancel_run(&tx, id, &crate::world::actor(&world.owner)).await.unwrap();
            tx.commit().await.unwrap();
            world.clock.advance(chrono::Duration::seconds(31));
            lockstep_worker::run::work(&world.worker(), id).await;
            assert_eq!(world.read_run(id).await.state, RunState::Canceled);
            let run = world.sync().await;
            assert!(run.state.is_success(), "{:?}", run.error);
            assert_eq!(roster(&world).await, expected, "after step {step}");
        }
    }
}
