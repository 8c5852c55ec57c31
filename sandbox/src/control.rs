//! The controls of a running sandbox, for the process it runs in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::churn::{Churn, Churned};
use crate::directory::{Entry, Handle, Kind};
use crate::edit::EditError;
use crate::fault::Fault;
use crate::faults::FaultState;
use crate::options::{OptionsPatch, OptionsState};
use crate::related::Relation;
use crate::requests::{RequestCounts, RequestLine};
use crate::server::Server;

/// A handle to a running sandbox; clones control the same one.
#[derive(Clone)]
pub struct Control {
    server: Arc<Server>,
}

/// What a sandbox holds at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SandboxState {
    /// Users that reads return.
    pub users: usize,
    /// Groups that reads return.
    pub groups: usize,
    /// Users and groups in deletedItems.
    pub deleted: usize,
    /// Changes of users since the start that deltas can tell.
    pub user_changes: usize,
    /// Changes of groups since the start that deltas can tell.
    pub group_changes: usize,
    /// Changes that are still to be lost.
    pub changes_to_lose: u32,
    /// Requests waiting at a gate.
    pub gates_waiting: usize,
    /// Number of faults.
    pub faults: usize,
    /// The time in the sandbox.
    pub now: DateTime<Utc>,
    /// The options in force.
    pub options: OptionsState,
}

impl Control {
    pub(crate) fn new(server: Arc<Server>) -> Control {
        Control { server }
    }

    /// Tells what the sandbox holds.
    pub fn state(&self) -> SandboxState {
        let options = self.options();
        let directory = self.server.directory();
        SandboxState {
            users: directory.live_users,
            groups: directory.live_groups,
            deleted: directory.deleted.len(),
            user_changes: directory.log.of(Kind::User).len(),
            group_changes: directory.log.of(Kind::Group).len(),
            changes_to_lose: directory.log.to_lose,
            gates_waiting: self.server.gates.waiting(),
            faults: self.server.faults.list().len(),
            now: self.server.clock.now(),
            options,
        }
    }

    /// The options in force.
    pub fn options(&self) -> OptionsState {
        self.server.settings(|settings| settings.shown.clone())
    }

    /// Changes options.
    pub fn set_options(&self, patch: OptionsPatch) {
        let quiet = patch.quiet_deletions;
        self.server.settings_mut().apply(patch);
        if let Some(quiet) = quiet {
            self.server.directory_mut().quiet_deletions = quiet;
        }
    }

    /// Replaces the granted permissions, in tokens issued from now on.
    pub fn set_permissions(&self, permissions: &[&str]) {
        let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
        self.set_options(OptionsPatch {
            permissions: Some(permissions),
            ..OptionsPatch::default()
        });
    }

    // Users

    /// Ids of the users that reads return, in the order of lists.
    pub fn user_ids(&self) -> Vec<String> {
        let directory = self.server.directory();
        directory.live_ids(&directory.users)
    }

    /// A user's properties that were ever set, by id or userPrincipalName; `None` when reads
    /// do not return it.
    pub fn user(&self, id: &str) -> Option<Value> {
        let directory = self.server.directory();
        directory
            .live(Kind::User, id)
            .map(|handle| raw(directory.entry(handle)))
    }

    /// Creates a user from a Graph object with at least `displayName` and `userPrincipalName`;
    /// returns its id.
    pub fn create_user(&self, object: Value) -> Result<String, EditError> {
        self.create(Kind::User, object)
    }

    /// Merges properties into a user; `null` clears one.
    pub fn patch_user(&self, id: &str, properties: Value) -> Result<(), EditError> {
        self.patch(Kind::User, id, properties)
    }

    /// Deletes a user softly: it goes to deletedItems.
    pub fn delete_user(&self, id: &str) -> Result<(), EditError> {
        self.delete(Kind::User, id)
    }

    /// Deletes a user for good, live or from deletedItems.
    pub fn purge_user(&self, id: &str) -> Result<(), EditError> {
        self.purge(Kind::User, id)
    }

