//! One tenant, one inbound integration: also when two ask for it at once.

use lockstep_domain::{EntraCloud, InboundRules, IntegrationId};
use lockstep_store::credential::AppRegistration;
use lockstep_store::integration::NewIntegration;
use lockstep_store::{Store, Tx};
use lockstep_tests::{postgres, wait};
use tokio::sync::oneshot;

use crate::world::{Backend, World, actor, both, people};

const TENANT: &str = "11111111-6d4d-4958-8b9f-9d6445542f95";

fn app() -> AppRegistration {
    AppRegistration {
        cloud: EntraCloud::Global,
        tenant_id: TENANT.to_owned(),
        client_id: "3f0e1b5c-2222-4333-8444-555566667777".to_owned(),
    }
}

/// Looks for others who read the tenant, as every mutation does before it stores credentials.
async fn readers(store: &Store, tx: &Tx, world: &World) -> Vec<String> {
    let readers = store
        .tenant_readers(tx, world.organization, None, &app(), None)
        .await
        .unwrap();
    readers.into_iter().map(|reader| reader.name).collect()
}

async fn create(world: &World, tx: &Tx, name: &str) -> IntegrationId {
    let new = NewIntegration {
        name: name.to_owned(),
        default_language: None,
        rules: InboundRules::default(),
    };
    let by = actor(&world.owner);
    let created = world
        .store
        .create_integration(tx, world.organization, &new, &by)
        .await
        .unwrap();
    world
        .store
        .save_credential(tx, created.id, &app(), None, &by)
        .await
        .unwrap();
    created.id
}

both! {
    async fn of_two_who_ask_for_a_tenant_at_once_the_second_sees_the_first(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        let first = world.store.begin().await.unwrap();
        assert_eq!(readers(&world.store, &first, &world).await, Vec::<String>::new());
        let (asks, asked) = oneshot::channel();
        let second = async {
            let tx = async {
                // On SQLite it waits for the first already here, on PostgreSQL with the first question.
                asks.send(()).unwrap();
                world.store.begin().await.unwrap()
            };
            let tx = tx.await;
            readers(&world.store, &tx, &world).await
        };
        let first = async {
            asked.await.unwrap();
            create(&world, &first, "First").await;
            if backend == Backend::Postgres {
                let name = world.url.rsplit('/').next().unwrap();
                let waits = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'");
                wait::eventually("the second waits", wait::PATIENCE, || {
                    let waiting = postgres::shared().sql("postgres", &waits).unwrap();
                    std::future::ready((waiting != "0").then_some(()))
                })
                .await;
            }
            first.commit().await.unwrap();
        };
        let (seen, ()) = tokio::join!(second, first);
        assert_eq!(seen, ["First"]);
    }
}
