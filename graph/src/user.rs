//! Users as Graph describes them.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    Field,
    page::Wire,
    wire::{self, Expanded, Link, Text},
};

/// Which properties of users are read. `accountEnabled`, `userType` and `employeeId` come only when named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserSelect {
    /// Whether to read who manages them.
    pub manager: bool,
}

impl UserSelect {
    /// The properties as Graph wants them in `$select`.
    pub(crate) const fn properties(self) -> &'static str {
        "id,displayName,givenName,surname,mail,userPrincipalName,accountEnabled,userType,jobTitle,employeeId"
    }

    /// The properties that delta tracks, where a relation is selected like a property.
    pub(crate) fn tracked(self) -> String {
        format!(
            "{}{}",
            self.properties(),
            if self.manager { ",manager" } else { "" }
        )
    }

    /// Returns a short hash of the selection. A delta link remembers what was selected when it was made, so
    /// it is of use only as long as the fingerprint stays the same.
    pub fn fingerprint(self) -> String {
        fingerprint(&self.tracked())
    }
}

/// Returns 16 hexadecimal digits that change with the text, and with nothing else.
pub(crate) fn fingerprint(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Why an object is no longer there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Removed {
    /// Soft-deleted; it can be restored for 30 days.
    Changed,
    /// Gone for good. For a relation: ended.
    Deleted,
    /// A reason we do not know. Confirm before believing it.
    Other(String),
}

impl Removed {
    pub(crate) fn of(reason: String) -> Self {
        match reason.as_str() {
            "changed" => Self::Changed,
            "deleted" => Self::Deleted,
            _ => Self::Other(reason),
        }
    }
}

/// A user, or a change of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Object id: opaque, immutable, never used again.
    pub id: String,
    /// Why the user is no longer there, if so.
    pub removed: Option<Removed>,
    /// Display name.
    pub display_name: Field<String>,
    /// First name.
    pub given_name: Field<String>,
    /// Last name.
    pub surname: Field<String>,
    /// Primary SMTP address, none without a mailbox.
    pub mail: Field<String>,
    /// Sign-in name.
    pub user_principal_name: Field<String>,
    /// Whether the account may sign in.
    pub account_enabled: Field<bool>,
    /// `Member`, `Guest`, or something newer.
    pub user_type: Field<String>,
    /// Job title.
    pub job_title: Field<String>,
    /// Employee number.
    pub employee_id: Field<String>,
    /// Object id of the manager, who may be unknown, disabled, a guest or a contact. Null when there is
    /// none, absent when nothing was said: unchanged in a round of changes, none in the first.
    pub manager: Field<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserWire {
    #[serde(deserialize_with = "wire::id")]
    id: String,
    #[serde(rename = "@removed", default, deserialize_with = "wire::loose")]
    removed: Field<Removed>,
    #[serde(default, deserialize_with = "wire::loose")]
    display_name: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    given_name: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    surname: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    mail: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    user_principal_name: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    account_enabled: Field<bool>,
    #[serde(default, deserialize_with = "wire::loose")]
    user_type: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    job_title: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    employee_id: Field<Text>,
    #[serde(default, deserialize_with = "wire::loose")]
    manager: Field<Expanded>,
    #[serde(rename = "manager@delta", default, deserialize_with = "wire::loose")]
    manager_delta: Field<Vec<Link>>,
}

/// A user of a list that was asked to expand the manager: who has none there, has none.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct ExpandedUserWire(UserWire);

impl Wire for UserWire {
    type Item = User;

    fn into_item(self, truncated: &mut usize) -> User {
        let mut text = |field: Field<Text>| unwrap_text(field, truncated);
        User {
            id: self.id,
            removed: self.removed.into_value(),
            display_name: text(self.display_name),
            given_name: text(self.given_name),
            surname: text(self.surname),
            mail: text(self.mail),
            user_principal_name: text(self.user_principal_name),
            account_enabled: self.account_enabled,
            user_type: text(self.user_type),
            job_title: text(self.job_title),
            employee_id: text(self.employee_id),
            manager: manager(self.manager, self.manager_delta),
        }
    }
}

impl Wire for ExpandedUserWire {
    type Item = User;

    fn into_item(self, truncated: &mut usize) -> User {
        let unmanaged = self.0.manager.is_absent();
        let mut user = self.0.into_item(truncated);
        if unmanaged && user.manager.is_absent() {
            user.manager = Field::Null;
        }
        user
    }
}

/// Takes the text out of a field and counts it if it was cut.
pub(crate) fn unwrap_text(field: Field<Text>, truncated: &mut usize) -> Field<String> {
    field.map(|text| {
        *truncated += usize::from(text.cut);
        text.value
    })
}

/// A replaced manager comes as one entry removed and one added, in any order.
fn manager(expanded: Field<Expanded>, delta: Field<Vec<Link>>) -> Field<String> {
    match (delta, expanded) {
        (Field::Value(links), _) if !links.is_empty() => {
            let now = links.into_iter().rev().find(|link| !link.is_removed());
            now.map_or(Field::Null, |link| Field::Value(link.id))
        }
        (_, Field::Value(Expanded { id: Some(id) })) => Field::Value(id),
        (_, Field::Null) => Field::Null,
        _ => Field::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> User {
        serde_json::from_str::<UserWire>(json)
            .unwrap()
            .into_item(&mut 0)
    }

    fn read_expanded(json: &str) -> User {
        serde_json::from_str::<ExpandedUserWire>(json)
            .unwrap()
            .into_item(&mut 0)
    }

    #[test]
    fn absent_null_and_value_stay_apart() {
        let user = read(r#"{"id":"1","mail":null,"displayName":"Ada","new":{"x":[1]}}"#);
        assert_eq!((user.mail, user.given_name), (Field::Null, Field::Absent));
        assert_eq!(user.display_name.as_str(), Some("Ada"));
        assert_eq!(user.removed, None);
    }

    #[test]
    fn what_is_not_of_its_type_is_absent() {
        let user = read(
            r#"{"id":"1","mail":5,"displayName":["a",{}],"accountEnabled":"yes","surname":{"a":1},"jobTitle":1.5}"#,
        );
        assert!(user.mail.is_absent() && user.display_name.is_absent() && user.surname.is_absent());
        assert!(user.account_enabled.is_absent() && user.job_title.is_absent());
    }

    #[test]
    fn an_object_without_a_usable_id_is_an_error() {
        for json in ["{}", r#"{"id":""}"#, r#"{"id":5}"#, r#"{"id":null}"#] {
            assert!(serde_json::from_str::<UserWire>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn any_mark_of_removal_removes() {
        let removed = |mark: &str| read(&format!(r#"{{"id":"1","@removed":{mark}}}"#)).removed;
        assert_eq!(removed(r#"{"reason":"changed"}"#), Some(Removed::Changed));
        assert_eq!(removed(r#"{"reason":"deleted"}"#), Some(Removed::Deleted));
        assert_eq!(
            removed(r#"{"reason":"melted"}"#),
            Some(Removed::Other("melted".into()))
        );
        assert_eq!(removed("{}"), Some(Removed::Other(String::new())));
        assert_eq!(removed("true"), Some(Removed::Other(String::new())));
        assert_eq!(removed("null"), None);
    }

    #[test]
    fn a_manager_is_set_replaced_and_removed() {
        let manager =
            |links: &str| read(&format!(r#"{{"id":"1","manager@delta":{links}}}"#)).manager;
        let gone = r#"{"id":"a","@removed":{"reason":"deleted"}}"#;
        assert_eq!(
            manager(r##"[{"@odata.type":"#microsoft.graph.user","id":"b"}]"##),
            Field::Value("b".into())
        );
        assert_eq!(
            manager(&format!(r#"[{gone},{{"id":"b"}}]"#)),
            Field::Value("b".into())
        );
        assert_eq!(
            manager(&format!(r#"[{{"id":"b"}},{gone}]"#)),
            Field::Value("b".into())
        );
        assert_eq!(manager(&format!("[{gone}]")), Field::Null);
        assert_eq!(manager("[]"), Field::Absent);
        assert_eq!(read(r#"{"id":"1"}"#).manager, Field::Absent);
    }

    #[test]
    fn a_list_that_expands_managers_says_who_has_none() {
        assert_eq!(read_expanded(r#"{"id":"1"}"#).manager, Field::Null);
        assert_eq!(
            read_expanded(r#"{"id":"1","manager":null}"#).manager,
            Field::Null
        );
        assert_eq!(
            read_expanded(r#"{"id":"1","manager":{"id":"m"}}"#).manager,
            Field::Value("m".into())
        );
        assert_eq!(
            read_expanded(r#"{"id":"1","manager":{"name":"m"}}"#).manager,
            Field::Absent
        );
    }

    #[test]
    fn overlong_text_is_cut_and_counted() {
        let json = format!(r#"{{"id":"1","displayName":"{}"}}"#, "é".repeat(5000));
        let mut truncated = 0;
        let user = serde_json::from_str::<UserWire>(&json)
            .unwrap()
            .into_item(&mut truncated);
        assert_eq!(
            (user.display_name.as_str().map(str::len), truncated),
            (Some(4096), 1)
        );
    }

    #[test]
    fn the_fingerprint_is_stable_and_depends_on_the_selection() {
        assert_eq!(
            UserSelect { manager: true }.fingerprint(),
            UserSelect { manager: true }.fingerprint()
        );
        assert_ne!(
            UserSelect { manager: true }.fingerprint(),
            UserSelect { manager: false }.fingerprint()
        );
        assert_eq!(fingerprint(""), "e3b0c44298fc1c14");
    }
}
