//! Signals to processes.

use std::process::Command;

use crate::SupportError;

/// A signal that tests send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end when convenient.
    Terminate,
    /// SIGINT: end now, tidily.
    Interrupt,
    /// SIGQUIT: end at once.
    Quit,
    /// SIGKILL: is ended at once, without a chance to react.
    Kill,
    /// SIGSTOP: is frozen, with its connections open.
    Suspend,
    /// SIGCONT: goes on after [`Signal::Suspend`].
    Resume,
}

impl Signal {
    /// Returns the name that `kill -s` knows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
            Self::Suspend => "STOP",
            Self::Resume => "CONT",
        }
    }

    /// Sends the signal to the process `pid`.
    pub(crate) fn send(self, pid: u32) -> Result<(), SupportError> {
        // The `kill` of the shell: the program of that name is not on every small system.
        let done = Command::new("sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "kill", self.name()])
            .arg(pid.to_string())
            .output()
            .map_err(SupportError::io("send a signal"))?;
        if done.status.success() {
            return Ok(());
        }
        Err(SupportError::Failed {
            program: "kill",
            status: done.status,
            output: String::from_utf8_lossy(&done.stderr).into_owned(),
        })
    }
}
