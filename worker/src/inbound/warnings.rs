//! Warnings: problems that did not stop a run, counted at its end.

use std::collections::BTreeSet;
use std::time::Duration;

use lockstep_domain::{
    ChangeReasonCode, DirectoryGroup, GroupMembership, MembersRead, RunWarning, RunWarningCode,
};
use lockstep_store::StoreError;
use lockstep_store::change::Problem;
use lockstep_sync::inbound::selection::selects;
use tokio::time::sleep;

use super::Execution;

/// Groups of which the members are not known that are counted together.
const UNKNOWN: u64 = 500;

/// How often something is counted before it is left uncounted: a run that did its work does not fail for that.
const TRIES: u32 = 3;

/// Pause before the next try.
const PAUSE: Duration = Duration::from_millis(100);

impl Execution<'_> {
    /// Problems that did not stop the run. Those that could not be counted are told too.
    pub(crate) async fn warnings(&self) -> Vec<RunWarning> {
        let problems = self.problems().await;
        let groups = self.groups_not_told().await;
        let uncounted = match (&problems, groups) {
            (Some(_), Some(_)) => 0,
            (Some(_), None) => OF_GROUPS,
            (None, Some(_)) => OF_CHANGES,
            (None, None) => OF_CHANGES + OF_GROUPS,
        };
        let found = self.found(&problems.unwrap_or_default(), groups.unwrap_or_default());
        let uncounted = (
            RunWarningCode::ProblemsNotCounted,
            uncounted,
            "Problems of some kinds could not be counted; look into the change log of the run, and at the log of the worker.",
        );
        let found = found.into_iter().chain([uncounted]);
        let found = found.filter(|(_, count, _)| *count > 0);
        let found = found.map(|(code, count, message)| RunWarning {
            code,
            message: message.to_owned(),
            count,
        });
        self.notes.iter().cloned().chain(found).collect()
    }

    fn found(
        &self,
        problems: &[Problem],
        (unreadable, hidden): (u64, u64),
    ) -> [(RunWarningCode, u64, &'static str); 8] {
        let count = |code| {
            problems
                .iter()
                .filter(|problem| problem.code == code)
                .map(|problem| problem.count)
                .sum()
        };
        [
            (
                RunWarningCode::GroupUnreadable,
                unreadable,
                "The members of groups could not be read, so nobody left their teams, nor the teams of groups around them.",
            ),
            (
                RunWarningCode::MembersHidden,
                hidden,
                "Groups hide their members, so nobody left their teams, nor the teams of groups around them. The permission Member.Read.Hidden shows them.",
            ),
            (
                RunWarningCode::UntestedSettings,
                u64::from(self.is_untested),
                "Settings changed after the latest test that passed. Test them.",
            ),
            (
                RunWarningCode::LinkedUserIncomplete,
                self.run.incomplete,
                "Linked users lack a required value in Microsoft Entra ID and keep what they have.",
            ),
            (
                RunWarningCode::LastOwnerProtected,
                count(ChangeReasonCode::LastOwnerProtected),
                "The last active owner would have been deactivated and was left.",
            ),
            (
                RunWarningCode::DepartureNotConfirmed,
                count(ChangeReasonCode::DepartureNotConfirmed),
                "People were missing from the list, but asking for them by id did not confirm that they are gone.",
            ),
            (
                RunWarningCode::Conflicts,
                count(ChangeReasonCode::Conflict),
                "People could not be decided about; look for the reason CONFLICT in the change log.",
            ),
            (
                RunWarningCode::MissedByDelta,
                self.run.missed_by_delta.unwrap_or_default(),
                "The complete read found changes that the reads of changes before it had missed.",
            ),
        ]
    }

    /// What was skipped, held or failed; none when that cannot be told.
    async fn problems(&self) -> Option<Vec<Problem>> {
        let mut tries = 0;
        loop {
            match self.worker.store.problems(self.run.id).await {
                Ok(problems) => return Some(problems),
                Err(error) => {
                    if !tries_again(&error, &mut tries).await {
                        return None;
                    }
                }
            }
        }
    }

    /// As [`Self::unknown_members`]; none when that cannot be told.
    async fn groups_not_told(&self) -> Option<(u64, u64)> {
        let mut tries = 0;
        loop {
            match self.unknown_members().await {
                Ok(groups) => return Some(groups),
                Err(error) => {
                    if !tries_again(&error, &mut tries).await {
                        return None;
                    }
                }
            }
        }
    }

    /// How many of the groups that make teams, or are nested in one, have members that could not be read, and how many hide
    /// them.
    async fn unknown_members(&self) -> Result<(u64, u64), StoreError> {
        let (mut unreadable, mut hidden, mut after) = (0, 0, None);
        if !self.group_teams.enabled {
            return Ok((0, 0));
        }
        loop {
            let store = &self.worker.store;
            let integration = self.run.integration_id;
            let ids = store
                .groups_to_list(integration, false, after.as_ref(), UNKNOWN)
                .await?;
            let Some(last) = ids.last() else { break };
            after = Some(last.clone());
            let groups = store.groups(integration, &ids).await?;
            let nested = match self.group_teams.membership {
                GroupMembership::Transitive => store.nested_among(integration, &ids).await?,
                GroupMembership::Direct => BTreeSet::new(),
            };
            let matters = |group: &&DirectoryGroup| {
                selects(&self.group_teams, group) || nested.contains(&group.external_id)
            };
            for group in groups.values().filter(matters) {
                unreadable += u64::from(group.members == MembersRead::Unreadable);
                hidden += u64::from(group.members == MembersRead::Hidden);
            }
        }
        Ok((unreadable, hidden))
    }
}

/// Kinds of problems that are counted in the change log.
const OF_CHANGES: u64 = 3;

/// Kinds of problems that are counted among the groups.
const OF_GROUPS: u64 = 2;

/// Waits before another try, unless there were enough.
async fn tries_again(error: &StoreError, tries: &mut u32) -> bool {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(error = %error, cause, "Could not count the problems of a run");
    *tries += 1;
    sleep(PAUSE * *tries).await;
    *tries < TRIES
}
