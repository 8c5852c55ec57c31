//! Sync rules: what an owner chose. A run keeps the version it started with (fault E11).

use serde::{Deserialize, Serialize};

use crate::directory::ExternalId;
use crate::group::GroupType;
use crate::text_enum::text_enum;

text_enum! {
    /// Which attribute of the directory the e-mail address is taken from (D-06). For guests always `mail`.
    pub enum EmailSource {
        /// `mail`.
        Mail = "MAIL",
        /// `mail`, and the user principal name when that is empty.
        MailThenUpn = "MAIL_THEN_UPN",
        /// The user principal name.
        Upn = "UPN",
    }
}

text_enum! {
    /// Which members of a group count (D-28).
    pub enum GroupMembership {
        /// Members of the group itself.
        Direct = "DIRECT",
        /// Members of the group and of every group nested in it.
        Transitive = "TRANSITIVE",
    }
}

text_enum! {
    /// How far down the reports of a manager count (D-37).
    pub enum ManagerTeamDepth {
        /// Direct reports.
        DirectReports = "DIRECT_REPORTS",
        /// Direct reports, their reports and so on.
        AllLevels = "ALL_LEVELS",
    }
}

text_enum! {
    /// What becomes of the teams of a rule that is switched off (D-45).
    pub enum SwitchedOffPolicy {
        /// The next run archives them.
        Archive = "ARCHIVE",
        /// They are released and managed by hand from then on.
        Release = "RELEASE",
    }
}

/// A condition on a group (D-27).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupCondition {
    /// The group has this object id.
    Id(ExternalId),
    /// The display name matches this pattern without regard to case; `*` stands for any text.
    NamePattern(String),
    /// The group is of this type.
    Type(GroupType),
}

/// Teams for groups (E-051).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupTeamRules {
    /// Whether there is a team for each group that is selected.
    pub enabled: bool,
    /// Groups that meet one of these are selected; empty for all groups.
    pub include: Vec<GroupCondition>,
    /// Groups that meet one of these are left out, whatever `include` says.
    pub exclude: Vec<GroupCondition>,
    /// Whether members of nested groups count.
    pub membership: GroupMembership,
    /// Whether owners of the group who are members become supervisors of the team (D-30).
    pub owners_are_supervisors: bool,
    /// What becomes of the teams when the rule is switched off.
    pub when_switched_off: SwitchedOffPolicy,
}

impl Default for GroupTeamRules {
    fn default() -> Self {
        Self {
            enabled: false,
            include: Vec::new(),
            exclude: Vec::new(),
            membership: GroupMembership::Transitive,
            owners_are_supervisors: false,
            when_switched_off: SwitchedOffPolicy::Archive,
        }
    }
}

/// Teams for managers (E-052): the manager is the supervisor, the reports are members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ManagerTeamRules {
    /// Whether there is a team for each manager.
    pub enabled: bool,
    /// How far down the reports count.
    pub depth: ManagerTeamDepth,
    /// What becomes of the teams when the rule is switched off.
    pub when_switched_off: SwitchedOffPolicy,
}

impl Default for ManagerTeamRules {
    fn default() -> Self {
        Self {
            enabled: false,
            depth: ManagerTeamDepth::DirectReports,
            when_switched_off: SwitchedOffPolicy::Archive,
        }
    }
}

/// A limit on changes of one category: held when over both `allowance` and `percent`, or over `maximum` (D-48).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLimit {
    /// Up to this many changes are never held, however great their share.
    pub allowance: u32,
    /// Greatest share in percent, none for no limit on the share.
    pub percent: Option<u32>,
    /// Greatest number whatever the share, none for none.
    pub maximum: Option<u32>,
}

impl ChangeLimit {
    /// Whether `count` changes of `out_of` objects are over the limit.
    #[must_use]
    pub fn is_exceeded_by(self, count: u64, out_of: u64) -> bool {
        count > self.permits(out_of)
    }

    /// Greatest number of changes of `out_of` objects that is not over the limit.
    #[must_use]
    pub fn permits(self, out_of: u64) -> u64 {
        let share = self.percent.map_or(u64::MAX, |percent| {
            out_of.saturating_mul(u64::from(percent)) / 100
        });
        let maximum = self.maximum.map_or(u64::MAX, u64::from);
        share.max(u64::from(self.allowance)).min(maximum)
    }
}

