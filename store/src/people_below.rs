//! The people directly below groups and managers: members, owners and reports.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{ExternalId, IntegrationId, MemberKind, MemberRelation, TeamSource};
use lockstep_entity::{directory_member, directory_user};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::above::managers_of;
use crate::column::{count, rows_per_statement};
use crate::lookup::{first_of, one_of, unweighed};
use crate::{Store, StoreError};

/// Ids whose neighbours are looked up together.
const STEP: usize = 500;

impl Store {
    /// Number of direct people below each group or manager, for those who have any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_people_below(
        &self,
        integration: IntegrationId,
        source: TeamSource,
        ids: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, u64>, StoreError> {
        let mut found = BTreeMap::new();
        for chunk in ids.chunks(STEP) {
            let rows: Vec<(String, i64)> = match source {
                TeamSource::Group => {
                    people_of(self.db(), integration, chunk)
                        .select_only()
                        .column(directory_member::Column::GroupId)
                        .column_as(directory_member::Column::MemberId.count(), "n")
                        .group_by(directory_member::Column::GroupId)
                        .into_tuple()
                        .all(self.db())
                        .await
                }
                TeamSource::Manager => {
                    reports_of(self.db(), integration, chunk)
                        .select_only()
                        .column(directory_user::Column::ManagerId)
                        .column_as(directory_user::Column::ExternalId.count(), "n")
                        .group_by(directory_user::Column::ManagerId)
                        .into_tuple()
                        .all(self.db())
                        .await
                }
            }
            .map_err(StoreError::of("count people"))?;
            found.extend(rows.into_iter().map(|(id, n)| (ExternalId(id), count(n))));
        }
        Ok(found)
    }

    /// Returns the direct people below some groups or managers as (group or manager, person), in no order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people_below(
        &self,
        integration: IntegrationId,
        source: TeamSource,
        ids: &[ExternalId],
    ) -> Result<Vec<(ExternalId, ExternalId)>, StoreError> {
        match source {
            TeamSource::Group => {
                self.pairs(pairs_of_group(people_of(self.db(), integration, ids)))
                    .await
            }
            TeamSource::Manager => {
                self.pairs(pairs_of_manager(reports_of(self.db(), integration, ids)))
                    .await
            }
        }
    }

    /// Returns the next direct people below one group or manager, at most `limit` after a person.
    ///
    /// Of one alone: an order over several would have SQLite walk through everyone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_people_below(
        &self,
        integration: IntegrationId,
        source: TeamSource,
        id: &ExternalId,
        after: Option<&ExternalId>,
        limit: u64,
    ) -> Result<Vec<(ExternalId, ExternalId)>, StoreError> {
        let rows = match source {
            TeamSource::Group => {
                use directory_member::Column;
                let next = directory_member::Entity::of_integration(integration.0)
                    .filter(Column::GroupId.eq(id.as_str()))
                    .filter(Column::Relation.eq(MemberRelation::Member.as_str()))
                    .filter(unweighed(may_be_people()))
                    .filter(later(after, |id| Column::MemberId.gt(id)))
                    .order_by_asc(Column::MemberId);
                first_of(self.db(), pairs_of_group(next), limit).await
            }
            TeamSource::Manager => {
                use directory_user::Column;
                let next = directory_user::Entity::of_integration(integration.0)
                    .filter(Column::ManagerId.eq(id.as_str()))
                    .filter(later(after, |id| Column::ExternalId.gt(id)))
                    .order_by_asc(Column::ExternalId);
                first_of(self.db(), pairs_of_manager(next), limit).await
            }
        };
        Ok(pairs(rows.map_err(StoreError::of("read people"))?))
    }

    async fn pairs<E: EntityTrait>(
        &self,
        rows: sea_orm::Select<E>,
    ) -> Result<Vec<(ExternalId, ExternalId)>, StoreError> {
        let rows: Vec<(String, String)> = rows
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read people"))?;
        Ok(pairs(rows))
    }

    /// Which of some groups or managers some people are directly below, for each person.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sources_of(
        &self,
        integration: IntegrationId,
        source: TeamSource,
        within: &BTreeSet<ExternalId>,
        people: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, BTreeSet<ExternalId>>, StoreError> {
        let mut found: BTreeMap<ExternalId, BTreeSet<ExternalId>> = BTreeMap::new();
        if source == TeamSource::Manager {
            let managers = managers_of(self.db(), integration, people).await?;
            for (person, manager) in managers {
                if within.contains(&manager) {
                    found.entry(person).or_default().insert(manager);
                }
            }
            return Ok(found);
        }
        // Someone may be in a thousand groups: fewer people at a time when the groups cannot be named.
        let named = (within.len() <= STEP).then(|| within.iter().map(ExternalId::as_str));
        let together = if named.is_some() { STEP } else { STEP / 10 };
        for chunk in people.chunks(together) {
            use directory_member::Column;
            let rows: Vec<(String, String)> =
                directory_member::Entity::of_integration(integration.0)
                    .select_only()
                    .columns([Column::MemberId, Column::GroupId])
                    .filter(Column::Relation.eq(MemberRelation::Member.as_str()))
                    .filter(one_of(
                        self.db(),
                        Column::MemberId,
                        chunk.iter().map(ExternalId::as_str),
                    ))
                    // Looked up by the people: the database would look for each of them in each of the groups.
                    .filter(
                        Condition::all().add_option(
                            named
                                .clone()
                                .map(|ids| unweighed(Column::GroupId.is_in(ids))),
                        ),
                    )
                    .into_tuple()
                    .all(self.db())
                    .await
                    .map_err(StoreError::of("read groups of members"))?;
            for (person, group) in pairs(rows) {
                if within.contains(&group) {
                    found.entry(person).or_default().insert(group);
                }
            }
        }
        Ok(found)
    }

    /// Which of some people own which of some groups, as (group, person).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn owners_among(
        &self,
        integration: IntegrationId,
        groups: &[ExternalId],
        people: &[ExternalId],
    ) -> Result<BTreeSet<(ExternalId, ExternalId)>, StoreError> {
        use directory_member::Column;
        let groups: BTreeSet<&ExternalId> = groups.iter().collect();
        let mut found = BTreeSet::new();
        for chunk in people.chunks(rows_per_statement(1)) {
            // By the people alone: the database would look for each of them in each of the groups.
            let rows: Vec<(String, String)> =
                directory_member::Entity::of_integration(integration.0)
                    .select_only()
                    .columns([Column::GroupId, Column::MemberId])
                    .filter(Column::Relation.eq(MemberRelation::Owner.as_str()))
                    .filter(one_of(
                        self.db(),
                        Column::MemberId,
                        chunk.iter().map(ExternalId::as_str),
                    ))
                    .into_tuple()
                    .all(self.db())
                    .await
                    .map_err(StoreError::of("read owners"))?;
            let owned = pairs(rows).into_iter();
            found.extend(owned.filter(|(group, _)| groups.contains(group)));
        }
        Ok(found)
    }

    /// Number of members that can be no users, of those of some groups that have such (D-29).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_unsupported_members(
        &self,
        integration: IntegrationId,
        groups: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, u64>, StoreError> {
        let unsupported = MemberKind::ALL.iter().filter(|kind| kind.is_unsupported());
        let unsupported: Vec<&str> = unsupported.map(|kind| kind.as_str()).collect();
        let mut found = BTreeMap::new();
        for chunk in groups.chunks(STEP) {
            let rows: Vec<(String, i64)> = members_of(self.db(), integration, chunk)
                .select_only()
                .column(directory_member::Column::GroupId)
                .column_as(directory_member::Column::MemberId.count(), "n")
                .filter(directory_member::Column::Kind.is_in(unsupported.iter().copied()))
                .group_by(directory_member::Column::GroupId)
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("count members"))?;
            let rows = rows.into_iter();
            found.extend(rows.map(|(group, n)| (ExternalId(group), count(n))));
        }
        Ok(found)
    }
}

