//! `$select` and `$expand`, and objects reduced to what they ask for.

use serde_json::{Map, Value, json};

use axum::http::StatusCode;
use chrono::SecondsFormat;

use crate::directory::{Directory, Entry, Handle, Kind, Presence};
use crate::error::GraphError;
use crate::related::Relation;
use crate::schema;

/// The properties a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) names: Vec<String>,
    /// The selection as given; `None` for the default set.
    pub(crate) given: Option<String>,
    /// True when a delta is to follow who manages users.
    pub(crate) manager: bool,
    /// The relations of groups that a delta is to follow.
    pub(crate) relations: Vec<Relation>,
}

impl Selection {
    /// Reads the `$select` of a list or of a single object.
    pub(crate) fn of_list(kinds: &[Kind], text: Option<&str>) -> Result<Selection, GraphError> {
        Selection::parse(kinds, text, &[])
    }

    /// Reads the `$select` of a delta, where links can be selected too.
    pub(crate) fn of_delta(kind: Kind, text: Option<&str>) -> Result<Selection, GraphError> {
        let links: &[&str] = match kind {
            Kind::User => &["manager"],
            Kind::Group | Kind::Other => &Relation::ALL.map(Relation::name),
        };
        let mut selection = Selection::parse(&[kind], text, links)?;
        let names = |link: &str| selection.names.iter().any(|name| name == link);
        let manager = names("manager");
        // Members are followed without $select too, owners and managers are not.
        let unasked =
            |relation| kind == Kind::Group && text.is_none() && relation == Relation::Members;
        let relations = Relation::ALL.into_iter();
        selection.relations = relations
            .filter(|relation| names(relation.name()) || unasked(*relation))
            .collect();
        selection.manager = manager;
        selection
            .names
            .retain(|name| !links.contains(&name.as_str()) && name != "id");
        Ok(selection)
    }

    fn parse(kinds: &[Kind], text: Option<&str>, links: &[&str]) -> Result<Selection, GraphError> {
        let Some(text) = text else {
            let names = kinds.iter().flat_map(|kind| schema::defaults(*kind));
            let mut all: Vec<String> = Vec::new();
            for name in names {
                if !all.iter().any(|known| known == name) {
                    all.push((*name).to_owned());
                }
            }
            return Ok(Selection {
                names: all,
                given: None,
                manager: false,
                relations: Vec::new(),
            });
        };
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',').map(str::trim) {
            check_name(kinds, name, links)?;
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Ok(Selection {
            names,
            given: Some(text.to_owned()),
            manager: false,
            relations: Vec::new(),
        })
    }

    /// The part of `@odata.context` that names the properties.
    pub(crate) fn context(&self) -> String {
        match &self.given {
            Some(given) => format!("({given})"),
            None => String::new(),
        }
    }
}

fn check_name(kinds: &[Kind], name: &str, links: &[&str]) -> Result<(), GraphError> {
    if links.contains(&name) || kinds.iter().any(|kind| schema::is_property(*kind, name)) {
        return Ok(());
    }
    if kinds
        .iter()
        .any(|kind| schema::is_kept_elsewhere(*kind, name))
    {
        let text = "This operation target is not yet supported.";
        return Err(GraphError::new(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            text,
        ));
    }
    let kind = kinds.first().copied().unwrap_or(Kind::Other);
    Err(GraphError::bad_request(format!(
        "Could not find a property named '{name}' on type '{}'.",
        schema::type_name(kind)
    )))
}

/// Reads `$expand` of users: only the manager, only without `$levels`. Gives the manager's properties.
pub(crate) fn parse_manager_expand(text: &str) -> Result<Selection, GraphError> {
    let inner = match text.trim() {
        "manager" => return Selection::of_list(&[Kind::User], None),
        other => other
            .strip_prefix("manager(")
            .and_then(|rest| rest.strip_suffix(')')),
    };
    let Some(inner) = inner else {
        let text = format!("The navigation property '{text}' cannot be expanded on this request.");
        return Err(GraphError::bad_request(text));
    };
    let mut selected = None;
    for option in inner.split(';') {
        match option.trim().split_once('=') {
            Some(("$select", names)) => selected = Some(names),
            Some(("$levels", _)) => {
                let text = "Transitive manager's list is only supported on a single user, send the $expand request on /users/{id} endpoint";
                return Err(GraphError::new(
                    StatusCode::BAD_REQUEST,
                    "Request_Unsupported",
                    text,
                ));
            }
            _ => {
                return Err(GraphError::bad_request(format!(
                    "Invalid $expand clause '{text}'."
                )));
            }
        }
    }
    Selection::of_list(&[Kind::User], selected)
}