    /// Brings a user back from deletedItems, with manager, memberships and ownerships.
    pub fn restore_user(&self, id: &str) -> Result<(), EditError> {
        self.restore(Kind::User, id)
    }

    /// Sets or clears a user's manager; an id nobody has becomes a dangling link.
    pub fn set_manager(&self, id: &str, manager: Option<&str>) -> Result<(), EditError> {
        self.server.directory_mut().set_manager(id, manager)
    }

    /// The id of the manager that reads show.
    pub fn manager(&self, id: &str) -> Option<String> {
        let directory = self.server.directory();
        let manager = directory.visible_manager(directory.live(Kind::User, id)?)?;
        Some(directory.entry(manager).id.to_string())
    }

    // Groups

    /// Ids of the groups that reads return, in the order of lists.
    pub fn group_ids(&self) -> Vec<String> {
        let directory = self.server.directory();
        directory.live_ids(&directory.groups)
    }

    /// A group's properties that were ever set; `None` when reads do not return it.
    pub fn group(&self, id: &str) -> Option<Value> {
        let directory = self.server.directory();
        directory
            .live(Kind::Group, id)
            .map(|handle| raw(directory.entry(handle)))
    }

    /// Creates a group from a Graph object with at least `displayName`; returns its id.
    pub fn create_group(&self, object: Value) -> Result<String, EditError> {
        self.create(Kind::Group, object)
    }

    /// Merges properties into a group; `null` clears one.
    pub fn patch_group(&self, id: &str, properties: Value) -> Result<(), EditError> {
        self.patch(Kind::Group, id, properties)
    }

    /// Deletes a group softly; a distribution list for good.
    pub fn delete_group(&self, id: &str) -> Result<(), EditError> {
        self.delete(Kind::Group, id)
    }

    /// Deletes a group for good, live or from deletedItems.
    pub fn purge_group(&self, id: &str) -> Result<(), EditError> {
        self.purge(Kind::Group, id)
    }

    /// Brings a group back from deletedItems, with its members and owners.
    pub fn restore_group(&self, id: &str) -> Result<(), EditError> {
        self.restore(Kind::Group, id)
    }

    /// Ids of the direct members that reads return.
    pub fn member_ids(&self, group: &str) -> Vec<String> {
        self.related_ids(Relation::Members, group)
    }

    /// Adds a member; true when it was none before. An id nobody has becomes a dangling link.
    pub fn add_member(&self, group: &str, member: &str) -> Result<bool, EditError> {
        self.relate(Relation::Members, group, member)
    }

    /// Removes a member; true when it was one before.
    pub fn remove_member(&self, group: &str, member: &str) -> Result<bool, EditError> {
        self.unrelate(Relation::Members, group, member)
    }

    /// Ids of the owners that reads return.
    pub fn owner_ids(&self, group: &str) -> Vec<String> {
        self.related_ids(Relation::Owners, group)
    }

    /// Adds an owner; true when it was none before. An id nobody has becomes a dangling link.
    pub fn add_owner(&self, group: &str, owner: &str) -> Result<bool, EditError> {
        self.relate(Relation::Owners, group, owner)
    }

    /// Removes an owner; true when it was one before. The last one too may go.
    pub fn remove_owner(&self, group: &str, owner: &str) -> Result<bool, EditError> {
        self.unrelate(Relation::Owners, group, owner)
    }

    // Time, tokens, deltas

    /// Moves the sandbox's time on: access tokens and delta links age.
    pub fn advance_clock(&self, by: Duration) {
        self.server.clock.advance(by);
    }

    /// Makes all access tokens useless; returns how many there were.
    pub fn revoke_tokens(&self) -> usize {
        self.server.tokens().revoke()
    }

