//! Entry points for live updates. The rows are the truth: a signal only says that a row is worth a look.

mod follow;
mod listen;
mod watch;

use std::time::Duration;

use async_graphql::{Context, ID, Subscription as GraphqlSubscription};
use futures::Stream;
use lockstep_domain::{IntegrationId, OrganizationId, RunId, UserId};
use lockstep_store::Store;
use tokio::time::Instant;

use self::follow::Follower;
use self::watch::{IntegrationWatch, RunWatch};
use crate::app;
use crate::error::{Failure, Result};
use crate::id::GlobalId;
use crate::object::event::{EventCursor, IntegrationUpdatedEvent, RunEvent, RunUpdatedEvent};
use crate::session::{Session, not_owner};

/// The rows, and the rights of who watches them, are looked at again this often, whatever is signalled meanwhile: so a
/// lost signal costs no more than that.
const SILENCE: Duration = Duration::from_secs(2);

/// The root of subscriptions.
pub struct Subscription;

/// Entry points for live updates, over WebSocket (graphql-transport-ws) or server-sent events.
#[GraphqlSubscription]
impl Subscription {
    /// Follows one run.
    ///
    /// Without `after` the first event is a RunSnapshot of the present state, so nothing is lost between a query and
    /// the subscription. With `after` the events after that cursor follow, in order and without gaps; when the cursor
    /// cannot be resumed from, the first event is a RunSnapshot instead. The stream completes after RunFinished, at
    /// once when the run has finished already. RunProgressed is sent at most four times a second. What is held does
    /// not keep the run from ending. It ends with the error FORBIDDEN when the viewer stops being an owner.
    async fn run_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the run.")] run_id: ID,
        #[graphql(
            desc = "The `cursor` of the last event that was received, to go on after a lost connection."
        )]
        after: Option<String>,
        #[graphql(
            desc = "Whether to send a RunChangeRecorded for every entry of the change log.",
            default
        )]
        include_changes: bool,
    ) -> Result<impl Stream<Item = Result<RunEvent>> + use<>> {
        let watcher = Watcher::of(ctx).await?;
        let app = app(ctx);
        let id = RunId::local(&run_id).ok_or_else(no_such_run)?;
        let after = after
            .as_deref()
            .map(|cursor| place(id, cursor))
            .transpose()?;
        // First listen, then read, so that nothing falls between the two.
        let signals = app.queue.bus().subscribe();
        let run = app
            .store
            .run(watcher.organization, id)
            .await?
            .ok_or_else(no_such_run)?;
        Ok(Follower::new(
            app.store.clone(),
            watcher,
            signals,
            run,
            after,
            include_changes,
        )
        .events())
    }

    /// Tells of every run of the organization, or of one integration, that is queued or changes state. Made for lists.
    /// Ends with the error FORBIDDEN when the viewer stops being an owner.
    async fn run_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only runs of this integration.")] integration_id: Option<ID>,
    ) -> Result<impl Stream<Item = Result<RunUpdatedEvent>> + use<>> {
        let watcher = Watcher::of(ctx).await?;
        let app = app(ctx);
        let only = only(integration_id)?;
        let signals = app.queue.bus().subscribe();
        Ok(RunWatch::start(app.store.clone(), watcher, signals, only)
            .await?
            .events())
    }

    /// Tells of every integration of the organization, or of one, that changes its state, settings or pause. Ends with
    /// the error FORBIDDEN when the viewer stops being an owner.
    async fn integration_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this integration.")] integration_id: Option<ID>,
    ) -> Result<impl Stream<Item = Result<IntegrationUpdatedEvent>> + use<>> {
        let watcher = Watcher::of(ctx).await?;
        let app = app(ctx);
        let only = only(integration_id)?;
        let signals = app.queue.bus().subscribe();
        Ok(
            IntegrationWatch::start(app.store.clone(), watcher, signals, only)
                .await?
                .events(),
        )
    }
}

/// The owner who watches; asked again whether they still are one while the stream lives (D-89): with every event, and
/// at least every [`SILENCE`].
#[derive(Debug)]
struct Watcher {
    organization: OrganizationId,
    user: UserId,
    checked_at: Instant,
}

impl Watcher {
    /// Authorizes at the start: by the row as it is now, because the session of a socket may be half a minute old.
    async fn of(ctx: &Context<'_>) -> Result<Self> {
        let owner = Session::owner_of(ctx)?;
        let mut watcher = Self {
            organization: owner.organization.id,
            user: owner.user.id,
            checked_at: Instant::now(),
        };
        watcher.check(&app(ctx).store).await?;
        Ok(watcher)
    }

    /// Refuses who is no owner any more.
    async fn check(&mut self, store: &Store) -> Result<()> {
        let asked_at = Instant::now();
        if !Session::is_owner(store, self.organization, self.user).await? {
            return Err(not_owner());
        }
        self.checked_at = asked_at;
        Ok(())
    }

    /// Does so when the last answer is older than a silence: events that were read together may be sent one by one to
    /// a slow reader.
    async fn check_if_old(&mut self, store: &Store) -> Result<()> {
        if self.checked_at.elapsed() < SILENCE {
            return Ok(());
        }
        self.check(store).await
    }
}

fn place(run: RunId, cursor: &str) -> Result<i64> {
    match EventCursor::of(cursor) {
        Some(EventCursor(of, sequence)) if of == run => Ok(sequence),
        _ => Err(Failure::bad_input("The cursor is none of this run.")),
    }
}

/// Reads an id to watch; one of nothing watches nothing.
fn only(id: Option<ID>) -> Result<Option<IntegrationId>> {
    let Some(id) = id else { return Ok(None) };
    IntegrationId::local(&id)
        .map(Some)
        .ok_or_else(|| not_found("There is no such integration."))
}

fn no_such_run() -> Failure {
    not_found("There is no such run.")
}

fn not_found(message: &str) -> Failure {
    Failure::NotFound(message.to_owned())
}
