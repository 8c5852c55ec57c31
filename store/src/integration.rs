//! Integrations: settings, state, pause.

use chrono::{DateTime, Utc};
use lockstep_domain::{
    Actor, InboundRules, IntegrationId, IntegrationState, OrganizationId, PauseReason, PauseResolution, RulesVersionId,
    RunError, RunId, SyncDirection, schedule,
};
use lockstep_entity::{integration, rules_version};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde::{Deserialize, Serialize};

use crate::column::{from_json, from_optional_json, parse, to_json};
use crate::page::{Page, PageRequest};
use crate::{Store, StoreError, Tx};

/// Why and since when automatic runs are paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The cause.
    pub reason: PauseReason,
    /// The cause in a sentence.
    pub message: String,
    /// What a person can do.
    pub remediation: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The run whose failure caused it.
    pub run_id: Option<RunId>,
    /// The error of that run.
    pub error: Option<RunError>,
    /// What ends it.
    pub resolution: PauseResolution,
    /// How often the service has tried again by itself.
    pub attempts: u32,
    /// When the service tries again by itself.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// An integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// Identifier.
    pub id: IntegrationId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// Name.
    pub name: String,
    /// Which way data flows.
    pub direction: SyncDirection,
    /// Where it stands.
    pub state: IntegrationState,
    /// Language of mails to users a run creates.
    pub default_language: Option<String>,
    /// What is synchronized.
    pub rules: InboundRules,
    /// Counts up with every change of the rules.
    pub rules_version: i32,
    /// Counts up with every change of settings.
    pub revision: i32,
    /// Counts up with every change that a test must speak for.
    pub settings_stamp: i32,
    /// `settings_stamp` of the latest test that passed.
    pub tested_stamp: Option<i32>,
    /// Cron expression of the schedule.
    pub schedule_cron: String,
    /// Time zone of the schedule.
    pub schedule_zone: String,
    /// When the scheduler starts the next run.
    pub next_start_at: Option<DateTime<Utc>>,
    /// Why automatic runs are paused.
    pub pause: Option<Pause>,
    /// Where the next read of changes goes on.
    pub users_delta_link: Option<String>,
    /// Fingerprint of the attributes that the delta link tracks.
    pub users_select: Option<String>,
    /// When the directory was last read completely.
    pub last_full_read_at: Option<DateTime<Utc>>,
    /// How old the applied data is.
    pub data_as_of: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When settings last changed.
    pub updated_at: DateTime<Utc>,
}

impl Integration {
    /// Whether the present settings were tested successfully (E-057, D-57).
    #[must_use]
    pub fn is_tested(&self) -> bool {
        self.tested_stamp == Some(self.settings_stamp)
    }

    pub(crate) fn read(row: integration::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            organization_id: row.organization_id.into(),
            name: row.name,
            direction: parse("integration.direction", &row.direction)?,
            state: parse("integration.state", &row.state)?,
            default_language: row.default_language,
            rules: from_json("integration.rules", row.rules)?,
            rules_version: row.rules_version,
            revision: row.revision,
            settings_stamp: row.settings_stamp,
            tested_stamp: row.tested_stamp,
            schedule_cron: row.schedule_cron,
            schedule_zone: row.schedule_zone,
            next_start_at: row.next_start_at,
            pause: from_optional_json("integration.pause", row.pause)?,
            users_delta_link: row.users_delta_link,
            users_select: row.users_select,
            last_full_read_at: row.last_full_read_at,
            data_as_of: row.data_as_of,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// An integration that is wanted.
#[derive(Debug, Clone)]
pub struct NewIntegration {
    /// Name; unique in the organization.
    pub name: String,
    /// Language of mails to users a run creates.
    pub default_language: Option<String>,
    /// What is synchronized.
    pub rules: InboundRules,
}

/// One saved version of sync rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesVersion {
    /// Identifier.
    pub id: RulesVersionId,
    /// The integration.
    pub integration_id: IntegrationId,
    /// Counts up from 1.
    pub version: i32,
    /// The rules.
    pub rules: InboundRules,
    /// Who saved them.
    pub saved_by: Actor,
    /// When they were saved.
    pub saved_at: DateTime<Utc>,
}

/// What a change of settings touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touches {
    /// Nothing that a test speaks for.
    Nothing,
    /// What a test must speak for: it counts no longer (D-68).
    WhatWasTested,
}

