//! How users are tied to accounts of the directory.

use std::sync::Arc;

use async_graphql::{Context, Object};
use lockstep_store::user::LinkRow;

use super::enums::LinkMatch;
use super::integration::Integration;
use crate::error::Result;
use crate::loader::Loaders;
use crate::scalar::{Guid, Timestamp};

/// The link of a user as stored.
#[derive(Debug, Clone)]
pub(crate) struct DirectoryLink(Arc<LinkRow>);

impl From<LinkRow> for DirectoryLink {
    fn from(row: LinkRow) -> Self {
        Self(Arc::new(row))
    }
}

/// The tie between a user and an account of the directory.
#[Object]
impl DirectoryLink {
    /// The integration that made the tie.
    async fn integration(&self, ctx: &Context<'_>) -> Result<Option<Integration>> {
        Ok(Loaders::one(ctx, self.0.link.integration_id)
            .await?
            .map(Integration::from))
    }

    /// Directory (tenant) ID, null when the tenant was named by a domain and never resolved.
    async fn tenant_id(&self) -> Option<Guid> {
        Guid::read(&self.0.tenant_id)
    }

    /// How the two were found to be the same person.
    async fn matched_by(&self) -> LinkMatch {
        self.0.link.matched_by.into()
    }

    /// When the tie was made.
    async fn linked_at(&self) -> Timestamp {
        self.0.linked_at.into()
    }
}
