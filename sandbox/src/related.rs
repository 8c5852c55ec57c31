//! The objects a group is related to, in an order that page offsets can rely on.

use std::collections::HashMap;

use crate::directory::Handle;

/// How an object belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Members,
    Owners,
}

impl Relation {
    /// All of them, in the order in which a delta tells them.
    pub(crate) const ALL: [Relation; 2] = [Relation::Members, Relation::Owners];

    /// The name in paths and in `$select`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Relation::Members => "members",
            Relation::Owners => "owners",
        }
    }

    /// What a delta calls its changes.
    pub(crate) fn annotation(self) -> &'static str {
        match self {
            Relation::Members => "members@delta",
            Relation::Owners => "owners@delta",
        }
    }

    /// What one of the objects is called.
    pub(crate) fn one(self) -> &'static str {
        match self {
            Relation::Members => "member",
            Relation::Owners => "owner",
        }
    }
}

/// An ordered set. A removed object leaves an empty slot, so that an offset that was handed
/// out before still points to the same place.
#[derive(Debug, Default, Clone)]
pub(crate) struct Related {
    slots: Vec<Option<Handle>>,
    positions: HashMap<Handle, usize>,
}

impl Related {
    /// Adds an object; false when it was there already.
    pub(crate) fn insert(&mut self, object: Handle) -> bool {
        if self.positions.contains_key(&object) {
            return false;
        }
        self.positions.insert(object, self.slots.len());
        self.slots.push(Some(object));
        true
    }

    /// Removes an object; false when it was not there.
    pub(crate) fn remove(&mut self, object: Handle) -> bool {
        match self.positions.remove(&object) {
            Some(at) => {
                self.slots[at] = None;
                true
            }
            None => false,
        }
    }

    /// True when it is there.
    pub(crate) fn contains(&self, object: Handle) -> bool {
        self.positions.contains_key(&object)
    }

    /// The slots in order, empty ones included.
    pub(crate) fn slots(&self) -> &[Option<Handle>] {
        &self.slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_an_object_keeps_the_places_of_the_others() {
        let mut related = Related::default();
        assert!(related.insert(7) && related.insert(8) && related.insert(9));
        assert!(!related.insert(8));
        assert!(related.remove(8));
        assert!(!related.remove(8));
        assert_eq!(related.slots(), [Some(7), None, Some(9)]);
        assert!(related.contains(9) && !related.contains(8));
    }
}
