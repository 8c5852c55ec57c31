//! Directory objects: what Microsoft Entra ID says, as our mirror keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::AddressKey;
use crate::hash::ContentHash;
use crate::text_enum::text_enum;

/// Object id in Microsoft Entra ID: opaque, immutable, never reused (D-01).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExternalId(pub String);

impl ExternalId {
    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ExternalId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_enum! {
    /// The user type attribute of Microsoft Entra ID; anything but `Guest` counts as a member (D-25).
    pub enum UserType {
        /// A regular user of the tenant.
        Member = "MEMBER",
        /// A guest invited into the tenant.
        Guest = "GUEST",
    }
}

text_enum! {
    /// Whether an object is there.
    pub enum Presence {
        /// The directory listed it.
        Present = "PRESENT",
        /// The directory said that it was removed.
        Removed = "REMOVED",
        /// A complete read did not find it, or the directory gave a reason for its absence that we do not know; nothing
        /// follows from that until it is confirmed by id (D-21).
        Missing = "MISSING",
    }
}

impl Presence {
    /// What is known of an absent object: a confirmed removal is not doubted again.
    pub(crate) fn absent(self, said: Self) -> Self {
        match self {
            Self::Removed => Self::Removed,
            Self::Present | Self::Missing => said,
        }
    }
}

/// A person (or room, or service account) of the directory as last read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryUser {
    /// Object id.
    pub external_id: ExternalId,
    /// Display name.
    pub display_name: Option<String>,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub surname: Option<String>,
    /// Primary SMTP address, none without a mailbox.
    pub mail: Option<String>,
    /// User principal name.
    pub user_principal_name: Option<String>,
    /// Whether the account may sign in.
    pub account_enabled: bool,
    /// Member or guest.
    pub user_type: UserType,
    /// Job title.
    pub job_title: Option<String>,
    /// Employee number, used to tell a returning person from a stranger.
    pub employee_id: Option<String>,
    /// Object id of the manager, who may be unknown to us.
    pub manager_id: Option<ExternalId>,
    /// Whether the account is there.
    pub presence: Presence,
}

impl DirectoryUser {
    /// An account of which nothing but the id is known.
    #[must_use]
    pub fn blank(external_id: ExternalId) -> Self {
        Self {
            external_id,
            display_name: None,
            given_name: None,
            surname: None,
            mail: None,
            user_principal_name: None,
            account_enabled: true,
            user_type: UserType::Member,
            job_title: None,
            employee_id: None,
            manager_id: None,
            presence: Presence::Present,
        }
    }

    /// Hashes what a decision was made on: the content, and whether the account is there.
    #[must_use]
    pub fn decision_hash(&self) -> ContentHash {
        let Self {
            external_id,
            display_name,
            given_name,
            surname,
            mail,
            user_principal_name,
            account_enabled,
            user_type,
            job_title,
            employee_id,
            manager_id,
            presence,
        } = self;
        ContentHash::of([
            Some(external_id.as_str()),
            display_name.as_deref(),
            given_name.as_deref(),
            surname.as_deref(),
            mail.as_deref(),
            user_principal_name.as_deref(),
            Some(if *account_enabled {
                "enabled"
            } else {
                "disabled"
            }),
            Some(user_type.as_str()),
            job_title.as_deref(),
            employee_id.as_deref(),
            manager_id.as_ref().map(ExternalId::as_str),
            Some(presence.as_str()),
        ])
    }

    /// Key of the `mail` attribute, none when it is empty.
    #[must_use]
    pub fn mail_key(&self) -> Option<AddressKey> {
        key_of(self.mail.as_deref())
    }

    /// Key of the user principal name, none when it is empty.
    #[must_use]
    pub fn upn_key(&self) -> Option<AddressKey> {
        key_of(self.user_principal_name.as_deref())
    }

    /// Best name to show to a person: display name, else user principal name, else the id.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        [&self.display_name, &self.user_principal_name]
            .into_iter()
            .filter_map(|name| name.as_deref())
            .find(|name| !name.trim().is_empty())
            .unwrap_or(self.external_id.as_str())
    }
}

fn key_of(text: Option<&str>) -> Option<AddressKey> {
    text.map(AddressKey::of)
        .filter(|key| !key.as_str().is_empty())
}

