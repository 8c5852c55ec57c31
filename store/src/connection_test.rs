//! Connection tests: asked for by the API, made by a worker, which alone can open a secret.

use chrono::{DateTime, Duration, Utc};
use lockstep_domain::{
    Actor, Check, CheckStatus, DirectoryGroup, DirectoryUser, InboundRules, IntegrationId,
    IntegrationState, OrganizationId, PauseResolution, PermissionResult, TestId,
};
use lockstep_entity::{connection_test, integration};
use lockstep_seal::SealedSecret;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use crate::column::{count, from_json, from_optional_json, parse, signed, to_json};
use crate::credential::AppRegistration;
use crate::integration::Integration;
use crate::page::{Page, PageRequest};
use crate::{Store, StoreError, Tx};

/// A test of settings.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionTest {
    /// Identifier.
    pub id: TestId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The integration.
    pub integration_id: IntegrationId,
    /// The settings it speaks for.
    pub settings_stamp: i32,
    /// Whether saved settings were tested.
    pub is_saved: bool,
    /// Unsaved tenant and client, until the test has ended.
    pub app: Option<AppRegistration>,
    /// Unsaved secret, until the test has ended.
    pub secret: Option<SealedSecret>,
    /// The rules that are tested.
    pub rules: InboundRules,
    /// The worst of all checks.
    pub status: CheckStatus,
    /// The checks.
    pub checks: Vec<Check>,
    /// Permissions by feature.
    pub permissions: Vec<PermissionResult>,
    /// A few users as the directory gives them.
    pub sample_users: Vec<DirectoryUser>,
    /// A few groups as the directory gives them.
    pub sample_groups: Vec<DirectoryGroup>,
    /// People in scope, none when the directory was never read.
    pub in_scope: Option<u64>,
    /// How many of them have problems.
    pub problems: Option<u64>,
    /// When it was asked for.
    pub tested_at: DateTime<Utc>,
    /// Who asked for it.
    pub tested_by: Option<Actor>,
}

/// A test that is wanted.
#[derive(Debug, Clone)]
pub struct NewTest {
    /// Credentials to test instead of the saved ones.
    pub app: Option<AppRegistration>,
    /// Secret to test instead of the saved one.
    pub secret: Option<SealedSecret>,
    /// Rules to test instead of the saved ones.
    pub rules: Option<InboundRules>,
    /// Who asks.
    pub by: Actor,
}

/// What a test found.
#[derive(Debug, Clone, Default)]
pub struct TestResult {
    /// The checks.
    pub checks: Vec<Check>,
    /// Permissions by feature.
    pub permissions: Vec<PermissionResult>,
    /// A few users as the directory gives them.
    pub sample_users: Vec<DirectoryUser>,
    /// A few groups as the directory gives them.
    pub sample_groups: Vec<DirectoryGroup>,
    /// People in scope.
    pub in_scope: Option<u64>,
    /// How many of them have problems.
    pub problems: Option<u64>,
}

