//! Settings: a flag before an environment variable, before the configuration file, before the default.
//!
//! | module | what it holds |
//! |---|---|
//! | `groups` | every setting, in the groups that commands choose from |
//! | `flags` | which command uses which groups |
//! | `file` | the configuration file |
//! | `check` | whether a value can be used |
//! | `tokens` | how tokens are checked, and whom they name |

mod check;
mod file;
mod flags;
mod groups;
mod tokens;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use lockstep_graph::Url;
use secrecy::SecretString;
use serde::Deserialize;

use self::file::File;
pub(crate) use self::flags::{
    AllSettings, DatabaseSettings, DemoSettings, Flags, LogSettings, PeopleSettings, ServeSettings,
    TokenSettings, WorkSettings,
};
use self::groups::Opening;
pub(crate) use self::tokens::{Jwt, JwtSource};

/// The database when none is named: a file in the folder where the program was started.
const DATABASE: &str = "sqlite:lockstep.db";
/// The queue when none is named.
const QUEUE: &str = "memory:";
/// The address when none is named.
const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
/// Languages when none are named.
const LANGUAGES: [&str; 2] = ["en", "de"];

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings with every default filled in.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) database_url: Option<String>,
    pub(crate) queue_url: String,
    pub(crate) listen: SocketAddr,
    pub(crate) seal_key: Option<String>,
    pub(crate) open_key: Option<SecretString>,
    pub(crate) jwt: Jwt,
    pub(crate) graph_url: Option<Url>,
    pub(crate) login_url: Option<Url>,
    pub(crate) languages: Vec<String>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) health_listen: Option<SocketAddr>,
    pub(crate) max_connections: Option<u16>,
    pub(crate) max_streams_per_user: usize,
    pub(crate) run_concurrency: usize,
    pub(crate) lease: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log: Option<String>,
}

impl Flags {
    /// Fills in what the file says, then the defaults, and checks every value that the command uses.
    pub(crate) fn resolve(self) -> anyhow::Result<Settings> {
        let file = match &self.config {
            Some(path) => File::read(path)?,
            None => File::default(),
        };
        self.filled(&file)
    }

    fn filled(self, file: &File) -> anyhow::Result<Settings> {
        let api = file.fill(self.api)?;
        let microsoft = file.fill(self.microsoft)?;
        let working = file.fill(self.working)?;
        let logging = file.fill(self.logging)?;
        let runs = (working.run_concurrency, 4, 1..=256);
        let lease = (working.lease_seconds, 30, 2..=3_600);
        let streams = (api.max_streams_per_user, 50, 1..=10_000);
        Ok(Settings {
            database_url: file
                .fill(self.database)?
                .database_url
                .map(check::database)
                .transpose()?,
            queue_url: file
                .fill(self.messages)?
                .queue_url
                .unwrap_or_else(|| QUEUE.to_owned()),
            listen: api.listen.unwrap_or(LISTEN),
            seal_key: file.fill(self.sealing)?.seal_key,
            open_key: open_key(file.fill(self.opening)?)?,
            jwt: tokens::jwt(file.fill(self.tokens)?)?,
            graph_url: check::url(microsoft.graph_url, "LOCKSTEP_GRAPH_URL")?,
            login_url: check::url(microsoft.login_url, "LOCKSTEP_LOGIN_URL")?,
            languages: check::languages(file.fill(self.people)?.languages)?
                .unwrap_or_else(|| LANGUAGES.map(ToOwned::to_owned).to_vec()),
            allowed_origins: check::origins(api.allowed_origins)?,
            health_listen: api.health_listen,
            max_connections: api
                .max_connections
                .map(|number| {
                    check::in_range((Some(number), 8, 8..=u16::MAX), "LOCKSTEP_MAX_CONNECTIONS")
                })
                .transpose()?,
            max_streams_per_user: check::in_range(streams, "LOCKSTEP_MAX_STREAMS_PER_USER")?.into(),
            run_concurrency: check::in_range(runs, "LOCKSTEP_RUN_CONCURRENCY")?.into(),
            lease: Duration::from_secs(check::in_range(lease, "LOCKSTEP_LEASE_SECONDS")?.into()),
            log_format: logging.log_format.unwrap_or(LogFormat::Text),
            log: logging.log.map(check::filter).transpose()?,
        })
    }
}

