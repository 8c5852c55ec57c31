//! Fan-out: which teams have to be looked at because something changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lockstep_domain::{ChangeAction, ExternalId, UserFields};

/// How far a change of a user reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// The teams of the person's groups, and of the groups that these are nested in.
    pub groups: bool,
    /// The team that the person leads as a manager.
    pub own_team: bool,
    /// The teams of the person's manager, and of the managers above.
    pub managers: bool,
}

/// Says how far a planned change of a user reaches: who belongs to teams hangs on whether the user may sign in, and the
/// name of a manager's team on the manager's name.
#[must_use]
pub fn reach(
    action: ChangeAction,
    before: Option<&UserFields>,
    after: Option<&UserFields>,
) -> Reach {
    match action {
        ChangeAction::Create
        | ChangeAction::Link
        | ChangeAction::Deactivate
        | ChangeAction::Reactivate => Reach {
            groups: true,
            own_team: true,
            managers: true,
        },
        ChangeAction::Update => {
            let shown = |fields: &UserFields| (fields.display_name(), fields.job_title.clone());
            Reach {
                own_team: before.map(shown) != after.map(shown),
                ..Reach::default()
            }
        }
        ChangeAction::Archive
        | ChangeAction::Unarchive
        | ChangeAction::AddMember
        | ChangeAction::AddSupervisor
        | ChangeAction::MoveMember
        | ChangeAction::RemoveMember
        | ChangeAction::RemoveSupervisor => Reach::default(),
    }
}

/// A walk through a graph of ids, each visited once, so that circles end it (D-28, D-43).
///
/// It asks for nothing: whoever walks looks up what is next to the ids that it hands out.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    seen: BTreeSet<ExternalId>,
    open: VecDeque<ExternalId>,
}

impl Walk {
    /// Begins at some ids, which count as visited.
    #[must_use]
    pub fn from(start: impl IntoIterator<Item = ExternalId>) -> Self {
        let mut walk = Self::default();
        walk.found(start);
        walk
    }

    /// Hands out up to `limit` ids whose neighbours are to be looked up; empty at the end.
    #[must_use]
    pub fn next(&mut self, limit: usize) -> Vec<ExternalId> {
        let count = limit.min(self.open.len());
        self.open.drain(..count).collect()
    }

    /// Goes on with what was found; what was visited before is passed over.
    pub fn found(&mut self, ids: impl IntoIterator<Item = ExternalId>) {
        for id in ids {
            if self.seen.insert(id.clone()) {
                self.open.push_back(id);
            }
        }
    }

    /// Everything that was visited, the start included.
    #[must_use]
    pub fn into_seen(self) -> BTreeSet<ExternalId> {
        self.seen
    }
}

/// Whether someone is found again when one goes up from manager to manager (D-43). `manager_of` holds everyone above.
#[must_use]
pub fn reports_to_itself(
    person: &ExternalId,
    manager_of: &BTreeMap<ExternalId, ExternalId>,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut above = manager_of.get(person);
    while let Some(manager) = above.filter(|manager| seen.insert(*manager)) {
        if manager == person {
            return true;
        }
        above = manager_of.get(manager);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::UserStatus;

    fn fields(name: &str, status: UserStatus) -> UserFields {
        UserFields {
            given_name: Some(name.to_owned()),
            family_name: None,
            names_derived: false,
            email: "a@example.com".to_owned(),
            job_title: None,
            status,
            deactivation_reason: None,
        }
    }

    #[test]
    fn who_comes_or_goes_reaches_all_teams_and_a_new_name_only_the_own() {
        let ada = fields("Ada", UserStatus::Active);
        let all = reach(ChangeAction::Deactivate, Some(&ada), Some(&ada));
        assert!(all.groups && all.own_team && all.managers);
        let renamed = fields("Eve", UserStatus::Active);
        let own = reach(ChangeAction::Update, Some(&ada), Some(&renamed));
        assert_eq!(
            own,
            Reach {
                own_team: true,
                ..Reach::default()
            }
        );
        let moved = UserFields {
            email: "b@example.com".to_owned(),
            ..ada.clone()
        };
        assert_eq!(
            reach(ChangeAction::Update, Some(&ada), Some(&moved)),
            Reach::default()
        );
    }

    #[test]
    fn d43_a_walk_ends_in_a_circle() {
        let below = BTreeMap::from([("a", vec!["b"]), ("b", vec!["c", "d"]), ("d", vec!["a"])]);
        let mut walk = Walk::from([ExternalId::from("a")]);
        loop {
            let ids = walk.next(1);
            if ids.is_empty() {
                break;
            }
            for id in ids {
                let next = below.get(id.as_str()).into_iter().flatten();
                walk.found(next.map(|id| ExternalId::from(*id)));
            }
        }
        let seen: Vec<String> = walk.into_seen().into_iter().map(|id| id.0).collect();
        assert_eq!(seen, ["a", "b", "c", "d"]);
    }

    #[test]
    fn d43_a_circle_of_managers_is_found_from_inside_only() {
        let manager_of: BTreeMap<ExternalId, ExternalId> = [("a", "b"), ("b", "c"), ("c", "b")]
            .into_iter()
            .map(|(person, manager)| (person.into(), manager.into()))
            .collect();
        assert!(!reports_to_itself(&"a".into(), &manager_of));
        assert!(reports_to_itself(&"b".into(), &manager_of));
        assert!(reports_to_itself(&"c".into(), &manager_of));
    }
}
