//! Addresses that move from one person to another, and what does not wait for them.

use lockstep_domain::{ChangeOutcome, RunKind, RunState, UserStatus};
use serde_json::json;

use crate::world::{Backend, World, both, id_of, people};

async fn edit(world: &World, name: &str, properties: serde_json::Value) {
    world
        .control()
        .patch_user(&id_of(name), properties)
        .unwrap();
}

/// `Ann New ann@example.com NOT_YET_ACTIVATED` for each user who is not the owner.
async fn roll(world: &World) -> Vec<String> {
    let mut lines: Vec<String> = world
        .users()
        .await
        .iter()
        .filter(|user| user.id != world.owner.id)
        .map(|user| format!("{} {} {}", user.display_name(), user.email, user.status))
        .collect();
    lines.sort();
    lines
}

/// Ann is back with Bob's address, while Bob was given the one that Cid keeps.
async fn ann_waits_for_bob(backend: Backend) -> World {
    let world = World::around(backend, people(&["Ann", "Bob", "Cid", "Dan", "Eve"])).await;
    world.sync().await;
    edit(&world, "Ann", json!({ "accountEnabled": false })).await;
    world.sync().await;
    edit(
        &world,
        "Ann",
        json!({ "accountEnabled": true, "mail": "Bob@example.com", "surname": "New" }),
    )
    .await;
    edit(
        &world,
        "Bob",
        json!({ "mail": "Cid@example.com", "surname": "Newer" }),
    )
    .await;
    world
}

both! {
    async fn d07_nobody_waits_for_an_address_that_nobody_gives_up(backend) {
        let world = ann_waits_for_bob(backend).await;
        let preview = world.run(RunKind::Preview, false).await;
        assert_eq!(preview.summary.users.reactivated, 1, "{:?}", world.lines(&preview).await);
        let run = world.sync().await;
        let lines = world.lines(&run).await;
        assert_eq!(roll(&world).await[..2], ["Ann New Ann@example.com NOT_YET_ACTIVATED", "Bob Newer Bob@example.com NOT_YET_ACTIVATED"], "{lines:?}");
        let of_ann: Vec<&String> = lines.iter().filter(|line| line.contains("Ann")).collect();
        assert_eq!(of_ann, [
            "UPDATE Ann Example [email: Ann@example.com -> Bob@example.com] SKIPPED CONFLICT email",
            "REACTIVATE Ann Example [familyName: Example -> New, status: DEACTIVATED -> NOT_YET_ACTIVATED] APPLIED",
        ]);
        let reason = world.changes(&run).await.into_iter().find(|change| change.outcome == ChangeOutcome::Skipped && change.display_name == "Ann Example");
        let reason = reason.and_then(|change| change.reason).unwrap();
        assert!(reason.message.contains("Bob Example"), "names who has it: {}", reason.message);
        assert!(run.warnings.iter().any(|warning| warning.code.as_str() == "CONFLICTS" && warning.count == 2), "{:?}", run.warnings);
        let again = world.sync().await;
        assert_eq!((again.state, again.change_count), (RunState::Succeeded, 0), "{:?}", world.lines(&again).await);
    }

    async fn d07_whoever_waits_moves_on_in_the_run_in_which_the_address_becomes_free(backend) {
        let world = ann_waits_for_bob(backend).await;
        world.sync().await;
        edit(&world, "Cid", json!({ "mail": "Cyd@example.com" })).await;
        let run = world.sync().await;
        let lines = world.lines(&run).await;
        assert_eq!(run.summary.users.updated, 3, "{lines:?}");
        assert_eq!(roll(&world).await[..3], [
            "Ann New Bob@example.com NOT_YET_ACTIVATED",
            "Bob Newer Cid@example.com NOT_YET_ACTIVATED",
            "Cid Example Cyd@example.com NOT_YET_ACTIVATED",
        ], "{lines:?}");
        // Whoever gave an address up or took one is looked at once more, and nothing comes of it.
        assert_eq!(world.sync().await.change_count, 0);
    }

    async fn d07_a_new_person_waits_for_nobody_for_ever_either(backend) {
        let world = ann_waits_for_bob(backend).await;
        edit(&world, "Ann", json!({ "mail": "Ann@example.com" })).await;
        let mut fay = crate::world::person("Fay");
        fay["mail"] = json!("Bob@example.com");
        world.control().create_user(fay).unwrap();
        let run = world.sync().await;
        let lines = world.lines(&run).await;
        assert!(lines.iter().any(|line| line.starts_with("CREATE Fay Example") && line.ends_with("SKIPPED CONFLICT email")), "{lines:?}");
        assert_eq!(world.sync().await.change_count, 0, "told once");
        edit(&world, "Bob", json!({ "mail": "Robert@example.com" })).await;
        let run = world.sync().await;
        assert_eq!((run.summary.users.created, run.summary.users.updated), (1, 1), "{:?}", world.lines(&run).await);
    }

    async fn d48_a_held_change_of_address_holds_neither_a_name_nor_a_return(backend) {
        let names: Vec<String> = (0..14).map(|n| format!("P{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let world = World::around(backend, people(&names)).await;
        world.sync().await;
        edit(&world, "P00", json!({ "accountEnabled": false })).await;
        world.sync().await;
        for name in &names {
            edit(&world, name, json!({ "accountEnabled": true, "surname": "New", "mail": format!("{name}@new.example.com") })).await;
        }
        let preview = world.run(RunKind::Preview, false).await;
        assert_eq!((preview.summary.users.held, preview.summary.users.updated, preview.summary.users.reactivated), (14, 13, 1));
        let run = world.sync().await;
        let lines = world.lines(&run).await;
        let users = run.summary.users;
        assert_eq!((users.held, users.updated, users.reactivated), (14, 13, 1), "{lines:?}");
        for line in roll(&world).await {
            assert!(line.ends_with("@example.com NOT_YET_ACTIVATED") && line.contains(" New "), "{line}");
        }
        let held = "UPDATE P00 Example [email: P00@example.com -> P00@new.example.com] HELD LIMIT_EXCEEDED email";
        assert!(lines.iter().any(|line| line == held), "{lines:?}");
        let hold = world.store.open_hold_of(world.integration).await.unwrap().expect("a hold is open");
        let again = world.sync().await;
        assert_eq!((again.summary.users.held, again.change_count), (14, 14), "still held: {:?}", world.lines(&again).await);
        let same = world.store.open_hold_of(world.integration).await.unwrap().unwrap();
        assert_eq!((same.id, same.plan_hash), (hold.id, hold.plan_hash), "carried on as it was");
        assert!(world.users().await.iter().all(|user| user.status != UserStatus::Deactivated));
    }
}
