//! Tests of integrations.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use lockstep_domain as domain;
use lockstep_domain::TeamKey;
use lockstep_store::connection_test::ConnectionTest;
use lockstep_sync::inbound::selection::selects;

use super::enums::{
    CheckCategory, CheckKind, CheckStatus, DirectoryGroupType, DirectoryUserType, PermissionStatus,
    SyncFeature,
};
use super::integration::Integration;
use super::organization::Actor;
use super::team::Team;
use super::user::User;
use crate::app;
use crate::error::{Failure, Result};
use crate::id::GlobalId as _;
use crate::loader::{Loaders, TeamMadeFrom};
use crate::page::connection;
use crate::scalar::{Guid, Timestamp, int};

/// Greatest size of a sample, for the complexity of a document.
const SAMPLE: usize = 5;

/// A test as stored.
#[derive(Debug, Clone)]
pub(crate) struct IntegrationTest(Arc<ConnectionTest>);

impl From<ConnectionTest> for IntegrationTest {
    fn from(test: ConnectionTest) -> Self {
        Self(Arc::new(test))
    }
}

impl IntegrationTest {
    async fn tested(&self, ctx: &Context<'_>) -> Result<lockstep_store::integration::Integration> {
        let integration = Loaders::one(ctx, self.0.integration_id).await?;
        integration.ok_or_else(|| Failure::Fault("a test has no integration".to_owned()))
    }
}

/// The result of testing an integration: one entry per check, in the order they were made.
#[Object]
impl IntegrationTest {
    /// The opaque, globally unique id of the test.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// The integration that was tested.
    async fn integration(&self, ctx: &Context<'_>) -> Result<Integration> {
        Ok(self.tested(ctx).await?.into())
    }

    /// The worst status of all checks, SKIPPED ones aside.
    async fn status(&self) -> CheckStatus {
        self.0.status.into()
    }

    /// The checks.
    async fn checks(&self) -> Vec<IntegrationCheck> {
        self.0.checks.iter().map(IntegrationCheck::from).collect()
    }

    /// Each permission the sync rules need and each one that was granted beyond that, by feature.
    async fn permissions(&self) -> Vec<PermissionResult> {
        self.0
            .permissions
            .iter()
            .map(PermissionResult::from)
            .collect()
    }

    /// Up to 5 users as the directory gives them.
    #[graphql(complexity = "SAMPLE * child_complexity + 1")]
    async fn sample_users(&self, ctx: &Context<'_>) -> Result<Vec<DirectoryUser>> {
        let accounts: Vec<_> = self
            .0
            .sample_users
            .iter()
            .map(|user| user.external_id.clone())
            .collect();
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let links = app(ctx)
            .store
            .links_by_account(self.0.integration_id, &accounts)
            .await?;
        let user = |account: &domain::ExternalId| {
            links
                .iter()
                .find(|link| link.external_id == *account)
                .map(|link| link.user_id)
        };
        let test = &self.0;
        Ok((0..accounts.len())
            .map(|index| DirectoryUser {
                test: Arc::clone(test),
                index,
                user_id: user(&accounts[index]),
            })
            .collect())
    }

    /// Up to 5 groups as the directory gives them; empty unless teams are made from groups.
    #[graphql(complexity = "SAMPLE * child_complexity + 1")]
    async fn sample_groups(&self) -> Vec<DirectoryGroup> {
        (0..self.0.sample_groups.len())
            .map(|index| DirectoryGroup {
                test: Arc::clone(&self.0),
                index,
            })
            .collect()
    }

    /// How many people are in scope, null when the directory could not be read.
    async fn in_scope_count(&self) -> Option<i32> {
        self.0.in_scope.map(int)
    }

    /// How many of the people in scope would be skipped or not matched, null when the directory could not be read.
    async fn problem_count(&self) -> Option<i32> {
        self.0.problems.map(int)
    }

    /// When the test was asked for.
    async fn tested_at(&self) -> Timestamp {
        self.0.tested_at.into()
    }

    /// Who asked for the test.
    async fn tested_by(&self) -> Option<Actor> {
        self.0.tested_by.clone().map(Actor)
    }

    /// Whether settings changed since, so that the result no longer speaks for them.
    async fn stale(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.tested(ctx).await?.settings_stamp != self.0.settings_stamp)
    }
}

/// One check of a test.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct IntegrationCheck {
    /// The part of the test it belongs to.
    category: CheckCategory,
    /// What was checked.
    kind: CheckKind,
    /// How it came out.
    status: CheckStatus,
    /// Short title of the check.
    title: &'static str,
    /// What was found, in a sentence fit to be shown to a person.
    message: String,
    /// What a person can do about it, null when there is nothing to do.
    remediation: Option<String>,
    /// The permission at issue, null unless the kind is PERMISSION.
    permission: Option<String>,
    /// Error code of Microsoft, for example `AADSTS7000215`, null when there was none.
    provider_error_code: Option<String>,
    /// Request id of Microsoft, for a support case, null when there was none.
    provider_request_id: Option<String>,
    /// How long the check took, in milliseconds.
    duration_ms: i32,
}

