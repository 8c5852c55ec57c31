//! Changing the sync rules.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, OneofObject, SimpleObject};
use lockstep_domain::{ChangeLimit, InboundLimits, InboundRules};

use super::desk::{Begun, Desk, Request, check_revision, shown};
use super::optional::Optional;
use super::team_rules::{GroupTeamRulesInput, ManagerTeamRulesInput};
use super::together::together;
use super::user_error::{
    IntegrationUserError, IntegrationUserErrorCode as Code, Refusal, Stop, refuse, settle,
};
use crate::error::Result;
use crate::object::enums::EmailSource;
use crate::object::integration::Integration;
use crate::signal;

/// Days between two complete reads that an owner can choose.
const FULL_READ_DAYS: std::ops::RangeInclusive<u32> = 1..=30;

/// Where the limits stand in the input.
const LIMITS: &str = "syncRules.inbound.limits";

/// Mutations of sync rules.
#[derive(Default)]
pub(crate) struct RulesMutations;

#[Object]
impl RulesMutations {
    /// Changes the sync rules of an integration; fields that are left out keep their value. Requires
    /// MANAGE_INTEGRATIONS.
    async fn update_sync_rules(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateSyncRulesInput,
    ) -> Result<Option<UpdateSyncRulesPayload>> {
        let (_, user_errors) = settle(|| update(ctx, &input)).await?;
        let integration = shown(ctx, &input.integration_id).await?;
        Ok(Some(UpdateSyncRulesPayload {
            integration,
            user_errors,
        }))
    }
}

async fn update(ctx: &Context<'_>, input: &UpdateSyncRulesInput) -> Result<(), Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let request = Request {
        mutation: "updateSyncRules",
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
    let known = found.as_ref().ok().map(|(integration, _)| integration);
    let revision = check_revision(known, input.expected_revision);
    let rules = match known {
        Some(known) => input.sync_rules.over(&known.rules),
        None => input.sync_rules.over(&InboundRules::default()),
    };
    let ((integration, _), (), rules) = work.all((found, revision, rules))?;
    // Rules that stay as they are need neither a new version nor a new test.
    if rules != integration.rules {
        desk.app
            .store
            .save_rules(&work.tx, &integration, &rules, &desk.actor())
            .await?;
    }
    work.commit(&()).await?;
    signal::integration_changed(desk.app, desk.organization(), integration.id).await;
    Ok(())
}

/// Sync rules of one direction.
#[derive(OneofObject)]
pub(crate) enum SyncRulesInput {
    /// Rules of an inbound integration.
    Inbound(InboundSyncRulesInput),
}

impl SyncRulesInput {
    /// Lays what was given over the present rules.
    pub(super) fn over(&self, present: &InboundRules) -> Result<InboundRules, Stop<Code>> {
        match self {
            Self::Inbound(rules) => rules.over(present),
        }
    }
}

/// What is taken over from the directory; fields that are left out keep their value or take the default.
#[derive(InputObject)]
pub(crate) struct InboundSyncRulesInput {
    /// Whether guest users are synchronized (default false).
    include_guest_users: Option<bool>,
    /// Which attribute the e-mail address is taken from (default MAIL).
    email_source: Option<EmailSource>,
    /// Whether a first contact is also matched by user principal name (default false).
    match_by_user_principal_name: Option<bool>,
    /// Whether missing names are split off the display name (default false).
    derive_names_from_display_name: Option<bool>,
    /// Whether the job title is synchronized (default false).
    sync_job_title: Option<bool>,
    /// Teams for groups (default none).
    group_teams: Option<GroupTeamRulesInput>,
    /// Teams for managers (default none).
    manager_teams: Option<ManagerTeamRulesInput>,
    /// Greatest number of days between two complete reads, 1 to 30 (default 7).
    full_read_every_days: Option<i32>,
    /// Limits per run.
    limits: Option<InboundLimitsInput>,
}

/// Limits of an inbound run; fields that are left out keep their value or take the default.
#[derive(InputObject)]
pub(crate) struct InboundLimitsInput {
    /// Deactivations of users (default 5, 10 percent, at most 500).
    user_deactivations: Option<ChangeLimitInput>,
    /// Archivals of teams (default 3, 20 percent).
    team_archivals: Option<ChangeLimitInput>,
    /// Members that one team loses (default 9, 50 percent).
    member_removals_per_team: Option<ChangeLimitInput>,
    /// Changes of e-mail addresses (default 10, 5 percent).
    email_changes: Option<ChangeLimitInput>,
}

