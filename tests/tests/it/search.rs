//! Searching people, teams and changes, and the order of their lists.

use lockstep_domain::{Address, OrganizationId, Role, UserId, search_key, user_search_key};
use lockstep_migration::{Migrator, MigratorTrait as _};
use lockstep_store::Store;
use lockstep_store::change::ChangeFilter;
use lockstep_store::order::{ListOrder, OrderBy, Place};
use lockstep_store::page::PageRequest;
use lockstep_store::team::TeamFilter;
use lockstep_store::user::{NewUser, UserFilter};
use lockstep_tests::{postgres, wait};
use sea_orm::{ConnectionTrait as _, QueryResult, Statement};
use serde_json::{Value, json};

use crate::team_world::{DOZEN, rename, rules, school};
use crate::world::{World, both, id_of, people, person, sql, tenant};

const BY_NAME: ListOrder = ListOrder {
    by: OrderBy::Name,
    descending: false,
};

fn named(given: &str, family: &str, mail: &str) -> Value {
    let mut one = person(mail);
    one["givenName"] = json!(given);
    one["surname"] = json!(family);
    one
}

/// Names of the users that a search finds, in the order of names.
async fn found(world: &World, text: &str) -> Vec<String> {
    let filter = UserFilter {
        search: Some(text.to_owned()),
        order: BY_NAME,
        ..UserFilter::default()
    };
    let page = world
        .store
        .users(world.organization, &filter, &PageRequest::first(100))
        .await
        .unwrap();
    assert_eq!(page.total, page.items.len() as u64, "{text}");
    page.items.iter().map(|user| user.display_name()).collect()
}

