//! Plans the teams: for each group and manager that has to be looked at, whether there is a team and what it is called.

use lockstep_domain::{
    ChangeAction, ChangeId, DirectoryGroup, InboundRules, MembersRead, Presence, RecordOrigin,
    SwitchedOffPolicy, Team, TeamArchivalReason, TeamFields, TeamId, TeamKey, TeamStatus,
};

use super::names;
use super::selection::selects;

/// What the directory and the rules want of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// There is a team of this name.
    Wanted {
        /// Name that the directory gives.
        name: String,
    },
    /// There is none any more; D-34 says what becomes of it.
    Unwanted(TeamArchivalReason),
    /// It is managed by hand from now on (D-45).
    Released,
    /// Nothing: what can be known is not enough to decide on (D-51).
    Unknown,
}

/// Says what is wanted of the team of a group. Nothing follows from a group that was merely missing from a list, or whose
/// members could not be read.
#[must_use]
pub fn wish_of_group(group: Option<&DirectoryGroup>, rules: &InboundRules) -> Wish {
    let rules = &rules.group_teams;
    if !rules.enabled {
        return switched_off(rules.when_switched_off);
    }
    let Some(group) = group else {
        return Wish::Unknown;
    };
    match (group.presence, group.members) {
        (Presence::Removed, _) => Wish::Unwanted(TeamArchivalReason::SourceDeleted),
        (Presence::Missing, _) => Wish::Unknown,
        (Presence::Present, _) if !selects(rules, group) => {
            Wish::Unwanted(TeamArchivalReason::SourceExcluded)
        }
        (Presence::Present, MembersRead::Known) => Wish::Wanted {
            name: group.shown_name().to_owned(),
        },
        (
            Presence::Present,
            MembersRead::Unread | MembersRead::Hidden | MembersRead::Unreadable,
        ) => Wish::Unknown,
    }
}

/// Says what is wanted of the team of a manager. `name` is the manager's, none unless the manager is an active user
/// (D-36, D-44).
#[must_use]
pub fn wish_of_manager(
    name: Option<&str>,
    has_reports: bool,
    rules: &InboundRules,
    language: &str,
) -> Wish {
    let rules = &rules.manager_teams;
    if !rules.enabled {
        return switched_off(rules.when_switched_off);
    }
    match name {
        None => Wish::Unwanted(TeamArchivalReason::ManagerGone),
        Some(_) if !has_reports => Wish::Unwanted(TeamArchivalReason::NoReports),
        Some(name) => Wish::Wanted {
            name: names::manager_team_name(language, name),
        },
    }
}

fn switched_off(policy: SwitchedOffPolicy) -> Wish {
    match policy {
        SwitchedOffPolicy::Archive => Wish::Unwanted(TeamArchivalReason::RuleOff),
        SwitchedOffPolicy::Release => Wish::Released,
    }
}

/// Whether a team in use gives its name up: because the directory gives another by now, or because it is archived. Then
/// another team may take it in the same run.
#[must_use]
pub fn gives_up_name(team: &Team, wish: &Wish) -> bool {
    match wish {
        Wish::Wanted { name } => {
            !team.name_is_local && team.source_name.as_deref() != Some(name.as_str())
        }
        Wish::Unwanted(_) => true,
        Wish::Released | Wish::Unknown => false,
    }
}

/// What the decision about one team depends on.
#[derive(Debug, Clone)]
pub struct TeamFacts<'a> {
    /// What the team is made from.
    pub key: &'a TeamKey,
    /// The team, none while there is none.
    pub team: Option<&'a Team>,
    /// What is wanted.
    pub wish: Wish,
    /// Whether anyone in the directory would be a member.
    pub has_members: bool,
    /// Job title of the manager, to tell two of the same name apart.
    pub job_title: Option<&'a str>,
    /// The planned change of the manager that the decision counts on.
    pub cause: Option<ChangeId>,
    /// A departure of the manager that waits for a decision or is not to be (D-48).
    pub withheld: Option<ChangeId>,
}

/// A change of a team that was worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTeam {
    /// What is to be done.
    pub action: ChangeAction,
    /// The team, none for one that is yet to be created.
    pub team_id: Option<TeamId>,
    /// The team before, none for a creation.
    pub before: Option<TeamFields>,
    /// The team after.
    pub after: TeamFields,
    /// The change that must be made first.
    pub depends_on: Option<ChangeId>,
}

