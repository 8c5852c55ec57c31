//! Names at the moment they are given: a team that was to give its name up may have it still (D-33).

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ExternalId, ObjectKind, TeamFields, TeamId, TeamStatus, name_key, search_key,
};
use lockstep_entity::run_change;
use lockstep_sync::inbound::names::choose;
use sea_orm::{ColumnTrait as _, EntityTrait as _, JsonValue, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use crate::column::{from_json, rows_per_statement};
use crate::lookup::one_of;
use crate::plan::planned;
use crate::run_tx::RunTx;
use crate::team_neighbourhood::names_in_use;
use crate::{Lease, StoreError};

/// A team that is about to get a name.
pub(crate) struct Naming<'a> {
    pub(crate) team: TeamId,
    pub(crate) external_id: &'a ExternalId,
    /// Name that the directory gives.
    pub(crate) base: &'a str,
    /// Name that was planned.
    pub(crate) name: &'a str,
}

/// Returns other names for teams whose planned name another team has: one that kept it because its change is held or was
/// left out, or one that got it by hand. A team whose change is still to come gives its name up.
pub(crate) async fn other_names(
    tx: &RunTx,
    lease: &Lease,
    namings: &[Naming<'_>],
) -> Result<BTreeMap<TeamId, String>, StoreError> {
    let keys: BTreeSet<String> = namings
        .iter()
        .flat_map(|naming| [name_key(naming.name), name_key(naming.base)])
        .collect();
    let keys: Vec<String> = keys.into_iter().collect();
    let in_use = names_in_use(tx, lease.organization_id, &keys).await?;
    let holders: BTreeSet<TeamId> = in_use.values().flatten().copied().collect();
    let given_up = given_up(tx, lease, &holders).await?;
    let has = |team: TeamId, name: &str| {
        let key = name_key(name);
        let holders = in_use.get(&key).into_iter().flatten();
        holders
            .filter(|holder| **holder != team)
            .any(|holder| given_up.get(holder) != Some(&key))
    };
    let taken = namings
        .iter()
        .filter(|naming| has(naming.team, naming.name));
    let other = |naming: &Naming<'_>| {
        // The plain name may be planned for a team of the same run, so it is not tried again.
        let is_taken = |name: &str| name == naming.base || has(naming.team, name);
        choose(naming.base, None, naming.external_id, is_taken)
    };
    Ok(taken.map(|naming| (naming.team, other(naming))).collect())
}

/// Names, by their keys, that some teams are still to give up in the run: by another name, or because they are archived.
async fn given_up(
    tx: &RunTx,
    lease: &Lease,
    teams: &BTreeSet<TeamId>,
) -> Result<BTreeMap<TeamId, String>, StoreError> {
    type Row = (Option<Uuid>, Option<JsonValue>, Option<JsonValue>);
    let ids: Vec<Uuid> = teams.iter().map(|id| id.0).collect();
    let mut found = BTreeMap::new();
    for chunk in ids.chunks(rows_per_statement(1)) {
        let rows: Vec<Row> = planned(lease)
            .select_only()
            .columns([
                run_change::Column::PlatformId,
                run_change::Column::Before,
                run_change::Column::After,
            ])
            .filter(run_change::Column::ObjectKind.eq(ObjectKind::Team.as_str()))
            .filter(one_of(
                tx,
                run_change::Column::PlatformId,
                chunk.iter().copied(),
            ))
            .into_tuple()
            .all(tx)
            .await
            .map_err(StoreError::of("read planned changes of teams"))?;
        for (team, before, after) in rows {
            let (Some(team), Some(before), Some(after)) = (team, before, after) else {
                continue;
            };
            let before: TeamFields = from_json("run_change.before", before)?;
            let after: TeamFields = from_json("run_change.after", after)?;
            if after.status == TeamStatus::Archived || after.name != before.name {
                found.insert(TeamId(team), name_key(&before.name));
            }
        }
    }
    Ok(found)
}

/// Has the change log tell the name that a team got: in the change itself, and wherever the run speaks of the team.
pub(crate) async fn note_name(
    tx: &RunTx,
    lease: &Lease,
    change: Uuid,
    team: TeamId,
    name: &str,
    after: JsonValue,
) -> Result<(), StoreError> {
    let operation = "note the name of a team";
    run_change::Entity::update_many()
        .col_expr(run_change::Column::After, Some(after).into())
        .filter(run_change::Column::Id.eq(change))
        .exec(tx)
        .await
        .map_err(StoreError::of(operation))?;
    run_change::Entity::update_many()
        .col_expr(run_change::Column::DisplayName, name.into())
        .col_expr(run_change::Column::SearchKey, search_key(&[name]).into())
        .filter(run_change::Column::RunId.eq(lease.run_id.0))
        .filter(run_change::Column::PlatformId.eq(team.0))
        .exec(tx)
        .await
        .map_err(StoreError::of(operation))?;
    Ok(())
}
