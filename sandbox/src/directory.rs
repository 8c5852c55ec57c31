//! The directory in memory: every object once, links as handles, and a log of changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::changes::Log;
use crate::properties::{Name, Properties};
use crate::related::{Related, Relation};

/// The place of an object in the directory; never reused.
pub(crate) type Handle = u32;

/// The kinds of objects that Graph tells apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    User,
    Group,
    /// A device, a service principal, a contact: its type is in its `@odata.type`.
    Other,
}

/// Where an object stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Live,
    /// In deletedItems since then, restorable.
    Deleted(DateTime<Utc>),
    Purged,
    /// Somebody names this id, but there is no such object.
    Dangling,
}

/// One object with its links.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
    pub(crate) properties: Properties,
    pub(crate) manager: Option<Handle>,
    pub(crate) reports: Vec<Handle>,
    members: Option<Box<Related>>,
    member_of: Vec<Handle>,
    owners: Option<Box<Related>>,
    owner_of: Vec<Handle>,
}

impl Entry {
    /// The `@odata.type` of this object.
    pub(crate) fn odata_type(&self) -> &str {
        match self.kind {
            Kind::User => "#microsoft.graph.user",
            Kind::Group => "#microsoft.graph.group",
            Kind::Other => self
                .properties
                .text("@odata.type")
                .unwrap_or("#microsoft.graph.directoryObject"),
        }
    }

    /// True when reads return it.
    pub(crate) fn is_live(&self) -> bool {
        self.presence == Presence::Live
    }

    /// The slots of the objects in a relation to it; none for anything but a group.
    pub(crate) fn slots(&self, relation: Relation) -> &[Option<Handle>] {
        self.related(relation).map_or(&[], Related::slots)
    }

    /// True when an object is in a relation to it, whatever became of the object.
    pub(crate) fn has(&self, relation: Relation, object: Handle) -> bool {
        self.related(relation)
            .is_some_and(|related| related.contains(object))
    }

    /// The groups it is in a relation to.
    pub(crate) fn groups(&self, relation: Relation) -> &[Handle] {
        match relation {
            Relation::Members => &self.member_of,
            Relation::Owners => &self.owner_of,
        }
    }

    fn related(&self, relation: Relation) -> Option<&Related> {
        match relation {
            Relation::Members => self.members.as_deref(),
            Relation::Owners => self.owners.as_deref(),
        }
    }

    fn related_mut(&mut self, relation: Relation) -> &mut Related {
        let related = match relation {
            Relation::Members => &mut self.members,
            Relation::Owners => &mut self.owners,
        };
        related.get_or_insert_default()
    }

    fn groups_mut(&mut self, relation: Relation) -> &mut Vec<Handle> {
        match relation {
            Relation::Members => &mut self.member_of,
            Relation::Owners => &mut self.owner_of,
        }
    }
}

/// All objects, their order in lists, and what changed since the start.
#[derive(Debug, Default, Clone)]
pub(crate) struct Directory {
    pub(crate) display_name: Option<String>,
    pub(crate) entries: Vec<Entry>,
    index: HashMap<Arc<str>, Handle>,
    pub(crate) principal_names: HashMap<String, Handle>,
    pub(crate) users: Vec<Handle>,
    pub(crate) groups: Vec<Handle>,
    pub(crate) deleted: Vec<Handle>,
    pub(crate) live_users: usize,
    pub(crate) live_groups: usize,
    names: HashSet<Name>,
    pub(crate) log: Log,
    /// See [`OptionsPatch::quiet_deletions`](crate::OptionsPatch::quiet_deletions).
    pub(crate) quiet_deletions: bool,
}

impl Directory {
    /// An empty directory of an organization.
    pub(crate) fn named(display_name: Option<String>) -> Directory {
        Directory {
            display_name,
            ..Directory::default()
        }
    }

    /// The object behind a handle.
    pub(crate) fn entry(&self, handle: Handle) -> &Entry {
        &self.entries[handle as usize]
    }

    /// The object behind a handle, to change it.
    pub(crate) fn entry_mut(&mut self, handle: Handle) -> &mut Entry {
        &mut self.entries[handle as usize]
    }

    /// The handle of an id, whatever became of the object. Ids compare without case.
    pub(crate) fn handle(&self, id: &str) -> Option<Handle> {
        self.index
            .get(id)
            .or_else(|| self.index.get(id.to_lowercase().as_str()))
            .copied()
    }

    /// The live object of a kind with this id, or for users with this userPrincipalName.
    pub(crate) fn live(&self, kind: Kind, id: &str) -> Option<Handle> {
        self.handle(id)
            .or_else(|| match kind {
                Kind::User => self.principal_names.get(&id.to_lowercase()).copied(),
                Kind::Group | Kind::Other => None,
            })
            .filter(|handle| self.entry(*handle).kind == kind && self.entry(*handle).is_live())
    }

