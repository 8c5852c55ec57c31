//! The schema: the same for a fresh database whatever the way there, with a way back.

use lockstep_migration::{Migrator, MigratorTrait as _};

use crate::world::{World, both, people};

both! {
    async fn migrations_have_a_way_back_and_can_be_repeated(backend) {
        let world = World::around(backend, people(&[])).await;
        world.store.migrate().await.unwrap();
        assert!(world.store.is_migrated().await.unwrap());
        let tx = world.store.begin().await.unwrap();
        Migrator::down(&tx, None).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!world.store.is_migrated().await.unwrap());
        let (one, two) = tokio::join!(world.store.migrate(), world.store.migrate());
        one.unwrap();
        two.expect("fault_c10: two servers migrate at once");
    }
}
