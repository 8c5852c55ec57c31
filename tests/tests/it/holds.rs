//! What was held stays held, whatever grows around it: until the directory takes it back, or an owner raises the limit.

use chrono::Duration;
use futures::StreamExt as _;
use lockstep_domain::{
    Address, ChangeLimit, HoldDecisionKind, InboundLimits, InboundRules, Role, RunKind, RunStage,
    RunState, UserStatus,
};
use lockstep_store::hold::Hold;
use lockstep_store::run::Run;
use lockstep_store::user::NewUser;
use serde_json::json;

use crate::crashes::die_after;
use crate::team_world::{groups_only, managers_only, members, roster, school, team};
use crate::world::{Backend, World, both, id_of, people, person, sql};

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n:02}")).collect()
}

fn as_strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn hire(world: &World, prefix: &str, count: usize) {
    for name in names(prefix, count) {
        world.control().create_user(person(&name)).unwrap();
    }
}

fn disable(world: &World, names: &[&str]) {
    for name in names {
        let off = json!({ "accountEnabled": false });
        world.control().patch_user(&id_of(name), off).unwrap();
    }
}

fn enable(world: &World, names: &[&str]) {
    for name in names {
        let on = json!({ "accountEnabled": true });
        world.control().patch_user(&id_of(name), on).unwrap();
    }
}

/// Users who wait and who went.
fn users(run: &Run) -> (u64, u64) {
    (run.summary.users.held, run.summary.users.deactivated)
}

/// Members who wait and who went.
fn removals(run: &Run) -> (u64, u64) {
    let counts = run.summary.memberships;
    (counts.held, counts.removed)
}

async fn open_hold(world: &World) -> Option<Hold> {
    world.store.open_hold_of(world.integration).await.unwrap()
}

async fn categories(world: &World) -> Vec<(String, u64)> {
    let hold = open_hold(world).await.expect("a hold is open");
    let category = |(category, held): &(lockstep_domain::HoldCategory, _)| {
        let held: &lockstep_store::hold::HeldCategory = held;
        (category.as_str().to_owned(), held.count)
    };
    hold.categories.iter().map(category).collect()
}

fn limit(allowance: u32, percent: u32) -> ChangeLimit {
    ChangeLimit {
        allowance,
        percent: Some(percent),
        maximum: None,
    }
}

fn with_limits(rules: InboundRules, change: impl Fn(&mut InboundLimits)) -> InboundRules {
    let mut rules = rules;
    change(&mut rules.limits);
    rules
}

/// Fifty people, six of whom are gone: more than five and more than a tenth.
async fn six_of_fifty(backend: Backend) -> World {
    let names = names("p", 50);
    let world = World::around(backend, people(&as_strs(&names))).await;
    world.sync().await;
    for name in &names[..6] {
        world.control().delete_user(&id_of(name)).unwrap();
    }
    let run = world.sync().await;
    assert_eq!(users(&run), (6, 0), "{:?}", world.lines(&run).await);
    world
}

/// Starts a run and cancels it when its plan is guarded and nothing of it is applied.
async fn guarded_and_canceled(world: &World) {
    let id = world.request(RunKind::Sync, false).await.run().id;
    let mut signals = world.bus().subscribe();
    {
        let worker = world.worker();
        let work = lockstep_worker::run::work(&worker, id);
        tokio::pin!(work);
        while world.read_run(id).await.stage != RunStage::Apply {
            tokio::select! {
                biased;
                signal = signals.next() => assert!(signal.is_some()),
                () = &mut work => panic!("the run ended before it was stopped"),
            }
        }
    }
    let tx = world.store.begin().await.unwrap();
    let by = crate::world::actor(&world.owner);
    world.store.cancel_run(&tx, id, &by).await.unwrap();
    tx.commit().await.unwrap();
    world.clock.advance(Duration::minutes(1));
    lockstep_worker::run::work(&world.worker(), id).await;
    let run = world.read_run(id).await;
    let done = run.summary;
    assert_eq!(run.state, RunState::Canceled);
    assert_eq!(
        (
            done.users.deactivated,
            done.users.updated,
            done.teams.deactivated,
            done.memberships.removed
        ),
        (0, 0, 0, 0)
    );
}

