//! Integrations: settings, state, pause.

use chrono::{DateTime, Utc};
use lockstep_domain::{
    Actor, InboundRules, IntegrationId, IntegrationState, OrganizationId, SyncDirection, schedule,
};
use lockstep_entity::integration;
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _,
    IntoActiveModel as _, QueryFilter as _, QuerySelect as _,
};

use crate::column::{from_json, from_optional_json, parse, to_json};
use crate::page::{Page, PageRequest};
pub use crate::pause::Pause;
pub use crate::rules::RulesVersion;
use crate::{Store, StoreError, Tx};

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
    /// Where the next read of changes of groups goes on, none while groups are not read.
    pub groups_delta_link: Option<String>,
    /// Fingerprint of the attributes that the link of groups tracks.
    pub groups_select: Option<String>,
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
            groups_delta_link: row.groups_delta_link,
            groups_select: row.groups_select,
            last_full_read_at: row.last_full_read_at,
            data_as_of: row.data_as_of,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The stored form of an integration, as [`Store::lock_integration`] returns it and [`Store::request_run`] takes it.
pub type IntegrationRow = integration::Model;

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
            groups_delta_link: None,
            groups_select: None,
            last_full_read_at: None,
            data_as_of: None,
            created_at: now,
            updated_at: now,
        };
        integration::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("create an integration"))?;
        self.save_rules_version(tx, row.id.into(), 1, &new.rules, by)
            .await?;
        Integration::read(row)
    }

    /// Returns the integration of an organization that has a name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn integration_named(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        name: &str,
    ) -> Result<Option<IntegrationId>, StoreError> {
        let id: Option<uuid::Uuid> = integration::Entity::in_organization(organization.0)
            .select_only()
            .column(integration::Column::Id)
            .filter(integration::Column::Name.eq(name))
            .into_tuple()
            .one(tx)
            .await
            .map_err(StoreError::of("look for the name of an integration"))?;
        Ok(id.map(IntegrationId))
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
        update
            .filter(integration::Column::Id.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("change an integration"))?;
        if default_language.is_some() {
            self.mark_all_managers(tx, id).await?;
        }
        self.touch_integration(tx, id, Touches::Nothing).await
    }

    /// Counts a change of settings.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touch_integration(
        &self,
        tx: &Tx,
        id: IntegrationId,
        touches: Touches,
    ) -> Result<(), StoreError> {
        let stamp = i32::from(touches == Touches::WhatWasTested);
        integration::Entity::update_many()
            .col_expr(
                integration::Column::Revision,
                Expr::col(integration::Column::Revision).add(1),
            )
            .col_expr(
                integration::Column::SettingsStamp,
                Expr::col(integration::Column::SettingsStamp).add(stamp),
            )
            .col_expr(integration::Column::UpdatedAt, self.now().into())
            .filter(integration::Column::Id.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("change an integration"))?;
        Ok(())
    }

    /// Returns an integration of an organization, for reading.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn integration(
        &self,
        organization: OrganizationId,
        id: IntegrationId,
    ) -> Result<Option<Integration>, StoreError> {
        self.integration_row(self.db(), organization, id)
            .await?
            .map(Integration::read)
            .transpose()
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
        let mut query = integration::Entity::in_organization(organization.0)
            .filter(integration::Column::Id.eq(id.0));
        if !self.is_sqlite() {
            // Not FOR UPDATE: that would wait for every row that refers to the integration, as pages being saved do.
            query = query.lock(LockType::NoKeyUpdate);
        }
        let row = query
            .one(tx)
            .await
            .map_err(StoreError::of("read an integration"))?;
        row.map(|row| Ok((Integration::read(row.clone())?, row)))
            .transpose()
    }

    async fn integration_row(
        &self,
        db: &impl ConnectionTrait,
        organization: OrganizationId,
        id: IntegrationId,
    ) -> Result<Option<integration::Model>, StoreError> {
        let row = integration::Entity::in_organization(organization.0)
            .filter(integration::Column::Id.eq(id.0))
            .one(db);
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
        rows.await
            .map_err(StoreError::of("read integrations"))?
            .into_iter()
            .map(Integration::read)
            .collect()
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
        let states =
            states.map(|states| Column::State.is_in(states.iter().map(|state| state.as_str())));
        let all = integration::Entity::in_organization(organization.0)
            .filter(Condition::all().add_option(states));
        self.page(all, Column::Id, false, request)
            .await?
            .try_map(Integration::read)
    }
}
