//! Worlds with teams, and how teams are looked at.

use std::collections::BTreeMap;

use lockstep_domain::{
    GroupTeamRules, InboundRules, ManagerTeamRules, MembershipOriginKind, Team, TeamRole,
    TeamStatus,
};
use lockstep_sandbox::Tenant;
use lockstep_store::membership::MembersRequest;
use lockstep_store::page::PageRequest;
use lockstep_store::run::Run;
use lockstep_store::team::TeamFilter;
use serde_json::{Value, json};

use crate::world::{Backend, World, actor, id_of, person};

/// Both team rules on.
pub(crate) fn rules() -> InboundRules {
    InboundRules {
        group_teams: GroupTeamRules {
            enabled: true,
            ..GroupTeamRules::default()
        },
        manager_teams: ManagerTeamRules {
            enabled: true,
            ..ManagerTeamRules::default()
        },
        ..InboundRules::default()
    }
}

pub(crate) fn groups_only() -> InboundRules {
    InboundRules {
        manager_teams: ManagerTeamRules::default(),
        ..rules()
    }
}

pub(crate) fn managers_only() -> InboundRules {
    InboundRules {
        group_teams: GroupTeamRules::default(),
        ..rules()
    }
}

/// A tenant told in names: people, who manages whom, and who is in which group.
pub(crate) fn school(
    people: &[&str],
    managers: &[(&str, &str)],
    groups: &[(&str, &[&str])],
) -> Tenant {
    let users: Vec<Value> = people.iter().map(|name| person(name)).collect();
    let group = |(name, _): &(&str, &[&str])| {
        json!({ "id": id_of(name), "displayName": name, "groupTypes": [], "mailEnabled": false,
                "securityEnabled": true, "mailNickname": name })
    };
    let managers: BTreeMap<String, String> = managers
        .iter()
        .map(|(person, manager)| (id_of(person), id_of(manager)))
        .collect();
    let members: BTreeMap<String, Vec<String>> = groups
        .iter()
        .map(|(name, members)| (id_of(name), members.iter().map(|m| id_of(m)).collect()))
        .collect();
    let data = json!({
        "users": users,
        "groups": groups.iter().map(group).collect::<Vec<_>>(),
        "managers": managers,
        "members": members,
    });
    Tenant::from_json(data.to_string().as_bytes()).unwrap()
}

/// Twelve people: one more than half of them is over every limit.
pub(crate) const DOZEN: [&str; 12] = [
    "p00", "p01", "p02", "p03", "p04", "p05", "p06", "p07", "p08", "p09", "p10", "p11",
];

/// Twelve people of one group, the first of whom is the manager of some others.
pub(crate) async fn dozen(backend: Backend, reports: &[&'static str]) -> World {
    let managers: Vec<(&str, &str)> = reports.iter().map(|name| (*name, DOZEN[0])).collect();
    let tenant = school(&DOZEN, &managers, &[("All", &DOZEN)]);
    let world = World::with_rules(backend, tenant, rules()).await;
    world.sync().await;
    world
}

pub(crate) async fn teams(world: &World) -> Vec<Team> {
    let request = PageRequest::first(100);
    let filter = TeamFilter::default();
    let page = world
        .store
        .teams(world.organization, &filter, &request)
        .await;
    page.unwrap().items
}

pub(crate) async fn team(world: &World, name: &str) -> Team {
    let teams = teams(world).await;
    let names: Vec<String> = teams.iter().map(|team| team.name.clone()).collect();
    let found = teams.into_iter().find(|team| team.name == name);
    found.unwrap_or_else(|| panic!("no team is called {name}, but {names:?}"))
}

/// `Sales: ada*, bob` for each team in use, supervisors with a star; sorted.
pub(crate) async fn roster(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for team in teams(world).await {
        let members = members(world, &team).await.join(", ");
        let archived = match team.status {
            TeamStatus::Active => "",
            TeamStatus::Archived => " (archived)",
        };
        lines.push(format!("{}{archived}: {members}", team.name));
    }
    lines.sort();
    lines
}

pub(crate) async fn members(world: &World, team: &Team) -> Vec<String> {
    let names: BTreeMap<_, _> = world
        .users()
        .await
        .into_iter()
        .map(|user| (user.id, user.given_name.unwrap_or_default()))
        .collect();
    let request = MembersRequest {
        role: None,
        page: PageRequest::first(100),
    };
    let pages = world
        .store
        .members_of_teams(world.organization, &[team.id], &request)
        .await
        .unwrap();
    let mut members: Vec<String> = pages[&team.id]
        .items
        .iter()
        .map(|one| {
            let star = if one.role == TeamRole::Supervisor {
                "*"
            } else {
                ""
            };
            let by_hand = one
                .origins
                .iter()
                .any(|o| o.origin == MembershipOriginKind::Manual);
            let hand = if by_hand { "+" } else { "" };
            format!("{}{star}{hand}", names[&one.user_id])
        })
        .collect();
    members.sort();
    members
}

/// Nothing is planned, nothing is written, and whatever had to be looked at was.
pub(crate) async fn assert_settled(world: &World) {
    let run = world.sync().await;
    assert_eq!(run.change_count, 0, "{:?}", world.lines(&run).await);
    let left = world
        .store
        .count_dirty_teams(world.integration)
        .await
        .unwrap();
    assert_eq!(left, 0, "teams are left to be looked at");
}

pub(crate) fn memberships(run: &Run) -> (u64, u64) {
    (
        run.summary.memberships.created,
        run.summary.memberships.removed,
    )
}

pub(crate) async fn edit_members(world: &World, team: &str, user: &str, add: bool) {
    let team = team_in(world, team).await;
    let user = world.user(&format!("{user}@example.com")).await.id;
    let by = actor(&world.owner);
    let tx = world.store.begin().await.unwrap();
    if add {
        world
            .store
            .add_member(&tx, &team, user, TeamRole::Member, &by)
            .await
            .unwrap();
    } else {
        world
            .store
            .remove_member(&tx, &team, user, &by)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

pub(crate) async fn team_in(world: &World, name: &str) -> Team {
    team(world, name).await
}

pub(crate) async fn rename(world: &World, name: &str, to: &str) {
    let team = Team {
        name: to.to_owned(),
        name_is_local: true,
        ..team(world, name).await
    };
    let tx = world.store.begin().await.unwrap();
    world.store.save_team(&tx, &team).await.unwrap();
    tx.commit().await.unwrap();
}
