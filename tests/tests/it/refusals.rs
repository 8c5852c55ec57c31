//! Rows that the database refuses: the one is told, the others are applied.

use lockstep_domain::{ChangeOutcome, ObjectKind, RunState};
use lockstep_store::run::Run;

use crate::team_world::{assert_settled, groups_only, school};
use crate::world::{Backend, World, both, many, sql};

/// Has the database refuse rows, and count how often it did where that outlives a rollback.
async fn refuse(world: &World, backend: Backend, table: &str, which: &str) {
    match backend {
        Backend::Sqlite => {
            let trigger = format!(
                "CREATE TRIGGER refusing BEFORE INSERT ON {table} WHEN {which} BEGIN SELECT RAISE(ABORT, 'refused'); END"
            );
            sql(world, &trigger).await;
        }
        Backend::Postgres => {
            let trigger = format!(
                "CREATE SEQUENCE refusals; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   PERFORM nextval('refusals'); RAISE unique_violation USING MESSAGE = 'refused'; END $$;
                 CREATE TRIGGER refusing BEFORE INSERT ON {table} FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION refuse()"
            );
            sql(world, &trigger).await;
        }
    }
}

/// How often rows were refused, where that is counted.
fn refusals(world: &World, backend: Backend) -> u64 {
    if backend == Backend::Sqlite {
        return 1;
    }
    let name = world.url.rsplit('/').next().expect("a URL has a path");
    let last = lockstep_tests::postgres::shared().sql(name, "SELECT last_value FROM refusals");
    last.unwrap().parse().unwrap()
}

/// The rows that failed, and why.
async fn failed(world: &World, run: &Run, kind: ObjectKind) -> Vec<String> {
    let changes = world.changes(run).await.into_iter();
    let failed = changes.filter(|change| change.outcome == ChangeOutcome::Failed);
    failed
        .inspect(|change| assert_eq!(change.object_kind, kind))
        .map(|change| {
            let reason = change.reason.expect("a failure has a reason");
            assert!(!reason.message.is_empty());
            change.display_name
        })
        .collect()
}

/// Lets the database take everything again.
async fn allow(world: &World, backend: Backend, table: &str) {
    match backend {
        Backend::Sqlite => sql(world, "DROP TRIGGER refusing").await,
        Backend::Postgres => sql(world, &format!("DROP TRIGGER refusing ON {table}")).await,
    }
}

/// More than one transaction applies, named so that a row of the first one can be refused.
fn crowd() -> Vec<String> {
    (0..700).map(|n| format!("p{n:05}")).collect()
}

/// Tries that are allowed to find one row of 500: halves, down to a single one, and that one again.
const TRIES: u64 = 13;

both! {
    async fn d47_one_user_whom_the_database_refuses_keeps_nobody_else_from_being_applied(backend) {
        let world = World::around(backend, many(700)).await;
        refuse(&world, backend, "platform_user", "NEW.given_name = 'p00437'").await;
        let run = world.sync().await;
        assert_eq!(run.state, RunState::SucceededWithWarnings, "{:?}", run.error);
        assert_eq!((run.summary.users.created, run.summary.users.failed), (699, 1));
        assert_eq!(failed(&world, &run, ObjectKind::User).await, ["p00437 Example"]);
        let tries = refusals(&world, backend);
        assert!(tries <= TRIES, "500 rows were tried {tries} times");
        allow(&world, backend, "platform_user").await;
        assert_eq!(world.sync().await.summary.users.created, 1, "the next run tries it again");
    }

    async fn d47_one_team_that_the_database_refuses_keeps_no_other_from_being_applied(backend) {
        let names = crowd();
        let groups: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &["ada"][..])).collect();
        let world = World::with_rules(backend, school(&["ada"], &[], &groups), groups_only()).await;
        refuse(&world, backend, "team", "NEW.name = 'p00437'").await;
        let run = world.sync().await;
        assert_eq!(run.state, RunState::SucceededWithWarnings, "{:?}", run.error);
        assert_eq!(run.summary.teams.created, 699);
        assert_eq!(failed(&world, &run, ObjectKind::Team).await, ["p00437"]);
        let tries = refusals(&world, backend);
        assert!(tries <= TRIES, "500 rows were tried {tries} times");
        allow(&world, backend, "team").await;
        assert_eq!(world.sync().await.summary.teams.created, 1, "the next run tries it again");
        assert_settled(&world).await;
    }

    async fn d47_one_membership_that_the_database_refuses_keeps_no_other_from_being_applied(backend) {
        let names = crowd();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let world = World::around(backend, school(&people, &[], &[("All", &people)])).await;
        world.sync().await;
        let refused = world.user("p00437@example.com").await.id.0;
        let which = match backend {
            Backend::Sqlite => format!("NEW.user_id = X'{}'", refused.simple()),
            Backend::Postgres => format!("NEW.user_id = '{refused}'"),
        };
        refuse(&world, backend, "membership", &which).await;
        world.save_rules(&groups_only()).await;
        let run = world.sync().await;
        assert_eq!(run.state, RunState::SucceededWithWarnings, "{:?}", run.error);
        assert_eq!((run.summary.memberships.created, run.summary.memberships.failed), (699, 1));
        assert_eq!(failed(&world, &run, ObjectKind::Membership).await, ["All"]);
        let tries = refusals(&world, backend);
        assert!(tries <= TRIES, "500 rows were tried {tries} times");
        allow(&world, backend, "membership").await;
        assert_eq!(world.sync().await.summary.memberships.created, 1, "the next run tries it again");
        assert_settled(&world).await;
    }
}
