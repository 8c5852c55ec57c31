//! PgBouncer for tests: a pool between the program and PostgreSQL, in transaction mode.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Signal, SupportError,
    account::Account,
    postgres::{self, PostgresServer},
    programs,
    server::{self, Program, Server},
};

/// The first version that hands prepared statements on in transaction mode.
const FIRST: (u32, u32) = (1, 21);

/// A PgBouncer in front of a PostgreSQL server, on a free port. Ends when it is dropped, or with the test process.
#[derive(Debug)]
pub struct PgBouncer {
    _server: Server,
    port: u16,
}

impl PgBouncer {
    /// Starts one that keeps up to `prepared` prepared statements of each client, and at most `connections` to the server
    /// for each database.
    pub fn start(
        postgres: &PostgresServer,
        prepared: u32,
        connections: u32,
    ) -> Result<Self, SupportError> {
        let program = find()?;
        let folder = server::folder()?;
        let account = Account::for_folder(folder.path())?;
        let settings = folder.path().join("pgbouncer.ini");
        let users = folder.path().join("users.txt");
        let program = Program {
            name: "pgbouncer",
            path: program,
            args: vec![settings.clone().into()],
            account,
            end: Signal::Interrupt,
            abort: Signal::Kill,
        };
        write(&users, &format!("\"{}\" \"\"\n", postgres::USER))?;
        let mut server = Server::new(program, folder)?;
        let port = server::on_free_port(|port| {
            let text = format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\n\
                 max_prepared_statements = {prepared}\ndefault_pool_size = {connections}\n",
                postgres.port(),
                users.display()
            );
            write(&settings, &text)?;
            server.set_args(vec![OsString::from(&settings)]);
            server.start(|| postgres.answers_at(port))
        })?;
        Ok(Self {
            _server: server,
            port,
        })
    }

    /// Returns the address of a database of the server behind it.
    pub fn url(&self, database: &str) -> String {
        postgres::url(self.port, database)
    }
}

fn write(path: &Path, text: &str) -> Result<(), SupportError> {
    fs::write(path, text).map_err(SupportError::io("write the settings of PgBouncer"))
}

/// Returns a PgBouncer that is new enough: one that `scripts/servers.sh` built, or an installed one.
fn find() -> Result<PathBuf, SupportError> {
    let built = env::current_exe().ok().and_then(|test| {
        let target = test.ancestors().nth(3)?;
        Some(target.join("servers/bin/pgbouncer"))
    });
    let installed = programs::in_path("pgbouncer");
    let candidates = [built, installed, Some("/usr/sbin/pgbouncer".into())];
    candidates
        .into_iter()
        .flatten()
        .find(|program| version(program).is_some_and(|version| version >= FIRST))
        .ok_or(SupportError::Missing {
            program: "PgBouncer 1.21 or newer",
            searched: "target/servers/bin, PATH and /usr/sbin",
            package: "pgbouncer, or run scripts/servers.sh, which builds it",
        })
}

fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let mut parts = text
        .strip_prefix("PgBouncer ")?
        .split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_by_number() {
        assert_eq!(parse("PgBouncer 1.24.1\nlibevent"), Some((1, 24)));
        assert!(parse("PgBouncer 1.9.0").unwrap() < FIRST);
        assert_eq!(parse("bash: not found"), None);
    }
}
