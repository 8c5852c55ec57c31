//! Enums of the schema that mirror enums of the domain: runs and change logs.

use async_graphql::Enum;
use lockstep_domain::ObjectKind;

use super::mirrored_enum;
use crate::error::Failure;

mirrored_enum! {
    /// What a run is for.
    RunKind = RunKind {
        /// Changes are applied.
        Sync,
        /// Changes are worked out and listed as PLANNED, and nothing is applied.
        Preview,
    }
}

mirrored_enum! {
    /// Where a run stands. QUEUED and RUNNING have not ended.
    RunState = RunState {
        /// Waiting for a worker.
        Queued,
        /// In progress.
        Running,
        /// Finished with every change applied. Shown as a check.
        Succeeded,
        /// Finished, but something was held, skipped, failed or needs attention; see `problemGroups` and `warnings`. Shown as a check.
        SucceededWithWarnings,
        /// Stopped by an error; see `error`. Shown as a cross.
        Failed,
        /// Stopped on request; what was applied stays. Shown as a cross.
        Canceled,
    }
}

mirrored_enum! {
    /// Kind of trigger.
    RunTriggerKind = RunTriggerKind {
        /// The schedule.
        Schedule,
        /// A person asked for it.
        Manual,
        /// The integration was activated.
        Activation,
        /// The service repeats a run that failed for a passing reason.
        AutomaticRetry,
    }
}

mirrored_enum! {
    /// How a run reads the directory.
    ReadMode = ReadMode {
        /// Everything; only such a read can tell that someone is gone.
        Full,
        /// What changed since the read before.
        Delta,
    }
}

mirrored_enum! {
    /// What a run is doing.
    RunPhase = RunPhase {
        /// Waiting for a worker.
        Queued,
        /// Signing in to the directory.
        Authenticating,
        /// Reading users and their managers.
        ReadingUsers,
        /// Reading groups.
        ReadingGroups,
        /// Reading members of groups.
        ReadingMembers,
        /// Working out the changes.
        Planning,
        /// Asking the directory once more for each person who is missing.
        ConfirmingDepartures,
        /// Applying changes to users.
        ApplyingUsers,
        /// Applying changes to teams.
        ApplyingTeams,
        /// Applying changes to memberships.
        ApplyingMemberships,
        /// Ended.
        Finished,
    }
}

mirrored_enum! {
    /// Kind of error that stops a run.
    RunErrorCode = RunErrorCode {
        /// The client secret is wrong.
        InvalidClientSecret,
        /// The client secret has expired.
        CredentialExpired,
        /// There is no such tenant.
        TenantNotFound,
        /// There is no such app registration in the tenant.
        ClientNotFound,
        /// The app registration is disabled in the tenant.
        ClientDisabled,
        /// A policy of the tenant, such as Conditional Access, blocks the app.
        BlockedByPolicy,
        /// Microsoft Graph refused a fresh token.
        TokenRejected,
        /// A permission is missing or lacks admin consent.
        PermissionMissing,
        /// Microsoft Graph kept asking to slow down until the time for the run was up.
        Throttled,
        /// Microsoft Graph or its sign-in service did not answer or answered with a server error.
        ProviderUnavailable,
        /// Microsoft Graph answered with something that cannot be used.
        ProviderBadResponse,
        /// Microsoft Graph refused a request as invalid.
        ProviderRejected,
        /// The directory could not be read completely, so nothing was concluded from it.
        IncompleteRead,
        /// The same fault hit so many changes that the run was stopped.
        TooManyFailures,
        /// The run lost its worker three times and was parked.
        WorkerLost,
        /// The database has no space left.
        StorageFull,
        /// The key that opens stored credentials is not available to the worker.
        KeyUnavailable,
        /// A fault of this service.
        Internal,
    }
}

