//! What the decision about a few accounts can depend on.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    AddressKey, DirectoryUser, ExternalId, InboundRules, IntegrationId, PlatformUser, UserId,
    UserLink,
};

use super::desired::{Desired, scope};

/// Everything that the decision about a few accounts can depend on.
///
/// Besides the accounts themselves it holds whoever shares an address with them, on either side, and the
/// accounts behind those users: so that the answer does not depend on how the accounts were cut into chunks.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub(super) accounts: BTreeMap<ExternalId, DirectoryUser>,
    pub(super) users: BTreeMap<UserId, PlatformUser>,
    pub(super) link_of_account: BTreeMap<ExternalId, UserLink>,
    pub(super) link_of_user: BTreeMap<UserId, UserLink>,
    pub(super) holders: BTreeMap<AddressKey, UserId>,
    pub(super) claims: BTreeMap<AddressKey, BTreeSet<ExternalId>>,
}

impl Surroundings {
    /// Indexes what was loaded. `links` may name users of other integrations: those are nobody's to take.
    #[must_use]
    pub fn new(
        integration: IntegrationId,
        rules: &InboundRules,
        accounts: Vec<DirectoryUser>,
        users: Vec<PlatformUser>,
        links: Vec<UserLink>,
    ) -> Self {
        let mut claims: BTreeMap<AddressKey, BTreeSet<ExternalId>> = BTreeMap::new();
        for account in accounts
            .iter()
            .filter(|account| scope(account, rules).is_ok())
        {
            if let Some(key) = Desired::of(account, rules).address_key() {
                claims
                    .entry(key)
                    .or_default()
                    .insert(account.external_id.clone());
            }
        }
        let own_links = links
            .iter()
            .filter(|link| link.integration_id == integration);
        Self {
            link_of_account: own_links
                .map(|link| (link.external_id.clone(), link.clone()))
                .collect(),
            holders: users
                .iter()
                .map(|user| (user.email_key.clone(), user.id))
                .collect(),
            link_of_user: links.into_iter().map(|link| (link.user_id, link)).collect(),
            accounts: accounts
                .into_iter()
                .map(|account| (account.external_id.clone(), account))
                .collect(),
            users: users.into_iter().map(|user| (user.id, user)).collect(),
            claims,
        }
    }

    pub(super) fn linked_user(&self, account: &ExternalId) -> Option<&PlatformUser> {
        self.users.get(&self.link_of_account.get(account)?.user_id)
    }

    pub(super) fn holder(&self, key: &AddressKey) -> Option<&PlatformUser> {
        self.users.get(self.holders.get(key)?)
    }
}