/// What becomes of the synchronized members of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// They become whom the directory says.
    Follow,
    /// They are removed.
    Leave,
    /// They stay as they are.
    Stay,
}

/// What was decided about one team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamDecision {
    /// The change, none when the team itself stays as it is.
    pub change: Option<PlannedTeam>,
    /// What becomes of its members.
    pub members: Members,
}

/// Plans one team. `is_taken` says whether another team of the organization has a name.
#[must_use]
pub fn plan(facts: &TeamFacts<'_>, is_taken: impl Fn(&str) -> bool) -> TeamDecision {
    let decided = |change, members| TeamDecision { change, members };
    match (facts.team, &facts.wish) {
        // D-31: a group without anyone in scope makes no team.
        (None, Wish::Wanted { name }) if facts.has_members => {
            decided(Some(create(facts, name, is_taken)), Members::Follow)
        }
        (None, _) | (Some(_), Wish::Unknown) => decided(None, Members::Stay),
        (Some(team), Wish::Wanted { name }) => {
            decided(keep(facts, team, name, is_taken), Members::Follow)
        }
        (Some(team), Wish::Unwanted(reason)) => {
            decided(archive(facts, team, *reason), Members::Leave)
        }
        (Some(team), Wish::Released) => decided(release(facts, team), Members::Stay),
    }
}

fn create(facts: &TeamFacts<'_>, name: &str, is_taken: impl Fn(&str) -> bool) -> PlannedTeam {
    PlannedTeam {
        action: ChangeAction::Create,
        team_id: None,
        before: None,
        after: TeamFields {
            name: names::choose(name, facts.job_title, &facts.key.external_id, is_taken),
            source_name: Some(name.to_owned()),
            status: TeamStatus::Active,
            archival_reason: None,
            origin: RecordOrigin::EntraId,
        },
        depends_on: facts.cause,
    }
}

/// D-32: a renamed group keeps its team, and a name that an owner set wins over the directory's. D-34: an archived team
/// comes back.
fn keep(
    facts: &TeamFacts<'_>,
    team: &Team,
    source_name: &str,
    is_taken: impl Fn(&str) -> bool,
) -> Option<PlannedTeam> {
    let returns = team.status == TeamStatus::Archived;
    let is_named = team.source_name.as_deref() == Some(source_name);
    let name = if team.name_is_local || is_named && !(returns && is_taken(&team.name)) {
        team.name.clone()
    } else {
        let job_title = facts.job_title;
        names::choose(source_name, job_title, &facts.key.external_id, is_taken)
    };
    let before = TeamFields::of(team);
    let after = TeamFields {
        name,
        source_name: Some(source_name.to_owned()),
        status: TeamStatus::Active,
        archival_reason: None,
        origin: team.origin,
    };
    (after != before).then_some(PlannedTeam {
        action: if returns {
            ChangeAction::Unarchive
        } else {
            ChangeAction::Update
        },
        team_id: Some(team.id),
        before: Some(before),
        after,
        depends_on: facts.cause,
    })
}

/// D-34: archived, never deleted. Who is deleted has no reports any more, so that waits for the departure.
fn archive(facts: &TeamFacts<'_>, team: &Team, reason: TeamArchivalReason) -> Option<PlannedTeam> {
    let withheld = facts
        .withheld
        .filter(|_| reason == TeamArchivalReason::NoReports);
    (team.status == TeamStatus::Active).then(|| PlannedTeam {
        action: ChangeAction::Archive,
        team_id: Some(team.id),
        before: Some(TeamFields::of(team)),
        after: TeamFields {
            status: TeamStatus::Archived,
            archival_reason: Some(reason),
            ..TeamFields::of(team)
        },
        depends_on: facts.cause.or(withheld),
    })
}

/// An archived team stays what it is: it comes back with its rule, and by hand nobody could bring it back.
fn release(facts: &TeamFacts<'_>, team: &Team) -> Option<PlannedTeam> {
    (team.status == TeamStatus::Active).then(|| PlannedTeam {
        action: ChangeAction::Update,
        team_id: Some(team.id),
        before: Some(TeamFields::of(team)),
        after: TeamFields {
            origin: RecordOrigin::Local,
            ..TeamFields::of(team)
        },
        depends_on: facts.cause,
    })
}

#[cfg(test)]
mod tests;
