//! Starting, previewing and stopping runs.

use async_graphql::{Context, ID, InputObject, InputType, Object, SimpleObject};
use lockstep_domain::{RunId, RunKind, RunTriggerKind};
use lockstep_store::credential::Credential;
use lockstep_store::integration::Integration;
use lockstep_store::run::{NewRun, Requested};
use serde::{Deserialize, Serialize};

use super::desk::{Begun, Desk, Request, checked_key};
use super::together::together;
use super::user_error::{Refusal, RunUserError, RunUserErrorCode as Code, Stop, refuse, settle};
use crate::error::Result;
use crate::id::GlobalId as _;
use crate::loader::Loaders;
use crate::object::run::Run;
use crate::session::Session;
use crate::signal;

/// Mutations of runs.
#[derive(Default)]
pub(crate) struct RunMutations;

#[Object]
impl RunMutations {
    /// Starts a run by hand; returns the run that is already queued or running when there is one, with
    /// `alreadyRunning`. A run that succeeds ends a pause. Requires OPERATE_RUNS.
    async fn run_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to run.")] input: RunIntegrationInput,
    ) -> Result<Option<RunIntegrationPayload>> {
        let key = input.idempotency_key.as_deref();
        let request = Request {
            mutation: "runIntegration",
            input: &input,
            key,
        };
        let wish = Wish {
            integration: &input.integration_id,
            kind: RunKind::Sync,
            full: input.full,
        };
        let (started, user_errors) = settle(|| start(ctx, request, wish)).await?;
        let already_running = started.is_some_and(|started| started.already_running);
        let run = shown(ctx, started.map(|started| started.run)).await?;
        Ok(Some(RunIntegrationPayload {
            run,
            already_running,
            user_errors,
        }))
    }

    /// Starts a run that reads the directory, works out the changes and applies none; allowed in every state. Requires
    /// OPERATE_RUNS.
    async fn preview_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to preview.")] input: PreviewRunInput,
    ) -> Result<Option<PreviewRunPayload>> {
        let key = input.idempotency_key.as_deref();
        let request = Request {
            mutation: "previewRun",
            input: &input,
            key,
        };
        let wish = Wish {
            integration: &input.integration_id,
            kind: RunKind::Preview,
            full: false,
        };
        let (started, user_errors) = settle(|| start(ctx, request, wish)).await?;
        let already_running = started.is_some_and(|started| started.already_running);
        let run = shown(ctx, started.map(|started| started.run)).await?;
        Ok(Some(PreviewRunPayload {
            run,
            already_running,
            user_errors,
        }))
    }

    /// Asks a queued or running run to stop; changes already applied stay. Requires OPERATE_RUNS.
    async fn cancel_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to cancel.")] input: CancelRunInput,
    ) -> Result<Option<CancelRunPayload>> {
        let (_, user_errors) = settle(|| cancel(ctx, &input)).await?;
        let run = shown(ctx, RunId::local(&input.run_id)).await?;
        Ok(Some(CancelRunPayload { run, user_errors }))
    }
}

/// A run that is wanted.
#[derive(Clone, Copy)]
struct Wish<'a> {
    integration: &'a ID,
    kind: RunKind,
    full: bool,
}

/// What became of it.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Started {
    run: RunId,
    already_running: bool,
}

async fn start(
    ctx: &Context<'_>,
    request: Request<'_, impl InputType>,
    wish: Wish<'_>,
) -> Result<Started, Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(started) => return Ok(started),
    };
    let found = work
        .integration(desk.organization(), wish.integration)
        .await;
    let ((integration, row),) = work.all((found,))?;
    let store = &desk.app.store;
    let credential = store.credential_in(&work.tx, integration.id).await?;
    together((
        check_state(&integration, wish.kind),
        check_credential(credential.as_ref()),
    ))?;
    let by = Some(desk.actor());
    let new = NewRun {
        kind: wish.kind,
        trigger: RunTriggerKind::Manual,
        by,
        full: wish.full,
        slot_at: None,
    };
    let requested = store.request_run(&work.tx, &row, &new).await?;
    let already_running = matches!(requested, Requested::Busy(_));
    let started = Started {
        run: requested.run().id,
        already_running,
    };
    work.commit(&started).await?;
    if !already_running {
        signal::run_queued(desk.app, requested.run()).await;
    }
    Ok(started)
}

