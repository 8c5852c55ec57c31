//! The mirror of members and owners of groups.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    DirectoryGroup, ExternalId, GroupPatch, IntegrationId, MemberKind, MemberPatch, MemberRelation,
    MembersRead, Presence, TeamSource,
};
use lockstep_entity::directory_member::{self, Column};
use lockstep_entity::{directory_group, directory_user};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use crate::column::rows_per_statement;
use crate::group::{groups, write_groups};
use crate::lease::Step;
use crate::lookup::{first_of, one_of};
use crate::run::Run;
use crate::run_tx::{BATCH, RunTx};
use crate::{Lease, Store, StoreError};

/// Members that are compared together when a large group is swept.
const WALK: u64 = 1_000;

/// What a list of members, or a page of it, says.
#[derive(Debug, Clone)]
pub struct MemberList {
    /// The group.
    pub group: ExternalId,
    /// Members or owners.
    pub relation: MemberRelation,
    /// Who is listed.
    pub members: Vec<MemberPatch>,
    /// Whether whoever is not listed is none: the page is the whole list.
    pub is_whole: bool,
}

/// What lists of members said.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Groups that have someone new.
    pub changed: BTreeSet<ExternalId>,
    /// Whom whole lists did not name, by group.
    pub missing: BTreeMap<(ExternalId, MemberRelation), Vec<ExternalId>>,
}

