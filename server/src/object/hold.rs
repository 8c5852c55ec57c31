//! Holds: changes that are held back.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use lockstep_domain::ChangeOutcome as Outcome;
use lockstep_store::change::ChangeFilter;
use lockstep_store::hold as stored;

use super::change::{RunChangeConnection, RunChangeFilter};
use super::enums::{HoldCategory, HoldDecisionKind};
use super::integration::Integration;
use super::run::Run;
use crate::app;
use crate::error::{Failure, Result};
use crate::id::GlobalId as _;
use crate::loader::Loaders;
use crate::page::{self, Paging};
use crate::scalar::{Timestamp, int};

/// A hold as stored. Reached only by owners of its organization.
#[derive(Debug, Clone)]
pub(crate) struct Hold(Arc<stored::Hold>);

impl From<stored::Hold> for Hold {
    fn from(hold: stored::Hold) -> Self {
        Self(Arc::new(hold))
    }
}

/// Changes of an integration that are held back. At most one hold is open per integration; later runs carry it on,
/// and its `planHash` changes only when the held changes do.
#[Object]
impl Hold {
    /// The opaque, globally unique id of the hold.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// The integration whose changes are held.
    async fn integration(&self, ctx: &Context<'_>) -> Result<Integration> {
        let integration = Loaders::one(ctx, self.0.integration_id).await?;
        integration
            .map(Integration::from)
            .ok_or_else(|| Failure::Fault("a hold has no integration".to_owned()))
    }

    /// The run that found the held changes last.
    async fn run(&self, ctx: &Context<'_>) -> Result<Run> {
        let run = Loaders::one(ctx, self.0.run_id).await?;
        run.map(Run::from)
            .ok_or_else(|| Failure::Fault("a hold has no run".to_owned()))
    }

    /// What is held, by category.
    async fn categories(&self) -> Vec<HeldCategory> {
        self.0
            .categories
            .iter()
            .map(|(category, held)| HeldCategory::of(*category, held))
            .collect()
    }

    /// The held changes, with those that follow from them.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
        #[graphql(desc = "Restricts the list.")] filter: Option<RunChangeFilter>,
    ) -> Result<RunChangeConnection> {
        let held = ChangeFilter {
            outcomes: Some(vec![Outcome::Held]),
            ..ChangeFilter::default()
        };
        let filter = filter.unwrap_or_default().stored(held)?;
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        RunChangeConnection::load(&app(ctx).store, self.0.run_id, filter, &paging).await
    }

    /// Identifies exactly the held changes.
    async fn plan_hash(&self) -> &str {
        &self.0.plan_hash
    }

    /// When changes were first held.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at.into()
    }

    /// When the hold ends by itself. What it holds stays held: the next run opens another hold for it.
    async fn expires_at(&self) -> Timestamp {
        self.0.expires_at.into()
    }

    /// How the hold ended, null while it is open.
    async fn decision(&self) -> Result<Option<HoldDecision>> {
        let Some((kind, at)) = self.0.decision.zip(self.0.decided_at) else {
            return Ok(None);
        };
        Ok(Some(HoldDecision {
            kind: kind.try_into()?,
            decided_at: at.into(),
        }))
    }
}

/// Held changes of one category.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct HeldCategory {
    /// The category that is over its limit.
    category: HoldCategory,
    /// How many changes are held.
    count: i32,
    /// How many of such objects there are, null when that is not counted.
    out_of: Option<i32>,
    /// The limit in force, in words fit to be shown to a person.
    limit: String,
}

impl HeldCategory {
    fn of(category: lockstep_domain::HoldCategory, held: &stored::HeldCategory) -> Self {
        Self {
            category: category.into(),
            count: int(held.count),
            out_of: Some(int(held.out_of)),
            limit: held.limit.clone(),
        }
    }
}

/// How a hold ended.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct HoldDecision {
    /// What ended it.
    kind: HoldDecisionKind,
    /// When it ended.
    decided_at: Timestamp,
}
