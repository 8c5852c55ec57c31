//! Which groups become teams (D-27).

use lockstep_domain::{DirectoryGroup, GroupCondition, GroupTeamRules, name_key};

/// Whether the rules select a group for a team. What is left out is left out, whatever else selects it.
#[must_use]
pub fn selects(rules: &GroupTeamRules, group: &DirectoryGroup) -> bool {
    let meets_one = |conditions: &[GroupCondition]| conditions.iter().any(|c| meets(c, group));
    (rules.include.is_empty() || meets_one(&rules.include)) && !meets_one(&rules.exclude)
}

fn meets(condition: &GroupCondition, group: &DirectoryGroup) -> bool {
    match condition {
        GroupCondition::Id(id) => id.as_str().eq_ignore_ascii_case(group.external_id.as_str()),
        GroupCondition::NamePattern(pattern) => group
            .display_name
            .as_deref()
            .is_some_and(|name| matches(&name_key(pattern), &name_key(name))),
        GroupCondition::Type(group_type) => *group_type == group.group_type(),
    }
}

/// Whether a text matches a pattern in which `*` stands for any text. Takes the leftmost place of each part, so the
/// time is that of a few searches whatever the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::GroupType;

    fn group(name: &str) -> DirectoryGroup {
        DirectoryGroup {
            display_name: Some(name.to_owned()),
            security_enabled: true,
            ..DirectoryGroup::blank("g".into())
        }
    }

    fn pattern(text: &str) -> GroupCondition {
        GroupCondition::NamePattern(text.to_owned())
    }

    #[test]
    fn d27_all_groups_by_default() {
        assert!(selects(&GroupTeamRules::default(), &group("Any")));
    }

    #[test]
    fn d27_what_is_excluded_is_left_out_whatever_is_included() {
        let rules = GroupTeamRules {
            include: vec![pattern("class *"), GroupCondition::Id("g".into())],
            exclude: vec![GroupCondition::Type(GroupType::MailEnabledSecurity)],
            ..GroupTeamRules::default()
        };
        assert!(selects(&rules, &group("Class 7b")));
        let mail = DirectoryGroup {
            mail_enabled: true,
            ..group("Class 7b")
        };
        assert!(!selects(&rules, &mail));
        let other = DirectoryGroup {
            external_id: "h".into(),
            ..group("Staff")
        };
        assert!(!selects(&rules, &other));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("a*", "bac", false),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("a*a", "a", false),
            ("*b*", "abc", true),
            ("a**c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("*ab*ab*", "ab", false),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn case_and_width_do_not_matter() {
        let rules = GroupTeamRules {
            include: vec![pattern("STRASSE*")],
            ..GroupTeamRules::default()
        };
        assert!(selects(&rules, &group("Straße 1")));
    }
}
