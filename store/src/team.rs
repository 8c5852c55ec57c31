//! Teams: reading them, and editing them by hand.

use lockstep_domain::{
    ExternalId, IntegrationId, OrganizationId, RecordOrigin, Team, TeamId, TeamKey, TeamSource,
    TeamStatus, name_key,
};
use lockstep_entity::team;
use lockstep_sync::inbound::names::choose;
use sea_orm::sea_query::LockType;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{parse, parse_optional, rows_per_statement};
use crate::dirty::kind_of;
use crate::order::{ListOrder, Ordered, Place};
use crate::page::{Page, PageRequest};
use crate::search::Searched;
use crate::team_neighbourhood::names_in_use;
use crate::{Store, StoreError, Tx};

/// Restricts a list of teams.
#[derive(Debug, Clone, Default)]
pub struct TeamFilter {
    /// Only teams with one of these statuses.
    pub statuses: Option<Vec<TeamStatus>>,
    /// Only teams managed there.
    pub origins: Option<Vec<RecordOrigin>>,
    /// Only teams made from one of these.
    pub sources: Option<Vec<TeamSource>>,
    /// Only teams with a word of the name that begins so, for each word of this text.
    pub search: Option<String>,
    /// In which order.
    pub order: ListOrder,
}

impl Store {
    /// Returns a page of teams. Its places must be of the order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn teams(
        &self,
        organization: OrganizationId,
        filter: &TeamFilter,
        request: &PageRequest<Place<TeamId>>,
    ) -> Result<Page<Team>, StoreError> {
        use team::Column;
        let search = filter.search.as_deref();
        let searched = Searched {
            organization: Column::OrganizationId,
            key: Column::SearchKey,
        };
        let ordered = Ordered {
            id: Column::Id,
            key: Column::SearchKey,
        };
        let rows = self.rows_of(organization, search, filter.order.by, &searched);
        let some = |rows| {
            let rows = team::Entity::find().filter(rows);
            rows.filter(condition(filter))
        };
        let keys = filter.order.keys(ordered, rows.fit);
        self.page_by(some(rows.all), some(rows.walked), &keys, request)
            .await?
            .try_map(read_team)
    }

    /// Returns teams of an organization by their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn teams_by_id(
        &self,
        organization: OrganizationId,
        ids: &[TeamId],
    ) -> Result<Vec<Team>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        teams_by_id(self.db(), organization, &ids).await
    }

    /// Creates a team by hand.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_team(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        name: &str,
        yearly_budget: Option<i64>,
    ) -> Result<Team, StoreError> {
        let now = self.now();
        let team = Team {
            id: TeamId(self.fresh_id()),
            organization_id: organization,
            integration_id: None,
            key: None,
            name: name.to_owned(),
            source_name: None,
            name_is_local: true,
            status: TeamStatus::Active,
            archival_reason: None,
            archived_at: None,
            origin: RecordOrigin::Local,
            yearly_budget,
            created_at: now,
            updated_at: now,
        };
        team::Entity::insert(write_team(&team))
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("create a team"))?;
        Ok(team)
    }

    /// Returns a team of an organization and keeps others from changing it meanwhile.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lock_team(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: TeamId,
    ) -> Result<Option<Team>, StoreError> {
        let mut query =
            team::Entity::in_organization(organization.0).filter(team::Column::Id.eq(id.0));
        if !self.is_sqlite() {
            query = query.lock(LockType::NoKeyUpdate);
        }
        let row = query.one(tx).await.map_err(StoreError::of("read a team"))?;
        row.map(read_team).transpose()
    }

    /// Returns the name that the directory would give a team that it manages, told apart from every other team in use
    /// (D-33). None for local teams.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn directory_name(&self, tx: &Tx, team: &Team) -> Result<Option<String>, StoreError> {
        let (Some(base), Some(key)) = (&team.source_name, &team.key) else {
            return Ok(None);
        };
        let in_use = names_in_use(tx, team.organization_id, &[name_key(base)]).await?;
        let is_taken = |name: &str| {
            let teams = in_use.get(&name_key(name)).into_iter().flatten();
            teams.into_iter().any(|other| *other != team.id)
        };
        Ok(Some(choose(base, None, &key.external_id, is_taken)))
    }

    /// Saves what was changed by hand on a team that was locked: its name and its budget. Runs look at it again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_team(&self, tx: &Tx, team: &Team) -> Result<(), StoreError> {
        team::Entity::update_many()
            .col_expr(team::Column::Name, team.name.as_str().into())
            .col_expr(team::Column::NameKey, name_key(&team.name).into())
            .col_expr(team::Column::SearchKey, team.search_key().into())
            .col_expr(team::Column::NameIsLocal, team.name_is_local.into())
            .col_expr(team::Column::YearlyBudget, team.yearly_budget.into())
            .col_expr(team::Column::UpdatedAt, self.now().into())
            .filter(team::Column::Id.eq(team.id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("change a team"))?;
        self.mark_team_dirty(tx, team).await
    }

    /// Has the next run look at a team, if one manages it.
    pub(crate) async fn mark_team_dirty(&self, tx: &Tx, team: &Team) -> Result<(), StoreError> {
        let (Some(integration), Some(key)) = (team.integration_id, &team.key) else {
            return Ok(());
        };
        let keys = [key.external_id.0.clone()];
        self.mark_dirty(tx, integration, kind_of(key.source), keys)
            .await
    }
}

