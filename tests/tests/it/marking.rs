//! What has to be looked at, marked by many at once.

use lockstep_domain::{DirectoryPatch, ExternalId, InboundRules, RunKind, RunPhase};
use lockstep_store::lease::Step;
use lockstep_tests::postgres;
use lockstep_tests::wait::{PATIENCE, eventually};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::json;

use crate::set_up::SetUp;
use crate::world::{Backend, World, people, sql};

/// Accounts in the mirror, whose order in the table is no order of their ids.
const ACCOUNTS: &str = "
    INSERT INTO directory_user (integration_id, external_id, display_name, account_enabled, user_type, presence)
    SELECT i.id, lpad(n::text, 8, '0'), 'Somebody', true, 'MEMBER', 'PRESENT'
    FROM integration i, generate_series(1, 30000) n ORDER BY md5(n::text)";

/// A page of changes, all over the mirror.
fn page(round: u32) -> Vec<DirectoryPatch> {
    let patch = |n: u32| DirectoryPatch {
        display_name: Some(Some(format!("Somebody {round}"))),
        ..DirectoryPatch::empty(ExternalId(format!("{:08}", n * 30 + 1)))
    };
    (0..999).map(patch).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_e11_rules_are_saved_while_a_run_reads_and_neither_is_in_the_others_way() {
    let world = World::around(Backend::Postgres, people(&["ada"])).await;
    sql(&world, ACCOUNTS).await;
    let id = world.request(RunKind::Sync, false).await.run().id;
    let claimed = world.store.claim_run(id, "one", chrono::Duration::hours(1));
    let (_, lease) = claimed.await.unwrap().expect("the run waits");
    let store = world.store.clone();
    let reads = tokio::spawn(async move {
        for round in 0..60 {
            let step = Step {
                phase: RunPhase::ReadingUsers,
                processed: 0,
                total: None,
            };
            store.save_page(&lease, step, page(round), None).await?;
        }
        Ok::<_, lockstep_store::StoreError>(())
    });
    for saved in 0..6 {
        let rules = InboundRules {
            sync_job_title: saved % 2 == 0,
            ..InboundRules::default()
        };
        world.save_rules(&rules).await;
    }
    reads.await.unwrap().expect("the pages were saved");
    assert_eq!(
        world
            .store
            .count_dirty_users(world.integration)
            .await
            .unwrap(),
        30_000
    );
}

const CREATE: &str = "mutation($i: CreateIntegrationInput!) { createIntegration(input: $i) { integration { id } userErrors { message } } }";
const CHANGE: &str = "mutation($i: UpdateSyncRulesInput!) { updateSyncRules(input: $i) { integration { id } userErrors { message } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutation_that_meets_a_deadlock_is_repeated_by_itself() {
    let set_up = SetUp::start(Backend::Postgres, people(&["ada"])).await;
    let token = set_up.owner().await;
    let input = json!({ "name": "Entra", "syncRules": { "inbound": {} } });
    let created = set_up.ask(&token, CREATE, json!({ "i": input })).await;
    let id = created["createIntegration"]["integration"]["id"].clone();
    assert!(id.is_string(), "{created}");
    let (url, server) = (set_up.database_url(), postgres::shared());
    let name = url.rsplit('/').next().expect("a URL has a path").to_owned();
    // Whoever's time is up first is ended. It is to be the mutation, and not before it is waited for in turn.
    let patience = format!("ALTER DATABASE {name} SET deadlock_timeout = '5s'");
    server.sql("postgres", &patience).unwrap();
    let anew = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server.sql(&name, anew).unwrap();
    let account = ACCOUNTS.replace("30000", "1");
    server.sql(&name, &account).unwrap();
    let other = sea_orm::Database::connect(&url)
        .await
        .unwrap()
        .begin()
        .await
        .unwrap();
    other
        .execute_unprepared("SET LOCAL deadlock_timeout = '1h'")
        .await
        .unwrap();
    let mark = "INSERT INTO dirty_key (integration_id, kind, key, mark) SELECT id, 'USER', '00000001', gen_random_uuid() FROM integration";
    other.execute_unprepared(mark).await.unwrap();
    let change = json!({ "i": { "integrationId": id, "syncRules": { "inbound": { "syncJobTitle": true } } } });
    let mutation = set_up.ask(&token, CHANGE, change);
    let deadlock = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("the mutation waits for the mark", PATIENCE, async || {
            (server.sql(&name, waiting).unwrap() == "1").then_some(())
        })
        .await;
        // Now each waits for the other.
        other
            .execute_unprepared("SELECT 1 FROM integration FOR UPDATE")
            .await
            .unwrap();
        other.commit().await.unwrap();
    };
    let (changed, ()) = tokio::join!(mutation, deadlock);
    assert_eq!(
        changed["updateSyncRules"]["userErrors"],
        json!([]),
        "{changed}"
    );
    let saved = server
        .sql(&name, "SELECT rules_version, revision FROM integration")
        .unwrap();
    assert_eq!(saved, "2|2", "it was done, and once");
}
