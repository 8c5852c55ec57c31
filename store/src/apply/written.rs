//! What a chunk writes.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    AddressKey, ChangeAction, LinkMatch, PlatformUser, RecordOrigin, Role, UserFields, UserId,
    UserStatus,
};
use lockstep_entity::{credential, integration, platform_user, user_link};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _,
};

use super::intent::Intent;
use super::present::Present;
use crate::column::rows_per_statement;
use crate::lookup::one_of;
use crate::run::found;
use crate::run_tx::RunTx;
use crate::user::write_user;
use crate::{Lease, StoreError};

/// What the organization and the integration say about new users and links.
pub(super) struct Settings {
    pub(super) language: String,
    pub(super) tenant: String,
}

impl Settings {
    pub(super) async fn load(tx: &RunTx, lease: &Lease) -> Result<Self, StoreError> {
        let operation = "read settings";
        let integration = integration::Entity::find_by_id(lease.integration_id.0)
            .one(tx)
            .await
            .map_err(StoreError::of(operation))?;
        let credential = credential::Entity::find_by_id(lease.integration_id.0)
            .one(tx)
            .await
            .map_err(StoreError::of(operation))?;
        Ok(Self {
            language: found(integration, operation)?
                .default_language
                .unwrap_or_else(|| "en".to_owned()),
            tenant: credential
                .map(|row| row.resolved_tenant_id.unwrap_or(row.tenant_id))
                .unwrap_or_default(),
        })
    }
}

/// What a chunk writes.
pub(super) struct Chunk<'a> {
    pub(super) lease: &'a Lease,
    pub(super) settings: Settings,
    pub(super) now: chrono::DateTime<chrono::Utc>,
    pub(super) users: BTreeMap<UserId, PlatformUser>,
    pub(super) links: Vec<user_link::ActiveModel>,
    pub(super) vacated: BTreeSet<AddressKey>,
    /// Users who move to another address.
    pub(super) moved: Vec<UserId>,
    pub(super) deactivated: Vec<UserId>,
    pub(super) reactivated: Vec<UserId>,
}

