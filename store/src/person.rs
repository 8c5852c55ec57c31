//! People as the plan of the users leaves them, and where they belong: what memberships are decided on.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeAction, ChangeId, ChangeOutcome, ExternalId, IntegrationId, MembershipOriginKind,
    ObjectKind, OrganizationId, TeamId, TeamRole, TeamSource, UserFields, UserHoldKind, UserId,
    UserStatus,
};
use lockstep_entity::{membership, run_change, team, user_hold, user_link};
use lockstep_sync::inbound::memberships::{FormerTeam, Person};

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, JsonValue, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{count, from_json, parse, rows_per_statement};
use crate::lookup::{first, one_of, unweighed};
use crate::user::users_by_id;
use crate::{Lease, Store, StoreError};

/// Outcomes of a departure that the run does not make.
const WITHHELD: [ChangeOutcome; 2] = [ChangeOutcome::Held, ChangeOutcome::Skipped];

/// A user and the job title, which tells two managers of the same name apart.
#[derive(Debug, Clone)]
pub struct Someone {
    /// The user.
    pub person: Person,
    /// Job title.
    pub job_title: Option<String>,
}

/// A change of a user that the run worked out.
enum Change {
    /// It is to be made.
    Planned {
        id: Uuid,
        action: ChangeAction,
        user: UserId,
        after: UserFields,
    },
    /// A departure that is held or left out.
    Withheld(ChangeId),
}

impl Store {
    /// Returns the users of accounts as they will be once the run has made its changes of users; accounts without a user
    /// are left out. What is held or left out changes nobody.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people(
        &self,
        lease: &Lease,
        accounts: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, Someone>, StoreError> {
        let links = self.user_ids(lease.integration_id, accounts).await?;
        let ids: Vec<Uuid> = links.values().map(|id| id.0).collect();
        let users = users_by_id(self.db(), lease.organization_id, &ids).await?;
        let users: BTreeMap<UserId, _> = users.into_iter().map(|user| (user.id, user)).collect();
        let mut changes = self.changes_of_accounts(lease, accounts).await?;
        let someone = |account: &ExternalId| {
            let as_is = || {
                let user = links.get(account).and_then(|id| users.get(id))?;
                Some((user.id, UserFields::of(user)))
            };
            let ((id, fields), cause, withheld) = match changes.remove(account) {
                Some(Change::Planned {
                    id,
                    action,
                    user,
                    after,
                }) => ((user, after), cause(id, action), None),
                Some(Change::Withheld(id)) => (as_is()?, None, Some(id)),
                None => (as_is()?, None, None),
            };
            Some(Someone {
                person: Person {
                    user_id: id,
                    external_id: account.clone(),
                    name: fields.display_name(),
                    is_active: fields.status != UserStatus::Deactivated,
                    cause,
                    withheld,
                },
                job_title: fields.job_title,
            })
        };
        let people: Vec<_> = accounts.iter().map(someone).collect();
        let pairs = accounts.iter().cloned().zip(people);
        Ok(pairs.filter_map(|(id, one)| Some((id, one?))).collect())
    }

    async fn user_ids(
        &self,
        integration: IntegrationId,
        accounts: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, UserId>, StoreError> {
        let mut found = BTreeMap::new();
        for chunk in accounts.chunks(rows_per_statement(1)) {
            let rows: Vec<(String, Uuid)> = user_link::Entity::of_integration(integration.0)
                .select_only()
                .columns([user_link::Column::ExternalId, user_link::Column::UserId])
                .filter(one_of(
                    self.db(),
                    user_link::Column::ExternalId,
                    chunk.iter().map(ExternalId::as_str),
                ))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("read links"))?;
            found.extend(
                rows.into_iter()
                    .map(|(id, user)| (ExternalId(id), UserId(user))),
            );
        }
        Ok(found)
    }

