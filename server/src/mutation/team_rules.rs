//! Changing the rules that make teams.

use async_graphql::{InputObject, OneofObject};
use lockstep_domain::{self as domain, ExternalId};

use super::text::TextRule;
use super::together::{each, together};
use super::user_error::{IntegrationUserErrorCode as Code, Refusal, Stop, refuse};
use crate::object::enums::{
    DirectoryGroupType, GroupMembership, ManagerTeamDepth, SwitchedOffPolicy,
};
use crate::scalar::Guid;

/// Greatest number of conditions in a list: each group is compared with all of them.
const MAX_CONDITIONS: usize = 200;
/// A pattern is at most as long as the display name of a group can be.
const PATTERN: TextRule = TextRule {
    what: "A pattern",
    max: 256,
};
/// Where the rules for groups stand in the input.
const PATH: &str = "syncRules.inbound.groupTeams";

/// Teams for groups; fields that are left out keep their value or take the default.
#[derive(InputObject)]
pub(crate) struct GroupTeamRulesInput {
    /// Whether there is a team for each group that is selected (default false).
    enabled: Option<bool>,
    /// Groups that meet one of these conditions are selected; empty for all groups (default empty). At most 200.
    include: Option<Vec<GroupConditionInput>>,
    /// Groups that meet one of these conditions are left out, whatever `include` says (default empty). At most 200.
    exclude: Option<Vec<GroupConditionInput>>,
    /// Whether members of nested groups count (default TRANSITIVE).
    membership: Option<GroupMembership>,
    /// Whether owners of the group who are members become supervisors of the team (default false).
    owners_are_supervisors: Option<bool>,
    /// What becomes of the teams when the rule is switched off (default ARCHIVE).
    when_switched_off: Option<SwitchedOffPolicy>,
}

/// A condition on a group.
#[derive(OneofObject)]
pub(crate) enum GroupConditionInput {
    /// The group has this object id.
    Id(Guid),
    /// The display name matches this pattern of 1 to 256 characters without regard to case; `*` stands for any text.
    NamePattern(String),
    /// The group is of this type.
    Type(DirectoryGroupType),
}

/// Teams for managers; fields that are left out keep their value or take the default.
#[derive(InputObject)]
pub(crate) struct ManagerTeamRulesInput {
    /// Whether there is a team for each manager (default false).
    enabled: Option<bool>,
    /// How far down the reports count (default DIRECT_REPORTS).
    depth: Option<ManagerTeamDepth>,
    /// What becomes of the teams when the rule is switched off (default ARCHIVE).
    when_switched_off: Option<SwitchedOffPolicy>,
}

impl GroupTeamRulesInput {
    /// Lays what was given over the present rules.
    pub(super) fn over(
        &self,
        present: &domain::GroupTeamRules,
    ) -> Result<domain::GroupTeamRules, Stop<Code>> {
        let Self {
            enabled,
            include,
            exclude,
            membership,
            owners_are_supervisors,
            when_switched_off,
        } = self;
        let (include, exclude) = together((
            conditions(include.as_deref(), &present.include, "include"),
            conditions(exclude.as_deref(), &present.exclude, "exclude"),
        ))?;
        Ok(domain::GroupTeamRules {
            enabled: enabled.unwrap_or(present.enabled),
            include,
            exclude,
            membership: membership.map_or(present.membership, Into::into),
            owners_are_supervisors: owners_are_supervisors
                .unwrap_or(present.owners_are_supervisors),
            when_switched_off: when_switched_off.map_or(present.when_switched_off, Into::into),
        })
    }
}

impl ManagerTeamRulesInput {
    /// Lays what was given over the present rules.
    pub(super) fn over(&self, present: &domain::ManagerTeamRules) -> domain::ManagerTeamRules {
        let Self {
            enabled,
            depth,
            when_switched_off,
        } = self;
        domain::ManagerTeamRules {
            enabled: enabled.unwrap_or(present.enabled),
            depth: depth.map_or(present.depth, Into::into),
            when_switched_off: when_switched_off.map_or(present.when_switched_off, Into::into),
        }
    }
}

