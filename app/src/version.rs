//! What this program is: its version, and the source it was built from.

/// Semantic version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Version with the revision, as `--version` prints it.
pub(crate) const LONG: &str = env!("LOCKSTEP_VERSION");
/// Revision of the source; none when it was built outside a checkout and without `LOCKSTEP_REVISION`.
pub(crate) const REVISION: Option<&str> = match option_env!("LOCKSTEP_REVISION") {
    Some(revision) if !revision.is_empty() => Some(revision),
    _ => None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_the_commit_that_is_checked_out() {
        let head = std::process::Command::new("git")
            .args(["rev-parse", "--verify", "HEAD"])
            .output()
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok());
        let given = std::env::var("LOCKSTEP_REVISION").ok();
        let expected = given.or(head).map(|revision| revision.trim().to_owned());
        assert_eq!(REVISION, expected.as_deref());
        assert_eq!(LONG.contains('('), REVISION.is_some());
    }
}
