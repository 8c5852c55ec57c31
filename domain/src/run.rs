//! Runs: one execution of an integration, and the states it goes through.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::change::{ChangeAction, ChangeOutcome, ObjectKind};
use crate::text_enum::text_enum;

text_enum! {
    /// What a run is for.
    pub enum RunKind {
        /// Changes are applied.
        Sync = "SYNC",
        /// Changes are worked out and listed, and nothing is applied.
        Preview = "PREVIEW",
    }
}

text_enum! {
    /// Where a run stands (D-46). Every run ends in exactly one of the last four.
    pub enum RunState {
        /// Waiting for a worker.
        Queued = "QUEUED",
        /// In progress.
        Running = "RUNNING",
        /// Finished with every change applied.
        Succeeded = "SUCCEEDED",
        /// Finished, but something was held, skipped, failed or needs attention.
        SucceededWithWarnings = "SUCCEEDED_WITH_WARNINGS",
        /// Stopped by an error.
        Failed = "FAILED",
        /// Stopped on request.
        Canceled = "CANCELED",
    }
}

impl RunState {
    /// Whether the run has ended; an end state is never left.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// Whether the run ended well: the green check of E-080.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Succeeded | Self::SucceededWithWarnings)
    }
}

text_enum! {
    /// What started a run (E-075).
    pub enum RunTriggerKind {
        /// The schedule.
        Schedule = "SCHEDULE",
        /// A person asked for it.
        Manual = "MANUAL",
        /// The integration was activated.
        Activation = "ACTIVATION",
        /// The service repeats a run that failed for a passing reason (D-60).
        AutomaticRetry = "AUTOMATIC_RETRY",
    }
}

text_enum! {
    /// How a run reads the directory (D-52).
    pub enum ReadMode {
        /// Everything; only such a read can tell that someone is gone.
        Full = "FULL",
        /// What changed since the read before.
        Delta = "DELTA",
    }
}

text_enum! {
    /// What a worker that takes a run up has to go on with: the crash behaviour of D-54.
    pub enum RunStage {
        /// Read and plan anew.
        Read = "READ",
        /// The plan is complete and guarded: go on with the stored rows.
        Apply = "APPLY",
    }
}

text_enum! {
    /// What a run is doing.
    pub enum RunPhase {
        /// Waiting for a worker.
        Queued = "QUEUED",
        /// Signing in to the directory.
        Authenticating = "AUTHENTICATING",
        /// Reading users and their managers.
        ReadingUsers = "READING_USERS",
        /// Reading groups.
        ReadingGroups = "READING_GROUPS",
        /// Reading members of groups.
        ReadingMembers = "READING_MEMBERS",
        /// Working out the changes.
        Planning = "PLANNING",
        /// Asking the directory once more for each person who is missing.
        ConfirmingDepartures = "CONFIRMING_DEPARTURES",
        /// Applying changes to users.
        ApplyingUsers = "APPLYING_USERS",
        /// Applying changes to teams.
        ApplyingTeams = "APPLYING_TEAMS",
        /// Applying changes to memberships.
        ApplyingMemberships = "APPLYING_MEMBERSHIPS",
        /// Ended.
        Finished = "FINISHED",
    }
}

impl RunPhase {
    /// Share of the whole run that is done when the phase begins and ends, in percent; never falls.
    #[must_use]
    pub const fn span(self) -> (u8, u8) {
        match self {
            Self::Queued => (0, 0),
            Self::Authenticating => (0, 2),
            Self::ReadingUsers => (2, 25),
            Self::ReadingGroups => (25, 28),
            Self::ReadingMembers => (28, 40),
            Self::Planning => (40, 65),
            Self::ConfirmingDepartures => (65, 70),
            Self::ApplyingUsers => (70, 82),
            Self::ApplyingTeams => (82, 85),
            Self::ApplyingMemberships => (85, 99),
            Self::Finished => (100, 100),
        }
    }

    /// Share of the whole run that is done, none while the phase does not know its total.
    #[must_use]
    pub fn percent(self, processed: u64, total: Option<u64>) -> Option<u8> {
        let (begin, end) = self.span();
        let share = match total {
            _ if begin == end => 0,
            None => return None,
            Some(0) => u64::from(end - begin),
            Some(total) => u64::from(end - begin) * processed.min(total) / total,
        };
        u8::try_from(u64::from(begin) + share).ok()
    }
}

