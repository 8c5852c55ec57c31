//! Plans the users: for each account that has to be looked at, what has to change.

use lockstep_domain::{
    AddressKey, ChangeAction, ChangeReason, ChangeReasonCode, ContentHash, DeactivationReason,
    DirectoryUser, ExternalId, InboundRules, LinkMatch, PlatformUser, Role, UserFields, UserId,
    UserLink, UserStatus,
};

use super::desired::{Desired, Flaw, scope};
pub use super::surroundings::Surroundings;

/// A change that was worked out, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// The account.
    pub external_id: ExternalId,
    /// The user, none for one who is yet to be created.
    pub user_id: Option<UserId>,
    /// Name of the person as the directory shows it.
    pub display_name: String,
    /// What is to be done.
    pub action: ChangeAction,
    /// The user before, none for a creation.
    pub before: Option<UserFields>,
    /// The user after; of a change that is left out, as it would have been, none when nobody was wanted.
    pub after: Option<UserFields>,
    /// How account and user were matched, for a creation or a link.
    pub matched_by: Option<LinkMatch>,
    /// The user who must give up the wanted address first.
    pub waits_for: Option<UserId>,
    /// Whether the directory must confirm by id that the person is gone (D-21).
    pub needs_confirmation: bool,
    /// The version of the account that this was decided on.
    pub source_hash: ContentHash,
    /// Why the change is left out, none when it is to be made.
    pub skipped: Option<ChangeReason>,
}

impl PlannedChange {
    /// Whether the change moves the user to another address.
    #[must_use]
    pub fn moves_address(&self) -> bool {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return false;
        };
        self.skipped.is_none() && AddressKey::of(&before.email) != AddressKey::of(&after.email)
    }
}

/// What was decided about one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// The changes, none when all is as it should be.
    pub changes: Vec<PlannedChange>,
    /// Whether a linked user keeps an old value because the directory lacks a required one.
    pub incomplete: bool,
    /// Whether there is a user for the account.
    pub linked: bool,
    /// Whether the directory lists the account in scope, so that its user is not to leave.
    pub stays: bool,
    /// Whether the user has the address that the directory gives.
    pub keeps_address: bool,
}

/// Plans what has to change for each of `keys`; the answer has one decision per key, in their order.
#[must_use]
pub fn plan(keys: &[ExternalId], world: &Surroundings, rules: &InboundRules) -> Vec<Decision> {
    keys.iter()
        .map(|key| {
            world
                .accounts
                .get(key)
                .map_or_else(Decision::default, |account| decide(account, world, rules))
        })
        .collect()
}

fn decide(account: &DirectoryUser, world: &Surroundings, rules: &InboundRules) -> Decision {
    let user = world.linked_user(&account.external_id);
    let draft = Draft {
        account,
        world,
        desired: Desired::of(account, rules),
    };
    let decision = match (user, scope(account, rules)) {
        (Some(user), Ok(())) => draft.update(user),
        (Some(user), Err(reason)) => draft.deactivate(user, reason),
        (None, Ok(())) => draft.first_contact(rules),
        (None, Err(reason)) => draft.leave_out(reason),
    };
    let keeps_address =
        |user: &PlatformUser| draft.desired.address_key().as_ref() == Some(&user.email_key);
    Decision {
        linked: user.is_some(),
        stays: user.is_some() && scope(account, rules).is_ok(),
        keeps_address: scope(account, rules).is_ok() && user.is_some_and(keeps_address),
        ..decision
    }
}

struct Draft<'a> {
    account: &'a DirectoryUser,
    world: &'a Surroundings,
    desired: Desired,
}

/// Whether a wanted address can be had.
enum Availability<'a> {
    Free,
    /// After this user gave it up.
    After(UserId),
    /// It belongs to a user without a link, who may be the same person.
    Unlinked(&'a PlatformUser),
    Taken(String),
}

