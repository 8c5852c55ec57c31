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
    /// What ends a hold.
    pub enum HoldDecisionKind {
        /// An owner approved exactly the held changes.
        Approved = "APPROVED",
        /// An owner rejected them.
        Rejected = "REJECTED",
        /// A later run no longer found them over the limit, or held a list of its own.
        Superseded = "SUPERSEDED",
        /// Nobody decided within 7 days.
        Expired = "EXPIRED",
    }
}
