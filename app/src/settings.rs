//! Settings: a flag before an environment variable, before the configuration file, before the default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use lockstep_graph::Url;
use secrecy::SecretString;
use serde::Deserialize;

/// The database when none is named: a file in the folder where the program was started.
const DATABASE: &str = "sqlite:lockstep.db";
/// The queue when none is named.
const QUEUE: &str = "memory:";
/// The address when none is named.
const LISTEN: &str = "127.0.0.1:8080";

/// Everything that can be set, each by flag, by environment variable and in the file.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(
    next_help_heading = "Settings (each also as an environment variable and in the file of --config)"
)]
pub(crate) struct Flags {
    /// A TOML file with settings; see config.example.toml.
    #[arg(long, global = true, env = "LOCKSTEP_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Where data is kept: sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME [default: sqlite:lockstep.db]
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// What carries wake-ups and progress: memory: or redis://HOST/NUMBER [default: memory:]
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_QUEUE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    queue_url: Option<String>,
    /// Address of the GraphQL server [default: 127.0.0.1:8080]
    #[arg(long, global = true, env = "LOCKSTEP_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Public keys that client secrets are sealed to, separated by commas
    #[arg(long, global = true, env = "LOCKSTEP_SEAL_KEY", value_name = "KEYS")]
    seal_key: Option<String>,
    /// Private keys that open client secrets; for workers only, best in the environment
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_OPEN_KEY",
        value_name = "KEYS",
        hide_env_values = true
    )]
    open_key: Option<String>,
    /// A file with the private keys
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_OPEN_KEY_FILE",
        value_name = "FILE"
    )]
    open_key_file: Option<PathBuf>,
    /// The `iss` that tokens must have
    #[arg(long, global = true, env = "LOCKSTEP_JWT_ISSUER", value_name = "TEXT")]
    jwt_issuer: Option<String>,
    /// The `aud` that tokens must have
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_JWT_AUDIENCE",
        value_name = "TEXT"
    )]
    jwt_audience: Option<String>,
    /// Where the issuer of tokens publishes its public keys
    #[arg(long, global = true, env = "LOCKSTEP_JWT_JWKS_URL", value_name = "URL")]
    jwt_jwks_url: Option<String>,
    /// A PEM file with the public key of the issuer of tokens
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_JWT_PUBLIC_KEY_FILE",
        value_name = "FILE"
    )]
    jwt_public_key_file: Option<PathBuf>,
    /// A secret shared with the issuer of tokens (HS256), at least 32 characters
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_JWT_SECRET",
        value_name = "TEXT",
        hide_env_values = true
    )]
    jwt_secret: Option<String>,
    /// Another Microsoft Graph than the cloud's, such as a sandbox
    #[arg(long, global = true, env = "LOCKSTEP_GRAPH_URL", value_name = "URL")]
    graph_url: Option<String>,
    /// Another sign-in service than the cloud's
    #[arg(long, global = true, env = "LOCKSTEP_LOGIN_URL", value_name = "URL")]
    login_url: Option<String>,
    /// Languages that people can be written to in, separated by commas [default: en,de]
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_LANGUAGES",
        value_name = "TAGS",
        value_delimiter = ','
    )]
    languages: Option<Vec<String>>,
    /// Web pages of other hosts that may use the API, separated by commas
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_ALLOWED_ORIGINS",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    allowed_origins: Option<Vec<String>>,
    /// Runs that one worker works on at a time [default: 4]
    #[arg(long, global = true, env = "LOCKSTEP_RUN_CONCURRENCY", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    run_concurrency: Option<u16>,
    /// Seconds after which the run of a silent worker is taken up by another [default: 30]
    #[arg(long, global = true, env = "LOCKSTEP_LEASE_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(2..=3_600))]
    lease_seconds: Option<u16>,
    /// How the log is written to standard error: text or json [default: text]
    #[arg(
        long,
        global = true,
        env = "LOCKSTEP_LOG_FORMAT",
        value_name = "FORMAT"
    )]
    log_format: Option<LogFormat>,
    /// What is logged: a level, or parts and levels such as lockstep_worker=debug [default: info; demo: warn]
    #[arg(long, global = true, env = "LOCKSTEP_LOG", value_name = "FILTER")]
    log: Option<String>,
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flags")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

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
    pub(crate) run_concurrency: usize,
    pub(crate) lease: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log: Option<String>,
}

/// How tokens are checked.
#[derive(Clone)]
pub(crate) struct Jwt {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) source: Option<JwtSource>,
}

/// What a token's signature is checked with.
#[derive(Clone)]
pub(crate) enum JwtSource {
    Secret(SecretString),
    PublicPem(String),
    JwksUrl(Url),
}

