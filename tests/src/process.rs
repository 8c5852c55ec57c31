//! The real `lockstep` binary as a process of its own.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

use crate::{Signal, SupportError, watchdog::Watchdog};

/// A command line that has not been started yet.
///
/// The process gets none of the `LOCKSTEP_…` variables of the test's own environment.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
}

impl Invocation {
    /// Prepares `lockstep` with arguments.
    ///
    /// # Panics
    ///
    /// Panics when the binary has not been built.
    pub fn lockstep<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> Self {
        Self::program(&binary(), args)
    }

    /// Prepares `lockstep` so that no file of it can become longer than `kibibytes`: beyond that a write fails, as on a disk
    /// that is full.
    ///
    /// # Panics
    ///
    /// Panics when the binary has not been built.
    pub fn on_small_disk<A: Into<OsString>>(
        kibibytes: u32,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        // The limit is counted in blocks of 512 bytes. Without the trap the process would be killed by a signal.
        let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
        let blocks = (u64::from(kibibytes) * 2).to_string();
        let program = [
            OsString::from("-c"),
            script.into(),
            "sh".into(),
            blocks.into(),
            binary().into_os_string(),
        ];
        let args = program.into_iter().chain(args.into_iter().map(Into::into));
        Self::program(Path::new("/bin/sh"), args)
    }

    /// Prepares another program with arguments.
    pub fn program<A: Into<OsString>>(program: &Path, args: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(program);
        command
            .args(args.into_iter().map(Into::into))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"LOCKSTEP_") {
                command.env_remove(name);
            }
        }
        Self { command }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Lets the process open no more than `files` at a time, by the limit that it cannot raise.
    #[must_use]
    pub fn open_files(mut self, files: u32) -> Self {
        let inner = self.command.as_std();
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "sh"])
            .arg(inner.get_program())
            .args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = inner.get_current_dir() {
            shell.current_dir(folder);
        }
        self.command = Command::from(shell);
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        self
    }

    /// Starts the process.
    pub fn start(mut self) -> Result<Running, SupportError> {
        let mut child = self
            .command
            .spawn()
            .map_err(SupportError::io("start lockstep"))?;
        let pid = child.id().unwrap_or_default();
        let mut watchdog = Watchdog::start(Signal::Kill, None)?;
        watchdog.watch(pid)?;
        let output = capture(&mut child);
        Ok(Running {
            child,
            pid,
            output,
            watchdog,
        })
    }

    /// Starts the process and waits for its end.
    pub async fn finish(self, within: Duration) -> Result<Finished, SupportError> {
        let mut running = self.start()?;
        let status = running.exit(within).await?;
        Ok(Finished {
            status,
            stdout: running.printed(Stream::Stdout),
            stderr: running.printed(Stream::Stderr),
        })
    }
}

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a process printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it was printed.
    pub stream: Stream,
    /// The line, without its end.
    pub text: String,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed to standard output.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
}

/// A process. It is killed when this is dropped, or with the test process.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: u32,
    output: watch::Receiver<Captured>,
    watchdog: Watchdog,
}

impl Running {
    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the lines printed so far.
    pub fn lines(&self) -> Vec<Line> {
        self.output.borrow().lines.clone()
    }

    /// Returns what was printed to a stream so far.
    pub fn printed(&self, stream: Stream) -> String {
        self.output.borrow().text(|line| line.stream == stream)
    }

    /// Returns the first line that contains `text`, on either stream, as soon as there is one.
    /// Lines from before the call count.
    pub async fn line_with(&self, text: &str, within: Duration) -> Result<String, SupportError> {
        let mut output = self.output.clone();
        let waiting =
            output.wait_for(|captured| captured.complete() || captured.find(text).is_some());
        // The process may end without the line; then there is no point in waiting on.
        let found = match timeout(within, waiting).await {
            Ok(Ok(captured)) => captured.find(text).map(str::to_owned),
            _ => None,
        };
        found.ok_or_else(|| self.overdue(format!("a line with {text:?}"), within))
    }

    /// Waits for the end of the process and of its output.
    pub async fn exit(&mut self, within: Duration) -> Result<ExitStatus, SupportError> {
        let mut output = self.output.clone();
        let waiting = async {
            let status = self.child.wait().await;
            let _ = output.wait_for(Captured::complete).await;
            status
        };
        match timeout(within, waiting).await {
            Ok(status) => {
                self.watchdog.forget();
                status.map_err(SupportError::io("wait for lockstep"))
            }
            Err(_) => Err(self.overdue("the end of the process".to_owned(), within)),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), SupportError> {
        signal.send(self.pid)
    }

    /// Returns the most memory the process has had at once, in bytes of resident set. Linux only.
    pub fn peak_memory(&self) -> Result<u64, SupportError> {
        let operation = "read the peak memory of a process";
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))
            .map_err(SupportError::io(operation))?;
        peak(&status).ok_or(SupportError::Io {
            operation,
            source: std::io::ErrorKind::InvalidData.into(),
        })
    }

    fn overdue(&self, what: String, within: Duration) -> SupportError {
        SupportError::Timeout {
            what,
            within,
            seen: self.output.borrow().text(|_| true),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watchdog.forget();
    }
}

