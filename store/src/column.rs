//! Columns to values and back.

use std::str::FromStr;

use sea_orm::JsonValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// Most values that one statement may bind: SQLite's limit is 32,766, PostgreSQL's 65,535.
const MAX_VALUES: usize = 30_000;

/// How many rows of `columns` values fit into one statement.
pub(crate) const fn rows_per_statement(columns: usize) -> usize {
    let rows = MAX_VALUES / columns;
    if rows > 1_000 { 1_000 } else { rows }
}

/// Reads an enum from its spelling.
pub(crate) fn parse<T: FromStr>(column: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt {
        column,
        text: text.to_owned(),
    })
}

/// Reads an enum that may be missing.
pub(crate) fn parse_optional<T: FromStr>(
    column: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| parse(column, text)).transpose()
}

/// Reads a structure from its JSON column.
pub(crate) fn from_json<T: DeserializeOwned>(
    column: &'static str,
    json: JsonValue,
) -> Result<T, StoreError> {
    serde_json::from_value(json).map_err(|error| StoreError::Corrupt {
        column,
        text: error.to_string(),
    })
}

/// Reads a structure that may be missing.
pub(crate) fn from_optional_json<T: DeserializeOwned>(
    column: &'static str,
    json: Option<JsonValue>,
) -> Result<Option<T>, StoreError> {
    json.map(|json| from_json(column, json)).transpose()
}

/// Writes a structure into a JSON column.
///
/// Our structures have string keys and finite numbers, so this cannot fail; a fault would show as `null`.
pub(crate) fn to_json<T: Serialize>(value: &T) -> JsonValue {
    serde_json::to_value(value).unwrap_or(JsonValue::Null)
}

/// Counts are unsigned in the domain and signed in SQL.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// The way back of [`count`].
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
