//! What a run costs the database beside other organizations: PostgreSQL knows their rows from an ANALYZE, and nothing of
//! those that the run brings.

use lockstep_sandbox::{GenerateOptions, Tenant};
use lockstep_tests::postgres;
use lockstep_tests::wait;
use sea_orm::ConnectionTrait as _;

use crate::team_world::rules;
use crate::world::World;

/// A database of the shared server.
struct Database {
    name: String,
    url: String,
}

/// What a run came to.
#[derive(Debug, Clone, Copy)]
struct Cost {
    changes: u64,
    visited: u64,
}

impl Database {
    fn fresh() -> Self {
        let server = postgres::shared();
        let name = server.fresh_name();
        let url = server.create_database(&name).unwrap();
        Self { name, url }
    }

    fn sql(&self, statement: &str) -> String {
        postgres::shared().sql(&self.name, statement).unwrap()
    }

    /// Rows that statements have looked at, of whatever table, however they came by them.
    async fn visited(&self) -> u64 {
        // A backend tells what it did when it ends, at the latest.
        let others = format!("from pg_stat_activity where datname = '{}'", self.name);
        let end = || async {
            let sql = |what| {
                let server = postgres::shared();
                server.sql("postgres", &format!("select {what} {others}"))
            };
            sql("count(pg_terminate_backend(pid))").unwrap();
            (sql("count(*)").unwrap() == "0").then_some(())
        };
        wait::eventually("everyone has told", wait::PATIENCE, end).await;
        let rows = "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint \
                    from pg_stat_user_tables";
        self.sql(rows).parse().unwrap()
    }

    /// A new organization with a made-up tenant.
    async fn organization(&self, people: u32, seed: u64) -> World {
        let tenant = Tenant::generate(GenerateOptions {
            users: people,
            groups: people / 20,
            members_per_group: 20,
            big_group: people / 2,
            seed,
        });
        World::seeded(self.url.clone(), None, tenant, rules(), seed).await
    }

    async fn cost_of_run(&self, world: &World) -> Cost {
        let before = self.visited().await;
        let run = world.sync().await;
        assert!(run.state.is_success(), "{:?}", run.error);
        assert_eq!(run.attempt, 1);
        let visited = self.visited().await - before;
        Cost {
            changes: run.change_count.try_into().unwrap(),
            visited,
        }
    }
}

/// A database that other organizations filled, each of them seen by ANALYZE.
async fn filled() -> Database {
    let database = Database::fresh();
    for seed in 1..=2 {
        let world = database.organization(500, seed).await;
        database.cost_of_run(&world).await;
        database.sql("analyze");
    }
    database
}

/// The first run of an organization beside others, and one after which a third of the people is gone, which is held.
async fn two_runs(people: u32) -> [Cost; 2] {
    let database = filled().await;
    let world = database.organization(people, 3).await;
    let first = database.cost_of_run(&world).await;
    let store = &world.store;
    let third = u64::from(people / 3);
    let gone = store.listed_accounts(world.integration, None, third).await;
    for account in gone.unwrap() {
        world
            .control()
            .delete_user(account.external_id.as_str())
            .unwrap();
    }
    let second = database.cost_of_run(&world).await;
    [first, second]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_the_people_cost_twice_the_rows_beside_organizations_that_postgresql_knows() {
    let (single, double) = (two_runs(1_000).await, two_runs(2_000).await);
    for (one, two) in single.into_iter().zip(double) {
        println!("{one:?} {two:?}");
        assert!(two.changes > one.changes * 3 / 2, "{one:?} {two:?}");
        assert!(
            two.visited <= one.visited * 5 / 2,
            "rows that are looked at grow faster than the organization: {one:?} {two:?}"
        );
    }
    let [first, _] = single;
    assert!(first.visited <= 100 * first.changes, "{first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_complete_read_waits_for_nobody_who_counts_rows() {
    let database = Database::fresh();
    let tenant = Tenant::generate(GenerateOptions::default());
    let world = World::seeded(database.url.clone(), None, tenant, rules(), 1).await;
    let counting = world.store.begin().await.unwrap();
    counting.execute_unprepared("ANALYZE").await.unwrap();

    let run = world.full_sync().await;

    counting.rollback().await.unwrap();
    assert!(run.state.is_success(), "{:?}", run.error);
    assert_eq!(run.attempt, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_counted_once_for_all_who_read_in_the_same_minutes() {
    let database = Database::fresh();
    let tenant = Tenant::generate(GenerateOptions::default());
    let world = World::seeded(database.url.clone(), None, tenant, rules(), 1).await;
    let counts = || {
        let rows = database.sql(
            "select analyze_count, autoanalyze_count from pg_stat_user_tables \
             where relname in ('directory_user', 'dirty_key', 'read_seen') order by relname",
        );
        let count = |row: &str| {
            let (ours, theirs) = row.split_once('|').unwrap();
            (ours.parse().unwrap(), theirs.parse().unwrap())
        };
        rows.lines().map(count).collect::<Vec<(u32, u32)>>()
    };
    world.full_sync().await;
    let once = counts();
    // By PostgreSQL itself or by the run, as one of them came first.
    assert!(
        once.iter().all(|(ours, theirs)| ours + theirs > 0),
        "{once:?}"
    );
    world.full_sync().await;
    let twice = counts();
    let ours = |counts: &[(u32, u32)]| counts.iter().map(|(ours, _)| *ours).collect::<Vec<_>>();
    assert_eq!(ours(&twice), ours(&once), "not again so soon");
}
