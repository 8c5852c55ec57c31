//! PostgreSQL for tests.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    Signal, SupportError,
    account::Account,
    programs,
    server::{self, Program, Server},
};

/// The superuser of the cluster.
pub(crate) const USER: &str = "lockstep";

/// The server that the tests of this process share, started by the first that asks.
///
/// Give every test a database of its own: [`PostgresServer::fresh_database`].
///
/// # Panics
///
/// Panics when PostgreSQL is not installed or does not start, saying what to do.
pub fn shared() -> &'static PostgresServer {
    static SHARED: OnceLock<PostgresServer> = OnceLock::new();
    SHARED.get_or_init(|| match PostgresServer::start() {
        Ok(server) => server,
        Err(error) => panic!("{error:?}"),
    })
}

/// A PostgreSQL server with a new cluster, on a free port. Ends when it is dropped, or with the
/// test process.
///
/// It is not synced to disk: a crash of the server keeps every commit, one of the machine may not.
#[derive(Debug)]
pub struct PostgresServer {
    server: Server,
    binaries: PathBuf,
    port: u16,
    databases: AtomicU32,
}

impl PostgresServer {
    /// Makes a cluster, starts a server on it, and waits until it accepts connections.
    pub fn start() -> Result<Self, SupportError> {
        let binaries = find_binaries()?;
        let folder = server::folder()?;
        let account = Account::for_folder(folder.path())?;
        let program = Program {
            name: "postgres",
            path: binaries.join("postgres"),
            args: Vec::new(),
            account,
            end: Signal::Interrupt,
            abort: Signal::Quit,
        };
        let cluster = folder.path().join("cluster");
        let mut server = Server::new(program, folder)?;
        make_cluster(&mut server, &binaries, &cluster)?;
        let port = server::on_free_port(|port| {
            server.set_args(arguments(&cluster, port));
            server.start(|| accepts_connections(&binaries, port))
        })?;
        Ok(Self {
            server,
            binaries,
            port,
            databases: AtomicU32::new(0),
        })
    }

    /// Returns the port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether a server, or whatever stands before it, accepts connections at a port.
    pub(crate) fn answers_at(&self, port: u16) -> bool {
        accepts_connections(&self.binaries, port)
    }

    /// Returns the address of the database `postgres`, which is there from the start.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// Returns the address of a database.
    pub fn database_url(&self, name: &str) -> String {
        url(self.port, name)
    }

    /// Creates an empty database with a name that no other has, and returns its address.
    pub fn fresh_database(&self) -> Result<String, SupportError> {
        self.create_database(&self.fresh_name())
    }

    /// Creates an empty database and returns its address.
    pub fn create_database(&self, name: &str) -> Result<String, SupportError> {
        self.copy_database("template1", name)
    }

    /// Creates a database as a copy of another one, to which nobody is connected, and returns its
    /// address. Much faster than migrating once more.
    pub fn copy_database(&self, template: &str, name: &str) -> Result<String, SupportError> {
        check_name(template)?;
        check_name(name)?;
        self.sql(
            "postgres",
            &format!("create database {name} template {template}"),
        )?;
        Ok(self.database_url(name))
    }

    /// Returns a database name that this server has not given out yet.
    pub fn fresh_name(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        format!("test_{number}")
    }

    /// Runs SQL through `psql` and returns what it prints: a line a row, columns separated by `|`.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String, SupportError> {
        let output = psql(&self.binaries, &self.database_url(database), statement)
            .output()
            .map_err(SupportError::io("run psql"))?;
        let output = checked("psql", output)?;
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    }

    /// Ends the server tidily: open transactions are rolled back, connections closed.
    pub fn stop(&mut self) -> Result<(), SupportError> {
        self.server.stop()
    }

    /// Ends the server as a crash would: it recovers at the next start.
    pub fn stop_immediate(&mut self) -> Result<(), SupportError> {
        self.server.abort()
    }

    /// Stops the server if it runs, starts it on the same port with the same data, and waits until
    /// it accepts connections.
    pub fn restart(&mut self) -> Result<(), SupportError> {
        self.server.stop()?;
        let (binaries, port) = (&self.binaries, self.port);
        self.server.start(|| accepts_connections(binaries, port))
    }
}

/// Returns the address of a database behind a port.
pub(crate) fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}@127.0.0.1:{port}/{database}")
}

