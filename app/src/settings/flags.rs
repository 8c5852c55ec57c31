//! The settings that were given to a command.

use std::path::PathBuf;

use clap::Args;

use super::groups::{
    Api, Database, HEADING, Logging, Messages, Microsoft, Opening, People, Sealing, Tokens, Working,
};

/// What was given by flag and by environment variable. A group that the command does not use is none: neither are its
/// defaults replaced by the file, nor are its values looked at.
#[derive(Default)]
pub(crate) struct Flags {
    pub(super) config: Option<PathBuf>,
    pub(super) database: Option<Database>,
    pub(super) messages: Option<Messages>,
    pub(super) sealing: Option<Sealing>,
    pub(super) opening: Option<Opening>,
    pub(super) tokens: Option<Tokens>,
    pub(super) api: Option<Api>,
    pub(super) people: Option<People>,
    pub(super) microsoft: Option<Microsoft>,
    pub(super) working: Option<Working>,
    pub(super) logging: Option<Logging>,
}

impl Flags {
    /// Leaves out what `lockstep serve` does not use.
    pub(crate) fn of_serve(self) -> Self {
        Self {
            opening: None,
            microsoft: None,
            working: None,
            ..self
        }
    }

    /// Leaves out what `lockstep work` does not use.
    pub(crate) fn of_work(self) -> Self {
        Self {
            sealing: None,
            tokens: None,
            api: None,
            people: None,
            ..self
        }
    }
}

/// Makes the settings of a command: some groups, with the file and the log that all have.
macro_rules! settings_of {
    ($(#[$meta:meta])* $name:ident: $($group:ident $kind:ident),*) => {
        $(#[$meta])*
        #[derive(Clone, Default, Args)]
        #[command(next_help_heading = HEADING)]
        pub(crate) struct $name {
            $(#[command(flatten)] $group: $kind,)*
            /// A TOML file with settings; see config.example.toml
            #[arg(long, env = "LOCKSTEP_CONFIG", value_name = "FILE")]
            config: Option<PathBuf>,
            #[command(flatten)]
            logging: Logging,
        }

        impl From<$name> for Flags {
            fn from(given: $name) -> Self {
                let flags = Self { config: given.config, logging: Some(given.logging), ..Self::default() };
                $(let flags = Self { $group: Some(given.$group), ..flags };)*
                flags
            }
        }
    };
}

settings_of!(AllSettings: database Database, messages Messages, sealing Sealing, opening Opening, tokens Tokens, api Api,
    people People, microsoft Microsoft, working Working);
// The demo has a sandbox for Microsoft.
settings_of!(DemoSettings: database Database, messages Messages, sealing Sealing, opening Opening, tokens Tokens,
    api Api, people People, working Working);
settings_of!(ServeSettings: database Database, messages Messages, sealing Sealing, tokens Tokens, api Api,
    people People);
settings_of!(WorkSettings: database Database, messages Messages, opening Opening, microsoft Microsoft,
    working Working);
settings_of!(DatabaseSettings: database Database);
settings_of!(PeopleSettings: database Database, people People);
settings_of!(TokenSettings: database Database, tokens Tokens);
settings_of!(LogSettings:);
