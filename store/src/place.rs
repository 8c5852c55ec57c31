//! Places in the change log of a run: rows are walked by them, from the first to the last.
//!
//! Places are numbered without gaps, so a stretch of them holds a known number of rows, and whatever PostgreSQL believes
//! about the run, it looks at no more than these.

use lockstep_domain::{ChangeOutcome, ObjectKind};
use lockstep_entity::{run, run_change};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::{Lease, StoreError};

/// Places of which the rows are read together.
pub(crate) const STRETCH: i64 = 1_000;

/// Places among which rows are looked for that are few, as a rule.
const WIDE: i64 = 10_000;

/// The rows of a run at the places after one, up to another.
pub(crate) fn between(run: Uuid, after: i64, last: i64) -> Select<run_change::Entity> {
    run_change::Entity::of_run(run)
        .filter(run_change::Column::Sequence.gt(after))
        .filter(run_change::Column::Sequence.lte(last))
}

/// Whether a row was planned and is not made, in the words of the index of such rows.
pub(crate) fn is_unmade() -> Expr {
    Expr::cust(r#""run_change"."outcome" <> 'PLANNED' AND "run_change"."outcome" <> 'APPLIED'"#)
}

/// Whether a run has rows that are not made.
pub(crate) async fn has_unmade(
    db: &impl ConnectionTrait,
    lease: &Lease,
) -> Result<bool, StoreError> {
    let row: Option<i64> = run_change::Entity::of_run(lease.run_id.0)
        .select_only()
        .column(run_change::Column::Sequence)
        .filter(is_unmade())
        .into_tuple()
        .one(db)
        .await
        .map_err(StoreError::of("look for changes that are not made"))?;
    Ok(row.is_some())
}

/// The last place of a run.
pub(crate) async fn last_place(
    db: &impl ConnectionTrait,
    lease: &Lease,
) -> Result<i64, StoreError> {
    let operation = "read the length of a change log";
    let found: Option<i64> = run::Entity::find_by_id(lease.run_id.0)
        .select_only()
        .column(run::Column::ChangeCount)
        .into_tuple()
        .one(db)
        .await
        .map_err(StoreError::of(operation))?;
    crate::run::found(found, operation)
}

/// The places after one where rows meet a condition, of the next stretch that has any, and the place up to which was
/// looked. None when there are no more.
pub(crate) async fn next_places(
    db: &impl ConnectionTrait,
    lease: &Lease,
    after: i64,
    which: &Condition,
) -> Result<Option<(Vec<i64>, i64)>, StoreError> {
    let (last, mut place) = (last_place(db, lease).await?, after);
    while place < last {
        let to = last.min(place + WIDE);
        let places: Vec<i64> = between(lease.run_id.0, place, to)
            .select_only()
            .column(run_change::Column::Sequence)
            .filter(which.clone())
            .order_by_asc(run_change::Column::Sequence)
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read the change log"))?;
        place = to;
        if !places.is_empty() {
            return Ok(Some((places, place)));
        }
    }
    Ok(None)
}

/// The next rows of one kind of object that are to be applied, after a place and in the order of the plan, and the place
/// up to which none is left besides. Rows that are applied as a whole, with others, are not among them.
pub(crate) async fn next_planned(
    db: &impl ConnectionTrait,
    lease: &Lease,
    kind: ObjectKind,
    after: i64,
    limit: u64,
) -> Result<(Vec<run_change::Model>, i64), StoreError> {
    use run_change::Column;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (last, mut place) = (last_place(db, lease).await?, after);
    let mut rows = Vec::new();
    while rows.len() < limit && place < last {
        let to = last.min(place + STRETCH);
        let found = between(lease.run_id.0, place, to)
            .filter(Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
            .filter(Column::ObjectKind.eq(kind.as_str()))
            .filter(Column::Component.is_null())
            .order_by_asc(Column::Sequence)
            .limit((limit - rows.len()) as u64)
            .all(db)
            .await
            .map_err(StoreError::of("read what is to be applied"))?;
        rows.extend(found);
        place = to;
    }
    if rows.len() == limit {
        place = rows.last().map_or(place, |row| row.sequence);
    }
    Ok((rows, place))
}