impl Store {
    /// Creates an integration in the state DRAFT.
    ///
    /// # Errors
    /// When the name is taken ([`StoreError::is_taken`]) or the database fails.
    pub async fn create_integration(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        new: &NewIntegration,
        by: &Actor,
    ) -> Result<Integration, StoreError> {
        let now = self.now();
        let row = integration::Model {
            id: self.fresh_id(),
            organization_id: organization.0,
            name: new.name.clone(),
            direction: SyncDirection::Inbound.as_str().into(),
            state: IntegrationState::Draft.as_str().into(),
            default_language: new.default_language.clone(),
            rules: to_json(&new.rules),
            rules_version: 1,
            revision: 1,
            settings_stamp: 1,
            tested_stamp: None,
            schedule_cron: schedule::DAILY.to_owned(),
            schedule_zone: "UTC".to_owned(),
            next_slot_at: None,
            next_start_at: None,
            pause: None,
            users_delta_link: None,
            users_select: None,
            last_full_read_at: None,
            data_as_of: None,
            created_at: now,
            updated_at: now,
        };
        integration::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("create an integration"))?;
        self.save_rules_version(tx, row.id.into(), 1, &new.rules, by).await?;
        Integration::read(row)
    }

    /// Changes the name or the default language.
    ///
    /// # Errors
    /// When the name is taken or the database fails.
    pub async fn rename_integration(
        &self,
        tx: &Tx,
        id: IntegrationId,
        name: Option<&str>,
        default_language: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut update = integration::Entity::update_many();
        if let Some(name) = name {
            update = update.col_expr(integration::Column::Name, name.into());
        }
        if let Some(language) = default_language {
            update = update.col_expr(integration::Column::DefaultLanguage, language.into());
        }
        update.filter(integration::Column::Id.eq(id.0)).exec(tx).await.map_err(StoreError::of("change an integration"))?;
        self.touch_integration(tx, id, Touches::Nothing).await
    }

    /// Counts a change of settings.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touch_integration(&self, tx: &Tx, id: IntegrationId, touches: Touches) -> Result<(), StoreError> {
        let stamp = i32::from(touches == Touches::WhatWasTested);
        integration::Entity::update_many()
            .col_expr(integration::Column::Revision, Expr::col(integration::Column::Revision).add(1))
            .col_expr(integration::Column::SettingsStamp, Expr::col(integration::Column::SettingsStamp).add(stamp))
            .col_expr(integration::Column::UpdatedAt, self.now().into())
            .filter(integration::Column::Id.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("change an integration"))?;
        Ok(())
    }

    /// Saves rules as a new version; everyone has to be looked at again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_rules(&self, tx: &Tx, integration: &Integration, rules: &InboundRules, by: &Actor) -> Result<(), StoreError> {
        let version = integration.rules_version + 1;
        self.save_rules_version(tx, integration.id, version, rules, by).await?;
        integration::Entity::update_many()
            .col_expr(integration::Column::Rules, to_json(rules).into())
            .col_expr(integration::Column::RulesVersion, version.into())
            .filter(integration::Column::Id.eq(integration.id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("save rules"))?;
        self.mark_everyone_dirty(tx, integration.id).await?;
        self.touch_integration(tx, integration.id, Touches::WhatWasTested).await
    }

    async fn save_rules_version(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        version: i32,
        rules: &InboundRules,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let row = rules_version::ActiveModel {
            id: Set(self.fresh_id()),
            integration_id: Set(integration.0),
            version: Set(version),
            rules: Set(to_json(rules)),
            saved_by: Set(to_json(by)),
            saved_at: Set(self.now()),
        };
        rules_version::Entity::insert(row).exec_without_returning(tx).await.map_err(StoreError::of("save rules"))?;
        Ok(())
    }

    /// Returns a version of the rules of an integration.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rules_version(&self, integration: IntegrationId, version: i32) -> Result<Option<RulesVersion>, StoreError> {
        let row = rules_version::Entity::of_integration(integration.0)
            .filter(rules_version::Column::Version.eq(version))
            .one(self.db())
            .await
            .map_err(StoreError::of("read rules"))?;
        row.map(read_rules).transpose()
    }

    /// Returns an integration of an organization, for reading.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn integration(&self, organization: OrganizationId, id: IntegrationId) -> Result<Option<Integration>, StoreError> {
        self.integration_row(self.db(), organization, id).await?.map(Integration::read).transpose()
    }

    /// Returns the row of an integration of an organization, inside a transaction. On PostgreSQL it is locked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lock_integration(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: IntegrationId,
    ) -> Result<Option<(Integration, integration::Model)>, StoreError> {
        let mut query = integration::Entity::in_organization(organization.0).filter(integration::Column::Id.eq(id.0));
        if !self.is_sqlite() {
            query = query.lock_exclusive();
        }
        let row = query.one(tx).await.map_err(StoreError::of("read an integration"))?;
        row.map(|row| Ok((Integration::read(row.clone())?, row))).transpose()
    }

    async fn integration_row(
        &self,
        db: &impl ConnectionTrait,
        organization: OrganizationId,
        id: IntegrationId,
    ) -> Result<Option<integration::Model>, StoreError> {
        let row = integration::Entity::in_organization(organization.0).filter(integration::Column::Id.eq(id.0)).one(db);
        row.await.map_err(StoreError::of("read an integration"))
    }

    /// Returns integrations of an organization by their ids, for a data loader.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn integrations_by_id(
        &self,
        organization: OrganizationId,
        ids: &[IntegrationId],
    ) -> Result<Vec<Integration>, StoreError> {
        let rows = integration::Entity::in_organization(organization.0)
            .filter(integration::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .all(self.db());
        rows.await.map_err(StoreError::of("read integrations"))?.into_iter().map(Integration::read).collect()
    }

    /// Returns a page of integrations in the order of their creation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn integrations(
        &self,
        organization: OrganizationId,
        states: Option<&[IntegrationState]>,
        request: &PageRequest<IntegrationId>,
    ) -> Result<Page<Integration>, StoreError> {
        use integration::Column;
        let states = states.map(|states| Column::State.is_in(states.iter().map(|state| state.as_str())));
        let all = integration::Entity::in_organization(organization.0).filter(Condition::all().add_option(states));
        let total = all.clone().count(self.db()).await.map_err(StoreError::of("count integrations"))?;
        let order = if request.from_end { sea_orm::Order::Desc } else { sea_orm::Order::Asc };
        let rows = all
            .filter(Condition::all().add_option(request.after.map(|id| Column::Id.gt(id.0))))
            .filter(Condition::all().add_option(request.before.map(|id| Column::Id.lt(id.0))))
            .order_by(Column::Id, order)
            .limit(request.limit + 1)
            .all(self.db())
            .await
            .map_err(StoreError::of("read integrations"))?;
        Page::cut(rows, request, total).try_map(Integration::read)
    }

    /// Activates an integration: the schedule begins. The caller queues the first run in the same transaction (E-061).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn activate(&self, tx: &Tx, integration: &Integration) -> Result<(), StoreError> {
        let next = self.next_start(integration);
        self.set_state(tx, integration.id, IntegrationState::Active, None, next).await?;
        self.touch_integration(tx, integration.id, Touches::Nothing).await
    }

    /// Deactivates an integration: nothing runs any more; users, links and settings stay (E-093 to E-095).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deactivate(&self, tx: &Tx, id: IntegrationId) -> Result<(), StoreError> {
        self.set_state(tx, id, IntegrationState::Inactive, None, None).await?;
        self.touch_integration(tx, id, Touches::Nothing).await
    }

    /// Ends a pause: the schedule goes on (E-101).
    pub(crate) async fn resume(&self, tx: &Tx, integration: &Integration) -> Result<(), StoreError> {
        let next = self.next_start(integration);
        self.set_state(tx, integration.id, IntegrationState::Active, None, next).await
    }

    /// Pauses automatic runs (E-099). A passing fault is tried again by itself, at growing distances (D-60).
    pub(crate) async fn pause(&self, tx: &Tx, integration: &Integration, run: RunId, error: &RunError) -> Result<(), StoreError> {
        let before = integration.pause.as_ref();
        let attempts = before.map_or(0, |pause| pause.attempts + 1);
        let passes = error.code.passes_by_itself();
        let next = passes.then(|| self.now() + probe_after(attempts));
        let pause = Pause {
            reason: pause_reason(error),
            message: error.message.clone(),
            remediation: error.remediation.clone().unwrap_or_else(|| "Look at the error of the run, then start a run by hand.".to_owned()),
            since: before.map_or_else(|| self.now(), |pause| pause.since),
            run_id: Some(run),
            error: Some(error.clone()),
            resolution: if passes { PauseResolution::Automatic } else { PauseResolution::TestOrRun },
            attempts,
            next_attempt_at: next,
        };
        self.set_state(tx, integration.id, IntegrationState::Paused, Some(&pause), next.map(|at| (at, None))).await
    }

    async fn set_state(
        &self,
        tx: &Tx,
        id: IntegrationId,
        state: IntegrationState,
        pause: Option<&Pause>,
        next: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    ) -> Result<(), StoreError> {
        integration::Entity::update_many()
            .col_expr(integration::Column::State, state.as_str().into())
            .col_expr(integration::Column::Pause, pause.map(to_json).into())
            .col_expr(integration::Column::NextStartAt, next.map(|(start, _)| start).into())
            .col_expr(integration::Column::NextSlotAt, next.and_then(|(_, slot)| slot).into())
            .filter(integration::Column::Id.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("change the state of an integration"))?;
        Ok(())
    }

    /// When the next scheduled run starts, and the slot it stands for.
    pub(crate) fn next_start(&self, integration: &Integration) -> Option<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        let schedule = schedule::Schedule::parse(&integration.schedule_cron, &integration.schedule_zone).ok()?;
        let slot = schedule.next_after(self.now())?;
        Some((slot + schedule::jitter(integration.id), Some(slot)))
    }
}

