//! From Microsoft's words to ours.

use lockstep_domain::{DirectoryPatch, ExternalId, UserType};
use lockstep_graph::{Field, User};

/// Turns what Graph says of a user into a patch of the mirror.
#[must_use]
pub fn patch(user: User) -> DirectoryPatch {
    DirectoryPatch {
        external_id: ExternalId(user.id),
        removed: user.removed.is_some(),
        display_name: tri(user.display_name),
        given_name: tri(user.given_name),
        surname: tri(user.surname),
        mail: tri(user.mail),
        user_principal_name: tri(user.user_principal_name),
        account_enabled: tri(user.account_enabled),
        user_type: user_type(user.user_type),
        job_title: tri(user.job_title),
        employee_id: tri(user.employee_id),
        manager_id: tri(user.manager).map(|manager| manager.map(ExternalId)),
    }
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