fn check_state(integration: &Integration, kind: RunKind) -> Result<(), Refusal<Code>> {
    if kind == RunKind::Sync && !integration.state.allows_manual_runs() {
        let message = "The integration is not activated; only tests and previews are allowed.";
        return Err(refuse(Code::NotActive, message));
    }
    Ok(())
}

fn check_credential(credential: Option<&Credential>) -> Result<(), Refusal<Code>> {
    if credential.is_none_or(|credential| credential.secret.is_none()) {
        let message = "Tenant ID, client ID or client secret is missing.";
        return Err(refuse(Code::CredentialMissing, message));
    }
    Ok(())
}

async fn cancel(ctx: &Context<'_>, input: &CancelRunInput) -> Result<(), Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let store = &desk.app.store;
    let run = match RunId::local(&input.run_id) {
        Some(id) => store.run(desk.organization(), id).await?,
        None => None,
    };
    let run = run.ok_or_else(|| refuse(Code::NotFound, "There is no such run.").at("runId"));
    let key = input.idempotency_key.as_deref();
    let (run, ()) = together((run, checked_key(key)))?;
    let request = Request {
        mutation: "cancelRun",
        input,
        key,
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(()) => return Ok(()),
    };
    if run.state.has_ended() {
        return Err(refuse(
            Code::AlreadyFinished,
            "The run has ended, so it cannot be canceled.",
        )
        .at("runId")
        .into());
    }
    store.cancel_run(&work.tx, run.id, &desk.actor()).await?;
    work.commit(&()).await?;
    signal::run_changed(desk.app, desk.organization(), run.id).await;
    Ok(())
}

/// Returns the run of a payload: as it is now, none when the viewer may not see it.
async fn shown(ctx: &Context<'_>, id: Option<RunId>) -> Result<Option<Run>> {
    let owner = Session::of(ctx)?.owner();
    let (Some(_), Some(id)) = (owner, id) else {
        return Ok(None);
    };
    Ok(Loaders::one(ctx, id).await?.map(Run::from))
}

/// Input of `runIntegration`.
#[derive(InputObject)]
pub(crate) struct RunIntegrationInput {
    /// The global id of the integration.
    integration_id: ID,
    /// Reads the whole directory instead of what changed since the run before.
    #[graphql(default)]
    full: bool,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `runIntegration`.
#[derive(SimpleObject)]
pub(crate) struct RunIntegrationPayload {
    /// The new run, or the one that is queued or running already; null when there are errors.
    run: Option<Run>,
    /// Whether the run was queued or running already, so that none was started.
    already_running: bool,
    /// Expected failures; empty on success.
    user_errors: Vec<RunUserError>,
}

/// Input of `previewRun`.
#[derive(InputObject)]
pub(crate) struct PreviewRunInput {
    /// The global id of the integration.
    integration_id: ID,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `previewRun`.
#[derive(SimpleObject)]
pub(crate) struct PreviewRunPayload {
    /// The new run, of the kind PREVIEW; null when there are errors.
    run: Option<Run>,
    /// Whether a run was queued or running already, so that none was started; it is returned instead.
    already_running: bool,
    /// Expected failures; empty on success.
    user_errors: Vec<RunUserError>,
}

/// Input of `cancelRun`.
#[derive(InputObject)]
pub(crate) struct CancelRunInput {
    /// The global id of the run.
    run_id: ID,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `cancelRun`.
#[derive(SimpleObject)]
pub(crate) struct CancelRunPayload {
    /// The run after the change, null when it was not found.
    run: Option<Run>,
    /// Expected failures; empty on success.
    user_errors: Vec<RunUserError>,
}
