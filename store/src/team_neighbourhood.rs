//! Team neighbourhoods: everything that the decision about a few teams can depend on.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ExternalId, IntegrationId, MemberKind, MemberRelation, OrganizationId, Presence, Team, TeamId,
    TeamKey, TeamSource, TeamStatus,
};
use lockstep_entity::{directory_group, directory_member, directory_user, team};
use lockstep_sync::inbound::reach::Walk;
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait, ExprTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::column::{count, rows_per_statement};
use crate::team::read_team;
use crate::team_key::managers_of;
use crate::{Store, StoreError};

/// Ids whose neighbours are looked up together.
const STEP: usize = 500;

/// What leads to what, below some groups or managers.
type Below = BTreeMap<ExternalId, BTreeSet<ExternalId>>;

impl Store {
    /// Returns the teams that were made from some groups or managers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn teams_by_key(
        &self,
        integration: IntegrationId,
        keys: &[TeamKey],
    ) -> Result<BTreeMap<TeamKey, Team>, StoreError> {
        let mut found = BTreeMap::new();
        for source in [TeamSource::Group, TeamSource::Manager] {
            let ids: Vec<&str> = keys
                .iter()
                .filter(|key| key.source == source)
                .map(|key| key.external_id.as_str())
                .collect();
            for chunk in ids.chunks(rows_per_statement(1)) {
                let rows = team::Entity::of_integration(integration.0)
                    .filter(team::Column::Source.eq(source.as_str()))
                    .filter(team::Column::ExternalId.is_in(chunk.iter().copied()))
                    .all(self.db());
                for row in rows.await.map_err(StoreError::of("read teams"))? {
                    let team = read_team(row)?;
                    found.extend(team.key.clone().map(|key| (key, team)));
                }
            }
        }
        Ok(found)
    }

    /// Returns which teams in use have one of some names, given by their keys.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn names_in_use(
        &self,
        organization: OrganizationId,
        name_keys: &[String],
    ) -> Result<BTreeMap<String, BTreeSet<TeamId>>, StoreError> {
        let mut found: BTreeMap<String, BTreeSet<TeamId>> = BTreeMap::new();
        for chunk in name_keys.chunks(rows_per_statement(1)) {
            let rows: Vec<(uuid::Uuid, String)> = team::Entity::in_organization(organization.0)
                .select_only()
                .columns([team::Column::Id, team::Column::NameKey])
                .filter(team::Column::Status.eq(TeamStatus::Active.as_str()))
                .filter(team::Column::NameKey.is_in(chunk.iter().map(String::as_str)))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("read names of teams"))?;
            for (id, name) in rows {
                found.entry(name).or_default().insert(TeamId(id));
            }
        }
        Ok(found)
    }

    /// Returns for each group the groups whose members belong to its team: itself, and when `nested` everything nested in
    /// it, however they are nested in each other (D-28).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn groups_below(
        &self,
        integration: IntegrationId,
        groups: &[ExternalId],
        nested: bool,
    ) -> Result<Below, StoreError> {
        if !nested {
            return Ok(alone(groups));
        }
        let mut below = Below::new();
        let mut walk = Walk::from(groups.iter().cloned());
        loop {
            let ids = walk.next(STEP);
            if ids.is_empty() {
                return Ok(closures(groups, &below));
            }
            for (group, inner) in self.nested_groups(integration, &ids).await? {
                walk.found([inner.clone()]);
                below.entry(group).or_default().insert(inner);
            }
        }
    }

    /// Groups that are there and are direct members of groups.
    async fn nested_groups(
        &self,
        integration: IntegrationId,
        groups: &[ExternalId],
    ) -> Result<Vec<(ExternalId, ExternalId)>, StoreError> {
        let is_there = Query::select()
            .column(directory_group::Column::ExternalId)
            .from(directory_group::Entity)
            .and_where(directory_group::Column::IntegrationId.eq(integration.0))
            .and_where(directory_group::Column::Presence.ne(Presence::Removed.as_str()))
            .and_where(
                Expr::col((directory_group::Entity, directory_group::Column::ExternalId))
                    .equals((directory_member::Entity, directory_member::Column::MemberId)),
            )
            .to_owned();
        let rows: Vec<(String, String)> = members_of(integration, groups)
            .select_only()
            .columns([
                directory_member::Column::GroupId,
                directory_member::Column::MemberId,
            ])
            .filter(
                directory_member::Column::Kind
                    .is_in([MemberKind::Group, MemberKind::Other].map(MemberKind::as_str)),
            )
            .filter(Expr::exists(is_there))
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read nested groups"))?;
        Ok(pairs(rows))
    }

    /// Returns for each manager the managers whose reports belong to the team: the manager, and when `all_levels` everyone
    /// below who has reports (D-37).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn managers_below(
        &self,
        integration: IntegrationId,
        managers: &[ExternalId],
        all_levels: bool,
    ) -> Result<Below, StoreError> {
        if !all_levels {
            return Ok(alone(managers));
        }
        let mut below = Below::new();
        let mut walk = Walk::from(managers.iter().cloned());
        loop {
            let ids = walk.next(STEP);
            if ids.is_empty() {
                return Ok(closures(managers, &below));
            }
            for (manager, lower) in self.lower_managers(integration, &ids).await? {
                walk.found([lower.clone()]);
                below.entry(manager).or_default().insert(lower);
            }
        }
    }

    async fn lower_managers(
        &self,
        integration: IntegrationId,
        managers: &[ExternalId],
    ) -> Result<Vec<(ExternalId, ExternalId)>, StoreError> {
        let report = sea_orm::sea_query::Alias::new("report");
        let has_reports = Query::select()
            .expr(Expr::val(1))
            .from_as(directory_user::Entity, report.clone())
            .and_where(
                Expr::col((report.clone(), directory_user::Column::IntegrationId))
                    .eq(integration.0),
            )
            .and_where(
                Expr::col((report, directory_user::Column::ManagerId))
                    .equals((directory_user::Entity, directory_user::Column::ExternalId)),
            )
            .to_owned();
        let rows: Vec<(String, String)> = directory_user::Entity::of_integration(integration.0)
            .select_only()
            .columns([
                directory_user::Column::ManagerId,
                directory_user::Column::ExternalId,
            ])
            .filter(
                directory_user::Column::ManagerId.is_in(managers.iter().map(ExternalId::as_str)),
            )
            .filter(Expr::exists(has_reports))
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read lower managers"))?;
        Ok(pairs(rows))
    }

    /// Returns the manager of everyone whom one meets going up from some people, themselves included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn managers_above(
        &self,
        integration: IntegrationId,
        people: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, ExternalId>, StoreError> {
        let mut above = BTreeMap::new();
        let mut walk = Walk::from(people.iter().cloned());
        loop {
            let ids = walk.next(STEP);
            if ids.is_empty() {
                return Ok(above);
            }
            let managers = managers_of(self.db(), integration, &ids).await?;
            walk.found(managers.values().cloned());
            above.extend(managers);
        }
    }

    /// Returns the managers of some people.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn managers_of_people(
        &self,
        integration: IntegrationId,
        people: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, ExternalId>, StoreError> {
        managers_of(self.db(), integration, people).await
    }

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
                    people_of(integration, chunk)
                        .select_only()
                        .column(directory_member::Column::GroupId)
                        .column_as(directory_member::Column::MemberId.count(), "n")
                        .group_by(directory_member::Column::GroupId)
                        .into_tuple()
                        .all(self.db())
                        .await
                }
                TeamSource::Manager => {
                    reports_of(integration, chunk)
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
                self.pairs(pairs_of_group(people_of(integration, ids)))
                    .await
            }
            TeamSource::Manager => {
                self.pairs(pairs_of_manager(reports_of(integration, ids)))
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
        let ids = std::slice::from_ref(id);
        match source {
            TeamSource::Group => {
                use directory_member::Column;
                let next = pairs_of_group(people_of(integration, ids))
                    .filter(later(after, |id| Column::MemberId.gt(id)))
                    .order_by_asc(Column::MemberId)
                    .limit(limit);
                self.pairs(next).await
            }
            TeamSource::Manager => {
                use directory_user::Column;
                let next = pairs_of_manager(reports_of(integration, ids))
                    .filter(later(after, |id| Column::ExternalId.gt(id)))
                    .order_by_asc(Column::ExternalId)
                    .limit(limit);
                self.pairs(next).await
            }
        }
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
    ) -> Result<Below, StoreError> {
        let mut found = Below::new();
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
                    .filter(Column::MemberId.is_in(chunk.iter().map(ExternalId::as_str)))
                    .filter(
                        Condition::all()
                            .add_option(named.clone().map(|ids| Column::GroupId.is_in(ids))),
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
        let mut found = BTreeSet::new();
        for chunk in people.chunks(rows_per_statement(1)) {
            let rows: Vec<(String, String)> =
                directory_member::Entity::of_integration(integration.0)
                    .select_only()
                    .columns([Column::GroupId, Column::MemberId])
                    .filter(Column::Relation.eq(MemberRelation::Owner.as_str()))
                    .filter(Column::GroupId.is_in(groups.iter().map(ExternalId::as_str)))
                    .filter(Column::MemberId.is_in(chunk.iter().map(ExternalId::as_str)))
                    .into_tuple()
                    .all(self.db())
                    .await
                    .map_err(StoreError::of("read owners"))?;
            found.extend(pairs(rows));
        }
        Ok(found)
    }

    /// Number of members of some groups that can be no users (D-29).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_unsupported_members(
        &self,
        integration: IntegrationId,
        groups: &[ExternalId],
    ) -> Result<u64, StoreError> {
        let unsupported = MemberKind::ALL.iter().filter(|kind| kind.is_unsupported());
        let unsupported: Vec<&str> = unsupported.map(|kind| kind.as_str()).collect();
        let mut total = 0;
        for chunk in groups.chunks(STEP) {
            total += members_of(integration, chunk)
                .filter(directory_member::Column::Kind.is_in(unsupported.iter().copied()))
                .count(self.db())
                .await
                .map_err(StoreError::of("count members"))?;
        }
        Ok(total)
    }
}