    /// What the run worked out for accounts: what is to be made, and departures that are not.
    async fn changes_of_accounts(
        &self,
        lease: &Lease,
        accounts: &[ExternalId],
    ) -> Result<BTreeMap<ExternalId, Change>, StoreError> {
        use run_change::Column;
        type Row = (
            Uuid,
            String,
            String,
            String,
            Option<Uuid>,
            Option<JsonValue>,
        );
        let withheld = Condition::all()
            .add(Column::Action.eq(ChangeAction::Deactivate.as_str()))
            .add(Column::Outcome.is_in(WITHHELD.map(ChangeOutcome::as_str)));
        let counts = Condition::any()
            .add(Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
            .add(withheld);
        let mut found = BTreeMap::new();
        for chunk in accounts.chunks(rows_per_statement(1)) {
            let rows: Vec<Row> = run_change::Entity::of_run(lease.run_id.0)
                .select_only()
                .columns([
                    Column::Id,
                    Column::ExternalId,
                    Column::Action,
                    Column::Outcome,
                    Column::PlatformId,
                    Column::After,
                ])
                .filter(Column::ObjectKind.eq(ObjectKind::User.as_str()))
                .filter(one_of(
                    self.db(),
                    Column::ExternalId,
                    chunk.iter().map(ExternalId::as_str),
                ))
                .filter(counts.clone())
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("read planned changes"))?;
            for (id, account, action, outcome, user, after) in rows {
                if outcome != ChangeOutcome::Planned.as_str() {
                    found.insert(ExternalId(account), Change::Withheld(ChangeId(id)));
                    continue;
                }
                let (Some(user), Some(after)) = (user, after) else {
                    continue;
                };
                let change = Change::Planned {
                    id,
                    action: parse("run_change.action", &action)?,
                    user: UserId(user),
                    after: from_json("run_change.after", after)?,
                };
                found.insert(ExternalId(account), change);
            }
        }
        Ok(found)
    }

    /// Returns the accounts of users.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts_of_users(
        &self,
        integration: IntegrationId,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, ExternalId>, StoreError> {
        let mut found = BTreeMap::new();
        for chunk in users.chunks(rows_per_statement(1)) {
            let rows: Vec<(Uuid, String)> = user_link::Entity::of_integration(integration.0)
                .select_only()
                .columns([user_link::Column::UserId, user_link::Column::ExternalId])
                .filter(one_of(
                    self.db(),
                    user_link::Column::UserId,
                    chunk.iter().map(|id| id.0),
                ))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("read links"))?;
            found.extend(
                rows.into_iter()
                    .map(|(user, id)| (UserId(user), ExternalId(id))),
            );
        }
        Ok(found)
    }

    /// Number of synchronized members of each team that has any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_synced_members(
        &self,
        teams: &[TeamId],
        origin: MembershipOriginKind,
    ) -> Result<BTreeMap<TeamId, u64>, StoreError> {
        let rows: Vec<(Uuid, i64)> = synced(self.db(), teams, origin)
            .select_only()
            .column(membership::Column::TeamId)
            .column_as(membership::Column::UserId.count(), "n")
            .group_by(membership::Column::TeamId)
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("count members"))?;
        Ok(rows
            .into_iter()
            .map(|(id, n)| (TeamId(id), count(n)))
            .collect())
    }

    /// Returns the synchronized members of some teams, in no order, with the role that the directory gave.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn synced_members(
        &self,
        teams: &[TeamId],
        origin: MembershipOriginKind,
    ) -> Result<Vec<(TeamId, UserId, TeamRole)>, StoreError> {
        let rows = synced(self.db(), teams, origin).all(self.db()).await;
        read_roles(rows.map_err(StoreError::of("read members"))?)
    }

    /// Returns the next synchronized members of one team, at most `limit` after a user.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_synced_members(
        &self,
        team: TeamId,
        origin: MembershipOriginKind,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<(TeamId, UserId, TeamRole)>, StoreError> {
        let after = after.map(|id| membership::Column::UserId.gt(id.0));
        let rows = membership::Entity::of_team(team.0)
            .filter(unweighed(membership::Column::Origin.eq(origin.as_str())))
            .filter(Condition::all().add_option(after))
            .order_by_asc(membership::Column::UserId);
        let rows = first(self.db(), rows, limit).await;
        read_roles(rows.map_err(StoreError::of("read members"))?)
    }

    /// Returns which of some users are synchronized members of some teams.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn synced_among(
        &self,
        teams: &[TeamId],
        origin: MembershipOriginKind,
        users: &[UserId],
    ) -> Result<BTreeMap<(TeamId, UserId), TeamRole>, StoreError> {
        let teams: BTreeSet<TeamId> = teams.iter().copied().collect();
        let mut found = BTreeMap::new();
        if teams.is_empty() {
            return Ok(found);
        }
        for chunk in users.chunks(rows_per_statement(1)) {
            // By the users alone: the database would look for each of them in each of the teams.
            let rows = membership::Entity::find()
                .filter(one_of(
                    self.db(),
                    membership::Column::UserId,
                    chunk.iter().map(|id| id.0),
                ))
                .filter(membership::Column::Origin.eq(origin.as_str()))
                .all(self.db())
                .await
                .map_err(StoreError::of("read members"))?;
            let roles = read_roles(rows)?.into_iter();
            found.extend(
                roles
                    .filter(|(team, ..)| teams.contains(team))
                    .map(|(team, user, role)| ((team, user), role)),
            );
        }
        Ok(found)
    }

    /// Returns which of some users owners keep out of which teams (D-35).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn kept_out(
        &self,
        organization: OrganizationId,
        users: &[UserId],
    ) -> Result<BTreeSet<(TeamId, UserId)>, StoreError> {
        kept_out(self.db(), organization, users).await
    }

    /// Returns the managers' teams that users are members of, by the manager; archived ones too, as someone can be left
    /// in one by a run that was stopped.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn manager_teams_of(
        &self,
        integration: IntegrationId,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, BTreeMap<ExternalId, FormerTeam>>, StoreError> {
        // Not one statement with a join: SQLite would walk through all teams of the integration for it.
        let mut places: Vec<(Uuid, Uuid)> = Vec::new();
        for chunk in users.chunks(rows_per_statement(1)) {
            let rows: Vec<(Uuid, Uuid)> = membership::Entity::find()
                .select_only()
                .columns([membership::Column::UserId, membership::Column::TeamId])
                .filter(one_of(
                    self.db(),
                    membership::Column::UserId,
                    chunk.iter().map(|id| id.0),
                ))
                .filter(membership::Column::Origin.eq(MembershipOriginKind::Manager.as_str()))
                .filter(membership::Column::Role.eq(TeamRole::Member.as_str()))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("read memberships of users"))?;
            places.extend(rows);
        }
        let teams = self
            .manager_teams(integration, places.iter().map(|place| place.1))
            .await?;
        let mut found: BTreeMap<UserId, BTreeMap<ExternalId, FormerTeam>> = BTreeMap::new();
        for (user, team) in places {
            if let Some((manager, former)) = teams.get(&team) {
                let of_user = found.entry(UserId(user)).or_default();
                of_user.insert(manager.clone(), former.clone());
            }
        }
        Ok(found)
    }

    /// The managers' teams of an integration among some teams, with their managers.
    async fn manager_teams(
        &self,
        integration: IntegrationId,
        teams: impl Iterator<Item = Uuid>,
    ) -> Result<BTreeMap<Uuid, (ExternalId, FormerTeam)>, StoreError> {
        let ids: Vec<Uuid> = teams.collect::<BTreeSet<Uuid>>().into_iter().collect();
        let mut found = BTreeMap::new();
        for chunk in ids.chunks(rows_per_statement(1)) {
            let rows = team::Entity::find()
                .filter(one_of(self.db(), team::Column::Id, chunk.iter().copied()))
                .all(self.db())
                .await
                .map_err(StoreError::of("read managers' teams"))?;
            for row in rows {
                let is_managers = row.source.as_deref() == Some(TeamSource::Manager.as_str());
                let Some(manager) = row.external_id.filter(|_| is_managers) else {
                    continue;
                };
                if row.integration_id == Some(integration.0) {
                    let former = FormerTeam {
                        id: TeamId(row.id),
                        name: row.name,
                    };
                    found.insert(row.id, (ExternalId(manager), former));
                }
            }
        }
        Ok(found)
    }
}

