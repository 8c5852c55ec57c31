//! Holds: changes that wait for an owner because there are too many of them (D-48, D-49).

use crate::text_enum::text_enum;

text_enum! {
    /// Category of changes that can be held.
    pub enum HoldCategory {
        /// The source answered with nobody at all. Always held.
        EmptySource = "EMPTY_SOURCE",
        /// Every linked user would be deactivated. Always held.
        AllUsersGone = "ALL_USERS_GONE",
        /// Users would be deactivated.
        UserDeactivations = "USER_DEACTIVATIONS",
        /// Teams would be archived.
        TeamArchivals = "TEAM_ARCHIVALS",
        /// A team would lose members.
        MemberRemovals = "MEMBER_REMOVALS",
        /// E-mail addresses would change.
        EmailChanges = "EMAIL_CHANGES",
    }
}

text_enum! {
    /// What a change that was held would do. With its object, it says which change it is in every later run.
    pub enum HeldKind {
        /// Deactivates a user.
        Departure = "DEPARTURE",
        /// Moves a user to another address.
        Address = "ADDRESS",
        /// Archives a team.
        Archival = "ARCHIVAL",
        /// Takes a member out of a team, or moves the member to another one.
        Removal = "REMOVAL",
    }
}

impl HeldKind {
    /// Whether the object is a team, and not a user.
    #[must_use]
    pub const fn is_of_team(self) -> bool {
        matches!(self, Self::Archival | Self::Removal)
    }
}

text_enum! {
    /// What ends a hold.
    pub enum HoldDecisionKind {
        /// An owner approved exactly the held changes.
        Approved = "APPROVED",
        /// An owner rejected them.
        Rejected = "REJECTED",
        /// A later run found nothing held any more: the directory took the changes back, or an owner raised the limit.
        Superseded = "SUPERSEDED",
        /// Nobody decided within 7 days. What was held stays held: the next run opens another hold for it.
        Expired = "EXPIRED",
    }
}
