//! Lists of people and teams: searched, restricted, ordered, walked, and their limits.

use lockstep_domain::{Address, Role, TeamId, UserId};
use lockstep_store::user::NewUser;
use serde_json::{Value, json};
use uuid::Uuid;

use super::statements::counted;
use super::world::{Who, World};
use crate::id::GlobalId as _;

const USERS: &str = "query($filter: UserFilter, $order: UserOrder, $first: Int, $after: String, $last: Int, $before: String) {
    organization { users(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
        totalCount nodes { displayName } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } } }";
const TEAMS: &str = "query($filter: TeamFilter, $order: TeamOrder, $first: Int, $after: String) {
    organization { teams(filter: $filter, orderBy: $order, first: $first, after: $after) {
        nodes { name } pageInfo { endCursor } } } }";

impl World {
    async fn named(&self, given: &str, family: &str) -> UserId {
        let new = NewUser {
            given_name: given.to_owned(),
            family_name: family.to_owned(),
            email: Address::parse(&format!("{}@example.com", Uuid::now_v7().simple())).unwrap(),
            role: Role::Member,
            language: "en".to_owned(),
        };
        let tx = self.store.begin().await.unwrap();
        let user = self.store.create_user(&tx, self.organization, &new).await;
        tx.commit().await.unwrap();
        user.unwrap().id
    }

    async fn users(&self, variables: Value) -> (Vec<String>, Value) {
        let list = self.ask(Who::Ben, USERS, variables).await["organization"]["users"].clone();
        (texts(&list, "displayName"), list["pageInfo"].clone())
    }

    async fn teams(&self, variables: Value) -> (Vec<String>, Value) {
        let list = self.ask(Who::Ben, TEAMS, variables).await["organization"]["teams"].clone();
        (texts(&list, "name"), list["pageInfo"].clone())
    }
}

fn texts(list: &Value, field: &str) -> Vec<String> {
    let nodes = list["nodes"].as_array().unwrap().iter();
    nodes
        .map(|node| node[field].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn lists_are_in_the_order_of_names_unless_asked_otherwise() {
    let world = World::new().await;
    for (given, family) in [("Zoe", "Any"), ("Émile", "Zola"), ("Öz", "Any")] {
        world.named(given, family).await;
    }
    let by_name = ["Ada Doe", "Ben Doe", "Émile Zola", "Öz Any", "Zoe Any"];
    let by_creation = ["Ada Doe", "Ben Doe", "Zoe Any", "Émile Zola", "Öz Any"];
    assert_eq!(world.users(json!({})).await.0, by_name);
    for (field, all) in [("NAME", by_name), ("CREATED_AT", by_creation)] {
        let order = |direction: &str| json!({ "field": field, "direction": direction });
        let up = world.users(json!({ "order": order("ASC") })).await.0;
        assert_eq!(up, all);
        let mut down = world.users(json!({ "order": order("DESC") })).await.0;
        down.reverse();
        assert_eq!(down, all);
        let (first, info) = world
            .users(json!({ "order": order("DESC"), "first": 2 }))
            .await;
        assert_eq!(first, [all[4], all[3]]);
        let next = json!({ "order": order("DESC"), "first": 2, "after": info["endCursor"] });
        let (second, info) = world.users(next).await;
        assert_eq!(second, [all[2], all[1]]);
        let back = json!({ "order": order("DESC"), "last": 2, "before": info["startCursor"] });
        assert_eq!(world.users(back).await.0, first);
    }
    for name in ["Straße", "Ärzte", "zoo", "Strasse"] {
        world.team(name).await;
    }
    let by_name = ["Ärzte", "Straße", "Strasse", "zoo"];
    assert_eq!(world.teams(json!({})).await.0, by_name);
    let (first, info) = world.teams(json!({ "first": 2 })).await;
    let (second, _) = world
        .teams(json!({ "first": 2, "after": info["endCursor"] }))
        .await;
    assert_eq!([first, second].concat(), by_name);
    let order = json!({ "order": { "field": "CREATED_AT", "direction": "ASC" }, "first": 1 });
    assert_eq!(world.teams(order).await.0, ["Straße"]);
}

/// A page goes on from the place of a row, also when the row is gone or called otherwise by then.
#[tokio::test]
async fn a_cursor_holds_when_its_row_is_renamed() {
    let world = World::new().await;
    let ida = world.named("Ida", "Any").await;
    world.named("Joe", "Any").await;
    let (first, info) = world.users(json!({ "first": 3 })).await;
    assert_eq!(first, ["Ada Doe", "Ben Doe", "Ida Any"]);
    let renamed = format!(
        "UPDATE platform_user SET given_name = 'Zoe', search_key = 'zoe any' WHERE id = X'{}'",
        ida.0.simple()
    );
    world.sql(&renamed).await;
    let (next, _) = world.users(json!({ "after": info["endCursor"] })).await;
    assert_eq!(next, ["Joe Any", "Zoe Any"]);
}

#[tokio::test]
async fn cursors_of_other_lists_and_orders_are_refused() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    let by_name = world.users(json!({})).await.1["endCursor"].clone();
    let order = json!({ "field": "CREATED_AT", "direction": "ASC" });
    let by_creation = world.users(json!({ "order": order })).await.1["endCursor"].clone();
    let of_teams = world.teams(json!({})).await.1["endCursor"].clone();
    use base64::Engine as _;
    let odd = |text: String| json!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text));
    let with_nul = odd(format!("name:User:{}:a\u{0}", Uuid::nil().simple()));
    for bad in [
        json!({ "after": by_creation }),
        json!({ "after": by_name, "order": order }),
        json!({ "after": of_teams }),
        json!({ "before": with_nul }),
        json!({ "after": odd("name:".to_owned()) }),
        json!({ "after": team.global() }),
    ] {
        assert_eq!(
            world.codes(Who::Ben, USERS, bad.clone()).await,
            ["BAD_USER_INPUT"],
            "{bad}"
        );
    }
}

