//! A Microsoft Graph sandbox: a real HTTP server that keeps raw JSON and injects faults on request.
//!
//! It serves the login and the reads of users, groups, members and owners that Lockstep sends,
//! in the shapes of Microsoft Graph v1.0, and nothing of it is shared with Lockstep's own client,
//! so that the two cannot agree on an error. What it does not know it refuses, as Graph would.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lockstep_sandbox::{Fault, Sandbox, SandboxOptions, Tenant};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let sandbox = Sandbox::start(listener, Tenant::demo(), SandboxOptions::default()).await?;
//! let control = sandbox.control();
//! control.add_fault(Fault::status(503).on_request("users.delta").times(2)).expect("a valid fault");
//! println!("Graph and login at {}", sandbox.url());
//! sandbox.wait().await;
//! # Ok(())
//! # }
//! ```
//!
//! Where to read: a request goes `sandbox` (HTTP) → `exchange` (faults, token, permission, log)
//! → `route` → `users`, `groups`, `organization`, `delta`, `batch`. The data is in `directory`,
//! its changes in `edit` and `changes`, the controls in `control`, and over HTTP in
//! `control_http` and `control_directory`.

mod answer;
mod batch;
mod changes;
mod churn;
mod clock;
mod control;
mod control_directory;
mod control_http;
mod data;
mod delta;
mod delta_items;
mod directory;
mod edit;
mod error;
mod exchange;
mod fault;
mod faults;
mod filter;
mod gates;
mod generate;
mod groups;
mod inject;
mod lists;
mod login;
mod options;
mod organization;
mod paging;
mod permission;
mod properties;
mod query;
mod random;
mod related;
mod requests;
mod route;
mod sandbox;
mod schema;
mod select;
mod server;
mod tenant;
mod users;

pub use churn::{Churn, Churned};
pub use control::{Control, SandboxState};
pub use data::DataError;
pub use edit::EditError;
pub use fault::{EmptyPage, Fault, FaultKind, RetryAfter};
pub use faults::FaultState;
pub use generate::GenerateOptions;
pub use options::{
    DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, DEMO_TENANT_DOMAIN, DEMO_TENANT_ID, OptionsPatch,
    OptionsState, SandboxOptions,
};
pub use requests::{RequestCounts, RequestLine, STATUS_ABANDONED};
pub use sandbox::Sandbox;
pub use tenant::Tenant;
