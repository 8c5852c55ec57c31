//! Plans memberships: for each person of a team, whether the directory puts the person there.

use std::collections::BTreeMap;

use lockstep_domain::{
    ChangeAction, ChangeId, ExternalId, MembershipFields, TeamId, TeamRole, UserId,
};

/// A person as the plan of the users leaves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The user.
    pub user_id: UserId,
    /// The account.
    pub external_id: ExternalId,
    /// Name.
    pub name: String,
    /// Whether the user may sign in once this run's changes of users are made.
    pub is_active: bool,
    /// The planned change that this counts on.
    pub cause: Option<ChangeId>,
    /// A departure that waits for a decision or is not to be, so that the user stays: the directory may have taken a
    /// deleted account out of its groups already, and that is held, or left out, with it (D-48).
    pub withheld: Option<ChangeId>,
}

/// Another manager's team that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerTeam {
    /// The team.
    pub id: TeamId,
    /// Its name.
    pub name: String,
}

/// Says which of the managers' teams that someone is in the move to another manager leaves: one, so that the move is one
/// change. `teams` is by the manager.
#[must_use]
pub fn former_team<'a>(
    teams: &'a BTreeMap<ExternalId, FormerTeam>,
    manager: &ExternalId,
) -> Option<&'a FormerTeam> {
    let mut others = teams.iter().filter(|(other, _)| *other != manager);
    others.next().map(|(_, team)| team)
}

/// A person and a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The person.
    pub person: Person,
    /// Role that the directory gives, none when it gives none.
    pub wanted: Option<TeamRole>,
    /// Role that earlier runs gave, none when they gave none. What was added by hand does not count (D-35).
    pub present: Option<TeamRole>,
    /// Whether an owner removed the person by hand (D-35).
    pub is_kept_out: bool,
    /// The team of the former manager, when the person changes managers (D-41).
    pub moves_from: Option<FormerTeam>,
    /// Whether the plan of the new manager's team takes the person away from this one (D-41).
    pub is_taken_along: bool,
    /// A withheld departure of a manager between the person and the one whose team this is.
    pub manager_withheld: Option<ChangeId>,
}

/// A change of a membership that was worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMembership {
    /// What is to be done.
    pub action: ChangeAction,
    /// Whom it concerns.
    pub person: Person,
    /// The membership before.
    pub before: Option<MembershipFields>,
    /// The membership after.
    pub after: Option<MembershipFields>,
    /// The team that a move leaves.
    pub moved_from: Option<FormerTeam>,
    /// The change of the user that must be made first.
    pub depends_on: Option<ChangeId>,
}

