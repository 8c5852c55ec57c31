//! Enums of the schema that mirror enums of the domain: teams and the rules that make them.

use super::mirrored_enum;

mirrored_enum! {
    /// Whether a team is in use.
    TeamStatus = TeamStatus {
        /// In use.
        Active,
        /// Archived (deactivated): synchronized members were removed; members added by hand, budget and history are kept.
        Archived,
    }
}

mirrored_enum! {
    /// Reason for which a team is archived.
    TeamArchivalReason = TeamArchivalReason {
        /// The group was deleted in the directory.
        SourceDeleted,
        /// The group is no longer selected by the sync rules.
        SourceExcluded,
        /// The manager left, was deactivated or is out of scope.
        ManagerGone,
        /// The manager has no reports any more.
        NoReports,
        /// The sync rule that made the team was switched off.
        RuleOff,
    }
}

mirrored_enum! {
    /// What an inbound run makes teams from.
    TeamSource = TeamSource {
        /// A group of Microsoft Entra ID.
        Group,
        /// A manager of Microsoft Entra ID with the direct reports, or with all levels below.
        Manager,
    }
}

mirrored_enum! {
    /// Role of a user in a team.
    TeamRole = TeamRole {
        /// Leads the team.
        Supervisor,
        /// Regular member of the team.
        Member,
    }
}

mirrored_enum! {
    /// Kind of origin of a membership.
    MembershipOriginKind = MembershipOriginKind {
        /// Added by hand; runs leave it.
        Manual,
        /// Membership of the group in the directory.
        Group,
        /// Reporting to the manager in the directory, or being that manager.
        Manager,
    }
}

mirrored_enum! {
    /// What runs must not do to a user.
    UserHoldKind = UserHoldKind {
        /// Add the user to one team; set by removing a synchronized member by hand.
        KeepOutOfTeam,
    }
}

mirrored_enum! {
    /// Type of a group of Microsoft Entra ID. Groups with dynamic membership are of one of these types too.
    DirectoryGroupType = GroupType {
        /// Security group.
        Security,
        /// Microsoft 365 group.
        #[graphql(name = "MICROSOFT_365")]
        Microsoft365,
        /// Mail-enabled security group.
        MailEnabledSecurity,
        /// Distribution group.
        Distribution,
    }
}

mirrored_enum! {
    /// Which members of a group count.
    GroupMembership = GroupMembership {
        /// Members of the group itself.
        Direct,
        /// Members of the group and of every group nested in it.
        Transitive,
    }
}

mirrored_enum! {
    /// How far down the reports of a manager count.
    ManagerTeamDepth = ManagerTeamDepth {
        /// Direct reports.
        DirectReports,
        /// Direct reports, their reports and so on.
        AllLevels,
    }
}

mirrored_enum! {
    /// What becomes of the teams of a rule that is switched off.
    SwitchedOffPolicy = SwitchedOffPolicy {
        /// The next run archives them.
        Archive,
        /// They are released and managed by hand from then on.
        Release,
    }
}