#[tokio::test]
async fn searches_and_lists_of_values_have_limits_that_are_told() {
    let world = World::new().await;
    let (_, run) = world.active().await;
    let said = async |document: &str, filter: Value| {
        let variables = json!({ "filter": filter, "run": run.global() });
        let response = world.execute(Who::Ada, document, variables).await;
        let told = |error: &async_graphql::ServerError| error.message.clone();
        response.errors.first().map(told)
    };
    let runs = "query($filter: RunFilter) { runs(filter: $filter) { totalCount } }";
    let integrations =
        "query($filter: IntegrationFilter) { integrations(filter: $filter) { totalCount } }";
    let changes = "query($run: ID!, $filter: RunChangeFilter) { run(id: $run) { changes(filter: $filter) { totalCount } } }";
    let long = json!({ "search": "x".repeat(257) });
    let words: Vec<String> = (0..21).map(|n| format!("w{n}")).collect();
    let many_words = json!({ "search": words.join(" ") });
    for document in [USERS, TEAMS, changes] {
        let most = said(document, json!({ "search": words[1..].join(" ") })).await;
        assert_eq!(most, None, "{document}");
        let told = said(document, long.clone()).await;
        assert_eq!(
            told.as_deref(),
            Some("`search` has at most 256 characters.")
        );
        let told = said(document, many_words.clone()).await;
        assert_eq!(told.as_deref(), Some("`search` has at most 20 words."));
    }
    for (document, name, value) in [
        (USERS, "statuses", "ACTIVE"),
        (USERS, "roles", "OWNER"),
        (USERS, "origins", "LOCAL"),
        (TEAMS, "statuses", "ACTIVE"),
        (TEAMS, "origins", "LOCAL"),
        (TEAMS, "sources", "GROUP"),
        (runs, "states", "FAILED"),
        (runs, "kinds", "SYNC"),
        (runs, "triggers", "MANUAL"),
        (integrations, "states", "DRAFT"),
        (changes, "types", "USER"),
        (changes, "actions", "CREATE"),
        (changes, "outcomes", "APPLIED"),
        (changes, "reasons", "INTERNAL"),
        (changes, "holdCategories", "EMPTY_SOURCE"),
    ] {
        let filter = |count: usize| json!({ name: vec![value; count] });
        assert_eq!(said(document, filter(100)).await, None, "{name}");
        let told = said(document, filter(101)).await;
        let expected = format!("`{name}` has at most 100 values.");
        assert_eq!(told, Some(expected), "{document}");
    }
}

#[tokio::test]
async fn d90_one_user_or_team_is_fetched_and_that_of_another_organization_is_unknown() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    world.add(team, world.ben, "MEMBER").await;
    let document =
        "query($user: ID!, $team: ID!) { user(id: $user) { displayName teams { nodes { name } } }
        team(id: $team) { name members { nodes { displayName } } } }";
    let ids = |user: UserId, team: TeamId| json!({ "user": user.global(), "team": team.global() });
    let seen = world.ask(Who::Ben, document, ids(world.ben, team)).await;
    let expected = json!({
        "user": { "displayName": "Ben Doe", "teams": { "nodes": [{ "name": "Sales" }] } },
        "team": { "name": "Sales", "members": { "nodes": [{ "displayName": "Ben Doe" }] } },
    });
    assert_eq!(seen, expected);
    let unknown = json!({ "user": null, "team": null });
    let foreign = world.ask(Who::Eve, document, ids(world.ben, team)).await;
    assert_eq!(foreign, unknown);
    let nowhere = ids(UserId(Uuid::from_u128(1)), TeamId(Uuid::from_u128(1)));
    assert_eq!(world.ask(Who::Eve, document, nowhere).await, unknown);
    let of_another_kind = json!({ "user": team.global(), "team": "x" });
    assert_eq!(
        world.ask(Who::Ben, document, of_another_kind).await,
        unknown
    );
    assert_eq!(
        world.ask(Who::Staff, document, ids(world.ben, team)).await,
        unknown
    );
    let nobody = world
        .codes(Who::Nobody, document, ids(world.ben, team))
        .await;
    assert!(nobody.contains(&"UNAUTHENTICATED".to_owned()), "{nobody:?}");
}

