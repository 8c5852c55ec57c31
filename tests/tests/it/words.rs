//! What users read: in it no number of a requirement, which says nothing to them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lockstep_tests::process::Invocation;

/// Letters that the numbers of requirements begin with.
const LETTERS: &str = "EDRXP";
/// The longest that `--help` takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers of requirements in a text, such as `E-076` or `D15`.
fn numbers(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '-');
    words.filter(|word| is_number(word)).collect()
}

fn is_number(word: &str) -> bool {
    let Some(rest) = word.strip_prefix(|c: char| LETTERS.contains(c)) else {
        return false;
    };
    let digits = rest.strip_prefix('-').unwrap_or(rest);
    (2..=3).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder whose name ends so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found
}

/// The help of a command and of its subcommands.
async fn help(command: &[String]) -> String {
    let arguments = command.iter().cloned().chain(["--help".to_owned()]);
    let done = Invocation::lockstep(arguments).finish(PATIENCE).await;
    let mut text = done.unwrap().stdout;
    let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> = names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(ToOwned::to_owned)
        .collect();
    for name in names {
        let inner = [command, &[name]].concat();
        text.push_str(&Box::pin(help(&inner)).await);
    }
    text
}

#[test]
fn a_number_of_a_requirement_is_told_from_other_words() {
    let text = "(E-076), d21 D-49. P15 AADSTS7000215 RFC 3339 X-Request-Id E5 MICROSOFT_365";
    assert_eq!(numbers(text), ["E-076", "D-49", "P15"]);
}

#[tokio::test]
async fn what_users_read_has_no_number_of_a_requirement() {
    let root = repository();
    let mut texts = vec![("--help".to_owned(), help(&[]).await)];
    assert!(
        texts[0].1.contains("Usage: lockstep doctor"),
        "subcommands are looked at"
    );
    let named = [
        "schema.graphql",
        "README.md",
        "CHANGELOG.md",
        "config.example.toml",
        "compose.yaml",
    ];
    let named = named.iter().map(|name| root.join(name));
    for path in named.chain(files(&root.join("docs"), ".md")) {
        texts.push((path.display().to_string(), read(&path)));
    }
    for (place, text) in texts {
        assert_eq!(numbers(&text), Vec::<&str>::new(), "{place}");
    }
}

/// Messages are texts of the code: whatever stands in it besides comments and tests.
#[test]
fn no_message_has_a_number_of_a_requirement() {
    for folder in [
        "domain",
        "graph",
        "migration",
        "seal",
        "sync",
        "store",
        "queue",
        "server",
        "worker",
        "app",
    ] {
        for path in files(&repository().join(folder).join("src"), ".rs") {
            if path.components().any(|part| part.as_os_str() == "tests")
                || path.ends_with("tests.rs")
            {
                continue;
            }
            let code = read(&path);
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                let line = line.split(" // ").next().unwrap_or_default();
                assert_eq!(
                    numbers(line),
                    Vec::<&str>::new(),
                    "{}: {line}",
                    path.display()
                );
            }
        }
    }
}
