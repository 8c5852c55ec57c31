//! Schedules: when automatic runs start (D-65).

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;

use crate::id::IntegrationId;

/// Greatest delay between a slot and the start of its run: spreads the load of many organizations (D-65).
pub const MAX_JITTER: Duration = Duration::minutes(10);

/// The schedule of an inbound integration: every day at 04:00 UTC (E-062).
pub const DAILY: &str = "0 4 * * *";

/// A cron expression read in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: Tz,
}

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// The expression is not one of five fields.
    #[error(
        "{0:?} is not a cron expression of five fields (minute, hour, day of month, month, day of week)"
    )]
    Cron(String),
    /// The time zone is not known.
    #[error("{0:?} is not an IANA time zone such as Europe/London")]
    Zone(String),
}

impl Schedule {
    /// Reads a cron expression of five fields and an IANA time zone.
    ///
    /// # Errors
    /// Names the part that cannot be read.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, InvalidSchedule> {
        let bad = || InvalidSchedule::Cron(cron.to_owned());
        if cron.split_whitespace().count() != 5 {
            return Err(bad());
        }
        let zone = zone
            .parse()
            .map_err(|_| InvalidSchedule::Zone(zone.to_owned()))?;
        let cron = CronParser::new().parse(cron).map_err(|_| bad())?;
        Ok(Self { cron, zone })
    }

    /// Returns the first slot after `now`, none when there is none any more.
    #[must_use]
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = now.with_timezone(&self.zone);
        self.cron
            .find_next_occurrence(&local, false)
            .ok()
            .map(|slot| slot.with_timezone(&Utc))
    }

    /// Returns the next `count` slots after `now`.
    #[must_use]
    pub fn upcoming(&self, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(now), |slot| self.next_after(*slot))
            .take(count)
            .collect()
    }

    /// Returns the expression in words, for example `Every day at 04:00 UTC`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} ({})", self.cron.describe(), self.zone)
    }
}

/// Returns how long after its slot a run of the integration starts: the same every day, 0 to 10 minutes.
#[must_use]
pub fn jitter(integration: IntegrationId) -> Duration {
    let seconds = integration.0.as_u128() % (MAX_JITTER.num_seconds().unsigned_abs() as u128 + 1);
    Duration::seconds(i64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn e062_the_daily_run_is_at_four_utc_whatever_the_season() {
        let daily = Schedule::parse(DAILY, "UTC").unwrap();
        assert_eq!(
            daily.next_after(at("2026-03-28T12:00:00Z")),
            Some(at("2026-03-29T04:00:00Z"))
        );
        assert_eq!(
            daily.next_after(at("2026-03-29T04:00:00Z")),
            Some(at("2026-03-30T04:00:00Z"))
        );
        assert_eq!(
            daily.next_after(at("2026-10-25T03:59:59Z")),
            Some(at("2026-10-25T04:00:00Z"))
        );
    }

    #[test]
    fn schedules_are_read_in_their_zone() {
        let thrice = Schedule::parse("0 4,8,12 * * *", "Europe/London").unwrap();
        assert_eq!(
            thrice.upcoming(at("2026-07-01T00:00:00Z"), 3),
            [
                at("2026-07-01T03:00:00Z"),
                at("2026-07-01T07:00:00Z"),
                at("2026-07-01T11:00:00Z")
            ]
        );
    }

    #[test]
    fn d65_the_jitter_is_stable_and_at_most_ten_minutes() {
        for n in 0..1000_u128 {
            let id = IntegrationId(uuid::Uuid::from_u128(n * 7919));
            assert_eq!(jitter(id), jitter(id));
            assert!(jitter(id) >= Duration::zero() && jitter(id) <= MAX_JITTER);
        }
    }

    #[test]
    fn bad_schedules_name_what_is_wrong() {
        assert!(matches!(
            Schedule::parse("every day", "UTC"),
            Err(InvalidSchedule::Cron(_))
        ));
        assert!(matches!(
            Schedule::parse("99 4 * * *", "UTC"),
            Err(InvalidSchedule::Cron(_))
        ));
        assert!(matches!(
            Schedule::parse("* 0 4 * * *", "UTC"),
            Err(InvalidSchedule::Cron(_))
        ));
        assert!(matches!(
            Schedule::parse(DAILY, "Moon/Sea"),
            Err(InvalidSchedule::Zone(_))
        ));
    }
}