/// Limits of an inbound run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InboundLimits {
    /// Deactivations, as a share of the linked active users.
    pub user_deactivations: ChangeLimit,
    /// Archivals of teams, as a share of the synchronized teams in use. A rule that was switched off does not count.
    pub team_archivals: ChangeLimit,
    /// Synchronized members that one team loses, as a share of those it has.
    pub member_removals_per_team: ChangeLimit,
    /// Changes of e-mail addresses, as a share of the linked active users.
    pub email_changes: ChangeLimit,
}

impl Default for InboundLimits {
    /// The defaults of D-48: deactivations over max(5, 10 %) or 500, archivals over max(3, 20 %), more than 50 % of a
    /// team and at least 10 members, address changes over max(10, 5 %).
    fn default() -> Self {
        Self {
            user_deactivations: ChangeLimit {
                allowance: 5,
                percent: Some(10),
                maximum: Some(500),
            },
            team_archivals: ChangeLimit {
                allowance: 3,
                percent: Some(20),
                maximum: None,
            },
            member_removals_per_team: ChangeLimit {
                allowance: 9,
                percent: Some(50),
                maximum: None,
            },
            email_changes: ChangeLimit {
                allowance: 10,
                percent: Some(5),
                maximum: None,
            },
        }
    }
}

/// What an inbound integration takes over. First name, last name and e-mail address always are (E-047).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InboundRules {
    /// Whether guests are synchronized (E-042).
    pub include_guest_users: bool,
    /// Where the address comes from.
    pub email_source: EmailSource,
    /// Whether a first contact is also matched by user principal name (D-02).
    pub match_by_user_principal_name: bool,
    /// Whether missing names are split off the display name at its last space (D-08).
    pub derive_names_from_display_name: bool,
    /// Whether the job title is synchronized (E-049).
    pub sync_job_title: bool,
    /// Teams for groups.
    pub group_teams: GroupTeamRules,
    /// Teams for managers.
    pub manager_teams: ManagerTeamRules,
    /// Greatest number of days between two complete reads, 1 to 30 (D-52).
    pub full_read_every_days: u32,
    /// Limits per run.
    pub limits: InboundLimits,
}

impl Default for InboundRules {
    fn default() -> Self {
        Self {
            include_guest_users: false,
            email_source: EmailSource::Mail,
            match_by_user_principal_name: false,
            derive_names_from_display_name: false,
            sync_job_title: false,
            group_teams: GroupTeamRules::default(),
            manager_teams: ManagerTeamRules::default(),
            full_read_every_days: 7,
            limits: InboundLimits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d48_a_limit_needs_both_the_allowance_and_the_share_to_be_exceeded() {
        let limit = InboundLimits::default().user_deactivations;
        assert!(!limit.is_exceeded_by(5, 6), "five are always allowed");
        assert!(
            limit.is_exceeded_by(6, 59),
            "six of 59 are more than a tenth"
        );
        assert!(!limit.is_exceeded_by(6, 60), "six of 60 are a tenth");
        assert!(
            limit.is_exceeded_by(501, 100_000),
            "501 are too many whatever the share"
        );
        assert!(!limit.is_exceeded_by(500, 100_000));
    }

    #[test]
    fn a_limit_permits_the_greatest_number_that_does_not_exceed_it() {
        let limit = InboundLimits::default().user_deactivations;
        assert_eq!(limit.permits(6), 5);
        assert_eq!(limit.permits(69), 6, "a tenth, rounded down");
        assert_eq!(limit.permits(u64::MAX), 500);
        let no_share = ChangeLimit {
            percent: None,
            ..limit
        };
        assert_eq!(no_share.permits(6), 500);
    }

    #[test]
    fn rules_stored_by_an_older_version_take_the_defaults() {
        let rules: InboundRules = serde_json::from_str(r#"{"sync_job_title": true}"#).unwrap();
        assert_eq!(
            rules,
            InboundRules {
                sync_job_title: true,
                ..InboundRules::default()
            }
        );
    }
}
