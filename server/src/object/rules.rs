//! Sync rules: what an owner chose.

use async_graphql::{ID, Object, SimpleObject, Union};
use lockstep_domain as domain;
use lockstep_store::integration::RulesVersion;

use super::enums::EmailSource;
use super::organization::Actor;
use super::team_rules::{GroupTeamRules, ManagerTeamRules};
use crate::id::GlobalId as _;
use crate::scalar::{Timestamp, int};

/// What an integration synchronizes, depending on its direction.
#[derive(Debug, Clone, Union)]
pub(crate) enum SyncRules {
    /// Rules of an inbound integration.
    Inbound(InboundSyncRules),
}

/// What is taken over from the directory. First name, last name and e-mail address always are.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct InboundSyncRules {
    /// Counts up with every change of the rules.
    version: i32,
    /// Whether users with the user type Guest are synchronized. Regular users in scope always are.
    include_guest_users: bool,
    /// Which attribute the e-mail address is taken from; for guests always `mail`.
    email_source: EmailSource,
    /// Whether a first contact is also matched by user principal name when no e-mail address matches.
    match_by_user_principal_name: bool,
    /// Whether first and last name are split off the display name at its last space when the directory gives none.
    derive_names_from_display_name: bool,
    /// Whether the job title is synchronized.
    sync_job_title: bool,
    /// Teams for groups.
    group_teams: GroupTeamRules,
    /// Teams for managers.
    manager_teams: ManagerTeamRules,
    /// Greatest number of days between two complete reads of the directory; the reads between follow changes only.
    full_read_every_days: i32,
    /// Limits per run; what is over a limit is held back.
    limits: InboundLimits,
}

/// Limits of an inbound run. A source without users, and a run that would deactivate every linked user, are always
/// held.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct InboundLimits {
    /// Deactivations of users, as a share of the linked active users.
    user_deactivations: ChangeLimit,
    /// Archivals of teams, as a share of the synchronized teams in use.
    team_archivals: ChangeLimit,
    /// Synchronized members that one team loses, as a share of those it has.
    member_removals_per_team: ChangeLimit,
    /// Changes of e-mail addresses, as a share of the linked active users.
    email_changes: ChangeLimit,
}

/// A limit on changes of one category. Changes are held when there are more than both `allowance` and `percent`
/// permit, or more than `maximum`.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ChangeLimit {
    /// Up to this many changes are never held, however great their share.
    allowance: i32,
    /// Greatest share in percent, null for no limit on the share.
    percent: Option<i32>,
    /// Greatest number whatever the share, null for none.
    maximum: Option<i32>,
}

impl InboundSyncRules {
    pub(crate) fn of(version: i32, rules: &domain::InboundRules) -> Self {
        Self {
            version,
            include_guest_users: rules.include_guest_users,
            email_source: rules.email_source.into(),
            match_by_user_principal_name: rules.match_by_user_principal_name,
            derive_names_from_display_name: rules.derive_names_from_display_name,
            sync_job_title: rules.sync_job_title,
            group_teams: (&rules.group_teams).into(),
            manager_teams: (&rules.manager_teams).into(),
            full_read_every_days: int(rules.full_read_every_days),
            limits: InboundLimits {
                user_deactivations: rules.limits.user_deactivations.into(),
                team_archivals: rules.limits.team_archivals.into(),
                member_removals_per_team: rules.limits.member_removals_per_team.into(),
                email_changes: rules.limits.email_changes.into(),
            },
        }
    }
}

impl From<domain::ChangeLimit> for ChangeLimit {
    fn from(limit: domain::ChangeLimit) -> Self {
        Self {
            allowance: int(limit.allowance),
            percent: limit.percent.map(int),
            maximum: limit.maximum.map(int),
        }
    }
}

/// A version of sync rules as stored.
#[derive(Debug, Clone)]
pub(crate) struct SyncRulesVersion(pub(crate) RulesVersion);

/// One version of the sync rules of an integration. A run keeps the version it started with.
#[Object]
impl SyncRulesVersion {
    /// The opaque, globally unique id of the version.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// Counts up from 1.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The rules.
    async fn rules(&self) -> SyncRules {
        InboundSyncRules::of(self.0.version, &self.0.rules).into()
    }

    /// Who saved them.
    async fn saved_by(&self) -> Actor {
        Actor(self.0.saved_by.clone())
    }

    /// When they were saved.
    async fn saved_at(&self) -> Timestamp {
        self.0.saved_at.into()
    }
}
