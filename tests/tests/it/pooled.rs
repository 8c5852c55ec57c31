//! Behind PgBouncer in transaction mode, where a session belongs to nobody; and what limits statements there.

use lockstep_sandbox::Tenant;
use lockstep_store::{Store, StoreError};
use lockstep_tests::http::graphql;
use lockstep_tests::pgbouncer::PgBouncer;
use lockstep_tests::postgres;
use lockstep_tests::process::Invocation;
use lockstep_tests::wait::{PATIENCE, eventually};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;

use crate::set_up::{SetUp, free_port};
use crate::world::many;

/// Connections to the server for each database: fewer than the processes want, so that they take turns.
const CONNECTIONS: u32 = 6;

fn fresh_database() -> String {
    let server = postgres::shared();
    let name = server.fresh_name();
    server.create_database(&name).unwrap();
    name
}

fn tenant() -> Tenant {
    many(300)
}

#[tokio::test]
async fn migrate_two_servers_two_workers_and_a_run_go_through_a_pooler() {
    let database = fresh_database();
    let pooler = PgBouncer::start(postgres::shared(), 200, CONNECTIONS).unwrap();
    let set_up = SetUp::at_database(tenant(), pooler.url(&database)).await;
    let second = format!("127.0.0.1:{}", free_port());
    let _second = set_up
        .command(&["serve"])
        .env("LOCKSTEP_LISTEN", &second)
        .start()
        .unwrap();
    let token = set_up.owner().await;
    let _workers = [set_up.worker(), set_up.worker()];
    let first = set_up.activate(&token).await;
    set_up.succeeds(&token, &first).await;
    let again = set_up.run(&token).await;
    set_up.succeeds(&token, &again).await;
    let seen = eventually("the other server tells of the run", PATIENCE, async || {
        let query = "query($id: ID!) { run(id: $id) { state summary { users { created } } } }";
        let url = format!("http://{second}/graphql");
        let answer = graphql(&url, Some(&token), query, json!({ "id": first }))
            .await
            .ok()?;
        Some(answer["data"]["run"].clone())
    })
    .await;
    assert_eq!(seen["state"], "SUCCEEDED", "{seen}");
    assert_eq!(seen["summary"]["users"]["created"], 300, "{seen}");
    // Its connections are made after the migration, as they are after RECONNECT.
    let anew = PgBouncer::start(postgres::shared(), 200, CONNECTIONS).unwrap();
    let told = set_up
        .command(&["doctor", "--of", "work"])
        .env("LOCKSTEP_DATABASE_URL", anew.url(&database))
        .finish(PATIENCE)
        .await
        .unwrap();
    assert!(
        told.stdout
            .contains("a statement may take 5min, and wait 1min for a lock"),
        "{told:?}"
    );
}

/// What is in force on a connection, or in a transaction.
async fn in_force(db: &impl ConnectionTrait) -> (String, String) {
    let statement =
        "SELECT current_setting('statement_timeout') AS s, current_setting('lock_timeout') AS l";
    let statement = Statement::from_string(DbBackend::Postgres, statement);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    (row.try_get("", "s").unwrap(), row.try_get("", "l").unwrap())
}

#[tokio::test]
async fn every_statement_is_limited_through_a_pooler_by_the_role_and_in_transactions_anyhow() {
    let database = fresh_database();
    let pooler = PgBouncer::start(postgres::shared(), 200, CONNECTIONS).unwrap();
    let store = Store::connect(&pooler.url(&database)).await.unwrap();
    // Somebody else's role migrates, say: this one has no limits of its own.
    assert!(!store.limits().await.unwrap().unwrap().bound_everything());
    let ours = ("5min".to_owned(), "1min".to_owned());
    let tx = store.begin().await.unwrap();
    assert_eq!(in_force(&tx).await, ours);
    tx.commit().await.unwrap();
    assert_eq!(
        in_force(store.db()).await,
        ("0".to_owned(), "0".to_owned()),
        "nothing is left behind"
    );
    store.migrate().await.unwrap();
    let direct = Store::connect(&postgres::shared().database_url(&database))
        .await
        .unwrap();
    assert_eq!(
        in_force(direct.db()).await,
        ours,
        "from the next connection on"
    );
    let pooler = PgBouncer::start(postgres::shared(), 200, CONNECTIONS).unwrap();
    let store = Store::connect(&pooler.url(&database)).await.unwrap();
    assert_eq!(in_force(store.db()).await, ours, "and through a pooler");
}

#[tokio::test]
async fn a_limit_of_the_role_goes_first_and_ends_a_statement_that_hangs() {
    let database = fresh_database();
    let role =
        format!("ALTER ROLE lockstep IN DATABASE {database} SET statement_timeout = '250ms'");
    postgres::shared().sql(&database, &role).unwrap();
    let pooler = PgBouncer::start(postgres::shared(), 200, CONNECTIONS).unwrap();
    let store = Store::connect(&pooler.url(&database)).await.unwrap();
    let tx = store.begin().await.unwrap();
    let expected = ("250ms".to_owned(), "1min".to_owned());
    assert_eq!(in_force(&tx).await, expected);
    drop(tx);
    let hung = store
        .db()
        .execute_unprepared("SELECT pg_sleep(600)")
        .await
        .unwrap_err();
    assert!(hung.to_string().contains("statement timeout"), "{hung}");
    store.migrate().await.unwrap();
    let direct = postgres::shared().database_url(&database);
    let store = Store::connect(&direct).await.unwrap();
    assert_eq!(
        store.limits().await.unwrap().unwrap().statement,
        "250ms",
        "it is left alone"
    );
}

#[tokio::test]
async fn a_pooler_that_mixes_up_prepared_statements_is_named_with_the_remedy() {
    let database = fresh_database();
    let pooler = PgBouncer::start(postgres::shared(), 0, 1).unwrap();
    let store = Store::connect(&pooler.url(&database)).await.unwrap();
    let mixed = store.try_prepared_statements().await;
    assert!(matches!(mixed, Err(StoreError::Pooler(_))), "{mixed:?}");
    let told = Invocation::lockstep([
        "doctor",
        "--of",
        "work",
        "--database-url",
        &pooler.url(&database),
    ])
    .finish(PATIENCE)
    .await
    .unwrap();
    assert!(!told.status.success());
    assert!(
        told.stdout
            .contains("1.21 or newer, with max_prepared_statements above 0"),
        "{told:?}"
    );
}
