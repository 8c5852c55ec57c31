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
    /// Groups what the store has counted: some causes of the domain are shown as one.
    pub(crate) fn all(run: RunId, problems: Vec<Problem>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for Problem { code, field, count } in problems {
            let code = ChangeReasonCode::from(code);
            match groups
                .iter_mut()
                .find(|group| group.code == code && group.field == field)
            {
                Some(group) => group.count += count,
                None => groups.push(Self {
                    run,
                    code,
                    field,
                    count,
                }),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
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

#[cfg(test)]
mod tests {
    use lockstep_domain::ChangeReasonCode as Domain;

    use super::*;

    #[test]
    fn what_is_shown_as_one_cause_is_counted_as_one() {
        let problem = |code, count| Problem {
            code,
            field: None,
            count,
        };
        let problems = vec![
            problem(Domain::Disabled, 3),
            problem(Domain::Conflict, 2),
            problem(Domain::Dependency, 2),
        ];
        let groups = ProblemGroup::all(RunId(uuid::Uuid::nil()), problems);
        let counts: Vec<_> = groups
            .iter()
            .map(|group| (group.code, group.count))
            .collect();
        assert_eq!(
            counts,
            [
                (ChangeReasonCode::Conflict, 4),
                (ChangeReasonCode::Disabled, 3)
            ]
        );
    }
}
