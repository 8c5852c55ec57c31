//! The directory in memory: every object once, links as handles, and a log of changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::changes::Log;
use crate::members::Members;
use crate::properties::{Name, Properties};

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
    pub(crate) member_of: Vec<Handle>,
    pub(crate) members: Option<Box<Members>>,
    pub(crate) owners: Vec<Handle>,
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

    /// The slots of its members; none for anything but a group.
    pub(crate) fn member_slots(&self) -> &[Option<Handle>] {
        self.members.as_ref().map_or(&[], |members| members.slots())
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

    /// Sets a member link on both sides; false when it was there.
    pub(crate) fn link_member(&mut self, group: Handle, member: Handle) -> bool {
        let members = self.entry_mut(group).members.get_or_insert_default();
        let added = members.insert(member);
        if added {
            self.entry_mut(member).member_of.push(group);
        }
        added
    }

    /// Removes a member link on both sides; false when there was none.
    pub(crate) fn unlink_member(&mut self, group: Handle, member: Handle) -> bool {
        let entry = self.entry_mut(group);
        let removed = entry
            .members
            .as_mut()
            .is_some_and(|members| members.remove(member));
        if removed {
            self.entry_mut(member)
                .member_of
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
            member_of: Vec::new(),
            members: None,
            owners: Vec::new(),
        });
        handle
    }
}
