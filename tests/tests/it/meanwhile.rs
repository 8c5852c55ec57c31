//! What is done by hand while a run stands between its plan and its end: the change log tells who did it.

use lockstep_domain::{FieldChange, ReadMode, RunKind, RunState};
use lockstep_sandbox::{Fault, FaultKind};
use lockstep_store::run::Run;
use serde_json::json;

use crate::team_world::{
    DOZEN, assert_settled, dozen, edit_members, groups_only, rename, roster, school, team,
};
use crate::world::{World, both, id_of, people, sql};

/// Lets a run come as far as asking for someone who is missing by id, does something by hand, and lets it go on.
async fn while_it_confirms(world: &World, missing: &str, by_hand: impl AsyncFnOnce()) -> Run {
    let control = world.control();
    control.set_options(lockstep_sandbox::OptionsPatch {
        quiet_deletions: Some(true),
        ..Default::default()
    });
    control.skip_changes(1);
    control.delete_user(&id_of(missing)).unwrap();
    control
        .add_fault(Fault::new(FaultKind::Gate).on_request("users.get"))
        .unwrap();
    let id = world.request(RunKind::Sync, true).await.run().id;
    let worker = world.worker();
    let work = tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await });
    control.gates_reached(1).await;
    by_hand().await;
    control.clear_faults();
    work.await.unwrap();
    world.read_run(id).await
}

fn of<'a>(lines: &'a [String], name: &str) -> Vec<&'a str> {
    let of = lines.iter().filter(|line| line.contains(name));
    of.map(String::as_str).collect()
}

