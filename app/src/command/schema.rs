//! `lockstep schema`.

use std::io::Write as _;
use std::process::ExitCode;

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(lockstep_server::sdl().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