mirrored_enum! {
    /// Kind of problem that does not stop a run.
    RunWarningCode = RunWarningCode {
        /// Groups could not be read, so their teams were left as they are.
        GroupUnreadable,
        /// Groups hide their members from the app, so their teams were left as they are.
        MembersHidden,
        /// Members that are devices, service principals or contacts were left out.
        UnsupportedMembers,
        /// People report to each other in a circle.
        ManagerCycle,
        /// People are their own manager.
        SelfManager,
        /// The managers of people are out of scope, disabled or guests, so the people are in no manager team.
        ManagerOutOfScope,
        /// Linked users lack a required field in the directory and keep what they have.
        LinkedUserIncomplete,
        /// The last active owner would have been deactivated and was left.
        LastOwnerProtected,
        /// People are missing, but asking for them by id did not confirm that they are gone; nothing was done.
        DepartureNotConfirmed,
        /// People could not be decided about; see the changes with the reason CONFLICT.
        Conflicts,
        /// The directory could no longer tell what changed, so everything was read.
        DeltaReset,
        /// The complete read found changes that the reads before had missed.
        MissedByDelta,
        /// Settings changed after the latest test that passed.
        UntestedSettings,
        /// Problems of some kinds could not be counted, so whether there are any is not known; `count` is how many kinds.
        ProblemsNotCounted,
    }
}

mirrored_enum! {
    /// Category of changes that can be held.
    HoldCategory = HoldCategory {
        /// The source answered with nobody at all. Always held.
        EmptySource,
        /// Every linked user would be deactivated. Always held.
        AllUsersGone,
        /// Users would be deactivated.
        UserDeactivations,
        /// Teams would be archived.
        TeamArchivals,
        /// Teams would lose members.
        MemberRemovals,
        /// E-mail addresses would change.
        EmailChanges,
    }
}

/// What ends a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum HoldDecisionKind {
    /// A later run found nothing held any more: the directory took the changes back, or an owner raised the limit.
    Superseded,
    /// Its time was over. What it held stays held: the next run opens another hold for it.
    Expired,
}

/// Fewer than the domain has: nobody can decide yet.
impl TryFrom<lockstep_domain::HoldDecisionKind> for HoldDecisionKind {
    type Error = Failure;

    fn try_from(kind: lockstep_domain::HoldDecisionKind) -> Result<Self, Failure> {
        use lockstep_domain::HoldDecisionKind as Domain;
        match kind {
            Domain::Superseded => Ok(Self::Superseded),
            Domain::Expired => Ok(Self::Expired),
            Domain::Approved | Domain::Rejected => Err(Failure::Fault(
                "a hold ended in a way that the schema does not have".to_owned(),
            )),
        }
    }
}

mirrored_enum! {
    /// What a change does.
    ChangeAction = ChangeAction {
        /// Creates the object.
        Create,
        /// Links an existing user to an account of the directory, who is managed from then on.
        Link,
        /// Updates fields of the object.
        Update,
        /// Deactivates the user.
        Deactivate,
        /// Reactivates the user.
        Reactivate,
        /// Archives the team.
        Archive,
        /// Brings the team back from the archive.
        Unarchive,
        /// Adds a member.
        AddMember,
        /// Adds a supervisor.
        AddSupervisor,
        /// Moves a member from one manager's team to another's.
        MoveMember,
        /// Removes a member.
        RemoveMember,
        /// Removes a supervisor.
        RemoveSupervisor,
    }
}

mirrored_enum! {
    /// How a change came out.
    ChangeOutcome = ChangeOutcome {
        /// Worked out, not applied.
        Planned,
        /// Held back for the reason given in `reason`.
        Held,
        /// Applied.
        Applied,
        /// Left out for the reason given in `reason`.
        Skipped,
        /// Failed for the reason given in `reason`.
        Failed,
    }
}

/// Kind of object in a change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum DirectoryObjectType {
    /// A user.
    User,
    /// A team. Changes of its memberships have it as their object too.
    Team,
    /// A group of the directory; no run changes one.
    Group,
}

impl DirectoryObjectType {
    /// The kinds of the domain whose changes have such an object.
    pub(crate) const fn domain(self) -> &'static [ObjectKind] {
        match self {
            Self::User => &[ObjectKind::User],
            Self::Team => &[ObjectKind::Team, ObjectKind::Membership],
            Self::Group => &[],
        }
    }
}