text_enum! {
    /// Kind of error that stops a run.
    pub enum RunErrorCode {
        /// The client secret is wrong (AADSTS7000215).
        InvalidClientSecret = "INVALID_CLIENT_SECRET",
        /// The client secret has expired (AADSTS7000222).
        CredentialExpired = "CREDENTIAL_EXPIRED",
        /// There is no such tenant (AADSTS90002).
        TenantNotFound = "TENANT_NOT_FOUND",
        /// There is no such app registration in the tenant (AADSTS700016).
        ClientNotFound = "CLIENT_NOT_FOUND",
        /// The app registration is disabled in the tenant.
        ClientDisabled = "CLIENT_DISABLED",
        /// A policy of the tenant, such as Conditional Access, blocks the app.
        BlockedByPolicy = "BLOCKED_BY_POLICY",
        /// Microsoft Graph refused a fresh token.
        TokenRejected = "TOKEN_REJECTED",
        /// A permission is missing or lacks admin consent.
        PermissionMissing = "PERMISSION_MISSING",
        /// Microsoft Graph kept asking to slow down until the time for the run was up.
        Throttled = "THROTTLED",
        /// Microsoft Graph or its sign-in service did not answer or answered with a server error.
        ProviderUnavailable = "PROVIDER_UNAVAILABLE",
        /// Microsoft Graph answered with something that cannot be used.
        ProviderBadResponse = "PROVIDER_BAD_RESPONSE",
        /// Microsoft Graph refused a request as invalid.
        ProviderRejected = "PROVIDER_REJECTED",
        /// The directory could not be read completely, so nothing was concluded from it.
        IncompleteRead = "INCOMPLETE_READ",
        /// So many changes failed that the run was stopped (D-47).
        TooManyFailures = "TOO_MANY_FAILURES",
        /// The run lost its worker three times and was parked (D-54).
        WorkerLost = "WORKER_LOST",
        /// The database has no space left.
        StorageFull = "STORAGE_FULL",
        /// The key that opens stored credentials is not available to the worker.
        KeyUnavailable = "KEY_UNAVAILABLE",
        /// A fault of this service.
        Internal = "INTERNAL",
    }
}

impl RunErrorCode {
    /// Whether the fault passes by itself, so that the service tries again (D-60, D-62).
    #[must_use]
    pub const fn passes_by_itself(self) -> bool {
        matches!(
            self,
            Self::Throttled
                | Self::ProviderUnavailable
                | Self::ProviderBadResponse
                | Self::IncompleteRead
                | Self::WorkerLost
                | Self::StorageFull
                | Self::Internal
        )
    }
}

/// The error that stopped a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The kind of error.
    pub code: RunErrorCode,
    /// What went wrong, in a sentence fit to be shown to a person.
    pub message: String,
    /// What a person can do about it.
    pub remediation: Option<String>,
    /// What the run was doing.
    pub phase: RunPhase,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Error code of Microsoft.
    pub provider_error_code: Option<String>,
    /// Request id of Microsoft, for a support case.
    pub provider_request_id: Option<String>,
}

text_enum! {
    /// Kind of problem that does not stop a run.
    pub enum RunWarningCode {
        /// Groups could not be read, so their teams were left as they are (D-51).
        GroupUnreadable = "GROUP_UNREADABLE",
        /// Groups hide their members from the app, so their teams were left as they are.
        MembersHidden = "MEMBERS_HIDDEN",
        /// Members that are devices, service principals or contacts were left out (D-29).
        UnsupportedMembers = "UNSUPPORTED_MEMBERS",
        /// People report to each other in a circle (D-43).
        ManagerCycle = "MANAGER_CYCLE",
        /// People are their own manager (D-43).
        SelfManager = "SELF_MANAGER",
        /// The managers of people are not synchronized, so the people are in no manager team (D-42, D-44).
        ManagerOutOfScope = "MANAGER_OUT_OF_SCOPE",
        /// Linked users lack a required field in the directory and keep what they have.
        LinkedUserIncomplete = "LINKED_USER_INCOMPLETE",
        /// The last active owner would have been deactivated and was left.
        LastOwnerProtected = "LAST_OWNER_PROTECTED",
        /// People are missing, but asking for them by id did not confirm that they are gone.
        DepartureNotConfirmed = "DEPARTURE_NOT_CONFIRMED",
        /// People could not be decided about.
        Conflicts = "CONFLICTS",
        /// The directory could no longer tell what changed, so everything was read.
        DeltaReset = "DELTA_RESET",
        /// The complete read found changes that the reads before had missed.
        MissedByDelta = "MISSED_BY_DELTA",
        /// Settings changed after the latest test that passed.
        UntestedSettings = "UNTESTED_SETTINGS",
        /// Problems of some kinds could not be counted, so whether there are any is not known.
        ProblemsNotCounted = "PROBLEMS_NOT_COUNTED",
    }
}

