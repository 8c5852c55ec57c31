//! Leases: who may write for a run, how long that lasts, and who waits for whom.

use std::time::Duration;

use chrono::TimeDelta;
use futures::{FutureExt as _, StreamExt as _, poll};
use lockstep_domain::{RunId, RunKind, RunPhase, RunState};
use lockstep_queue::Signal;
use lockstep_sandbox::{Fault, FaultKind, Tenant};
use lockstep_store::run::Requested;
use lockstep_tests::wait::PATIENCE;
use sea_orm::ConnectionTrait as _;

use crate::team_world::{DOZEN, rules, school};
use crate::world::{Backend, World, both, id_of, people, sql};

/// What a worker claims a run for.
const LEASE: TimeDelta = TimeDelta::seconds(30);

/// More writers than the database has connections for.
const CROWD: usize = 24;

both! {
    async fn d54_a_claim_that_waited_reads_the_clock_when_its_turn_has_come(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        let id = world.request(RunKind::Sync, false).await.run().id;
        world.store.claim_run(id, "one", LEASE).await.unwrap().expect("the run waits");
        // The worker is in the middle of a transaction that lasts longer than its lease.
        let long = world.store.begin().await.unwrap();
        long.execute_unprepared("UPDATE run SET updated_at = updated_at").await.unwrap();
        let mut claims = Vec::new();
        for name in ["two", "three", "four"] {
            world.clock.advance(TimeDelta::seconds(31));
            let store = world.store.clone();
            let mut claim = Box::pin(async move { store.claim_run(id, name, LEASE).await.unwrap() });
            assert!(poll!(&mut claim).is_pending(), "a claim asks the database");
            claims.push(claim);
        }
        long.rollback().await.unwrap();
        let mut taken = 0;
        for claim in claims {
            taken += u64::from(claim.await.is_some());
        }
        assert_eq!((taken, world.read_run(id).await.attempt), (1, 2), "one worker took the run up, the others left it");
    }

    async fn d54_whatever_a_run_writes_renews_its_lease(backend) {
        let tenant = school(&DOZEN, &[("p01", "p00"), ("p02", "p00")], &[("All", &DOZEN)]);
        let world = World::with_rules(backend, tenant, rules()).await;
        let id = world.request(RunKind::Sync, true).await.run().id;
        let mut signals = world.bus().subscribe();
        // Nobody but the transactions of the run says that it is alive.
        let worker = world.worker_that_renews_every(Duration::from_secs(3_600));
        let work = lockstep_worker::run::work(&worker, id);
        tokio::pin!(work);
        let mut steps = 0;
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => assert!(signal.is_some()),
                () = &mut work => break,
            }
            while signals.next().now_or_never().flatten().is_some() {}
            steps += 1;
            // One transaction may have begun before the clock went on, so two such steps are less than a lease.
            world.clock.advance(TimeDelta::seconds(14));
            let lost = world.store.runs_to_wake(TimeDelta::seconds(10)).await.unwrap();
            assert_eq!(lost, [], "after step {steps} the run looks as if its worker had died");
        }
        let run = world.read_run(id).await;
        assert_eq!((run.state, run.attempt), (RunState::Succeeded, 1), "{:?}", run.error);
        assert!(steps > 12, "{steps}");
    }

    async fn fault_a8_a_worker_that_wakes_up_after_its_lease_writes_nothing(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        world.control().add_fault(Fault::new(FaultKind::Gate).on_request("users.list").times(1)).unwrap();
        let id = world.request(RunKind::Sync, false).await.run().id;
        let sleeper = {
            // Its renewals are held back, as those of a machine that sleeps.
            let worker = world.worker_that_renews_every(Duration::from_secs(3_600));
            tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await })
        };
        tokio::time::timeout(PATIENCE, world.control().gates_reached(1)).await.expect("the read has begun");
        world.clock.advance(TimeDelta::seconds(31));
        let claimed = world.store.claim_run(id, "another", TimeDelta::hours(1)).await.unwrap();
        let (before, lease) = claimed.expect("the lease has run out, so another worker takes the run up");
        assert_eq!(before.attempt, 2);
        world.control().clear_faults();
        sleeper.await.unwrap();
        assert_eq!(world.read_run(id).await, before, "the sleeper tried to save a page and wrote nothing");
        let listed = world.store.listed_accounts(world.integration, None, 10).await.unwrap();
        assert_eq!(listed, [], "nor anything of the page");
        assert_eq!(world.store.count_dirty_users(world.integration).await.unwrap(), 0);
        world.store.release_run(&lease).await.unwrap();
        lockstep_worker::run::work(&world.worker(), id).await;
        let run = world.read_run(id).await;
        assert_eq!((run.state, run.summary.users.created), (RunState::Succeeded, 2));
    }

    async fn writers_that_wait_leave_the_readers_their_connections(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        let first = world.store.begin().await.unwrap();
        world.store.lock_integration(&first, world.organization, world.integration).await.unwrap();
        let wait = || {
            let (store, organization, integration) = (world.store.clone(), world.organization, world.integration);
            tokio::spawn(async move {
                let tx = store.begin().await.unwrap();
                store.lock_integration(&tx, organization, integration).await.unwrap();
                tx.commit().await.unwrap();
            })
        };
        let writers: Vec<_> = (0..CROWD).map(|_| wait()).collect();
        for _ in 0..100 {
            assert_eq!(world.users().await.len(), 1);
        }
        assert!(writers.iter().all(|writer| !writer.is_finished()), "all of them still wait, and nobody who reads did");
        first.commit().await.unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
    }
}