    /// Makes all delta links expire. They are answered with 410 and a `Location`, or with
    /// 400 `syncStateNotFound`; any status but 400 means 410.
    pub fn expire_delta_tokens(&self, status: u16) {
        let status = if status == 400 { 400 } else { 410 };
        self.server
            .delta_expired_status
            .store(status, Ordering::SeqCst);
        self.server.delta_generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Makes all page tokens expire: `Directory_ExpiredPageToken`.
    pub fn expire_page_tokens(&self) {
        self.server.page_generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets the next changes happen without any delta ever telling them.
    pub fn skip_changes(&self, count: u32) {
        self.server.directory_mut().log.to_lose = count;
    }

    /// Changes users and groups at random.
    pub fn churn(&self, churn: &Churn) -> Churned {
        self.server.directory_mut().churn(churn)
    }

    // Faults and gates

    /// Adds a fault and returns its number; the error says what is wrong with it.
    pub fn add_fault(&self, fault: Fault) -> Result<u64, EditError> {
        self.server.faults.add(fault).map_err(EditError::Invalid)
    }

    /// All faults with what they did so far.
    pub fn faults(&self) -> Vec<FaultState> {
        self.server.faults.list()
    }

    /// Removes a fault; false when there was none with this number.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.server.faults.remove(id)
    }

    /// Removes all faults and opens the gates.
    pub fn clear_faults(&self) {
        self.server.faults.clear();
        self.server.gates.open();
    }

    /// How many requests wait at a gate.
    pub fn gates_waiting(&self) -> usize {
        self.server.gates.waiting()
    }

    /// Lets the requests through that wait now, and returns how many; the fault stays, so that
    /// the next matching request waits again.
    pub fn open_gates(&self) -> usize {
        self.server.gates.open()
    }

    /// Returns as soon as at least `count` requests wait at a gate.
    pub async fn gates_reached(&self, count: usize) {
        self.server.gates.reached(count).await;
    }

    // Requests

    /// How often each kind of request was answered with each status.
    pub fn request_counts(&self) -> RequestCounts {
        self.server.requests.counts()
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<RequestLine> {
        self.server.requests.last()
    }

    /// Forgets the requests so far.
    pub fn reset_requests(&self) {
        self.server.requests.reset();
    }

    // For users and groups alike

    pub(crate) fn create(&self, kind: Kind, object: Value) -> Result<String, EditError> {
        let now = self.server.clock.now();
        let mut directory = self.server.directory_mut();
        let handle = directory.create(kind, object, now)?;
        Ok(directory.entry(handle).id.to_string())
    }

    pub(crate) fn patch(&self, kind: Kind, id: &str, properties: Value) -> Result<(), EditError> {
        self.server
            .directory_mut()
            .patch(kind, id, properties)
            .map(|_| ())
    }

    pub(crate) fn delete(&self, kind: Kind, id: &str) -> Result<(), EditError> {
        let now = self.server.clock.now();
        self.server.directory_mut().delete(kind, id, now)
    }

    pub(crate) fn purge(&self, kind: Kind, id: &str) -> Result<(), EditError> {
        self.server.directory_mut().purge(kind, id)
    }

    pub(crate) fn restore(&self, kind: Kind, id: &str) -> Result<(), EditError> {
        self.server.directory_mut().restore(kind, id).map(|_| ())
    }

    // For members and owners alike

    fn related_ids(&self, relation: Relation, group: &str) -> Vec<String> {
        let directory = self.server.directory();
        let Some(group) = directory.live(Kind::Group, group) else {
            return Vec::new();
        };
        let slots = directory.entry(group).slots(relation);
        let handles: Vec<Handle> = slots.iter().flatten().copied().collect();
        directory.live_ids(&handles)
    }

    fn relate(&self, relation: Relation, group: &str, object: &str) -> Result<bool, EditError> {
        self.server.directory_mut().relate(relation, group, object)
    }

    fn unrelate(&self, relation: Relation, group: &str, object: &str) -> Result<bool, EditError> {
        self.server
            .directory_mut()
            .unrelate(relation, group, object)
    }
}

fn raw(entry: &Entry) -> Value {
    let properties = entry
        .properties
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()));
    let mut object: Map<String, Value> = properties.collect();
    object.insert("id".to_owned(), (*entry.id).into());
    Value::Object(object)
}
