//! The mirror of groups: what a read says of them, written a page a transaction.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    DirectoryGroup, ExternalId, GroupPatch, IntegrationId, MembersRead, Presence, TeamSource,
};
use lockstep_entity::{directory_group, read_seen};
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    ExprTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::column::{parse, rows_per_statement};
use crate::lease::Step;
use crate::lookup::{first_of, one_of, unweighed};
use crate::mirror::mark_seen;
use crate::run::Run;
use crate::run_tx::{BATCH, RunTx};
use crate::{Lease, Store, StoreError};

/// What asking the directory about missing groups said.
#[derive(Debug, Clone, Default)]
pub struct GroupConfirmations {
    /// They are gone.
    pub gone: Vec<ExternalId>,
    /// They are there after all.
    pub found: Vec<GroupPatch>,
}

impl Store {
    /// Takes a page of groups over: changed rows, members that joined or left, and what has to be looked at because of
    /// them. Returns how many groups were new or different.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn save_group_page(
        &self,
        lease: &Lease,
        step: Step,
        page: Vec<GroupPatch>,
        seen_in_attempt: Option<i32>,
    ) -> Result<(Run, u64), StoreError> {
        let tx = self.begin_run(lease, step).await?;
        let ids: BTreeSet<ExternalId> =
            page.iter().map(|patch| patch.external_id.clone()).collect();
        let known = groups(&tx, lease.integration_id, ids.iter()).await?;
        let mut touched = self.save_groups(&tx, lease, &known, &page).await?;
        for patch in &page {
            if self.save_member_changes(&tx, lease, patch).await? {
                touched.insert(patch.external_id.clone());
            }
        }
        let changed = touched.len() as u64;
        self.mark_teams(&tx, lease.integration_id, TeamSource::Group, touched)
            .await?;
        if let Some(attempt) = seen_in_attempt {
            mark_seen(&tx, lease, attempt, &ids).await?;
        }
        Ok((tx.commit("save a page of groups").await?, changed))
    }

    /// Writes the groups that are different in the end, and returns their ids.
    async fn save_groups(
        &self,
        tx: &RunTx,
        lease: &Lease,
        known: &BTreeMap<ExternalId, DirectoryGroup>,
        page: &[GroupPatch],
    ) -> Result<BTreeSet<ExternalId>, StoreError> {
        let mut latest: BTreeMap<ExternalId, DirectoryGroup> = BTreeMap::new();
        for patch in page {
            // The same group may come several times in one page, each time with another slice of its members.
            let before = latest
                .remove(&patch.external_id)
                .or_else(|| known.get(&patch.external_id).cloned());
            if let Some(group) = patch.over(before) {
                latest.insert(group.external_id.clone(), group);
            }
        }
        latest.retain(|id, group| known.get(id) != Some(group));
        let was_removed = |id| {
            let known: Option<&DirectoryGroup> = known.get(id);
            known.is_some_and(|group| group.presence == Presence::Removed)
        };
        let mut present = latest
            .iter()
            .filter(|(_, group)| group.presence == Presence::Present);
        if present.any(|(id, _)| was_removed(id)) {
            self.mark_list(tx, lease.integration_id).await?;
        }
        let ids = latest.keys().cloned().collect();
        write_groups(tx, lease.integration_id, latest.into_values()).await?;
        Ok(ids)
    }

    /// After the last page of a complete list: whatever the attempt did not see is missing. Nothing follows from that
    /// alone; the directory is asked for each by its id.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn mark_groups_missing(
        &self,
        lease: &Lease,
        step: Step,
        attempt: i32,
    ) -> Result<u64, StoreError> {
        let seen = Query::select()
            .expr(Expr::val(1))
            .from(read_seen::Entity)
            .and_where(read_seen::Column::RunId.eq(lease.run_id.0))
            .and_where(read_seen::Column::Attempt.eq(attempt))
            .and_where(
                Expr::col((read_seen::Entity, read_seen::Column::ExternalId))
                    .equals((directory_group::Entity, directory_group::Column::ExternalId)),
            )
            .to_owned();
        let missing = Condition::all()
            .add(directory_group::Column::Presence.eq(Presence::Present.as_str()))
            .add(Expr::exists(seen).not());
        let (mut after, mut marked) = (None, 0);
        loop {
            let which = missing.clone();
            let ids = self
                .group_ids(lease.integration_id, which, after.as_ref(), BATCH)
                .await?;
            let Some(last) = ids.last() else {
                return Ok(marked);
            };
            after = Some(last.clone());
            marked += ids.len() as u64;
            self.note_groups_missing(lease, step, &ids).await?;
        }
    }

    async fn note_groups_missing(
        &self,
        lease: &Lease,
        step: Step,
        ids: &[ExternalId],
    ) -> Result<Run, StoreError> {
        let operation = "mark which groups are missing";
        let tx = self.begin_run(lease, step).await?;
        directory_group::Entity::update_many()
            .col_expr(
                directory_group::Column::Presence,
                Presence::Missing.as_str().into(),
            )
            .filter(directory_group::Column::IntegrationId.eq(lease.integration_id.0))
            .filter(directory_group::Column::ExternalId.is_in(ids.iter().map(ExternalId::as_str)))
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit(operation).await
    }

    /// Returns groups that were missing from a list, in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn missing_groups(
        &self,
        integration: IntegrationId,
        after: Option<&ExternalId>,
        limit: u64,
    ) -> Result<Vec<ExternalId>, StoreError> {
        let missing = directory_group::Column::Presence.eq(Presence::Missing.as_str());
        self.group_ids(integration, Condition::all().add(missing), after, limit)
            .await
    }

    /// Returns groups whose members have to be listed: all of them in a complete read, else those of which they are not
    /// known.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn groups_to_list(
        &self,
        integration: IntegrationId,
        all: bool,
        after: Option<&ExternalId>,
        limit: u64,
    ) -> Result<Vec<ExternalId>, StoreError> {
        let unknown = directory_group::Column::Members.ne(MembersRead::Known.as_str());
        let which = Condition::all()
            .add(directory_group::Column::Presence.eq(Presence::Present.as_str()))
            .add_option((!all).then_some(unknown));
        self.group_ids(integration, which, after, limit).await
    }

    async fn group_ids(
        &self,
        integration: IntegrationId,
        which: Condition,
        after: Option<&ExternalId>,
        limit: u64,
    ) -> Result<Vec<ExternalId>, StoreError> {
        let after = after.map(|id| directory_group::Column::ExternalId.gt(id.as_str()));
        let rows = directory_group::Entity::of_integration(integration.0)
            .select_only()
            .column(directory_group::Column::ExternalId)
            .filter(unweighed(which))
            .filter(Condition::all().add_option(after))
            .order_by_asc(directory_group::Column::ExternalId);
        let ids: Vec<String> = first_of(self.db(), rows, limit)
            .await
            .map_err(StoreError::of("read groups"))?;
        Ok(ids.into_iter().map(ExternalId).collect())
    }

    /// Stores what the directory said of missing groups. What it did not confirm to be gone stays missing, and nothing
    /// follows from that.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn save_group_confirmations(
        &self,
        lease: &Lease,
        step: Step,
        said: GroupConfirmations,
    ) -> Result<Run, StoreError> {
        let removed = said.gone.into_iter().map(|id| GroupPatch {
            presence: Presence::Removed,
            ..GroupPatch::empty(id)
        });
        let page = said.found.into_iter().chain(removed).collect();
        let (run, _) = self.save_group_page(lease, step, page, None).await?;
        Ok(run)
    }

    /// Reads groups of the mirror by their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn groups(
        &self,
        integration: IntegrationId,
        ids: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, DirectoryGroup>, StoreError> {
        groups(self.db(), integration, ids.iter()).await
    }
}

