//! A Microsoft Graph client: tokens, paging, delta, batches, throttling, errors.
//!
//! It reads users, managers, groups, members and owners of one tenant and knows nothing of what they are
//! read for. A [`GraphClient`] owns one token and one throttle: its clones share both, so that a tenant which
//! asks for patience is left alone by all of them. Every read either ends complete or in a [`GraphError`],
//! whose [`class`](GraphError::class) says what the caller can do about it.
//!
//! A page of objects is the largest thing kept in memory. Text longer than 4 KiB is cut, and
//! [`Page::truncated`] counts how often that happened.

mod aadsts;
mod batch;
mod client;
mod credentials;
mod directory;
mod endpoints;
mod error;
mod fetch;
mod field;
mod group;
mod link;
mod lookup;
mod members;
mod options;
mod organization;
mod page;
mod patience;
mod permissions;
mod refusal;
mod stats;
mod text;
mod throttle;
mod token;
mod transport;
mod url;
mod user;
mod wire;

pub use aadsts::SignInProblem;
pub use batch::{BatchRequest, BatchResponse};
pub use client::GraphClient;
pub use credentials::Credentials;
pub use endpoints::{Cloud, Endpoints};
pub use error::{Answer, ErrorClass, GraphError, SignIn};
pub use field::Field;
pub use group::{Group, GroupSelect, Member, MemberChange, MemberKind};
pub use link::DeltaLink;
pub use lookup::Presence;
pub use options::{ClientOptions, Priority, Waits};
pub use organization::{DeletedObject, Organization};
pub use page::{Page, Pages};
pub use stats::RequestStats;
pub use user::{Removed, User, UserSelect};

pub use reqwest::Url;
pub use secrecy::SecretString;