impl Store {
    /// Takes over whom lists of members name, and says which groups have someone new and whom whole lists did not name.
    /// Nothing follows from that alone.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn save_member_lists(
        &self,
        lease: &Lease,
        step: Step,
        lists: &[MemberList],
    ) -> Result<(Run, Listed), StoreError> {
        let (mut run, mut listed) = (None, Listed::default());
        for part in parts(lists, |list| list.members.len()) {
            run = Some(self.save_part(lease, step, part, &mut listed).await?);
        }
        let run = match run {
            Some(run) => run,
            None => self.report(lease, step).await?,
        };
        Ok((run, listed))
    }

    async fn save_part(
        &self,
        lease: &Lease,
        step: Step,
        lists: &[MemberList],
        listed: &mut Listed,
    ) -> Result<Run, StoreError> {
        let tx = self.begin_run(lease, step).await?;
        let mut touched = BTreeSet::new();
        for list in lists {
            let mut known = present(&tx, lease, list).await?;
            // A page may name someone twice, and PostgreSQL takes each row of an upsert once.
            let named: BTreeMap<&ExternalId, &MemberPatch> = list
                .members
                .iter()
                .map(|member| (&member.external_id, member))
                .collect();
            let new: Vec<&MemberPatch> = named
                .into_values()
                .filter(|member| known.remove(&member.external_id) != Some(member.kind))
                .collect();
            write_members(&tx, lease, &list.group, list.relation, &new).await?;
            if !new.is_empty() {
                touched.insert(list.group.clone());
            }
            // What is left over was not listed.
            let left: Vec<ExternalId> = known.into_keys().filter(|_| list.is_whole).collect();
            let left = without_absent(&tx, lease, left).await?;
            if !left.is_empty() {
                let place = (list.group.clone(), list.relation);
                listed.missing.insert(place, left);
            }
        }
        listed.changed.extend(touched.iter().cloned());
        self.mark_teams(&tx, lease.integration_id, TeamSource::Group, touched)
            .await?;
        tx.commit("save members").await
    }

    /// Returns the members of one group that a list of several pages did not name; `is_listed` says which it did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unlisted_members(
        &self,
        lease: &Lease,
        group: &ExternalId,
        relation: MemberRelation,
        is_listed: impl Fn(&ExternalId) -> bool + Send,
    ) -> Result<Vec<ExternalId>, StoreError> {
        let (mut after, mut unlisted) = (String::new(), Vec::new());
        loop {
            let rows = members(lease.integration_id, group, relation)
                .select_only()
                .column(Column::MemberId)
                .filter(Column::MemberId.gt(after.as_str()))
                .order_by_asc(Column::MemberId);
            let ids: Vec<String> = first_of(self.db(), rows, WALK)
                .await
                .map_err(StoreError::of("read members"))?;
            let Some(last) = ids.last() else { break };
            after.clone_from(last);
            let ids = ids.into_iter().map(ExternalId);
            let left = ids.filter(|id| !is_listed(id)).collect();
            unlisted.extend(without_absent(self.db(), lease, left).await?);
        }
        Ok(unlisted)
    }

    /// Removes members of groups.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn remove_members(
        &self,
        lease: &Lease,
        step: Step,
        relation: MemberRelation,
        gone: &[(ExternalId, Vec<ExternalId>)],
    ) -> Result<Run, StoreError> {
        let pieces = gone.iter().flat_map(|(group, ids)| {
            let pieces = ids.chunks(rows_per_statement(1));
            pieces.map(move |ids| (group, ids))
        });
        let pieces: Vec<(&ExternalId, &[ExternalId])> = pieces.collect();
        let mut run = None;
        for part in parts(&pieces, |(_, ids)| ids.len()) {
            let tx = self.begin_run(lease, step).await?;
            for (group, ids) in part {
                let ids: Vec<&ExternalId> = ids.iter().collect();
                delete_members(&tx, lease, group, relation, &ids).await?;
            }
            let touched: BTreeSet<ExternalId> =
                part.iter().map(|(group, _)| (*group).clone()).collect();
            self.mark_teams(&tx, lease.integration_id, TeamSource::Group, touched)
                .await?;
            run = Some(tx.commit("remove members").await?);
        }
        match run {
            Some(run) => Ok(run),
            None => self.report(lease, step).await,
        }
    }

    /// Notes what is known of the members of groups now; those for which that is news have to be looked at.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn note_members_read(
        &self,
        lease: &Lease,
        step: Step,
        read: &BTreeMap<ExternalId, MembersRead>,
    ) -> Result<Run, StoreError> {
        let tx = self.begin_run(lease, step).await?;
        let known = groups(&tx, lease.integration_id, read.keys()).await?;
        let changed: Vec<DirectoryGroup> = known
            .into_values()
            .filter_map(|group| {
                let members = *read.get(&group.external_id)?;
                (members != group.members).then_some(DirectoryGroup { members, ..group })
            })
            .collect();
        let touched: Vec<ExternalId> = changed
            .iter()
            .map(|group| group.external_id.clone())
            .collect();
        write_groups(&tx, lease.integration_id, changed.into_iter()).await?;
        self.mark_teams(&tx, lease.integration_id, TeamSource::Group, touched)
            .await?;
        tx.commit("note which members are known").await
    }

    /// Applies the members and owners that a delta says joined or left; whether there were any.
    pub(crate) async fn save_member_changes(
        &self,
        tx: &RunTx,
        lease: &Lease,
        patch: &GroupPatch,
    ) -> Result<bool, StoreError> {
        let relations = [
            (MemberRelation::Member, &patch.members),
            (MemberRelation::Owner, &patch.owners),
        ];
        for (relation, changes) in relations {
            // The same member may join and leave in one slice: the later word counts.
            let latest: BTreeMap<&ExternalId, &MemberPatch> = changes
                .iter()
                .map(|change| (&change.external_id, change))
                .collect();
            let (left, joined): (Vec<&MemberPatch>, Vec<&MemberPatch>) =
                latest.into_values().partition(|change| change.removed);
            let left: Vec<&ExternalId> = left.iter().map(|change| &change.external_id).collect();
            write_members(tx, lease, &patch.external_id, relation, &joined).await?;
            delete_members(tx, lease, &patch.external_id, relation, &left).await?;
        }
        Ok(!patch.members.is_empty() || !patch.owners.is_empty())
    }
}

/// Cuts what is written into what goes into one transaction: as many as have a batch of rows together, at least one.
fn parts<T>(all: &[T], rows: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut sum = 0;
    all.chunk_by(move |one, next| {
        sum += rows(one);
        let fits = (sum + rows(next)) as u64 <= BATCH;
        if !fits {
            sum = 0;
        }
        fits
    })
}

fn members(
    integration: IntegrationId,
    group: &ExternalId,
    relation: MemberRelation,
) -> sea_orm::Select<directory_member::Entity> {
    directory_member::Entity::of_integration(integration.0)
        .filter(Column::GroupId.eq(group.as_str()))
        .filter(Column::Relation.eq(relation.as_str()))
}

