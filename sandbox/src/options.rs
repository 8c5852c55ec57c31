//! What a sandbox is started with, and what of it can be changed while it runs.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Directory (tenant) id of a sandbox with default options.
pub const DEMO_TENANT_ID: &str = "6f1d2a0c-93b4-4c5e-8a77-d04be31c9f58";
/// Domain of a sandbox with default options; the login accepts it in place of the tenant id.
pub const DEMO_TENANT_DOMAIN: &str = "northwind-learning.example";
/// Client id of a sandbox with default options.
pub const DEMO_CLIENT_ID: &str = "b2c7e1f4-58d6-4f0a-9e21-7a36c0d58b13";
/// Client secret of a sandbox with default options. It protects nothing; its characters are those
/// that a form encodes, so that a client that forgets to encode fails here already.
pub const DEMO_CLIENT_SECRET: &str = "Sandbox~only.not_a-secret+8/Q=";

/// What a sandbox is started with.
#[derive(Clone)]
pub struct SandboxOptions {
    /// The tenant's id.
    pub tenant_id: String,
    /// The tenant's domain, accepted by the login in place of the id.
    pub tenant_domain: String,
    /// The only application the login knows.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Application permissions granted to it.
    pub permissions: Vec<String>,
    /// Objects on one page of a delta.
    pub delta_page_size: usize,
    /// References to members and owners on one page of a groups delta.
    pub delta_member_page: usize,
    /// How long an access token is good for.
    pub token_lifetime: Duration,
    /// Absolute base of the links in answers; by default the listener's address.
    pub public_base: Option<String>,
    /// Whether delta links of an earlier sandbox hold, when it served the same tenant from the same address and the tenant
    /// had not changed before the link. By default a sandbox knows its own links alone.
    pub knows_earlier_links: bool,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        let permissions = ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"];
        SandboxOptions {
            tenant_id: DEMO_TENANT_ID.to_owned(),
            tenant_domain: DEMO_TENANT_DOMAIN.to_owned(),
            client_id: DEMO_CLIENT_ID.to_owned(),
            client_secret: DEMO_CLIENT_SECRET.to_owned(),
            permissions: permissions.map(str::to_owned).to_vec(),
            // What the service was seen to choose.
            delta_page_size: 200,
            delta_member_page: 1000,
            token_lifetime: Duration::from_secs(3599),
            public_base: None,
            knows_earlier_links: false,
        }
    }
}

impl fmt::Debug for SandboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxOptions")
            .field("tenant_id", &self.tenant_id)
            .field("tenant_domain", &self.tenant_domain)
            .field("client_id", &self.client_id)
            .field("permissions", &self.permissions)
            .finish_non_exhaustive()
    }
}

/// Changes of the options of a running sandbox; `None` leaves one as it is.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptionsPatch {
    /// A new client secret: the old one is wrong from now on (AADSTS7000215).
    pub client_secret: Option<String>,
    /// True: the secret counts as expired (AADSTS7000222).
    pub secret_expired: Option<bool>,
    /// True: Conditional Access blocks the application (AADSTS53003).
    pub access_blocked: Option<bool>,
    /// Permissions in tokens issued from now on; revoke the tokens to make it immediate.
    pub permissions: Option<Vec<String>>,
    /// True: tokens issued from now on tell nobody what they are good for. Microsoft promises no form.
    pub opaque_tokens: Option<bool>,
    /// True: no delta of groups or managers tells that a user was deleted or restored, only that one was removed for good.
    /// Microsoft documents it both ways.
    pub quiet_deletions: Option<bool>,
    /// Lifetime of tokens issued from now on, in seconds.
    pub token_lifetime_seconds: Option<u64>,
    /// Objects on one page of a delta.
    pub delta_page_size: Option<usize>,
    /// References to members and owners on one page of a groups delta.
    pub delta_member_page: Option<usize>,
    /// Lists never return more than this on one page, whatever `$top` asks for; 0 lifts the cap.
    pub list_page_cap: Option<usize>,
    /// Every Graph and login request takes this much longer, in milliseconds.
    pub latency_ms: Option<u64>,
}

impl fmt::Debug for OptionsPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptionsPatch").finish_non_exhaustive()
    }
}

/// The options in force, as the state shows them: without the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OptionsState {
    /// See [`SandboxOptions::tenant_id`].
    pub tenant_id: String,
    /// See [`SandboxOptions::tenant_domain`].
    pub tenant_domain: String,
    /// See [`SandboxOptions::client_id`].
    pub client_id: String,
    /// See [`OptionsPatch::secret_expired`].
    pub secret_expired: bool,
    /// See [`OptionsPatch::access_blocked`].
    pub access_blocked: bool,
    /// See [`OptionsPatch::permissions`].
    pub permissions: Vec<String>,
    /// See [`OptionsPatch::opaque_tokens`].
    pub opaque_tokens: bool,
    /// See [`OptionsPatch::quiet_deletions`].
    pub quiet_deletions: bool,
    /// See [`OptionsPatch::token_lifetime_seconds`].
    pub token_lifetime_seconds: u64,
    /// See [`OptionsPatch::delta_page_size`].
    pub delta_page_size: usize,
    /// See [`OptionsPatch::delta_member_page`].
    pub delta_member_page: usize,
    /// See [`OptionsPatch::list_page_cap`].
    pub list_page_cap: usize,
    /// See [`OptionsPatch::latency_ms`].
    pub latency_ms: u64,
}

/// The options of a running sandbox, secret included.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) client_secret: String,
    pub(crate) shown: OptionsState,
}

impl Settings {
    /// The settings at the start.
    pub(crate) fn new(options: SandboxOptions) -> Settings {
        let SandboxOptions {
            tenant_id,
            tenant_domain,
            client_id,
            client_secret,
            permissions,
            delta_page_size,
            delta_member_page,
            token_lifetime,
            public_base: _,
            knows_earlier_links: _,
        } = options;
        Settings {
            client_secret,
            shown: OptionsState {
                tenant_id,
                tenant_domain,
                client_id,
                secret_expired: false,
                access_blocked: false,
                permissions,
                opaque_tokens: false,
                quiet_deletions: false,
                token_lifetime_seconds: token_lifetime.as_secs(),
                delta_page_size: delta_page_size.max(1),
                delta_member_page: delta_member_page.max(1),
                list_page_cap: 0,
                latency_ms: 0,
            },
        }
    }

    /// Takes over what a patch names.
    pub(crate) fn apply(&mut self, patch: OptionsPatch) {
        let OptionsPatch {
            client_secret,
            secret_expired,
            access_blocked,
            permissions,
            opaque_tokens,
            quiet_deletions,
            token_lifetime_seconds,
            delta_page_size,
            delta_member_page,
            list_page_cap,
            latency_ms,
        } = patch;
        fn take<T>(slot: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *slot = value;
            }
        }
        let shown = &mut self.shown;
        take(&mut self.client_secret, client_secret);
        take(&mut shown.secret_expired, secret_expired);
        take(&mut shown.access_blocked, access_blocked);
        take(&mut shown.permissions, permissions);
        take(&mut shown.opaque_tokens, opaque_tokens);
        take(&mut shown.quiet_deletions, quiet_deletions);
        take(&mut shown.token_lifetime_seconds, token_lifetime_seconds);
        take(
            &mut shown.delta_page_size,
            delta_page_size.map(|size| size.max(1)),
        );
        take(
            &mut shown.delta_member_page,
            delta_member_page.map(|size| size.max(1)),
        );
        take(&mut shown.list_page_cap, list_page_cap);
        take(&mut shown.latency_ms, latency_ms);
    }
}
