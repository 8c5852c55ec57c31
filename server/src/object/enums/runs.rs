//! Enums of the schema that mirror enums of the domain: runs and change logs.

use super::mirrored_enum;

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
        /// Finished, but something was held, skipped, failed, rejected or needs attention; see `problemGroups` and `warnings`. Shown as a check.
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
        /// A person or API key asked for it.
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
        /// Working out the changes.
        Planning,
        /// Asking the directory once more for each person who is missing.
        ConfirmingDepartures,
        /// Applying changes to users.
        ApplyingUsers,
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
        /// The tenant belongs to another national cloud.
        WrongCloud,
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
        /// Linked users lack a required field in the directory and keep what they have.
        LinkedUserIncomplete,
        /// The last active owner would have been deactivated and was left.
        LastOwnerProtected,
        /// People are missing, but asking for them by id did not confirm that they are gone; nothing was done.
        DepartureNotConfirmed,
        /// People could not be decided about; see `Integration.conflicts`.
        Conflicts,
        /// The directory could no longer tell what changed, so everything was read.
        DeltaReset,
        /// The complete read found changes that the reads before had missed.
        MissedByDelta,
        /// Settings changed after the latest test that passed.
        UntestedSettings,
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
        /// E-mail addresses would change.
        EmailChanges,
    }
}

mirrored_enum! {
    /// What ends a hold.
    HoldDecisionKind = HoldDecisionKind {
        /// An owner approved exactly the held changes.
        Approved,
        /// An owner rejected them; the rows stay as they are until the source changes.
        Rejected,
        /// A later run no longer found them over the limit, or held a list of its own.
        Superseded,
        /// Nobody decided within 7 days.
        Expired,
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
    }
}

mirrored_enum! {
    /// How a change came out.
    ChangeOutcome = ChangeOutcome {
        /// Worked out, not applied.
        Planned,
        /// Held back for the reason given in `reason`.
        Held,
        /// Held back and rejected by an owner.
        Rejected,
        /// Held back and dropped, because nobody decided in time or a later run replaced it.
        Dropped,
        /// Applied.
        Applied,
        /// Left out for the reason given in `reason`.
        Skipped,
        /// Failed for the reason given in `reason`.
        Failed,
    }
}

mirrored_enum! {
    /// Kind of object in a change log.
    DirectoryObjectType = ObjectKind {
        /// A user.
        User,
        /// A team.
        Team,
    }
}
