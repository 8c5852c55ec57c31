//! Reads the tenant's own record, and what was deleted there.

use serde::Deserialize;

use crate::{
    Field, GraphClient, GraphError, Pages,
    page::{self, Protocol, Wire},
    url,
    user::unwrap_text,
    wire::{self, Text},
};

/// The tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Tenant id.
    pub id: String,
    /// Name, to show to the administrator.
    pub display_name: Field<String>,
    /// Verified domains.
    pub verified_domains: Vec<String>,
}

/// A soft-deleted user or group, which can be restored for 30 days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedObject {
    /// Object id.
    pub id: String,
    /// When it was deleted, as Graph writes it.
    pub deleted_date_time: Field<String>,
}

impl GraphClient {
    /// Reads the tenant's own record.
    pub async fn organization(&self) -> Result<Organization, GraphError> {
        const OPERATION: &str = "read the organization";
        let found = self
            .sample(OPERATION, url::ORGANIZATION, page::read::<OrganizationWire>)
            .await?;
        found.into_iter().next().ok_or(GraphError::BadResponse {
            operation: OPERATION,
            reason: "no organization in the answer",
            status: 200,
        })
    }

    /// Reads the users that can still be restored.
    pub fn deleted_users(&self) -> Pages<DeletedObject> {
        self.deleted("read deleted users", url::DELETED_USERS)
    }

    /// Reads the groups that can still be restored.
    pub fn deleted_groups(&self) -> Pages<DeletedObject> {
        self.deleted("read deleted groups", url::DELETED_GROUPS)
    }

    fn deleted(&self, operation: &'static str, path: &str) -> Pages<DeletedObject> {
        let link = self.inner.root.absolute(path);
        Pages::new(
            self,
            operation,
            Protocol::List,
            page::read::<DeletedWire>,
            link,
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrganizationWire {
    #[serde(deserialize_with = "wire::id")]
    id: String,
    #[serde(default, deserialize_with = "wire::loose")]
    display_name: Field<Text>,
    #[serde(default)]
    verified_domains: Vec<DomainWire>,
}

#[derive(Deserialize)]
struct DomainWire {
    #[serde(default, deserialize_with = "wire::loose")]
    name: Field<Text>,
}

impl Wire for OrganizationWire {
    type Item = Organization;

    fn into_item(self, truncated: &mut usize) -> Organization {
        let domains = self
            .verified_domains
            .into_iter()
            .filter_map(|domain| domain.name.into_value());
        Organization {
            id: self.id,
            display_name: unwrap_text(self.display_name, truncated),
            verified_domains: domains.map(|name| name.value).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeletedWire {
    #[serde(deserialize_with = "wire::id")]
    id: String,
    #[serde(default, deserialize_with = "wire::loose")]
    deleted_date_time: Field<Text>,
}

impl Wire for DeletedWire {
    type Item = DeletedObject;

    fn into_item(self, truncated: &mut usize) -> DeletedObject {
        DeletedObject {
            id: self.id,
            deleted_date_time: unwrap_text(self.deleted_date_time, truncated),
        }
    }
}
