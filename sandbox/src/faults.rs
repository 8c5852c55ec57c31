//! The faults of a running sandbox: which of them happen to a request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use crate::fault::{Fault, FaultKind};

/// More faults than this at a time are refused.
const MOST_FAULTS: usize = 1000;

/// Of more lists than this, read side by side, a duplicate repeats nothing.
const MOST_HELD: usize = 1000;

/// A fault with its history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultState {
    /// Number to remove it by.
    pub id: u64,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many requests matched.
    pub seen: u32,
    /// How many of them it happened to.
    pub happened: u32,
}

/// A fault that happens to the request at hand.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    pub(crate) id: u64,
    pub(crate) kind: FaultKind,
}

#[derive(Debug)]
struct Armed {
    state: FaultState,
    /// The item that a duplicate repeats on a later page, by the link to that page.
    held: HashMap<String, Value>,
}

#[derive(Debug, Default)]
struct Armory {
    armed: Vec<Armed>,
    last_id: u64,
}

/// All faults of a sandbox.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Armory>);

impl Faults {
    /// Adds a fault; the error says why it cannot be.
    pub(crate) fn add(&self, fault: Fault) -> Result<u64, String> {
        fault.kind.check()?;
        let mut armory = self.armory();
        if armory.armed.len() >= MOST_FAULTS {
            return Err(format!(
                "there are {MOST_FAULTS} faults already; delete some first"
            ));
        }
        armory.last_id += 1;
        let id = armory.last_id;
        let state = FaultState {
            id,
            fault,
            seen: 0,
            happened: 0,
        };
        armory.armed.push(Armed {
            state,
            held: HashMap::new(),
        });
        Ok(id)
    }

    /// Removes one; false when there was none.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut armory = self.armory();
        let before = armory.armed.len();
        armory.armed.retain(|armed| armed.state.id != id);
        armory.armed.len() < before
    }

    /// Removes all.
    pub(crate) fn clear(&self) {
        self.armory().armed.clear();
    }

    /// All faults, those that will not happen any more included.
    pub(crate) fn list(&self) -> Vec<FaultState> {
        self.armory()
            .armed
            .iter()
            .map(|armed| armed.state.clone())
            .collect()
    }

    /// The faults that happen to this request, in the order they were added.
    pub(crate) fn happening(&self, target: &str, request: &str, batched: bool) -> Vec<Active> {
        let mut armory = self.armory();
        armory
            .armed
            .iter_mut()
            .filter_map(|armed| armed.meet(target, request, batched))
            .collect()
    }

    /// Keeps the last item of a page for the page that `next` leads to.
    pub(crate) fn hold_duplicate(&self, id: u64, next: String, item: Value) {
        let mut armory = self.armory();
        let armed = armory.armed.iter_mut().find(|armed| armed.state.id == id);
        if let Some(armed) = armed.filter(|armed| armed.held.len() < MOST_HELD) {
            armed.held.insert(next, item);
        }
    }

    /// Gives back the item that the page at `link` is to repeat.
    pub(crate) fn take_duplicate(&self, id: u64, link: &str) -> Option<Value> {
        let mut armory = self.armory();
        let armed = armory.armed.iter_mut().find(|armed| armed.state.id == id)?;
        let repeated = armed.held.remove(link)?;
        armed.state.happened += 1;
        Some(repeated)
    }

    fn armory(&self) -> MutexGuard<'_, Armory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn meet(&mut self, target: &str, request: &str, batched: bool) -> Option<Active> {
        let FaultState {
            id,
            fault,
            seen,
            happened,
        } = &mut self.state;
        if !fault.matches(target, request) || (batched && fault.kind.needs_connection()) {
            return None;
        }
        *seen = seen.saturating_add(1);
        if *seen <= fault.after || fault.times.is_some_and(|times| *happened >= times) {
            return None;
        }
        // A duplicate has happened only when the second page shows it.
        if fault.kind != FaultKind::Duplicate {
            *happened = happened.saturating_add(1);
        }
        Some(Active {
            id: *id,
            kind: fault.kind.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_spares_the_first_and_stops_after_its_times() {
        let faults = Faults::default();
        faults
            .add(Fault::status(503).on("/users").after(1).times(2))
            .unwrap();
        let happening = |target| faults.happening(target, "users.list", false).len();
        assert_eq!(happening("/v1.0/groups"), 0);
        assert_eq!(
            [0; 4].map(|_| happening("/v1.0/users?$top=5")),
            [0, 1, 1, 0]
        );
        assert_eq!((faults.list()[0].seen, faults.list()[0].happened), (4, 2));
    }

    #[test]
    fn connection_faults_spare_batch_items_and_page_faults_spare_single_objects() {
        let faults = Faults::default();
        faults.add(Fault::new(FaultKind::Reset)).unwrap();
        faults.add(Fault::new(FaultKind::DropNextLink)).unwrap();
        assert_eq!(
            faults.happening("/v1.0/users/a", "users.get", true).len(),
            0
        );
        assert_eq!(faults.happening("/v1.0/users", "users.list", true).len(), 1);
        assert_eq!(
            faults.happening("/v1.0/users", "users.list", false).len(),
            2
        );
        assert!(
            faults
                .add(Fault::new(FaultKind::Hide { modulus: 0 }))
                .is_err()
        );
    }
}
