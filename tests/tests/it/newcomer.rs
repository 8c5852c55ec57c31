//! What somebody sees who has just met the program: its help, and the way that the demo shows.

use lockstep_tests::process::Invocation;
use lockstep_tests::wait::PATIENCE;

async fn help(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let args: Vec<&str> = args.iter().copied().chain(["--help"]).collect();
    let finished = Invocation::lockstep(args)
        .folder(folder.path())
        .finish(PATIENCE)
        .await
        .unwrap();
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout
}

/// The long flags that a help text lists.
fn flags(help: &str) -> Vec<String> {
    let words = help
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--"));
    words
        .filter_map(|line| line.split([' ', '=']).next())
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn help_begins_with_what_the_program_does_for_its_user() {
    let help = help(&[]).await;
    let first = help.lines().next().unwrap_or_default();
    assert_eq!(
        first,
        "Keeps the users and teams of many organizations in step with Microsoft Entra ID"
    );
    assert!(help.contains("lockstep demo"), "where to begin: {help}");
    assert!(
        flags(&help).is_empty(),
        "settings belong to commands: {help}"
    );
}

#[tokio::test]
async fn each_command_shows_the_settings_it_uses_and_no_others() {
    let all = flags(&help(&["all"]).await);
    assert!(all.len() >= 19, "{all:?}");
    for (command, uses, does_not) in [
        ("serve", "seal-key", "open-key"),
        ("serve", "allowed-origins", "lease-seconds"),
        ("work", "open-key", "seal-key"),
        ("work", "lease-seconds", "listen"),
        ("demo", "sandbox-listen", "graph-url"),
        ("migrate", "database-url", "queue-url"),
        ("token", "jwt-secret", "seal-key"),
        ("sandbox", "listen", "database-url"),
        ("doctor", "of", "hours"),
    ] {
        let flags = flags(&help(&[command]).await);
        let has = |name: &str| flags.iter().any(|flag| flag == name);
        assert!(has(uses), "{command}: {flags:?}");
        assert!(!has(does_not), "{command}: {flags:?}");
    }
    assert!(flags(&help(&["keys"]).await).is_empty());
    assert!(flags(&help(&["schema"]).await).is_empty());
    let org = flags(&help(&["org", "create"]).await);
    assert!(org.len() <= 9, "{org:?}");
}
