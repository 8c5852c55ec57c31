//! What is told when a setting or a server is wrong: the true cause, the setting, the remedy.

use lockstep_tests::postgres;
use lockstep_tests::process::{Finished, Invocation};
use lockstep_tests::wait::PATIENCE;

use crate::set_up::free_port;

async fn lockstep(folder: &std::path::Path, args: &[&str]) -> Finished {
    Invocation::lockstep(args)
        .folder(folder)
        .finish(PATIENCE)
        .await
        .unwrap()
}

/// Everything that a command printed.
fn told(finished: &Finished) -> String {
    assert!(!finished.status.success(), "{finished:?}");
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
    finished.stdout.clone() + &finished.stderr
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_told_by_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("text.db"),
        "no database, but long enough to be looked at: ".repeat(99),
    )
    .unwrap();
    std::fs::create_dir(folder.path().join("folder.db")).unwrap();
    let server = postgres::shared().fresh_database().unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    let nowhere = format!("postgres://lockstep@127.0.0.1:{}/lockstep", free_port());
    let cases = [
        (nowhere.clone(), "cannot be reached"),
        (nowhere, "refused"),
        (format!("{base}/nothing_here"), "no database of that name"),
        (
            server.replace("lockstep@", "stranger@"),
            "refuses the sign-in; check user and password",
        ),
        (server.clone(), "not up to date; run `lockstep migrate`"),
        (
            "postgres://lockstep:canary/word@127.0.0.1/lockstep".to_owned(),
            "are written as %40",
        ),
        ("sqlite:text.db".to_owned(), "no SQLite database"),
        (
            "sqlite:folder.db".to_owned(),
            "is a folder; name a file in it",
        ),
        (
            "sqlite:text.db/below.db".to_owned(),
            "text.db is not a folder",
        ),
        ("sqlite::memory:".to_owned(), "cannot be shared"),
    ];
    for (url, expected) in cases {
        let found = told(
            &lockstep(
                folder.path(),
                &["doctor", "--of", "work", "--database-url", &url],
            )
            .await,
        );
        assert!(found.contains(expected), "{url}: {found}");
        assert!(
            !found.contains("pool timed out") && !found.contains("canary"),
            "{url}: {found}"
        );
    }
}

#[tokio::test]
async fn a_start_without_a_database_tells_what_the_connection_said() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = format!("postgres://lockstep@127.0.0.1:{}/lockstep", free_port());
    let found = told(&lockstep(folder.path(), &["migrate", "--database-url", &nowhere]).await);
    assert!(
        found.contains("cannot be reached") && found.contains("refused"),
        "{found}"
    );
    assert!(!found.contains("pool timed out"), "{found}");
    let malformed = "postgres://lockstep:canary/word@127.0.0.1/lockstep";
    let found = told(&lockstep(folder.path(), &["migrate", "--database-url", malformed]).await);
    assert!(
        found.contains("are written as %40") && !found.contains("canary"),
        "{found}"
    );
}

#[tokio::test]
async fn the_key_that_is_missing_is_the_one_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = postgres::shared().fresh_database().unwrap();
    let doctor = ["doctor", "--database-url", &database, "--of"];
    let of = |role| doctor.iter().copied().chain([role]).collect::<Vec<_>>();
    let serve = told(&lockstep(folder.path(), &of("serve")).await);
    assert!(serve.contains("LOCKSTEP_SEAL_KEY is not set"), "{serve}");
    assert!(!serve.contains("LOCKSTEP_OPEN_KEY"), "{serve}");
    let work = told(&lockstep(folder.path(), &of("work")).await);
    assert!(work.contains("LOCKSTEP_OPEN_KEY is not set"), "{work}");
    assert!(!work.contains("LOCKSTEP_SEAL_KEY"), "{work}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    std::fs::write(folder.path().join("lockstep.key"), "no key either").unwrap();
    let redis = format!("redis://127.0.0.1:{}", free_port());
    let issuer = [
        "--jwt-issuer",
        "i",
        "--jwt-audience",
        "a",
        "--jwt-public-key-file",
    ];
    let pem = |file| issuer.iter().copied().chain([file]).collect::<Vec<_>>();
    let cases: [(Vec<&str>, &str); 13] = [
        (vec!["--languages", "english"], "LOCKSTEP_LANGUAGES"),
        (vec!["--languages", "pt_BR"], "LOCKSTEP_LANGUAGES"),
        (vec!["--allowed-origins", "*"], "LOCKSTEP_ALLOWED_ORIGINS"),
        (
            vec!["--allowed-origins", "app.example"],
            "LOCKSTEP_ALLOWED_ORIGINS",
        ),
        (
            vec!["--allowed-origins", "https://app.example/path"],
            "LOCKSTEP_ALLOWED_ORIGINS",
        ),
        (vec!["--run-concurrency", "0"], "LOCKSTEP_RUN_CONCURRENCY"),
        (vec!["--lease-seconds", "1"], "LOCKSTEP_LEASE_SECONDS"),
        (vec!["--graph-url", "graph.example"], "LOCKSTEP_GRAPH_URL"),
        (
            vec!["--queue-url", &redis],
            "could not reach Redis at 127.0.0.1",
        ),
        (
            vec!["--open-key-file", "."],
            "LOCKSTEP_OPEN_KEY_FILE: cannot read .",
        ),
        (
            vec!["--seal-key", "age1nonsense"],
            "LOCKSTEP_SEAL_KEY cannot be used",
        ),
        (pem("key.pem"), "LOCKSTEP_JWT_PUBLIC_KEY_FILE"),
        (vec![], "the key file ./lockstep.key cannot be used"),
    ];
    for (args, expected) in cases {
        let args: Vec<&str> = ["doctor"].into_iter().chain(args).collect();
        let found = told(&lockstep(folder.path(), &args).await);
        assert!(found.contains(expected), "{args:?}: {found}");
    }
}
