//! How many sockets and event streams there are, in all and of one caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts live connections and refuses those beyond a limit.
#[derive(Debug)]
pub(super) struct Presence {
    in_all: usize,
    of_one: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_caller: HashMap<String, usize>,
}

/// Why another one is refused. The text is shown to the caller and fits into a close frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full(pub(super) String);

impl Presence {
    pub(super) fn new(in_all: usize, of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            in_all,
            of_one,
            counts: Mutex::default(),
        })
    }

    /// Counts a live connection until the place is dropped. A caller without a name counts in all only.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Full> {
        let mut counts = self.counts();
        if counts.all >= self.in_all {
            let message = "The server has no room for another live connection; try again later.";
            return Err(Full(message.to_owned()));
        }
        counts.all += 1;
        Ok(Place {
            presence: Arc::clone(self),
            caller: None,
        })
    }

    // Nothing can panic while the lock is held, so what a poisoned one guards is whole.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A live connection that is counted.
#[derive(Debug)]
pub(super) struct Place {
    presence: Arc<Presence>,
    caller: Option<String>,
}

impl Place {
    /// Counts the connection as one of `caller` as well, once it is known who that is.
    pub(super) fn belong_to(&mut self, caller: Option<String>) -> Result<(), Full> {
        let Some(caller) = caller else { return Ok(()) };
        let limit = self.presence.of_one;
        let mut counts = self.presence.counts();
        let count = counts.by_caller.entry(caller.clone()).or_default();
        if *count >= limit {
            return Err(Full(format!(
                "You have {limit} live connections already, and no more are allowed; close some."
            )));
        }
        *count += 1;
        drop(counts);
        self.caller = Some(caller);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.presence.counts();
        counts.all -= 1;
        let Some(caller) = self.caller.take() else {
            return;
        };
        if let Some(count) = counts.by_caller.get_mut(&caller) {
            *count -= 1;
            if *count == 0 {
                counts.by_caller.remove(&caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(presence: &Arc<Presence>, name: &str) -> Result<Place, Full> {
        let mut place = presence.enter()?;
        place.belong_to(Some(name.to_owned()))?;
        Ok(place)
    }

    #[test]
    fn one_caller_takes_no_more_than_their_share_and_all_no_more_than_there_is() {
        let presence = Presence::new(3, 2);
        let first = named(&presence, "ada").expect("room");
        let _second = named(&presence, "ada").expect("room");
        let refused = named(&presence, "ada").expect_err("a third of one caller");
        assert!(refused.0.contains("2 live connections"), "{refused:?}");
        let _third = named(&presence, "ben").expect("room");
        assert!(presence.enter().is_err(), "a fourth in all");
        drop(first);
        named(&presence, "ada").expect("room again");
        assert_eq!(presence.counts().by_caller.len(), 2);
    }
}
