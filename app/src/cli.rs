//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command::user::User;
use crate::settings::{
    AllSettings, DatabaseSettings, DemoSettings, Flags, LogSettings, PeopleSettings, ServeSettings,
    TokenSettings, WorkSettings,
};

/// Keeps the users and teams of many organizations in step with Microsoft Entra ID
#[derive(Parser)]
#[command(
    name = "lockstep",
    version = crate::version::LONG,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "`lockstep COMMAND --help` shows the settings that a command uses. To see it work, without an account \
                  anywhere: `lockstep demo`"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Everything in one process, on a sandbox of Microsoft Graph: sets up, runs once, then serves
    Demo(Demo),
    /// Server and worker in one process
    All {
        #[command(flatten)]
        settings: AllSettings,
    },
    /// The GraphQL server alone; needs PostgreSQL and Redis
    Serve {
        #[command(flatten)]
        settings: ServeSettings,
    },
    /// A worker alone; needs PostgreSQL and Redis
    Work {
        #[command(flatten)]
        settings: WorkSettings,
    },
    /// Bring the database up to date
    Migrate {
        #[command(flatten)]
        settings: DatabaseSettings,
    },
    /// Print the GraphQL schema
    Schema,
    /// The sandbox of Microsoft Graph alone
    Sandbox(Sandbox),
    /// Check settings and servers, and say what is wrong and what to do; changes nothing
    Doctor(Doctor),
    /// Create an organization with its first owner, and list all
    Org(Org),
    /// Add and edit people of an organization, and link how they sign in
    User(User),
    /// Make a token for local use
    Token(Token),
    /// Make a pair of keys for sealing client secrets
    Keys,
}

impl Command {
    /// The settings that were given to the command; one without any has the defaults.
    pub(crate) fn settings(&self) -> Flags {
        match self {
            Self::Demo(demo) => demo.settings.clone().into(),
            Self::All { settings } => settings.clone().into(),
            Self::Serve { settings } => settings.clone().into(),
            Self::Work { settings } => settings.clone().into(),
            Self::Migrate { settings } => settings.clone().into(),
            Self::Sandbox(sandbox) => sandbox.settings.clone().into(),
            Self::Doctor(doctor) => doctor.settings(),
            Self::Org(org) => org.settings(),
            Self::User(user) => user.settings(),
            Self::Token(token) => token.settings.clone().into(),
            Self::Schema | Self::Keys => Flags::default(),
        }
    }
}

#[derive(Args)]
pub(crate) struct Demo {
    /// End after the first run: exit status 0 when it succeeded, 1 when it failed
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one JSON object as the last line, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) tenant: TenantChoice,
    /// Address of the sandbox
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDRESS")]
    pub(crate) sandbox_listen: SocketAddr,
    /// Use a sandbox that is running already, such as http://127.0.0.1:8089
    #[arg(long, value_name = "URL", conflicts_with_all = ["data", "users"])]
    pub(crate) sandbox_url: Option<String>,
    #[command(flatten)]
    settings: DemoSettings,
}

/// Which tenant the sandbox serves.
#[derive(Args)]
pub(crate) struct TenantChoice {
    /// A JSON file with `users`, `groups`, `managers` and `members` in the shapes of Microsoft Graph
    #[arg(long, value_name = "FILE", conflicts_with = "users")]
    pub(crate) data: Option<PathBuf>,
    /// Make up a tenant of this many people
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub(crate) users: Option<u32>,
    /// Make up this many groups as well, of `--members` each
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "users")]
    pub(crate) groups: u32,
    /// Members of each made-up group
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 100,
        requires = "groups"
    )]
    pub(crate) members: u32,
    /// Make up one more group, with this many members
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "users")]
    pub(crate) big_group: u32,
    /// Seed of the made-up tenant
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "users")]
    pub(crate) seed: u64,
}

#[derive(Args)]
pub(crate) struct Sandbox {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) tenant: TenantChoice,
    #[command(flatten)]
    settings: LogSettings,
}

/// Which process is checked: each needs something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Everything, and that Microsoft can be reached.
    All,
    /// What `lockstep serve` needs.
    Serve,
    /// What `lockstep work` needs.
    Work,
}

#[derive(Args)]
pub(crate) struct Doctor {
    /// Which process to check
    #[arg(long, value_enum, default_value_t = Role::All)]
    pub(crate) of: Role,
    #[command(flatten)]
    settings: AllSettings,
}

impl Doctor {
    fn settings(&self) -> Flags {
        let flags = Flags::from(self.settings.clone());
        match self.of {
            Role::All => flags,
            Role::Serve => flags.of_serve(),
            Role::Work => flags.of_work(),
        }
    }
}

#[derive(Args)]
pub(crate) struct Org {
    #[command(subcommand)]
    pub(crate) command: OrgCommand,
}

#[derive(Subcommand)]
pub(crate) enum OrgCommand {
    /// Create an organization with its first owner; the add-on for inbound synchronization is switched on
    Create(OrgCreate),
    /// List all organizations
    List(OrgList),
}

#[derive(Args)]
pub(crate) struct OrgList {
    /// Print one JSON object a line, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    settings: DatabaseSettings,
}

impl Org {
    fn settings(&self) -> Flags {
        match &self.command {
            OrgCommand::Create(create) => create.settings.clone().into(),
            OrgCommand::List(list) => list.settings.clone().into(),
        }
    }
}

#[derive(Args)]
pub(crate) struct OrgCreate {
    #[command(flatten)]
    pub(crate) organization: NewOrganization,
    #[command(flatten)]
    settings: PeopleSettings,
}

/// An organization and its first owner.
#[derive(Args)]
pub(crate) struct NewOrganization {
    /// Name of the organization
    #[arg(long)]
    pub(crate) name: String,
    /// E-mail address of the owner
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) owner_email: String,
    /// First name of the owner
    #[arg(long, value_name = "NAME")]
    pub(crate) owner_given_name: String,
    /// Last name of the owner
    #[arg(long, value_name = "NAME")]
    pub(crate) owner_family_name: String,
}

#[derive(Args)]
pub(crate) struct Token {
    /// Id or name of the organization; `lockstep org list` shows them
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) organization: Option<String>,
    /// E-mail address or id of the user
    #[arg(long, value_name = "ADDRESS|ID", requires = "organization")]
    pub(crate) user: Option<String>,
    /// A token with the scope of the platform's staff
    #[arg(long, required_unless_present = "user", conflicts_with = "user")]
    pub(crate) staff: bool,
    /// How long it is valid, in hours
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=8_760))]
    pub(crate) hours: u32,
    #[command(flatten)]
    settings: TokenSettings,
}
