//! The form of a data file: Graph objects, who manages whom, who is in which group.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::directory::{Directory, Kind, Presence};
use crate::related::Relation;

/// Why a data file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The file is not JSON, or not of the expected form.
    #[error(
        "line {line}, column {column} of the data file: {problem}. Expected an object with \"users\" and \"groups\" (lists of Graph objects, each with an \"id\"), \"managers\" ({{person id: manager id}}) and \"members\" ({{group id: [ids]}})"
    )]
    Form {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What was found there.
        problem: String,
    },
    /// Two objects have the same id.
    #[error("{field}: the id '{id}' was used before; give every object an id of its own")]
    DuplicateId {
        /// The place in the file, such as `users[3].id`.
        field: String,
        /// The id.
        id: String,
    },
    /// Two users have the same userPrincipalName.
    #[error("{field}: '{name}' was used before; give every user a userPrincipalName of its own")]
    DuplicatePrincipalName {
        /// The place in the file, such as `users[3].userPrincipalName`.
        field: String,
        /// The name.
        name: String,
    },
    /// A link would make no sense.
    #[error("{field}: '{id}' is not a {expected}; correct the id or remove the entry")]
    WrongKind {
        /// The place in the file, such as `members.{id}`.
        field: String,
        /// The id.
        id: String,
        /// What was expected.
        expected: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataFile {
    #[serde(default)]
    tenant: Option<TenantInfo>,
    users: Vec<DirectoryObject>,
    #[serde(default)]
    groups: Vec<DirectoryObject>,
    /// Devices, service principals, contacts: anything else a group may contain.
    #[serde(default)]
    others: Vec<DirectoryObject>,
    #[serde(default)]
    managers: BTreeMap<String, String>,
    #[serde(default)]
    members: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    owners: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TenantInfo {
    #[serde(default)]
    display_name: Option<String>,
}

/// A Graph object; that it has an id is checked while reading, so that the error knows the line.
struct DirectoryObject {
    id: String,
    object: Map<String, Value>,
}

impl<'de> Deserialize<'de> for DirectoryObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Checks inside of the visit: only there serde_json knows the line.
struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = DirectoryObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Graph object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<DirectoryObject, A::Error> {
        let mut object = Map::deserialize(MapAccessDeserializer::new(access))?;
        match object.remove("id") {
            Some(Value::String(id)) if !id.trim().is_empty() => Ok(DirectoryObject { id, object }),
            Some(other) => Err(A::Error::custom(format!(
                "\"id\" must be a text, not {other}"
            ))),
            None => Err(A::Error::custom(
                "the object that ends here has no \"id\"; add one",
            )),
        }
    }
}

/// Reads a data file.
pub(crate) fn read(bytes: &[u8]) -> Result<Directory, DataError> {
    let file: DataFile = serde_json::from_slice(bytes).map_err(form_error)?;
    let mut directory = Directory::named(file.tenant.and_then(|tenant| tenant.display_name));
    add_objects(&mut directory, Kind::User, "users", file.users)?;
    add_objects(&mut directory, Kind::Group, "groups", file.groups)?;
    add_objects(&mut directory, Kind::Other, "others", file.others)?;
    link_managers(&mut directory, file.managers)?;
    link_groups(&mut directory, Relation::Members, file.members)?;
    link_groups(&mut directory, Relation::Owners, file.owners)?;
    Ok(directory)
}

fn form_error(error: serde_json::Error) -> DataError {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    DataError::Form {
        line: error.line(),
        column: error.column(),
        problem: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
    }
}

fn add_objects(
    directory: &mut Directory,
    kind: Kind,
    list: &str,
    objects: Vec<DirectoryObject>,
) -> Result<(), DataError> {
    for (at, DirectoryObject { id, object }) in objects.into_iter().enumerate() {
        if directory.handle(&id).is_some() {
            return Err(DataError::DuplicateId {
                field: format!("{list}[{at}].id"),
                id,
            });
        }
        let name = object.get("userPrincipalName").and_then(Value::as_str);
        if let (Kind::User, Some(name)) = (kind, name)
            && directory.principal_names.contains_key(&name.to_lowercase())
        {
            let field = format!("{list}[{at}].userPrincipalName");
            return Err(DataError::DuplicatePrincipalName {
                field,
                name: name.to_owned(),
            });
        }
        directory.add_object(kind, &id, object);
    }
    Ok(())
}

fn link_managers(
    directory: &mut Directory,
    managers: BTreeMap<String, String>,
) -> Result<(), DataError> {
    for (user, manager) in managers {
        let handle = directory.handle_or_dangling(&user);
        expect_kind(
            directory,
            handle,
            Kind::User,
            || format!("managers.{user}"),
            &user,
            "user",
        )?;
        let manager = directory.handle_or_dangling(&manager);
        directory.link_manager(handle, Some(manager));
    }
    Ok(())
}

fn link_groups(
    directory: &mut Directory,
    relation: Relation,
    links: BTreeMap<String, Vec<String>>,
) -> Result<(), DataError> {
    for (group, ids) in links {
        let handle = directory.handle_or_dangling(&group);
        expect_kind(
            directory,
            handle,
            Kind::Group,
            || format!("{}.{group}", relation.name()),
            &group,
            "group",
        )?;
        for id in ids {
            let object = directory.handle_or_dangling(&id);
            directory.link(relation, handle, object);
        }
    }
    Ok(())
}

fn expect_kind(
    directory: &Directory,
    handle: u32,
    kind: Kind,
    field: impl FnOnce() -> String,
    id: &str,
    expected: &'static str,
) -> Result<(), DataError> {
    let entry = directory.entry(handle);
    match entry.presence == Presence::Dangling || entry.kind == kind {
        true => Ok(()),
        false => Err(DataError::WrongKind {
            field: field(),
            id: id.to_owned(),
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_names_its_line() {
        let error = read(b"{\n \"users\": [\n  {\"id\": }\n ]\n}").unwrap_err();
        assert!(matches!(error, DataError::Form { line: 3, .. }), "{error}");
    }

    #[test]
    fn an_object_without_an_id_names_its_line() {
        let error = read(b"{\n \"users\": [\n  {\"displayName\": \"Ann\"}\n ]\n}").unwrap_err();
        assert!(error.to_string().starts_with("line 3"), "{error}");
        assert!(error.to_string().contains("has no \"id\""), "{error}");
    }

    #[test]
    fn a_repeated_id_names_its_field() {
        let error = read(br#"{"users": [{"id": "a"}, {"id": "A"}]}"#).unwrap_err();
        assert_eq!(
            error,
            DataError::DuplicateId {
                field: "users[1].id".into(),
                id: "A".into()
            }
        );
    }

    #[test]
    fn members_and_owners_of_a_user_are_refused() {
        for relation in ["members", "owners"] {
            let data = format!(r#"{{"users": [{{"id": "a"}}], "{relation}": {{"a": []}}}}"#);
            assert_eq!(
                read(data.as_bytes()).unwrap_err(),
                DataError::WrongKind {
                    field: format!("{relation}.a"),
                    id: "a".into(),
                    expected: "group",
                }
            );
        }
    }

    #[test]
    fn owners_are_read_each_once_and_need_not_be_there() {
        let directory = read(
            br#"{"users": [{"id": "a"}], "groups": [{"id": "g"}, {"id": "h"}], "owners": {"g": ["a", "ghost", "a"]}}"#,
        )
        .unwrap();
        let slots = |id| {
            let group = directory.live(Kind::Group, id).unwrap();
            directory.entry(group).slots(Relation::Owners).len()
        };
        assert_eq!((slots("g"), slots("h")), (2, 0));
    }

    #[test]
    fn ids_that_are_in_no_list_are_kept() {
        let directory = read(
            br#"{"users": [{"id": "a"}], "groups": [{"id": "g"}], "managers": {"a": "ghost"}, "members": {"g": ["a", "nobody"]}}"#,
        )
        .unwrap();
        let user = directory.live(Kind::User, "a").unwrap();
        let manager = directory.visible_manager(user).unwrap();
        assert_eq!(&*directory.entry(manager).id, "ghost");
        let group = directory.live(Kind::Group, "g").unwrap();
        assert_eq!(directory.entry(group).slots(Relation::Members).len(), 2);
    }
}