impl Draft<'_> {
    fn change(&self, action: ChangeAction, user: Option<&PlatformUser>) -> PlannedChange {
        PlannedChange {
            external_id: self.account.external_id.clone(),
            user_id: user.map(|user| user.id),
            display_name: self.account.shown_name().to_owned(),
            action,
            before: user.map(UserFields::of),
            after: None,
            matched_by: None,
            waits_for: None,
            needs_confirmation: false,
            source_hash: self.account.decision_hash(),
            skipped: None,
        }
    }

    fn skip(
        &self,
        action: ChangeAction,
        user: Option<&PlatformUser>,
        after: Option<UserFields>,
        reason: ChangeReason,
    ) -> Decision {
        let change = PlannedChange {
            after,
            skipped: Some(reason),
            ..self.change(action, user)
        };
        Decision {
            changes: vec![change],
            incomplete: false,
            ..Decision::default()
        }
    }

    /// D-13: an account out of scope is not created; one that is gone is nobody's business.
    fn leave_out(&self, reason: DeactivationReason) -> Decision {
        let reason = match reason {
            DeactivationReason::Disabled => ChangeReason::new(
                ChangeReasonCode::Disabled,
                "The account is disabled in Microsoft Entra ID.",
            ),
            DeactivationReason::GuestExcluded => ChangeReason::new(
                ChangeReasonCode::GuestExcluded,
                "The account is a guest, and guests are not synchronized.",
            ),
            _ => return Decision::default(),
        };
        self.skip(ChangeAction::Create, None, None, reason)
    }

    /// D-14: always deactivated, never deleted, and the reason is kept.
    fn deactivate(&self, user: &PlatformUser, reason: DeactivationReason) -> Decision {
        if user.status == UserStatus::Deactivated {
            return Decision::default();
        }
        let after = UserFields {
            status: UserStatus::Deactivated,
            deactivation_reason: Some(reason),
            ..UserFields::of(user)
        };
        let change = PlannedChange {
            after: Some(after),
            needs_confirmation: reason == DeactivationReason::NotFound,
            ..self.change(ChangeAction::Deactivate, Some(user))
        };
        Decision {
            changes: vec![change],
            incomplete: false,
            ..Decision::default()
        }
    }

    fn first_contact(&self, rules: &InboundRules) -> Decision {
        if let Some(reason) = flaw_reason(&self.desired.flaws()) {
            return self.skip(ChangeAction::Create, None, None, reason);
        }
        let Some(key) = self.desired.address_key() else {
            return Decision::default();
        };
        match self.availability(&key, None) {
            Availability::Free => self
                .by_principal_name(rules)
                .unwrap_or_else(|| self.create(None)),
            Availability::After(holder) => self.create(Some(holder)),
            Availability::Unlinked(user) => self.link(user, LinkMatch::Email),
            Availability::Taken(message) => self.skip(
                ChangeAction::Create,
                None,
                Some(self.created()),
                ChangeReason::new(ChangeReasonCode::Conflict, message),
            ),
        }
    }

    /// D-02: as an option, a user whose address is the user principal name is the same person. Never the local part.
    fn by_principal_name(&self, rules: &InboundRules) -> Option<Decision> {
        let key = rules
            .match_by_user_principal_name
            .then(|| self.account.upn_key())
            .flatten()?;
        match self.availability(&key, None) {
            Availability::Unlinked(user) => Some(self.link(user, LinkMatch::UserPrincipalName)),
            _ => None,
        }
    }

    /// The user whom the directory gives.
    fn created(&self) -> UserFields {
        self.overwrite(UserFields {
            given_name: None,
            family_name: None,
            names_derived: false,
            email: String::new(),
            job_title: None,
            status: UserStatus::NotYetActivated,
            deactivation_reason: None,
        })
    }

    fn create(&self, waits_for: Option<UserId>) -> Decision {
        let change = PlannedChange {
            after: Some(self.created()),
            matched_by: Some(LinkMatch::Created),
            waits_for,
            ..self.change(ChangeAction::Create, None)
        };
        Decision {
            changes: vec![change],
            incomplete: false,
            ..Decision::default()
        }
    }

    /// D-03: an owner is never taken over silently. D-18: from the match on, the user is managed.
    fn link(&self, user: &PlatformUser, matched_by: LinkMatch) -> Decision {
        let after = self.overwrite(UserFields::of(user));
        if user.role == Role::Owner {
            let message = format!(
                "{} has the address of an owner of the organization. An owner is never linked without a person's confirmation.",
                self.account.shown_name()
            );
            return self.skip(
                ChangeAction::Link,
                Some(user),
                Some(after),
                ChangeReason::new(ChangeReasonCode::Conflict, message),
            );
        }
        let change = PlannedChange {
            after: Some(after),
            matched_by: Some(matched_by),
            ..self.change(ChangeAction::Link, Some(user))
        };
        Decision {
            changes: vec![change],
            incomplete: false,
            ..Decision::default()
        }
    }

    fn update(&self, user: &PlatformUser) -> Decision {
        let mut decision = Decision {
            changes: Vec::new(),
            incomplete: !self.desired.flaws().is_empty(),
            ..Decision::default()
        };
        let returns = user.status == UserStatus::Deactivated;
        if returns
            && !user
                .deactivation_reason
                .is_some_and(DeactivationReason::is_of_a_run)
        {
            return self.stay_away(user);
        }
        let before = UserFields::of(user);
        let mut after = if returns {
            self.returned(user)
        } else {
            self.overwrite(before.clone())
        };
        let waits_for = match self.new_address(user) {
            Ok(waits_for) => waits_for,
            Err(reason) => {
                let wanted = std::mem::replace(&mut after.email, before.email.clone());
                let moved = UserFields {
                    email: wanted,
                    ..before.clone()
                };
                let skip = self.skip(ChangeAction::Update, Some(user), Some(moved), reason);
                decision.changes.extend(skip.changes);
                None
            }
        };
        if after != before {
            let action = if returns {
                ChangeAction::Reactivate
            } else {
                ChangeAction::Update
            };
            decision.changes.insert(
                0,
                PlannedChange {
                    after: Some(after),
                    waits_for,
                    ..self.change(action, Some(user))
                },
            );
        }
        decision
    }

    /// A deactivated user as the user comes back.
    fn returned(&self, user: &PlatformUser) -> UserFields {
        UserFields {
            status: if user.ever_active {
                UserStatus::Active
            } else {
                UserStatus::NotYetActivated
            },
            deactivation_reason: None,
            ..self.overwrite(UserFields::of(user))
        }
    }

    /// D-15: whom an owner deactivated, no run brings back.
    fn stay_away(&self, user: &PlatformUser) -> Decision {
        let message = "An owner deactivated this user by hand; runs do not reactivate the user.";
        self.skip(
            ChangeAction::Reactivate,
            Some(user),
            Some(self.returned(user)),
            ChangeReason::new(ChangeReasonCode::UserHold, message),
        )
    }

    /// Whom the user must wait for to move to the wanted address, if it moves.
    fn new_address(&self, user: &PlatformUser) -> Result<Option<UserId>, ChangeReason> {
        let Some(key) = self
            .desired
            .address_key()
            .filter(|key| *key != user.email_key)
        else {
            return Ok(None);
        };
        match self.availability(&key, Some(user)) {
            Availability::Free => Ok(None),
            Availability::After(holder) => Ok(Some(holder)),
            Availability::Unlinked(other) => Err(ChangeReason::new(
                ChangeReasonCode::Conflict,
                format!(
                    "The new address belongs to another user, {}. The old address is kept.",
                    other.display_name()
                ),
            )
            .at("email")),
            Availability::Taken(message) => {
                Err(ChangeReason::new(ChangeReasonCode::Conflict, message).at("email"))
            }
        }
    }

    /// Writes what the directory gives over `fields`; a required value that it lacks stays as it was (D-08, D-10).
    fn overwrite(&self, fields: UserFields) -> UserFields {
        let Desired {
            given_name,
            family_name,
            names_derived,
            address,
            job_title,
        } = &self.desired;
        let names_known = given_name.is_ok() && family_name.is_ok();
        UserFields {
            given_name: given_name.as_ref().ok().cloned().or(fields.given_name),
            family_name: family_name.as_ref().ok().cloned().or(fields.family_name),
            names_derived: if names_known {
                *names_derived
            } else {
                fields.names_derived
            },
            email: address.as_ref().map_or(fields.email, ToString::to_string),
            job_title: job_title.clone().unwrap_or(fields.job_title),
            status: fields.status,
            deactivation_reason: fields.deactivation_reason,
        }
    }

    /// D-04, D-05, D-17: an address goes to one person, and never to a stranger silently.
    fn availability(&self, key: &AddressKey, user: Option<&PlatformUser>) -> Availability<'_> {
        if let Some(rival) = self.rival(key) {
            return Availability::Taken(rival);
        }
        let Some(holder) = self
            .world
            .holder(key)
            .filter(|holder| Some(holder.id) != user.map(|user| user.id))
        else {
            return Availability::Free;
        };
        let Some(link) = self.world.link_of_user.get(&holder.id) else {
            return Availability::Unlinked(holder);
        };
        if self.will_leave(link, key) {
            return Availability::After(holder.id);
        }
        Availability::Taken(format!(
            "The address belongs to {}, who is linked to another account ({}). Addresses may have been given to a new person; a person must decide.",
            holder.display_name(),
            link.external_id
        ))
    }

    /// Another account in scope that asks for the same address.
    fn rival(&self, key: &AddressKey) -> Option<String> {
        let claims = self.world.claims.get(key)?;
        let rival = claims.iter().find(|id| **id != self.account.external_id)?;
        let rival = self.world.accounts.get(rival)?;
        Some(format!(
            "{} ({}) has the same e-mail address in Microsoft Entra ID. Give one of the two another address.",
            rival.shown_name(),
            rival.external_id
        ))
    }

    /// Whether the account behind a link asks for another address than `key`, so that its user gives it up.
    fn will_leave(&self, link: &UserLink, key: &AddressKey) -> bool {
        let Some(account) = self.world.accounts.get(&link.external_id) else {
            return false;
        };
        let is_ours = self
            .world
            .link_of_account
            .get(&link.external_id)
            .is_some_and(|own| own.user_id == link.user_id);
        is_ours
            && self
                .world
                .claims
                .iter()
                .any(|(other, ids)| other != key && ids.contains(&account.external_id))
    }
}

/// D-08, D-09: names what is missing first, and everything else in the message.
fn flaw_reason(flaws: &[&Flaw]) -> Option<ChangeReason> {
    let first = flaws.first()?;
    if let Some(flaw) = flaws.iter().find(|flaw| flaw.invalid.is_some())
        && let Some(invalid) = flaw.invalid
        && flaws.len() == 1
    {
        let message = format!("{} is not an e-mail address: {invalid}.", flaw.attribute);
        return Some(ChangeReason::new(ChangeReasonCode::InvalidValue, message).at(flaw.attribute));
    }
    let names: Vec<&str> = flaws.iter().map(|flaw| flaw.attribute).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let message = format!(
        "{} {verb} missing in Microsoft Entra ID.",
        names.join(" and ")
    );
    Some(ChangeReason::new(ChangeReasonCode::MissingRequired, message).at(first.attribute))
}

#[cfg(test)]
mod tests;