impl Store {
    /// Asks for a test.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn request_test(
        &self,
        tx: &Tx,
        integration: &Integration,
        new: &NewTest,
    ) -> Result<ConnectionTest, StoreError> {
        let is_saved = new.app.is_none() && new.secret.is_none() && new.rules.is_none();
        let row = connection_test::Model {
            id: self.fresh_id(),
            organization_id: integration.organization_id.0,
            integration_id: integration.id.0,
            settings_stamp: integration.settings_stamp,
            is_saved,
            credential: new.app.as_ref().map(to_json),
            sealed_secret: new.secret.as_ref().map(|secret| secret.as_str().to_owned()),
            rules: to_json(new.rules.as_ref().unwrap_or(&integration.rules)),
            status: CheckStatus::Running.as_str().into(),
            checks: to_json(&Vec::<Check>::new()),
            permissions: to_json(&Vec::<PermissionResult>::new()),
            sample_users: to_json(&Vec::<DirectoryUser>::new()),
            sample_groups: None,
            in_scope: None,
            problems: None,
            tested_at: self.now(),
            tested_by: Some(to_json(&new.by)),
            lease_until: None,
            finished_at: None,
        };
        connection_test::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("ask for a test"))?;
        read(row)
    }

    /// Claims a test that nobody works on. None when there is nothing to do.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_test(
        &self,
        id: TestId,
        duration: Duration,
    ) -> Result<Option<ConnectionTest>, StoreError> {
        use connection_test::Column;
        let operation = "claim a test";
        let tx = self.begin().await?;
        let mut query =
            connection_test::Entity::find_by_id(id.0).filter(Column::FinishedAt.is_null());
        if !self.is_sqlite() {
            query = query.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
        }
        let found = query.one(&tx).await.map_err(StoreError::of(operation))?;
        // Only now, as with runs: whoever waited would otherwise set a lease that has run out already.
        let now = self.lease_now(&tx).await?;
        let is_free = |row: &connection_test::Model| row.lease_until.is_none_or(|at| at < now);
        let Some(row) = found.filter(is_free) else {
            return Ok(None);
        };
        connection_test::Entity::update_many()
            .col_expr(Column::LeaseUntil, (now + duration).into())
            .filter(Column::Id.eq(row.id))
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit().await.map_err(StoreError::of(operation))?;
        read(row).map(Some)
    }

    /// Returns tests that were asked for and that nobody works on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tests_to_wake(&self, silent_for: Duration) -> Result<Vec<TestId>, StoreError> {
        use connection_test::Column;
        let now = self.lease_now(self.db()).await?;
        let ids: Vec<uuid::Uuid> = connection_test::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::FinishedAt.is_null())
            .filter(Column::TestedAt.lte(self.now() - silent_for))
            .filter(
                Condition::any()
                    .add(Column::LeaseUntil.is_null())
                    .add(Column::LeaseUntil.lt(now)),
            )
            .limit(100)
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("look for tests that wait"))?;
        Ok(ids.into_iter().map(TestId).collect())
    }

    /// Ends a test. Unsaved values are erased. A pass of the present saved settings counts for activation, and ends a
    /// pause that waited for it (E-101).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish_test(
        &self,
        test: &ConnectionTest,
        result: &TestResult,
    ) -> Result<CheckStatus, StoreError> {
        use connection_test::Column;
        let operation = "end a test";
        let status = Check::overall(&result.checks);
        let tx = self.begin().await?;
        let ended = connection_test::Entity::update_many()
            .col_expr(Column::Status, status.as_str().into())
            .col_expr(Column::Checks, to_json(&result.checks).into())
            .col_expr(Column::Permissions, to_json(&result.permissions).into())
            .col_expr(Column::SampleUsers, to_json(&result.sample_users).into())
            .col_expr(
                Column::SampleGroups,
                Some(to_json(&result.sample_groups)).into(),
            )
            .col_expr(Column::InScope, result.in_scope.map(signed).into())
            .col_expr(Column::Problems, result.problems.map(signed).into())
            .col_expr(
                Column::Credential,
                Option::<sea_orm::JsonValue>::None.into(),
            )
            .col_expr(Column::SealedSecret, Option::<String>::None.into())
            .col_expr(Column::LeaseUntil, Option::<DateTime<Utc>>::None.into())
            .col_expr(Column::FinishedAt, self.now().into())
            .filter(Column::Id.eq(test.id.0))
            .filter(Column::FinishedAt.is_null())
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        // Whoever comes second, after its lease ran out, changes nothing.
        if ended.rows_affected == 0 {
            return Ok(status);
        }
        let passed = matches!(status, CheckStatus::Passed | CheckStatus::Warning);
        if passed && test.is_saved {
            self.count_pass(&tx, test).await?;
        }
        tx.commit().await.map_err(StoreError::of(operation))?;
        Ok(status)
    }

    async fn count_pass(&self, tx: &Tx, test: &ConnectionTest) -> Result<(), StoreError> {
        integration::Entity::update_many()
            .col_expr(integration::Column::TestedStamp, test.settings_stamp.into())
            .filter(integration::Column::Id.eq(test.integration_id.0))
            .filter(integration::Column::SettingsStamp.eq(test.settings_stamp))
            .exec(tx)
            .await
            .map_err(StoreError::of("end a test"))?;
        let Some((integration, _)) = self
            .lock_integration(tx, test.organization_id, test.integration_id)
            .await?
        else {
            return Ok(());
        };
        let waits_for_a_test = integration
            .pause
            .as_ref()
            .is_some_and(|pause| pause.resolution == PauseResolution::TestOrRun);
        if integration.state == IntegrationState::Paused
            && waits_for_a_test
            && integration.is_tested()
        {
            self.resume(tx, &integration).await?;
        }
        Ok(())
    }

    /// Returns a test of an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn test(
        &self,
        organization: OrganizationId,
        id: TestId,
    ) -> Result<Option<ConnectionTest>, StoreError> {
        let row = connection_test::Entity::in_organization(organization.0)
            .filter(connection_test::Column::Id.eq(id.0))
            .one(self.db())
            .await
            .map_err(StoreError::of("read a test"))?;
        row.map(read).transpose()
    }

    /// Returns the latest test of saved settings that has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_test(
        &self,
        integration: IntegrationId,
    ) -> Result<Option<ConnectionTest>, StoreError> {
        let row = connection_test::Entity::of_integration(integration.0)
            .filter(connection_test::Column::IsSaved.eq(true))
            .filter(connection_test::Column::FinishedAt.is_not_null())
            .order_by_desc(connection_test::Column::Id)
            .one(self.db())
            .await
            .map_err(StoreError::of("read a test"))?;
        row.map(read).transpose()
    }

    /// Returns a page of the tests of an integration, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tests(
        &self,
        integration: IntegrationId,
        request: &PageRequest<TestId>,
    ) -> Result<Page<ConnectionTest>, StoreError> {
        use connection_test::Column;
        let all = connection_test::Entity::of_integration(integration.0);
        self.page(all, Column::Id, true, request)
            .await?
            .try_map(read)
    }
}

fn read(row: connection_test::Model) -> Result<ConnectionTest, StoreError> {
    Ok(ConnectionTest {
        id: row.id.into(),
        organization_id: row.organization_id.into(),
        integration_id: row.integration_id.into(),
        settings_stamp: row.settings_stamp,
        is_saved: row.is_saved,
        app: from_optional_json("connection_test.credential", row.credential)?,
        secret: row.sealed_secret.map(SealedSecret::from_stored),
        rules: from_json("connection_test.rules", row.rules)?,
        status: parse("connection_test.status", &row.status)?,
        checks: from_json("connection_test.checks", row.checks)?,
        permissions: from_json("connection_test.permissions", row.permissions)?,
        sample_users: from_json("connection_test.sample_users", row.sample_users)?,
        sample_groups: from_optional_json("connection_test.sample_groups", row.sample_groups)?
            .unwrap_or_default(),
        in_scope: row.in_scope.map(count),
        problems: row.problems.map(count),
        tested_at: row.tested_at,
        tested_by: from_optional_json("connection_test.tested_by", row.tested_by)?,
    })
}