#[tokio::test]
async fn nodes_of_memberships_take_as_many_statements_for_one_as_for_twenty() {
    let world = World::new().await;
    let team = world.team("Sales").await;
    world.add(team, world.ben, "MEMBER").await;
    let document = "query($team: ID!) { team(id: $team) { members(first: 100) { nodes { displayName teams { nodes { name } } } } } }";
    let variables = json!({ "team": team.global() });
    let (_, one) = counted(world.ask(Who::Ben, document, variables.clone())).await;
    for n in 0..20 {
        let person = world.person(n).await;
        world.add(team, person, "MEMBER").await;
    }
    let (seen, twenty) = counted(world.ask(Who::Ben, document, variables)).await;
    assert_eq!(
        seen["team"]["members"]["nodes"].as_array().unwrap().len(),
        21
    );
    assert_eq!(one, twenty);
}

/// Histories of a page, and of whoever else is on it, are read together.
#[tokio::test]
async fn histories_take_as_many_statements_for_one_as_for_twenty_and_are_walked_newest_first() {
    let world = World::new().await;
    let (_, run) = world.active().await;
    let lease = world.claim(run).await;
    world.skip_people(&lease, 25).await;
    let people: Vec<UserId> = futures::future::join_all((0..20).map(|n| world.person(n))).await;
    for (n, user) in people.iter().enumerate() {
        let whose = format!(
            "UPDATE run_change SET platform_id = X'{}' WHERE sequence = {}",
            user.0.simple(),
            n + 1
        );
        world.sql(&whose).await;
    }
    let of_one = format!(
        "UPDATE run_change SET member_id = X'{}', member_external_id = 'x', member_name = 'y' WHERE sequence > 20",
        people[0].0.simple()
    );
    world.sql(&of_one).await;
    let document = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on User { changes(first: 3) {
        totalCount nodes { sequence run { id } } } } } }";
    let ids = |people: &[UserId]| json!({ "ids": people.iter().map(|id| id.global()).collect::<Vec<_>>() });
    let (_, one) = counted(world.ask(Who::Ada, document, ids(&people[..1]))).await;
    let (seen, twenty) = counted(world.ask(Who::Ada, document, ids(&people))).await;
    assert_eq!(one, twenty);
    let totals: Vec<i64> = seen["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["changes"]["totalCount"].as_i64().unwrap())
        .collect();
    assert_eq!((totals[0], &totals[1..]), (6, &[1; 19][..]));

    let document = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { user(id: $id) {
        changes(first: $first, after: $after, last: $last, before: $before) {
            nodes { sequence } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } } }";
    let page = async |mut variables: Value| {
        variables["id"] = json!(people[0].global());
        let data = world.ask(Who::Ada, document, variables).await;
        let changes = data["user"]["changes"].clone();
        let nodes = changes["nodes"].as_array().unwrap().iter();
        let places: Vec<i64> = nodes
            .map(|node| node["sequence"].as_i64().unwrap())
            .collect();
        (places, changes["pageInfo"].clone())
    };
    let (all, _) = page(json!({})).await;
    assert_eq!(all, [25, 24, 23, 22, 21, 1]);
    let (first, info) = page(json!({ "first": 4 })).await;
    assert_eq!(
        (&first[..], &info["hasNextPage"]),
        (&all[..4], &json!(true))
    );
    let (next, info) = page(json!({ "first": 4, "after": info["endCursor"] })).await;
    assert_eq!(
        (&next[..], &info["hasNextPage"]),
        (&all[4..], &json!(false))
    );
    let (back, info) = page(json!({ "last": 2, "before": info["startCursor"] })).await;
    assert_eq!(
        (&back[..], &info["hasPreviousPage"]),
        (&all[2..4], &json!(true))
    );
    let (end, _) = page(json!({ "last": 1 })).await;
    assert_eq!(end, [1]);
}

#[test]
fn every_connection_has_nodes() {
    let sdl = crate::sdl();
    let types = sdl.split("\ntype ").skip(1);
    let connections: Vec<&str> = types
        .filter(|text| {
            text.split(' ')
                .next()
                .is_some_and(|name| name.ends_with("Connection"))
        })
        .collect();
    assert!(connections.len() >= 8, "{}", connections.len());
    for connection in connections {
        let fields = connection.split("\n}").next().unwrap_or_default();
        assert!(fields.contains("\tnodes: ["), "{fields}");
    }
}