pub(crate) async fn write_groups(
    tx: &RunTx,
    integration: IntegrationId,
    groups: impl Iterator<Item = DirectoryGroup>,
) -> Result<(), StoreError> {
    use directory_group::Column;
    let rows: Vec<_> = groups
        .map(|group| write_group(integration, group))
        .collect();
    for chunk in rows.chunks(rows_per_statement(10)) {
        let everything = [
            Column::DisplayName,
            Column::MailEnabled,
            Column::SecurityEnabled,
            Column::IsUnified,
            Column::IsDynamic,
            Column::HidesMembers,
            Column::Members,
            Column::Presence,
        ];
        directory_group::Entity::insert_many(chunk.iter().cloned())
            .on_conflict(
                OnConflict::columns([Column::IntegrationId, Column::ExternalId])
                    .update_columns(everything)
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("save groups"))?;
    }
    Ok(())
}

pub(crate) async fn groups<'a>(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    ids: impl Iterator<Item = &'a ExternalId>,
) -> Result<BTreeMap<ExternalId, DirectoryGroup>, StoreError> {
    let ids: Vec<&str> = ids.map(ExternalId::as_str).collect();
    let mut found = BTreeMap::new();
    for chunk in ids.chunks(rows_per_statement(1)) {
        let rows = directory_group::Entity::of_integration(integration.0)
            .filter(one_of(
                db,
                directory_group::Column::ExternalId,
                chunk.iter().copied(),
            ))
            .all(db)
            .await
            .map_err(StoreError::of("read groups"))?;
        for row in rows {
            let group = read_group(row)?;
            found.insert(group.external_id.clone(), group);
        }
    }
    Ok(found)
}

fn read_group(row: directory_group::Model) -> Result<DirectoryGroup, StoreError> {
    Ok(DirectoryGroup {
        external_id: ExternalId(row.external_id),
        display_name: row.display_name,
        mail_enabled: row.mail_enabled,
        security_enabled: row.security_enabled,
        is_unified: row.is_unified,
        is_dynamic: row.is_dynamic,
        hides_members: row.hides_members,
        members: parse("directory_group.members", &row.members)?,
        presence: parse("directory_group.presence", &row.presence)?,
    })
}

fn write_group(integration: IntegrationId, group: DirectoryGroup) -> directory_group::ActiveModel {
    directory_group::ActiveModel {
        integration_id: Set(integration.0),
        external_id: Set(group.external_id.0),
        display_name: Set(group.display_name),
        mail_enabled: Set(group.mail_enabled),
        security_enabled: Set(group.security_enabled),
        is_unified: Set(group.is_unified),
        is_dynamic: Set(group.is_dynamic),
        hides_members: Set(group.hides_members),
        members: Set(group.members.as_str().into()),
        presence: Set(group.presence.as_str().into()),
    }
}
