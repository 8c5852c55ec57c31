//! The nouns of Lockstep: identifiers, clock, sync rules, directory and platform objects, changes, runs.
//!
//! This crate does no I/O and imports nothing of the product. Everything here can be built in a test with a
//! literal, printed, compared and stored.

mod text_enum;
pub use text_enum::UnknownText;

pub mod actor;
pub mod address;
pub mod change;
pub mod check;
pub mod clock;
pub mod directory;
pub mod group;
pub mod hash;
pub mod hold;
pub mod id;
pub mod integration;
pub mod permission;
pub mod platform;
pub mod rules;
pub mod run;
pub mod schedule;
pub mod search;
pub mod team;

pub use actor::{Actor, ActorKind};
pub use address::{Address, AddressKey, InvalidAddress};
pub use change::{
    ChangeAction, ChangeOutcome, ChangeReason, ChangeReasonCode, FieldChange, MembershipFields,
    ObjectFields, ObjectKind, TeamFields, UserFields,
};
pub use check::{
    Check, CheckCategory, CheckKind, CheckStatus, PermissionResult, PermissionStatus, SyncFeature,
};
pub use clock::{Clock, FixedClock, IdSource, SeededIds, SystemClock, SystemIds};
pub use directory::{DirectoryPatch, DirectoryUser, ExternalId, Presence, UserType};
pub use group::{
    DirectoryGroup, GroupPatch, GroupType, MemberKind, MemberPatch, MemberRelation, MembersRead,
};
pub use hash::ContentHash;
pub use hold::{HeldKind, HoldCategory, HoldDecisionKind};
pub use id::{
    ChangeId, HoldId, IntegrationId, OrganizationId, RulesVersionId, RunId, SignInLinkId,
    SignInProposalId, TeamId, TestId, UserHoldId, UserId,
};
pub use integration::{
    ActivationBlocker, EntraCloud, IntegrationState, PauseReason, PauseResolution, SyncDirection,
    TenantName,
};
pub use permission::{PERMISSIONS, Permission, READ_HIDDEN_MEMBERS};
pub use platform::{
    DeactivationReason, LinkMatch, PlatformUser, RecordOrigin, Role, UserLink, UserStatus,
    user_search_key,
};
pub use rules::{
    ChangeLimit, EmailSource, GroupCondition, GroupMembership, GroupTeamRules, InboundLimits,
    InboundRules, ManagerTeamDepth, ManagerTeamRules, SwitchedOffPolicy,
};
pub use run::{
    ChangeCounts, ReadMode, RunCost, RunError, RunErrorCode, RunKind, RunPhase, RunStage, RunState,
    RunSummary, RunTriggerKind, RunWarning, RunWarningCode,
};
pub use schedule::{InvalidSchedule, Schedule};
pub use search::{search_key, searched_words};
pub use team::{
    MembershipOrigin, MembershipOriginKind, Team, TeamArchivalReason, TeamKey, TeamRole,
    TeamSource, TeamStatus, UserHold, UserHoldKind, name_key, name_suffix,
};
