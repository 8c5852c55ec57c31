//! Ends a process and removes its folder when the test process is gone, even if it was killed.

use std::{
    ffi::OsStr,
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{Signal, SupportError};

/// Reads process ids from standard input and remembers the last one (0: none). When standard input
/// closes, which the kernel does for a dead test process, ends that process and removes the folder.
const SCRIPT: &str = r#"
signal=$1 folder=$2 watched=0
while read -r line; do watched=$line; done
if [ "$watched" -gt 0 ] && kill -s "$signal" "$watched"; then
    tries=0
    while kill -s 0 "$watched" && [ "$tries" -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
fi
[ -z "$folder" ] || rm -rf -- "$folder"
"#;

/// A small shell beside the test process. Dropped, it removes the folder and ends.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Starts a watchdog that sends `signal` in the end and then removes `folder`.
    pub(crate) fn start(signal: Signal, folder: Option<&Path>) -> Result<Self, SupportError> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog", signal.name()])
            .arg(folder.map_or(OsStr::new(""), Path::as_os_str))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: Ctrl-C in the terminal must not end it before its work is done.
            .process_group(0)
            .spawn()
            .map_err(SupportError::io("start a watchdog"))?;
        Ok(Self { shell })
    }

    /// Watches the process `pid` from now on.
    pub(crate) fn watch(&mut self, pid: u32) -> Result<(), SupportError> {
        let Some(stdin) = &mut self.shell.stdin else {
            return Ok(());
        };
        writeln!(stdin, "{pid}").map_err(SupportError::io("tell the watchdog a process id"))
    }

    /// Watches nothing any more: the process has ended, and its id may soon be another's.
    pub(crate) fn forget(&mut self) {
        // A watchdog that is gone watches nothing either.
        let _ = self.watch(0);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_input_ends_the_process_and_removes_the_folder() {
        let folder = tempfile::tempdir().unwrap().keep();
        let mut watched = Command::new("sleep").arg("600").spawn().unwrap();
        let mut watchdog = Watchdog::start(Signal::Kill, Some(&folder)).unwrap();
        watchdog.watch(watched.id()).unwrap();

        drop(watchdog.shell.stdin.take());

        assert!(!watched.wait().unwrap().success());
        drop(watchdog);
        assert!(!folder.exists());
    }

    #[test]
    fn forgotten_process_lives_on() {
        let mut watched = Command::new("sleep").arg("600").spawn().unwrap();
        let mut watchdog = Watchdog::start(Signal::Kill, None).unwrap();
        watchdog.watch(watched.id()).unwrap();
        watchdog.forget();

        drop(watchdog);

        assert!(watched.try_wait().unwrap().is_none());
        watched.kill().unwrap();
        watched.wait().unwrap();
    }
}
