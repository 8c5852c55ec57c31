//! Counts statements: the driver of SeaORM opens a span for each.
//!
//! One subscriber of the whole process counts for every thread. A subscriber of one thread alone would be asked too
//! late: where another test's thread is the first to come to a statement, `tracing` keeps *that* thread's answer, and
//! nobody listens there.

use std::cell::Cell;
use std::sync::Once;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    /// The statements this thread has begun so far.
    static BEGUN: Cell<usize> = const { Cell::new(0) };
}

struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("sea_orm::driver")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        BEGUN.set(BEGUN.get() + 1);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Counter)
            .expect("no other subscriber is set in these tests");
        // A statement another thread came to meanwhile was answered for before anyone listened.
        tracing::callsite::rebuild_interest_cache();
    });
}

/// Does some work and returns the number of statements it took. The work must stay on this thread, as it does in a test
/// of tokio.
pub(crate) async fn counted<T>(work: impl Future<Output = T>) -> (T, usize) {
    install();
    let before = BEGUN.get();
    let done = work.await;
    (done, BEGUN.get() - before)
}