impl Settings {
    /// Where data is kept.
    pub(crate) fn database_url(&self) -> &str {
        self.database_url.as_deref().unwrap_or(DATABASE)
    }

    /// The SQLite file, none for a server.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        lockstep_store::sqlite_file(self.database_url())
    }

    /// The folder of the SQLite file, none for a server.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let file = self.file()?;
        let folder = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Some(if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        })
    }
}

fn open_key(given: Opening) -> anyhow::Result<Option<SecretString>> {
    Ok(match (given.open_key, given.open_key_file) {
        (Some(_), Some(_)) => {
            bail!("LOCKSTEP_OPEN_KEY and LOCKSTEP_OPEN_KEY_FILE are both set; keep one of them")
        }
        (Some(key), None) => Some(key.into()),
        (None, Some(path)) => Some(file::read(&path, "LOCKSTEP_OPEN_KEY_FILE")?.into()),
        (None, None) => None,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: AllSettings,
    }

    fn flags(args: &[&str]) -> Flags {
        let line = ["lockstep"].iter().chain(args);
        Line::try_parse_from(line).unwrap().settings.into()
    }

    fn file(toml: &str) -> anyhow::Result<File> {
        File::parse(Path::new("lockstep.toml"), toml.to_owned())
    }

    fn settings(toml: &str) -> anyhow::Result<Settings> {
        flags(&[]).filled(&file(toml)?)
    }

    #[test]
    fn the_example_file_holds_the_defaults() {
        let example = include_str!("../../../config.example.toml");
        let uncommented: String = example
            .lines()
            .filter_map(|line| line.strip_prefix("#: "))
            .fold(String::new(), |text, line| text + line + "\n");
        let named = settings(&uncommented).unwrap();
        let default = settings("").unwrap();
        assert_eq!(named.database_url(), default.database_url());
        assert_eq!(
            (named.queue_url, named.listen),
            (default.queue_url, default.listen)
        );
        assert_eq!(
            (named.languages, named.run_concurrency),
            (default.languages, default.run_concurrency)
        );
        assert_eq!(
            (named.log_format, named.lease, named.allowed_origins),
            (default.log_format, default.lease, default.allowed_origins)
        );
        assert_eq!(named.max_streams_per_user, default.max_streams_per_user);
    }

    #[test]
    fn the_example_file_has_every_setting() {
        let example = include_str!("../../../config.example.toml");
        let commented = |line: &str| {
            let line = line.strip_prefix("#: ").or(line.strip_prefix("# "))?;
            line.split_once(" = ").map(|(name, _)| name.to_owned())
        };
        let named: Vec<String> = example.lines().filter_map(commented).collect();
        let missing: Vec<&str> = file::names()
            .filter(|name| !named.iter().any(|known| known == name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_flag_comes_before_the_file() {
        let file = file("queue_url = 'redis://file'\nlog = 'debug'").unwrap();
        let settings = flags(&["--queue-url", "redis://flag"])
            .filled(&file)
            .unwrap();
        assert_eq!(
            (settings.queue_url.as_str(), settings.log.as_deref()),
            ("redis://flag", Some("debug"))
        );
    }

    #[test]
    fn a_command_does_not_look_at_what_it_does_not_use() {
        let file = file("open_key_file = '/nowhere'\njwt_secret = 'short'").unwrap();
        assert!(flags(&[]).filled(&file).is_err());
        assert!(flags(&[]).of_work().of_serve().filled(&file).is_ok());
    }

    #[test]
    fn mistakes_are_named() {
        let error = |toml: &str| format!("{:#}", settings(toml).err().unwrap());
        for (toml, text) in [
            (
                "jwt_jwks_url = 'https://a.example'",
                "LOCKSTEP_JWT_AUDIENCE",
            ),
            ("log = 'lockstep=loud'", "LOCKSTEP_LOG"),
            ("database_url = 'sqlite::memory:'", "LOCKSTEP_DATABASE_URL"),
            ("database_url = 'sqlite:'", "LOCKSTEP_DATABASE_URL"),
            ("database_url = 'lockstep.db'", "LOCKSTEP_DATABASE_URL"),
            ("graph_url = 'graph.example'", "LOCKSTEP_GRAPH_URL"),
            ("jwt_secret = 'short'", "LOCKSTEP_JWT_SECRET"),
            (
                "jwt_jwks_url = 'https://a.example'\njwt_secret = 'x'",
                "not several",
            ),
            (
                "jwt_jwks_url = 'http://keys.example/keys'",
                "LOCKSTEP_JWT_JWKS_URL must begin with https://",
            ),
            (
                "jwt_jwks_url = 'http://127.0.0.1.keys.example/keys'",
                "LOCKSTEP_JWT_JWKS_URL must begin with https://",
            ),
            (
                "jwt_jwks_url = 'http://127.0.0.1:1/keys'",
                "LOCKSTEP_JWT_ISSUER and LOCKSTEP_JWT_AUDIENCE",
            ),
            (
                "jwt_jwks_url = 'http://[::1]/keys'",
                "LOCKSTEP_JWT_ISSUER and LOCKSTEP_JWT_AUDIENCE",
            ),
            (
                "jwt_provider_claim = 'tid'\njwt_subject_claim = 'oid'\njwt_audience = 'a'\njwt_issuer = 'https://id.example'",
                "LOCKSTEP_JWT_ISSUER: \"https://id.example\" holds no id of a tenant",
            ),
            ("run_concurrency = 0", "LOCKSTEP_RUN_CONCURRENCY is 0"),
            ("lease_seconds = 1", "LOCKSTEP_LEASE_SECONDS is 1"),
            ("languages = ['english']", "LOCKSTEP_LANGUAGES"),
            ("allowed_origins = ['*']", "LOCKSTEP_ALLOWED_ORIGINS"),
            ("databse_url = 'x'", "there is no setting databse_url"),
            ("lease_seconds = 'x'", "lockstep.toml, line 1"),
            ("jwt_provider_claim = 'tid'", "LOCKSTEP_JWT_SUBJECT_CLAIM"),
            (
                "jwt_provider_claim = 'tid'\njwt_subject_claim = 'email'",
                "\"email\" names nobody for good",
            ),
            (
                "jwt_provider_claim = 'iss'\njwt_subject_claim = 'sub'",
                "LOCKSTEP_JWT_ISSUER and LOCKSTEP_JWT_AUDIENCE",
            ),
            (
                "jwt_issuer = 'https://login.microsoftonline.com/common/v2.0'",
                "{tenantid}",
            ),
            (
                "jwt_issuer = 'https://login.microsoftonline.com/{tenantid}/v2.0'",
                "LOCKSTEP_JWT_PROVIDER_CLAIM = tid",
            ),
            (
                "jwt_audience = '00000003-0000-0000-c000-000000000000'",
                "LOCKSTEP_JWT_AUDIENCE: tokens for Microsoft Graph",
            ),
        ] {
            assert!(error(toml).contains(text), "{toml}: {}", error(toml));
        }
    }

    #[test]
    fn a_file_that_does_not_parse_is_not_repeated_because_it_holds_secrets() {
        let error = settings("log = 'info'\njwt_secret = 'canary")
            .err()
            .unwrap();
        let error = format!("{error:#}");
        assert!(error.contains("lockstep.toml, line 2"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn the_folder_of_the_database_is_where_keys_are_kept() {
        let folder = |url: &str| flags(&["--database-url", url]).resolve().unwrap().folder();
        assert_eq!(folder("sqlite:lockstep.db"), Some(PathBuf::from(".")));
        assert_eq!(
            folder("sqlite:///var/lib/lockstep/a.db?mode=rwc"),
            Some(PathBuf::from("/var/lib/lockstep"))
        );
        assert_eq!(folder("postgres://host/name"), None);
    }
}