async fn add_user(
    world: &World,
    organization: OrganizationId,
    given: &str,
    family: &str,
    mail: &str,
) {
    let new = NewUser {
        given_name: given.to_owned(),
        family_name: family.to_owned(),
        email: Address::parse(mail).unwrap(),
        role: Role::Member,
        language: "en".to_owned(),
    };
    let tx = world.store.begin().await.unwrap();
    world
        .store
        .create_user(&tx, organization, &new)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn rows(world: &World, statement: &str) -> Vec<QueryResult> {
    let db = world.store.db();
    let statement = Statement::from_string(db.get_database_backend(), statement);
    db.query_all_raw(statement).await.unwrap()
}

/// Keys as stored, and as they would be made of the same row now.
async fn keys(world: &World) -> Vec<(String, String)> {
    let text = |row: &QueryResult, column: &str| row.try_get::<Option<String>>("", column).unwrap();
    let mut keys = Vec::new();
    for row in rows(
        world,
        "SELECT given_name, family_name, email, search_key FROM platform_user",
    )
    .await
    {
        let (given, family, email) = (
            text(&row, "given_name"),
            text(&row, "family_name"),
            text(&row, "email"),
        );
        let made = user_search_key(given.as_deref(), family.as_deref(), &email.unwrap());
        keys.push((text(&row, "search_key").unwrap(), made));
    }
    for row in rows(world, "SELECT name, search_key FROM team").await {
        keys.push((
            text(&row, "search_key").unwrap(),
            search_key(&[&text(&row, "name").unwrap()]),
        ));
    }
    let changes = "SELECT display_name, member_name, search_key, member_search_key FROM run_change";
    for row in rows(world, changes).await {
        keys.push((
            text(&row, "search_key").unwrap(),
            search_key(&[&text(&row, "display_name").unwrap()]),
        ));
        let member = text(&row, "member_name").unwrap_or_default();
        keys.push((
            text(&row, "member_search_key").unwrap(),
            search_key(&[&member]),
        ));
    }
    keys
}

fn assert_true(keys: &[(String, String)]) {
    let stale: Vec<_> = keys
        .iter()
        .filter(|(stored, made)| stored != made)
        .collect();
    assert!(stale.is_empty(), "{stale:?}");
}

both! {
    async fn people_are_found_by_every_word_in_any_order_and_spelling(backend) {
        let tenant = tenant(&[
            named("Özgür", "Ünal", "o.u"),
            named("Νίκος", "Παπάς", "n.p"),
            named("Ann", "Lee", "al"),
            named("Peter", "Wright", "pw"),
            named("Søren", "O’Brien", "so"),
            named("Johanna", "Leeds", "jl"),
        ]);
        let world = World::around(backend, tenant).await;
        world.sync().await;
        for (text, names) in [
            ("Özgür", vec!["Özgür Ünal"]),
            ("ozgur UNAL", vec!["Özgür Ünal"]),
            ("Νίκος", vec!["Νίκος Παπάς"]),
            ("παπασ", vec!["Νίκος Παπάς"]),
            ("Ann Lee", vec!["Ann Lee"]),
            ("Peter Wright", vec!["Peter Wright"]),
            ("wright peter", vec!["Peter Wright"]),
            ("Wright, Peter", vec!["Peter Wright"]),
            ("lee", vec!["Ann Lee", "Johanna Leeds"]),
            ("soren obrien", vec!["Søren O’Brien"]),
            ("pw@example.com", vec!["Peter Wright"]),
            ("@owner.exa", vec!["Olga Owner"]),
            ("peter lee", vec![]),
        ] {
            assert_eq!(found(&world, text).await, names, "{text}");
        }
        assert_eq!(found(&world, " \u{200b} ").await.len(), 7, "no word finds everybody");
    }

    async fn what_is_searched_is_taken_as_it_is(backend) {
        let world = World::around(backend, people(&[])).await;
        for (n, name) in ["100%", "1000", "a_b", "axb", r"c\d", "c:d", "e'f", "<->"].iter().enumerate() {
            add_user(&world, world.organization, name, "Odd", &format!("p{n}@owner.example")).await;
        }
        for (text, names) in [
            ("100%", vec!["100% Odd"]),
            ("a_b", vec!["a_b Odd"]),
            (r"c\d", vec![r"c\d Odd"]),
            ("c:d", vec!["c:d Odd"]),
            ("ef", vec!["e'f Odd"]),
            ("<-", vec!["<-> Odd"]),
            ("%", vec![]),
            ("' | '", vec![]),
            ("':* & ''", vec![]),
            ("odd !", vec![]),
            ("\u{0}100%\u{0}", vec!["100% Odd"]),
        ] {
            assert_eq!(found(&world, text).await, names, "{text:?}");
        }
    }

    async fn d90_a_search_finds_nobody_of_another_organization(backend) {
        let world = World::around(backend, people(&[])).await;
        let tx = world.store.begin().await.unwrap();
        let other = world.store.create_organization(&tx, "Other").await.unwrap().id;
        tx.commit().await.unwrap();
        add_user(&world, other, "Zoe", "Other", "zoe@other.example").await;
        add_user(&world, world.organization, "Zoe", "Own", "zoe@owner.example").await;
        assert_eq!(found(&world, "zoe").await, ["Zoe Own"]);
        assert_eq!(found(&world, "zoe other").await, Vec::<String>::new());
    }

    async fn lists_can_be_walked_in_every_order_in_both_directions(backend) {
        let world = World::around(backend, people(&[])).await;
        for (n, name) in ["Öz", "oz", "Zoe", "Ann", "ann", "Ann", "Émile"].iter().enumerate() {
            add_user(&world, world.organization, name, "Any", &format!("p{n}@a.example")).await;
        }
        for search in [None, Some("any".to_owned())] {
            for by in [OrderBy::Name, OrderBy::Creation] {
                for descending in [false, true] {
                    let order = ListOrder { by, descending };
                    let filter = UserFilter { search: search.clone(), order, ..UserFilter::default() };
                    let all = world.store.users(world.organization, &filter, &PageRequest::first(100)).await.unwrap().items;
                    let place = |user: &lockstep_domain::PlatformUser| match by {
                        OrderBy::Name => Place::Named(user.search_key(), user.id),
                        OrderBy::Creation => Place::Created(user.id),
                    };
                    let mut sorted: Vec<_> = all.iter().map(|user| (user.search_key(), user.id)).collect();
                    match by {
                        OrderBy::Name => sorted.sort(),
                        OrderBy::Creation => sorted.sort_by_key(|(_, id)| id.0),
                    }
                    if descending {
                        sorted.reverse();
                    }
                    let ids: Vec<UserId> = all.iter().map(|user| user.id).collect();
                    assert_eq!(ids, sorted.iter().map(|(_, id)| *id).collect::<Vec<_>>(), "{order:?}");
                    for from_end in [false, true] {
                        let mut request = PageRequest { after: None, before: None, limit: 3, from_end };
                        let mut walked: Vec<UserId> = Vec::new();
                        loop {
                            let page = world.store.users(world.organization, &filter, &request).await.unwrap();
                            let items: Vec<UserId> = page.items.iter().map(|user| user.id).collect();
                            if from_end {
                                walked.splice(0..0, items);
                                request.before = page.items.first().map(place);
                            } else {
                                walked.extend(items);
                                request.after = page.items.last().map(place);
                            }
                            if !(if from_end { page.has_previous } else { page.has_next }) {
                                break;
                            }
                        }
                        assert_eq!(walked, ids, "{order:?} {search:?} from_end: {from_end}");
                    }
                }
            }
        }
    }

    async fn every_writer_of_names_keeps_the_search_keys_true(backend) {
        let tenant = school(&DOZEN, &[(DOZEN[1], DOZEN[0])], &[("All", &DOZEN), ("Few", &DOZEN[..2])]);
        let world = World::with_rules(backend, tenant, rules()).await;
        world.sync().await;
        let control = world.control();
        control.patch_user(&id_of(DOZEN[0]), json!({ "givenName": "Émile", "surname": "Zola" })).unwrap();
        control.patch_user(&id_of(DOZEN[2]), json!({ "mail": "moved@example.com" })).unwrap();
        control.patch_user(&id_of(DOZEN[3]), json!({ "givenName": null })).unwrap();
        control.patch_group(&id_of("All"), json!({ "displayName": "Straße" })).unwrap();
        // A name that turns out to be taken when it is written, is another one in the change log as well.
        let tx = world.store.begin().await.unwrap();
        world.store.create_team(&tx, world.organization, "Ærø", None).await.unwrap();
        tx.commit().await.unwrap();
        rename(&world, "Few", "Łódź").await;
        world.sync().await;
        let keys = keys(&world).await;
        assert!(keys.len() > 40, "{}", keys.len());
        assert_true(&keys);
        let teams = |text: &str| TeamFilter { search: Some(text.to_owned()), ..TeamFilter::default() };
        for (text, name) in [("strasse", "Straße"), ("lodz", "Łódź"), ("aero", "Ærø"), ("emile zola", "Émile Zola's team")] {
            let page = world.store.teams(world.organization, &teams(text), &PageRequest::first(9)).await.unwrap();
            let names: Vec<&str> = page.items.iter().map(|team| team.name.as_str()).collect();
            assert_eq!(names, [name], "{text}");
        }
    }

    async fn changes_are_found_by_the_words_of_the_object_and_of_the_member(backend) {
        let tenant = school(&["ada", "bob"], &[], &[("Straße Nord", &["ada", "bob"])]);
        let world = World::with_rules(backend, tenant, rules()).await;
        let run = world.sync().await;
        let lines = async |text: &str| {
            let filter = ChangeFilter { search: Some(text.to_owned()), ..ChangeFilter::default() };
            let page = world.store.changes(run.id, &filter, &PageRequest::first(100)).await.unwrap();
            page.items.iter().map(|change| change.sequence).collect::<Vec<_>>()
        };
        assert_eq!(lines("example ADA").await.len(), 2, "created, and put into the team");
        assert_eq!(lines("nord strasse").await.len(), 3, "the team and its members");
        assert_eq!(lines("nord ada").await.len(), 1, "one word of the team, one of the member");
        assert_eq!(lines("nord cyd").await.len(), 0);
        assert_eq!(lines("%").await.len(), 0);
    }

    async fn words_are_stored_and_searched_however_long_they_are(backend) {
        let world = World::around(backend, people(&[])).await;
        // Of four bytes a letter: longer than PostgreSQL takes.
        let long = "\u{10348}".repeat(700);
        let tx = world.store.begin().await.unwrap();
        world.store.create_team(&tx, world.organization, &format!("Team {long}"), None).await.unwrap();
        world.store.create_team(&tx, world.organization, "Team", None).await.unwrap();
        tx.commit().await.unwrap();
        for text in [long.clone(), format!("{long} team"), "\u{10348}".repeat(3)] {
            let filter = TeamFilter { search: Some(text), ..TeamFilter::default() };
            let page = world.store.teams(world.organization, &filter, &PageRequest::first(9)).await.unwrap();
            assert_eq!(page.total, 1);
        }
    }

    async fn search_keys_are_filled_for_rows_from_before(backend) {
        let tenant = school(&["ada", "bob"], &[], &[("Straße", &["ada", "bob"])]);
        let world = World::with_rules(backend, tenant, rules()).await;
        world.sync().await;
        add_user(&world, world.organization, "Özgür", "Ünal", "o.u@owner.example").await;
        // More than one batch.
        for n in 0..1_100 {
            let id = format!("00000000-0000-7000-8000-{n:012}");
            let id = match backend {
                crate::world::Backend::Sqlite => format!("X'{}'", id.replace('-', "")),
                crate::world::Backend::Postgres => format!("'{id}'"),
            };
            sql(&world, &format!("INSERT INTO team (id, organization_id, name, name_key, name_is_local, status, origin, created_at, updated_at) SELECT {id}, organization_id, 'Größe {n}', 'x', true, 'ACTIVE', 'LOCAL', created_at, updated_at FROM team WHERE name = 'Straße'")).await;
        }
        let migrations = Migrator::migrations();
        let first = migrations.iter().position(|one| one.name() == "m0028_search_key").unwrap();
        let steps = u32::try_from(migrations.len() - first).unwrap();
        let tx = world.store.begin().await.unwrap();
        Migrator::down(&tx, Some(steps)).await.unwrap();
        tx.commit().await.unwrap();
        let with_keys = world.store.users(world.organization, &UserFilter::default(), &PageRequest::first(1)).await;
        assert!(with_keys.is_err(), "there are no keys any more");
        world.store.migrate().await.unwrap();

        let keys = keys(&world).await;
        assert!(keys.len() > 1_100);
        assert_true(&keys);
        assert_eq!(found(&world, "unal ozgur").await, ["Özgür Ünal"]);
        let filter = TeamFilter { search: Some("grosse 109".to_owned()), ..TeamFilter::default() };
        let page = world.store.teams(world.organization, &filter, &PageRequest::first(100)).await.unwrap();
        assert_eq!(page.total, 11, "109 and 1090 to 1099");
    }
}

/// A database of PostgreSQL in which two organizations are known by an ANALYZE, and a third is not.
struct Crowd {
    name: String,
    url: String,
    organization: OrganizationId,
}

/// People of each organization.
const CROWD: usize = 20_000;

impl Crowd {
    async fn new() -> Self {
        let server = postgres::shared();
        let name = server.fresh_name();
        let url = server.create_database(&name).unwrap();
        let crowd = Self {
            name,
            url,
            organization: OrganizationId(uuid::Uuid::from_u128(3)),
        };
        let store = crowd.store().await;
        store.migrate().await.unwrap();
        close(store).await;
        for n in 1..=3 {
            crowd.sql(&format!("INSERT INTO organization (id, name, created_at, change_retention_days) VALUES ('{}', 'Org', now(), 90)", uuid::Uuid::from_u128(n)));
            crowd.sql(&format!(
                "INSERT INTO platform_user (id, organization_id, given_name, family_name, names_derived, email, email_key, language, \
                 language_is_own_choice, status, ever_active, role, origin, created_at, updated_at, search_key) \
                 SELECT gen_random_uuid(), '{}', 'Pia', 'P' || n, false, 'u' || n, 'u' || n, 'en', false, 'ACTIVE', true, 'MEMBER', \
                 'LOCAL', now(), now(), 'pia p' || n || ' u' || n FROM generate_series(1, {CROWD}) n",
                uuid::Uuid::from_u128(n)
            ));
            if n == 2 {
                crowd.sql("ANALYZE");
                crowd.sql("ALTER TABLE platform_user SET (autovacuum_enabled = off)");
            }
        }
        crowd
    }

    async fn store(&self) -> Store {
        Store::connect(&self.url).await.unwrap()
    }

    fn sql(&self, statement: &str) -> String {
        postgres::shared().sql(&self.name, statement).unwrap()
    }

    /// Rows of users that statements have looked at so far. A backend has told what it did when it has ended.
    async fn visited(&self) -> usize {
        let others = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        );
        let nobody = || async {
            let count = postgres::shared().sql("postgres", &others).unwrap();
            (count == "0").then_some(())
        };
        wait::eventually("everyone has disconnected", wait::PATIENCE, nobody).await;
        let rows = "SELECT (seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables WHERE relname = 'platform_user'";
        self.sql(rows).parse().unwrap()
    }

    /// Reads a page, and returns how many users there are in all and how many rows of users that took.
    async fn page(
        &self,
        search: Option<&str>,
        order: ListOrder,
        after: Option<Place<UserId>>,
    ) -> (usize, usize) {
        let before = self.visited().await;
        let store = self.store().await;
        let filter = UserFilter {
            search: search.map(ToOwned::to_owned),
            order,
            ..UserFilter::default()
        };
        let request = PageRequest {
            after,
            ..PageRequest::first(20)
        };
        let page = store
            .users(self.organization, &filter, &request)
            .await
            .unwrap();
        close(store).await;
        (
            usize::try_from(page.total).unwrap(),
            self.visited().await - before,
        )
    }
}

