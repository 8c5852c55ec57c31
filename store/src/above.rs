//! One step up: the groups that contain someone, the manager of someone.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{ExternalId, IntegrationId, MemberRelation};
use lockstep_entity::{directory_member, directory_user};
use sea_orm::{ColumnTrait as _, ConnectionTrait, QueryFilter as _, QuerySelect as _};

use crate::StoreError;
use crate::column::rows_per_statement;
use crate::lookup::one_of;

/// Groups of which some objects are direct members.
pub(crate) async fn containers(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    members: &[ExternalId],
) -> Result<BTreeSet<ExternalId>, StoreError> {
    let mut found = BTreeSet::new();
    for chunk in members.chunks(rows_per_statement(1)) {
        let ids: Vec<String> = directory_member::Entity::of_integration(integration.0)
            .select_only()
            // Not DISTINCT: for that, SQLite would walk through all members of all groups in the order of the groups.
            .column(directory_member::Column::GroupId)
            .filter(directory_member::Column::Relation.eq(MemberRelation::Member.as_str()))
            .filter(one_of(
                db,
                directory_member::Column::MemberId,
                chunk.iter().map(ExternalId::as_str),
            ))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read groups of members"))?;
        found.extend(ids.into_iter().map(ExternalId));
    }
    Ok(found)
}

/// The managers of some people.
pub(crate) async fn managers_of(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    people: &[ExternalId],
) -> Result<BTreeMap<ExternalId, ExternalId>, StoreError> {
    let mut found = BTreeMap::new();
    for chunk in people.chunks(rows_per_statement(1)) {
        let rows: Vec<(String, Option<String>)> =
            directory_user::Entity::of_integration(integration.0)
                .select_only()
                .columns([
                    directory_user::Column::ExternalId,
                    directory_user::Column::ManagerId,
                ])
                .filter(one_of(
                    db,
                    directory_user::Column::ExternalId,
                    chunk.iter().map(ExternalId::as_str),
                ))
                .into_tuple()
                .all(db)
                .await
                .map_err(StoreError::of("read managers"))?;
        found.extend(
            rows.into_iter()
                .filter_map(|(person, manager)| Some((ExternalId(person), ExternalId(manager?)))),
        );
    }
    Ok(found)
}

/// Those of some people who are somebody's manager.
pub(crate) async fn those_with_reports(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    people: &[ExternalId],
) -> Result<BTreeSet<ExternalId>, StoreError> {
    let mut found = BTreeSet::new();
    for chunk in people.chunks(rows_per_statement(1)) {
        let ids: Vec<String> = directory_user::Entity::of_integration(integration.0)
            .select_only()
            .distinct()
            .column(directory_user::Column::ManagerId)
            .filter(one_of(
                db,
                directory_user::Column::ManagerId,
                chunk.iter().map(ExternalId::as_str),
            ))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read managers"))?;
        found.extend(ids.into_iter().map(ExternalId));
    }
    Ok(found)
}
