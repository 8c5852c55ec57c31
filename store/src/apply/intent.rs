//! Rows that are to be applied.

use lockstep_domain::{
    AddressKey, ChangeAction, ExternalId, LinkMatch, ObjectKind, UserFields, UserId,
};
use lockstep_entity::run_change;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{from_json, from_optional_json, parse, parse_optional};
use crate::place::next_planned;
use crate::{Lease, StoreError};

/// A row that is to be applied.
pub(super) struct Intent {
    pub(super) id: Uuid,
    pub(super) action: ChangeAction,
    pub(super) external_id: ExternalId,
    pub(super) user_id: UserId,
    pub(super) before: Option<UserFields>,
    pub(super) after: UserFields,
    pub(super) matched_by: Option<LinkMatch>,
    pub(super) component: bool,
    pub(super) mark: Option<Uuid>,
}

impl Intent {
    fn read(row: run_change::Model) -> Result<Self, StoreError> {
        let id = row.id;
        let missing = |column| StoreError::Corrupt {
            column,
            text: format!("nothing in change {id}"),
        };
        Ok(Self {
            id,
            action: parse("run_change.action", &row.action)?,
            external_id: ExternalId(row.external_id),
            user_id: UserId(
                row.platform_id
                    .ok_or_else(|| missing("run_change.platform_id"))?,
            ),
            before: from_optional_json("run_change.before", row.before)?,
            after: from_json(
                "run_change.after",
                row.after.ok_or_else(|| missing("run_change.after"))?,
            )?,
            matched_by: parse_optional("run_change.matched_by", row.matched_by.as_deref())?,
            component: row.component.is_some(),
            mark: row.dirty_mark,
        })
    }

    pub(super) fn address(&self) -> AddressKey {
        AddressKey::of(&self.after.email)
    }
}

/// The next component, whole; when there is none left, the next rows in the order of the plan. With them the place up to
/// which no single row is left besides.
pub(super) async fn next(
    db: &impl ConnectionTrait,
    lease: &Lease,
    after: i64,
    limit: u64,
) -> Result<(Vec<Intent>, i64), StoreError> {
    use run_change::Column;
    let operation = "read what is to be applied";
    let component: Option<Option<i64>> = whole(lease)
        .select_only()
        .column(Column::Component)
        .order_by_asc(Column::Component)
        .into_tuple()
        .one(db)
        .await
        .map_err(StoreError::of(operation))?;
    let (rows, through) = match component.flatten() {
        Some(component) => {
            let rows = whole(lease)
                .filter(Column::Component.eq(component))
                .order_by_asc(Column::ComponentOrder)
                .all(db)
                .await
                .map_err(StoreError::of(operation))?;
            (rows, after)
        }
        None => next_planned(db, lease, ObjectKind::User, after, limit).await?,
    };
    let intents: Result<_, _> = rows.into_iter().map(Intent::read).collect();
    Ok((intents?, through))
}

/// Rows that are applied with others, in the words of the index of such rows.
fn whole(lease: &Lease) -> sea_orm::Select<run_change::Entity> {
    run_change::Entity::of_run(lease.run_id.0).filter(Expr::cust(
        r#""run_change"."component" IS NOT NULL AND "run_change"."outcome" = 'PLANNED'"#,
    ))
}