/// A problem that did not stop the run and concerns no single change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunWarning {
    /// The kind of problem.
    pub code: RunWarningCode,
    /// The problem in a sentence fit to be shown to a person.
    pub message: String,
    /// How many objects it concerns.
    pub count: u64,
}

/// What a run cost at Microsoft Graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCost {
    /// Requests sent to Graph, each part of a batch counted as one; token requests aside.
    pub graph_requests: u64,
    /// Requests that were refused with the demand to slow down.
    pub throttled: u64,
    /// Time spent waiting because of that, in milliseconds.
    pub waited_ms: u64,
}

/// Number of objects by what was done with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeCounts {
    /// Created.
    pub created: u64,
    /// Existing users linked to an account of the directory.
    pub linked: u64,
    /// Updated.
    pub updated: u64,
    /// Deactivated; for teams, archived.
    pub deactivated: u64,
    /// Reactivated.
    pub reactivated: u64,
    /// Removed; for memberships only.
    pub removed: u64,
    /// Found as they should be.
    pub unchanged: u64,
    /// Left out for a reason given in the change log.
    pub skipped: u64,
    /// Held until an owner decides.
    pub held: u64,
    /// Not done because of an error given in the change log.
    pub failed: u64,
}

impl ChangeCounts {
    /// Counts `count` rows of one action and outcome; a planned row counts as what it would do.
    pub fn add(&mut self, action: ChangeAction, outcome: ChangeOutcome, count: u64) {
        let field = match outcome {
            ChangeOutcome::Skipped => &mut self.skipped,
            ChangeOutcome::Held => &mut self.held,
            ChangeOutcome::Failed => &mut self.failed,
            ChangeOutcome::Planned | ChangeOutcome::Applied => match action {
                ChangeAction::Create | ChangeAction::AddMember | ChangeAction::AddSupervisor => {
                    &mut self.created
                }
                // One that ends in one team and one that begins in another (2.7 of the requirements).
                ChangeAction::MoveMember => {
                    self.removed += count;
                    &mut self.created
                }
                ChangeAction::Link => &mut self.linked,
                ChangeAction::Update => &mut self.updated,
                ChangeAction::Deactivate | ChangeAction::Archive => &mut self.deactivated,
                ChangeAction::Reactivate | ChangeAction::Unarchive => &mut self.reactivated,
                ChangeAction::RemoveMember | ChangeAction::RemoveSupervisor => &mut self.removed,
            },
        };
        *field += count;
    }
}

/// Changes of a run counted by kind of object (E-084 to E-089).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// Changes of users.
    pub users: ChangeCounts,
    /// Changes of teams.
    pub teams: ChangeCounts,
    /// Changes of memberships.
    pub memberships: ChangeCounts,
    /// People about whom the run could not decide.
    pub conflicts: u64,
}

impl RunSummary {
    /// Counts `count` rows of one kind of object, action and outcome.
    pub fn add(
        &mut self,
        kind: ObjectKind,
        action: ChangeAction,
        outcome: ChangeOutcome,
        count: u64,
    ) {
        match kind {
            ObjectKind::User => self.users.add(action, outcome, count),
            ObjectKind::Team => self.teams.add(action, outcome, count),
            ObjectKind::Membership => self.memberships.add(action, outcome, count),
        }
    }

    /// Whether anything was skipped, held or failed, which makes a success one with warnings (D-46).
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        [&self.users, &self.teams, &self.memberships]
            .into_iter()
            .any(|counts| counts.skipped + counts.held + counts.failed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentage_never_falls_from_phase_to_phase() {
        let mut last = 0;
        for phase in RunPhase::ALL {
            for done in [0, 1, 50, 100, 200] {
                let percent = phase.percent(done, Some(100)).unwrap();
                assert!(percent >= last, "{phase}: {percent} after {last}");
                last = percent;
            }
        }
        assert_eq!(last, 100);
        assert_eq!(RunPhase::ReadingUsers.percent(5, None), None);
    }

    #[test]
    fn d46_only_the_last_four_states_are_ends() {
        let ends: Vec<_> = RunState::ALL
            .iter()
            .filter(|state| state.has_ended())
            .collect();
        assert_eq!(ends.len(), 4);
        assert!(ends.iter().filter(|state| state.is_success()).count() == 2);
    }
}
