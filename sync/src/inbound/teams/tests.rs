//! A team, what the directory says of its source, and the whole answer.

use chrono::DateTime;
use lockstep_domain::{
    ExternalId, GroupCondition, GroupTeamRules, IntegrationId, ManagerTeamRules, OrganizationId,
    TeamSource,
};
use uuid::Uuid;

use super::*;

fn key() -> TeamKey {
    TeamKey {
        source: TeamSource::Group,
        external_id: ExternalId::from("g"),
    }
}

fn team(name: &str, status: TeamStatus) -> Team {
    let archival_reason = (status == TeamStatus::Archived).then_some(TeamArchivalReason::RuleOff);
    Team {
        id: TeamId(Uuid::from_u128(1)),
        organization_id: OrganizationId(Uuid::from_u128(2)),
        integration_id: Some(IntegrationId(Uuid::from_u128(3))),
        key: Some(key()),
        name: name.to_owned(),
        source_name: Some(name.to_owned()),
        name_is_local: false,
        status,
        archival_reason,
        archived_at: None,
        origin: RecordOrigin::EntraId,
        yearly_budget: Some(10_000),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

fn wanted(name: &str) -> Wish {
    Wish::Wanted {
        name: name.to_owned(),
    }
}

fn decide(team: Option<&Team>, wish: Wish, has_members: bool) -> TeamDecision {
    decide_beside(team, wish, has_members, &[])
}

fn decide_beside(
    team: Option<&Team>,
    wish: Wish,
    has_members: bool,
    others: &[&str],
) -> TeamDecision {
    let key = key();
    let facts = TeamFacts {
        key: &key,
        team,
        wish,
        has_members,
        job_title: None,
        cause: None,
        withheld: None,
    };
    plan(&facts, |name| others.contains(&name))
}

/// `ARCHIVE Sales ACTIVE -> ARCHIVED`
fn line(decision: &TeamDecision) -> String {
    let Some(change) = &decision.change else {
        return format!("- {:?}", decision.members);
    };
    let before = change.before.as_ref();
    format!(
        "{} {} -> {} {} {} {:?}",
        change.action,
        before.map_or("-", |fields| fields.name.as_str()),
        change.after.name,
        change.after.status,
        change.after.origin,
        decision.members,
    )
}

#[test]
fn no_change_no_plan() {
    let sales = team("Sales", TeamStatus::Active);
    assert_eq!(
        line(&decide(Some(&sales), wanted("Sales"), true)),
        "- Follow"
    );
    assert_eq!(
        line(&decide(
            None,
            Wish::Unwanted(TeamArchivalReason::RuleOff),
            true
        )),
        "- Stay"
    );
}

#[test]
fn d31_an_empty_group_makes_no_team_and_keeps_one() {
    assert_eq!(line(&decide(None, wanted("Sales"), false)), "- Stay");
    let sales = team("Sales", TeamStatus::Active);
    assert_eq!(
        line(&decide(Some(&sales), wanted("Sales"), false)),
        "- Follow"
    );
}

#[test]
fn d32_a_renamed_group_keeps_its_team() {
    let sales = team("Sales", TeamStatus::Active);
    assert_eq!(
        line(&decide(Some(&sales), wanted("Sales EU"), true)),
        "UPDATE Sales -> Sales EU ACTIVE ENTRA_ID Follow"
    );
}

#[test]
fn d32_a_name_that_an_owner_set_wins_and_the_source_name_is_kept_beside_it() {
    let renamed = Team {
        name: "Our sales".to_owned(),
        name_is_local: true,
        ..team("Sales", TeamStatus::Active)
    };
    assert_eq!(
        line(&decide(Some(&renamed), wanted("Sales"), true)),
        "- Follow"
    );
    let decision = decide(Some(&renamed), wanted("Sales EU"), true);
    let after = decision.change.unwrap().after;
    assert_eq!(
        (after.name.as_str(), after.source_name.as_deref()),
        ("Our sales", Some("Sales EU"))
    );
}

#[test]
fn d33_a_team_is_never_taken_over_by_its_name() {
    let decision = decide_beside(None, wanted("Sales"), true, &["Sales"]);
    let change = decision.change.unwrap();
    assert_eq!(
        (change.action, change.team_id),
        (ChangeAction::Create, None)
    );
    assert_eq!(
        change.after.name,
        format!("Sales ({})", lockstep_domain::name_suffix(&"g".into()))
    );
    let marked = Team {
        source_name: Some("Sales".to_owned()),
        ..team(&change.after.name, TeamStatus::Active)
    };
    assert_eq!(
        line(&decide(Some(&marked), wanted("Sales"), true)),
        "- Follow",
        "the name stays when the other is gone"
    );
}

#[test]
fn d34_archived_and_back_again() {
    let sales = team("Sales", TeamStatus::Active);
    let gone = Wish::Unwanted(TeamArchivalReason::SourceDeleted);
    assert_eq!(
        line(&decide(Some(&sales), gone.clone(), true)),
        "ARCHIVE Sales -> Sales ARCHIVED ENTRA_ID Leave"
    );
    let archived = team("Sales", TeamStatus::Archived);
    assert_eq!(line(&decide(Some(&archived), gone, true)), "- Leave");
    assert_eq!(
        line(&decide(Some(&archived), wanted("Sales"), true)),
        "UNARCHIVE Sales -> Sales ACTIVE ENTRA_ID Follow"
    );
    let back = decide_beside(Some(&archived), wanted("Sales"), true, &["Sales"]);
    assert!(back.change.unwrap().after.name.starts_with("Sales ("));
}

#[test]
fn d45_a_released_team_is_managed_by_hand() {
    let sales = team("Sales", TeamStatus::Active);
    assert_eq!(
        line(&decide(Some(&sales), Wish::Released, true)),
        "UPDATE Sales -> Sales ACTIVE LOCAL Stay"
    );
    let archived = team("Sales", TeamStatus::Archived);
    assert_eq!(
        line(&decide(Some(&archived), Wish::Released, true)),
        "- Stay"
    );
}

fn group() -> DirectoryGroup {
    DirectoryGroup {
        display_name: Some("Sales".to_owned()),
        members: MembersRead::Known,
        ..DirectoryGroup::blank("g".into())
    }
}

fn on() -> InboundRules {
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

#[test]
fn d51_nothing_follows_from_what_could_not_be_read() {
    let rules = on();
    assert_eq!(wish_of_group(Some(&group()), &rules), wanted("Sales"));
    assert_eq!(wish_of_group(None, &rules), Wish::Unknown);
    for members in [
        MembersRead::Unread,
        MembersRead::Hidden,
        MembersRead::Unreadable,
    ] {
        let group = DirectoryGroup { members, ..group() };
        assert_eq!(wish_of_group(Some(&group), &rules), Wish::Unknown);
    }
    let missing = DirectoryGroup {
        presence: Presence::Missing,
        ..group()
    };
    assert_eq!(wish_of_group(Some(&missing), &rules), Wish::Unknown);
    let sales = team("Sales", TeamStatus::Active);
    assert_eq!(line(&decide(Some(&sales), Wish::Unknown, false)), "- Stay");
}

#[test]
fn d34_deleted_and_excluded_groups_have_no_team() {
    let removed = DirectoryGroup {
        presence: Presence::Removed,
        members: MembersRead::Unreadable,
        ..group()
    };
    assert_eq!(
        wish_of_group(Some(&removed), &on()),
        Wish::Unwanted(TeamArchivalReason::SourceDeleted)
    );
    let mut rules = on();
    rules.group_teams.exclude = vec![GroupCondition::Id("G".into())];
    assert_eq!(
        wish_of_group(Some(&group()), &rules),
        Wish::Unwanted(TeamArchivalReason::SourceExcluded)
    );
}

#[test]
fn d42_a_manager_needs_to_be_active_and_to_have_reports() {
    let wish = |name, has_reports| wish_of_manager(name, has_reports, &on(), "en");
    assert_eq!(
        wish(Some("Peter Wright"), true),
        wanted("Peter Wright's team")
    );
    assert_eq!(
        wish(None, true),
        Wish::Unwanted(TeamArchivalReason::ManagerGone)
    );
    assert_eq!(
        wish(Some("Peter Wright"), false),
        Wish::Unwanted(TeamArchivalReason::NoReports)
    );
}

#[test]
fn e053_each_rule_has_its_own_switch() {
    let off = InboundRules::default();
    assert_eq!(
        wish_of_group(Some(&group()), &off),
        Wish::Unwanted(TeamArchivalReason::RuleOff)
    );
    let mut released = InboundRules::default();
    released.manager_teams.when_switched_off = SwitchedOffPolicy::Release;
    assert_eq!(
        wish_of_manager(Some("Peter Wright"), true, &released, "en"),
        Wish::Released
    );
}