/// Disconnects, as readers and as writers.
async fn close(store: Store) {
    store.db().clone().close().await.unwrap();
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_looks_at_what_it_finds_whatever_postgresql_knows_of_the_organization() {
    let crowd = Crowd::new().await;
    let by_creation = ListOrder {
        by: OrderBy::Creation,
        ..BY_NAME
    };
    for order in [
        BY_NAME,
        by_creation,
        ListOrder {
            descending: true,
            ..BY_NAME
        },
    ] {
        for (search, found) in [("p777 pia", 11), ("p12345", 1), ("nobody", 0)] {
            let (total, visited) = crowd.page(Some(search), order, None).await;
            assert_eq!(total, found, "{search}");
            assert!(
                visited <= 2 * found,
                "{search} {order:?}: {visited} rows, once counted and once read"
            );
        }
    }
    // Counting looks at everyone once, and a page at little more than itself.
    let middle = Place::Named("pia p15".to_owned(), UserId(uuid::Uuid::nil()));
    for (order, after) in [
        (BY_NAME, None),
        (BY_NAME, Some(middle)),
        (by_creation, None),
    ] {
        let (total, visited) = crowd.page(None, order, after).await;
        assert_eq!(total, CROWD);
        assert!(visited <= CROWD + 100, "{order:?}: {visited} rows");
    }
}
