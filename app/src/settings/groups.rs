//! Every setting, in the groups that commands choose from.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::LogFormat;

/// What stands above the settings in the help of a command.
pub(super) const HEADING: &str =
    "Settings (each also as an environment variable and in the file of --config)";

/// Settings that are used together.
pub(super) trait Group: Default + DeserializeOwned {
    /// The names of the settings, as the file has them.
    const NAMES: &'static [&'static str];

    /// Takes what is not given from the file.
    fn or(self, file: Self) -> Self;
}

/// Makes a group: a struct of optional settings, each a flag, an environment variable and a key of the file.
macro_rules! group {
    ($name:ident { $($(#[$meta:meta])* $setting:ident: $kind:ty,)* }) => {
        #[derive(Clone, Default, Args, Deserialize)]
        #[serde(default)]
        #[command(next_help_heading = HEADING)]
        pub(crate) struct $name {
            $($(#[$meta])* pub(super) $setting: Option<$kind>,)*
        }

        impl Group for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($setting)),*];

            fn or(self, file: Self) -> Self {
                Self { $($setting: self.$setting.or(file.$setting),)* }
            }
        }
    };
}

group!(Database {
    /// Where data is kept: sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME [default: sqlite:lockstep.db]
    #[arg(
        long,
        env = "LOCKSTEP_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: String,
});

group!(Messages {
    /// What carries wake-ups and progress: memory: or redis://HOST/NUMBER [default: memory:]
    #[arg(
        long,
        env = "LOCKSTEP_QUEUE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    queue_url: String,
});

group!(Sealing {
    /// Public keys that client secrets are sealed to, separated by commas
    #[arg(long, env = "LOCKSTEP_SEAL_KEY", value_name = "KEYS")]
    seal_key: String,
});

group!(Opening {
    /// Private keys that open client secrets; for workers only, best in the environment
    #[arg(
        long,
        env = "LOCKSTEP_OPEN_KEY",
        value_name = "KEYS",
        hide_env_values = true
    )]
    open_key: String,
    /// A file with the private keys
    #[arg(long, env = "LOCKSTEP_OPEN_KEY_FILE", value_name = "FILE")]
    open_key_file: PathBuf,
});

group!(Tokens {
    /// The `iss` that tokens must have, with {tenantid} for each tenant of Microsoft; several separated by commas
    #[arg(long, env = "LOCKSTEP_JWT_ISSUER", value_name = "TEXT")]
    jwt_issuer: String,
    /// The `aud` that tokens must have; several separated by commas
    #[arg(long, env = "LOCKSTEP_JWT_AUDIENCE", value_name = "TEXT")]
    jwt_audience: String,
    /// Claim that says where a person signs in: tid for Microsoft Entra ID, iss for others [default: none, as tokens hold our ids]
    #[arg(long, env = "LOCKSTEP_JWT_PROVIDER_CLAIM", value_name = "NAME")]
    jwt_provider_claim: String,
    /// Claim that says who the person is there: oid for Microsoft Entra ID, sub for others
    #[arg(long, env = "LOCKSTEP_JWT_SUBJECT_CLAIM", value_name = "NAME")]
    jwt_subject_claim: String,
    /// Claim whose word `staff` makes staff of the platform [default: scope, but none with a provider claim]
    #[arg(long, env = "LOCKSTEP_JWT_STAFF_CLAIM", value_name = "NAME")]
    jwt_staff_claim: String,
    /// Where the issuer of tokens publishes its public keys
    #[arg(long, env = "LOCKSTEP_JWT_JWKS_URL", value_name = "URL")]
    jwt_jwks_url: String,
    /// A PEM file with the public key of the issuer of tokens
    #[arg(long, env = "LOCKSTEP_JWT_PUBLIC_KEY_FILE", value_name = "FILE")]
    jwt_public_key_file: PathBuf,
    /// A secret shared with the issuer of tokens (HS256), at least 32 characters
    #[arg(
        long,
        env = "LOCKSTEP_JWT_SECRET",
        value_name = "TEXT",
        hide_env_values = true
    )]
    jwt_secret: String,
});

group!(Api {
    /// Address of the GraphQL server [default: 127.0.0.1:8080]
    #[arg(long, env = "LOCKSTEP_LISTEN", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Web pages of other hosts that may use the API, separated by commas, such as https://app.example
    #[arg(long, env = "LOCKSTEP_ALLOWED_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    allowed_origins: Vec<String>,
    /// Another address for /healthz and /readyz, which full connections of the server leave alone
    #[arg(long, env = "LOCKSTEP_HEALTH_LISTEN", value_name = "ADDRESS")]
    health_listen: SocketAddr,
    /// Connections at a time, 8 to 65535 [default: as many as open files allow, at most 10000]
    #[arg(long, env = "LOCKSTEP_MAX_CONNECTIONS", value_name = "NUMBER")]
    max_connections: u16,
    /// Sockets and event streams of one user at a time, 1 to 10000 [default: 50]
    #[arg(long, env = "LOCKSTEP_MAX_STREAMS_PER_USER", value_name = "NUMBER")]
    max_streams_per_user: u16,
});

group!(People {
    /// Languages that people can be written to in, separated by commas [default: en,de]
    #[arg(long, env = "LOCKSTEP_LANGUAGES", value_name = "TAGS", value_delimiter = ',')]
    languages: Vec<String>,
});

group!(Microsoft {
    /// Another Microsoft Graph than the cloud's, such as a sandbox
    #[arg(long, env = "LOCKSTEP_GRAPH_URL", value_name = "URL")]
    graph_url: String,
    /// Another sign-in service than the cloud's
    #[arg(long, env = "LOCKSTEP_LOGIN_URL", value_name = "URL")]
    login_url: String,
});

group!(Working {
    /// Runs that one worker works on at a time, 1 to 256 [default: 4]
    #[arg(long, env = "LOCKSTEP_RUN_CONCURRENCY", value_name = "NUMBER")]
    run_concurrency: u16,
    /// Seconds after which the run of a silent worker is taken up by another, 2 to 3600 [default: 30]
    #[arg(long, env = "LOCKSTEP_LEASE_SECONDS", value_name = "SECONDS")]
    lease_seconds: u16,
});

group!(Logging {
    /// How the log is written to standard error [default: text]
    #[arg(long, env = "LOCKSTEP_LOG_FORMAT", value_name = "FORMAT")]
    log_format: LogFormat,
    /// What is logged: a level, or parts and levels such as lockstep_worker=debug [default: info; demo: warn]
    #[arg(long, env = "LOCKSTEP_LOG", value_name = "FILTER")]
    log: String,
});
