//! Holds the values of variables and arguments against their types before anything runs.
//!
//! async-graphql looks at most values when it comes to the field that uses them, so a missing or ill-typed one would be
//! told beside the data of other fields, after parts of a mutation may have run. The specification makes
//! it an error of the request. Only an extension sees the types of the schema, so the server adds [`ValueCheck`].

mod fault;
mod literals;

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{
    Positioned, Request, ServerError, ServerResult, ValidationResult, Variables,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextPrepareRequest,
        NextValidation,
    },
    parser::types::{
        DocumentOperations, ExecutableDocument, OperationDefinition, VariableDefinition,
    },
    registry::{MetaTypeName, Registry},
};
use async_trait::async_trait;

use super::error::{ErrorCode, is_coercion};
use fault::fault;

/// The extension, for `Schema::build(…).extension(ValueCheck)`.
#[derive(Debug, Clone, Copy)]
pub struct ValueCheck;

impl ExtensionFactory for ValueCheck {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Check::default())
    }
}

#[derive(Default)]
struct Check {
    /// What is known of the request, until validation asks for it.
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    operation: Option<String>,
    variables: Vec<ServerError>,
    literals: Vec<ServerError>,
}

impl Check {
    fn with<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Extension for Check {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let request = next.run(ctx, request).await?;
        self.with(|seen| seen.operation.clone_from(&request.operation_name));
        Ok(request)
    }

    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        self.with(|seen| {
            let registry = &ctx.schema_env.registry;
            let Some(operation) = selected(&document, seen.operation.as_deref()) else {
                return;
            };
            let declared = &operation.node.variable_definitions;
            let check = |declared| check(registry, declared, variables);
            seen.variables = declared.iter().filter_map(check).collect();
            seen.literals = literals::faults(registry, operation, &document, variables);
        });
        Ok(document)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await;
        let Seen {
            mut variables,
            literals,
            ..
        } = self.with(std::mem::take);
        match result {
            Ok(result) if variables.is_empty() && literals.is_empty() => Ok(result),
            Ok(_) if variables.is_empty() => Err(literals),
            Ok(_) => Err(variables),
            Err(errors) if variables.is_empty() => Err(errors),
            // Where a variable stands in an argument, async-graphql says the same again with fewer words.
            Err(errors) => {
                variables.extend(
                    errors
                        .into_iter()
                        .filter(|error| !is_coercion(&error.message)),
                );
                Err(variables)
            }
        }
    }
}

/// Returns the operation that will run.
fn selected<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a Positioned<OperationDefinition>> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) => operations.values().next(),
    }
}

/// Returns what is wrong with one variable. Never tells a value, because a value may be a secret.
fn check(
    registry: &Registry,
    declared: &Positioned<VariableDefinition>,
    variables: &Variables,
) -> Option<ServerError> {
    let definition = &declared.node;
    let (name, ty) = (&definition.name.node, definition.var_type.node.to_string());
    let reason = match variables.get(name) {
        Some(value) => fault(registry, &ty, value, &mut Vec::new())?,
        None if definition.default_value.is_none() && MetaTypeName::create(&ty).is_non_null() => {
            "it is required, but was not sent".to_owned()
        }
        None => return None,
    };
    let message = format!("Variable \"${name}\" of type \"{ty}\": {reason}.");
    let mut error = ErrorCode::BadUserInput.error(message);
    error.locations = vec![declared.pos];
    Some(error)
}

#[cfg(test)]
mod tests {
    use async_graphql::{Request, Variables};
    use serde_json::{Value as Json, json};

    use super::super::toy;

    const FIND: &str = "query($id: ID!, $filter: Filter) { find(id: $id, filter: $filter) }";

    async fn told(document: &str, variables: Json) -> Vec<String> {
        let request = Request::new(document).variables(Variables::from_json(variables));
        let response = toy::schema().execute(request).await;
        let told: Vec<String> = response
            .errors
            .into_iter()
            .map(|error| error.message)
            .collect();
        assert!(
            told.is_empty() || response.data == async_graphql::Value::Null,
            "an error of the request has no data: {told:?}"
        );
        told
    }

    #[tokio::test]
    async fn good_variables_pass() {
        let good = [
            json!({ "id": "a" }),
            json!({ "id": 7 }),
            json!({ "id": "a", "filter": null }),
            json!({ "id": "a", "filter": { "name": "x", "tags": "one", "kind": "NEW" } }),
            json!({ "id": "a", "filter": { "name": "x", "size": null, "tags": ["a", "b"] }, "more": 1 }),
        ];
        for variables in good {
            assert_eq!(told(FIND, variables.clone()).await, [""; 0], "{variables}");
        }
        let defaults = "query($id: ID! = \"a\") { find(id: $id) }";
        assert_eq!(told(defaults, json!({})).await, [""; 0]);
    }

    #[tokio::test]
    async fn missing_and_ill_typed_variables_are_all_told_with_their_place() {
        let bad = [
            (
                json!({}),
                "Variable \"$id\" of type \"ID!\": it is required, but was not sent.",
            ),
            (
                json!({ "id": null }),
                "Variable \"$id\" of type \"ID!\": it must not be null.",
            ),
            (
                json!({ "id": "a", "filter": "x" }),
                "Variable \"$filter\" of type \"Filter\": it is no object, as Filter is.",
            ),
            (
                json!({ "id": "a", "filter": {} }),
                "Variable \"$filter\" of type \"Filter\": at \"name\", it is required, but was not sent.",
            ),
            (
                json!({ "id": "a", "filter": { "name": "x", "size": 3_000_000_000_i64 } }),
                "Variable \"$filter\" of type \"Filter\": at \"size\", it is no Int.",
            ),
            (
                json!({ "id": "a", "filter": { "name": "x", "tags": ["a", null] } }),
                "Variable \"$filter\" of type \"Filter\": at \"tags.1\", it must not be null.",
            ),
            (
                json!({ "id": "a", "filter": { "name": "x", "kind": "new" } }),
                "Variable \"$filter\" of type \"Filter\": at \"kind\", it is no value of Kind.",
            ),
            (
                json!({ "id": "a", "filter": { "name": "x", "nmae": "y" } }),
                "Variable \"$filter\" of type \"Filter\": Filter has no field \"nmae\".",
            ),
        ];
        // A place where async-graphql does not look: below an object that is written out.
        let nested =
            "query($id: ID!, $filter: Filter) { deep(wish: { id: $id, filter: $filter }) }";
        for (variables, expected) in bad {
            assert_eq!(told(nested, variables).await, [expected]);
        }
        let two = told(nested, json!({ "filter": 1 })).await;
        assert_eq!(two.len(), 2, "{two:?}");
    }

    #[tokio::test]
    async fn values_that_are_written_out_are_held_against_their_types_too() {
        let bad = [
            (
                "{ maybe(number: 3000000000) }",
                "Argument \"number\": it is no Int.",
            ),
            (
                "{ ...F } fragment F on Query { node { node { maybe(number: 3000000000) } } }",
                "Argument \"number\": it is no Int.",
            ),
            (
                "{ find(id: 1, filter: 2) }",
                "Argument \"filter\": it is no object, as Filter is.",
            ),
        ];
        for (document, expected) in bad {
            assert_eq!(told(document, json!({})).await, [expected], "{document}");
        }
    }

    #[tokio::test]
    async fn only_the_variables_of_the_operation_that_runs_count() {
        let document = "query A($id: ID!) { find(id: $id) } query B { hello }";
        let request = Request::new(document).operation_name("B");
        assert!(toy::schema().execute(request).await.is_ok());
    }
}
