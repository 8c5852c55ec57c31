//! Apply: what was planned becomes true, a chunk a transaction.
//!
//! A chunk is checked row by row against what is there now, in memory, and then written with a fixed number of
//! statements. A row whose `before` no longer holds is left out and looked at again by the next run.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    AddressKey, ChangeAction, ChangeOutcome, ChangeReasonCode, DirectoryPatch, ExternalId, LinkMatch, PlatformUser,
    RecordOrigin, Role, RunPhase, UserFields, UserId, UserStatus,
};
use lockstep_entity::{credential, integration, platform_user, run_change, user_link};
use sea_orm::sea_query::{CaseStatement, Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, ExprTrait, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{from_json, from_optional_json, parse, parse_optional, rows_per_statement, signed};
use crate::dirty::{DirtyKey, USER};
use crate::lease::Step;
use crate::run::{Run, found};
use crate::user::{users_by_id, write_user};
use crate::{Lease, Store, StoreError, Tx};

/// Rows that are applied in one transaction. SQLite has one writer, so a transaction must be short.
pub const CHUNK: u64 = 500;

/// How often a chunk is tried again when someone else wrote the same users meanwhile.
const TRIES: u32 = 3;

/// What became of a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows that were applied.
    pub applied: u64,
    /// Rows that were left out.
    pub skipped: u64,
    /// Rows that failed.
    pub failed: u64,
}

impl Applied {
    /// Number of rows that were dealt with.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.applied + self.skipped + self.failed
    }
}

/// What asking the directory about missing people said.
#[derive(Debug, Clone, Default)]
pub struct Confirmations {
    /// They are gone.
    pub gone: Vec<Uuid>,
    /// They are there after all; the account as it is goes into the mirror and is looked at again.
    pub found: Vec<(Uuid, DirectoryPatch)>,
    /// The directory did not say.
    pub unknown: Vec<Uuid>,
}

