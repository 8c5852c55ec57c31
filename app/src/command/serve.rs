//! `lockstep serve`, `lockstep work` and `lockstep all`.

use std::process::ExitCode;

use anyhow::bail;

use crate::parts::{Parts, listen};
use crate::settings::Settings;
use crate::shutdown;

/// The API alone.
pub(crate) async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    refuse_embedded(&settings, "serve")?;
    let listener = listen(settings.listen, "--listen").await?;
    let parts = Parts::open(settings).await?;
    parts.serve(listener, shutdown::on_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

/// A worker alone.
pub(crate) async fn work(settings: Settings) -> anyhow::Result<ExitCode> {
    refuse_embedded(&settings, "work")?;
    let parts = Parts::open(settings).await?;
    let stopping = shutdown::on_signal();
    let worker = parts.worker(parts.provider(), stopping.clone())?;
    parts.work(worker, stopping).await?;
    Ok(ExitCode::SUCCESS)
}

/// Both in one process; when one of them ends, so does the other.
pub(crate) async fn all(settings: Settings) -> anyhow::Result<ExitCode> {
    let listener = listen(settings.listen, "--listen").await?;
    let parts = Parts::open(settings).await?;
    let stopping = shutdown::on_signal();
    let ending = stopping.clone().drop_guard();
    let served = async {
        let served = parts.serve(listener, stopping.clone()).await;
        stopping.cancel();
        served
    };
    let worker = parts.worker(parts.provider(), stopping.clone())?;
    let worked = async {
        let worked = parts.work(worker, stopping.clone()).await;
        stopping.cancel();
        worked
    };
    let (served, worked) = tokio::join!(served, worked);
    drop(ending);
    served.and(worked)?;
    Ok(ExitCode::SUCCESS)
}

/// A file has one writer and an in-process queue reaches nobody: several processes need servers.
fn refuse_embedded(settings: &Settings, command: &str) -> anyhow::Result<()> {
    if settings.folder().is_some() {
        bail!(
            "`lockstep {command}` needs PostgreSQL: set LOCKSTEP_DATABASE_URL to postgres://…, or use `lockstep all`"
        );
    }
    if !settings.queue_url.starts_with("redis") {
        bail!(
            "`lockstep {command}` needs Redis: set LOCKSTEP_QUEUE_URL to redis://…, or use `lockstep all`"
        );
    }
    Ok(())
}
