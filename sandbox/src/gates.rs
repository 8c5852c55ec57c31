//! Gates: requests that wait until somebody lets them through.

use tokio::sync::watch;

/// All gates of a sandbox; they open together.
#[derive(Debug)]
pub(crate) struct Gates {
    opened: watch::Sender<u64>,
    waiting: watch::Sender<usize>,
}

impl Gates {
    /// Gates nobody waits at.
    pub(crate) fn new() -> Gates {
        Gates {
            opened: watch::Sender::new(0),
            waiting: watch::Sender::new(0),
        }
    }

    /// Waits until the gates are opened or the sandbox stops. A client that hangs up meanwhile
    /// no longer counts as waiting.
    pub(crate) async fn hold(&self, mut stop: watch::Receiver<bool>) {
        // Subscribed before it counts as waiting: whoever sees it wait can let it through.
        let mut opened = self.opened.subscribe();
        let _place = Place::take(&self.waiting);
        tokio::select! {
            _ = opened.changed() => {}
            _ = stop.wait_for(|stopping| *stopping) => {}
        }
    }

    /// Lets everyone through who waits now; returns how many.
    pub(crate) fn open(&self) -> usize {
        let waiting = *self.waiting.borrow();
        self.opened.send_modify(|times| *times += 1);
        waiting
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Returns as soon as at least `count` requests wait.
    pub(crate) async fn reached(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives as long as `self`, so this ends only when the condition holds.
        let _ = waiting.wait_for(|waiting| *waiting >= count).await;
    }
}

struct Place<'a>(&'a watch::Sender<usize>);

impl<'a> Place<'a> {
    fn take(waiting: &'a watch::Sender<usize>) -> Place<'a> {
        waiting.send_modify(|count| *count += 1);
        Place(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