    /// The ids of those objects that reads return.
    pub(crate) fn live_ids(&self, handles: &[Handle]) -> Vec<String> {
        let entries = handles.iter().map(|handle| self.entry(*handle));
        entries
            .filter(|entry| entry.is_live())
            .map(|entry| entry.id.to_string())
            .collect()
    }

    /// The handle of an id; an id nobody knows becomes a dangling object.
    pub(crate) fn handle_or_dangling(&mut self, id: &str) -> Handle {
        self.handle(id)
            .unwrap_or_else(|| self.add_entry(id, Kind::Other, Presence::Dangling))
    }

    /// Adds an object, or gives a dangling one its substance. The caller checked that the id is free.
    pub(crate) fn add_object(
        &mut self,
        kind: Kind,
        id: &str,
        object: Map<String, Value>,
    ) -> Handle {
        let handle = match self.handle(id) {
            Some(handle) => handle,
            None => self.add_entry(id, kind, Presence::Live),
        };
        let mut properties = Properties::default();
        for (name, value) in object {
            if name == "id" || (kind != Kind::Other && name.starts_with('@')) {
                continue;
            }
            let name = self.intern(&name);
            properties.set(&name, value);
        }
        properties.shrink();
        let entry = self.entry_mut(handle);
        entry.kind = kind;
        entry.presence = Presence::Live;
        entry.properties = properties;
        self.list(kind, handle);
        handle
    }

    /// The shared allocation of a property name.
    pub(crate) fn intern(&mut self, name: &str) -> Name {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Name = name.into();
        self.names.insert(name.clone());
        name
    }

    /// Remembers under which name a live user signs in.
    pub(crate) fn index_principal_name(&mut self, handle: Handle) {
        let name = self.entry(handle).properties.text("userPrincipalName");
        if let Some(name) = name.map(str::to_lowercase) {
            self.principal_names.insert(name, handle);
        }
    }

    /// The manager that reads show: deleted ones are hidden, dangling ones are not.
    pub(crate) fn visible_manager(&self, handle: Handle) -> Option<Handle> {
        self.entry(handle).manager.filter(|manager| {
            matches!(
                self.entry(*manager).presence,
                Presence::Live | Presence::Dangling
            )
        })
    }

    /// Sets a manager link on both sides; returns the manager before.
    pub(crate) fn link_manager(&mut self, user: Handle, manager: Option<Handle>) -> Option<Handle> {
        let before = std::mem::replace(&mut self.entry_mut(user).manager, manager);
        if let Some(before) = before {
            self.entry_mut(before)
                .reports
                .retain(|report| *report != user);
        }
        if let Some(manager) = manager {
            self.entry_mut(manager).reports.push(user);
        }
        before
    }

    /// Sets a link of a group on both sides; false when it was there.
    pub(crate) fn link(&mut self, relation: Relation, group: Handle, object: Handle) -> bool {
        let added = self.entry_mut(group).related_mut(relation).insert(object);
        if added {
            self.entry_mut(object).groups_mut(relation).push(group);
        }
        added
    }

    /// Removes a link of a group on both sides; false when there was none.
    pub(crate) fn unlink(&mut self, relation: Relation, group: Handle, object: Handle) -> bool {
        let removed = self.entry_mut(group).related_mut(relation).remove(object);
        if removed {
            self.entry_mut(object)
                .groups_mut(relation)
                .retain(|known| *known != group);
        }
        removed
    }

    fn list(&mut self, kind: Kind, handle: Handle) {
        match kind {
            Kind::User => {
                self.users.push(handle);
                self.live_users += 1;
                self.index_principal_name(handle);
            }
            Kind::Group => {
                self.groups.push(handle);
                self.live_groups += 1;
            }
            Kind::Other => {}
        }
    }

    fn add_entry(&mut self, id: &str, kind: Kind, presence: Presence) -> Handle {
        let handle = Handle::try_from(self.entries.len()).unwrap_or(Handle::MAX);
        let shared: Arc<str> = id.into();
        let lower = id.to_lowercase();
        let key = if lower == id {
            shared.clone()
        } else {
            lower.into()
        };
        self.index.insert(key, handle);
        self.entries.push(Entry {
            id: shared,
            kind,
            presence,
            properties: Properties::default(),
            manager: None,
            reports: Vec::new(),
            members: None,
            member_of: Vec::new(),
            owners: None,
            owner_of: Vec::new(),
        });
        handle
    }
}
