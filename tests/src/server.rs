//! A server process with a folder of its own, which ends with the test process.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use tempfile::TempDir;

use crate::{
    Signal, SupportError,
    account::Account,
    wait::{PATIENCE, until},
    watchdog::Watchdog,
};

/// How much of a log an error shows.
const LOG_LINES: usize = 30;

/// How to start and to end a server.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its name in errors.
    pub(crate) name: &'static str,
    /// The file to run.
    pub(crate) path: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// The account to run it under, if not ours.
    pub(crate) account: Option<Account>,
    /// What ends it tidily.
    pub(crate) end: Signal,
    /// What ends it at once.
    pub(crate) abort: Signal,
}

/// A server, running or stopped.
#[derive(Debug)]
pub(crate) struct Server {
    program: Program,
    folder: PathBuf,
    child: Option<Child>,
    watchdog: Watchdog,
}

impl Server {
    /// Prepares a server in `folder`, which is removed with it.
    pub(crate) fn new(program: Program, folder: TempDir) -> Result<Self, SupportError> {
        Ok(Self {
            watchdog: Watchdog::start(program.abort, Some(folder.path()))?,
            // From here on the watchdog removes it, because that also works when we are killed.
            folder: folder.keep(),
            child: None,
            program,
        })
    }

    /// Replaces the arguments of the next start.
    pub(crate) fn set_args(&mut self, args: Vec<OsString>) {
        self.program.args = args;
    }

    /// Runs a command that prepares the server, in its folder and under its account.
    pub(crate) fn prepare(&mut self, mut command: Command) -> Result<Output, SupportError> {
        self.confine(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(SupportError::io("prepare a server"))?;
        self.watchdog.watch(child.id())?;
        let output = child.wait_with_output();
        self.watchdog.forget();
        output.map_err(SupportError::io("prepare a server"))
    }

    /// Starts the server and waits until `ready` says so.
    pub(crate) fn start(&mut self, ready: impl Fn() -> bool) -> Result<(), SupportError> {
        let mut child = self.spawn()?;
        self.watchdog.watch(child.id())?;
        let outcome = until(PATIENCE, || match child.try_wait() {
            Ok(Some(status)) => Some(Err(self.ended(status))),
            _ => ready().then_some(Ok(())),
        });
        self.child = Some(child);
        outcome.unwrap_or_else(|| Err(self.overdue("accepting connections")))
    }

    /// Ends the server tidily, if it runs.
    pub(crate) fn stop(&mut self) -> Result<(), SupportError> {
        self.end(self.program.end)
    }

    /// Ends the server as a crash would, if it runs.
    pub(crate) fn abort(&mut self) -> Result<(), SupportError> {
        self.end(self.program.abort)
    }

    /// Sends a signal to the server, if it runs.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), SupportError> {
        match &self.child {
            Some(child) => signal.send(child.id()),
            None => Ok(()),
        }
    }

    fn spawn(&self) -> Result<Child, SupportError> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .map_err(SupportError::io("open a server's log"))?;
        let errors = log
            .try_clone()
            .map_err(SupportError::io("open a server's log"))?;
        let mut command = Command::new(&self.program.path);
        self.confine(&mut command);
        command
            .args(&self.program.args)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(SupportError::io("start a server"))
    }

    /// Keeps a command away from the environment of the tests.
    fn confine(&self, command: &mut Command) {
        command
            .current_dir(&self.folder)
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .env("LC_ALL", "C");
        if let Some(account) = self.program.account {
            account.run(command);
        }
    }

    fn end(&mut self, signal: Signal) -> Result<(), SupportError> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let ended = matches!(child.try_wait(), Ok(Some(_)))
            || (signal.send(child.id()).is_ok()
                && until(PATIENCE, || child.try_wait().ok().flatten()).is_some());
        if !ended {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.watchdog.forget();
        ended
            .then_some(())
            .ok_or_else(|| self.overdue("the end of the server"))
    }

    fn ended(&self, status: ExitStatus) -> SupportError {
        SupportError::Ended {
            program: self.program.name,
            status,
            log: self.log(),
        }
    }

    fn overdue(&self, what: &str) -> SupportError {
        SupportError::Timeout {
            what: format!("{}: {what}", self.program.name),
            within: PATIENCE,
            seen: self.log(),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Returns the end of the log.
    fn log(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that is over has no use for an error; the watchdog removes the folder.
        let _ = self.abort();
    }
}

/// Makes a folder for a server.
pub(crate) fn folder() -> Result<TempDir, SupportError> {
    tempfile::Builder::new()
        .prefix("lockstep-test-")
        .tempdir()
        .map_err(SupportError::io("make a folder for a server"))
}

/// Calls `start` again, with another port, when the server ended at once: between our look at the
/// port and the server's, another process may have taken it.
pub(crate) fn on_free_port(
    mut start: impl FnMut(u16) -> Result<(), SupportError>,
) -> Result<u16, SupportError> {
    let mut tries_left = 3;
    loop {
        tries_left -= 1;
        let port = crate::ports::free()?;
        match start(port) {
            Ok(()) => return Ok(port),
            Err(SupportError::Ended { .. }) if tries_left > 0 => {}
            Err(error) => return Err(error),
        }
    }
}
