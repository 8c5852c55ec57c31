//! Team neighbourhoods: everything that the decision about a few teams can depend on.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ExternalId, IntegrationId, MemberKind, OrganizationId, Presence, Team, TeamId, TeamKey,
    TeamSource, TeamStatus,
};
use lockstep_entity::{directory_group, directory_member, directory_user, team};
use lockstep_sync::inbound::reach::Walk;
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, ExprTrait as _, QueryFilter as _, QuerySelect as _,
};

use crate::above::managers_of;
use crate::column::rows_per_statement;
use crate::people_below::{members_of, pairs};
use crate::team::read_team;
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
        names_in_use(self.db(), organization, name_keys).await
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
}

/// Returns which teams in use have one of some names, given by their keys.
pub(crate) async fn names_in_use(
    db: &impl ConnectionTrait,
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
            .all(db)
            .await
            .map_err(StoreError::of("read names of teams"))?;
        for (id, name) in rows {
            found.entry(name).or_default().insert(TeamId(id));
        }
    }
    Ok(found)
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