/// What a process has printed.
#[derive(Debug, Default)]
struct Captured {
    lines: Vec<Line>,
    closed: usize,
}

impl Captured {
    /// Tells whether both streams are at their end.
    fn complete(&self) -> bool {
        self.closed == 2
    }

    fn find(&self, text: &str) -> Option<&str> {
        let line = self.lines.iter().find(|line| line.text.contains(text))?;
        Some(&line.text)
    }

    fn text(&self, wanted: impl Fn(&Line) -> bool) -> String {
        let lines = self.lines.iter().filter(|line| wanted(line));
        lines.map(|line| format!("{}\n", line.text)).collect()
    }
}

fn capture(child: &mut Child) -> watch::Receiver<Captured> {
    let (captured, output) = watch::channel(Captured::default());
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(read_lines(stdout, Stream::Stdout, captured.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(read_lines(stderr, Stream::Stderr, captured));
    }
    output
}

async fn read_lines(
    source: impl AsyncRead + Unpin,
    stream: Stream,
    captured: watch::Sender<Captured>,
) {
    let mut source = BufReader::new(source);
    let mut bytes = Vec::new();
    while matches!(source.read_until(b'\n', &mut bytes).await, Ok(1..)) {
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        captured.send_modify(|captured| captured.lines.push(Line { stream, text }));
        bytes.clear();
    }
    captured.send_modify(|captured| captured.closed += 1);
}

/// Returns the binary under test: `LOCKSTEP_BIN`, else the one beside the test executable.
fn binary() -> PathBuf {
    let named = env::var_os("LOCKSTEP_BIN").map(PathBuf::from);
    let Some(binary) = named.or_else(built_binary) else {
        panic!("cannot tell where the lockstep binary is; set LOCKSTEP_BIN");
    };
    assert!(
        binary.is_file(),
        "{} does not exist; run `cargo build` first, or set LOCKSTEP_BIN",
        binary.display()
    );
    binary
}

/// Returns where `cargo build` puts the binary: the tests are in `target/debug/deps`.
fn built_binary() -> Option<PathBuf> {
    let profile = env::current_exe().ok()?.parent()?.parent()?.to_owned();
    Some(profile.join("lockstep"))
}

/// Returns the peak resident set in the text of `/proc/<pid>/status`, in bytes.
fn peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::PATIENCE;

    fn shell(script: &str) -> Invocation {
        Invocation::program(Path::new("sh"), ["-c", script])
    }

    #[tokio::test]
    async fn streams_are_told_apart() {
        let finished = shell("echo one; echo two >&2; exit 3")
            .finish(PATIENCE)
            .await
            .unwrap();
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(finished.stdout, "one\n");
        assert_eq!(finished.stderr, "two\n");
    }

    #[tokio::test]
    async fn line_is_found_before_and_after_it_is_printed() {
        let running = shell("echo first; echo second; exec sleep 600")
            .start()
            .unwrap();
        let second = running.line_with("sec", PATIENCE).await.unwrap();
        let first = running.line_with("fir", PATIENCE).await.unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("first", "second"));
    }

    #[tokio::test]
    async fn line_that_cannot_come_any_more_is_not_waited_for() {
        let running = shell("echo something else").start().unwrap();
        let error = running.line_with("listening", PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("something else"));
    }

    #[tokio::test]
    async fn suspended_process_goes_on_when_resumed() {
        let mut running = shell("trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done")
            .start()
            .unwrap();
        running.line_with("up", PATIENCE).await.unwrap();
        running.signal(Signal::Suspend).unwrap();
        running.signal(Signal::Terminate).unwrap();
        assert!(running.exit(Duration::from_millis(100)).await.is_err());

        running.signal(Signal::Resume).unwrap();

        assert_eq!(running.exit(PATIENCE).await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn killed_process_has_no_exit_code() {
        let mut running = shell("exec sleep 600").start().unwrap();
        running.signal(Signal::Kill).unwrap();
        assert_eq!(running.exit(PATIENCE).await.unwrap().code(), None);
    }

    #[tokio::test]
    async fn peak_memory_of_a_process_is_measured() {
        let running = shell("echo up; kill -s STOP $$").start().unwrap();
        running.line_with("up", PATIENCE).await.unwrap();
        assert!(running.peak_memory().unwrap() > 100_000);
    }

    #[tokio::test]
    async fn variables_are_passed_on() {
        let finished = shell("echo $LOCKSTEP_LISTEN")
            .env("LOCKSTEP_LISTEN", "127.0.0.1:0")
            .finish(PATIENCE)
            .await
            .unwrap();
        assert_eq!(finished.stdout, "127.0.0.1:0\n");
    }

    #[test]
    fn peak_is_read_in_bytes() {
        let status = "Name:\tlockstep\nVmPeak:\t  999 kB\nVmHWM:\t   12 kB\nVmRSS:\t 3 kB\n";
        assert_eq!(peak(status), Some(12 * 1024));
    }
}