/// Shortest secret for tokens: 256 bits of text are what HS256 wants.
const MIN_JWT_SECRET: usize = 32;

impl Flags {
    /// Fills in what the file says, then the defaults.
    pub(crate) fn resolve(self) -> anyhow::Result<Settings> {
        let file = match &self.config {
            Some(path) => read_file(path)?,
            None => Self::default(),
        };
        let flags = self.or(file);
        let open_key = match (flags.open_key, flags.open_key_file) {
            (Some(_), Some(_)) => {
                bail!("LOCKSTEP_OPEN_KEY and LOCKSTEP_OPEN_KEY_FILE are both set; keep one of them")
            }
            (Some(key), None) => Some(SecretString::from(key)),
            (None, Some(path)) => Some(read(&path, "LOCKSTEP_OPEN_KEY_FILE")?.into()),
            (None, None) => None,
        };
        let jwt = Jwt {
            issuer: flags.jwt_issuer,
            audience: flags.jwt_audience,
            source: jwt_source(
                flags.jwt_secret,
                flags.jwt_public_key_file,
                flags.jwt_jwks_url,
            )?,
        };
        let is_shared = matches!(
            jwt.source,
            Some(JwtSource::PublicPem(_) | JwtSource::JwksUrl(_))
        );
        if is_shared && (jwt.issuer.is_none() || jwt.audience.is_none()) {
            bail!(
                "LOCKSTEP_JWT_ISSUER and LOCKSTEP_JWT_AUDIENCE must be set as well: the issuer signs tokens for other services too"
            );
        }
        Ok(Settings {
            database_url: flags.database_url,
            queue_url: flags.queue_url.unwrap_or_else(|| QUEUE.to_owned()),
            listen: flags
                .listen
                .map_or_else(|| LISTEN.parse(), Ok)
                .context("the default address")?,
            seal_key: flags.seal_key,
            open_key,
            jwt,
            graph_url: url(flags.graph_url, "LOCKSTEP_GRAPH_URL")?,
            login_url: url(flags.login_url, "LOCKSTEP_LOGIN_URL")?,
            languages: list(flags.languages)
                .unwrap_or_else(|| vec!["en".to_owned(), "de".to_owned()]),
            allowed_origins: list(flags.allowed_origins).unwrap_or_default(),
            run_concurrency: flags.run_concurrency.unwrap_or(4).into(),
            lease: Duration::from_secs(flags.lease_seconds.unwrap_or(30).into()),
            log_format: flags.log_format.unwrap_or(LogFormat::Text),
            log: flags.log.map(checked_filter).transpose()?,
        })
    }

    fn or(self, file: Self) -> Self {
        Self {
            config: self.config,
            database_url: self.database_url.or(file.database_url),
            queue_url: self.queue_url.or(file.queue_url),
            listen: self.listen.or(file.listen),
            seal_key: self.seal_key.or(file.seal_key),
            open_key: self.open_key.or(file.open_key),
            open_key_file: self.open_key_file.or(file.open_key_file),
            jwt_issuer: self.jwt_issuer.or(file.jwt_issuer),
            jwt_audience: self.jwt_audience.or(file.jwt_audience),
            jwt_jwks_url: self.jwt_jwks_url.or(file.jwt_jwks_url),
            jwt_public_key_file: self.jwt_public_key_file.or(file.jwt_public_key_file),
            jwt_secret: self.jwt_secret.or(file.jwt_secret),
            graph_url: self.graph_url.or(file.graph_url),
            login_url: self.login_url.or(file.login_url),
            languages: self.languages.or(file.languages),
            allowed_origins: self.allowed_origins.or(file.allowed_origins),
            run_concurrency: self.run_concurrency.or(file.run_concurrency),
            lease_seconds: self.lease_seconds.or(file.lease_seconds),
            log_format: self.log_format.or(file.log_format),
            log: self.log.or(file.log),
        }
    }
}

impl Settings {
    /// Where data is kept.
    pub(crate) fn database_url(&self) -> &str {
        self.database_url.as_deref().unwrap_or(DATABASE)
    }

    /// The folder of the SQLite file, none for a server.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let file = self
            .database_url()
            .strip_prefix("sqlite:")?
            .trim_start_matches("//");
        let file = file.split('?').next().unwrap_or(file);
        let folder = Path::new(file)
            .parent()
            .map_or_else(PathBuf::new, Path::to_path_buf);
        Some(if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        })
    }
}

