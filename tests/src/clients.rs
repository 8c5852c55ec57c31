//! Clients of other people: a browser, and GraphQL clients in Python and JavaScript, installed once for all tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Mutex,
};

use crate::{SupportError, programs};

/// Where the clients and what they need are written down.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// One at a time installs; the others find what is there.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Returns a Python with the packages of `clients/requirements.txt`, which are kept below `cache`.
pub fn python(cache: &Path) -> Result<PathBuf, SupportError> {
    let python = find("python3", "python3-venv")?;
    let wanted = source("requirements.txt");
    let folder = install(cache, "python", &[&wanted], |folder| {
        run(
            "python3",
            Command::new(&python).args(["-m", "venv"]).arg(folder),
        )?;
        let mut pip = Command::new(folder.join("bin/python"));
        run(
            "pip",
            pip.args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(&wanted),
        )
    })?;
    Ok(folder.join("bin/python"))
}

/// Returns Node.js, and a folder below `cache` with the scripts of `clients` and the packages that they import.
pub fn node(cache: &Path) -> Result<(PathBuf, PathBuf), SupportError> {
    let (node, npm) = (find("node", "nodejs")?, find("npm", "npm")?);
    let files = ["package.json", "package-lock.json", ".npmrc", "follow.mjs"].map(source);
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let folder = install(cache, "node", &files, |folder| {
        fs::create_dir_all(folder).map_err(SupportError::io("make a folder for clients"))?;
        for file in &files {
            let name = file.file_name().unwrap_or_default();
            fs::copy(file, folder.join(name)).map_err(SupportError::io("copy a client"))?;
        }
        run("npm", Command::new(&npm).arg("ci").current_dir(folder))
    })?;
    Ok((node, folder))
}

/// Returns Chromium, or a browser that is made of it.
pub fn chromium() -> Result<PathBuf, SupportError> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().find_map(|name| programs::in_path(name));
    found.ok_or(missing("chromium", "chromium"))
}

/// Returns the path of one of the files in `tests/clients`.
pub fn source(name: &str) -> PathBuf {
    Path::new(SOURCES).join(name)
}

/// Returns a folder that `fill` has filled, anew when what is in `inputs` has changed.
fn install(
    cache: &Path,
    name: &str,
    inputs: &[&Path],
    fill: impl FnOnce(&Path) -> Result<(), SupportError>,
) -> Result<PathBuf, SupportError> {
    let _one = INSTALLING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let reading = SupportError::io("read what a client needs");
    let read: Result<Vec<Vec<u8>>, _> = inputs.iter().map(fs::read).collect();
    let wanted = read.map_err(reading)?.concat();
    let (folder, done) = (cache.join(name), cache.join(format!("{name}.done")));
    if fs::read(&done).is_ok_and(|there| there == wanted) {
        return Ok(folder);
    }
    // What an install that broke off has left is no ground to build on.
    let _ = fs::remove_dir_all(&folder);
    fill(&folder)?;
    fs::write(done, wanted).map_err(SupportError::io("note that a client is installed"))?;
    Ok(folder)
}

fn find(program: &'static str, package: &'static str) -> Result<PathBuf, SupportError> {
    programs::in_path(program).ok_or(missing(program, package))
}

fn missing(program: &'static str, package: &'static str) -> SupportError {
    SupportError::Missing {
        program,
        searched: "PATH",
        package,
    }
}

fn run(program: &'static str, command: &mut Command) -> Result<(), SupportError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(SupportError::io("install a client"))?;
    if output.status.success() {
        return Ok(());
    }
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    let output = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    Err(SupportError::Failed {
        program,
        status,
        output,
    })
}
