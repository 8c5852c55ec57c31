//! The database: whether it answers, is up to date, and ends what hangs.

use std::path::Path;

use anyhow::{bail, ensure};
use lockstep_store::{Limits, Store};

use super::Report;
use crate::keys;
use crate::parts::{others_may, refuse_folder};
use crate::settings::Settings;

/// Looks at the database, and returns it when its tables can be read.
pub(super) async fn look(settings: &Settings, report: &mut Report) -> Option<Store> {
    let file = settings.file();
    if let Some(file) = &file
        && !file.exists()
    {
        report.add("database", none_yet(file));
        return None;
    }
    if let Some(Err(error)) = file.as_deref().map(refuse_folder) {
        report.add("database", Err(error));
        return None;
    }
    for file in file.iter().cloned().chain(keys::files(settings)) {
        if let Some(others) = others_may(&file) {
            let file = file.display();
            report.warn(
                "files",
                format!("others may {others} {file}; chmod 600 {file} keeps it to its owner"),
            );
        }
    }
    let found = match Store::look(settings.database_url()).await {
        Ok(store) => state(&store).await.map(|found| (store, found)),
        Err(error) => Err(error.into()),
    };
    match found {
        Ok((store, found)) => {
            report.add("database", Ok(found));
            limits(&store, report).await;
            Some(store)
        }
        Err(error) => {
            report.add("database", Err(error));
            None
        }
    }
}

fn none_yet(file: &Path) -> anyhow::Result<String> {
    let folder = file.ancestors().skip(1).find(|folder| folder.exists());
    ensure!(
        folder.is_none_or(Path::is_dir),
        "LOCKSTEP_DATABASE_URL: {} is not a folder, so {} cannot be made in it",
        folder.unwrap_or(file).display(),
        file.display()
    );
    Ok(format!("SQLite; the first start makes {}", file.display()))
}

async fn state(store: &Store) -> anyhow::Result<String> {
    store.ping().await?;
    store.try_prepared_statements().await?;
    let is_migrated = store.is_migrated().await?;
    Ok(match (store.is_sqlite(), is_migrated) {
        (true, true) => "SQLite, up to date".to_owned(),
        (true, false) => "SQLite; the next start brings it up to date".to_owned(),
        (false, true) => "PostgreSQL answers, up to date".to_owned(),
        (false, false) => {
            bail!("PostgreSQL answers, but is not up to date; run `lockstep migrate`")
        }
    })
}

async fn limits(store: &Store, report: &mut Report) {
    match store.limits().await {
        Ok(Some(limits)) if limits.bound_everything() => report.add(
            "limits",
            Ok(format!(
                "a statement may take {}, and wait {} for a lock",
                limits.statement, limits.lock
            )),
        ),
        Ok(Some(limits)) => report.warn("limits", unlimited(&limits)),
        Ok(None) => {}
        Err(error) => report.add("limits", Err(error.into())),
    }
}

/// Says what sets the limits that are missing.
fn unlimited(limits: &Limits) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (role, database) = (quoted(&limits.role), quoted(&limits.database));
    let missing = [
        ("statement_timeout", &limits.statement, "300s"),
        ("lock_timeout", &limits.lock, "60s"),
    ];
    let statements: Vec<String> = missing
        .into_iter()
        .filter(|(_, found, _)| *found == "0")
        .map(|(name, _, value)| {
            format!("ALTER ROLE {role} IN DATABASE {database} SET {name} = '{value}';")
        })
        .collect();
    format!(
        "nothing ends a statement that hangs; `lockstep migrate` as this role sets the limits, or: {} New connections have them; behind PgBouncer, RECONNECT",
        statements.join(" ")
    )
}
