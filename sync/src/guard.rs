//! The guard between plan and apply: what is too much to do without asking (D-48), and who must stay (D-19).

use lockstep_domain::{ChangeId, ChangeLimit, HoldCategory, InboundLimits, TeamId, UserId};

/// What departures are measured by, whatever the limits say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Accounts that the directory lists.
    pub source_accounts: u64,
    /// Users with a link who are not deactivated.
    pub linked_active_users: u64,
}

/// A category that is over its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// The category.
    pub category: HoldCategory,
    /// How many changes are held.
    pub count: u64,
    /// How many of such objects there are.
    pub out_of: u64,
    /// The limit in force, in words.
    pub limit: String,
}

/// Says whether `count` deactivations of `out_of` linked users must wait.
///
/// A source without anybody, and a plan after which no linked user would be left, are held whatever the limits say.
#[must_use]
pub fn departures(count: u64, out_of: u64, tally: Tally, limits: &InboundLimits) -> Option<Excess> {
    let limit = limits.user_deactivations;
    let (category, out_of) = match tally {
        _ if count == 0 => return None,
        Tally {
            source_accounts: 0, ..
        } => (HoldCategory::EmptySource, tally.linked_active_users),
        _ if count >= tally.linked_active_users => {
            (HoldCategory::AllUsersGone, tally.linked_active_users)
        }
        _ if limit.is_exceeded_by(count, out_of) => (HoldCategory::UserDeactivations, out_of),
        _ => return None,
    };
    Some(Excess {
        category,
        count,
        out_of,
        limit: in_force(category, limit),
    })
}

/// Says whether `count` changes of addresses of `out_of` linked users must wait.
#[must_use]
pub fn address_changes(count: u64, out_of: u64, limits: &InboundLimits) -> Option<Excess> {
    let limit = limits.email_changes;
    limit.is_exceeded_by(count, out_of).then(|| Excess {
        category: HoldCategory::EmailChanges,
        count,
        out_of,
        limit: in_words(limit),
    })
}

/// Says in words fit to be shown to a person what holds a category.
pub(crate) fn in_force(category: HoldCategory, limit: ChangeLimit) -> String {
    match category {
        HoldCategory::EmptySource => "a directory that lists nobody is never believed".to_owned(),
        HoldCategory::AllUsersGone => "not every linked user may go at once".to_owned(),
        HoldCategory::UserDeactivations
        | HoldCategory::TeamArchivals
        | HoldCategory::MemberRemovals
        | HoldCategory::EmailChanges => in_words(limit),
    }
}

/// What one team would lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The team.
    pub team: TeamId,
    /// Synchronized members that would go.
    pub lost: u64,
    /// Synchronized members that it has.
    pub had: u64,
}

/// Says whether the archivals of a plan must wait. Those of a rule that an owner switched off are not counted: the owner
/// said what becomes of them (D-45).
#[must_use]
pub fn archivals(count: u64, active_teams: u64, limits: &InboundLimits) -> Option<Excess> {
    let limit = limits.team_archivals;
    limit.is_exceeded_by(count, active_teams).then(|| Excess {
        category: HoldCategory::TeamArchivals,
        count,
        out_of: active_teams,
        limit: in_words(limit),
    })
}

/// Returns the teams that would lose too many members at once, and their sum as what is held.
#[must_use]
pub fn member_removals(losses: &[Loss], limits: &InboundLimits) -> (Vec<TeamId>, Option<Excess>) {
    let limit = limits.member_removals_per_team;
    let over: Vec<&Loss> = losses
        .iter()
        .filter(|loss| limit.is_exceeded_by(loss.lost, loss.had))
        .collect();
    let excess = (!over.is_empty()).then(|| Excess {
        category: HoldCategory::MemberRemovals,
        count: over.iter().map(|loss| loss.lost).sum(),
        out_of: over.iter().map(|loss| loss.had).sum(),
        limit: format!("{} of each team", in_words(limit)),
    });
    (over.iter().map(|loss| loss.team).collect(), excess)
}

/// Says whether the removals of all teams together must wait: more than half at once is what an empty copy of the directory
/// looks like, however small the teams are. People who move from team to team are not counted.
#[must_use]
pub fn all_removals(count: u64, memberships: u64, limits: &InboundLimits) -> Option<Excess> {
    let limit = ChangeLimit {
        // A maximum is one of each team.
        maximum: None,
        ..limits.member_removals_per_team
    };
    limit.is_exceeded_by(count, memberships).then(|| Excess {
        category: HoldCategory::MemberRemovals,
        count,
        out_of: memberships,
        limit: format!("{} of all teams together", in_words(limit)),
    })
}

/// Says a limit in words fit to be shown to a person; they follow "the limit is".
#[must_use]
pub fn in_words(limit: ChangeLimit) -> String {
    let share = limit.percent.filter(|percent| *percent > 0);
    let usual = match (limit.allowance, share) {
        (0, Some(percent)) => format!("{percent} %"),
        (allowance, Some(percent)) => format!("{allowance}, or {percent} % when that is more"),
        (allowance, None) => allowance.to_string(),
    };
    match limit.maximum {
        Some(0) => "0".to_owned(),
        // Without a share nothing grows towards the maximum.
        Some(maximum) if share.is_some() || maximum < limit.allowance => {
            format!("{usual}, never more than {maximum}")
        }
        _ => usual,
    }
}