/// The object as a list shows it: every selected property, unset ones as null or empty.
pub(crate) fn listed(entry: &Entry, names: &[String]) -> Map<String, Value> {
    let mut object = Map::new();
    for name in names.iter().filter(|name| {
        schema::is_property(entry.kind, name) || entry.properties.get(name).is_some()
    }) {
        object.insert(
            name.clone(),
            value_of(entry, name).unwrap_or_else(|| schema::unset(name)),
        );
    }
    object
}

/// The object as a delta shows it: the selected properties that were ever set.
pub(crate) fn tracked<'a>(
    entry: &Entry,
    names: impl Iterator<Item = &'a str>,
) -> Map<String, Value> {
    let mut object = Map::new();
    for name in names {
        if let Some(value) = value_of(entry, name) {
            object.insert(name.to_owned(), value);
        }
    }
    object.insert("id".to_owned(), (*entry.id).into());
    object
}

/// The object as a collection of mixed types shows it.
pub(crate) fn typed(entry: &Entry, names: &[String]) -> Map<String, Value> {
    let mut object = listed(entry, names);
    object.insert("@odata.type".to_owned(), entry.odata_type().into());
    object
}

/// A user in a list, with the manager if that is asked for.
pub(crate) fn user(
    directory: &Directory,
    handle: Handle,
    names: &[String],
    manager: Option<&Selection>,
) -> Value {
    let mut object = listed(directory.entry(handle), names);
    if let Some(selection) = manager
        && let Some(manager) = directory.visible_manager(handle)
    {
        object.insert(
            "manager".to_owned(),
            manager_object(directory, manager, selection),
        );
    }
    Value::Object(object)
}

/// A manager as other objects show it. One that is in no list has nothing but its id.
pub(crate) fn manager_object(
    directory: &Directory,
    manager: Handle,
    selection: &Selection,
) -> Value {
    let entry = directory.entry(manager);
    match entry.presence {
        Presence::Live => Value::Object(typed(entry, &selection.names)),
        _ => json!({ "@odata.type": "#microsoft.graph.user", "id": &*entry.id }),
    }
}

fn value_of(entry: &Entry, name: &str) -> Option<Value> {
    match (name, entry.presence) {
        ("id", _) => Some((*entry.id).into()),
        ("deletedDateTime", Presence::Deleted(at)) => {
            Some(at.to_rfc3339_opts(SecondsFormat::Secs, true).into())
        }
        ("deletedDateTime", _) => None,
        // Entra ID frees the sign-in name of a deleted user by putting the id in front.
        ("userPrincipalName", Presence::Deleted(_)) => entry
            .properties
            .text(name)
            .map(|text| format!("{}{text}", entry.id.replace('-', "")).into()),
        _ => entry.properties.get(name).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_keeps_order_and_refuses_unknown_names() {
        let selection = Selection::of_list(&[Kind::User], Some("mail, id,mail")).unwrap();
        assert_eq!(selection.names, ["mail", "id"]);
        assert!(Selection::of_list(&[Kind::User], Some("id,manager")).is_err());
        assert!(Selection::of_list(&[Kind::User], Some("")).is_err());
        let elsewhere = Selection::of_list(&[Kind::User], Some("skills")).unwrap_err();
        assert_eq!(elsewhere.status, StatusCode::NOT_IMPLEMENTED);
    }

    #[test]
    fn a_delta_follows_links_when_selected_and_only_members_by_default() {
        let users = |text| Selection::of_delta(Kind::User, text).unwrap();
        let managed = users(Some("id,displayName,manager"));
        assert_eq!((managed.names.len(), managed.manager), (1, true));
        assert!(!users(None).manager && users(None).relations.is_empty());
        let groups = |text| Selection::of_delta(Kind::Group, text).unwrap().relations;
        assert_eq!(groups(None), [Relation::Members]);
        assert_eq!(groups(Some("displayName")), []);
        assert_eq!(groups(Some("owners, id")), [Relation::Owners]);
        assert_eq!(groups(Some("owners,members")), Relation::ALL);
        for (kind, foreign) in [(Kind::User, "owners"), (Kind::Group, "manager")] {
            assert!(Selection::of_delta(kind, Some(foreign)).is_err());
        }
        assert!(Selection::of_list(&[Kind::Group], Some("owners")).is_err());
    }

    #[test]
    fn only_the_manager_can_be_expanded_and_only_without_levels() {
        assert_eq!(
            parse_manager_expand("manager($select=id)").unwrap().names,
            ["id"]
        );
        assert!(parse_manager_expand("manager").is_ok());
        assert_eq!(
            parse_manager_expand("manager($levels=max;$select=id)")
                .unwrap_err()
                .code,
            "Request_Unsupported"
        );
        assert!(parse_manager_expand("memberOf").is_err());
    }
}
