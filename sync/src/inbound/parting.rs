//! Parting: when the address of a change has to wait, only the address waits; the rest of the change is made.

use lockstep_domain::{ChangeAction, ChangeReason, ChangeReasonCode, UserFields};

/// The user after a change whose address has to wait, none when nothing of the change is left without it.
///
/// A user is nothing without an address, so a creation waits as a whole.
#[must_use]
pub fn without_address(
    action: ChangeAction,
    before: Option<&UserFields>,
    after: &UserFields,
) -> Option<UserFields> {
    let before = before?;
    let rest = UserFields {
        email: before.email.clone(),
        ..after.clone()
    };
    // A link is worth making even when it changes nothing else.
    (action == ChangeAction::Link || rest != *before).then_some(rest)
}

/// Why an address cannot be had: `holder` is the name of the user who has it and does not give it up.
#[must_use]
pub fn kept_by(holder: &str, action: ChangeAction) -> ChangeReason {
    let consequence = match action {
        ChangeAction::Create => "Nobody is created without an address.",
        _ => "The old address is kept.",
    };
    let message =
        format!("The address belongs to {holder}, who does not give it up. {consequence}");
    ChangeReason::new(ChangeReasonCode::Conflict, message).at("email")
}

/// Why an address has to wait: `holder` is the name of the user whose own change of address is held.
#[must_use]
pub fn held_with(holder: &str) -> ChangeReason {
    let message = format!("The address belongs to {holder}, whose own change of address is held.");
    ChangeReason::new(ChangeReasonCode::LimitExceeded, message).at("email")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::UserStatus;

    fn fields(name: &str, email: &str) -> UserFields {
        UserFields {
            given_name: Some(name.to_owned()),
            family_name: None,
            names_derived: false,
            email: email.to_owned(),
            job_title: None,
            status: UserStatus::Active,
            deactivation_reason: None,
        }
    }

    #[test]
    fn only_the_address_is_left_out_and_a_link_is_made_all_the_same() {
        let (before, after) = (fields("Ada", "a@x"), fields("Eve", "b@x"));
        let rest = |action, before, after| without_address(action, before, after);
        assert_eq!(
            rest(ChangeAction::Update, Some(&before), &after),
            Some(fields("Eve", "a@x"))
        );
        let moved = fields("Ada", "b@x");
        assert_eq!(rest(ChangeAction::Update, Some(&before), &moved), None);
        assert_eq!(
            rest(ChangeAction::Link, Some(&before), &moved),
            Some(before.clone())
        );
        assert_eq!(rest(ChangeAction::Create, None, &after), None);
    }
}
