//! Changing the sync rules.

use async_graphql::{Context, ID, InputObject, Object, OneofObject, SimpleObject};
use lockstep_domain::{ChangeLimit, InboundLimits, InboundRules};

use super::desk::{Begun, Desk, Request, check_revision, shown};
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

/// A limit on changes of one category.
#[derive(InputObject)]
pub(crate) struct ChangeLimitInput {
    /// Up to this many changes are never held, however great their share.
    allowance: i32,
    /// Greatest share, 0 to 100 percent; null for no limit on the share.
    percent: Option<i32>,
    /// Greatest number whatever the share; null for none.
    maximum: Option<i32>,
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
        let (group_teams, days, limits) = together((
            match group_teams {
                Some(rules) => rules.over(&present.group_teams),
                None => Ok(present.group_teams.clone()),
            },
            full_read_every_days.map(checked_days).transpose(),
            match limits {
                Some(limits) => limits.over(&present.limits),
                None => Ok(present.limits.clone()),
            },
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
            manager_teams: match manager_teams {
                Some(rules) => rules.over(&present.manager_teams),
                None => present.manager_teams.clone(),
            },
            full_read_every_days: days.unwrap_or(present.full_read_every_days),
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
            Some(given) => given.check().ok_or_else(|| {
                let message = "A limit has numbers of 0 or more, and a share of 0 to 100 percent.";
                refuse(Code::Invalid, message).at(&format!("syncRules.inbound.limits.{name}"))
            }),
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
    fn check(&self) -> Option<ChangeLimit> {
        let number = |given: Option<i32>| given.map(u32::try_from).transpose().ok();
        let percent = number(self.percent)?;
        let in_range = percent.is_none_or(|percent| percent <= 100);
        let limit = ChangeLimit {
            allowance: u32::try_from(self.allowance).ok()?,
            percent,
            maximum: number(self.maximum)?,
        };
        in_range.then_some(limit)
    }
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
    use super::*;

    fn limit(allowance: i32, percent: Option<i32>, maximum: Option<i32>) -> Option<ChangeLimit> {
        ChangeLimitInput {
            allowance,
            percent,
            maximum,
        }
        .check()
    }

    #[test]
    fn limits_are_checked() {
        let whole = ChangeLimit {
            allowance: 5,
            percent: Some(100),
            maximum: None,
        };
        assert_eq!(limit(5, Some(100), None), Some(whole));
        for (allowance, percent, maximum) in
            [(-1, None, None), (0, Some(101), None), (0, None, Some(-1))]
        {
            assert_eq!(limit(allowance, percent, maximum), None);
        }
    }

    #[test]
    fn days_between_complete_reads_are_1_to_30() {
        assert_eq!(checked_days(30).ok(), Some(30));
        assert!(checked_days(0).is_err() && checked_days(31).is_err() && checked_days(-1).is_err());
    }
}
