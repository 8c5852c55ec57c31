//! Keys that names are searched by, for rows that were written before there were any.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

/// Rows that are read and written at a time.
const BATCH: u64 = 1_000;

/// Runs a statement without values.
pub(crate) async fn run(manager: &SchemaManager<'_>, statement: &str) -> Result<(), DbErr> {
    manager
        .get_connection()
        .execute_unprepared(statement)
        .await?;
    Ok(())
}

/// Adds a column for keys. They are compared byte by byte on both databases, as the code does.
pub(crate) async fn add_key(
    manager: &SchemaManager<'_>,
    table: &str,
    column: &str,
) -> Result<(), DbErr> {
    let collation = match manager.get_database_backend() {
        DbBackend::Postgres => "COLLATE \"C\" ",
        _ => "",
    };
    run(
        manager,
        &format!("ALTER TABLE {table} ADD COLUMN {column} text {collation}NOT NULL DEFAULT ''"),
    )
    .await
}

/// Fills keys of a table in batches, where the first is empty: `columns` of a row give the keys of `keys`, in their order.
pub(crate) async fn fill<const N: usize>(
    manager: &SchemaManager<'_>,
    table: &str,
    columns: &str,
    keys: [&str; N],
    make: impl Fn(&QueryResult) -> Result<[String; N], DbErr>,
) -> Result<(), DbErr> {
    let db = manager.get_connection();
    // Nobody renames meanwhile what is about to be given its key.
    let lock = match db.get_database_backend() {
        DbBackend::Postgres => " FOR UPDATE",
        _ => "",
    };
    let mut last = Uuid::nil();
    loop {
        // Whether a key is empty is no condition: PostgreSQL knows nothing of a new column, and would read the whole
        // table for each batch.
        let select = format!(
            "SELECT id, {columns}, {} = '' AS is_empty FROM {table} WHERE id > $1 ORDER BY id LIMIT {BATCH}{lock}",
            keys[0]
        );
        let select =
            Statement::from_sql_and_values(db.get_database_backend(), select, [last.into()]);
        let rows = db.query_all_raw(select).await?;
        let Some(end) = rows.last() else {
            return Ok(());
        };
        last = end.try_get("", "id")?;
        let mut values: Vec<Value> = Vec::with_capacity(rows.len() * (N + 1));
        for row in &rows {
            if row.try_get::<bool>("", "is_empty")? {
                values.push(row.try_get::<Uuid>("", "id")?.into());
                values.extend(make(row)?.map(Value::from));
            }
        }
        if values.is_empty() {
            continue;
        }
        let update = update(table, keys, values.len() / (N + 1));
        let update = Statement::from_sql_and_values(db.get_database_backend(), update, values);
        db.execute_raw(update).await?;
    }
}

/// The statement that sets keys of so many rows. Both databases call the columns of a list of values alike.
fn update<const N: usize>(table: &str, keys: [&str; N], rows: usize) -> String {
    let set: Vec<String> = (2..)
        .zip(keys)
        .map(|(n, key)| format!("{key} = v.column{n}"))
        .collect();
    let row = |row: usize| {
        let places: Vec<String> = (1..=N + 1)
            .map(|n| format!("${}", row * (N + 1) + n))
            .collect();
        format!("({})", places.join(", "))
    };
    let list: Vec<String> = (0..rows).map(row).collect();
    format!(
        "UPDATE {table} SET {} FROM (VALUES {}) AS v WHERE {table}.id = v.column1",
        set.join(", "),
        list.join(", ")
    )
}
