//! Enums of the schema that mirror enums of the domain: people and who did what.

use super::mirrored_enum;

mirrored_enum! {
    /// Kind of actor.
    ActorKind = ActorKind {
        /// A user of the organization.
        User,
        /// Staff of the platform.
        Staff,
        /// This service by itself, or its command line.
        Service,
    }
}

mirrored_enum! {
    /// Role of a user in an organization. Integrations are for owners alone.
    OrganizationRole = Role {
        /// Uses the product; integrations, runs and change logs do not exist for it.
        Member,
        /// Owns the organization: configures, activates and runs integrations and manages teams.
        Owner,
    }
}

mirrored_enum! {
    /// Whether a user may sign in.
    UserStatus = UserStatus {
        /// Created by a run and has never signed in; may sign in and gets e-mails.
        NotYetActivated,
        /// The user may sign in.
        Active,
        /// The user cannot sign in, gets no e-mails and no new assignments; nothing is deleted. See `User.deactivation`.
        Deactivated,
    }
}

mirrored_enum! {
    /// Reason for which a user is deactivated.
    DeactivationReason = DeactivationReason {
        /// The account is disabled in the directory.
        Disabled,
        /// The account was deleted in the directory.
        Deleted,
        /// The account is a guest, and guests are no longer synchronized.
        GuestExcluded,
        /// A complete read no longer found the account, and asking for it by its id confirmed that.
        NotFound,
        /// An owner deactivated the user by hand; runs do not reactivate the user.
        Manual,
    }
}

mirrored_enum! {
    /// How an account of the directory and a user were found to be the same person.
    LinkMatch = LinkMatch {
        /// The run created the user for the account.
        Created,
        /// Equal e-mail addresses.
        Email,
        /// The e-mail address equals the user principal name.
        UserPrincipalName,
    }
}

mirrored_enum! {
    /// Where a record is managed.
    RecordOrigin = RecordOrigin {
        /// Managed by hand; runs never change it.
        Local,
        /// Managed by an inbound integration.
        EntraId,
    }
}

mirrored_enum! {
    /// The user type attribute of Microsoft Entra ID.
    DirectoryUserType = UserType {
        /// A regular user of the tenant.
        Member,
        /// A guest invited into the tenant.
        Guest,
    }
}
