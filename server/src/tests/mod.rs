//! The schema as clients see it, on a real database.

mod access;
mod changes;
mod following;
mod http;
mod inputs;
mod lists;
mod mutations;
mod reading;
mod rules;
mod statements;
mod team_edits;
mod team_world;
mod teams;
mod tenants;
mod user_errors;
pub(crate) mod world;

/// Holds the schema in the repository and the code together.
#[test]
fn the_schema_in_the_repository_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema.graphql");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == crate::sdl(),
        "schema.graphql is out of date: run `make schema`"
    );
}
