//! Changes of the directory, each one recorded in the log.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::changes::What;
use crate::directory::{Directory, Handle, Kind, Presence};
use crate::related::Relation;
use crate::schema;

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No object has this id, or it is not in the state the change needs.
    #[error("there is no {what} '{id}'")]
    NotFound {
        /// What was looked for, in words.
        what: &'static str,
        /// The id or userPrincipalName given.
        id: String,
    },
    /// Another object is in the way.
    #[error("{0}")]
    Conflict(String),
    /// The request itself cannot be carried out.
    #[error("{0}")]
    Invalid(String),
}

impl Directory {
    /// Creates a user or a group from a Graph object.
    pub(crate) fn create(
        &mut self,
        kind: Kind,
        object: Value,
        now: DateTime<Utc>,
    ) -> Result<Handle, EditError> {
        let mut object = checked_object(kind, object)?;
        let id = match object.remove("id") {
            Some(Value::String(id)) if !id.is_empty() => id,
            Some(_) => return Err(EditError::Invalid("id must be a text".to_owned())),
            None => Uuid::new_v4().to_string(),
        };
        self.check_id_is_free(&id)?;
        complete(kind, &mut object, now)?;
        self.check_principal_name(object.get("userPrincipalName"), None)?;
        self.log.begin();
        let handle = self.add_object(kind, &id, object);
        self.record_arrival(handle);
        Ok(handle)
    }

    /// Merges properties into a live object; `null` clears one.
    pub(crate) fn patch(
        &mut self,
        kind: Kind,
        id: &str,
        object: Value,
    ) -> Result<Handle, EditError> {
        let handle = self.find_live(kind, id)?;
        let object = checked_object(kind, object)?;
        if object.contains_key("id") {
            return Err(EditError::Invalid("an id never changes".to_owned()));
        }
        self.check_principal_name(object.get("userPrincipalName"), Some(handle))?;
        self.log.begin();
        let before = self.principal_name(handle);
        let mut changed = Vec::new();
        for (name, value) in object {
            let name = self.intern(&name);
            if self.entry_mut(handle).properties.set(&name, value) {
                changed.push(name);
            }
        }
        if let Some(before) = before {
            self.principal_names.remove(&before);
        }
        if kind == Kind::User {
            self.index_principal_name(handle);
        }
        if !changed.is_empty() {
            self.log
                .append(kind, handle, What::Properties(changed.into()));
        }
        Ok(handle)
    }

    /// Moves a live object to deletedItems; a distribution list goes for good, as in Entra ID.
    pub(crate) fn delete(
        &mut self,
        kind: Kind,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), EditError> {
        let handle = self.find_live(kind, id)?;
        if kind == Kind::Group && self.is_distribution_list(handle) {
            return self.purge(kind, id);
        }
        self.log.begin();
        self.leave(handle, Presence::Deleted(now));
        self.deleted.push(handle);
        Ok(())
    }

    /// Removes an object for good, live or deleted.
    pub(crate) fn purge(&mut self, kind: Kind, id: &str) -> Result<(), EditError> {
        let handle = self.live(kind, id).or_else(|| self.deleted(kind, id));
        let handle = handle.ok_or_else(|| not_found(kind, id))?;
        self.log.begin();
        self.deleted.retain(|known| *known != handle);
        self.leave(handle, Presence::Purged);
        Ok(())
    }

    /// Brings an object back from deletedItems.
    pub(crate) fn restore(&mut self, kind: Kind, id: &str) -> Result<Handle, EditError> {
        let handle = self.deleted(kind, id).ok_or(EditError::NotFound {
            what: "deleted object",
            id: id.to_owned(),
        })?;
        let name = self
            .entry(handle)
            .properties
            .get("userPrincipalName")
            .cloned();
        self.check_principal_name(name.as_ref(), Some(handle))?;
        self.log.begin();
        self.deleted.retain(|known| *known != handle);
        self.entry_mut(handle).presence = Presence::Live;
        match kind {
            Kind::User => {
                self.live_users += 1;
                self.index_principal_name(handle);
            }
            Kind::Group => self.live_groups += 1,
            Kind::Other => {}
        }
        self.record_arrival(handle);
        Ok(handle)
    }

