//! The members of one group, in an order that page offsets can rely on.

use std::collections::HashMap;

use crate::directory::Handle;

/// An ordered set. A removed member leaves an empty slot, so that an offset that was handed
/// out before still points to the same place.
#[derive(Debug, Default, Clone)]
pub(crate) struct Members {
    slots: Vec<Option<Handle>>,
    positions: HashMap<Handle, usize>,
}

impl Members {
    /// Adds a member; false when it was one already.
    pub(crate) fn insert(&mut self, member: Handle) -> bool {
        if self.positions.contains_key(&member) {
            return false;
        }
        self.positions.insert(member, self.slots.len());
        self.slots.push(Some(member));
        true
    }

    /// Removes a member; false when it was none.
    pub(crate) fn remove(&mut self, member: Handle) -> bool {
        match self.positions.remove(&member) {
            Some(at) => {
                self.slots[at] = None;
                true
            }
            None => false,
        }
    }

    /// True when it is a member.
    pub(crate) fn contains(&self, member: Handle) -> bool {
        self.positions.contains_key(&member)
    }

    /// The slots in order, empty ones included.
    pub(crate) fn slots(&self) -> &[Option<Handle>] {
        &self.slots
    }

    /// The members in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> + '_ {
        self.slots.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_a_member_keeps_the_places_of_the_others() {
        let mut members = Members::default();
        assert!(members.insert(7) && members.insert(8) && members.insert(9));
        assert!(!members.insert(8));
        assert!(members.remove(8));
        assert!(!members.remove(8));
        assert_eq!(members.slots(), [Some(7), None, Some(9)]);
        assert_eq!(members.iter().count(), 2);
        assert!(members.contains(9) && !members.contains(8));
    }
}
