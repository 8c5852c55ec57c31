//! Look-ups by many keys, and walks in the order of a key, in shapes that PostgreSQL can plan in one way only.
//!
//! What it knows of a table is as old as its latest ANALYZE, and a run fills tables by the tens of thousands of rows. So
//! no statement of a run may be good or quadratic depending on how many rows PostgreSQL expects. Given a list of a
//! thousand keys, it would rather read all of a tenant that it takes for small, each time. Given an order and a limit, it
//! would rather sort what is left of such a tenant, each time. So it is told neither how long a list is, nor how many
//! rows are wanted. That it expects the same of every tenant is the other half, see `m0017_tenant_statistics`.
//!
//! Sets that grow with the tenant are not joined: [`among`] has one of them hashed, whatever size it is taken for.

use sea_orm::sea_query::{
    ArrayType, ColumnType, Expr, ExprTrait as _, Func, SelectStatement, Value, Values,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult as _, QueryResult,
    QuerySelect as _, QueryTrait as _, Select, TryGetableMany,
};

use crate::column::signed;

/// Whether a column is one of some keys.
pub(crate) fn one_of<C: ColumnTrait, K: Into<Value>>(
    db: &impl ConnectionTrait,
    column: C,
    keys: impl IntoIterator<Item = K>,
) -> Expr {
    let keys = keys.into_iter().map(Into::into);
    if db.get_database_backend() != DbBackend::Postgres {
        return column.is_in(keys);
    }
    let kind = match column.def().get_column_type() {
        ColumnType::Uuid => ArrayType::Uuid,
        _ => ArrayType::String,
    };
    let keys = Value::Array(kind, Some(Box::new(keys.collect())));
    let column = Expr::col(column.as_column_ref());
    Expr::cust_with_exprs(
        "$1 = ANY(ARRAY(SELECT unnest($2)))",
        [column, Expr::val(keys)],
    )
}

/// Whether a column is one of what a query finds.
pub(crate) fn among(column: impl Into<Expr>, found: SelectStatement) -> Expr {
    unweighed(column.into().in_subquery(found))
}

/// A condition that rows are read for, not chosen by: with one that it takes for rare, PostgreSQL would sort all the rows
/// that are left of a walk, looking for the few that it expects.
pub(crate) fn unweighed(condition: impl Into<Expr>) -> Expr {
    Func::coalesce([condition.into(), Expr::val(false)]).into()
}

/// The first rows in the order of the query.
pub(crate) async fn first<E: EntityTrait>(
    db: &impl ConnectionTrait,
    rows: Select<E>,
    limit: u64,
) -> Result<Vec<E::Model>, DbErr> {
    let rows = limited(db, rows, limit).await?;
    rows.iter()
        .map(|row| E::Model::from_query_result(row, ""))
        .collect()
}

/// The first rows in the order of the query, of those columns alone that it selects.
pub(crate) async fn first_of<E: EntityTrait, T: TryGetableMany>(
    db: &impl ConnectionTrait,
    rows: Select<E>,
    limit: u64,
) -> Result<Vec<T>, DbErr> {
    let rows = limited(db, rows, limit).await?;
    rows.iter()
        .map(|row| T::try_get_many_by_index(row).map_err(DbErr::from))
        .collect()
}

async fn limited<E: EntityTrait>(
    db: &impl ConnectionTrait,
    rows: Select<E>,
    limit: u64,
) -> Result<Vec<QueryResult>, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        let statement = rows.limit(limit).build(db.get_database_backend());
        return db.query_all_raw(statement).await;
    }
    let mut statement = rows.build(DbBackend::Postgres);
    let values = statement.values.get_or_insert_with(|| Values(Vec::new()));
    values.0.push(signed(limit).into());
    let place = values.0.len();
    statement
        .sql
        .push_str(&format!(" LIMIT (SELECT ${place}::bigint)"));
    db.query_all_raw(statement).await
}