/// A limit on changes of one category; fields that are left out keep their value or take the default. A limit needs a
/// share or a greatest number.
#[derive(InputObject)]
pub(crate) struct ChangeLimitInput {
    /// Up to this many changes are never held, however great their share.
    allowance: Option<i32>,
    /// Greatest share, 0 to 100 percent; null for no limit on the share.
    percent: Optional<i32>,
    /// Greatest number whatever the share; null for none.
    maximum: Optional<i32>,
}

impl InboundSyncRulesInput {
    fn over(&self, present: &InboundRules) -> Result<InboundRules, Stop<Code>> {
        let Self {
            include_guest_users,
            email_source,
            match_by_user_principal_name,
            derive_names_from_display_name,
            sync_job_title,
            group_teams,
            manager_teams,
            full_read_every_days,
            limits,
        } = self;
        let (group_teams, full_read_every_days, limits) = together((
            group_teams.as_ref().map_or_else(
                || Ok(present.group_teams.clone()),
                |rules| rules.over(&present.group_teams),
            ),
            full_read_every_days.map_or(Ok(present.full_read_every_days), checked_days),
            limits.as_ref().map_or_else(
                || Ok(present.limits.clone()),
                |limits| limits.over(&present.limits),
            ),
        ))?;
        Ok(InboundRules {
            include_guest_users: include_guest_users.unwrap_or(present.include_guest_users),
            email_source: email_source.map_or(present.email_source, Into::into),
            match_by_user_principal_name: match_by_user_principal_name
                .unwrap_or(present.match_by_user_principal_name),
            derive_names_from_display_name: derive_names_from_display_name
                .unwrap_or(present.derive_names_from_display_name),
            sync_job_title: sync_job_title.unwrap_or(present.sync_job_title),
            group_teams,
            manager_teams: manager_teams.as_ref().map_or_else(
                || present.manager_teams.clone(),
                |rules| rules.over(&present.manager_teams),
            ),
            full_read_every_days,
            limits,
        })
    }
}

impl InboundLimitsInput {
    fn over(&self, present: &InboundLimits) -> Result<InboundLimits, Stop<Code>> {
        let Self {
            user_deactivations,
            team_archivals,
            member_removals_per_team,
            email_changes,
        } = self;
        let limit = |given: &Option<ChangeLimitInput>, present, name: &str| match given {
            Some(given) => given.over(present, &format!("{LIMITS}.{name}")),
            None => Ok(present),
        };
        let (user_deactivations, team_archivals, member_removals_per_team, email_changes) =
            together((
                limit(
                    user_deactivations,
                    present.user_deactivations,
                    "userDeactivations",
                ),
                limit(team_archivals, present.team_archivals, "teamArchivals"),
                limit(
                    member_removals_per_team,
                    present.member_removals_per_team,
                    "memberRemovalsPerTeam",
                ),
                limit(email_changes, present.email_changes, "emailChanges"),
            ))?;
        Ok(InboundLimits {
            user_deactivations,
            team_archivals,
            member_removals_per_team,
            email_changes,
        })
    }
}

impl ChangeLimitInput {
    /// Lays what was given over the present limit; null takes a share or a greatest number away.
    fn over(&self, present: ChangeLimit, path: &str) -> Result<ChangeLimit, Stop<Code>> {
        let Self {
            allowance,
            percent,
            maximum,
        } = self;
        let at = |field: &str| format!("{path}.{field}");
        let (allowance, percent, maximum) = together((
            allowance.map_or(Ok(present.allowance), |allowance| {
                number(allowance, u32::MAX, &at("allowance"))
            }),
            percent.check(|percent| number(*percent, 100, &at("percent"))),
            maximum.check(|maximum| number(*maximum, u32::MAX, &at("maximum"))),
        ))?;
        let limit = ChangeLimit {
            allowance,
            percent: laid(percent, present.percent),
            maximum: laid(maximum, present.maximum),
        };
        if limit.percent.is_none() && limit.maximum.is_none() {
            let message = "Give `percent` or `maximum` as well: without a share and a greatest number nothing would ever be held.";
            return Err(refuse(Code::Required, message).at(path).into());
        }
        Ok(limit)
    }
}

/// The value that was given, none for null, or else the present one.
fn laid<T>(given: MaybeUndefined<T>, present: Option<T>) -> Option<T> {
    match given {
        MaybeUndefined::Undefined => present,
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(value) => Some(value),
    }
}

fn number(given: i32, greatest: u32, path: &str) -> Result<u32, Refusal<Code>> {
    u32::try_from(given)
        .ok()
        .filter(|number| *number <= greatest)
        .ok_or_else(|| {
            let message = match greatest {
                u32::MAX => "Enter 0 or more.".to_owned(),
                _ => format!("Enter 0 to {greatest}."),
            };
            refuse(Code::Invalid, message).at(path)
        })
}

