//! From Microsoft's words to ours.

use lockstep_domain::{
    DirectoryPatch, ExternalId, GroupPatch, MemberKind as Kind, MemberPatch, Presence, UserType,
};
use lockstep_graph::{Field, Group, Member, MemberChange, MemberKind, Removed, User};

/// Turns what Graph says of a user into a patch of the mirror.
#[must_use]
pub fn patch(user: User) -> DirectoryPatch {
    DirectoryPatch {
        external_id: ExternalId(user.id),
        presence: presence(user.removed.as_ref()),
        display_name: text(user.display_name),
        given_name: text(user.given_name),
        surname: text(user.surname),
        mail: text(user.mail),
        user_principal_name: text(user.user_principal_name),
        account_enabled: tri(user.account_enabled),
        user_type: user_type(user.user_type),
        job_title: text(user.job_title),
        employee_id: text(user.employee_id),
        manager_id: tri(user.manager).map(|manager| manager.map(ExternalId)),
    }
}

/// Turns what Graph says of a group into a patch of the mirror.
pub(crate) fn group(group: Group) -> GroupPatch {
    let types = tri(group.group_types).map(Option::unwrap_or_default);
    let has = |types: &[String], name: &str| types.iter().any(|t| t.eq_ignore_ascii_case(name));
    GroupPatch {
        external_id: ExternalId(group.id),
        presence: presence(group.removed.as_ref()),
        display_name: text(group.display_name),
        mail_enabled: tri(group.mail_enabled).map(Option::unwrap_or_default),
        security_enabled: tri(group.security_enabled).map(Option::unwrap_or_default),
        unified_and_dynamic: types
            .map(|types| (has(&types, "Unified"), has(&types, "DynamicMembership"))),
        hides_members: tri(group.visibility)
            .map(|text| text.is_some_and(|text| text.eq_ignore_ascii_case("HiddenMembership"))),
        members: group.members.into_iter().map(member_change).collect(),
        owners: group.owners.into_iter().map(member_change).collect(),
    }
}

/// Turns what a list says of a member into a patch of the mirror.
pub(super) fn member(member: Member) -> MemberPatch {
    MemberPatch {
        external_id: ExternalId(member.id),
        kind: kind(&member.kind),
        removed: false,
    }
}

fn member_change(change: MemberChange) -> MemberPatch {
    MemberPatch {
        external_id: ExternalId(change.id),
        kind: kind(&change.kind),
        removed: change.removed,
    }
}

/// A reason that we do not know may be none to remove anyone for: the object is asked for by its id first.
fn presence(removed: Option<&Removed>) -> Presence {
    match removed {
        None => Presence::Present,
        Some(Removed::Changed | Removed::Deleted) => Presence::Removed,
        Some(Removed::Other(_)) => Presence::Missing,
    }
}

fn kind(kind: &MemberKind) -> Kind {
    match kind {
        MemberKind::User => Kind::User,
        MemberKind::Group => Kind::Group,
        MemberKind::Device => Kind::Device,
        MemberKind::ServicePrincipal => Kind::ServicePrincipal,
        MemberKind::OrgContact => Kind::Contact,
        MemberKind::Other(_) | MemberKind::Unknown => Kind::Other,
    }
}

/// PostgreSQL keeps no NUL character, and nobody's name has one.
fn text(field: Field<String>) -> Option<Option<String>> {
    tri(field).map(|text| text.map(|text| text.replace('\0', "")))
}

fn tri<T>(field: Field<T>) -> Option<Option<T>> {
    match field {
        Field::Absent => None,
        Field::Null => Some(None),
        Field::Value(value) => Some(Some(value)),
    }
}

/// D-25: an account without a user type is from the time before guests, so it counts as a member.
fn user_type(field: Field<String>) -> Option<UserType> {
    tri(field).map(|text| match text {
        Some(text) if text.eq_ignore_ascii_case("guest") => UserType::Guest,
        Some(_) | None => UserType::Member,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_reason_is_confirmed_before_it_is_believed() {
        let said = |removed| {
            patch(User {
                id: "a".to_owned(),
                removed,
                ..User::default()
            })
            .presence
        };
        assert_eq!(said(None), Presence::Present);
        assert_eq!(said(Some(Removed::Changed)), Presence::Removed);
        assert_eq!(said(Some(Removed::Deleted)), Presence::Removed);
        let odd = Removed::Other("melted".to_owned());
        assert_eq!(said(Some(odd)), Presence::Missing);
    }
}