/// Leaves out accounts and groups that are not there. Those that are deleted are in no list, yet keep their places and take
/// them up again when they are restored; of those that are merely missing, nothing is known (D-21).
async fn without_absent(
    db: &impl ConnectionTrait,
    lease: &Lease,
    mut ids: Vec<ExternalId>,
) -> Result<Vec<ExternalId>, StoreError> {
    let mut absent: BTreeSet<String> = BTreeSet::new();
    for chunk in ids.chunks(rows_per_statement(1)) {
        let accounts: Vec<String> = directory_user::Entity::of_integration(lease.integration_id.0)
            .select_only()
            .column(directory_user::Column::ExternalId)
            .filter(one_of(
                db,
                directory_user::Column::ExternalId,
                chunk.iter().map(|id| id.as_str()),
            ))
            .filter(directory_user::Column::Presence.ne(Presence::Present.as_str()))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read absent members"))?;
        let groups: Vec<String> = directory_group::Entity::of_integration(lease.integration_id.0)
            .select_only()
            .column(directory_group::Column::ExternalId)
            .filter(one_of(
                db,
                directory_group::Column::ExternalId,
                chunk.iter().map(|id| id.as_str()),
            ))
            .filter(directory_group::Column::Presence.ne(Presence::Present.as_str()))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read absent members"))?;
        absent.extend(accounts.into_iter().chain(groups));
    }
    ids.retain(|id| !absent.contains(id.as_str()));
    Ok(ids)
}

/// Whom the mirror knows: everyone of the group when the list is whole, else those whom the page names.
async fn present(
    db: &impl ConnectionTrait,
    lease: &Lease,
    list: &MemberList,
) -> Result<BTreeMap<ExternalId, MemberKind>, StoreError> {
    let mut query = members(lease.integration_id, &list.group, list.relation)
        .select_only()
        .columns([Column::MemberId, Column::Kind]);
    if !list.is_whole {
        let named = list
            .members
            .iter()
            .map(|member| member.external_id.as_str());
        query = query.filter(one_of(db, Column::MemberId, named));
    }
    let rows: Vec<(String, String)> = query
        .into_tuple()
        .all(db)
        .await
        .map_err(StoreError::of("read members"))?;
    rows.into_iter()
        .map(|(id, kind)| {
            let kind = crate::column::parse("directory_member.kind", &kind)?;
            Ok((ExternalId(id), kind))
        })
        .collect()
}

async fn write_members(
    tx: &RunTx,
    lease: &Lease,
    group: &ExternalId,
    relation: MemberRelation,
    members: &[&MemberPatch],
) -> Result<(), StoreError> {
    let rows: Vec<_> = members
        .iter()
        .map(|member| directory_member::ActiveModel {
            integration_id: Set(lease.integration_id.0),
            group_id: Set(group.0.clone()),
            relation: Set(relation.as_str().into()),
            member_id: Set(member.external_id.0.clone()),
            kind: Set(member.kind.as_str().into()),
        })
        .collect();
    for chunk in rows.chunks(rows_per_statement(5)) {
        directory_member::Entity::insert_many(chunk.iter().cloned())
            .on_conflict(
                OnConflict::columns([
                    Column::IntegrationId,
                    Column::GroupId,
                    Column::Relation,
                    Column::MemberId,
                ])
                .update_column(Column::Kind)
                .to_owned(),
            )
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("save members"))?;
    }
    Ok(())
}

async fn delete_members(
    tx: &RunTx,
    lease: &Lease,
    group: &ExternalId,
    relation: MemberRelation,
    ids: &[&ExternalId],
) -> Result<(), StoreError> {
    for chunk in ids.chunks(rows_per_statement(1)) {
        directory_member::Entity::delete_many()
            .filter(Column::IntegrationId.eq(lease.integration_id.0))
            .filter(Column::GroupId.eq(group.as_str()))
            .filter(Column::Relation.eq(relation.as_str()))
            .filter(one_of(
                tx,
                Column::MemberId,
                chunk.iter().map(|id| id.as_str()),
            ))
            .exec(tx)
            .await
            .map_err(StoreError::of("remove members"))?;
    }
    Ok(())
}