impl Store {
    /// Number of rows that are still to be applied.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_planned(&self, lease: &Lease) -> Result<u64, StoreError> {
        planned(lease).count(self.db()).await.map_err(StoreError::of("count what is to be applied"))
    }

    /// Returns rows whose departure must be confirmed by the directory first (D-21).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unconfirmed(&self, lease: &Lease, limit: u64) -> Result<Vec<(Uuid, ExternalId)>, StoreError> {
        let rows: Vec<(Uuid, String)> = planned(lease)
            .select_only()
            .columns([run_change::Column::Id, run_change::Column::ExternalId])
            .filter(run_change::Column::NeedsConfirmation.eq(true))
            .order_by_asc(run_change::Column::Sequence)
            .limit(limit)
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read unconfirmed departures"))?;
        Ok(rows.into_iter().map(|(id, external)| (id, ExternalId(external))).collect())
    }

    /// Number of departures that are still to be confirmed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_unconfirmed(&self, lease: &Lease) -> Result<u64, StoreError> {
        let rows = planned(lease).filter(run_change::Column::NeedsConfirmation.eq(true));
        rows.count(self.db()).await.map_err(StoreError::of("count unconfirmed departures"))
    }

    /// Stores what the directory said about missing people. Whoever is not confirmed to be gone stays.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn save_confirmations(&self, lease: &Lease, step: Step, said: Confirmations) -> Result<Run, StoreError> {
        let tx = self.begin().await?;
        let stays = (said.found.len() + said.unknown.len()) as u64;
        let row = self.advance(&tx, lease, step, signed(stays), |update| update).await?;
        run_change::Entity::update_many()
            .col_expr(run_change::Column::NeedsConfirmation, false.into())
            .filter(run_change::Column::Id.is_in(said.gone.iter().copied()))
            .exec(&tx)
            .await
            .map_err(StoreError::of("confirm departures"))?;
        let mut event = row.sequence - signed(stays);
        let unknown = said.unknown.iter().map(|id| (*id, "Microsoft Graph did not confirm that the person is gone."));
        let found = said.found.iter().map(|(id, _)| (*id, "The person was missing from the list, but is there when asked for by id."));
        for (id, message) in found.chain(unknown) {
            let reason = (ChangeReasonCode::DepartureNotConfirmed, message.to_owned());
            conclude(&tx, &[id], ChangeOutcome::Skipped, Some(&reason), event, self.now()).await?;
            event += 1;
        }
        self.refresh_accounts(&tx, lease, said.found.into_iter().map(|(_, patch)| patch).collect()).await?;
        tx.commit().await.map_err(StoreError::of("confirm departures"))?;
        Run::read(row)
    }

    async fn refresh_accounts(&self, tx: &Tx, lease: &Lease, patches: Vec<DirectoryPatch>) -> Result<(), StoreError> {
        let ids: Vec<ExternalId> = patches.iter().map(|patch| patch.external_id.clone()).collect();
        let known = crate::mirror::accounts(tx, lease.integration_id, ids.iter()).await?;
        let changed = patches
            .into_iter()
            .filter_map(|patch| {
                let before = known.get(&patch.external_id).cloned();
                patch.over(before)
            })
            .map(|account| (account.external_id.clone(), account))
            .collect();
        self.save_changed(tx, lease, &known, changed).await
    }

    /// Applies the next chunk: a whole component of address moves, or up to `limit` rows. None when all is done.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn apply_next(&self, lease: &Lease, progress: Step, limit: u64) -> Result<Option<(Run, Applied)>, StoreError> {
        for attempt in 1..=TRIES {
            match self.try_chunk(lease, progress, limit).await {
                // Someone took an address or an account between our look and our write: look again.
                Err(error) if error.is_taken() && attempt < TRIES => {}
                Err(error) if error.is_taken() && limit > 1 => return self.one_by_one(lease, progress).await,
                Err(error) if error.is_taken() => return self.fail_next(lease, progress).await.map(Some),
                outcome => return outcome,
            }
        }
        Ok(None)
    }

    /// A chunk that keeps failing is taken apart, so that one bad row does not keep the others from being applied.
    async fn one_by_one(&self, lease: &Lease, progress: Step) -> Result<Option<(Run, Applied)>, StoreError> {
        Box::pin(self.apply_next(lease, progress, 1)).await
    }

    async fn fail_next(&self, lease: &Lease, progress: Step) -> Result<(Run, Applied), StoreError> {
        let tx = self.begin().await?;
        let rows = next_rows(&tx, lease, 1).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let events = signed(ids.len() as u64);
        let row = self.advance(&tx, lease, progress, events, |update| update).await?;
        let reason = (ChangeReasonCode::Internal, "The database refused the change.".to_owned());
        conclude(&tx, &ids, ChangeOutcome::Failed, Some(&reason), row.sequence - events, self.now()).await?;
        tx.commit().await.map_err(StoreError::of("note a failure"))?;
        Ok((Run::read(row)?, Applied { failed: ids.len() as u64, ..Applied::default() }))
    }

    async fn try_chunk(&self, lease: &Lease, progress: Step, limit: u64) -> Result<Option<(Run, Applied)>, StoreError> {
        let tx = self.begin().await?;
        let rows = next_rows(&tx, lease, limit).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let events = signed(rows.len() as u64);
        let step = Step { processed: progress.processed + rows.len() as u64, phase: RunPhase::ApplyingUsers, ..progress };
        let run = self.advance(&tx, lease, step, events, |update| update).await?;
        let decisions = rows.into_iter().map(Intent::read).collect::<Result<Vec<_>, _>>()?;
        let mut present = Present::load(&tx, lease, &decisions).await?;
        let settings = Settings::load(&tx, lease).await?;
        let mut chunk = Chunk { lease, settings, now: self.now(), users: BTreeMap::new(), links: Vec::new(), vacated: BTreeSet::new() };
        let verdicts: Vec<Result<(), String>> = present.judge(&decisions).into_iter().collect();
        for (intent, verdict) in decisions.iter().zip(&verdicts) {
            if verdict.is_ok() {
                chunk.take(intent, &mut present);
            }
        }
        chunk.write(&tx).await?;
        let applied = self.conclude_chunk(&tx, lease, &decisions, &verdicts, run.sequence - events).await?;
        self.wake_claimants(&tx, lease, &chunk.vacated).await?;
        tx.commit().await.map_err(StoreError::of("apply changes"))?;
        Ok(Some((Run::read(run)?, applied)))
    }

    async fn conclude_chunk(
        &self,
        tx: &Tx,
        lease: &Lease,
        decisions: &[Intent],
        verdicts: &[Result<(), String>],
        first_event: i64,
    ) -> Result<Applied, StoreError> {
        let both = || decisions.iter().zip(verdicts);
        let done: Vec<Uuid> = both().filter(|(_, verdict)| verdict.is_ok()).map(|(intent, _)| intent.id).collect();
        conclude(tx, &done, ChangeOutcome::Applied, None, first_event, self.now()).await?;
        let mut event = first_event + signed(done.len() as u64);
        for (intent, verdict) in both() {
            if let Err(message) = verdict {
                let reason = (ChangeReasonCode::ChangedMeanwhile, message.clone());
                conclude(tx, &[intent.id], ChangeOutcome::Skipped, Some(&reason), event, self.now()).await?;
                event += 1;
            }
        }
        let settled: Vec<DirtyKey> = both()
            .filter(|(_, verdict)| verdict.is_ok())
            .filter_map(|(intent, _)| Some(DirtyKey { key: intent.external_id.0.clone(), mark: intent.mark? }))
            .collect();
        self.clear_dirty(tx, lease.integration_id, &settled).await?;
        let applied = done.len() as u64;
        Ok(Applied { applied, skipped: decisions.len() as u64 - applied, failed: 0 })
    }

    /// Whoever asks for an address that was just given up has to be looked at again.
    async fn wake_claimants(&self, tx: &Tx, lease: &Lease, vacated: &BTreeSet<AddressKey>) -> Result<(), StoreError> {
        use lockstep_entity::directory_user::{Column, Entity};
        let vacated: Vec<&str> = vacated.iter().map(AddressKey::as_str).collect();
        for chunk in vacated.chunks(rows_per_statement(2)) {
            let claims = Condition::any()
                .add(Column::MailKey.is_in(chunk.iter().copied()))
                .add(Column::UpnKey.is_in(chunk.iter().copied()));
            let ids: Vec<String> = Entity::of_integration(lease.integration_id.0)
                .select_only()
                .column(Column::ExternalId)
                .filter(claims)
                .into_tuple()
                .all(tx)
                .await
                .map_err(StoreError::of("look for shared addresses"))?;
            self.mark_dirty(tx, lease.integration_id, USER, ids).await?;
        }
        Ok(())
    }
}

