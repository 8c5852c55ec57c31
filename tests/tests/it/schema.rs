//! The schema: the same for a fresh database whatever the way there, with a way back.

use lockstep_migration::{Migrator, MigratorTrait as _};
use lockstep_store::Store;
use lockstep_tests::{postgres, wait};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use crate::world::{Backend, World, both, people, sql};

/// Takes the schema back to before a migration, and returns how many that undid.
async fn back_to_before(store: &Store, name: &str) -> usize {
    let migrations = Migrator::migrations();
    let first = migrations.iter().position(|one| one.name() == name);
    let steps = migrations.len() - first.unwrap();
    let tx = store.begin().await.unwrap();
    Migrator::down(&tx, Some(u32::try_from(steps).unwrap()))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    steps
}

both! {
    async fn migrations_have_a_way_back_and_can_be_repeated(backend) {
        let world = World::around(backend, people(&[])).await;
        world.store.migrate().await.unwrap();
        assert!(world.store.is_migrated().await.unwrap());
        let tx = world.store.begin().await.unwrap();
        Migrator::down(&tx, None).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!world.store.is_migrated().await.unwrap());
        let other = Store::connect(&world.url).await.unwrap();
        let (one, two) = tokio::join!(world.store.migrate(), other.migrate());
        one.unwrap();
        two.expect("fault_c10: two servers migrate at once");
        assert!(other.is_migrated().await.unwrap());
    }

    async fn a_migration_that_fails_leaves_those_before_it_done(backend) {
        let world = World::around(backend, people(&[])).await;
        back_to_before(&world.store, "m0028_search_key").await;
        sql(&world, "CREATE TABLE sign_in_link (id integer)").await;
        world.store.migrate().await.expect_err("somebody's table is in the way");
        let applied = Migrator::get_applied_migrations_read_only(world.store.db()).await.unwrap();
        assert_eq!(applied.last().unwrap().name(), "m0031_last_seen");
        sql(&world, "DROP TABLE sign_in_link").await;
        world.store.migrate().await.unwrap();
        assert!(world.store.is_migrated().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_waits_for_another_however_long_and_for_a_table_no_longer_than_it_may() {
    let server = postgres::shared();
    let name = server.fresh_name();
    let url = server.create_database(&name).unwrap();
    let limit = format!("ALTER DATABASE {name} SET lock_timeout = '200ms'");
    server.sql("postgres", &limit).unwrap();
    let (one, two) = (Store::connect(&url).await, Store::connect(&url).await);
    let (one, two) = (one.unwrap(), two.unwrap());

    let first = one.begin().await.unwrap();
    let lock = "SELECT pg_advisory_xact_lock(7203459113)";
    first.execute_unprepared(lock).await.unwrap();
    let second = tokio::spawn({
        let two = two.clone();
        async move { two.migrate().await }
    });
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'advisory' \
         AND clock_timestamp() - query_start > interval '1 s'"
    );
    let has_waited = || async {
        let waits = server.sql("postgres", &waiting).unwrap() == "1";
        (waits || second.is_finished()).then_some(())
    };
    let what = "the second waits for longer than for any other lock";
    wait::eventually(what, wait::PATIENCE, has_waited).await;
    first.commit().await.unwrap();
    second.await.unwrap().expect("it had to wait, that is all");
    assert!(one.is_migrated().await.unwrap());

    let reader = one.begin().await.unwrap();
    let lock = "LOCK TABLE seaql_migrations IN ACCESS EXCLUSIVE MODE";
    reader.execute_unprepared(lock).await.unwrap();
    two.migrate()
        .await
        .expect_err("a table is waited for as long as the database says");
    reader.rollback().await.unwrap();
    two.migrate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_table_is_closed_while_its_names_are_given_their_keys() {
    let world = World::around(Backend::Postgres, people(&["ada", "bob"])).await;
    world.sync().await;
    for _ in 0..back_to_before(&world.store, "m0028_search_key").await {
        let tx = world.store.begin().await.unwrap();
        Migrator::up(&tx, Some(1)).await.unwrap();
        let closed = "SELECT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
            WHERE l.pid = pg_backend_pid() AND l.mode = 'AccessExclusiveLock' \
            AND c.relname IN ('platform_user', 'team', 'run_change')";
        let closed = Statement::from_string(DbBackend::Postgres, closed);
        for row in tx.query_all_raw(closed).await.unwrap() {
            let table: String = row.try_get("", "relname").unwrap();
            assert_eq!(keys(&tx, &table).await, 0, "{table} is closed to everybody");
        }
        tx.commit().await.unwrap();
    }
    for table in ["platform_user", "run_change"] {
        assert!(keys(world.store.db(), table).await > 1, "{table}");
    }
}

/// Counts the rows that have a key.
async fn keys(db: &impl sea_orm::ConnectionTrait, table: &str) -> i64 {
    let count = format!("SELECT count(*) AS n FROM {table} WHERE search_key <> ''");
    let count = Statement::from_string(DbBackend::Postgres, count);
    let row = db.query_one_raw(count).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}
