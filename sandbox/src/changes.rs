//! The log of changes that deltas are read from: append-only, addressed by sequence number.

use crate::directory::{Handle, Kind};
use crate::properties::Name;
use crate::related::Relation;

/// What happened to an object.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// It was created or restored: everything counts as changed.
    Whole,
    /// These properties changed.
    Properties(Box<[Name]>),
    /// The manager changed; the one before, if reads showed one.
    Manager(Option<Handle>),
    /// A member or an owner came, went, was deleted or was restored; its state today tells which.
    Related(Relation, Handle),
    /// It was deleted, softly or for good.
    Removed,
}

/// One line of the log.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) target: Handle,
    pub(crate) what: What,
}

/// Changes of users and of groups, kept apart so that neither delta has to skip the other's.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    users: Vec<Change>,
    groups: Vec<Change>,
    /// How many of the next changes are to be lost.
    pub(crate) to_lose: u32,
    muted: bool,
    /// Counts changes of any kind; what was computed from the directory is good for one version.
    pub(crate) version: u64,
}

impl Log {
    /// Starts one change of the directory, which may write several lines or be lost as a whole.
    pub(crate) fn begin(&mut self) {
        self.version += 1;
        self.muted = self.to_lose > 0;
        self.to_lose = self.to_lose.saturating_sub(1);
    }

    /// Appends one line.
    pub(crate) fn append(&mut self, kind: Kind, target: Handle, what: What) {
        if self.muted {
            return;
        }
        let change = Change { target, what };
        match kind {
            Kind::User => self.users.push(change),
            Kind::Group => self.groups.push(change),
            Kind::Other => {}
        }
    }

    /// The lines of one kind; the index is the sequence number.
    pub(crate) fn of(&self, kind: Kind) -> &[Change] {
        match kind {
            Kind::User => &self.users,
            Kind::Group => &self.groups,
            Kind::Other => &[],
        }
    }
}
