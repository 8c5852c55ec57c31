//! What subscribers are told.

use async_graphql::{Interface, Object, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockstep_domain::RunId;

use super::change::RunChange;
use super::enums::{IntegrationState, RunState};
use super::integration::Integration;
use super::run::{Run, RunProgress};
use crate::page::CursorKey;
use crate::scalar::{Timestamp, int};

/// Place in the events of a run: the run, and the number of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventCursor(pub(crate) RunId, pub(crate) i64);

impl CursorKey for EventCursor {
    fn write(&self) -> String {
        format!("{}#{}", self.0.0.simple(), self.1)
    }

    fn read(text: &str) -> Option<Self> {
        let (run, sequence) = text.split_once('#')?;
        Some(Self(
            RunId(uuid::Uuid::parse_str(run).ok()?),
            sequence.parse().ok()?,
        ))
    }
}

impl EventCursor {
    /// Reads a cursor that a client sent.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Self::read(&String::from_utf8(bytes).ok()?)
    }
}

/// What all events have.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) sequence: i64,
    pub(crate) occurred_at: Timestamp,
    pub(crate) run: Run,
}

/// Something that happened in a run that is being followed.
#[derive(Interface)]
#[graphql(
    field(
        name = "cursor",
        ty = "String",
        desc = "Opaque cursor of the event; send it back as `after` to go on from here."
    ),
    field(
        name = "sequence",
        ty = "i32",
        desc = "Strictly rising within the run; the same event has the same number for every subscriber."
    ),
    field(name = "occurred_at", ty = "Timestamp", desc = "When it happened."),
    field(
        name = "run",
        ty = "Run",
        desc = "The run as it was right after the event."
    )
)]
pub(crate) enum RunEvent {
    /// The present state.
    Snapshot(RunSnapshot),
    /// A worker took the run up.
    Started(RunStarted),
    /// The run has come further.
    Progressed(RunProgressed),
    /// An entry was added to the change log.
    Change(RunChangeRecorded),
    /// The run ended.
    Finished(RunFinished),
}

impl RunEvent {
    /// The number of the event.
    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Snapshot(RunSnapshot { event })
            | Self::Started(RunStarted { event })
            | Self::Progressed(RunProgressed { event })
            | Self::Change(RunChangeRecorded { event, change: _ })
            | Self::Finished(RunFinished { event }) => event.sequence,
        }
    }
}

/// Declares the type of an event with the fields that all events have.
macro_rules! run_event {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* } $($more:tt)*) => {
        #[derive(Debug, Clone)]
        pub(crate) struct $name { pub(crate) event: Event, $($own)* }

        $(#[$meta])*
        #[Object]
        impl $name {
            /// Opaque cursor of the event; send it back as `after` to go on from here.
            pub(crate) async fn cursor(&self) -> String {
                EventCursor(self.event.run.0.id, self.event.sequence).cursor()
            }

            /// Strictly rising within the run; the same event has the same number for every subscriber.
            pub(crate) async fn sequence(&self) -> i32 {
                int(self.event.sequence)
            }

            /// When it happened.
            pub(crate) async fn occurred_at(&self) -> Timestamp {
                self.event.occurred_at
            }

            /// The run as it was right after the event.
            pub(crate) async fn run(&self) -> Run {
                self.event.run.clone()
            }

            $($more)*
        }
    };
}

run_event! {
    /// The present state of a run, sent first when there is nothing to resume from.
    RunSnapshot {}
}

run_event! {
    /// A worker took the run up.
    RunStarted {}
}

run_event! {
    /// The run has come further.
    RunProgressed {}
    /// How far the run has come.
    async fn progress(&self) -> RunProgress {
        RunProgress::of(&self.event.run.0)
    }
}

run_event! {
    /// An entry was added to the change log.
    RunChangeRecorded { pub(crate) change: RunChange }
    /// The entry.
    async fn change(&self) -> RunChange {
        self.change.clone()
    }
}

run_event! {
    /// The run ended, in whatever way; see `run.state`. No event follows.
    RunFinished {}
}

/// A run that was queued or changed state.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct RunUpdatedEvent {
    /// The run after the change.
    pub(crate) run: Run,
    /// State before, null for a run that was just queued.
    pub(crate) previous_state: Option<RunState>,
    /// When it happened.
    pub(crate) occurred_at: Timestamp,
}

/// An integration that changed.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct IntegrationUpdatedEvent {
    /// The integration after the change.
    pub(crate) integration: Integration,
    /// State before.
    pub(crate) previous_state: IntegrationState,
    /// When it happened.
    pub(crate) occurred_at: Timestamp,
}