fn members_of(
    integration: IntegrationId,
    groups: &[ExternalId],
) -> sea_orm::Select<directory_member::Entity> {
    directory_member::Entity::of_integration(integration.0)
        .filter(directory_member::Column::GroupId.is_in(groups.iter().map(ExternalId::as_str)))
        .filter(directory_member::Column::Relation.eq(MemberRelation::Member.as_str()))
}

/// Members that may be people: what the directory did not name is told by whether there is such a user.
fn people_of(
    integration: IntegrationId,
    groups: &[ExternalId],
) -> sea_orm::Select<directory_member::Entity> {
    members_of(integration, groups).filter(
        directory_member::Column::Kind
            .is_in([MemberKind::User, MemberKind::Other].map(MemberKind::as_str)),
    )
}

fn reports_of(
    integration: IntegrationId,
    managers: &[ExternalId],
) -> sea_orm::Select<directory_user::Entity> {
    directory_user::Entity::of_integration(integration.0)
        .filter(directory_user::Column::ManagerId.is_in(managers.iter().map(ExternalId::as_str)))
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

fn alone(ids: &[ExternalId]) -> Below {
    ids.iter()
        .map(|id| (id.clone(), BTreeSet::from([id.clone()])))
        .collect()
}

/// Everything below each of some ids, themselves included.
fn closures(ids: &[ExternalId], below: &Below) -> Below {
    let closure = |id: &ExternalId| {
        let mut walk = Walk::from([id.clone()]);
        loop {
            let open = walk.next(STEP);
            if open.is_empty() {
                return walk.into_seen();
            }
            let next = open.iter().filter_map(|id| below.get(id)).flatten();
            walk.found(next.cloned());
        }
    };
    ids.iter().map(|id| (id.clone(), closure(id))).collect()
}

fn pairs(rows: Vec<(String, String)>) -> Vec<(ExternalId, ExternalId)> {
    rows.into_iter()
        .map(|(one, other)| (ExternalId(one), ExternalId(other)))
        .collect()
}
