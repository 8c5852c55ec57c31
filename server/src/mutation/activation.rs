//! Switching an integration on and off.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::{IntegrationState, RunKind, RunTriggerKind};
use lockstep_store::credential::Credential;
use lockstep_store::integration as stored;
use lockstep_store::run::{NewRun, Requested};

use super::credential::in_use;
use super::desk::{Begun, Desk, Request, Work, check_revision, shown};
use super::together::together;
use super::user_error::{
    IntegrationUserError, IntegrationUserErrorCode as Code, Refusal, Stop, refuse, settle,
};
use crate::error::Result;
use crate::loader::Loaders;
use crate::object::integration::Integration;
use crate::object::readiness;
use crate::object::run::Run;
use crate::signal;

/// Mutations that switch integrations on and off.
#[derive(Default)]
pub(crate) struct ActivationMutations;

#[Object]
impl ActivationMutations {
    /// Activates an integration and starts its first run. Requires MANAGE_INTEGRATIONS.
    async fn activate_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to activate.")] input: ActivateIntegrationInput,
    ) -> Result<Option<ActivateIntegrationPayload>> {
        let (run, user_errors) = settle(|| activate(ctx, &input)).await?;
        let run = match run {
            Some(run) => Loaders::one(ctx, run).await?.map(Run::from),
            None => None,
        };
        let integration = shown(ctx, &input.integration_id).await?;
        Ok(Some(ActivateIntegrationPayload {
            integration,
            run,
            user_errors,
        }))
    }

    /// Deactivates an integration and cancels its run, if one is going on. Requires MANAGE_INTEGRATIONS.
    async fn deactivate_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to deactivate.")] input: DeactivateIntegrationInput,
    ) -> Result<Option<DeactivateIntegrationPayload>> {
        let (_, user_errors) = settle(|| deactivate(ctx, &input)).await?;
        let integration = shown(ctx, &input.integration_id).await?;
        Ok(Some(DeactivateIntegrationPayload {
            integration,
            user_errors,
        }))
    }
}

async fn activate(
    ctx: &Context<'_>,
    input: &ActivateIntegrationInput,
) -> Result<lockstep_domain::RunId, Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let request = Request {
        mutation: "activateIntegration",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(run) => return Ok(run),
    };
    let found = work
        .integration(desk.organization(), &input.integration_id)
        .await;
    let known = found.as_ref().ok().map(|(integration, _)| integration);
    let revision = check_revision(known, input.expected_revision);
    let ready = match known {
        Some(known) => check_ready(&desk, &work, known).await,
        None => Ok(()),
    };
    let ((integration, row), (), ()) = work.all((found, revision, ready))?;
    let store = &desk.app.store;
    store.activate(&work.tx, &integration).await?;
    let new = NewRun {
        kind: RunKind::Sync,
        trigger: RunTriggerKind::Activation,
        by: Some(desk.actor()),
        full: false,
        slot_at: None,
    };
    let Requested::Queued(run) = store.request_run(&work.tx, &row, &new).await? else {
        // Without its first run an activation would not be one.
        let message = "The run that was going on before is still stopping. Try again in a moment.";
        return Err(refuse(Code::WrongState, message).into());
    };
    work.commit(&run.id).await?;
    signal::run_queued(desk.app, &run).await;
    signal::integration_changed(desk.app, desk.organization(), integration.id).await;
    Ok(run.id)
}

async fn check_ready(
    desk: &Desk<'_>,
    work: &Work<'_>,
    integration: &stored::Integration,
) -> Result<(), Stop<Code>> {
    match integration.state {
        IntegrationState::Draft | IntegrationState::Inactive => {}
        IntegrationState::Active | IntegrationState::Paused => {
            return Err(refuse(Code::WrongState, "The integration is activated already.").into());
        }
    }
    let store = &desk.app.store;
    let credential = store.credential_in(&work.tx, integration.id).await?;
    // The add-on was looked for when the desk was opened.
    let blockers = readiness::blockers(integration, credential.as_ref(), true, store.now());
    let tenant = check_tenant(desk, work, integration, credential.as_ref()).await;
    let ready = not_ready(&blockers).map_or(Ok(()), Err);
    together((ready, tenant)).map(|_| ())
}

/// Refuses a tenant that another inbound integration of the organization reads, or has linked users from.
async fn check_tenant(
    desk: &Desk<'_>,
    work: &Work<'_>,
    integration: &stored::Integration,
    credential: Option<&Credential>,
) -> Result<(), Stop<Code>> {
    let Some(Credential {
        app,
        resolved_tenant_id,
        ..
    }) = credential
    else {
        return Ok(());
    };
    let (own, resolved) = (Some(integration.id), resolved_tenant_id.as_deref());
    let readers = desk
        .app
        .store
        .tenant_readers(&work.tx, desk.organization(), own, app, resolved)
        .await?;
    let other = readers.iter().find(|reader| reader.is_in_use);
    other.map_or(Ok(()), |other| Err(in_use(other).into()))
}

fn not_ready(blockers: &[lockstep_domain::ActivationBlocker]) -> Option<Refusal<Code>> {
    if blockers.is_empty() {
        return None;
    }
    let messages: Vec<&str> = blockers
        .iter()
        .map(|blocker| readiness::message(*blocker))
        .collect();
    Some(refuse(Code::NotReady, messages.join(" ")))
}

async fn deactivate(
    ctx: &Context<'_>,
    input: &DeactivateIntegrationInput,
) -> Result<(), Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let request = Request {
        mutation: "deactivateIntegration",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(()) => return Ok(()),
    };
    let found = work
        .integration(desk.organization(), &input.integration_id)
        .await;
    let ((integration, _),) = work.all((found,))?;
    if !matches!(
        integration.state,
        IntegrationState::Active | IntegrationState::Paused
    ) {
        return Err(refuse(Code::WrongState, "The integration is not activated.").into());
    }
    let store = &desk.app.store;
    store.deactivate(&work.tx, integration.id).await?;
    let run = store.active_run(&work.tx, integration.id).await?;
    if let Some(run) = &run {
        store.cancel_run(&work.tx, run.id, &desk.actor()).await?;
    }
    work.commit(&()).await?;
    if let Some(run) = run {
        signal::run_changed(desk.app, desk.organization(), run.id).await;
    }
    signal::integration_changed(desk.app, desk.organization(), integration.id).await;
    Ok(())
}

/// Input of `activateIntegration`.
#[derive(InputObject)]
pub(crate) struct ActivateIntegrationInput {
    /// The global id of the integration.
    integration_id: ID,
    /// Refuses the change when the integration has another revision by now.
    expected_revision: Option<i32>,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `activateIntegration`.
#[derive(SimpleObject)]
pub(crate) struct ActivateIntegrationPayload {
    /// The integration after the change, null when it was not found.
    integration: Option<Integration>,
    /// The first run, null when there are errors.
    run: Option<Run>,
    /// Expected failures; empty on success.
    user_errors: Vec<IntegrationUserError>,
}

/// Input of `deactivateIntegration`.
#[derive(InputObject)]
pub(crate) struct DeactivateIntegrationInput {
    /// The global id of the integration.
    integration_id: ID,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `deactivateIntegration`.
#[derive(SimpleObject)]
pub(crate) struct DeactivateIntegrationPayload {
    /// The integration after the change, null when it was not found.
    integration: Option<Integration>,
    /// Expected failures; empty on success.
    user_errors: Vec<IntegrationUserError>,
}
