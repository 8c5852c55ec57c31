//! The scheduler's part of the database: starting what is due, exactly once.

use chrono::TimeDelta;
use lockstep_domain::{IntegrationId, IntegrationState, RunId, RunKind, RunTriggerKind};
use lockstep_entity::integration;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::integration::Integration;
use crate::organization::INBOUND_SYNC;
use crate::run::{NewRun, Requested};
use crate::{Store, StoreError};

/// When a probe that came to nothing is followed by another.
const PROBE_AGAIN: TimeDelta = TimeDelta::days(1);

/// Schedules that are started in one round.
const MAX_DUE: u64 = 200;

impl Store {
    /// Starts the runs that are due. Several schedulers at once are harmless: a slot has one run, and whoever comes
    /// second finds the next start already moved.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start_due_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let due: Vec<(Uuid, Uuid)> = integration::Entity::find()
            .select_only()
            .columns([integration::Column::OrganizationId, integration::Column::Id])
            .filter(integration::Column::NextStartAt.lte(self.now()))
            .order_by_asc(integration::Column::NextStartAt)
            .limit(MAX_DUE)
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("look for due schedules"))?;
        let mut started = Vec::new();
        for (organization, id) in due {
            // One that cannot be started must not keep the others from being started.
            match self.start_due_run(organization, id.into()).await {
                Ok(run) => started.extend(run),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(integration.id = %id, error = %error, cause, "A due run could not be started");
                }
            }
        }
        Ok(started)
    }

    async fn start_due_run(
        &self,
        organization: Uuid,
        id: IntegrationId,
    ) -> Result<Option<RunId>, StoreError> {
        let operation = "start a scheduled run";
        let entitled = self.is_entitled(organization.into(), INBOUND_SYNC).await?;
        let tx = self.begin().await?;
        let Some((integration, row)) = self.lock_integration(&tx, organization.into(), id).await?
        else {
            return Ok(None);
        };
        if integration.next_start_at.is_none_or(|at| at > self.now()) {
            return Ok(None);
        }
        let trigger = match integration.state {
            IntegrationState::Active => RunTriggerKind::Schedule,
            IntegrationState::Paused => RunTriggerKind::AutomaticRetry,
            IntegrationState::Draft | IntegrationState::Inactive => return Ok(None),
        };
        // A slot that was missed runs once. A probe has no slot; when it fails the pause plans the next one, and should
        // it come to nothing, as without the add-on, there is another one in a day.
        let next = match integration.state {
            IntegrationState::Active => self.next_start(&integration),
            _ => Some((self.now() + PROBE_AGAIN, None)),
        };
        let slot_at = row.next_slot_at;
        self.move_next_start(&tx, &integration, next).await?;
        let new = NewRun {
            kind: RunKind::Sync,
            trigger,
            by: None,
            full: false,
            slot_at,
        };
        let requested = if entitled {
            Some(self.request_run(&tx, &row, &new).await?)
        } else {
            None
        };
        tx.commit().await.map_err(StoreError::of(operation))?;
        Ok(match requested {
            Some(Requested::Queued(run)) => Some(run.id),
            Some(Requested::Busy(_)) | None => None,
        })
    }

    async fn move_next_start(
        &self,
        tx: &crate::Tx,
        integration: &Integration,
        next: Option<(
            chrono::DateTime<chrono::Utc>,
            Option<chrono::DateTime<chrono::Utc>>,
        )>,
    ) -> Result<(), StoreError> {
        integration::Entity::update_many()
            .col_expr(
                integration::Column::NextStartAt,
                next.map(|(start, _)| start).into(),
            )
            .col_expr(
                integration::Column::NextSlotAt,
                next.and_then(|(_, slot)| slot).into(),
            )
            .filter(integration::Column::Id.eq(integration.id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("move a schedule"))?;
        Ok(())
    }
}
