//! The rules that make teams.

use async_graphql::SimpleObject;
use lockstep_domain as domain;

use super::enums::{DirectoryGroupType, GroupMembership, ManagerTeamDepth, SwitchedOffPolicy};
use crate::scalar::Guid;

/// Teams for groups.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct GroupTeamRules {
    /// Whether there is a team for each group that is selected.
    enabled: bool,
    /// Groups that meet one of these conditions are selected; empty for all groups.
    include: Vec<GroupCondition>,
    /// Groups that meet one of these conditions are left out, whatever `include` says.
    exclude: Vec<GroupCondition>,
    /// Whether members of nested groups count.
    membership: GroupMembership,
    /// Whether owners of the group who are members become supervisors of the team.
    owners_are_supervisors: bool,
    /// What becomes of the teams when the rule is switched off.
    when_switched_off: SwitchedOffPolicy,
}

/// A condition on a group; exactly one field is not null.
#[derive(Debug, Clone, Default, SimpleObject)]
pub(crate) struct GroupCondition {
    /// The group has this object id.
    id: Option<Guid>,
    /// The display name matches this pattern without regard to case; `*` stands for any text.
    name_pattern: Option<String>,
    /// The group is of this type.
    #[graphql(name = "type")]
    group_type: Option<DirectoryGroupType>,
}

/// Teams for managers: the manager is the supervisor, the reports are members.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ManagerTeamRules {
    /// Whether there is a team for each manager.
    enabled: bool,
    /// How far down the reports count.
    depth: ManagerTeamDepth,
    /// What becomes of the teams when the rule is switched off.
    when_switched_off: SwitchedOffPolicy,
}

impl From<&domain::GroupTeamRules> for GroupTeamRules {
    fn from(rules: &domain::GroupTeamRules) -> Self {
        let domain::GroupTeamRules {
            enabled,
            include,
            exclude,
            membership,
            owners_are_supervisors,
            when_switched_off,
        } = rules;
        Self {
            enabled: *enabled,
            include: include.iter().map(GroupCondition::from).collect(),
            exclude: exclude.iter().map(GroupCondition::from).collect(),
            membership: (*membership).into(),
            owners_are_supervisors: *owners_are_supervisors,
            when_switched_off: (*when_switched_off).into(),
        }
    }
}

impl From<&domain::GroupCondition> for GroupCondition {
    fn from(condition: &domain::GroupCondition) -> Self {
        match condition {
            domain::GroupCondition::Id(id) => Self {
                id: Guid::read(id.as_str()),
                ..Self::default()
            },
            domain::GroupCondition::NamePattern(pattern) => Self {
                name_pattern: Some(pattern.clone()),
                ..Self::default()
            },
            domain::GroupCondition::Type(group_type) => Self {
                group_type: Some((*group_type).into()),
                ..Self::default()
            },
        }
    }
}

impl From<&domain::ManagerTeamRules> for ManagerTeamRules {
    fn from(rules: &domain::ManagerTeamRules) -> Self {
        let domain::ManagerTeamRules {
            enabled,
            depth,
            when_switched_off,
        } = rules;
        Self {
            enabled: *enabled,
            depth: (*depth).into(),
            when_switched_off: (*when_switched_off).into(),
        }
    }
}