/// Returns the deactivation that must be left out so that an active owner remains (D-19), if one must.
///
/// When all would go, the owner with the lowest id stays: the one who has been there longest.
#[must_use]
pub fn last_owner(active_owners: &[UserId], leaving: &[(ChangeId, UserId)]) -> Option<ChangeId> {
    let all_leave = active_owners
        .iter()
        .all(|owner| leaving.iter().any(|(_, user)| user == owner));
    let stays = leaving
        .iter()
        .filter(|(_, user)| active_owners.contains(user))
        .min_by_key(|(_, user)| *user);
    stays.filter(|_| all_leave).map(|(change, _)| *change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const HUNDRED: Tally = Tally {
        source_accounts: 100,
        linked_active_users: 100,
    };
    const NOBODY: Tally = Tally {
        source_accounts: 0,
        ..HUNDRED
    };

    fn departing(count: u64, tally: Tally, limits: &InboundLimits) -> Option<HoldCategory> {
        let out_of = tally.linked_active_users;
        departures(count, out_of, tally, limits).map(|excess| excess.category)
    }

    #[test]
    fn a_plan_below_the_limits_passes() {
        let limits = InboundLimits::default();
        assert_eq!(departing(0, NOBODY, &limits), None);
        assert_eq!(departing(10, HUNDRED, &limits), None);
        assert_eq!(address_changes(10, 100, &limits), None);
    }

    #[test]
    fn fault_d12_a_directory_without_anybody_is_held() {
        let held = departing(1, NOBODY, &InboundLimits::default());
        assert_eq!(held, Some(HoldCategory::EmptySource));
    }

    #[test]
    fn d48_the_last_two_holds_cannot_be_switched_off() {
        let generous = ChangeLimit {
            allowance: u32::MAX,
            percent: None,
            maximum: None,
        };
        let limits = InboundLimits {
            user_deactivations: generous,
            team_archivals: generous,
            member_removals_per_team: generous,
            email_changes: generous,
        };
        let all = HoldCategory::AllUsersGone;
        assert_eq!(
            departing(3, NOBODY, &limits),
            Some(HoldCategory::EmptySource)
        );
        assert_eq!(departing(100, HUNDRED, &limits), Some(all));
        assert_eq!(departing(99, HUNDRED, &limits), None);
    }

    #[test]
    fn fault_d13_half_of_the_people_missing_is_held() {
        let held = departing(50, HUNDRED, &InboundLimits::default());
        assert_eq!(held, Some(HoldCategory::UserDeactivations));
    }

    #[test]
    fn d48_a_domain_migration_is_held() {
        let held = address_changes(11, 100, &InboundLimits::default());
        assert_eq!(held.unwrap().category, HoldCategory::EmailChanges);
    }

    #[test]
    fn d48_archiving_more_than_three_teams_and_a_fifth_is_held() {
        let held = |count, teams| archivals(count, teams, &InboundLimits::default()).is_some();
        assert!(!held(3, 3) && !held(4, 20) && held(5, 20) && held(4, 19));
    }

    #[test]
    fn d48_a_team_that_loses_more_than_half_and_at_least_ten_is_held() {
        let team = |n| TeamId(Uuid::from_u128(n));
        let loss = |n, lost, had| Loss {
            team: team(n),
            lost,
            had,
        };
        let losses = [
            loss(1, 9, 9),
            loss(2, 10, 20),
            loss(3, 11, 20),
            loss(4, 30, 40),
        ];
        let (teams, excess) = member_removals(&losses, &InboundLimits::default());
        assert_eq!(teams, [team(3), team(4)]);
        let excess = excess.unwrap();
        assert_eq!((excess.count, excess.out_of), (41, 60));
        assert_eq!(
            member_removals(&losses[..2], &InboundLimits::default()),
            (vec![], None)
        );
    }

    #[test]
    fn a_limit_is_told_as_a_person_would_say_it() {
        let words = |allowance, percent, maximum| {
            in_words(ChangeLimit {
                allowance,
                percent,
                maximum,
            })
        };
        assert_eq!(
            words(5, Some(10), Some(500)),
            "5, or 10 % when that is more, never more than 500"
        );
        assert_eq!(words(3, Some(20), None), "3, or 20 % when that is more");
        assert_eq!(words(0, Some(10), None), "10 %");
        assert_eq!(words(6, None, None), "6");
        assert_eq!(words(0, Some(0), None), "0");
        assert_eq!(words(0, None, None), "0");
        assert_eq!(words(5, Some(10), Some(0)), "0");
        assert_eq!(words(5, None, Some(9)), "5");
    }

    #[test]
    fn d19_one_active_owner_always_remains() {
        let user = |n: u128| UserId(Uuid::from_u128(n));
        let row = |n: u128| (ChangeId(Uuid::from_u128(100 + n)), user(n));
        assert_eq!(last_owner(&[user(1)], &[row(1)]), Some(row(1).0));
        assert_eq!(
            last_owner(&[user(1), user(2)], &[row(2)]),
            None,
            "another owner remains"
        );
        assert_eq!(
            last_owner(&[user(1), user(2)], &[row(2), row(1)]),
            Some(row(1).0),
            "one of two who go stays"
        );
        assert_eq!(
            last_owner(&[], &[row(3)]),
            None,
            "there is no owner to protect"
        );
    }
}