impl Chunk<'_> {
    pub(super) fn take(&mut self, intent: &Intent, present: &Present) {
        let known = present.users.get(&intent.user_id).cloned();
        if let Some(known) = &known
            && known.email_key != intent.address()
        {
            self.vacated.insert(known.email_key.clone());
            self.moved.push(known.id);
        }
        match intent.action {
            ChangeAction::Deactivate => self.deactivated.push(intent.user_id),
            ChangeAction::Reactivate => self.reactivated.push(intent.user_id),
            _ => {}
        }
        let user = known.unwrap_or_else(|| self.blank(intent.user_id));
        let user = self.overwrite(user, intent);
        if let Some(matched_by) = intent.matched_by {
            self.links.push(self.link(intent, matched_by));
        }
        self.users.insert(user.id, user);
    }

    fn blank(&self, id: UserId) -> PlatformUser {
        PlatformUser {
            id,
            organization_id: self.lease.organization_id,
            given_name: None,
            family_name: None,
            names_derived: false,
            email: String::new(),
            email_key: AddressKey::of(""),
            job_title: None,
            language: self.settings.language.clone(),
            language_is_own_choice: false,
            status: UserStatus::NotYetActivated,
            ever_active: false,
            deactivation_reason: None,
            deactivated_at: None,
            role: Role::Member,
            origin: RecordOrigin::EntraId,
            image_url: None,
            created_at: self.now,
            updated_at: self.now,
        }
    }

    fn overwrite(&self, user: PlatformUser, intent: &Intent) -> PlatformUser {
        let UserFields {
            given_name,
            family_name,
            names_derived,
            email,
            job_title,
            status,
            deactivation_reason,
        } = intent.after.clone();
        PlatformUser {
            given_name,
            family_name,
            names_derived,
            email_key: AddressKey::of(&email),
            email,
            job_title,
            deactivated_at: if status == UserStatus::Deactivated {
                user.deactivated_at.or(Some(self.now))
            } else {
                None
            },
            status: match status {
                // Whoever has signed in since the plan was made stays active.
                UserStatus::NotYetActivated if user.ever_active => UserStatus::Active,
                planned => planned,
            },
            deactivation_reason,
            origin: RecordOrigin::EntraId,
            updated_at: self.now,
            ..user
        }
    }

    fn link(&self, intent: &Intent, matched_by: LinkMatch) -> user_link::ActiveModel {
        user_link::ActiveModel {
            integration_id: Set(self.lease.integration_id.0),
            external_id: Set(intent.external_id.0.clone()),
            user_id: Set(intent.user_id.0),
            organization_id: Set(self.lease.organization_id.0),
            tenant_id: Set(self.settings.tenant.clone()),
            matched_by: Set(matched_by.as_str().into()),
            linked_at: Set(self.now),
            linked_by: Set(None),
        }
    }

    pub(super) async fn write(&self, tx: &RunTx) -> Result<(), StoreError> {
        self.vacate(tx).await?;
        // In the order of the addresses: two runs of an organization that create the same people meet at these.
        let mut users: Vec<&PlatformUser> = self.users.values().collect();
        users.sort_by(|a, b| a.email_key.cmp(&b.email_key));
        let rows: Vec<_> = users
            .into_iter()
            .map(|user| write_user(user, None))
            .collect();
        use platform_user::Column;
        let written = [
            Column::GivenName,
            Column::FamilyName,
            Column::NamesDerived,
            Column::Email,
            Column::EmailKey,
            Column::JobTitle,
            Column::Status,
            Column::DeactivationReason,
            Column::DeactivatedAt,
            Column::Origin,
            Column::UpdatedAt,
            Column::SearchKey,
        ];
        for chunk in rows.chunks(rows_per_statement(23)) {
            platform_user::Entity::insert_many(chunk.iter().cloned())
                .on_conflict(
                    OnConflict::column(Column::Id)
                        .update_columns(written)
                        .to_owned(),
                )
                .exec_without_returning(tx)
                .await
                .map_err(StoreError::of("write users"))?;
        }
        for chunk in self.links.chunks(rows_per_statement(8)) {
            user_link::Entity::insert_many(chunk.iter().cloned())
                .exec_without_returning(tx)
                .await
                .map_err(StoreError::of("write links"))?;
        }
        self.sign(tx).await
    }

    /// Notes that this run deactivated or brought back users; whoever did it before is of no interest any more.
    async fn sign(&self, tx: &RunTx) -> Result<(), StoreError> {
        let run = Some(self.lease.run_id.0);
        for (users, by_run) in [(&self.deactivated, run), (&self.reactivated, None)] {
            for chunk in users.chunks(rows_per_statement(1)) {
                platform_user::Entity::update_many()
                    .col_expr(platform_user::Column::DeactivatedByRun, by_run.into())
                    .col_expr(
                        platform_user::Column::DeactivatedBy,
                        Option::<sea_orm::JsonValue>::None.into(),
                    )
                    .filter(one_of(
                        tx,
                        platform_user::Column::Id,
                        chunk.iter().map(|id| id.0),
                    ))
                    .exec(tx)
                    .await
                    .map_err(StoreError::of("note who was deactivated"))?;
            }
        }
        Ok(())
    }

    /// Takes addresses that move out of the way first, so that a swap meets no unique key on its way.
    async fn vacate(&self, tx: &RunTx) -> Result<(), StoreError> {
        let vacated: Vec<&str> = self.vacated.iter().map(AddressKey::as_str).collect();
        for chunk in vacated.chunks(rows_per_statement(1)) {
            platform_user::Entity::update_many()
                .col_expr(platform_user::Column::EmailKey, parked())
                .filter(platform_user::Column::OrganizationId.eq(self.lease.organization_id.0))
                .filter(one_of(
                    tx,
                    platform_user::Column::EmailKey,
                    chunk.iter().copied(),
                ))
                .exec(tx)
                .await
                .map_err(StoreError::of("vacate addresses"))?;
        }
        Ok(())
    }
}

/// A key no address has, different for each of those it replaces; lives only inside a transaction.
fn parked() -> Expr {
    Expr::val("moving ").binary(
        sea_orm::sea_query::BinOper::Custom("||"),
        Expr::col(platform_user::Column::EmailKey),
    )
}