/// A row that is to be applied.
struct Intent {
    id: Uuid,
    action: ChangeAction,
    external_id: ExternalId,
    user_id: UserId,
    before: Option<UserFields>,
    after: UserFields,
    matched_by: Option<LinkMatch>,
    component: bool,
    mark: Option<Uuid>,
}

impl Intent {
    fn read(row: run_change::Model) -> Result<Self, StoreError> {
        let id = row.id;
        let missing = |column| StoreError::Corrupt { column, text: format!("nothing in change {id}") };
        Ok(Self {
            id,
            action: parse("run_change.action", &row.action)?,
            external_id: ExternalId(row.external_id),
            user_id: UserId(row.platform_id.ok_or_else(|| missing("run_change.platform_id"))?),
            before: from_optional_json("run_change.before", row.before)?,
            after: from_json("run_change.after", row.after.ok_or_else(|| missing("run_change.after"))?)?,
            matched_by: parse_optional("run_change.matched_by", row.matched_by.as_deref())?,
            component: row.component.is_some(),
            mark: row.dirty_mark,
        })
    }

    fn address(&self) -> AddressKey {
        AddressKey::of(&self.after.email)
    }
}

/// What is there now.
struct Present {
    users: BTreeMap<UserId, PlatformUser>,
    holders: BTreeMap<AddressKey, UserId>,
    linked_accounts: BTreeSet<ExternalId>,
    linked_users: BTreeSet<UserId>,
}

impl Present {
    async fn load(tx: &Tx, lease: &Lease, intents: &[Intent]) -> Result<Self, StoreError> {
        let ids: Vec<Uuid> = intents.iter().map(|intent| intent.user_id.0).collect();
        let mut users: BTreeMap<UserId, PlatformUser> =
            users_by_id(tx, lease.organization_id, &ids).await?.into_iter().map(|user| (user.id, user)).collect();
        let addresses: Vec<String> = intents.iter().map(|intent| intent.address().as_str().to_owned()).collect();
        for chunk in addresses.chunks(rows_per_statement(1)) {
            let rows = platform_user::Entity::in_organization(lease.organization_id.0)
                .filter(platform_user::Column::EmailKey.is_in(chunk.iter().map(String::as_str)))
                .all(tx);
            for row in rows.await.map_err(StoreError::of("read users"))? {
                let user = crate::user::read_user(row)?;
                users.insert(user.id, user);
            }
        }
        let (mut linked_accounts, mut linked_users) = (BTreeSet::new(), BTreeSet::new());
        let external: Vec<&str> = intents.iter().map(|intent| intent.external_id.as_str()).collect();
        for (external, ids) in external.chunks(rows_per_statement(2)).zip(ids.chunks(rows_per_statement(2))) {
            let ours = Condition::all()
                .add(user_link::Column::IntegrationId.eq(lease.integration_id.0))
                .add(user_link::Column::ExternalId.is_in(external.iter().copied()));
            let which = Condition::any().add(ours).add(user_link::Column::UserId.is_in(ids.iter().copied()));
            let rows = user_link::Entity::find().filter(which).all(tx).await.map_err(StoreError::of("read links"))?;
            for row in rows {
                linked_users.insert(UserId(row.user_id));
                if row.integration_id == lease.integration_id.0 {
                    linked_accounts.insert(ExternalId(row.external_id));
                }
            }
        }
        let holders = users.values().map(|user| (user.email_key.clone(), user.id)).collect();
        Ok(Self { users, holders, linked_accounts, linked_users })
    }

