//! Platform objects: what we keep.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::address::AddressKey;
use crate::directory::ExternalId;
use crate::id::{IntegrationId, OrganizationId, UserId};
use crate::search::search_key;
use crate::text_enum::text_enum;

text_enum! {
    /// Whether a user may sign in.
    pub enum UserStatus {
        /// Created by a run and has never signed in; may sign in and gets mails.
        NotYetActivated = "NOT_YET_ACTIVATED",
        /// May sign in.
        Active = "ACTIVE",
        /// Cannot sign in and gets no mails; nothing is deleted.
        Deactivated = "DEACTIVATED",
    }
}

text_enum! {
    /// Reason for which a user is deactivated (D-14).
    pub enum DeactivationReason {
        /// The account is disabled in the directory.
        Disabled = "DISABLED",
        /// The account was deleted in the directory.
        Deleted = "DELETED",
        /// The account is a guest, and guests are no longer synchronized (D-25).
        GuestExcluded = "GUEST_EXCLUDED",
        /// A complete read no longer found the account, and asking for it by its id confirmed that (D-21).
        NotFound = "NOT_FOUND",
        /// An owner deactivated the user by hand; runs do not reactivate the user (D-15).
        Manual = "MANUAL",
    }
}

impl DeactivationReason {
    /// Whether a run deactivated the user, so that a run may bring the user back (D-16).
    #[must_use]
    pub const fn is_of_a_run(self) -> bool {
        match self {
            Self::Disabled | Self::Deleted | Self::GuestExcluded | Self::NotFound => true,
            Self::Manual => false,
        }
    }
}

text_enum! {
    /// Role of a user in an organization (E-004, X-007).
    pub enum Role {
        /// Uses the product; integrations do not exist for it.
        Member = "MEMBER",
        /// Owns the organization.
        Owner = "OWNER",
    }
}

text_enum! {
    /// Where a record is managed.
    pub enum RecordOrigin {
        /// Managed by hand; runs never change it.
        Local = "LOCAL",
        /// Managed by an inbound integration.
        EntraId = "ENTRA_ID",
    }
}

text_enum! {
    /// How an account of the directory and a user were found to be the same person (D-02).
    pub enum LinkMatch {
        /// The run created the user for the account.
        Created = "CREATED",
        /// Equal e-mail addresses.
        Email = "EMAIL",
        /// The e-mail address equals the user principal name.
        UserPrincipalName = "USER_PRINCIPAL_NAME",
    }
}

/// A user of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformUser {
    /// Identifier.
    pub id: UserId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// Whether the names were split off a display name (D-08).
    pub names_derived: bool,
    /// E-mail address as written.
    pub email: String,
    /// What the address is compared by; unique in an organization.
    pub email_key: AddressKey,
    /// Job title.
    pub job_title: Option<String>,
    /// Language of mails to the user.
    pub language: String,
    /// Whether the user chose the language; runs never change it (E-040).
    pub language_is_own_choice: bool,
    /// Whether the user may sign in.
    pub status: UserStatus,
    /// Whether the user ever signed in, which decides the status after a return (D-16).
    pub ever_active: bool,
    /// Why the user is deactivated, none unless the status says so.
    pub deactivation_reason: Option<DeactivationReason>,
    /// Since when the user is deactivated.
    pub deactivated_at: Option<DateTime<Utc>>,
    /// Role in the organization.
    pub role: Role,
    /// Where the user is managed.
    pub origin: RecordOrigin,
    /// Address of the user's picture.
    pub image_url: Option<String>,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When the user last changed.
    pub updated_at: DateTime<Utc>,
}

impl PlatformUser {
    /// First and last name, or the address when there is none.
    #[must_use]
    pub fn display_name(&self) -> String {
        shown_name(
            self.given_name.as_deref(),
            self.family_name.as_deref(),
            &self.email,
        )
    }

    /// What the user is searched and sorted by, see [`user_search_key`].
    #[must_use]
    pub fn search_key(&self) -> String {
        user_search_key(
            self.given_name.as_deref(),
            self.family_name.as_deref(),
            &self.email,
        )
    }
}

fn shown_name(given_name: Option<&str>, family_name: Option<&str>, email: &str) -> String {
    let names: Vec<&str> = [given_name, family_name].into_iter().flatten().collect();
    if names.is_empty() {
        email.to_owned()
    } else {
        names.join(" ")
    }
}

/// What users are searched and sorted by: the name that is shown, then the address.
#[must_use]
pub fn user_search_key(given_name: Option<&str>, family_name: Option<&str>, email: &str) -> String {
    search_key(&[&shown_name(given_name, family_name, email), email])
}

/// The tie between an account of the directory and a user: unique both ways (D-01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLink {
    /// The integration that made the tie.
    pub integration_id: IntegrationId,
    /// The account.
    pub external_id: ExternalId,
    /// The user.
    pub user_id: UserId,
    /// How the two were found to be the same person.
    pub matched_by: LinkMatch,
}