/// A member whom an owner made by hand.
async fn by_hand(world: &World, name: &str) {
    let new = NewUser {
        given_name: name.into(),
        family_name: "Example".into(),
        email: Address::parse(&format!("{name}@example.com")).unwrap(),
        role: Role::Member,
        language: "en".into(),
    };
    let tx = world.store.begin().await.unwrap();
    let user = world.store.create_user(&tx, world.organization, &new).await;
    user.unwrap();
    tx.commit().await.unwrap();
}

/// A class of ten that is replaced by ten others.
async fn class_of_ten(backend: Backend) -> World {
    let names = names("p", 20);
    let people = as_strs(&names);
    let tenant = school(&people, &[], &[("Class", &people[..10])]);
    let world = World::with_rules(backend, tenant, groups_only()).await;
    world.sync().await;
    for (old, new) in people[..10].iter().zip(&people[10..]) {
        let control = world.control();
        control.remove_member(&id_of("Class"), &id_of(old)).unwrap();
        control.add_member(&id_of("Class"), &id_of(new)).unwrap();
    }
    let run = world.sync().await;
    assert_eq!(removals(&run), (10, 0), "{:?}", world.lines(&run).await);
    assert_eq!(run.summary.memberships.created, 10);
    world
}

both! {
    async fn d48_a_class_that_is_replaced_by_another_is_not_emptied_by_the_next_run(backend) {
        let world = class_of_ten(backend).await;
        let hold = open_hold(&world).await.unwrap();
        for run in [world.sync().await, world.full_sync().await, world.run(RunKind::Preview, true).await] {
            assert_eq!(removals(&run), (10, 0), "{:?}", world.lines(&run).await);
            assert_eq!(run.state, RunState::SucceededWithWarnings);
        }
        let carried = open_hold(&world).await.unwrap();
        assert_eq!((carried.id, carried.plan_hash, carried.created_at), (hold.id, hold.plan_hash, hold.created_at));
        assert_eq!(categories(&world).await, [("MEMBER_REMOVALS".to_owned(), 10)]);
        assert_eq!(members(&world, &team(&world, "Class").await).await.len(), 20);
        // Three are listed again; seven of twenty would be within the limit.
        for name in ["p00", "p01", "p02"] {
            world.control().add_member(&id_of("Class"), &id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(removals(&run), (7, 0), "{:?}", world.lines(&run).await);
        // One of those leaves once more: eight are fewer than ten, so only those wait who waited before.
        world.control().remove_member(&id_of("Class"), &id_of("p00")).unwrap();
        assert_eq!(removals(&world.sync().await), (7, 1));
        // Three more make ten of the ten who were there, though they are few of the twenty who are there now.
        for name in ["p01", "p02", "p10"] {
            world.control().remove_member(&id_of("Class"), &id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(removals(&run), (10, 0), "{:?}", world.lines(&run).await);
    }

    async fn d48_a_raised_limit_lets_a_class_go_that_grew_since_only_for_what_it_permits(backend) {
        let world = class_of_ten(backend).await;
        let raised = |percent| with_limits(groups_only(), |limits| limits.member_removals_per_team = limit(9, percent));
        for percent in [50, 10, 60, 99] {
            world.save_rules(&raised(percent)).await;
            let run = world.sync().await;
            assert_eq!(removals(&run), (10, 0), "{percent} % of ten: {:?}", world.lines(&run).await);
        }
        world.save_rules(&raised(100)).await;
        let run = world.sync().await;
        assert_eq!(removals(&run), (0, 10), "{:?}", world.lines(&run).await);
        assert!(open_hold(&world).await.is_none());
        assert_eq!(members(&world, &team(&world, "Class").await).await.len(), 10);
    }

    async fn d48_what_is_held_stays_held_while_its_group_cannot_be_read(backend) {
        let world = class_of_ten(backend).await;
        world.control().patch_group(&id_of("Class"), json!({ "visibility": "HiddenMembership" })).unwrap();
        world.full_sync().await;
        world.control().patch_group(&id_of("Class"), json!({ "visibility": "Private" })).unwrap();
        let run = world.full_sync().await;
        assert_eq!(removals(&run), (10, 0), "nobody listed them again: {:?}", world.lines(&run).await);
    }

    async fn d48_departures_stay_held_through_hires(backend) {
        let world = six_of_fifty(backend).await;
        let hold = open_hold(&world).await.unwrap();
        assert_eq!(users(&world.sync().await), (6, 0));
        hire(&world, "new", 14);
        for run in [world.sync().await, world.run(RunKind::Preview, false).await, world.sync().await, world.full_sync().await] {
            assert_eq!(users(&run), (6, 0), "{:?}", world.lines(&run).await);
            assert_eq!(run.state, RunState::SucceededWithWarnings);
        }
        assert_eq!(open_hold(&world).await.unwrap().id, hold.id);
        assert_eq!(categories(&world).await, [("USER_DEACTIVATIONS".to_owned(), 6)]);
        // Three come back: the other three stay held, though three are within the limit.
        for name in ["p00", "p01", "p02"] {
            world.control().restore_user(&id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(users(&run), (3, 0), "{:?}", world.lines(&run).await);
        // With one who leaves now they are four of fifty, so the new one goes alone.
        world.control().delete_user(&id_of("p07")).unwrap();
        let run = world.sync().await;
        assert_eq!(users(&run), (3, 1), "{:?}", world.lines(&run).await);
        // Three more would be six of fifty: all of them wait, although they are few of those who are there by now.
        for name in ["p08", "p09", "p10"] {
            world.control().delete_user(&id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(users(&run), (6, 0), "{:?}", world.lines(&run).await);
        for name in ["p03", "p04", "p05", "p08", "p09", "p10"] {
            world.control().restore_user(&id_of(name)).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(users(&run), (0, 0), "{:?}", world.lines(&run).await);
        assert!(open_hold(&world).await.is_none());
    }

    async fn d49_a_hold_that_expires_is_opened_anew(backend) {
        let world = six_of_fifty(backend).await;
        let hold = open_hold(&world).await.unwrap();
        hire(&world, "new", 50);
        world.clock.advance(Duration::days(8));
        assert_eq!(world.store.expire_holds().await.unwrap(), 1);
        let run = world.sync().await;
        assert_eq!(users(&run), (6, 0), "{:?}", world.lines(&run).await);
        let anew = open_hold(&world).await.unwrap();
        assert_ne!(anew.id, hold.id);
        assert!(anew.expires_at > world.store.now());
        let old = world.store.hold(world.organization, hold.id).await.unwrap().unwrap();
        assert_eq!(old.decision, Some(HoldDecisionKind::Expired));
        // A run that comes before anybody ended the old hold does not carry it on either.
        world.clock.advance(Duration::days(8));
        let run = world.sync().await;
        assert_ne!(run.hold_id, Some(anew.id));
        assert_eq!(users(&run), (6, 0));
        let old = world.store.hold(world.organization, anew.id).await.unwrap().unwrap();
        assert_eq!(old.decision, Some(HoldDecisionKind::Expired));
        assert_ne!(Some(old.run_id), Some(run.id));
    }

    async fn d48_what_is_held_outlives_failures_pauses_and_the_logs_of_old_runs(backend) {
        use lockstep_sandbox::Fault;
        let world = six_of_fifty(backend).await;
        hire(&world, "new", 14);
        world.control().add_fault(Fault::status(403).on_request("users.delta")).unwrap();
        let failed = world.sync().await;
        assert_eq!(failed.state, RunState::Failed);
        world.control().clear_faults();
        let tx = world.store.begin().await.unwrap();
        world.store.deactivate(&tx, world.integration).await.unwrap();
        tx.commit().await.unwrap();
        let integration = world.integration().await;
        let tx = world.store.begin().await.unwrap();
        world.store.activate(&tx, &integration).await.unwrap();
        tx.commit().await.unwrap();
        sql(&world, "DELETE FROM run_change").await;
        sql(&world, "DELETE FROM dirty_key").await;
        let run = world.full_sync().await;
        assert_eq!(users(&run), (0, 0), "nobody was looked at: {:?}", world.lines(&run).await);
        world.save_rules(&with_limits(InboundRules::default(), |limits| limits.team_archivals = limit(30, 100))).await;
        let run = world.sync().await;
        assert_eq!(users(&run), (6, 0), "everybody was: {:?}", world.lines(&run).await);
    }

    async fn d48_a_worker_that_dies_lets_nothing_through(backend) {
        for steps in 1.. {
            let names = names("p", 50);
            let world = World::around(backend, people(&as_strs(&names))).await;
            world.sync().await;
            disable(&world, &as_strs(&names[..6]));
            let id = world.request(RunKind::Sync, false).await.run().id;
            let died = die_after(&world, id, steps).await;
            hire(&world, "new", 14);
            world.clock.advance(Duration::minutes(1));
            lockstep_worker::run::work(&world.worker(), id).await;
            let run = world.read_run(id).await;
            let again = world.sync().await;
            for run in [run, again] {
                assert_eq!(users(&run).1, 0, "after {steps} steps: {:?}", world.lines(&run).await);
            }
            if !died {
                assert!(steps > 3, "the worker died {steps} times");
                break;
            }
        }
    }

    async fn d48_everyone_stays_when_everyone_was_gone_and_others_come(backend) {
        let world = World::around(backend, people(&["ada", "bob", "cyd"])).await;
        world.sync().await;
        disable(&world, &["ada", "bob", "cyd"]);
        let run = world.sync().await;
        assert_eq!(users(&run), (3, 0), "{:?}", world.lines(&run).await);
        hire(&world, "new", 40);
        for _ in 0..2 {
            let run = world.sync().await;
            assert_eq!(users(&run), (3, 0), "{:?}", world.lines(&run).await);
        }
        assert_eq!(categories(&world).await, [("ALL_USERS_GONE".to_owned(), 3)]);
        enable(&world, &["ada"]);
        assert_eq!(users(&world.sync().await), (2, 0));
        assert!(world.users().await.iter().all(|user| user.status != UserStatus::Deactivated));
    }

    async fn d48_whom_an_empty_directory_took_along_waits_until_it_is_back(backend) {
        use lockstep_sandbox::{EmptyPage, Fault, FaultKind};
        let names = names("p", 30);
        let world = World::around(backend, people(&as_strs(&names))).await;
        world.sync().await;
        world.control().add_fault(Fault::new(FaultKind::Empty { next_link: EmptyPage::None }).on_request("users.list")).unwrap();
        assert_eq!(users(&world.full_sync().await), (30, 0));
        world.control().clear_faults();
        world.control().delete_user(&id_of("p00")).unwrap();
        let run = world.full_sync().await;
        assert_eq!(users(&run), (1, 0), "{:?}", world.lines(&run).await);
        assert_eq!(categories(&world).await, [("EMPTY_SOURCE".to_owned(), 1)]);
        world.save_rules(&with_limits(InboundRules::default(), |limits| limits.user_deactivations = limit(6, 10))).await;
        assert_eq!(users(&world.sync().await), (0, 1), "an owner raised the limit");
    }

    async fn d48_archivals_stay_held_through_new_groups(backend) {
        let groups: Vec<(String, Vec<&str>)> = (0..6).map(|n| (format!("Class {n}"), vec!["ada"])).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(name, members)| (name.as_str(), members.as_slice())).collect();
        let world = World::with_rules(backend, school(&["ada"], &[], &groups), groups_only()).await;
        world.sync().await;
        for (name, _) in &groups[..4] {
            world.control().delete_group(&id_of(name)).unwrap();
        }
        assert_eq!(world.sync().await.summary.teams.held, 4);
        for n in 0..15 {
            let id = world.control().create_group(json!({ "displayName": format!("Course {n}") })).unwrap();
            world.control().add_member(&id, &id_of("ada")).unwrap();
        }
        for _ in 0..2 {
            let run = world.sync().await;
            assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (4, 0), "{:?}", world.lines(&run).await);
            assert_eq!(removals(&run), (4, 0), "what follows waits with it");
        }
        world.control().restore_group(&id_of(groups[0].0)).unwrap();
        let run = world.sync().await;
        assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (3, 0), "{:?}", world.lines(&run).await);
        // An owner who switches the rule off says what becomes of all its teams.
        world.save_rules(&InboundRules::default()).await;
        let run = world.sync().await;
        assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (0, 21), "{:?}", world.lines(&run).await);
        assert_eq!(removals(&run), (0, 21), "{:?}", world.lines(&run).await);
    }

    async fn d48_addresses_stay_held_through_hires(backend) {
        let rules = with_limits(InboundRules::default(), |limits| limits.email_changes = limit(0, 10));
        let names = names("p", 20);
        let world = World::with_rules(backend, people(&as_strs(&names)), rules).await;
        world.sync().await;
        let change = |name: &str, domain: &str| world.control().patch_user(&id_of(name), json!({ "mail": format!("{name}@{domain}") })).unwrap();
        for name in &names[..3] {
            change(name, "new.example");
        }
        let run = world.sync().await;
        assert_eq!(run.summary.users.held, 3, "{:?}", world.lines(&run).await);
        hire(&world, "new", 40);
        world.sync().await;
        // Another address is no way around it.
        change("p00", "other.example");
        let run = world.sync().await;
        assert_eq!(run.summary.users.held, 3, "{:?}", world.lines(&run).await);
        change("p01", "example.com");
        let run = world.sync().await;
        assert_eq!(run.summary.users.held, 2, "{:?}", world.lines(&run).await);
        change("p01", "new.example");
        let run = world.sync().await;
        assert_eq!(run.summary.users.held, 3, "three of twenty: {:?}", world.lines(&run).await);
        assert!(world.users().await.iter().all(|user| !user.email.ends_with(".example") || user.email.starts_with("olga")));
    }

    async fn d48_people_who_change_managers_stay_held_through_new_reports(backend) {
        let names = names("p", 22);
        let people = as_strs(&names);
        let managers: Vec<(&str, &str)> = people[2..].iter().map(|name| (*name, people[0])).collect();
        let world = World::with_rules(backend, school(&people, &managers, &[]), managers_only()).await;
        world.sync().await;
        for name in &people[2..14] {
            world.control().set_manager(&id_of(name), Some(&id_of("p01"))).unwrap();
        }
        let before = roster(&world).await;
        let run = world.sync().await;
        assert_eq!(removals(&run), (12, 0), "{:?}", world.lines(&run).await);
        hire(&world, "new", 30);
        for n in 0..30 {
            world.control().set_manager(&id_of(&format!("new{n:02}")), Some(&id_of("p00"))).unwrap();
        }
        for _ in 0..2 {
            let run = world.sync().await;
            assert_eq!(removals(&run), (12, 0), "{:?}", world.lines(&run).await);
        }
        assert_eq!(before.len() + 1, roster(&world).await.len(), "the new manager leads a team without them");
        for name in &people[2..6] {
            world.control().set_manager(&id_of(name), Some(&id_of("p00"))).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(removals(&run), (8, 0), "{:?}", world.lines(&run).await);
        // Those who are left under the old manager leave as well: the team does not go because of them.
        for name in people[14..].iter().chain(&people[2..6]) {
            world.control().set_manager(&id_of(name), None).unwrap();
        }
        for n in 0..30 {
            world.control().set_manager(&id_of(&format!("new{n:02}")), None).unwrap();
        }
        let run = world.sync().await;
        assert_eq!(run.summary.teams.deactivated, 0, "{:?}", world.lines(&run).await);
        assert!(removals(&run).0 >= 8, "{:?}", world.lines(&run).await);
        let team = team(&world, "p00 Example's team").await;
        let still: Vec<String> = members(&world, &team).await;
        assert!(people[6..14].iter().all(|name| still.contains(&(*name).to_owned())), "{still:?}");
    }

    async fn d48_an_owner_who_is_one_of_too_many_is_held_with_them_and_remembered(backend) {
        let world = World::around(backend, people(&["ada", "bob", "cyd"])).await;
        world.sync().await;
        sql(&world, "UPDATE platform_user SET role = 'OWNER' WHERE email = 'ada@example.com'").await;
        sql(&world, "UPDATE platform_user SET role = 'MEMBER' WHERE email = 'olga@owner.example'").await;
        disable(&world, &["ada", "bob", "cyd"]);
        let run = world.sync().await;
        assert_eq!((users(&run), run.summary.users.skipped), ((3, 0), 0), "{:?}", world.lines(&run).await);
        hire(&world, "new", 40);
        world.sync().await;
        sql(&world, "UPDATE platform_user SET role = 'OWNER' WHERE email = 'olga@owner.example'").await;
        let run = world.sync().await;
        assert_eq!(users(&run), (3, 0), "another owner is no reason to let one go: {:?}", world.lines(&run).await);
        assert_ne!(world.user("ada@example.com").await.status, UserStatus::Deactivated);
    }

    async fn d48_departures_stay_held_when_a_raise_is_taken_back_before_it_is_applied(backend) {
        let world = six_of_fifty(backend).await;
        hire(&world, "new", 14);
        assert_eq!(users(&world.sync().await), (6, 0));
        world.save_rules(&with_limits(InboundRules::default(), |limits| limits.user_deactivations = limit(5, 20))).await;
        guarded_and_canceled(&world).await;
        world.save_rules(&InboundRules::default()).await;
        let run = world.sync().await;
        assert_eq!(users(&run), (6, 0), "{:?}", world.lines(&run).await);
    }

    async fn d48_teams_and_members_stay_held_when_a_raise_is_taken_back_before_it_is_applied(backend) {
        let world = class_of_ten(backend).await;
        for n in 0..5 {
            let id = world.control().create_group(json!({ "displayName": format!("Course {n}") })).unwrap();
            world.control().add_member(&id, &id_of("p00")).unwrap();
        }
        world.sync().await;
        for team in crate::team_world::teams(&world).await {
            if team.name != "Class" {
                let group = world.control().group_ids().into_iter().find(|id| world.control().group(id).is_some_and(|group| group["displayName"] == team.name.as_str()));
                world.control().delete_group(&group.unwrap()).unwrap();
            }
        }
        let run = world.sync().await;
        assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (5, 0), "{:?}", world.lines(&run).await);
        for n in 0..25 {
            let id = world.control().create_group(json!({ "displayName": format!("Club {n}") })).unwrap();
            world.control().add_member(&id, &id_of("p00")).unwrap();
        }
        assert_eq!(world.sync().await.summary.teams.created, 25);
        world.save_rules(&with_limits(groups_only(), |limits| {
            limits.member_removals_per_team = limit(9, 100);
            limits.team_archivals = limit(3, 100);
        })).await;
        guarded_and_canceled(&world).await;
        world.save_rules(&groups_only()).await;
        for _ in 0..2 {
            let run = world.sync().await;
            let lines = world.lines(&run).await;
            assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (5, 0), "{lines:?}");
            assert_eq!(removals(&run).1, 0, "{lines:?}");
        }
        assert_eq!(members(&world, &team(&world, "Class").await).await.len(), 20);
    }

    async fn d48_a_class_stays_held_when_its_rule_is_off_for_a_run_that_applies_nothing(backend) {
        let world = class_of_ten(backend).await;
        world.save_rules(&InboundRules::default()).await;
        guarded_and_canceled(&world).await;
        world.save_rules(&groups_only()).await;
        for _ in 0..2 {
            let run = world.sync().await;
            assert_eq!(removals(&run), (10, 0), "{:?}", world.lines(&run).await);
        }
        assert_eq!(members(&world, &team(&world, "Class").await).await.len(), 20);
    }

    async fn d48_addresses_stay_held_until_they_have_moved(backend) {
        let rules = |percent| with_limits(InboundRules::default(), |limits| limits.email_changes = limit(0, percent));
        let names = names("p", 20);
        let world = World::with_rules(backend, people(&as_strs(&names)), rules(10)).await;
        world.sync().await;
        let change = |name: &str, domain: &str| world.control().patch_user(&id_of(name), json!({ "mail": format!("{name}@{domain}") })).unwrap();
        for name in &names[..3] {
            change(name, "new.example");
        }
        assert_eq!(world.sync().await.summary.users.held, 3);
        hire(&world, "new", 40);
        assert_eq!(world.sync().await.summary.users.held, 3);
        world.save_rules(&rules(20)).await;
        guarded_and_canceled(&world).await;
        world.save_rules(&rules(10)).await;
        let run = world.sync().await;
        assert_eq!(run.summary.users.held, 3, "the raise was taken back: {:?}", world.lines(&run).await);
        world.save_rules(&rules(20)).await;
        let run = world.sync().await;
        assert_eq!((run.summary.users.held, run.summary.users.updated), (0, 3), "{:?}", world.lines(&run).await);
        world.save_rules(&rules(10)).await;
        change("p00", "other.example");
        let run = world.sync().await;
        assert_eq!((run.summary.users.held, run.summary.users.updated), (0, 1), "what was held has moved: {:?}", world.lines(&run).await);
    }

    async fn d48_addresses_of_people_who_are_linked_stay_held_through_hires(backend) {
        let rules = InboundRules {
            match_by_user_principal_name: true,
            ..with_limits(InboundRules::default(), |limits| limits.email_changes = limit(0, 10))
        };
        let world = World::with_rules(backend, people(&as_strs(&names("p", 20))), rules).await;
        world.sync().await;
        for name in ["hal", "ivy", "joe"] {
            by_hand(&world, name).await;
            let mut person = person(name);
            person["mail"] = json!(format!("{name}@new.example"));
            world.control().create_user(person).unwrap();
        }
        let run = world.sync().await;
        assert_eq!((run.summary.users.held, run.summary.users.linked), (3, 3), "{:?}", world.lines(&run).await);
        hire(&world, "new", 40);
        for _ in 0..2 {
            let run = world.sync().await;
            assert_eq!(run.summary.users.held, 3, "{:?}", world.lines(&run).await);
        }
        world.user("hal@example.com").await;
    }

    async fn d48_a_team_is_not_archived_over_the_heads_of_members_who_are_held(backend) {
        let world = class_of_ten(backend).await;
        world.control().delete_group(&id_of("Class")).unwrap();
        for _ in 0..2 {
            let run = world.sync().await;
            let lines = world.lines(&run).await;
            assert_eq!((run.summary.teams.held, run.summary.teams.deactivated), (1, 0), "{lines:?}");
            assert_eq!(removals(&run), (20, 0), "{lines:?}");
        }
        assert_eq!(categories(&world).await, [("MEMBER_REMOVALS".to_owned(), 10)]);
        world.control().restore_group(&id_of("Class")).unwrap();
        let run = world.sync().await;
        assert_eq!((run.summary.teams.held, removals(&run)), (0, (10, 0)), "{:?}", world.lines(&run).await);
        world.control().delete_group(&id_of("Class")).unwrap();
        world.save_rules(&with_limits(groups_only(), |limits| limits.member_removals_per_team = limit(9, 100))).await;
        let run = world.sync().await;
        assert_eq!((run.summary.teams.deactivated, removals(&run)), (1, (0, 20)), "an owner raised the limit: {:?}", world.lines(&run).await);
    }

    async fn d48_what_is_left_in_an_archived_team_holds_nobody(backend) {
        let names = names("p", 24);
        let people = as_strs(&names);
        let tenant = school(&people, &[], &[("Class", &people[..10]), ("Few", &people[20..])]);
        let world = World::with_rules(backend, tenant, groups_only()).await;
        world.sync().await;
        for name in &people[..10] {
            world.control().remove_member(&id_of("Class"), &id_of(name)).unwrap();
        }
        assert_eq!(removals(&world.sync().await), (10, 0));
        // As the archival of an owner leaves it that is stopped between teams and memberships.
        sql(&world, "UPDATE team SET status = 'ARCHIVED', archival_reason = 'SOURCE_DELETED' WHERE name = 'Class'").await;
        world.control().delete_group(&id_of("Class")).unwrap();
        world.control().remove_member(&id_of("Few"), &id_of("p20")).unwrap();
        let run = world.sync().await;
        assert_eq!(removals(&run), (0, 11), "{:?}", world.lines(&run).await);
        assert!(open_hold(&world).await.is_none());
    }

    async fn d48_a_maximum_of_each_team_says_nothing_of_all_teams_together(backend) {
        let rules = |percent| with_limits(groups_only(), |limits| {
            limits.member_removals_per_team = ChangeLimit { maximum: Some(12), ..limit(9, percent) };
        });
        let names = names("p", 4);
        let people = as_strs(&names);
        let groups: Vec<(String, Vec<&str>)> = (0..6).map(|n| (format!("Class {n}"), people.clone())).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(name, members)| (name.as_str(), members.as_slice())).collect();
        let world = World::with_rules(backend, school(&people, &[], &groups), rules(50)).await;
        world.sync().await;
        for (name, members) in &groups {
            for member in &members[..3] {
                world.control().remove_member(&id_of(name), &id_of(member)).unwrap();
            }
        }
        assert_eq!(removals(&world.sync().await), (18, 0));
        world.save_rules(&rules(60)).await;
        assert_eq!(removals(&world.sync().await), (18, 0), "14 of 24 would be too few");
        world.save_rules(&rules(75)).await;
        let run = world.sync().await;
        assert_eq!(removals(&run), (0, 18), "{:?}", world.lines(&run).await);
    }

    async fn d48_an_empty_directory_does_not_take_back_what_an_owner_raised(backend) {
        use lockstep_sandbox::{EmptyPage, Fault, FaultKind};
        let world = six_of_fifty(backend).await;
        world.save_rules(&with_limits(InboundRules::default(), |limits| limits.user_deactivations = limit(5, 20))).await;
        world.control().add_fault(Fault::new(FaultKind::Empty { next_link: EmptyPage::None }).on_request("users.list")).unwrap();
        let run = world.full_sync().await;
        assert_eq!(users(&run), (50, 0), "{:?}", world.lines(&run).await);
        world.control().clear_faults();
        let run = world.full_sync().await;
        assert_eq!(users(&run), (0, 6), "{:?}", world.lines(&run).await);
    }

    async fn d48_a_member_who_is_held_and_leaves_the_directory_leaves_the_team(backend) {
        let world = class_of_ten(backend).await;
        for name in ["p07", "p08", "p09"] {
            world.control().add_member(&id_of("Class"), &id_of(name)).unwrap();
        }
        assert_eq!(removals(&world.sync().await), (7, 0));
        disable(&world, &["p00"]);
        let run = world.sync().await;
        assert_eq!((users(&run), removals(&run)), ((0, 1), (6, 1)), "{:?}", world.lines(&run).await);
    }

    async fn d48_members_of_all_teams_stay_held_through_new_members(backend) {
        let names = names("p", 40);
        let people = as_strs(&names);
        let groups: Vec<(String, Vec<&str>)> = (0..6).map(|n| (format!("Class {n}"), people[..4].to_vec())).collect();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(name, members)| (name.as_str(), members.as_slice())).collect();
        let world = World::with_rules(backend, school(&people, &[], &groups), groups_only()).await;
        world.sync().await;
        for (name, members) in &groups {
            for member in &members[..3] {
                world.control().remove_member(&id_of(name), &id_of(member)).unwrap();
            }
        }
        assert_eq!(removals(&world.sync().await), (18, 0));
        for (name, _) in &groups {
            for member in &people[4..] {
                world.control().add_member(&id_of(name), &id_of(member)).unwrap();
            }
        }
        for _ in 0..2 {
            let run = world.sync().await;
            assert_eq!(removals(&run), (18, 0), "{:?}", world.lines(&run).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d49_a_decision_that_is_made_while_a_run_is_planned_stands() {
    use lockstep_tests::{postgres, wait};
    use sea_orm::ConnectionTrait as _;
    let world = six_of_fifty(Backend::Postgres).await;
    let hold = open_hold(&world).await.unwrap();
    disable(&world, &["p10"]);
    let tx = world.store.begin().await.unwrap();
    tx.execute_unprepared("UPDATE hold SET decision = 'REJECTED', decided_at = now()")
        .await
        .unwrap();
    let id = world.request(RunKind::Sync, false).await.run().id;
    let worker = world.worker();
    let work = tokio::spawn(async move { lockstep_worker::run::work(&worker, id).await });
    let name = world.url.rsplit('/').next().unwrap().to_owned();
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock' AND query LIKE '%\"hold\"%'"
    );
    wait::eventually("the run comes to the hold", wait::PATIENCE, || {
        let waiting = postgres::shared().sql("postgres", &waits).unwrap();
        std::future::ready((waiting != "0").then_some(()))
    })
    .await;
    tx.commit().await.unwrap();
    work.await.unwrap();
    let run = world.read_run(id).await;
    assert_eq!(users(&run), (7, 0), "{:?}", world.lines(&run).await);
    let decided = world.store.hold(world.organization, hold.id).await.unwrap();
    let decided = decided.unwrap();
    assert_eq!(decided.decision, Some(HoldDecisionKind::Rejected));
    assert_eq!(
        (decided.run_id, decided.plan_hash),
        (hold.run_id, hold.plan_hash),
        "what was decided on is what it was"
    );
    assert_ne!(open_hold(&world).await.unwrap().id, hold.id);
}
