//! Reads of groups, their members and owners.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value};

use crate::directory::{Directory, Entry, Handle, Kind};
use crate::error::GraphError;
use crate::lists::{Places, Read};
use crate::permission::Access;
use crate::related::Relation;
use crate::schema;
use crate::select::{self, Selection};
use crate::server::Flattened;
use crate::users::filtered;

/// `GET /groups`
pub(crate) fn list(read: &Read<'_>) -> Result<Value, GraphError> {
    read.options
        .only(&["$select", "$top", "$skiptoken", "$filter"])?;
    let selection = Selection::of_list(&[Kind::Group], read.options.get("$select"))?;
    let directory = read.directory;
    let filtered = filtered(read, Kind::Group)?;
    let groups = filtered.as_ref().unwrap_or(&directory.groups);
    let places = Places {
        list: "groups".to_owned(),
        count: groups.len(),
        at: &|at| groups.get(at).copied(),
    };
    read.page(
        &format!("groups{}", selection.context()),
        &places,
        &|group| {
            let entry = directory.entry(group);
            entry
                .is_live()
                .then(|| Value::Object(select::listed(entry, &selection.names)))
        },
    )
}

/// `GET /groups/{id}`
pub(crate) fn get(read: &Read<'_>, id: &str) -> Result<Value, GraphError> {
    read.options.only(&["$select"])?;
    let selection = Selection::of_list(&[Kind::Group], read.options.get("$select"))?;
    let entry = read.directory.entry(find(read, id)?);
    let object = Value::Object(select::listed(entry, &selection.names));
    Ok(read.single(&format!("groups{}/$entity", selection.context()), object))
}

/// `GET /groups/{id}/members`, optionally cast to one type.
pub(crate) fn members(read: &Read<'_>, id: &str, cast: Option<Kind>) -> Result<Value, GraphError> {
    let entry = read.directory.entry(find(read, id)?);
    let slots = if sees_members(read, entry) {
        entry.slots(Relation::Members)
    } else {
        &[]
    };
    related(read, Relation::Members, entry, slots, cast)
}

/// `GET /groups/{id}/transitiveMembers`
pub(crate) fn transitive_members(
    read: &Read<'_>,
    id: &str,
    cast: Option<Kind>,
) -> Result<Value, GraphError> {
    let group = find(read, id)?;
    let entry = read.directory.entry(group);
    let all = match sees_members(read, entry) {
        true => flattened(read, group),
        false => Arc::default(),
    };
    let places = Places {
        list: format!("transitiveMembers/{}", entry.id),
        count: all.len(),
        at: &|at| all.get(at).copied(),
    };
    objects(read, &places, cast)
}

/// `GET /groups/{id}/owners`
pub(crate) fn owners(read: &Read<'_>, id: &str, cast: Option<Kind>) -> Result<Value, GraphError> {
    let entry = read.directory.entry(find(read, id)?);
    let slots = entry.slots(Relation::Owners);
    related(read, Relation::Owners, entry, slots, cast)
}

fn related(
    read: &Read<'_>,
    relation: Relation,
    group: &Entry,
    slots: &[Option<Handle>],
    cast: Option<Kind>,
) -> Result<Value, GraphError> {
    let places = Places {
        list: format!("{}/{}", relation.name(), group.id),
        count: slots.len(),
        at: &|at| slots.get(at).copied().flatten(),
    };
    objects(read, &places, cast)
}

fn objects(read: &Read<'_>, places: &Places<'_>, cast: Option<Kind>) -> Result<Value, GraphError> {
    read.options.only(&["$select", "$top", "$skiptoken"])?;
    let kinds = cast.map_or_else(
        || vec![Kind::User, Kind::Group, Kind::Other],
        |kind| vec![kind],
    );
    let selection = Selection::of_list(&kinds, read.options.get("$select"))?;
    let sees_users = Access::Users.is_granted(read.granted);
    let context = match cast {
        Some(Kind::User) => "users",
        Some(Kind::Group) => "groups",
        Some(Kind::Other) | None => "directoryObjects",
    };
    read.page(
        &format!("{context}{}", selection.context()),
        places,
        &|handle| {
            let entry = read.directory.entry(handle);
            if !entry.is_live() || cast.is_some_and(|kind| kind != entry.kind) {
                return None;
            }
            let mut object = member(entry, &selection, sees_users || entry.kind != Kind::User);
            if cast.is_some() {
                object.remove("@odata.type");
            }
            Some(Value::Object(object))
        },
    )
}

/// A member as far as the caller may see it: without permission for its type, only type and id
/// come with a value.
fn member(entry: &Entry, selection: &Selection, is_visible: bool) -> Map<String, Value> {
    let mut object = match &selection.given {
        Some(_) => select::typed(entry, &selection.names),
        None => {
            let defaults: Vec<String> = schema::defaults(entry.kind)
                .iter()
                .map(|name| (*name).to_owned())
                .collect();
            select::typed(entry, &defaults)
        }
    };
    if !is_visible {
        for (name, value) in &mut object {
            if name != "id" && name != "@odata.type" {
                *value = Value::Null;
            }
        }
    }
    object
}

fn sees_members(read: &Read<'_>, group: &Entry) -> bool {
    group.properties.text("visibility") != Some("HiddenMembership")
        || Access::HiddenMembers.is_granted(read.granted)
}

fn find(read: &Read<'_>, id: &str) -> Result<Handle, GraphError> {
    read.directory
        .live(Kind::Group, id)
        .ok_or_else(|| GraphError::not_found(id))
}

/// All direct and nested members, each once. Kept until the directory changes or another group
/// is asked for, because all pages of one list are cut from it.
fn flattened(read: &Read<'_>, group: Handle) -> Arc<Vec<Handle>> {
    let version = read.directory.log.version;
    let mut kept = read
        .server
        .transitive
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept
        .as_ref()
        .filter(|known| (known.group, known.version) == (group, version))
    {
        return known.members.clone();
    }
    let members = Arc::new(flatten(read.directory, group));
    *kept = Some(Flattened {
        group,
        version,
        members: members.clone(),
    });
    members
}

fn flatten(directory: &Directory, group: Handle) -> Vec<Handle> {
    let mut seen: HashSet<Handle> = HashSet::from([group]);
    let mut open = vec![group];
    let mut all = Vec::new();
    while let Some(group) = open.pop() {
        for member in directory
            .entry(group)
            .slots(Relation::Members)
            .iter()
            .flatten()
        {
            let entry = directory.entry(*member);
            if !entry.is_live() || !seen.insert(*member) {
                continue;
            }
            all.push(*member);
            if entry.kind == Kind::Group {
                open.push(*member);
            }
        }
    }
    all
}
