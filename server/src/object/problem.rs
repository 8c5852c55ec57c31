//! What went wrong in a run, grouped by cause.

use async_graphql::{Context, Object};
use lockstep_domain::RunId;
use lockstep_store::change::Problem;

use super::change::RunChange;
use super::enums::ChangeReasonCode;
use crate::app;
use crate::error::{Failure, Result};
use crate::scalar::int;

/// Greatest number of changes in a sample.
const MAX_SAMPLE: i32 = 20;

/// Changes of a run with the same cause.
pub(crate) struct ProblemGroup {
    run: RunId,
    code: ChangeReasonCode,
    field: Option<String>,
    count: u64,
}

impl ProblemGroup {
    /// Shows what the store has grouped, greatest group first.
    pub(crate) fn all(run: RunId, problems: Vec<Problem>) -> Vec<Self> {
        let group = |Problem { code, field, count }| Self {
            run,
            code: ChangeReasonCode::from(code),
            field,
            count,
        };
        problems.into_iter().map(group).collect()
    }
}

/// Changes of a run that have the same problem.
#[Object]
impl ProblemGroup {
    /// The cause.
    async fn code(&self) -> ChangeReasonCode {
        self.code
    }

    /// The field at fault, null when no single field is.
    async fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The problem in a sentence fit to be shown to a person.
    async fn message(&self) -> String {
        self.code.explain(self.field.as_deref())
    }

    /// How many changes have it.
    async fn count(&self) -> i32 {
        int(self.count)
    }

    /// Some of the changes.
    #[graphql(
        complexity = "usize::try_from(first.clamp(1, 20)).unwrap_or_default() * child_complexity + 1"
    )]
    async fn sample(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return (1 to 20).", default = 5)] first: i32,
    ) -> Result<Vec<RunChange>> {
        if !(1..=MAX_SAMPLE).contains(&first) {
            return Err(Failure::bad_input(format!(
                "`first` goes from 1 to {MAX_SAMPLE}."
            )));
        }
        let limit = u64::try_from(first).unwrap_or_default();
        let codes = self.code.domain();
        let rows = app(ctx)
            .store
            .problem_sample(self.run, &codes, self.field.as_deref(), limit)
            .await?;
        Ok(rows.into_iter().map(RunChange::from).collect())
    }
}
