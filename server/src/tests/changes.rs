//! The change log of teams.

use lockstep_domain::{RunId, TeamId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::team_world::{account, hex};
use super::world::{Who, World};
use crate::id::GlobalId as _;

const CHANGES: &str = "query($run: ID!, $filter: RunChangeFilter) { run(id: $run) { changes(filter: $filter) { nodes {
    action deactivationReason
    target { type displayName externalId node { __typename ... on Team { name } } }
    member { type displayName externalId node { id } }
    movedFrom { type displayName externalId node { id } }
    fieldChanges { field before after } } } } }";

/// A run that created a person, archived a team, and moved Ben from that team to another.
struct Log {
    world: World,
    run: RunId,
    old: TeamId,
    new: TeamId,
}

impl Log {
    async fn new() -> Self {
        let world = World::new().await;
        let (integration, run) = world.active().await;
        let (old, new) = (world.team("Old").await, world.team("New").await);
        world.synchronize(old, integration).await;
        world.synchronize(new, integration).await;
        let lease = world.claim(run).await;
        world.skip_people(&lease, 3).await;
        let log = Self {
            world,
            run,
            old,
            new,
        };
        let fields = |status: &str| {
            format!(
                "'{{\"name\":\"Old\",\"source_name\":\"Old\",\"status\":\"{status}\",\"archival_reason\":null,\"origin\":\"ENTRA_ID\"}}'"
            )
        };
        log.becomes(
            2,
            &format!(
                "object_kind = 'TEAM', action = 'ARCHIVE', platform_id = {}, external_id = '{old}', \
                 display_name = 'Old', search_key = 'old', before = {}, after = {}",
                hex(old.0),
                fields("ACTIVE"),
                fields("ARCHIVED"),
            ),
        )
        .await;
        log.becomes(
            3,
            &format!(
                "object_kind = 'MEMBERSHIP', action = 'MOVE_MEMBER', platform_id = {}, external_id = '{new}', \
                 display_name = 'New', member_id = {}, member_external_id = '{}', member_name = 'Ben Doe', \
                 search_key = 'new', member_search_key = 'ben doe', \
                 moved_from_id = {}, moved_from_name = 'Old', after = '{{\"role\":\"MEMBER\"}}'",
                hex(new.0),
                hex(log.world.ben.0),
                account(2),
                hex(old.0),
            ),
        )
        .await;
        log
    }

    /// Makes another change of the one at a place, as long as this world has no hand for changes of teams.
    async fn becomes(&self, sequence: i64, columns: &str) {
        let run = hex(self.run.0);
        let clean =
            "reason_code = NULL, reason_message = NULL, reason_field = NULL, outcome = 'APPLIED'";
        let statement = format!(
            "UPDATE run_change SET {columns}, {clean} WHERE run_id = {run} AND sequence = {sequence}"
        );
        self.world.sql(&statement).await;
    }

    async fn changes(&self, filter: Value) -> Vec<Value> {
        let variables = json!({ "run": self.run.global(), "filter": filter });
        let data = self.world.ask(Who::Ada, CHANGES, variables).await;
        data["run"]["changes"]["nodes"].as_array().unwrap().clone()
    }

    async fn actions(&self, filter: Value) -> Vec<String> {
        let changes = self.changes(filter).await;
        let action = |change: &Value| change["action"].as_str().unwrap().to_owned();
        changes.iter().map(action).collect()
    }
}