/// Decides about one membership. D-29: only active users belong to teams.
#[must_use]
pub fn decide(candidate: Candidate) -> Option<PlannedMembership> {
    let Candidate {
        person,
        wanted,
        present,
        is_kept_out,
        moves_from,
        is_taken_along,
        manager_withheld,
    } = candidate;
    let target = wanted.filter(|_| person.is_active && !is_kept_out);
    let action = match (present, target) {
        (None, Some(TeamRole::Member)) if moves_from.is_some() => ChangeAction::MoveMember,
        (None, Some(TeamRole::Member)) => ChangeAction::AddMember,
        (None, Some(TeamRole::Supervisor)) => ChangeAction::AddSupervisor,
        (Some(before), Some(after)) if before != after => ChangeAction::Update,
        (Some(_), None) if is_taken_along => return None,
        (Some(TeamRole::Member), None) => ChangeAction::RemoveMember,
        (Some(TeamRole::Supervisor), None) => ChangeAction::RemoveSupervisor,
        (None, None) | (Some(_), Some(_)) => return None,
    };
    let fields = |role| MembershipFields { role };
    let depends_on = match target {
        None if person.is_active => person.withheld.or(manager_withheld),
        // Who comes, or leaves because the user does, waits for the change of the user.
        Some(_) | None => person.cause,
    };
    Some(PlannedMembership {
        action,
        before: present.map(fields),
        after: target.map(fields),
        moved_from: moves_from.filter(|_| action == ChangeAction::MoveMember),
        depends_on,
        person,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn candidate(wanted: Option<TeamRole>, present: Option<TeamRole>) -> Candidate {
        Candidate {
            person: Person {
                user_id: UserId(Uuid::from_u128(1)),
                external_id: "ada".into(),
                name: "Ada".to_owned(),
                is_active: true,
                cause: None,
                withheld: None,
            },
            wanted,
            present,
            is_kept_out: false,
            moves_from: None,
            is_taken_along: false,
            manager_withheld: None,
        }
    }

    fn action(candidate: Candidate) -> Option<ChangeAction> {
        decide(candidate).map(|change| change.action)
    }

    const MEMBER: Option<TeamRole> = Some(TeamRole::Member);
    const SUPERVISOR: Option<TeamRole> = Some(TeamRole::Supervisor);

    #[test]
    fn what_is_right_stays() {
        assert_eq!(action(candidate(MEMBER, MEMBER)), None);
        assert_eq!(action(candidate(None, None)), None);
    }

    #[test]
    fn r033_people_come_and_go_with_the_directory() {
        assert_eq!(
            action(candidate(MEMBER, None)),
            Some(ChangeAction::AddMember)
        );
        assert_eq!(
            action(candidate(SUPERVISOR, None)),
            Some(ChangeAction::AddSupervisor)
        );
        assert_eq!(
            action(candidate(None, MEMBER)),
            Some(ChangeAction::RemoveMember)
        );
        assert_eq!(
            action(candidate(None, SUPERVISOR)),
            Some(ChangeAction::RemoveSupervisor)
        );
        assert_eq!(
            action(candidate(SUPERVISOR, MEMBER)),
            Some(ChangeAction::Update)
        );
    }

    #[test]
    fn d29_only_active_users_belong_to_teams() {
        let inactive = |candidate: Candidate| Candidate {
            person: Person {
                is_active: false,
                cause: Some(ChangeId(Uuid::from_u128(9))),
                ..candidate.person
            },
            ..candidate
        };
        assert_eq!(action(inactive(candidate(MEMBER, None))), None);
        let removal = decide(inactive(candidate(MEMBER, MEMBER))).unwrap();
        assert_eq!(removal.action, ChangeAction::RemoveMember);
        assert!(removal.depends_on.is_some(), "not without the deactivation");
    }

    #[test]
    fn d48_who_stays_because_a_departure_is_withheld_keeps_the_place_until_it_is_made() {
        let departure = Some(ChangeId(Uuid::from_u128(9)));
        let mut staying = candidate(None, MEMBER);
        staying.person.withheld = departure;
        assert_eq!(decide(staying).unwrap().depends_on, departure);
        let below = Candidate {
            manager_withheld: departure,
            ..candidate(None, MEMBER)
        };
        assert_eq!(decide(below).unwrap().depends_on, departure);
        let mut joining = candidate(MEMBER, None);
        joining.person.withheld = departure;
        assert_eq!(
            decide(joining).unwrap().depends_on,
            None,
            "the user is there"
        );
    }

    #[test]
    fn d35_whom_an_owner_removed_is_not_added_again() {
        let kept_out = Candidate {
            is_kept_out: true,
            ..candidate(MEMBER, None)
        };
        assert_eq!(action(kept_out), None);
    }

    #[test]
    fn d41_a_move_is_one_change() {
        let from = FormerTeam {
            id: TeamId(Uuid::from_u128(5)),
            name: "Old".to_owned(),
        };
        let joins = Candidate {
            moves_from: Some(from.clone()),
            ..candidate(MEMBER, None)
        };
        let joined = decide(joins).unwrap();
        assert_eq!(
            (joined.action, joined.moved_from),
            (ChangeAction::MoveMember, Some(from))
        );
        let leaves = Candidate {
            is_taken_along: true,
            ..candidate(None, MEMBER)
        };
        assert_eq!(action(leaves), None, "the other team's plan says it");
    }
}