pub(crate) async fn kept_out(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    users: &[UserId],
) -> Result<BTreeSet<(TeamId, UserId)>, StoreError> {
    let mut found = BTreeSet::new();
    for chunk in users.chunks(rows_per_statement(1)) {
        let rows: Vec<(Option<Uuid>, Uuid)> = user_hold::Entity::in_organization(organization.0)
            .select_only()
            .columns([user_hold::Column::TeamId, user_hold::Column::UserId])
            .filter(user_hold::Column::Kind.eq(UserHoldKind::KeepOutOfTeam.as_str()))
            .filter(one_of(
                db,
                user_hold::Column::UserId,
                chunk.iter().map(|id| id.0),
            ))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read holds of users"))?;
        found.extend(
            rows.into_iter()
                .filter_map(|(team, user)| Some((TeamId(team?), UserId(user)))),
        );
    }
    Ok(found)
}

/// A change that decides whether the user is there at all must be made first; one of fields need not.
fn cause(id: Uuid, action: ChangeAction) -> Option<ChangeId> {
    (action != ChangeAction::Update).then_some(ChangeId(id))
}

fn synced(
    db: &impl ConnectionTrait,
    teams: &[TeamId],
    origin: MembershipOriginKind,
) -> sea_orm::Select<membership::Entity> {
    membership::Entity::find()
        .filter(one_of(
            db,
            membership::Column::TeamId,
            teams.iter().map(|id| id.0),
        ))
        .filter(membership::Column::Origin.eq(origin.as_str()))
}

fn read_roles(rows: Vec<membership::Model>) -> Result<Vec<(TeamId, UserId, TeamRole)>, StoreError> {
    rows.into_iter()
        .map(|row| {
            let role = parse("membership.role", &row.role)?;
            Ok((TeamId(row.team_id), UserId(row.user_id), role))
        })
        .collect()
}