pub(crate) fn members_of(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    groups: &[ExternalId],
) -> sea_orm::Select<directory_member::Entity> {
    directory_member::Entity::of_integration(integration.0)
        .filter(one_of(
            db,
            directory_member::Column::GroupId,
            groups.iter().map(ExternalId::as_str),
        ))
        .filter(directory_member::Column::Relation.eq(MemberRelation::Member.as_str()))
}

/// Members that may be people: what the directory did not name is told by whether there is such a user.
fn people_of(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    groups: &[ExternalId],
) -> sea_orm::Select<directory_member::Entity> {
    members_of(db, integration, groups).filter(may_be_people())
}

fn may_be_people() -> Expr {
    let kinds = [MemberKind::User, MemberKind::Other].map(MemberKind::as_str);
    directory_member::Column::Kind.is_in(kinds)
}

fn reports_of(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    managers: &[ExternalId],
) -> sea_orm::Select<directory_user::Entity> {
    directory_user::Entity::of_integration(integration.0).filter(one_of(
        db,
        directory_user::Column::ManagerId,
        managers.iter().map(ExternalId::as_str),
    ))
}

fn pairs_of_group(
    members: sea_orm::Select<directory_member::Entity>,
) -> sea_orm::Select<directory_member::Entity> {
    members.select_only().columns([
        directory_member::Column::GroupId,
        directory_member::Column::MemberId,
    ])
}

fn pairs_of_manager(
    reports: sea_orm::Select<directory_user::Entity>,
) -> sea_orm::Select<directory_user::Entity> {
    reports.select_only().columns([
        directory_user::Column::ManagerId,
        directory_user::Column::ExternalId,
    ])
}

fn later(after: Option<&ExternalId>, beyond: impl Fn(&str) -> Expr) -> Condition {
    Condition::all().add_option(after.map(|id| beyond(id.as_str())))
}

/// Rows of two ids.
pub(crate) fn pairs(rows: Vec<(String, String)>) -> Vec<(ExternalId, ExternalId)> {
    rows.into_iter()
        .map(|(one, other)| (ExternalId(one), ExternalId(other)))
        .collect()
}
