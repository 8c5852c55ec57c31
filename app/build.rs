//! Tells the program which source it is built from: `LOCKSTEP_REVISION`, else the commit that git has checked out here.
//! Without either there is none, and nothing fails.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=LOCKSTEP_REVISION");
    let given = std::env::var("LOCKSTEP_REVISION").unwrap_or_default();
    let given = Some(given.trim().to_owned()).filter(|revision| !revision.is_empty());
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    match given.or_else(checked_out) {
        Some(revision) => {
            println!("cargo::rustc-env=LOCKSTEP_REVISION={revision}");
            println!("cargo::rustc-env=LOCKSTEP_VERSION={version} ({revision})");
        }
        None => println!("cargo::rustc-env=LOCKSTEP_VERSION={version}"),
    }
}

/// The commit that is checked out, when this is a checkout: sources that were unpacked inside another project's have none.
fn checked_out() -> Option<String> {
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let here = Path::new("..").canonicalize().ok()?;
    if Path::new(&root).canonicalize().ok()? != here {
        return None;
    }
    // Both change with every commit and checkout. A file that is missing would have this run with every build.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).is_file() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--verify", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
