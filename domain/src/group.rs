//! Groups of the directory: what Microsoft Entra ID says, as our mirror keeps it.

use serde::{Deserialize, Serialize};

use crate::directory::{ExternalId, Presence};
use crate::text_enum::text_enum;

text_enum! {
    /// Type of a group of Microsoft Entra ID. Groups with dynamic membership are of one of these types too.
    pub enum GroupType {
        /// Security group.
        Security = "SECURITY",
        /// Microsoft 365 group.
        Microsoft365 = "MICROSOFT_365",
        /// Mail-enabled security group.
        MailEnabledSecurity = "MAIL_ENABLED_SECURITY",
        /// Distribution group.
        Distribution = "DISTRIBUTION",
    }
}

text_enum! {
    /// What the mirror knows of the members of a group.
    pub enum MembersRead {
        /// They have to be listed: the group is new, or came back.
        Unread = "UNREAD",
        /// All of them, as of the last read.
        Known = "KNOWN",
        /// Nothing: the group hides its members, and the app may not see them. An empty list says nothing then.
        Hidden = "HIDDEN",
        /// What was known before: the directory refused to list them.
        Unreadable = "UNREADABLE",
    }
}

text_enum! {
    /// What a member of a group is.
    pub enum MemberKind {
        /// A user.
        User = "USER",
        /// A nested group.
        Group = "GROUP",
        /// A device.
        Device = "DEVICE",
        /// An application.
        ServicePrincipal = "SERVICE_PRINCIPAL",
        /// A contact.
        Contact = "CONTACT",
        /// Something else, or the directory did not say.
        Other = "OTHER",
    }
}

impl MemberKind {
    /// Whether such a member can neither be a user nor lead to users, so that it is left out (D-29).
    #[must_use]
    pub const fn is_unsupported(self) -> bool {
        match self {
            Self::Device | Self::ServicePrincipal | Self::Contact => true,
            // What the directory did not name may still be a user or group that we know.
            Self::User | Self::Group | Self::Other => false,
        }
    }
}

text_enum! {
    /// How an object belongs to a group.
    pub enum MemberRelation {
        /// It is a member.
        Member = "MEMBER",
        /// It owns the group.
        Owner = "OWNER",
    }
}

/// A group of the directory as last read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryGroup {
    /// Object id.
    pub external_id: ExternalId,
    /// Display name; not unique.
    pub display_name: Option<String>,
    /// Whether the group receives mail.
    pub mail_enabled: bool,
    /// Whether the group is a security group.
    pub security_enabled: bool,
    /// Whether the group is a Microsoft 365 group.
    pub is_unified: bool,
    /// Whether the directory computes the members by a rule.
    pub is_dynamic: bool,
    /// Whether the members are hidden from whoever lacks a permission of its own.
    pub hides_members: bool,
    /// What is known of the members.
    pub members: MembersRead,
    /// Whether the group is there.
    pub presence: Presence,
}

impl DirectoryGroup {
    /// A group of which nothing but the id is known.
    #[must_use]
    pub fn blank(external_id: ExternalId) -> Self {
        Self {
            external_id,
            display_name: None,
            mail_enabled: false,
            security_enabled: false,
            is_unified: false,
            is_dynamic: false,
            hides_members: false,
            members: MembersRead::Unread,
            presence: Presence::Present,
        }
    }

    /// Type of the group.
    #[must_use]
    pub const fn group_type(&self) -> GroupType {
        match (self.is_unified, self.mail_enabled, self.security_enabled) {
            (true, ..) => GroupType::Microsoft365,
            (false, true, true) => GroupType::MailEnabledSecurity,
            (false, true, false) => GroupType::Distribution,
            (false, false, _) => GroupType::Security,
        }
    }

    /// Best name to show to a person: display name, else the id.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        self.display_name
            .as_deref()
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .unwrap_or(self.external_id.as_str())
    }
}

/// A member of a group, or one that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPatch {
    /// Object id of the member.
    pub external_id: ExternalId,
    /// What it is.
    pub kind: MemberKind,
    /// Whether it left.
    pub removed: bool,
}

