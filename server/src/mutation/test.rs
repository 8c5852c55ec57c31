//! Testing settings: a worker makes the test, because it alone can open a secret.

use std::time::Duration;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use futures::StreamExt as _;
use lockstep_domain::{CheckStatus, InboundRules, TestId};
use lockstep_queue::{Signal, SignalStream};
use lockstep_store::connection_test::{ConnectionTest, NewTest};
use tokio::time::{Instant, timeout};

use super::credential::{EntraCredentialInput, Given};
use super::desk::{Begun, Desk, Request};
use super::rules::SyncRulesInput;
use super::user_error::{IntegrationUserError, IntegrationUserErrorCode as Code, Stop, settle};
use crate::error::{Failure, Result};
use crate::object::check::IntegrationTest;
use crate::signal;

/// How long the mutation waits for the worker; a slower test is answered as RUNNING.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long no signal is waited for before the row is read again.
const SILENCE: Duration = Duration::from_millis(500);

/// Mutations that test.
#[derive(Default)]
pub(crate) struct TestMutations;

#[Object]
impl TestMutations {
    /// Tests saved settings, or settings not saved yet, and answers with one result per check. Changes nothing. A test
    /// that takes long is answered with the status RUNNING; ask for it again with `node`. Requires
    /// MANAGE_INTEGRATIONS.
    async fn test_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to test.")] input: TestIntegrationInput,
    ) -> Result<Option<TestIntegrationPayload>> {
        let (test, user_errors) = settle(|| test(ctx, &input)).await?;
        Ok(Some(TestIntegrationPayload {
            test: test.map(IntegrationTest::from),
            user_errors,
        }))
    }
}

async fn test(
    ctx: &Context<'_>,
    input: &TestIntegrationInput,
) -> Result<ConnectionTest, Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    // Before the worker is woken, so that its signal cannot be missed.
    let signals = desk.app.queue.bus().subscribe();
    let id = request(&desk, input).await?;
    Ok(answer(&desk, id, signals).await?)
}

/// Stores what is to be tested and wakes a worker.
async fn request(desk: &Desk<'_>, input: &TestIntegrationInput) -> Result<TestId, Stop<Code>> {
    let request = Request {
        mutation: "testIntegration",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let found = work
        .integration(desk.organization(), &input.integration_id)
        .await;
    let known = found.as_ref().ok().map(|(integration, _)| integration);
    let stored = match known {
        Some(known) => desk.app.store.credential_in(&work.tx, known.id).await?,
        None => None,
    };
    let credential = input
        .credential
        .as_ref()
        .map(|credential| Given::check(credential, stored.as_ref()))
        .transpose();
    let rules = input.sync_rules.as_ref().map(|rules| match known {
        Some(known) => rules.over(&known.rules),
        None => rules.over(&InboundRules::default()),
    });
    let ((integration, _), credential, rules) = work.all((found, credential, rules.transpose()))?;
    let secret = match &credential {
        Some(given) => given.seal(desk, integration.id)?,
        None => None,
    };
    let new = NewTest {
        app: credential.map(|given| given.app),
        secret,
        rules,
        by: desk.actor(),
    };
    let test = desk
        .app
        .store
        .request_test(&work.tx, &integration, &new)
        .await?;
    work.commit(&test.id).await?;
    signal::wake_test(desk.app, test.id).await;
    Ok(test.id)
}

/// Waits for the end of a test, but not for ever.
async fn answer(desk: &Desk<'_>, id: TestId, mut signals: SignalStream) -> Result<ConnectionTest> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let test = desk.app.store.test(desk.organization(), id).await?;
        let test = test.ok_or_else(|| Failure::Fault("a test has vanished".to_owned()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        if test.status != CheckStatus::Running || left.is_zero() {
            return Ok(test);
        }
        // Either way the row is read again.
        let _ = timeout(SILENCE.min(left), told(&mut signals, id)).await;
    }
}

/// Waits for the signal of a test; for ever when there are no more signals.
async fn told(signals: &mut SignalStream, id: TestId) {
    while let Some(signal) = signals.next().await {
        if matches!(signal, Signal::Test { test_id, .. } if test_id == id) {
            return;
        }
    }
    std::future::pending().await
}

/// Input of `testIntegration`. Values given here are used for the test only and are not saved.
#[derive(InputObject)]
pub(crate) struct TestIntegrationInput {
    /// The global id of the integration.
    integration_id: ID,
    /// Credentials to test instead of the saved ones.
    credential: Option<EntraCredentialInput>,
    /// Sync rules to test instead of the saved ones.
    sync_rules: Option<SyncRulesInput>,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `testIntegration`. A test whose checks fail is a success of the mutation: look at `test.status`.
#[derive(SimpleObject)]
pub(crate) struct TestIntegrationPayload {
    /// The result, null when there are errors.
    test: Option<IntegrationTest>,
    /// Expected failures; empty on success.
    user_errors: Vec<IntegrationUserError>,
}