    /// Sets or clears the manager of a user; an id nobody knows is kept as it is.
    pub(crate) fn set_manager(
        &mut self,
        user: &str,
        manager: Option<&str>,
    ) -> Result<(), EditError> {
        let user = self.find_live(Kind::User, user)?;
        let manager = manager.map(|id| match self.live(Kind::User, id) {
            Some(handle) => handle,
            None => self.handle_or_dangling(id),
        });
        if self.entry(user).manager == manager {
            return Ok(());
        }
        self.log.begin();
        let shown = self.visible_manager(user);
        self.link_manager(user, manager);
        self.log.append(Kind::User, user, What::Manager(shown));
        Ok(())
    }

    /// Adds a member or an owner; true when it was none before.
    pub(crate) fn relate(
        &mut self,
        relation: Relation,
        group: &str,
        object: &str,
    ) -> Result<bool, EditError> {
        let group = self.find_live(Kind::Group, group)?;
        let object = self.handle_or_dangling(object);
        let added = self.link(relation, group, object);
        if added {
            self.log.begin();
            self.log
                .append(Kind::Group, group, What::Related(relation, object));
        }
        Ok(added)
    }

    /// Removes a member or an owner; true when it was one before.
    pub(crate) fn unrelate(
        &mut self,
        relation: Relation,
        group: &str,
        object: &str,
    ) -> Result<bool, EditError> {
        let group = self.find_live(Kind::Group, group)?;
        let object = self.handle(object).ok_or(EditError::NotFound {
            what: relation.one(),
            id: object.to_owned(),
        })?;
        let removed = self.unlink(relation, group, object);
        if removed {
            self.log.begin();
            self.log
                .append(Kind::Group, group, What::Related(relation, object));
        }
        Ok(removed)
    }

    /// The soft-deleted object of a kind with this id.
    pub(crate) fn deleted(&self, kind: Kind, id: &str) -> Option<Handle> {
        self.handle(id).filter(|handle| {
            let entry = self.entry(*handle);
            entry.kind == kind && matches!(entry.presence, Presence::Deleted(_))
        })
    }

    fn find_live(&self, kind: Kind, id: &str) -> Result<Handle, EditError> {
        self.live(kind, id).ok_or_else(|| not_found(kind, id))
    }

    fn check_id_is_free(&self, id: &str) -> Result<(), EditError> {
        match self.handle(id).map(|handle| self.entry(handle).presence) {
            None | Some(Presence::Dangling) => Ok(()),
            Some(_) => Err(EditError::Conflict(format!(
                "the id '{id}' is taken; ids are never reused"
            ))),
        }
    }

    fn check_principal_name(
        &self,
        name: Option<&Value>,
        own: Option<Handle>,
    ) -> Result<(), EditError> {
        let Some(name) = name.and_then(Value::as_str) else {
            return Ok(());
        };
        match self.principal_names.get(&name.to_lowercase()) {
            Some(other) if Some(*other) != own => Err(EditError::Conflict(format!(
                "another object with the same value for property userPrincipalName already exists: '{name}'"
            ))),
            _ => Ok(()),
        }
    }

    fn principal_name(&self, handle: Handle) -> Option<String> {
        self.entry(handle)
            .properties
            .text("userPrincipalName")
            .map(str::to_lowercase)
    }

    fn is_distribution_list(&self, group: Handle) -> bool {
        let properties = &self.entry(group).properties;
        let is = |name: &str| properties.get(name) == Some(&Value::Bool(true));
        is("mailEnabled") && !is("securityEnabled") && !schema::is_unified(properties)
    }

