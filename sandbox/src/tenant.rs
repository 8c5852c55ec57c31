//! A tenant: the directory a sandbox starts with.

use uuid::Uuid;

use crate::data::{self, DataError};
use crate::directory::Directory;
use crate::generate::{self, GenerateOptions};

/// An organization's directory in memory.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub(crate) directory: Directory,
    /// What it was made from: the same for the same content.
    pub(crate) origin: Uuid,
}

impl Tenant {
    /// Reads a data file: `{users: [...], groups: [...], managers: {person: manager}, members: {group: [ids]}}`,
    /// and optionally `tenant: {displayName}`, `others: [...]` (devices, service principals, contacts)
    /// and `owners: {group: [ids]}`. Ids that are in no list are kept as dangling links. A `null`
    /// property counts as never set.
    pub fn from_json(bytes: &[u8]) -> Result<Tenant, DataError> {
        let origin = Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes);
        data::read(bytes).map(|directory| Tenant { directory, origin })
    }

    /// The tenant that is built in: some sixty people with the irregularities of a real directory.
    pub fn demo() -> Tenant {
        Tenant::from_json(include_bytes!("../demo-tenant.json"))
            .expect("the embedded demo tenant is well-formed")
    }

    /// Makes up a tenant of any size; the same options always give the same tenant.
    pub fn generate(options: GenerateOptions) -> Tenant {
        let version = env!("CARGO_PKG_VERSION");
        let origin = format!("{version} {options:?}");
        Tenant {
            directory: generate::directory(&options),
            origin: Uuid::new_v5(&Uuid::NAMESPACE_OID, origin.as_bytes()),
        }
    }

    /// How many users there are.
    pub fn user_count(&self) -> usize {
        self.directory.live_users
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.directory.live_groups
    }
}
