//! Names of teams: what the directory gives, and what is done when two are the same.

use lockstep_domain::{ExternalId, name_suffix};

/// Names the team of a manager in the language of the integration (D-39); English where there is no other form.
///
/// "James" gets an `'s` like everyone else.
#[must_use]
pub fn manager_team_name(language: &str, manager: &str) -> String {
    let primary = language.split(['-', '_']).next().unwrap_or_default();
    if primary.eq_ignore_ascii_case("de") {
        format!("Team von {manager}")
    } else {
        format!("{manager}'s team")
    }
}

/// Names that a team can have before it needs a mark: as the directory gives it, and with the job title.
pub fn choices(base: &str, job_title: Option<&str>) -> impl Iterator<Item = String> {
    let titled = job_title
        .map(str::trim)
        .filter(|title| !title.is_empty())
        .map(|title| format!("{base} ({title})"));
    std::iter::once(base.to_owned()).chain(titled)
}

/// Chooses a name that no other team has: as it is, else with the job title, else with a mark derived from the object id
/// (D-33, D-40). A mark needs no check: it belongs to this object alone.
#[must_use]
pub fn choose(
    base: &str,
    job_title: Option<&str>,
    external_id: &ExternalId,
    is_taken: impl Fn(&str) -> bool,
) -> String {
    choices(base, job_title)
        .find(|name| !is_taken(name))
        .unwrap_or_else(|| format!("{base} ({})", name_suffix(external_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e069_the_name_includes_the_supervisors_name() {
        assert_eq!(
            manager_team_name("en", "Peter Wright"),
            "Peter Wright's team"
        );
        assert_eq!(
            manager_team_name("de-AT", "Peter Wright"),
            "Team von Peter Wright"
        );
        assert_eq!(manager_team_name("fr", "James"), "James's team");
    }

    #[test]
    fn d40_the_second_of_a_name_gets_the_job_title_or_a_mark() {
        let id = ExternalId::from("m");
        let taken = |names: &'static [&str]| move |name: &str| names.contains(&name);
        assert_eq!(
            choose("A's team", Some("Head"), &id, taken(&[])),
            "A's team"
        );
        assert_eq!(
            choose("A's team", Some("Head"), &id, taken(&["A's team"])),
            "A's team (Head)"
        );
        let marked = choose("A's team", None, &id, taken(&["A's team"]));
        assert_eq!(marked, format!("A's team ({})", name_suffix(&id)));
        assert_eq!(
            choose(
                "A's team",
                Some("Head"),
                &id,
                taken(&["A's team", "A's team (Head)"])
            ),
            marked,
            "d33: never a counter"
        );
    }
}
