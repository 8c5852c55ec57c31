//! What has to be looked at, marked by many at once.

use lockstep_domain::{DirectoryPatch, ExternalId, InboundRules, RunKind, RunPhase};
use lockstep_store::lease::Step;

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
