//! Workers that die, stop, or are thought dead: whatever happens, a run ends once and nothing is doubled.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt as _;
use lockstep_domain::{InboundRules, RunErrorCode, RunKind, RunState, SeededIds, UserStatus};
use lockstep_queue::Signal;
use lockstep_sandbox::{Fault, FaultKind};
use lockstep_store::Store;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::world::{Backend, World, both, id_of, many, people, person};

/// Works on a run until it has reported `steps` times, then vanishes like a killed process: whatever transaction
/// was open is rolled back, and nothing is released. False when the run ended before.
pub(crate) async fn die_after(world: &World, run: lockstep_domain::RunId, steps: usize) -> bool {
    let mut signals = world.bus().subscribe().filter(|signal| {
        let reported = matches!(signal, Signal::Run { run_id, .. } if *run_id == run);
        futures::future::ready(reported)
    });
    let worker = world.worker();
    let work = lockstep_worker::run::work(&worker, run);
    tokio::pin!(work);
    for _ in 0..steps {
        tokio::select! {
            biased;
            signal = signals.next() => assert!(signal.is_some()),
            () = &mut work => return false,
        }
    }
    true
}

/// Polls a future so many times, then drops it, like the future of a run that is stopped. Says how often it was polled.
async fn drop_after<F: Future>(polls: usize, future: F) -> usize {
    let mut future = std::pin::pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(());
        }
        polled += 1;
        future.as_mut().poll(context).map(drop)
    })
    .await;
    polled
}

/// Works on a run until it has waited so often for anyone, then vanishes like a killed process. Says how often it waited.
pub(crate) async fn die_anywhere(
    world: &World,
    run: lockstep_domain::RunId,
    waits: usize,
) -> usize {
    let worker = world.worker();
    drop_after(waits, lockstep_worker::run::work(&worker, run)).await
}

/// What everyone must look like in the end.
async fn outcome(world: &World) -> Vec<(String, String, UserStatus)> {
    let mut users: Vec<_> = world
        .users()
        .await
        .into_iter()
        .map(|user| (user.email.clone(), user.display_name(), user.status))
        .collect();
    users.sort();
    users
}

async fn change_a_lot(world: &World) {
    let control = world.control();
    // People who are left out are told of once, also when the plan was begun again.
    let mut guest = person("guest");
    guest["userType"] = json!("Guest");
    let mut room = person("room");
    room["surname"] = json!(null);
    let mut twin = person("twin");
    twin["mail"] = json!("P00060@example.com");
    for user in [guest, room, twin] {
        control.create_user(user).unwrap();
    }
    for n in 0..4 {
        control.delete_user(&id_of(&format!("p0000{n}"))).unwrap();
    }
    for n in 10..40 {
        control
            .patch_user(&id_of(&format!("p000{n}")), json!({ "surname": "Changed" }))
            .unwrap();
    }
    control
        .patch_user(&id_of("p00050"), json!({ "mail": "p00051@example.com" }))
        .unwrap();
    control
        .patch_user(&id_of("p00051"), json!({ "mail": "p00050@example.com" }))
        .unwrap();
}

/// Faults A2 to A5: the same run, with a crash after the first, second, third … thing it stored.
async fn crash_at_every_step(backend: Backend, full: bool) {
    let calm = World::around(backend, many(1_300)).await;
    calm.sync().await;
    change_a_lot(&calm).await;
    let reference = calm.run(RunKind::Sync, full).await;
    let expected = outcome(&calm).await;
    for step in 1.. {
        let world = World::around(backend, many(1_300)).await;
        world.sync().await;
        change_a_lot(&world).await;
        let id = world.request(RunKind::Sync, full).await.run().id;
        if !die_after(&world, id, step).await {
            assert!(step > 5, "the run reports more often than {step} times");
            return;
        }
        if world.read_run(id).await.state.has_ended() {
            return;
        }
        lockstep_worker::run::work(&world.worker(), id).await;
        assert_eq!(
            world.read_run(id).await.attempt,
            1,
            "the lease has not run out: nobody may take the run up"
        );
        world.clock.advance(chrono::Duration::seconds(31));
        assert_eq!(
            world
                .store
                .runs_to_wake(chrono::Duration::seconds(10))
                .await
                .unwrap(),
            [id],
            "the scheduler finds it"
        );
        lockstep_worker::run::work(&world.worker(), id).await;
        let run = world.read_run(id).await;
        assert_eq!(
            (run.state, run.attempt),
            (reference.state, 2),
            "after step {step}: {:?}",
            run.error
        );
        assert_eq!(
            run.summary.users, reference.summary.users,
            "after step {step}"
        );
        assert_eq!(
            run.change_count, reference.change_count,
            "after step {step}: no entry is doubled"
        );
        assert_eq!(outcome(&world).await, expected, "after step {step}");
        assert_eq!(
            world.sync().await.change_count,
            0,
            "after step {step}: nothing was left to do"
        );
    }
}