fn jwt_source(
    secret: Option<String>,
    pem: Option<PathBuf>,
    jwks: Option<String>,
) -> anyhow::Result<Option<JwtSource>> {
    match (secret, pem, jwks) {
        (None, None, None) => Ok(None),
        (Some(secret), None, None) if secret.chars().count() < MIN_JWT_SECRET => {
            bail!("LOCKSTEP_JWT_SECRET is too short; use at least {MIN_JWT_SECRET} characters")
        }
        (Some(secret), None, None) => Ok(Some(JwtSource::Secret(secret.into()))),
        (None, Some(path), None) => Ok(Some(JwtSource::PublicPem(read(
            &path,
            "LOCKSTEP_JWT_PUBLIC_KEY_FILE",
        )?))),
        (None, None, Some(text)) => {
            Ok(url(Some(text), "LOCKSTEP_JWT_JWKS_URL")?.map(JwtSource::JwksUrl))
        }
        _ => bail!(
            "set one of LOCKSTEP_JWT_JWKS_URL, LOCKSTEP_JWT_PUBLIC_KEY_FILE and LOCKSTEP_JWT_SECRET, not several"
        ),
    }
}

fn checked_filter(filter: String) -> anyhow::Result<String> {
    tracing_subscriber::EnvFilter::try_new(&filter).with_context(|| {
        format!("LOCKSTEP_LOG: {filter:?} is neither a level nor parts and levels")
    })?;
    Ok(filter)
}

/// Trims the entries of a list; blanks alone are none.
fn list(entries: Option<Vec<String>>) -> Option<Vec<String>> {
    let trimmed = entries?.into_iter().map(|entry| entry.trim().to_owned());
    let filled: Vec<String> = trimmed.filter(|entry| !entry.is_empty()).collect();
    (!filled.is_empty()).then_some(filled)
}

fn url(text: Option<String>, name: &str) -> anyhow::Result<Option<Url>> {
    let parse = |text: String| {
        text.parse::<Url>()
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .with_context(|| {
                format!("{name} is not an address that begins with http:// or https://")
            })
    };
    text.map(parse).transpose()
}

fn read_file(path: &Path) -> anyhow::Result<Flags> {
    let text = read(path, "--config")?;
    toml::from_str(&text)
        .with_context(|| format!("{} is not a valid configuration file", path.display()))
}

fn read(path: &Path, name: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{name}: cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(toml: &str) -> Flags {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn the_example_file_holds_the_defaults() {
        let example = include_str!("../../config.example.toml");
        let uncommented: String = example
            .lines()
            .filter_map(|line| line.strip_prefix("#: "))
            .fold(String::new(), |text, line| text + line + "\n");
        let named = flags(&uncommented).resolve().unwrap();
        let default = Flags::default().resolve().unwrap();
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
            (named.log_format, named.lease),
            (default.log_format, default.lease)
        );
    }

    #[test]
    fn a_flag_comes_before_the_file() {
        let flag = flags("queue_url = 'redis://flag'");
        let file = flags("queue_url = 'redis://file'\nlog = 'debug'");
        let settings = flag.or(file).resolve().unwrap();
        assert_eq!(
            (settings.queue_url.as_str(), settings.log.as_deref()),
            ("redis://flag", Some("debug"))
        );
    }

    #[test]
    fn mistakes_are_named() {
        let error = |toml: &str| flags(toml).resolve().err().unwrap().to_string();
        assert!(error("jwt_jwks_url = 'https://a.example'").contains("LOCKSTEP_JWT_AUDIENCE"));
        assert!(error("log = 'lockstep=loud'").contains("LOCKSTEP_LOG"));
        assert!(error("graph_url = 'graph.example'").contains("LOCKSTEP_GRAPH_URL"));
        assert!(error("jwt_secret = 'short'").contains("LOCKSTEP_JWT_SECRET"));
        assert!(
            error("jwt_jwks_url = 'https://a.example'\njwt_secret = 'x'").contains("not several")
        );
        assert!(
            toml::from_str::<Flags>("databse_url = 'x'")
                .unwrap_err()
                .to_string()
                .contains("databse_url")
        );
    }

    #[test]
    fn lists_are_trimmed() {
        let settings = flags("languages = [' de', '', 'en ']").resolve().unwrap();
        assert_eq!(settings.languages, ["de", "en"]);
    }

    #[test]
    fn the_folder_of_the_database_is_where_keys_are_kept() {
        let folder = |url: &str| {
            Flags {
                database_url: Some(url.into()),
                ..Flags::default()
            }
            .resolve()
            .unwrap()
            .folder()
        };
        assert_eq!(folder("sqlite:lockstep.db"), Some(PathBuf::from(".")));
        assert_eq!(
            folder("sqlite:///var/lib/lockstep/a.db?mode=rwc"),
            Some(PathBuf::from("/var/lib/lockstep"))
        );
        assert_eq!(folder("postgres://host/name"), None);
    }
}
