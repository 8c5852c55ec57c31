//! Refuses a document that costs too much, and says what it costs.

use std::sync::Arc;

use async_graphql::{
    ServerError, ValidationResult,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation},
};
use async_trait::async_trait;

use super::error::ErrorCode;

/// The extension, for `Schema::build(…).extension(CostLimit(50_000))`, instead of async-graphql's own limit, whose
/// error has no numbers. What a field costs is said at the field.
#[derive(Debug, Clone, Copy)]
pub struct CostLimit(pub usize);

impl ExtensionFactory for CostLimit {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(*self)
    }
}

#[async_trait]
impl Extension for CostLimit {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        let (cost, limit) = (result.complexity, self.0);
        if cost <= limit {
            return Ok(result);
        }
        let message = format!(
            "The document costs {cost}, and at most {limit} are allowed: one for each field, times the size of each \
             list around it. Ask for smaller pages or for fewer fields."
        );
        Err(vec![ErrorCode::CostLimitExceeded.error(message)])
    }
}