impl From<&domain::Check> for IntegrationCheck {
    fn from(check: &domain::Check) -> Self {
        Self {
            category: check.kind.category().into(),
            kind: check.kind.into(),
            status: check.status.into(),
            title: check.kind.title(),
            message: check.message.clone(),
            remediation: check.remediation.clone(),
            permission: check.permission.clone(),
            provider_error_code: check.provider_error_code.clone(),
            provider_request_id: check.provider_request_id.clone(),
            duration_ms: int(check.duration_ms),
        }
    }
}

/// A permission of Microsoft Graph as found by a test.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PermissionResult {
    /// Name of the application permission, for example `User.Read.All`.
    name: String,
    /// The feature it concerns, null when no feature needs it.
    feature: Option<SyncFeature>,
    /// What was found.
    status: PermissionStatus,
    /// What was found, in a sentence fit to be shown to a person; says so when a permission that is not needed is
    /// dangerous.
    message: String,
}

impl From<&domain::PermissionResult> for PermissionResult {
    fn from(result: &domain::PermissionResult) -> Self {
        Self {
            name: result.name.clone(),
            feature: result.feature.map(SyncFeature::from),
            status: result.status.into(),
            message: result.message.clone(),
        }
    }
}

/// A user of the sample of a test.
pub(crate) struct DirectoryUser {
    test: Arc<ConnectionTest>,
    index: usize,
    user_id: Option<domain::UserId>,
}

impl DirectoryUser {
    fn account(&self) -> &domain::DirectoryUser {
        &self.test.sample_users[self.index]
    }
}

/// An account of the directory as last read.
#[Object]
impl DirectoryUser {
    /// Object id in Microsoft Entra ID.
    async fn external_id(&self) -> Result<Guid> {
        let id = Guid::read(self.account().external_id.as_str());
        id.ok_or_else(|| Failure::Fault("an object id of the directory is no UUID".to_owned()))
    }

    /// Display name.
    async fn display_name(&self) -> Option<&str> {
        self.account().display_name.as_deref()
    }

    /// First name.
    async fn given_name(&self) -> Option<&str> {
        self.account().given_name.as_deref()
    }

    /// Last name.
    async fn family_name(&self) -> Option<&str> {
        self.account().surname.as_deref()
    }

    /// The attribute `mail`.
    async fn mail(&self) -> Option<&str> {
        self.account().mail.as_deref()
    }

    /// The user principal name.
    async fn user_principal_name(&self) -> Option<&str> {
        self.account().user_principal_name.as_deref()
    }

    /// Employee id.
    async fn employee_id(&self) -> Option<&str> {
        self.account().employee_id.as_deref()
    }

    /// Job title.
    async fn job_title(&self) -> Option<&str> {
        self.account().job_title.as_deref()
    }

    /// Member or guest.
    async fn user_type(&self) -> DirectoryUserType {
        self.account().user_type.into()
    }

    /// Whether the account is enabled.
    async fn account_enabled(&self) -> bool {
        self.account().account_enabled
    }

    /// When the account was last read.
    async fn read_at(&self) -> Timestamp {
        self.test.tested_at.into()
    }

    /// The user who is linked to the account, null when none is.
    async fn user(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Some(id) = self.user_id else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(User::from))
    }
}

/// A group of the sample of a test.
pub(crate) struct DirectoryGroup {
    test: Arc<ConnectionTest>,
    index: usize,
}

impl DirectoryGroup {
    fn group(&self) -> &domain::DirectoryGroup {
        &self.test.sample_groups[self.index]
    }
}

/// A group of the directory as last read.
#[Object]
impl DirectoryGroup {
    /// Object id in Microsoft Entra ID.
    async fn external_id(&self) -> Result<Guid> {
        let id = Guid::read(self.group().external_id.as_str());
        id.ok_or_else(|| Failure::Fault("an object id of the directory is no UUID".to_owned()))
    }

    /// Display name.
    async fn display_name(&self) -> &str {
        self.group().shown_name()
    }

    /// Type of the group.
    #[graphql(name = "type")]
    async fn group_type(&self) -> DirectoryGroupType {
        self.group().group_type().into()
    }

    /// Whether the directory computes the members by a rule.
    async fn is_dynamic(&self) -> bool {
        self.group().is_dynamic
    }

    /// Whether the sync rules select the group for a team.
    async fn is_selected(&self) -> bool {
        selects(&self.test.rules.group_teams, self.group())
    }

    /// The team that was made from the group, null when there is none.
    async fn team(&self, ctx: &Context<'_>) -> Result<Option<Team>> {
        let key = TeamKey::of_group(self.group().external_id.clone());
        let team = Loaders::one(ctx, TeamMadeFrom(self.test.integration_id, key)).await?;
        Ok(team.map(Team::from))
    }

    /// When the group was last read.
    async fn read_at(&self) -> Timestamp {
        self.test.tested_at.into()
    }
}

connection! {
    /// A page of tests.
    IntegrationTestConnection;
    /// A test in a list.
    IntegrationTestEdge;
    /// The test.
    node: IntegrationTest;
    /// Number of tests.
    total
}
