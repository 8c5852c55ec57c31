//! Reads of users and their managers.

use serde_json::Value;

use crate::directory::{Handle, Kind};
use crate::error::GraphError;
use crate::filter;
use crate::lists::{Places, Read};
use crate::select::{self, Selection};

/// `GET /users`
pub(crate) fn list(read: &Read<'_>) -> Result<Value, GraphError> {
    read.options
        .only(&["$select", "$top", "$expand", "$skiptoken", "$filter"])?;
    let selection = Selection::of_list(&[Kind::User], read.options.get("$select"))?;
    let manager = read
        .options
        .get("$expand")
        .map(select::parse_manager_expand)
        .transpose()?;
    let directory = read.directory;
    let filtered = filtered(read, Kind::User)?;
    let users = filtered.as_ref().unwrap_or(&directory.users);
    let places = Places {
        list: "users".to_owned(),
        count: users.len(),
        at: &|at| users.get(at).copied(),
    };
    read.page(&format!("users{}", selection.context()), &places, &|user| {
        directory
            .entry(user)
            .is_live()
            .then(|| select::user(directory, user, &selection.names, manager.as_ref()))
    })
}

/// `GET /users/{id}`
pub(crate) fn get(read: &Read<'_>, id: &str) -> Result<Value, GraphError> {
    read.options.only(&["$select", "$expand"])?;
    let selection = Selection::of_list(&[Kind::User], read.options.get("$select"))?;
    let manager = read
        .options
        .get("$expand")
        .map(select::parse_manager_expand)
        .transpose()?;
    let user = find(read, id)?;
    let object = select::user(read.directory, user, &selection.names, manager.as_ref());
    Ok(read.single(&format!("users{}/$entity", selection.context()), object))
}

/// `GET /users/{id}/manager`
pub(crate) fn manager(read: &Read<'_>, id: &str) -> Result<Value, GraphError> {
    read.options.only(&["$select"])?;
    let selection = Selection::of_list(&[Kind::User], read.options.get("$select"))?;
    let user = find(read, id)?;
    let manager = read
        .directory
        .visible_manager(user)
        .ok_or_else(|| GraphError::not_found("manager"))?;
    let object = select::manager_object(read.directory, manager, &selection);
    Ok(read.single("directoryObjects/$entity", object))
}

/// The live objects a `$filter` names, in the order it names them.
pub(crate) fn filtered(read: &Read<'_>, kind: Kind) -> Result<Option<Vec<Handle>>, GraphError> {
    let Some(text) = read.options.get("$filter") else {
        return Ok(None);
    };
    let mut found: Vec<Handle> = Vec::new();
    for id in filter::objects(text)? {
        if let Some(handle) = read
            .directory
            .live(kind, &id)
            .filter(|handle| !found.contains(handle))
        {
            found.push(handle);
        }
    }
    Ok(Some(found))
}

fn find(read: &Read<'_>, id: &str) -> Result<Handle, GraphError> {
    read.directory
        .live(Kind::User, id)
        .ok_or_else(|| GraphError::not_found(id))
}
