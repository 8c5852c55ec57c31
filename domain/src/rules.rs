//! Sync rules: what an owner chose. A run keeps the version it started with (fault E11).

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// Which attribute of the directory the e-mail address is taken from (D-06). For guests always `mail`.
    pub enum EmailSource {
        /// `mail`.
        Mail = "MAIL",
        /// `mail`, and the user principal name when that is empty.
        MailThenUpn = "MAIL_THEN_UPN",
        /// The user principal name.
        Upn = "UPN",
    }
}

/// A limit on changes of one category: held when over both `allowance` and `percent`, or over `maximum` (D-48).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLimit {
    /// Up to this many changes are never held, however great their share.
    pub allowance: u32,
    /// Greatest share in percent, none for no limit on the share.
    pub percent: Option<u32>,
    /// Greatest number whatever the share, none for none.
    pub maximum: Option<u32>,
}

impl ChangeLimit {
    /// Whether `count` changes of `out_of` objects are over the limit.
    #[must_use]
    pub fn is_exceeded_by(self, count: u64, out_of: u64) -> bool {
        let over_maximum = self
            .maximum
            .is_some_and(|maximum| count > u64::from(maximum));
        let over_share = self
            .percent
            .is_some_and(|percent| count * 100 > out_of * u64::from(percent));
        over_maximum || (count > u64::from(self.allowance) && over_share)
    }
}

/// Limits of an inbound run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InboundLimits {
    /// Deactivations, as a share of the linked active users.
    pub user_deactivations: ChangeLimit,
    /// Changes of e-mail addresses, as a share of the linked active users.
    pub email_changes: ChangeLimit,
}

impl Default for InboundLimits {
    /// The defaults of D-48: deactivations over max(5, 10 %) or 500, address changes over max(10, 5 %).
    fn default() -> Self {
        Self {
            user_deactivations: ChangeLimit {
                allowance: 5,
                percent: Some(10),
                maximum: Some(500),
            },
            email_changes: ChangeLimit {
                allowance: 10,
                percent: Some(5),
                maximum: None,
            },
        }
    }
}

/// What an inbound integration takes over. First name, last name and e-mail address always are (E-047).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InboundRules {
    /// Whether guests are synchronized (E-042).
    pub include_guest_users: bool,
    /// Where the address comes from.
    pub email_source: EmailSource,
    /// Whether a first contact is also matched by user principal name (D-02).
    pub match_by_user_principal_name: bool,
    /// Whether missing names are split off the display name at its last space (D-08).
    pub derive_names_from_display_name: bool,
    /// Whether the job title is synchronized (E-049).
    pub sync_job_title: bool,
    /// Greatest number of days between two complete reads, 1 to 30 (D-52).
    pub full_read_every_days: u32,
    /// Limits per run.
    pub limits: InboundLimits,
}

impl Default for InboundRules {
    fn default() -> Self {
        Self {
            include_guest_users: false,
            email_source: EmailSource::Mail,
            match_by_user_principal_name: false,
            derive_names_from_display_name: false,
            sync_job_title: false,
            full_read_every_days: 7,
            limits: InboundLimits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d48_a_limit_needs_both_the_allowance_and_the_share_to_be_exceeded() {
        let limit = InboundLimits::default().user_deactivations;
        assert!(!limit.is_exceeded_by(5, 6), "five are always allowed");
        assert!(
            limit.is_exceeded_by(6, 59),
            "six of 59 are more than a tenth"
        );
        assert!(!limit.is_exceeded_by(6, 60), "six of 60 are a tenth");
        assert!(
            limit.is_exceeded_by(501, 100_000),
            "501 are too many whatever the share"
        );
        assert!(!limit.is_exceeded_by(500, 100_000));
    }

    #[test]
    fn rules_stored_by_an_older_version_take_the_defaults() {
        let rules: InboundRules = serde_json::from_str(r#"{"sync_job_title": true}"#).unwrap();
        assert_eq!(
            rules,
            InboundRules {
                sync_job_title: true,
                ..InboundRules::default()
            }
        );
    }
}