fn checked_days(days: i32) -> Result<u32, Refusal<Code>> {
    u32::try_from(days)
        .ok()
        .filter(|days| FULL_READ_DAYS.contains(days))
        .ok_or_else(|| {
            let message = format!(
                "Choose {} to {} days.",
                FULL_READ_DAYS.start(),
                FULL_READ_DAYS.end()
            );
            refuse(Code::Invalid, message).at("syncRules.inbound.fullReadEveryDays")
        })
}

/// Input of `updateSyncRules`.
#[derive(InputObject)]
pub(crate) struct UpdateSyncRulesInput {
    /// The global id of the integration.
    integration_id: ID,
    /// The rules; they must fit the direction of the integration.
    sync_rules: SyncRulesInput,
    /// Refuses the change when the integration has another revision by now.
    expected_revision: Option<i32>,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `updateSyncRules`.
#[derive(SimpleObject)]
pub(crate) struct UpdateSyncRulesPayload {
    /// The integration after the change, null when it was not found.
    integration: Option<Integration>,
    /// Expected failures; empty on success.
    user_errors: Vec<IntegrationUserError>,
}

#[cfg(test)]
mod tests {
    use async_graphql::{InputType as _, Value};

    use super::*;

    fn optional(value: &Value) -> Optional<i32> {
        Optional::parse(Some(value.clone()))
            .unwrap_or_else(|_| panic!("{value} is a number or null"))
    }

    fn left_out() -> Optional<i32> {
        Optional::parse(None).unwrap_or_else(|_| panic!("nothing is something to leave out"))
    }

    const PRESENT: ChangeLimit = ChangeLimit {
        allowance: 5,
        percent: Some(10),
        maximum: Some(500),
    };

    /// The limit, or codes and paths of what is wrong.
    fn over(given: &ChangeLimitInput, present: ChangeLimit) -> Result<ChangeLimit, Vec<String>> {
        given.over(present, "limit").map_err(|stop| match stop {
            Stop::Refused(refusals) => refusals
                .into_iter()
                .map(|r| format!("{:?} {}", r.code, r.path.unwrap_or_default().join(".")))
                .collect(),
            Stop::Failed(_) => Vec::new(),
        })
    }

    #[test]
    fn d48_a_limit_given_in_part_keeps_its_other_numbers() {
        let given = ChangeLimitInput {
            allowance: Some(6),
            percent: left_out(),
            maximum: left_out(),
        };
        let expected = ChangeLimit {
            allowance: 6,
            ..PRESENT
        };
        assert_eq!(over(&given, PRESENT), Ok(expected));
        let given = ChangeLimitInput {
            allowance: None,
            percent: optional(&Value::Null),
            maximum: left_out(),
        };
        let expected = ChangeLimit {
            percent: None,
            ..PRESENT
        };
        assert_eq!(over(&given, PRESENT), Ok(expected));
        let nothing = ChangeLimitInput {
            allowance: None,
            percent: left_out(),
            maximum: left_out(),
        };
        assert_eq!(over(&nothing, PRESENT), Ok(PRESENT));
    }

    #[test]
    fn d48_a_limit_without_a_share_and_a_greatest_number_is_refused() {
        let none = ChangeLimitInput {
            allowance: Some(6),
            percent: optional(&Value::Null),
            maximum: optional(&Value::Null),
        };
        let refused = Err(vec!["Required input.limit".to_owned()]);
        assert_eq!(over(&none, PRESENT), refused);
        let rest = ChangeLimitInput {
            allowance: None,
            percent: left_out(),
            maximum: optional(&Value::Null),
        };
        let no_share = ChangeLimit {
            percent: None,
            ..PRESENT
        };
        assert_eq!(over(&rest, no_share), refused);
    }

    #[test]
    fn limits_are_checked_number_by_number() {
        let given = ChangeLimitInput {
            allowance: Some(-1),
            percent: optional(&Value::from(101)),
            maximum: optional(&Value::from(-1)),
        };
        let refused = ["allowance", "percent", "maximum"];
        let refused = refused.map(|field| format!("Invalid input.limit.{field}"));
        assert_eq!(over(&given, PRESENT), Err(refused.to_vec()));
        let whole = ChangeLimitInput {
            allowance: Some(0),
            percent: optional(&Value::from(100)),
            maximum: optional(&Value::from(0)),
        };
        assert!(over(&whole, PRESENT).is_ok());
    }

    #[test]
    fn days_between_complete_reads_are_1_to_30() {
        assert_eq!(checked_days(30).ok(), Some(30));
        assert!(checked_days(0).is_err() && checked_days(31).is_err() && checked_days(-1).is_err());
    }
}
