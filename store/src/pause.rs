//! Whether automatic runs start: activation, pause, and what ends it.

use chrono::{DateTime, Utc};
use lockstep_domain::{
    IntegrationId, IntegrationState, PauseReason, PauseResolution, RunError, RunId, schedule,
};
use lockstep_entity::integration;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde::{Deserialize, Serialize};

use crate::column::to_json;
use crate::integration::{Integration, Touches};
use crate::{Store, StoreError, Tx};

/// When the next run starts, and the slot it stands for; a probe after a failure has none.
pub(crate) type NextStart = (DateTime<Utc>, Option<DateTime<Utc>>);

/// Why and since when automatic runs are paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The cause.
    pub reason: PauseReason,
    /// The cause in a sentence.
    pub message: String,
    /// What a person can do.
    pub remediation: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The run whose failure caused it.
    pub run_id: Option<RunId>,
    /// The error of that run.
    pub error: Option<RunError>,
    /// What ends it.
    pub resolution: PauseResolution,
    /// How often the service has tried again by itself.
    pub attempts: u32,
    /// When the service tries again by itself.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Activates an integration: the schedule begins. The caller queues the first run in the same transaction (E-061).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn activate(&self, tx: &Tx, integration: &Integration) -> Result<(), StoreError> {
        let next = self.next_start(integration);
        self.set_state(tx, integration.id, IntegrationState::Active, None, next)
            .await?;
        self.touch_integration(tx, integration.id, Touches::Nothing)
            .await
    }

    /// Deactivates an integration: nothing runs any more; users, links and settings stay (E-093 to E-095).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deactivate(&self, tx: &Tx, id: IntegrationId) -> Result<(), StoreError> {
        self.set_state(tx, id, IntegrationState::Inactive, None, None)
            .await?;
        self.touch_integration(tx, id, Touches::Nothing).await
    }

    /// Ends a pause: the schedule goes on (E-101).
    pub(crate) async fn resume(
        &self,
        tx: &Tx,
        integration: &Integration,
    ) -> Result<(), StoreError> {
        let next = self.next_start(integration);
        self.set_state(tx, integration.id, IntegrationState::Active, None, next)
            .await
    }

    /// Pauses automatic runs (E-099). A passing fault is tried again by itself, at growing distances (D-60).
    pub(crate) async fn pause(
        &self,
        tx: &Tx,
        integration: &Integration,
        run: RunId,
        error: &RunError,
    ) -> Result<(), StoreError> {
        let before = integration.pause.as_ref();
        let attempts = before.map_or(0, |pause| pause.attempts + 1);
        let passes = error.code.passes_by_itself();
        let next = passes.then(|| self.now() + probe_after(attempts));
        let pause = Pause {
            reason: pause_reason(error),
            message: error.message.clone(),
            remediation: error.remediation.clone().unwrap_or_else(|| {
                "Look at the error of the run, then start a run by hand.".to_owned()
            }),
            since: before.map_or_else(|| self.now(), |pause| pause.since),
            run_id: Some(run),
            error: Some(error.clone()),
            resolution: if passes {
                PauseResolution::Automatic
            } else {
                PauseResolution::TestOrRun
            },
            attempts,
            next_attempt_at: next,
        };
        self.set_state(
            tx,
            integration.id,
            IntegrationState::Paused,
            Some(&pause),
            next.map(|at| (at, None)),
        )
        .await
    }

    async fn set_state(
        &self,
        tx: &Tx,
        id: IntegrationId,
        state: IntegrationState,
        pause: Option<&Pause>,
        next: Option<NextStart>,
    ) -> Result<(), StoreError> {
        integration::Entity::update_many()
            .col_expr(integration::Column::State, state.as_str().into())
            .col_expr(integration::Column::Pause, pause.map(to_json).into())
            .col_expr(
                integration::Column::NextStartAt,
                next.map(|(start, _)| start).into(),
            )
            .col_expr(
                integration::Column::NextSlotAt,
                next.and_then(|(_, slot)| slot).into(),
            )
            .filter(integration::Column::Id.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("change the state of an integration"))?;
        Ok(())
    }

    /// When the next scheduled run starts, and the slot it stands for.
    pub(crate) fn next_start(&self, integration: &Integration) -> Option<NextStart> {
        let schedule =
            schedule::Schedule::parse(&integration.schedule_cron, &integration.schedule_zone)
                .ok()?;
        let slot = schedule.next_after(self.now())?;
        Some((slot + schedule::jitter(integration.id), Some(slot)))
    }
}

/// D-60: after 15 minutes, 1, 6, 12 and 24 hours, then daily.
fn probe_after(attempts: u32) -> chrono::Duration {
    match attempts {
        0 => chrono::Duration::minutes(15),
        1 => chrono::Duration::hours(1),
        2 => chrono::Duration::hours(6),
        3 => chrono::Duration::hours(12),
        _ => chrono::Duration::hours(24),
    }
}

fn pause_reason(error: &RunError) -> PauseReason {
    use lockstep_domain::RunErrorCode as Code;
    match error.code {
        Code::CredentialExpired => PauseReason::CredentialExpired,
        Code::InvalidClientSecret
        | Code::TenantNotFound
        | Code::ClientNotFound
        | Code::ClientDisabled
        | Code::BlockedByPolicy
        | Code::TokenRejected => PauseReason::CredentialsRejected,
        Code::PermissionMissing => PauseReason::PermissionMissing,
        Code::Throttled | Code::ProviderUnavailable | Code::ProviderBadResponse => {
            PauseReason::ProviderUnavailable
        }
        Code::ProviderRejected
        | Code::IncompleteRead
        | Code::TooManyFailures
        | Code::WorkerLost
        | Code::StorageFull
        | Code::KeyUnavailable
        | Code::Internal => PauseReason::RunFailed,
    }
}