/// What a read says of one group: whole from a list, or only what changed from a delta.
///
/// `None` says nothing of an attribute, `Some(None)` that it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPatch {
    /// Object id.
    pub external_id: ExternalId,
    /// What the directory says of whether the group is there.
    pub presence: Presence,
    /// Display name.
    pub display_name: Option<Option<String>>,
    /// Whether the group receives mail.
    pub mail_enabled: Option<bool>,
    /// Whether the group is a security group.
    pub security_enabled: Option<bool>,
    /// Whether the group is a Microsoft 365 group, and whether its members are computed.
    pub unified_and_dynamic: Option<(bool, bool)>,
    /// Whether the group hides its members.
    pub hides_members: Option<bool>,
    /// Members that joined or left.
    pub members: Vec<MemberPatch>,
    /// Owners that joined or left.
    pub owners: Vec<MemberPatch>,
}

impl GroupPatch {
    /// Says nothing but that the group is there.
    #[must_use]
    pub fn empty(external_id: ExternalId) -> Self {
        Self {
            external_id,
            presence: Presence::Present,
            display_name: None,
            mail_enabled: None,
            security_enabled: None,
            unified_and_dynamic: None,
            hides_members: None,
            members: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// Lays the patch over what was known; none when a group that was never seen is said to be removed.
    ///
    /// A group that is new or comes back has its members listed: whether a delta repeats those of a restored group
    /// is not documented.
    #[must_use]
    pub fn over(&self, known: Option<DirectoryGroup>) -> Option<DirectoryGroup> {
        if self.presence != Presence::Present {
            return known.map(|known| DirectoryGroup {
                presence: known.presence.absent(self.presence),
                ..known
            });
        }
        let known = known.unwrap_or_else(|| DirectoryGroup::blank(self.external_id.clone()));
        let (unified, dynamic) = self
            .unified_and_dynamic
            .unwrap_or((known.is_unified, known.is_dynamic));
        let hides_members = self.hides_members.unwrap_or(known.hides_members);
        let is_as_before =
            known.presence == Presence::Present && hides_members == known.hides_members;
        Some(DirectoryGroup {
            external_id: self.external_id.clone(),
            display_name: self.display_name.clone().unwrap_or(known.display_name),
            mail_enabled: self.mail_enabled.unwrap_or(known.mail_enabled),
            security_enabled: self.security_enabled.unwrap_or(known.security_enabled),
            is_unified: unified,
            is_dynamic: dynamic,
            hides_members,
            members: if is_as_before {
                known.members
            } else {
                MembersRead::Unread
            },
            presence: Presence::Present,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_from_three_flags() {
        let group = |is_unified, mail_enabled, security_enabled| {
            DirectoryGroup {
                is_unified,
                mail_enabled,
                security_enabled,
                ..DirectoryGroup::blank("g".into())
            }
            .group_type()
        };
        assert_eq!(group(true, true, true), GroupType::Microsoft365);
        assert_eq!(group(false, false, true), GroupType::Security);
        assert_eq!(group(false, true, true), GroupType::MailEnabledSecurity);
        assert_eq!(group(false, true, false), GroupType::Distribution);
    }

    #[test]
    fn a_group_that_comes_back_has_its_members_listed_anew() {
        let known = DirectoryGroup {
            members: MembersRead::Known,
            ..GroupPatch::empty("g".into()).over(None).unwrap()
        };
        let same = GroupPatch::empty("g".into())
            .over(Some(known.clone()))
            .unwrap();
        assert_eq!(same, known, "an empty patch changes nothing");
        let removed = GroupPatch {
            presence: Presence::Removed,
            ..GroupPatch::empty("g".into())
        };
        assert_eq!(removed.over(None), None);
        let gone = removed.over(Some(known)).unwrap();
        assert_eq!(gone.presence, Presence::Removed);
        let back = GroupPatch::empty("g".into()).over(Some(gone)).unwrap();
        assert_eq!(
            (back.presence, back.members),
            (Presence::Present, MembersRead::Unread)
        );
    }
}
