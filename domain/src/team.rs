//! Teams: people who belong together, and who leads them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::actor::Actor;
use crate::address::AddressKey;
use crate::directory::ExternalId;
use crate::id::{IntegrationId, OrganizationId, TeamId, UserHoldId, UserId};
use crate::platform::RecordOrigin;
use crate::search::search_key;
use crate::text_enum::text_enum;

text_enum! {
    /// Whether a team is in use.
    pub enum TeamStatus {
        /// In use.
        Active = "ACTIVE",
        /// Archived: synchronized members were removed; members added by hand, budget and history are kept (D-34).
        Archived = "ARCHIVED",
    }
}

text_enum! {
    /// Reason for which a team is archived.
    pub enum TeamArchivalReason {
        /// The group was deleted in the directory.
        SourceDeleted = "SOURCE_DELETED",
        /// The group is no longer selected by the sync rules.
        SourceExcluded = "SOURCE_EXCLUDED",
        /// The manager left, was deactivated or is out of scope.
        ManagerGone = "MANAGER_GONE",
        /// The manager has no reports any more.
        NoReports = "NO_REPORTS",
        /// The sync rule that made the team was switched off.
        RuleOff = "RULE_OFF",
    }
}

text_enum! {
    /// What an inbound run makes teams from.
    pub enum TeamSource {
        /// A group of the directory.
        Group = "GROUP",
        /// A manager of the directory with the reports.
        Manager = "MANAGER",
    }
}

impl TeamSource {
    /// Origin of the memberships that such a team gets from the directory.
    #[must_use]
    pub const fn origin(self) -> MembershipOriginKind {
        match self {
            Self::Group => MembershipOriginKind::Group,
            Self::Manager => MembershipOriginKind::Manager,
        }
    }
}

text_enum! {
    /// Role of a user in a team. The later one is the stronger.
    pub enum TeamRole {
        /// Regular member.
        Member = "MEMBER",
        /// Leads the team.
        Supervisor = "SUPERVISOR",
    }
}

text_enum! {
    /// Where a membership comes from. It ends when the last of its origins does.
    pub enum MembershipOriginKind {
        /// Added by hand; runs leave it (D-35).
        Manual = "MANUAL",
        /// Membership of the group in the directory.
        Group = "GROUP",
        /// Reporting to the manager in the directory, or being that manager.
        Manager = "MANAGER",
    }
}

/// The tie between a team and what it was made from, unique both ways.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TeamKey {
    /// Group or manager.
    pub source: TeamSource,
    /// Object id of the group or of the manager.
    pub external_id: ExternalId,
}

impl TeamKey {
    /// The key of a group's team.
    #[must_use]
    pub const fn of_group(group: ExternalId) -> Self {
        Self {
            source: TeamSource::Group,
            external_id: group,
        }
    }

    /// The key of a manager's team.
    #[must_use]
    pub const fn of_manager(manager: ExternalId) -> Self {
        Self {
            source: TeamSource::Manager,
            external_id: manager,
        }
    }
}

/// A team of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Identifier.
    pub id: TeamId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The integration that manages the team, none for local ones.
    pub integration_id: Option<IntegrationId>,
    /// What the team was made from, none for local ones.
    pub key: Option<TeamKey>,
    /// Name.
    pub name: String,
    /// Name that the directory gives, none for local teams.
    pub source_name: Option<String>,
    /// Whether an owner set the name, so that runs leave it (D-32).
    pub name_is_local: bool,
    /// Whether the team is in use.
    pub status: TeamStatus,
    /// Why the team is archived, none unless the status says so.
    pub archival_reason: Option<TeamArchivalReason>,
    /// Since when the team is archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// Where the team is managed.
    pub origin: RecordOrigin,
    /// Yearly budget in hundredths of the organization's currency; runs never change it.
    pub yearly_budget: Option<i64>,
    /// When the team was created here.
    pub created_at: DateTime<Utc>,
    /// When the team last changed.
    pub updated_at: DateTime<Utc>,
}

/// One origin of a user's membership of a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipOrigin {
    /// The team.
    pub team_id: TeamId,
    /// The user.
    pub user_id: UserId,
    /// Where the membership comes from.
    pub origin: MembershipOriginKind,
    /// Role that this origin gives.
    pub role: TeamRole,
    /// Who added the membership by hand, none for synchronized ones.
    pub added_by: Option<Actor>,
    /// When the membership was added.
    pub added_at: DateTime<Utc>,
}

text_enum! {
    /// What runs must not do to a user.
    pub enum UserHoldKind {
        /// Add the user to one team; set by removing a synchronized member by hand (D-35).
        KeepOutOfTeam = "KEEP_OUT_OF_TEAM",
    }
}

/// A decision of an owner about one user that runs respect until it is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserHold {
    /// Identifier.
    pub id: UserHoldId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The user.
    pub user_id: UserId,
    /// What runs must not do.
    pub kind: UserHoldKind,
    /// The team, for a hold that concerns one.
    pub team_id: Option<TeamId>,
    /// Who set the hold.
    pub set_by: Actor,
    /// When the hold was set.
    pub set_at: DateTime<Utc>,
}

/// A short mark that tells teams of the same name apart: derived from the object id and never from a counter, so that
/// the order in which teams come cannot matter (D-33, D-40).
#[must_use]
pub fn name_suffix(external_id: &ExternalId) -> String {
    let space = Uuid::from_u128(0x1f0c_6c4e_4b0e_5a0f_9a57_6d1b_70c9_03d2);
    let digest = Uuid::new_v5(&space, external_id.as_str().as_bytes())
        .simple()
        .to_string();
    digest[..6].to_owned()
}

impl Team {
    /// What the team is searched and sorted by.
    #[must_use]
    pub fn search_key(&self) -> String {
        search_key(&[&self.name])
    }
}

/// What two names are compared by: as addresses are, without regard to case, width and outer blanks.
#[must_use]
pub fn name_key(name: &str) -> String {
    AddressKey::of(name).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_sort_by_their_spelling_as_by_their_strength() {
        assert!(TeamRole::Member < TeamRole::Supervisor);
        assert!(TeamRole::Member.as_str() < TeamRole::Supervisor.as_str());
    }

    #[test]
    fn marks_of_names_are_short_and_told_from_the_id_alone() {
        let mark = |id: &str| name_suffix(&ExternalId::from(id));
        assert_eq!(mark("a"), mark("a"));
        assert_ne!(mark("a"), mark("b"));
        assert_eq!(mark("a").len(), 6);
    }
}
