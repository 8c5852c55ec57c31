//! Groups, their members and owners as Graph describes them.

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
    /// Whether delta tells the owners.
    pub owners: bool,
}

impl GroupSelect {
    /// The properties as Graph wants them in `$select`.
    pub(crate) const fn properties(self) -> &'static str {
        "id,displayName,description,mail,mailNickname,mailEnabled,securityEnabled,groupTypes,visibility"
    }

    /// The properties that delta tracks, where a relation is selected like a property.
    pub(crate) fn tracked(self) -> String {
        let Self { members, owners } = self;
        format!(
            "{}{}{}",
            self.properties(),
            if members { ",members" } else { "" },
            if owners { ",owners" } else { "" }
        )
    }

    /// Returns a short hash of the selection, as [`UserSelect::fingerprint`](crate::UserSelect::fingerprint).
    pub fn fingerprint(self) -> String {
        fingerprint(&self.tracked())
    }
}

/// A group, or a change of one. The same group may come several times in a round, each time with another
/// slice of its members and owners: put them together.
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
    /// Owners that came or went, in the same way.
    pub owners: Vec<MemberChange>,
}

/// A member or an owner that came or went.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemberChange {
    /// Object id.
    pub id: String,
    /// What kind of object it is.
    pub kind: MemberKind,
    /// Whether it went, or was itself deleted.
    pub removed: bool,
}

/// A direct member or an owner of a group. Nothing but its id and kind may be known to us.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// Object id.
    pub id: String,
    /// What kind of object it is.
    pub kind: MemberKind,
}

/// What a member or an owner of a group is.
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
    #[serde(rename = "owners@delta", default, deserialize_with = "wire::loose")]
    owners: Field<Vec<Link>>,
}

fn changes(links: Field<Vec<Link>>) -> Vec<MemberChange> {
    let links = links.into_value().unwrap_or_default();
    links.into_iter().map(MemberChange::from).collect()
}

impl Wire for GroupWire {
    type Item = Group;

    fn into_item(self, truncated: &mut usize) -> Group {
        let mut text = |field: Field<Text>| unwrap_text(field, truncated);
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
            members: changes(self.members),
            owners: changes(self.owners),
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
    fn owners_come_and_go_apart_from_members() {
        let group = read(
            r##"{"id":"g","members@delta":[{"id":"m"}],"owners@delta":[
                {"@odata.type":"#microsoft.graph.user","id":"a"},
                {"@odata.type":"#microsoft.graph.servicePrincipal","id":"b","@removed":{"reason":"deleted"}}]}"##,
        );
        let change = |id: &str, kind, removed| MemberChange {
            id: id.to_owned(),
            kind,
            removed,
        };
        assert_eq!(
            group.owners,
            [
                change("a", MemberKind::User, false),
                change("b", MemberKind::ServicePrincipal, true),
            ]
        );
        assert_eq!(group.members, [change("m", MemberKind::Unknown, false)]);
    }

    #[test]
    fn a_member_or_owner_without_an_id_fails_the_page() {
        for relation in ["members", "owners"] {
            let json = format!(r#"{{"id":"g","{relation}@delta":[{{"x":1}}]}}"#);
            assert!(
                serde_json::from_str::<GroupWire>(&json).is_err(),
                "{relation}"
            );
        }
    }

    #[test]
    fn a_group_without_members_owners_or_types_is_fine() {
        let group = read(r#"{"id":"g","members@delta":null,"owners@delta":5,"groupTypes":null}"#);
        assert!(group.members.is_empty() && group.owners.is_empty());
        assert!(group.group_types.is_null());
    }

    #[test]
    fn what_is_tracked_has_a_fingerprint_of_its_own() {
        let both = [false, true];
        let prints: std::collections::HashSet<String> = both
            .into_iter()
            .flat_map(|members| both.map(|owners| GroupSelect { members, owners }.fingerprint()))
            .collect();
        assert_eq!(prints.len(), 4);
    }
}