/// D-60: after 15 minutes, 1, 6, 12 and 24 hours, then daily.
fn probe_after(attempts: u32) -> chrono::Duration {
    match attempts {
        0 => chrono::Duration::minutes(15),
        1 => chrono::Duration::hours(1),
        2 => chrono::Duration::hours(6),
        3 => chrono::Duration::hours(12),
        _ => chrono::Duration::hours(24),
    }
}

fn pause_reason(error: &RunError) -> PauseReason {
    use lockstep_domain::RunErrorCode as Code;
    match error.code {
        Code::CredentialExpired => PauseReason::CredentialExpired,
        Code::InvalidClientSecret
        | Code::TenantNotFound
        | Code::WrongCloud
        | Code::ClientNotFound
        | Code::ClientDisabled
        | Code::BlockedByPolicy
        | Code::TokenRejected => PauseReason::CredentialsRejected,
        Code::PermissionMissing => PauseReason::PermissionMissing,
        Code::Throttled | Code::ProviderUnavailable | Code::ProviderBadResponse => PauseReason::ProviderUnavailable,
        Code::ProviderRejected
        | Code::IncompleteRead
        | Code::TooManyFailures
        | Code::WorkerLost
        | Code::StorageFull
        | Code::KeyUnavailable
        | Code::Internal => PauseReason::RunFailed,
    }
}

fn read_rules(row: rules_version::Model) -> Result<RulesVersion, StoreError> {
    Ok(RulesVersion {
        id: row.id.into(),
        integration_id: row.integration_id.into(),
        version: row.version,
        rules: from_json("rules_version.rules", row.rules)?,
        saved_by: from_json("rules_version.saved_by", row.saved_by)?,
        saved_at: row.saved_at,
    })
}