fn condition(filter: &TeamFilter) -> Condition {
    use team::Column;
    let statuses = filter
        .statuses
        .as_ref()
        .map(|all| Column::Status.is_in(all.iter().map(|status| status.as_str())));
    let origins = filter
        .origins
        .as_ref()
        .map(|all| Column::Origin.is_in(all.iter().map(|origin| origin.as_str())));
    let sources = filter
        .sources
        .as_ref()
        .map(|all| Column::Source.is_in(all.iter().map(|source| source.as_str())));
    Condition::all()
        .add_option(statuses)
        .add_option(origins)
        .add_option(sources)
}

pub(crate) async fn teams_by_id(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    ids: &[Uuid],
) -> Result<Vec<Team>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(rows_per_statement(1)) {
        let rows = team::Entity::in_organization(organization.0)
            .filter(crate::lookup::one_of(
                db,
                team::Column::Id,
                chunk.iter().copied(),
            ))
            .all(db);
        for row in rows.await.map_err(StoreError::of("read teams"))? {
            found.push(read_team(row)?);
        }
    }
    Ok(found)
}

pub(crate) fn read_team(row: team::Model) -> Result<Team, StoreError> {
    let source: Option<TeamSource> = parse_optional("team.source", row.source.as_deref())?;
    let key = source.zip(row.external_id).map(|(source, id)| TeamKey {
        source,
        external_id: ExternalId(id),
    });
    Ok(Team {
        id: row.id.into(),
        organization_id: row.organization_id.into(),
        integration_id: row.integration_id.map(IntegrationId),
        key,
        name: row.name,
        source_name: row.source_name,
        name_is_local: row.name_is_local,
        status: parse("team.status", &row.status)?,
        archival_reason: parse_optional("team.archival_reason", row.archival_reason.as_deref())?,
        archived_at: row.archived_at,
        origin: parse("team.origin", &row.origin)?,
        yearly_budget: row.yearly_budget,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

pub(crate) fn write_team(team: &Team) -> team::ActiveModel {
    team::ActiveModel {
        id: Set(team.id.0),
        organization_id: Set(team.organization_id.0),
        integration_id: Set(team.integration_id.map(|id| id.0)),
        source: Set(team.key.as_ref().map(|key| key.source.as_str().into())),
        external_id: Set(team.key.as_ref().map(|key| key.external_id.0.clone())),
        name: Set(team.name.clone()),
        name_key: Set(name_key(&team.name)),
        source_name: Set(team.source_name.clone()),
        name_is_local: Set(team.name_is_local),
        status: Set(team.status.as_str().into()),
        archival_reason: Set(team.archival_reason.map(|reason| reason.as_str().into())),
        archived_at: Set(team.archived_at),
        origin: Set(team.origin.as_str().into()),
        yearly_budget: Set(team.yearly_budget),
        created_at: Set(team.created_at),
        updated_at: Set(team.updated_at),
        search_key: Set(team.search_key()),
    }
}