    /// Says for each row whether what it was decided on still holds. A component stands or falls as a whole.
    fn judge(&self, intents: &[Intent]) -> Vec<Result<(), String>> {
        let movers: BTreeSet<UserId> = intents
            .iter()
            .filter(|intent| intent.component && intent.before.is_some())
            .map(|intent| intent.user_id)
            .collect();
        let mut taken = BTreeSet::new();
        let verdicts: Vec<_> = intents.iter().map(|intent| self.judge_one(intent, &movers, &mut taken)).collect();
        let broken = intents.iter().zip(&verdicts).any(|(intent, verdict)| intent.component && verdict.is_err());
        intents
            .iter()
            .zip(verdicts)
            .map(|(intent, verdict)| {
                if broken && intent.component && verdict.is_ok() {
                    return Err("Another change of the same exchange of addresses could not be made.".to_owned());
                }
                verdict
            })
            .collect()
    }

    fn judge_one(&self, intent: &Intent, movers: &BTreeSet<UserId>, taken: &mut BTreeSet<AddressKey>) -> Result<(), String> {
        let user = self.users.get(&intent.user_id);
        match (&intent.before, user) {
            (Some(before), Some(user)) if UserFields::of(user) != *before => {
                return Err("The user was changed while the run was going on.".to_owned());
            }
            (Some(_), None) => return Err("The user vanished while the run was going on.".to_owned()),
            (None, _) | (Some(_), Some(_)) => {}
        }
        let takes_link = matches!(intent.action, ChangeAction::Create | ChangeAction::Link);
        if takes_link && self.linked_accounts.contains(&intent.external_id) {
            return Err("The account was linked to a user while the run was going on.".to_owned());
        }
        if intent.action == ChangeAction::Link && self.linked_users.contains(&intent.user_id) {
            return Err("The user was linked to an account while the run was going on.".to_owned());
        }
        let key = intent.address();
        let holder = self.holders.get(&key).filter(|holder| **holder != intent.user_id);
        if holder.is_some_and(|holder| !movers.contains(holder)) || !taken.insert(key) {
            return Err("The address was taken by another user while the run was going on.".to_owned());
        }
        Ok(())
    }
}

/// What the organization and the integration say about new users and links.
struct Settings {
    language: String,
    tenant: String,
}

impl Settings {
    async fn load(tx: &Tx, lease: &Lease) -> Result<Self, StoreError> {
        let operation = "read settings";
        let integration = integration::Entity::find_by_id(lease.integration_id.0).one(tx).await.map_err(StoreError::of(operation))?;
        let credential = credential::Entity::find_by_id(lease.integration_id.0).one(tx).await.map_err(StoreError::of(operation))?;
        Ok(Self {
            language: found(integration, operation)?.default_language.unwrap_or_else(|| "en".to_owned()),
            tenant: credential.map(|row| row.resolved_tenant_id.unwrap_or(row.tenant_id)).unwrap_or_default(),
        })
    }
}

/// What a chunk writes.
struct Chunk<'a> {
    lease: &'a Lease,
    settings: Settings,
    now: chrono::DateTime<chrono::Utc>,
    users: BTreeMap<UserId, PlatformUser>,
    links: Vec<user_link::ActiveModel>,
    vacated: BTreeSet<AddressKey>,
}