fn conditions(
    given: Option<&[GroupConditionInput]>,
    present: &[domain::GroupCondition],
    list: &str,
) -> Result<Vec<domain::GroupCondition>, Stop<Code>> {
    let Some(given) = given else {
        return Ok(present.to_vec());
    };
    if given.len() > MAX_CONDITIONS {
        let message = format!("A list has at most {MAX_CONDITIONS} conditions.");
        return Err(refuse(Code::TooLong, message)
            .at(&format!("{PATH}.{list}"))
            .into());
    }
    let checked = |(at, condition): (usize, &GroupConditionInput)| {
        condition.check(&format!("{PATH}.{list}.{at}"))
    };
    each(given.iter().enumerate().map(checked))
}

impl GroupConditionInput {
    fn check(&self, path: &str) -> Result<domain::GroupCondition, Refusal<Code>> {
        Ok(match self {
            Self::Id(id) => domain::GroupCondition::Id(ExternalId(id.0.to_string())),
            Self::NamePattern(pattern) => {
                let refused = |refusal: Refusal<Code>| refusal.at(&format!("{path}.namePattern"));
                domain::GroupCondition::NamePattern(PATTERN.check(pattern).map_err(refused)?)
            }
            Self::Type(group_type) => domain::GroupCondition::Type((*group_type).into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(include: Vec<GroupConditionInput>) -> GroupTeamRulesInput {
        GroupTeamRulesInput {
            enabled: Some(true),
            include: Some(include),
            exclude: None,
            membership: None,
            owners_are_supervisors: None,
            when_switched_off: None,
        }
    }

    fn refused(include: Vec<GroupConditionInput>) -> Vec<(Code, String)> {
        let told =
            |refusal: Refusal<Code>| (refusal.code, refusal.path.unwrap_or_default().join("."));
        match rules(include).over(&domain::GroupTeamRules::default()) {
            Err(Stop::Refused(refusals)) => refusals.into_iter().map(told).collect(),
            Err(Stop::Failed(_)) | Ok(_) => Vec::new(),
        }
    }

    fn pattern(text: &str) -> GroupConditionInput {
        GroupConditionInput::NamePattern(text.to_owned())
    }

    #[test]
    fn d27_what_is_left_out_keeps_its_value() {
        let present = domain::GroupTeamRules {
            exclude: vec![domain::GroupCondition::Type(
                domain::GroupType::Distribution,
            )],
            owners_are_supervisors: true,
            ..domain::GroupTeamRules::default()
        };
        let id = uuid::Uuid::from_u128(7);
        let laid = rules(vec![
            GroupConditionInput::Id(Guid(id)),
            pattern(" Class * "),
        ])
        .over(&present)
        .ok();
        let include = vec![
            domain::GroupCondition::Id(ExternalId(id.to_string())),
            domain::GroupCondition::NamePattern("Class *".to_owned()),
        ];
        let expected = domain::GroupTeamRules {
            enabled: true,
            include,
            ..present
        };
        assert_eq!(laid, Some(expected));
    }

    #[test]
    fn d27_conditions_are_checked_and_the_one_at_fault_is_named() {
        let path = "input.syncRules.inbound.groupTeams.include";
        let many = || std::iter::repeat_with(|| pattern("*"));
        assert_eq!(refused(many().take(200).collect()), []);
        assert_eq!(
            refused(many().take(201).collect()),
            [(Code::TooLong, path.to_owned())]
        );
        for (text, code) in [
            (" ".to_owned(), Code::Required),
            ("x".repeat(257), Code::TooLong),
            ("a\u{0}".to_owned(), Code::Invalid),
        ] {
            assert_eq!(
                refused(vec![pattern("*"), pattern(&text)]),
                [(code, format!("{path}.1.namePattern"))]
            );
        }
        let both = refused(vec![pattern(""), pattern("*"), pattern("a\u{0}")]);
        let expected = [
            (Code::Required, format!("{path}.0.namePattern")),
            (Code::Invalid, format!("{path}.2.namePattern")),
        ];
        assert_eq!(both, expected, "all of them at once");
    }
}
