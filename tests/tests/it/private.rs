//! Files of a small installation: who may read them, who writes them, and what happens when they cannot be written.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lockstep_tests::Signal;
use lockstep_tests::process::{Finished, Invocation};
use lockstep_tests::wait::PATIENCE;

use crate::set_up::free_port;

/// Names, modes and contents of what is in a folder and below it.
fn files(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.insert(name, (0, Vec::new()));
            found.extend(files(&path));
        } else {
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            // Locks of SQLite's readers, which hold no data: reading beside a log that was left behind touches them.
            let is_lock = name.ends_with("-shm");
            let content = if is_lock {
                Vec::new()
            } else {
                std::fs::read(&path).unwrap()
            };
            found.insert(name, (mode, content));
        }
    }
    found
}

async fn doctor(folder: &Path, args: &[&str]) -> Finished {
    // Nobody answers for Microsoft, at once.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    Invocation::lockstep(["doctor"].iter().chain(args))
        .env("LOCKSTEP_GRAPH_URL", &nobody)
        .env("LOCKSTEP_LOGIN_URL", &nobody)
        .folder(folder)
        .finish(PATIENCE)
        .await
        .unwrap()
}

async fn demo(folder: &Path) -> Finished {
    let args = [
        "demo",
        "--once",
        "--listen",
        "127.0.0.1:0",
        "--sandbox-listen",
        "127.0.0.1:0",
    ];
    Invocation::lockstep(args)
        .folder(folder)
        .finish(PATIENCE)
        .await
        .unwrap()
}

const DEMO_DATABASE: [&str; 2] = ["--database-url", "sqlite:lockstep-demo/demo.db"];

#[tokio::test]
async fn doctor_changes_nothing_where_there_is_nothing_and_where_there_is_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let told = doctor(folder.path(), &[]).await;
    assert!(
        files(folder.path()).is_empty(),
        "{:?} {told:?}",
        files(folder.path()).keys()
    );
    assert!(
        told.stdout.contains("the first start makes lockstep.db"),
        "{}",
        told.stdout
    );
    demo(folder.path()).await;
    let before = files(folder.path());
    let told = doctor(folder.path(), &DEMO_DATABASE).await;
    assert!(told.stdout.contains("ok    database"), "{}", told.stdout);
    assert!(before == files(folder.path()), "doctor wrote");
}

#[tokio::test]
async fn doctor_opens_what_is_stored_before_it_says_that_it_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    demo(folder.path()).await;
    let told = doctor(folder.path(), &DEMO_DATABASE).await;
    assert!(
        told.stdout
            .contains("ok    stored secrets: all 1 that were tried can be opened"),
        "{}",
        told.stdout
    );
    std::fs::remove_file(folder.path().join("lockstep-demo/lockstep.key")).unwrap();
    let (_, other) = lockstep_seal::generate_keys();
    let key = secrecy::ExposeSecret::expose_secret(&other).to_owned();
    std::fs::write(folder.path().join("lockstep-demo/lockstep.key"), key).unwrap();
    let told = doctor(folder.path(), &DEMO_DATABASE).await;
    assert!(!told.status.success());
    assert!(
        told.stdout
            .contains("FAIL  stored secrets: 1 of 1 cannot be opened"),
        "{}",
        told.stdout
    );
}

#[tokio::test]
async fn files_with_personal_data_or_secrets_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Invocation::lockstep(["all", "--listen", "127.0.0.1:0"])
        .folder(folder.path())
        .start()
        .unwrap();
    running
        .line_with("Serving GraphQL", PATIENCE)
        .await
        .unwrap();
    let found = files(folder.path());
    assert!(
        found.len() >= 5,
        "with the log of SQLite: {:?}",
        found.keys()
    );
    for (name, (mode, _)) in &found {
        assert_eq!(*mode, 0o600, "{name}");
    }
    running.signal(Signal::Terminate).unwrap();
    running.exit(PATIENCE).await.unwrap();
    let database = folder.path().join("lockstep.db");
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = doctor(folder.path(), &[]).await;
    assert!(
        told.stdout
            .contains("warn  files: others may read lockstep.db"),
        "{}",
        told.stdout
    );
}

#[tokio::test]
async fn a_demo_that_cannot_write_ends_with_the_cause_wherever_the_space_runs_out() {
    for kibibytes in [64, 300, 400, 450, 500, 540, 580, 620, 660, 700, 740] {
        let folder = tempfile::tempdir().unwrap();
        let args = [
            "demo",
            "--once",
            "--listen",
            "127.0.0.1:0",
            "--sandbox-listen",
            "127.0.0.1:0",
        ];
        let finished = Invocation::on_small_disk(kibibytes, args)
            .folder(folder.path())
            .finish(PATIENCE)
            .await
            .unwrap();
        assert_eq!(
            finished.status.code(),
            Some(1),
            "{kibibytes} KiB: {finished:?}"
        );
        let told = finished.stdout.clone() + &finished.stderr;
        assert!(
            told.contains("disk of the database cannot be") || told.contains("cannot make the"),
            "{kibibytes} KiB: {finished:?}"
        );
        let last = finished.stderr.lines().last().unwrap_or_default();
        assert!(
            !last.contains("Tell the operator"),
            "who runs a demo is the operator: {last}"
        );
    }
}
