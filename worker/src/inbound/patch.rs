//! From Microsoft's words to ours.

use lockstep_domain::{DirectoryPatch, ExternalId, UserType};
use lockstep_graph::{Field, User};

/// Turns what Graph says of a user into a patch of the mirror.
#[must_use]
pub fn patch(user: User) -> DirectoryPatch {
    DirectoryPatch {
        external_id: ExternalId(user.id),
        removed: user.removed.is_some(),
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
