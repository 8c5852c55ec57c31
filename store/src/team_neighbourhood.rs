//! Team neighbourhoods: everything that the decision about a few teams can depend on.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ExternalId, IntegrationId, MemberKind, MemberRelation, MembersRead, OrganizationId, Presence,
    Team, TeamId, TeamKey, TeamSource, TeamStatus,
};
use lockstep_entity::{directory_member, team};
use lockstep_sync::inbound::reach::Walk;
use sea_orm::{ColumnTrait as _, ConnectionTrait, QueryFilter as _, QuerySelect as _};

use crate::above::{managers_of, those_with_reports};
use crate::column::rows_per_statement;
use crate::group::groups as groups_of;
use crate::lookup::one_of;
use crate::people_below::members_of;
use crate::team::read_team;
use crate::{Store, StoreError};

/// Ids whose neighbours are looked up together.
const STEP: usize = 500;

/// What leads to what, below some groups or managers.
type Below = BTreeMap<ExternalId, BTreeSet<ExternalId>>;

/// Groups below groups.
#[derive(Debug, Clone, Default)]
pub struct GroupsBelow {
    /// For each group, itself and everything nested in it.
    pub below: BTreeMap<ExternalId, BTreeSet<ExternalId>>,
    /// Groups that hold one, at any depth, whose members are not known: whoever seems to have left may be in there.
    pub incomplete: BTreeSet<ExternalId>,
}

/// A group that is nested in another.
enum Inner {
    /// One of the mirror.
    Group { id: ExternalId, is_known: bool },
    /// One that was created after the groups were listed.
    NeverSeen,
}

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
                    .filter(one_of(
                        self.db(),
                        team::Column::ExternalId,
                        chunk.iter().copied(),
                    ))
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
    ) -> Result<GroupsBelow, StoreError> {
        if !nested {
            return Ok(GroupsBelow {
                below: alone(groups),
                incomplete: BTreeSet::new(),
            });
        }
        let (mut direct, mut holds_unknown) = (Below::new(), BTreeSet::new());
        let mut walk = Walk::from(groups.iter().cloned());
        loop {
            let ids = walk.next(STEP);
            if ids.is_empty() {
                break;
            }
            for (group, inner) in self.nested_groups(integration, &ids).await? {
                match inner {
                    Inner::Group { id, is_known } => {
                        if !is_known {
                            holds_unknown.insert(group.clone());
                        }
                        walk.found([id.clone()]);
                        direct.entry(group).or_default().insert(id);
                    }
                    Inner::NeverSeen => _ = holds_unknown.insert(group),
                }
            }
        }
        let below = closures(groups, &direct);
        let is_incomplete = |closure: &BTreeSet<ExternalId>| !closure.is_disjoint(&holds_unknown);
        let incomplete = below
            .iter()
            .filter(|(_, closure)| is_incomplete(closure))
            .map(|(id, _)| id.clone())
            .collect();
        Ok(GroupsBelow { below, incomplete })
    }

    /// Returns which of some groups are nested in others.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn nested_among(
        &self,
        integration: IntegrationId,
        groups: &[ExternalId],
    ) -> Result<BTreeSet<ExternalId>, StoreError> {
        let mut nested = BTreeSet::new();
        for chunk in groups.chunks(rows_per_statement(1)) {
            let ids: Vec<String> = directory_member::Entity::of_integration(integration.0)
                .select_only()
                .column(directory_member::Column::MemberId)
                .filter(one_of(
                    self.db(),
                    directory_member::Column::MemberId,
                    chunk.iter().map(ExternalId::as_str),
                ))
                .filter(directory_member::Column::Relation.eq(MemberRelation::Member.as_str()))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("read nested groups"))?;
            nested.extend(ids.into_iter().map(ExternalId));
        }
        Ok(nested)
    }

    /// Groups that are direct members of groups; those that are deleted are left out.
    async fn nested_groups(
        &self,
        integration: IntegrationId,
        groups: &[ExternalId],
    ) -> Result<Vec<(ExternalId, Inner)>, StoreError> {
        let kinds = [MemberKind::Group, MemberKind::Other].map(MemberKind::as_str);
        let rows: Vec<(String, String, String)> = members_of(self.db(), integration, groups)
            .select_only()
            .columns([
                directory_member::Column::GroupId,
                directory_member::Column::MemberId,
                directory_member::Column::Kind,
            ])
            .filter(directory_member::Column::Kind.is_in(kinds))
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read nested groups"))?;
        let ids: BTreeSet<ExternalId> = rows.iter().map(|row| ExternalId(row.1.clone())).collect();
        let known = groups_of(self.db(), integration, ids.iter()).await?;
        let inner = |(group, member, kind): (String, String, String)| {
            let member = ExternalId(member);
            let inner = match known.get(&member) {
                Some(group) if group.presence == Presence::Removed => return None,
                Some(group) => Inner::Group {
                    id: member,
                    is_known: group.members == MembersRead::Known,
                },
                // What the directory did not name is most likely no group.
                None if kind == MemberKind::Group.as_str() => Inner::NeverSeen,
                None => return None,
            };
            Some((ExternalId(group), inner))
        };
        Ok(rows.into_iter().filter_map(inner).collect())
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

    /// Reports of some managers who have reports themselves, as (manager, report).
    async fn lower_managers(
        &self,
        integration: IntegrationId,
        managers: &[ExternalId],
    ) -> Result<Vec<(ExternalId, ExternalId)>, StoreError> {
        let reports = self
            .people_below(integration, TeamSource::Manager, managers)
            .await?;
        let ids: Vec<ExternalId> = reports.iter().map(|(_, report)| report.clone()).collect();
        let lower = those_with_reports(self.db(), integration, &ids).await?;
        Ok(reports
            .into_iter()
            .filter(|(_, report)| lower.contains(report))
            .collect())
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
            .filter(one_of(
                db,
                team::Column::NameKey,
                chunk.iter().map(String::as_str),
            ))
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