fn find_binaries() -> Result<PathBuf, SupportError> {
    let in_path = programs::in_path("postgres");
    // Debian has the programs in a folder outside the path, and at most a link to them inside.
    let linked = in_path.as_ref().and_then(|found| found.canonicalize().ok());
    let folders = [in_path, linked]
        .into_iter()
        .flatten()
        .filter_map(|program| Some(program.parent()?.to_owned()))
        .chain(programs::versions(Path::new("/usr/lib/postgresql")));
    programs::folder_with(&["initdb", "postgres", "psql"], folders).ok_or(SupportError::Missing {
        program: "the PostgreSQL server (initdb, postgres, psql)",
        searched: "PATH and /usr/lib/postgresql/*/bin",
        package: "postgresql",
    })
}

fn make_cluster(server: &mut Server, binaries: &Path, cluster: &Path) -> Result<(), SupportError> {
    let mut command = Command::new(binaries.join("initdb"));
    command
        .args([
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ])
        .arg(format!("--username={USER}"))
        .arg("--pgdata")
        .arg(cluster);
    checked("initdb", server.prepare(command)?).map(drop)
}

fn arguments(cluster: &Path, port: u16) -> Vec<OsString> {
    let settings = [
        // Commits still reach the operating system one by one, so that a killed server keeps them.
        "fsync=off".to_owned(),
        "full_page_writes=off".to_owned(),
        "listen_addresses=127.0.0.1".to_owned(),
        // Without sockets there is no limit on the length of the folder's name.
        "unix_socket_directories=".to_owned(),
        // Every test has pools of its own, and many tests run at once.
        "max_connections=300".to_owned(),
        format!("port={port}"),
    ];
    let settings = settings
        .into_iter()
        .flat_map(|setting| [OsString::from("-c"), OsString::from(setting)]);
    [OsString::from("-D"), cluster.as_os_str().to_owned()]
        .into_iter()
        .chain(settings)
        .collect()
}

fn accepts_connections(binaries: &Path, port: u16) -> bool {
    psql(binaries, &url(port, "postgres"), "select 1")
        .output()
        .is_ok_and(|output| output.status.success())
}

fn psql(binaries: &Path, url: &str, statement: &str) -> Command {
    let mut command = Command::new(binaries.join("psql"));
    command
        .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
        .args(["--set=ON_ERROR_STOP=1", "--command", statement, url])
        .env_clear()
        .env("LC_ALL", "C");
    command
}

fn checked(program: &'static str, output: Output) -> Result<Output, SupportError> {
    if output.status.success() {
        return Ok(output);
    }
    Err(SupportError::Failed {
        program,
        status: output.status,
        output: [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat(),
    })
}

fn check_name(name: &str) -> Result<(), SupportError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(SupportError::DatabaseName(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_databases_are_separate() {
        let server = shared();
        let (one, two) = (server.fresh_name(), server.fresh_name());
        server.create_database(&one).unwrap();
        server.create_database(&two).unwrap();

        server.sql(&one, "create table t (n int)").unwrap();

        assert!(server.sql(&two, "select * from t").is_err());
    }

    #[test]
    fn copied_database_has_the_rows_of_its_template() {
        let server = shared();
        let (template, copy) = (server.fresh_name(), server.fresh_name());
        server.create_database(&template).unwrap();
        server
            .sql(&template, "create table t as select 7 as n")
            .unwrap();

        server.copy_database(&template, &copy).unwrap();

        assert_eq!(server.sql(&copy, "select n from t").unwrap(), "7");
    }

    #[test]
    fn restarted_server_keeps_address_and_commits_after_a_crash() {
        let mut server = PostgresServer::start().unwrap();
        let url = server.url();
        server
            .sql("postgres", "create table t as select 7 as n")
            .unwrap();

        server.stop_immediate().unwrap();
        assert!(server.sql("postgres", "select 1").is_err());
        server.restart().unwrap();

        assert_eq!(server.url(), url);
        assert_eq!(server.sql("postgres", "select n from t").unwrap(), "7");
    }

    #[test]
    fn dropped_server_is_gone_with_its_folder() {
        let server = PostgresServer::start().unwrap();
        let (port, binaries) = (server.port, server.binaries.clone());
        let folder = server.sql("postgres", "show data_directory").unwrap();

        drop(server);

        assert!(!accepts_connections(&binaries, port));
        assert!(!Path::new(&folder).exists());
    }

    #[test]
    fn failed_statement_reports_what_postgresql_says() {
        let error = shared()
            .sql("postgres", "select * from nothing")
            .unwrap_err();
        assert!(error.to_string().contains(r#""nothing" does not exist"#));
    }

    #[test]
    fn database_name_that_needs_quoting_is_refused() {
        let refused = shared().create_database("x; drop database postgres");
        assert!(matches!(refused, Err(SupportError::DatabaseName(_))));
    }
}
