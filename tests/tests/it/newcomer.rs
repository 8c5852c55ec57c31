//! What somebody sees who has just met the program: its help, and the way that the demo shows.

use lockstep_tests::http::graphql;
use lockstep_tests::process::{Invocation, Running};
use lockstep_tests::wait::PATIENCE;
use serde_json::{Value, json};

use crate::set_up::free_port;

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

/// Starts a demo that goes on serving, and returns what it tells scripts.
async fn demo(folder: &std::path::Path) -> (Running, Value) {
    let args = [
        "demo",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--sandbox-listen",
        "127.0.0.1:0",
    ];
    let running = Invocation::lockstep(args).folder(folder).start().unwrap();
    let line = running.line_with("\"graphqlUrl\"", PATIENCE).await.unwrap();
    (running, serde_json::from_str(&line).unwrap())
}

/// The first operation of the README, with credentials in place of the dots.
fn operation_1(credential: &Value) -> String {
    let readme = include_str!("../../../README.md");
    let (_, operation) = readme.split_once("# 1. Create").unwrap();
    let (_, operation) = operation.split_once('\n').unwrap();
    let (operation, _) = operation.split_once("# 2.").unwrap();
    let text = |pointer: &str| {
        credential
            .pointer(pointer)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    let dots = "tenantId: \"…\", clientId: \"…\", clientSecret: { value: \"…\" }";
    assert!(operation.contains(dots), "{operation}");
    let given = format!(
        "tenantId: \"{}\", clientId: \"{}\", clientSecret: {{ value: \"{}\" }}",
        text("/tenantId"),
        text("/clientId"),
        text("/clientSecret/value")
    );
    operation.replace(dots, &given)
}

#[tokio::test]
async fn the_first_operation_of_the_readme_works_with_what_the_demo_tells() {
    let folder = tempfile::tempdir().unwrap();
    let (running, told) = demo(folder.path()).await;
    let (url, token) = (
        told["graphqlUrl"].as_str().unwrap(),
        told["practiceToken"].as_str().unwrap(),
    );
    let operation = operation_1(&told["credential"]);
    let answer = graphql(url, Some(token), &operation, json!({}))
        .await
        .unwrap();
    let created = &answer["data"]["createIntegration"];
    assert_eq!(created["userErrors"], json!([]), "{answer}");
    let id = &created["integration"]["id"];
    let test = "mutation($id: ID!) { testIntegration(input: { integrationId: $id }) { test { id } userErrors { message } } }";
    let answer = graphql(url, Some(token), test, json!({ "id": id }))
        .await
        .unwrap();
    assert_eq!(
        answer["data"]["testIntegration"]["userErrors"],
        json!([]),
        "{answer}"
    );
    let printed = running.printed(lockstep_tests::process::Stream::Stdout);
    let secret = told["credential"]["clientSecret"]["value"]
        .as_str()
        .unwrap();
    for needed in [token, secret] {
        assert!(
            printed
                .lines()
                .any(|line| !line.starts_with('{') && line.contains(needed)),
            "for people as well"
        );
    }
    let answer = graphql(
        url,
        Some(token),
        "{ service { version revision } }",
        json!({}),
    )
    .await
    .unwrap();
    let service = &answer["data"]["service"];
    let version = Invocation::lockstep(["--version"])
        .finish(PATIENCE)
        .await
        .unwrap()
        .stdout;
    assert!(
        version.contains(service["version"].as_str().unwrap()),
        "{version}"
    );
    assert!(
        version.contains(service["revision"].as_str().unwrap()),
        "{version}"
    );
}

#[tokio::test]
async fn a_demo_that_is_started_again_reads_what_changed_and_has_nothing_to_warn_of() {
    let folder = tempfile::tempdir().unwrap();
    let (listen, sandbox) = (
        format!("127.0.0.1:{}", free_port()),
        format!("127.0.0.1:{}", free_port()),
    );
    let args = [
        "demo",
        "--once",
        "--listen",
        &listen,
        "--sandbox-listen",
        &sandbox,
    ];
    let mut modes = Vec::new();
    for _ in 0..2 {
        let finished = Invocation::lockstep(args)
            .folder(folder.path())
            .finish(PATIENCE)
            .await
            .unwrap();
        assert!(finished.status.success(), "{finished:?}");
        assert!(
            !finished.stdout.contains("could no longer tell"),
            "{}",
            finished.stdout
        );
        let run = finished
            .stdout
            .lines()
            .find(|line| line.starts_with("run  "))
            .unwrap()
            .to_owned();
        modes.push(run.contains("(delta read)"));
    }
    assert_eq!(modes, [false, true]);
}

#[tokio::test]
async fn a_browser_finds_a_page_that_says_what_this_is_and_where_to_go() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, told) = demo(folder.path()).await;
    let root = told["graphqlUrl"]
        .as_str()
        .unwrap()
        .trim_end_matches("/graphql")
        .to_owned();
    let client = reqwest::Client::new();
    for path in ["/", "/graphql"] {
        let request = client
            .get(format!("{root}{path}"))
            .header("accept", "text/html,*/*;q=0.8");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        let page = answer.text().await.unwrap();
        assert!(
            page.contains("Microsoft Entra ID") && page.contains("curl"),
            "{page}"
        );
        let links: Vec<&str> = page
            .split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(links.contains(&"/schema.graphql"), "{links:?}");
        for link in links {
            assert!(link.starts_with('/'), "no other host: {link}");
            let answer = client.get(format!("{root}{link}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{link}");
        }
    }
    let answer = client
        .get(format!("{root}/"))
        .header("accept", "application/json")
        .send()
        .await
        .unwrap();
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("/graphql") && !text.contains("<html"),
        "for programs in plain text: {text}"
    );
}