impl Chunk<'_> {
    fn take(&mut self, intent: &Intent, present: &mut Present) {
        let known = present.users.get(&intent.user_id).cloned();
        if let Some(known) = &known
            && known.email_key != intent.address()
        {
            self.vacated.insert(known.email_key.clone());
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
        let UserFields { given_name, family_name, names_derived, email, job_title, status, deactivation_reason } =
            intent.after.clone();
        PlatformUser {
            given_name,
            family_name,
            names_derived,
            email_key: AddressKey::of(&email),
            email,
            job_title,
            deactivated_at: if status == UserStatus::Deactivated { user.deactivated_at.or(Some(self.now)) } else { None },
            status,
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

    async fn write(&self, tx: &Tx) -> Result<(), StoreError> {
        self.vacate(tx).await?;
        let rows: Vec<_> = self
            .users
            .values()
            .map(|user| {
                let by_run = user.status == UserStatus::Deactivated;
                write_user(user, by_run.then_some(self.lease.run_id.0))
            })
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
            Column::DeactivatedByRun,
            Column::Origin,
            Column::UpdatedAt,
        ];
        for chunk in rows.chunks(rows_per_statement(22)) {
            platform_user::Entity::insert_many(chunk.iter().cloned())
                .on_conflict(OnConflict::column(Column::Id).update_columns(written).to_owned())
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
        Ok(())
    }

    /// Takes addresses that move out of the way first, so that a swap meets no unique key on its way.
    async fn vacate(&self, tx: &Tx) -> Result<(), StoreError> {
        let vacated: Vec<&str> = self.vacated.iter().map(AddressKey::as_str).collect();
        for chunk in vacated.chunks(rows_per_statement(1)) {
            platform_user::Entity::update_many()
                .col_expr(platform_user::Column::EmailKey, parked())
                .filter(platform_user::Column::OrganizationId.eq(self.lease.organization_id.0))
                .filter(platform_user::Column::EmailKey.is_in(chunk.iter().copied()))
                .exec(tx)
                .await
                .map_err(StoreError::of("vacate addresses"))?;
        }
        Ok(())
    }
}

/// A key no address has, different for each of those it replaces; lives only inside a transaction.
fn parked() -> Expr {
    Expr::val("moving ").binary(sea_orm::sea_query::BinOper::Custom("||".into()), Expr::col(platform_user::Column::EmailKey))
}

fn planned(lease: &Lease) -> sea_orm::Select<run_change::Entity> {
    run_change::Entity::of_run(lease.run_id.0).filter(run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
}

/// The next component, whole; when there is none left, the next rows in the order of the plan.
async fn next_rows(tx: &Tx, lease: &Lease, limit: u64) -> Result<Vec<run_change::Model>, StoreError> {
    let operation = "read what is to be applied";
    let component: Option<Option<i64>> = planned(lease)
        .select_only()
        .column(run_change::Column::Component)
        .filter(run_change::Column::Component.is_not_null())
        .order_by_asc(run_change::Column::Component)
        .into_tuple()
        .one(tx)
        .await
        .map_err(StoreError::of(operation))?;
    let rows = match component.flatten() {
        Some(component) => planned(lease)
            .filter(run_change::Column::Component.eq(component))
            .order_by_asc(run_change::Column::ComponentOrder)
            .all(tx)
            .await,
        None => planned(lease).order_by_asc(run_change::Column::Sequence).limit(limit).all(tx).await,
    };
    rows.map_err(StoreError::of(operation))
}

/// Gives rows their outcome and the numbers of the events that tell of it, `first_event` and up.
async fn conclude(
    tx: &Tx,
    ids: &[Uuid],
    outcome: ChangeOutcome,
    reason: Option<&(ChangeReasonCode, String)>,
    first_event: i64,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    let mut event = first_event;
    for chunk in ids.chunks(rows_per_statement(3)) {
        let numbers = chunk.iter().fold(CaseStatement::new(), |cases, id| {
            let number = event;
            event += 1;
            cases.case(ExprTrait::eq(Expr::col(run_change::Column::Id), *id), number)
        });
        run_change::Entity::update_many()
            .col_expr(run_change::Column::Outcome, outcome.as_str().into())
            .col_expr(run_change::Column::ReasonCode, reason.map(|(code, _)| code.as_str()).into())
            .col_expr(run_change::Column::ReasonMessage, reason.map(|(_, message)| message.clone()).into())
            .col_expr(run_change::Column::EventSequence, numbers.into())
            .col_expr(run_change::Column::OccurredAt, now.into())
            .filter(run_change::Column::Id.is_in(chunk.iter().copied()))
            .exec(tx)
            .await
            .map_err(StoreError::of("note outcomes"))?;
    }
    Ok(())
}