/// On SQLite there is one writer, so only PostgreSQL can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d53_whoever_asks_for_a_run_waits_for_no_transaction_of_the_one_that_is_going_on() {
    let world = World::around(Backend::Postgres, people(&["ada"])).await;
    let id = world.request(RunKind::Sync, false).await.run().id;
    world.store.claim_run(id, "one", LEASE).await.unwrap();
    let planning = world.store.begin().await.unwrap();
    planning
        .execute_unprepared("UPDATE run SET processed = processed + 1")
        .await
        .unwrap();
    let asked = tokio::time::timeout(PATIENCE / 3, world.request(RunKind::Sync, false));
    let asked = asked.await.expect("the wish waits for nobody");
    assert!(
        matches!(&asked, Requested::Busy(run) if run.id == id),
        "{asked:?}"
    );
    planning.rollback().await.unwrap();
}

/// Most rows of one table that a transaction of a run may write: a lease is for thousands of them.
const MOST: u64 = 2_500;

/// Notes how many rows of which table each transaction writes.
const COUNTING: &str = "
    CREATE TABLE written (tx xid8, place text, n bigint);
    CREATE FUNCTION note_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO written SELECT pg_current_xact_id(), TG_TABLE_NAME, count(*) FROM touched; RETURN NULL; END $$;
    DO $$ DECLARE place text; BEGIN
        FOREACH place IN ARRAY ARRAY['run_change', 'dirty_key', 'directory_user', 'directory_group', 'directory_member',
            'read_seen', 'membership', 'platform_user', 'user_link', 'team'] LOOP
            EXECUTE format('CREATE TRIGGER i AFTER INSERT ON %I REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION note_written()', place);
            EXECUTE format('CREATE TRIGGER u AFTER UPDATE ON %I REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION note_written()', place);
            EXECUTE format('CREATE TRIGGER d AFTER DELETE ON %I REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION note_written()', place);
        END LOOP; END $$";

/// The largest piece of work that one transaction did.
fn largest(world: &World) -> (u64, String) {
    let name = world.url.rsplit('/').next().expect("a URL has a path");
    let sums = "SELECT sum(n), place FROM written GROUP BY tx, place ORDER BY 1 DESC LIMIT 1";
    let line = lockstep_tests::postgres::shared().sql(name, sums).unwrap();
    let (n, place) = line.split_once('|').expect("two columns");
    (n.parse().unwrap(), place.to_owned())
}

/// More people than one transaction may write.
const PEOPLE: usize = 3_000;

/// People who all are in one group, many of them in several that are listed together, and each the manager of ten others.
fn crowd() -> Tenant {
    let names: Vec<String> = (0..PEOPLE).map(|n| format!("p{n:05}")).collect();
    let people: Vec<&str> = names.iter().map(String::as_str).collect();
    let managers: Vec<(&str, &str)> = (1..PEOPLE).map(|n| (people[n], people[n / 10])).collect();
    let some = &people[..700];
    let groups = [
        ("All", &people[..]),
        ("A", some),
        ("B", some),
        ("C", some),
        ("D", some),
    ];
    school(&people, &managers, &groups)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d54_no_transaction_of_a_run_walks_the_whole_plan_or_mirror() {
    let world = World::with_rules(Backend::Postgres, crowd(), rules()).await;
    sql(&world, COUNTING).await;
    let first = world.sync().await;
    assert!(first.state.is_success(), "{:?}", first.error);
    let (n, place) = largest(&world);
    assert!(n <= MOST, "the first run wrote {n} rows of {place} at once");
    for n in 0..PEOPLE {
        let id = id_of(&format!("p{n:05}"));
        world.control().delete_user(&id).unwrap();
    }
    let held = world.full_sync().await;
    assert_eq!(held.summary.users.held, 3_000, "{:?}", held.error);
    let (n, place) = largest(&world);
    assert!(
        n <= MOST,
        "a run whose whole plan is held wrote {n} rows of {place} at once"
    );
    let again = world.request(RunKind::Sync, true).await.run().id;
    until_planned(&world, again).await;
    world.clock.advance(TimeDelta::seconds(31));
    lockstep_worker::run::work(&world.worker(), again).await;
    let run = world.read_run(again).await;
    assert_eq!(
        (run.attempt, run.summary.users.held),
        (2, 3_000),
        "{:?}",
        run.error
    );
    let (n, place) = largest(&world);
    assert!(
        n <= MOST,
        "a run that throws a plan away wrote {n} rows of {place} at once"
    );
}

/// Works on a run until all users are planned, then vanishes like a killed process.
async fn until_planned(world: &World, id: RunId) {
    let worker = world.worker();
    let work = lockstep_worker::run::work(&worker, id);
    tokio::pin!(work);
    let mut signals = world.bus().subscribe();
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Some(Signal::Run { phase: RunPhase::Planning, processed: 3_000, .. }) => return,
                signal => assert!(signal.is_some()),
            },
            () = &mut work => panic!("the run ended"),
        }
    }
}
