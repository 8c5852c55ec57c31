//! When runs start, and how old the data is.

use std::sync::Arc;

use async_graphql::{Context, Object};
use chrono::{DateTime, TimeDelta, Utc};
use lockstep_domain::{IntegrationState, Schedule, schedule::DAILY};
use lockstep_store::integration::Integration;

use super::enums::SchedulePreset;
use crate::app;
use crate::error::{Failure, Result};
use crate::scalar::{CronExpression, TimeZone, Timestamp, int};

/// Greatest number of start times that are told at once.
const MAX_UPCOMING: i32 = 20;

/// The schedule of an integration.
pub(crate) struct SyncSchedule(pub(crate) Arc<Integration>);

impl SyncSchedule {
    fn is_daily(&self) -> bool {
        self.0.schedule_cron == DAILY && self.0.schedule_zone == "UTC"
    }
}

/// When automatic runs start.
#[Object]
impl SyncSchedule {
    /// The preset in use.
    async fn preset(&self) -> SchedulePreset {
        // The only one: nothing sets another schedule yet.
        SchedulePreset::Daily
    }

    /// The cron expression, read in `timeZone`.
    async fn cron(&self) -> CronExpression {
        CronExpression(self.0.schedule_cron.clone())
    }

    /// Time zone in which the cron expression is read.
    async fn time_zone(&self) -> TimeZone {
        TimeZone(self.0.schedule_zone.clone())
    }

    /// The expression in English words, for example `Every day at 04:00 UTC`.
    async fn description(&self) -> Result<String> {
        if self.is_daily() {
            return Ok("Every day at 04:00 UTC".to_owned());
        }
        Ok(schedule(&self.0)?.describe())
    }

    /// The next start times while the integration is active; each may be up to 10 minutes late, to spread the load.
    async fn upcoming(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return (1 to 20).", default = 5)] first: i32,
    ) -> Result<Vec<Timestamp>> {
        if !(1..=MAX_UPCOMING).contains(&first) {
            return Err(Failure::bad_input(format!(
                "`first` goes from 1 to {MAX_UPCOMING}."
            )));
        }
        if self.0.state != IntegrationState::Active {
            return Ok(Vec::new());
        }
        let count = usize::try_from(first).unwrap_or_default();
        let times = schedule(&self.0)?.upcoming(app(ctx).store.now(), count);
        Ok(times.into_iter().map(Timestamp).collect())
    }
}

/// How old the data of an integration is.
pub(crate) struct DataFreshness(pub(crate) Arc<Integration>);

/// How old the data of an integration is.
#[Object]
impl DataFreshness {
    /// When the directory was last read and applied, null when never.
    async fn data_as_of(&self) -> Option<Timestamp> {
        self.0.data_as_of.map(Timestamp)
    }

    /// Age of the data in seconds, null when there is none.
    async fn age_seconds(&self, ctx: &Context<'_>) -> Option<i32> {
        let as_of = self.0.data_as_of?;
        Some(int((app(ctx).store.now() - as_of).num_seconds().max(0)))
    }

    /// Whether the data is older than twice the interval of the schedule, even if no run failed.
    async fn is_stale(&self, ctx: &Context<'_>) -> Result<bool> {
        let Some(as_of) = self.0.data_as_of else {
            return Ok(false);
        };
        let now = app(ctx).store.now();
        let interval = interval(&schedule(&self.0)?, now);
        Ok(interval.is_some_and(|interval| now - as_of > interval * 2))
    }

    /// How long the next run is likely to take, in milliseconds, null when not known.
    async fn expected_duration_ms(&self, ctx: &Context<'_>) -> Result<Option<i32>> {
        let run = app(ctx).store.latest_finished_run(self.0.id).await?;
        let duration = run
            .filter(|run| run.state.is_success())
            .and_then(|run| Some(run.finished_at? - run.started_at?));
        Ok(duration.map(|duration| int(duration.num_milliseconds().max(0))))
    }
}

fn schedule(integration: &Integration) -> Result<Schedule> {
    let schedule = Schedule::parse(&integration.schedule_cron, &integration.schedule_zone);
    schedule.map_err(|error| Failure::fault(&error))
}

fn interval(schedule: &Schedule, now: DateTime<Utc>) -> Option<TimeDelta> {
    match schedule.upcoming(now, 2).as_slice() {
        [first, second] => Some(*second - *first),
        _ => None,
    }
}