/// What a read says of one account: whole from a list, or only what changed from a delta.
///
/// `None` says nothing of an attribute, `Some(None)` that it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryPatch {
    /// Object id.
    pub external_id: ExternalId,
    /// What the directory says of whether the account is there.
    pub presence: Presence,
    /// Display name.
    pub display_name: Option<Option<String>>,
    /// First name.
    pub given_name: Option<Option<String>>,
    /// Last name.
    pub surname: Option<Option<String>>,
    /// Primary SMTP address.
    pub mail: Option<Option<String>>,
    /// User principal name.
    pub user_principal_name: Option<Option<String>>,
    /// Whether the account may sign in.
    pub account_enabled: Option<Option<bool>>,
    /// Member or guest.
    pub user_type: Option<UserType>,
    /// Job title.
    pub job_title: Option<Option<String>>,
    /// Employee number.
    pub employee_id: Option<Option<String>>,
    /// Object id of the manager.
    pub manager_id: Option<Option<ExternalId>>,
}

impl DirectoryPatch {
    /// Says nothing but that the account is there.
    #[must_use]
    pub fn empty(external_id: ExternalId) -> Self {
        Self {
            external_id,
            presence: Presence::Present,
            display_name: None,
            given_name: None,
            surname: None,
            mail: None,
            user_principal_name: None,
            account_enabled: None,
            user_type: None,
            job_title: None,
            employee_id: None,
            manager_id: None,
        }
    }

    /// Lays the patch over what was known; none when an account that was never seen is said to be removed.
    ///
    /// An account whose `accountEnabled` was never given counts as enabled: nobody is deactivated for a gap.
    #[must_use]
    pub fn over(self, known: Option<DirectoryUser>) -> Option<DirectoryUser> {
        if self.presence != Presence::Present {
            return known.map(|known| DirectoryUser {
                presence: known.presence.absent(self.presence),
                ..known
            });
        }
        let known = known.unwrap_or_else(|| DirectoryUser::blank(self.external_id.clone()));
        Some(DirectoryUser {
            external_id: self.external_id,
            display_name: self.display_name.unwrap_or(known.display_name),
            given_name: self.given_name.unwrap_or(known.given_name),
            surname: self.surname.unwrap_or(known.surname),
            mail: self.mail.unwrap_or(known.mail),
            user_principal_name: self
                .user_principal_name
                .unwrap_or(known.user_principal_name),
            account_enabled: self
                .account_enabled
                .map_or(known.account_enabled, |enabled| enabled.unwrap_or(true)),
            user_type: self.user_type.unwrap_or(known.user_type),
            job_title: self.job_title.unwrap_or(known.job_title),
            employee_id: self.employee_id.unwrap_or(known.employee_id),
            manager_id: self.manager_id.unwrap_or(known.manager_id),
            presence: Presence::Present,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch() -> DirectoryPatch {
        DirectoryPatch {
            mail: Some(Some("a@example.com".into())),
            ..DirectoryPatch::empty("a".into())
        }
    }

    #[test]
    fn absent_keeps_and_null_clears() {
        let known = patch().over(None).unwrap();
        assert_eq!(
            DirectoryPatch::empty("a".into()).over(Some(known.clone())),
            Some(known.clone())
        );
        let cleared = DirectoryPatch {
            mail: Some(None),
            ..patch()
        }
        .over(Some(known))
        .unwrap();
        assert_eq!(cleared.mail, None);
    }

    #[test]
    fn d18_a_removed_account_keeps_what_was_known_and_comes_back() {
        let known = patch().over(None).unwrap();
        let removed = DirectoryPatch {
            presence: Presence::Removed,
            ..DirectoryPatch::empty("a".into())
        };
        assert_eq!(removed.clone().over(None), None);
        let gone = removed.over(Some(known.clone())).unwrap();
        assert_eq!(
            (gone.presence, gone.mail.clone()),
            (Presence::Removed, known.mail.clone())
        );
        assert_ne!(gone.decision_hash(), known.decision_hash());
        assert_eq!(
            DirectoryPatch::empty("a".into()).over(Some(gone)),
            Some(known)
        );
    }

    #[test]
    fn nobody_is_disabled_for_a_gap() {
        let unknown = DirectoryPatch {
            account_enabled: Some(None),
            ..patch()
        };
        assert!(unknown.over(None).unwrap().account_enabled);
    }
}