both! {
    async fn fault_a2_a3_a4_a5_a_delta_run_survives_a_crash_at_every_step(backend) {
        crash_at_every_step(backend, false).await;
    }

    async fn fault_a2_a3_a4_a5_a_full_run_survives_a_crash_at_every_step(backend) {
        crash_at_every_step(backend, true).await;
    }

    async fn fault_a7_a_worker_that_is_stopped_hands_the_run_back(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        world.control().add_fault(Fault::new(FaultKind::Gate).on_request("users.list")).unwrap();
        let id = world.request(RunKind::Sync, false).await.run().id;
        let stopping = CancellationToken::new();
        let worker = world.worker_until(stopping.clone());
        let work = tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await });
        world.control().gates_reached(1).await;
        stopping.cancel();
        work.await.unwrap();
        assert_eq!(world.read_run(id).await.state, RunState::Running);
        world.control().clear_faults();
        lockstep_worker::run::work(&world.worker(), id).await;
        let run = world.read_run(id).await;
        assert_eq!((run.state, run.attempt), (RunState::Succeeded, 1), "taken up at once, and not counted as a crash");
    }

    async fn fault_a10_a_run_that_kills_its_workers_is_given_up(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        let id = world.request(RunKind::Sync, false).await.run().id;
        for _ in 0..3 {
            assert!(die_after(&world, id, 2).await);
            world.clock.advance(chrono::Duration::seconds(31));
        }
        lockstep_worker::run::work(&world.worker(), id).await;
        let run = world.read_run(id).await;
        assert_eq!(run.error.map(|error| error.code), Some(RunErrorCode::WorkerLost), "d54");
        assert!(world.integration().await.pause.is_some());
        assert_eq!(world.sync().await.state, RunState::Succeeded, "others are unaffected");
    }

    async fn fault_a7_a_transaction_dropped_while_it_begins_does_not_swallow_later_writes(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        let id = world.request(RunKind::Sync, false).await.run().id;
        let ids = Arc::new(SeededIds::from_seed(2));
        let another = Store::with(&world.url, Arc::clone(&world.clock) as _, ids).await.unwrap();
        for polls in 1..12 {
            let (_, lease) = world.store.claim_run(id, "one", chrono::Duration::hours(1)).await.unwrap().unwrap();
            drop_after(polls, world.store.begin()).await;
            world.store.release_run(&lease).await.unwrap();
            let claimed = another.claim_run(id, "another", chrono::Duration::hours(1)).await.unwrap();
            let (_, lease) = claimed.unwrap_or_else(|| panic!("dropped after {polls} polls: the release is not seen"));
            another.release_run(&lease).await.unwrap();
        }
    }

    async fn d63_a_run_that_is_asked_to_stop_ends_as_canceled(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        world.control().add_fault(Fault::new(FaultKind::Gate).on_request("users.list")).unwrap();
        let id = world.request(RunKind::Sync, false).await.run().id;
        let worker = world.worker();
        let work = tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await });
        world.control().gates_reached(1).await;
        cancel(&world, id).await;
        tokio::time::timeout(Duration::from_secs(20), work).await.expect("stops at a safe point").unwrap();
        let run = world.read_run(id).await;
        assert_eq!((run.state, run.change_count), (RunState::Canceled, 0));
        assert!(run.cancel_requested_by.is_some() && run.error.is_none());
        assert!(world.integration().await.pause.is_none(), "a stop is no error");
        let waiting = world.request(RunKind::Sync, false).await.run().id;
        cancel(&world, waiting).await;
        assert_eq!(world.read_run(waiting).await.state, RunState::Canceled, "fault_a14: one that waits ends at once");
        lockstep_worker::run::work(&world.worker(), waiting).await;
        assert_eq!(world.read_run(waiting).await.state, RunState::Canceled);
    }
}

async fn cancel(world: &World, id: lockstep_domain::RunId) {
    let tx = world.store.begin().await.unwrap();
    world
        .store
        .cancel_run(&tx, id, &crate::world::actor(&world.owner))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_c1_a_run_goes_on_when_the_database_was_restarted() {
    let mut server = lockstep_tests::postgres::PostgresServer::start().unwrap();
    let url = server.fresh_database().unwrap();
    let world = World::at(url, None, many(2_500), InboundRules::default()).await;
    let gate = Fault::new(FaultKind::Gate)
        .on_request("users.list")
        .after(1)
        .times(1);
    world.control().add_fault(gate).unwrap();
    let id = world.request(RunKind::Sync, false).await.run().id;
    let worker = world.worker();
    let work = tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await });
    world.control().gates_reached(1).await;
    server.stop_immediate().unwrap();
    server.restart().unwrap();
    world.control().clear_faults();
    work.await.unwrap();
    let run = world.read_run(id).await;
    assert_eq!(
        (run.state, run.summary.users.created),
        (RunState::Succeeded, 2_500),
        "{:?}",
        run.error
    );
    assert_eq!(run.change_count, 2_500, "nothing is doubled");
}
