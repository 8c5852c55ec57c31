//! Seats: as many connections as there may be, and who gives theirs up when there are more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing: a request was answered and the next has not begun.
    Idle,
    /// The head of a request is on its way, or the first one has not begun.
    Arriving,
    /// A request is being answered, or the connection has become a socket.
    Busy,
}

/// All seats.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    /// Rung when someone begins to wait, who could give a seat up.
    bell: Notify,
}

/// Those without a request, in the order in which they began to wait.
#[derive(Default)]
struct Waiting {
    number: u64,
    line: BTreeMap<u64, CancellationToken>,
}

impl Waiting {
    fn join(&mut self, given_up: &CancellationToken) -> u64 {
        self.number += 1;
        self.line.insert(self.number, given_up.clone());
        self.number
    }
}

impl Seats {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: Mutex::default(),
            bell: Notify::new(),
        })
    }

    /// Takes a seat. While all are taken, whoever has waited longest without a request gives theirs up.
    pub(super) async fn take(self: &Arc<Self>) -> Seat {
        loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return Seat::new(Arc::clone(self), permit);
            }
            let is_asked = self.free_one();
            let freed = Arc::clone(&self.free).acquire_owned();
            tokio::select! {
                permit = freed => {
                    let permit = permit.expect("the seats are never closed");
                    return Seat::new(Arc::clone(self), permit);
                }
                () = self.bell.notified(), if !is_asked => {}
            }
        }
    }

    /// Has whoever has waited longest without a request give up the seat; false when nobody waits.
    pub(super) fn free_one(&self) -> bool {
        let oldest = self.waiting().line.pop_first();
        let Some((_, given_up)) = oldest else {
            return false;
        };
        given_up.cancel();
        true
    }

    // Nothing can panic while the lock is held, so what a poisoned one guards is whole.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seat of one connection, held until its last byte.
pub(super) struct Seat {
    seats: Arc<Seats>,
    state: watch::Sender<State>,
    given_up: CancellationToken,
    /// The place in the line of those who wait.
    place: Mutex<Option<u64>>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    fn new(seats: Arc<Seats>, permit: OwnedSemaphorePermit) -> Self {
        let seat = Self {
            state: watch::Sender::new(State::Arriving),
            given_up: CancellationToken::new(),
            place: Mutex::default(),
            _permit: permit,
            seats,
        };
        seat.wait_in_line();
        seat
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        self.state.send_if_modified(|state| {
            let begins = *state == State::Idle;
            if begins {
                *state = State::Arriving;
            }
            begins
        });
    }

    /// A request has come: from now on the seat is safe.
    pub(super) fn begin(&self) {
        self.state.send_replace(State::Busy);
        self.leave_line();
    }

    /// A request is answered.
    pub(super) fn finish(&self) {
        self.state.send_replace(State::Idle);
        self.wait_in_line();
    }

    /// Waits until the connection has taken longer than it may.
    pub(super) async fn overdue(&self, head: Duration, idle: Duration) {
        let mut states = self.state.subscribe();
        loop {
            let state = *states.borrow_and_update();
            let limit = match state {
                State::Busy => Duration::MAX,
                State::Arriving => head,
                State::Idle => idle,
            };
            // The sender is here, so a change is all that can come.
            if timeout(limit, states.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Waits until someone else needs the seat.
    pub(super) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    fn wait_in_line(&self) {
        let place = self.seats.waiting().join(&self.given_up);
        *self.place() = Some(place);
        self.seats.bell.notify_one();
    }

    fn leave_line(&self) {
        if let Some(place) = self.place().take() {
            self.seats.waiting().line.remove(&place);
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<u64>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave_line();
    }
}
