//! Groups and their members as Graph describes them.

use serde::Deserialize;

use crate::{
    Field, Removed,
    page::Wire,
    user::{fingerprint, unwrap_text},
    wire::{self, Link, Text},
};

/// Which properties of groups are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupSelect {
    /// Whether delta tells the members. A list cannot: it stops at 20 of them.
    pub members: bool,
}

impl GroupSelect {
    /// The properties as Graph wants them in `$select`.
    pub(crate) const fn properties(self) -> &'static str {
        "id,displayName,description,mail,mailNickname,mailEnabled,securityEnabled,groupTypes,visibility"
    }

    /// The properties that delta tracks, where a relation is selected like a property.
    pub(crate) fn tracked(self) -> String {
        format!(
            "{}{}",
            self.properties(),
            if self.members { ",members" } else { "" }
        )
    }

    /// Returns a short hash of the selection, as [`UserSelect::fingerprint`](crate::UserSelect::fingerprint).
    pub fn fingerprint(self) -> String {
        fingerprint(&self.tracked())
    }
}

/// A group, or a change of one. The same group may come several times in a round, each time with another
/// slice of its members: put them together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Object id: opaque, immutable, never used again.
    pub id: String,
    /// Why the group is no longer there, if so.
    pub removed: Option<Removed>,
    /// Display name. Not unique.
    pub display_name: Field<String>,
    /// Description.
    pub description: Field<String>,
    /// Mail address.
    pub mail: Field<String>,
    /// Local part of the mail address.
    pub mail_nickname: Field<String>,
    /// Whether the group receives mail.
    pub mail_enabled: Field<bool>,
    /// Whether the group is a security group.
    pub security_enabled: Field<bool>,
    /// `Unified` for a Microsoft 365 group, `DynamicMembership` for a dynamic one.
    pub group_types: Field<Vec<String>>,
    /// `Private`, `Public`, `HiddenMembership`, or something newer.
    pub visibility: Field<String>,
    /// Members that joined or left; in the first round, all of them in slices. Always empty in a list.
    pub members: Vec<MemberChange>,
}

/// A member that joined or left.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemberChange {
    /// Object id of the member.
    pub id: String,
    /// What the member is.
    pub kind: MemberKind,
    /// Whether the member left, or the member itself was deleted.
    pub removed: bool,
}

/// A direct member of a group. Nothing but its id and kind may be known to us.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// Object id.
    pub id: String,
    /// What the member is.
    pub kind: MemberKind,
}

/// What a member of a group is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MemberKind {
    /// A user.
    User,
    /// A nested group.
    Group,
    /// A device.
    Device,
    /// An application.
    ServicePrincipal,
    /// A contact.
    OrgContact,
    /// A type we do not know.
    Other(String),
    /// The answer does not say.
    Unknown,
}

impl MemberKind {
    fn of(annotation: Field<Text>) -> Self {
        let Some(Text { value, .. }) = annotation.into_value() else {
            return Self::Unknown;
        };
        let name = value
            .trim_start_matches('#')
            .trim_start_matches("microsoft.graph.");
        match name {
            "user" => Self::User,
            "group" => Self::Group,
            "device" => Self::Device,
            "servicePrincipal" => Self::ServicePrincipal,
            "orgContact" => Self::OrgContact,
            _ => Self::Other(name.to_owned()),
        }
    }
}

impl From<Link> for MemberChange {
    fn from(link: Link) -> Self {
        let removed = link.is_removed();
        Self {
            id: link.id,
            kind: MemberKind::of(link.kind),
            removed,
        }
    }
}

impl Wire for Link {
    type Item = Member;

    fn into_item(self, _: &mut usize) -> Member {
        Member {
            id: self.id,
            kind: MemberKind::of(self.kind),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupWire {
    #[serde(deserialize_with = "wire::id")]
    id: String,
    #[serde(rename = "@removed", default, deserialize_with = "wire::loose")]
    removed: Field<Removed>,
    #[serde(default, deserialize_with = "wire::loose")]
    display_name: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    description: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    mail: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    mail_nickname: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    mail_enabled: Field<bool>,
    #[serde(default, deserialize_with = "wire::loose")]
    security_enabled: Field<bool>,
    #[serde(default, deserialize_with = "wire::loose")]
    group_types: Field<Vec<Text>>,
    #[serde(default, deserialize_with = "wire::loose")]
    visibility: Field<Text>,
    #[serde(rename = "members@delta", default, deserialize_with = "wire::loose")]
    members: Field<Vec<Link>>,
}

impl Wire for GroupWire {
    type Item = Group;

    fn into_item(self, truncated: &mut usize) -> Group {
        let mut text = |field: Field<Text>| unwrap_text(field, truncated);
        let members = self.members.into_value().unwrap_or_default();
        Group {
            id: self.id,
            removed: self.removed.into_value(),
            display_name: text(self.display_name),
            description: text(self.description),
            mail: text(self.mail),
            mail_nickname: text(self.mail_nickname),
            mail_enabled: self.mail_enabled,
            security_enabled: self.security_enabled,
            group_types: self
                .group_types
                .map(|types| types.into_iter().map(|name| name.value).collect()),
            visibility: text(self.visibility),
            members: members.into_iter().map(MemberChange::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Group {
        serde_json::from_str::<GroupWire>(json)
            .unwrap()
            .into_item(&mut 0)
    }

    #[test]
    fn members_join_and_leave() {
        let group = read(
            r##"{"id":"g","groupTypes":["Unified",5],"members@delta":[
                {"@odata.type":"#microsoft.graph.user","id":"632f6bb2-3ec8-4c1f-9073-0027a8c6859","@removed":{"reason":"deleted"}},
                {"@odata.type":"#microsoft.graph.group","id":"b"},
                {"@odata.type":"#microsoft.graph.robot","id":"c"},
                {"id":"d"}]}"##,
        );
        let told: Vec<_> = group
            .members
            .iter()
            .map(|member| (member.kind.clone(), member.removed))
            .collect();
        assert_eq!(
            told,
            [
                (MemberKind::User, true),
                (MemberKind::Group, false),
                (MemberKind::Other("robot".into()), false),
                (MemberKind::Unknown, false),
            ]
        );
        assert_eq!(group.group_types, Field::Value(vec!["Unified".to_owned()]));
    }

    #[test]
    fn a_member_without_an_id_fails_the_page() {
        assert!(
            serde_json::from_str::<GroupWire>(r#"{"id":"g","members@delta":[{"x":1}]}"#).is_err()
        );
    }

    #[test]
    fn a_group_without_members_or_types_is_fine() {
        let group = read(r#"{"id":"g","members@delta":null,"groupTypes":null}"#);
        assert!(group.members.is_empty() && group.group_types.is_null());
    }
}