both! {
    async fn fault_c3_a_removal_that_an_owner_made_is_not_told_as_made_by_the_run(backend) {
        let world = dozen(backend, &DOZEN[1..3]).await;
        for name in ["p05", "p06"] {
            world.control().remove_member(&id_of("All"), &id_of(name)).unwrap();
        }
        // One who moves from a manager to another, and one who comes.
        world.control().set_manager(&id_of("p01"), Some(&id_of("p03"))).unwrap();
        world.control().set_manager(&id_of("p04"), Some(&id_of("p00"))).unwrap();
        let run = while_it_confirms(&world, "p11", async || {
            edit_members(&world, "All", "p05", false).await;
            edit_members(&world, "p00 Example's team", "p01", false).await;
            edit_members(&world, "p00 Example's team", "p04", true).await;
        })
        .await;
        let lines = world.lines(&run).await;
        assert_eq!(of(&lines, "REMOVE_MEMBER p05"), ["REMOVE_MEMBER p05 Example to All SKIPPED CHANGED_MEANWHILE"]);
        assert_eq!(of(&lines, "REMOVE_MEMBER p06"), ["REMOVE_MEMBER p06 Example to All APPLIED"]);
        assert_eq!(of(&lines, "p01"), ["MOVE_MEMBER p01 Example from p00 Example's team to p03 Example's team SKIPPED CHANGED_MEANWHILE"]);
        assert_eq!(of(&lines, "p04"), ["ADD_MEMBER p04 Example to p00 Example's team APPLIED"], "the directory says so too");
        assert_eq!(run.summary.memberships.removed, 2, "p06 and p11: {lines:?}");
        let next = world.sync().await;
        assert_eq!(of(&world.lines(&next).await, "p01"), ["ADD_MEMBER p01 Example to p03 Example's team APPLIED"]);
        assert_settled(&world).await;
    }

    async fn fault_c3_what_an_owner_did_with_users_and_teams_is_not_told_as_done_by_the_run(backend) {
        let tenant = school(&DOZEN, &[], &[("All", &DOZEN[..3]), ("Old", &DOZEN[3..6]), ("Named", &DOZEN[6..9])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        let control = world.control();
        control.delete_group(&id_of("Old")).unwrap();
        control.patch_group(&id_of("Named"), json!({ "displayName": "Renamed" })).unwrap();
        control.patch_user(&id_of("p00"), json!({ "accountEnabled": false })).unwrap();
        control.patch_user(&id_of("p01"), json!({ "surname": "New" })).unwrap();
        let run = while_it_confirms(&world, "p11", async || {
            sql(&world, "UPDATE team SET status = 'ARCHIVED' WHERE name = 'Old'").await;
            rename(&world, "Named", "Mine").await;
            sql(&world, "UPDATE platform_user SET status = 'DEACTIVATED', deactivation_reason = 'MANUAL' WHERE email = 'p00@example.com'").await;
            sql(&world, "UPDATE platform_user SET family_name = 'New' WHERE email = 'p01@example.com'").await;
        })
        .await;
        let lines = world.lines(&run).await;
        for change in ["ARCHIVE Old", "UPDATE Renamed", "DEACTIVATE p00", "UPDATE p01"] {
            let made = of(&lines, change);
            assert!(made.len() == 1 && made[0].ends_with("SKIPPED CHANGED_MEANWHILE"), "{change}: {lines:?}");
        }
        assert_eq!(team(&world, "Mine").await.name, "Mine");
    }

    async fn e048_a_skipped_row_shows_what_it_would_have_changed(backend) {
        let world = World::around(backend, people(&["ada", "bob", "cyd"])).await;
        world.sync().await;
        sql(&world, "UPDATE platform_user SET status = 'DEACTIVATED', deactivation_reason = 'MANUAL' WHERE email = 'cyd@example.com'").await;
        world.control().patch_user(&id_of("ada"), json!({ "mail": "olga@owner.example" })).unwrap();
        world.control().patch_user(&id_of("cyd"), json!({ "surname": "New" })).unwrap();
        let mut twin = crate::world::person("dan");
        twin["mail"] = json!("bob@example.com");
        world.control().create_user(twin).unwrap();
        let run = world.sync().await;
        let mut shown: Vec<String> = Vec::new();
        for change in world.changes(&run).await {
            let fields = FieldChange::between(change.before.as_ref(), change.after.as_ref());
            let fields: Vec<String> = fields.iter().map(|f| format!("{}: {:?} -> {:?}", f.field, f.before, f.after)).collect();
            shown.push(format!("{} {} {}", change.display_name, change.outcome, fields.join(", ")));
        }
        shown.sort();
        assert_eq!(shown, [
            r#"ada Example SKIPPED email: Some("ada@example.com") -> Some("olga@owner.example")"#,
            r#"cyd Example SKIPPED familyName: Some("Example") -> Some("New"), status: Some("DEACTIVATED") -> Some("NOT_YET_ACTIVATED")"#,
            r#"dan Example SKIPPED givenName: None -> Some("dan"), familyName: None -> Some("Example"), email: None -> Some("bob@example.com"), status: None -> Some("NOT_YET_ACTIVATED")"#,
        ]);
        assert_eq!(world.store.count_dirty_teams(world.integration).await.unwrap(), 0);
        assert_eq!(world.sync().await.change_count, 0, "told once");
    }

    async fn d46_a_warning_that_cannot_be_counted_is_told_all_the_same(backend) {
        let tenant = school(&DOZEN, &[], &[("All", &DOZEN), ("Few", &DOZEN[..3])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        let fault = Fault::status(403).on(format!("/groups/{}/members", id_of("Few")));
        world.control().add_fault(fault).unwrap();
        let run = while_it_confirms(&world, "p11", async || {
            sql(&world, "ALTER TABLE directory_member RENAME TO directory_member_away").await;
        })
        .await;
        sql(&world, "ALTER TABLE directory_member_away RENAME TO directory_member").await;
        assert_eq!((run.read_mode, run.summary.users.deactivated), (Some(ReadMode::Full), 1), "{:?}", run.error);
        let told: Vec<(&str, u64)> = run.warnings.iter().map(|w| (w.code.as_str(), w.count)).collect();
        assert_eq!((run.state, told), (RunState::SucceededWithWarnings, vec![("MISSED_BY_DELTA", 1), ("PROBLEMS_NOT_COUNTED", 2)]));
        assert_eq!(roster(&world).await, ["All: p00, p01, p02, p03, p04, p05, p06, p07, p08, p09, p10", "Few: p00, p01, p02"]);
    }
}
