//! Redis for tests.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::{
    Signal, SupportError, programs,
    server::{self, Program, Server},
};

/// How many databases a server has. An empty one costs next to nothing.
const DATABASES: u32 = 4096;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The server that the tests of this process share, started by the first that asks.
///
/// Give every test a database of its own: [`RedisServer::fresh_url`].
///
/// # Panics
///
/// Panics when Redis is not installed or does not start, saying what to do.
pub fn shared() -> &'static RedisServer {
    static SHARED: OnceLock<RedisServer> = OnceLock::new();
    SHARED.get_or_init(|| match RedisServer::start() {
        Ok(server) => server,
        Err(error) => panic!("{error:?}"),
    })
}

/// A Redis server without persistence, on a free port. Ends when it is dropped, or with the test
/// process.
#[derive(Debug)]
pub struct RedisServer {
    server: Server,
    port: u16,
    databases: AtomicU32,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub fn start() -> Result<Self, SupportError> {
        let path = programs::in_path("redis-server").ok_or(SupportError::Missing {
            program: "redis-server",
            searched: "PATH",
            package: "redis-server",
        })?;
        let folder = server::folder()?;
        let program = Program {
            name: "redis-server",
            path,
            args: Vec::new(),
            account: None,
            // Nothing is kept, so there is nothing to be tidy about.
            end: Signal::Kill,
            abort: Signal::Kill,
        };
        let mut server = Server::new(program, folder)?;
        let port = server::on_free_port(|port| {
            server.set_args(arguments(port));
            server.start(|| answers(port))
        })?;
        Ok(Self {
            server,
            port,
            databases: AtomicU32::new(0),
        })
    }

    /// Returns the address of a database by number. Number 0 is never given to
    /// [`RedisServer::fresh_url`].
    pub fn url(&self, database: u32) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the address of a database that no other test uses.
    ///
    /// Keys are separate, pub/sub is not: Redis has one space of channels for all databases.
    ///
    /// # Panics
    ///
    /// Panics when all databases are given out.
    pub fn fresh_url(&self) -> String {
        let database = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(database < DATABASES, "all {DATABASES} databases are in use");
        self.url(database)
    }

    /// Ends the server at once. What it held is lost.
    pub fn stop(&mut self) -> Result<(), SupportError> {
        self.server.stop()
    }

    /// Stops the server if it runs, starts it on the same port, empty, and waits until it answers.
    pub fn restart(&mut self) -> Result<(), SupportError> {
        self.server.stop()?;
        let port = self.port;
        self.server.start(|| answers(port))
    }

    /// Freezes the server: connections stay open, and nothing is answered.
    pub fn suspend(&mut self) -> Result<(), SupportError> {
        self.server.signal(Signal::Suspend)
    }

    /// Lets a frozen server go on.
    pub fn resume(&mut self) -> Result<(), SupportError> {
        self.server.signal(Signal::Resume)
    }

    /// Empties all databases, with connections open.
    pub fn empty(&mut self) -> Result<(), SupportError> {
        command(self.port, "FLUSHALL")
            .map(drop)
            .map_err(SupportError::io("empty Redis"))
    }
}

fn arguments(port: u16) -> Vec<OsString> {
    let (port, databases) = (port.to_string(), DATABASES.to_string());
    [
        ["--bind", "127.0.0.1"],
        ["--port", &port],
        ["--databases", &databases],
        ["--appendonly", "no"],
        ["--save", ""],
        ["--daemonize", "no"],
    ]
    .concat()
    .into_iter()
    .map(OsString::from)
    .collect()
}

fn answers(port: u16) -> bool {
    command(port, "PING").is_ok_and(|answer| answer == "+PONG")
}

/// Sends a command without arguments and returns the first line of the answer.
fn command(port: u16, name: &str) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(format!("{name}\r\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_server_gives_every_test_another_database() {
        assert_ne!(shared().fresh_url(), shared().fresh_url());
    }

    #[test]
    fn restarted_server_keeps_its_address() {
        let mut server = RedisServer::start().unwrap();
        let url = server.url(0);

        server.stop().unwrap();
        assert!(!answers(server.port));
        server.restart().unwrap();

        assert_eq!(server.url(0), url);
        assert!(answers(server.port));
    }

    #[test]
    fn emptied_server_has_no_keys() {
        let mut server = RedisServer::start().unwrap();
        command(server.port, "SET key value").unwrap();
        assert_eq!(command(server.port, "DBSIZE").unwrap(), ":1");

        server.empty().unwrap();

        assert_eq!(command(server.port, "DBSIZE").unwrap(), ":0");
    }

    #[test]
    fn suspended_server_answers_after_it_is_resumed() {
        let mut server = RedisServer::start().unwrap();
        server.suspend().unwrap();
        server.resume().unwrap();
        assert!(answers(server.port));
    }

    #[test]
    fn suspended_server_ends_with_its_owner() {
        let mut server = RedisServer::start().unwrap();
        let port = server.port;
        server.suspend().unwrap();

        drop(server);

        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
