//! `lockstep keys`.

use std::io::Write as _;
use std::process::ExitCode;

use secrecy::ExposeSecret as _;

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let (public, private) = lockstep_seal::generate_keys();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "# For every process: seals client secrets, and cannot open them.\nLOCKSTEP_SEAL_KEY={public}"
    )?;
    writeln!(
        out,
        "# For workers only: opens them. Keep a copy in a safe place; without it every secret must be entered again."
    )?;
    writeln!(out, "LOCKSTEP_OPEN_KEY={}", private.expose_secret())?;
    Ok(ExitCode::SUCCESS)
}