#[tokio::test]
async fn d41_a_move_names_the_team_the_member_and_where_from() {
    let log = Log::new().await;
    let changes = log.changes(json!({ "types": ["TEAM"] })).await;
    let team = |name: &str, id: TeamId, node: Value| json!({ "type": "TEAM", "displayName": name, "externalId": id.0.to_string(), "node": node });
    let node = |name: &str| json!({ "__typename": "Team", "name": name });
    let ben = json!({
        "type": "USER", "displayName": "Ben Doe", "externalId": account(2).to_string(),
        "node": { "id": log.world.ben.global() },
    });
    let change = |action: &str, target: Value, member: Value, from: Value, field: Value| json!({ "action": action, "deactivationReason": null, "target": target, "member": member, "movedFrom": from, "fieldChanges": [field] });
    assert_eq!(
        changes,
        [
            change(
                "ARCHIVE",
                team("Old", log.old, node("Old")),
                Value::Null,
                Value::Null,
                json!({ "field": "status", "before": "ACTIVE", "after": "ARCHIVED" }),
            ),
            change(
                "MOVE_MEMBER",
                team("New", log.new, node("New")),
                ben,
                team("Old", log.old, json!({ "id": log.old.global() })),
                json!({ "field": "role", "before": null, "after": "MEMBER" }),
            ),
        ]
    );
}

#[tokio::test]
async fn a_change_log_is_filtered_by_kind_by_name_and_by_object() {
    let log = Log::new().await;
    let both = ["ARCHIVE", "MOVE_MEMBER"];
    assert_eq!(log.actions(json!({ "types": ["USER"] })).await, ["CREATE"]);
    assert_eq!(log.actions(json!({ "types": ["TEAM"] })).await, both);
    assert_eq!(
        log.actions(json!({ "types": ["TEAM", "USER"] }))
            .await
            .len(),
        3
    );
    assert_eq!(
        log.actions(json!({ "actions": ["MOVE_MEMBER"] })).await,
        ["MOVE_MEMBER"]
    );
    assert_eq!(
        log.actions(json!({ "search": "Ben" })).await,
        ["MOVE_MEMBER"]
    );
    for (id, expected) in [
        (log.old.global(), both.as_slice()),
        (log.new.global(), &both[1..]),
        (log.world.ben.global(), &both[1..]),
        (TeamId(Uuid::nil()).global(), &[]),
        (log.run.global(), &[]),
    ] {
        assert_eq!(log.actions(json!({ "nodeId": id })).await, expected);
    }
}

#[tokio::test]
async fn the_history_of_a_team_and_of_a_person_is_for_owners_newest_first() {
    let log = Log::new().await;
    let (world, ben) = (&log.world, log.world.ben);
    let document = "query($old: ID!, $new: ID!, $ben: ID!, $filter: RunChangeFilter) {
        old: team(id: $old) { changes(filter: $filter) { totalCount nodes { action run { id } } } }
        new: team(id: $new) { changes(filter: $filter) { totalCount nodes { action run { id } } } }
        ben: user(id: $ben) { changes(filter: $filter) { totalCount nodes { action run { id } } } } }";
    let ids = |filter: Value| {
        json!({
            "old": log.old.global(), "new": log.new.global(), "ben": ben.global(), "filter": filter,
        })
    };
    let history = |actions: &[&str]| {
        let node = |action: &&str| json!({ "action": action, "run": { "id": log.run.global() } });
        let nodes: Vec<Value> = actions.iter().map(node).collect();
        json!({ "changes": { "totalCount": nodes.len(), "nodes": nodes } })
    };
    let seen = world.ask(Who::Ada, document, ids(json!({}))).await;
    let expected = json!({
        "old": history(&["MOVE_MEMBER", "ARCHIVE"]),
        "new": history(&["MOVE_MEMBER"]),
        "ben": history(&["MOVE_MEMBER"]),
    });
    assert_eq!(seen, expected);
    let archived = json!({ "actions": ["ARCHIVE"], "search": "OLD" });
    let seen = world.ask(Who::Ada, document, ids(archived)).await;
    let expected = json!({
        "old": history(&["ARCHIVE"]), "new": history(&[]), "ben": history(&[]),
    });
    assert_eq!(seen, expected);
    let nothing = json!({ "changes": null });
    let expected = json!({ "old": nothing, "new": nothing, "ben": nothing });
    assert_eq!(
        world.ask(Who::Ben, document, ids(json!({}))).await,
        expected
    );
}