    /// Takes an object out of sight and tells everyone who showed it.
    fn leave(&mut self, handle: Handle, presence: Presence) {
        let kind = self.entry(handle).kind;
        let was_live = self.entry(handle).is_live();
        let is_quiet = self.quiet_deletions && kind == Kind::User;
        let is_for_good = matches!(presence, Presence::Purged);
        self.entry_mut(handle).presence = presence;
        self.log.append(kind, handle, What::Removed);
        let is_told = if is_quiet { is_for_good } else { was_live };
        if is_told {
            self.record_links(handle, Some(handle));
        }
        if !was_live {
            return;
        }
        match kind {
            Kind::User => self.live_users -= 1,
            Kind::Group => self.live_groups -= 1,
            Kind::Other => {}
        }
        if let Some(name) = self.principal_name(handle)
            && self.principal_names.get(&name) == Some(&handle)
        {
            self.principal_names.remove(&name);
        }
    }

    fn record_arrival(&mut self, handle: Handle) {
        let kind = self.entry(handle).kind;
        self.log.append(kind, handle, What::Whole);
        if self.quiet_deletions && kind == Kind::User {
            return;
        }
        for relation in Relation::ALL {
            let slots = self.entries[handle as usize].slots(relation);
            for object in slots.iter().flatten() {
                self.log
                    .append(kind, handle, What::Related(relation, *object));
            }
        }
        self.record_links(handle, None);
    }

    /// Users who report to the object and groups it is in change with it.
    fn record_links(&mut self, handle: Handle, manager_before: Option<Handle>) {
        let reports = self.entry(handle).reports.clone();
        for report in reports {
            self.log
                .append(Kind::User, report, What::Manager(manager_before));
        }
        for relation in Relation::ALL {
            for group in self.entries[handle as usize].groups(relation) {
                self.log
                    .append(Kind::Group, *group, What::Related(relation, handle));
            }
        }
    }
}

fn not_found(kind: Kind, id: &str) -> EditError {
    let what = match kind {
        Kind::User => "user",
        Kind::Group => "group",
        Kind::Other => "object",
    };
    EditError::NotFound {
        what,
        id: id.to_owned(),
    }
}

fn checked_object(kind: Kind, object: Value) -> Result<Map<String, Value>, EditError> {
    let Value::Object(object) = object else {
        return Err(EditError::Invalid(
            "the body must be a JSON object".to_owned(),
        ));
    };
    match object.keys().find(|name| !schema::is_property(kind, name)) {
        Some(name) => Err(EditError::Invalid(format!(
            "'{name}' is not a property that can be set here; links have calls of their own"
        ))),
        None => Ok(object),
    }
}

/// Adds what Entra ID would add, and insists on what it would insist on.
fn complete(
    kind: Kind,
    object: &mut Map<String, Value>,
    now: DateTime<Utc>,
) -> Result<(), EditError> {
    let needed: &[&str] = match kind {
        Kind::User => &["displayName", "userPrincipalName"],
        Kind::Group | Kind::Other => &["displayName"],
    };
    for name in needed {
        let text = object
            .get(*name)
            .and_then(Value::as_str)
            .unwrap_or_default();
        if text.is_empty() {
            return Err(EditError::Invalid(format!(
                "'{name}' is missing: give it a text"
            )));
        }
    }
    let defaults = match kind {
        Kind::User => json!({ "accountEnabled": true, "userType": "Member" }),
        Kind::Group | Kind::Other => {
            json!({ "groupTypes": [], "mailEnabled": false, "securityEnabled": true })
        }
    };
    if let Value::Object(defaults) = defaults {
        for (name, value) in defaults {
            object.entry(name).or_insert(value);
        }
    }
    object
        .entry("createdDateTime")
        .or_insert_with(|| now.to_rfc3339_opts(SecondsFormat::Secs, true).into());
    Ok(())
}
