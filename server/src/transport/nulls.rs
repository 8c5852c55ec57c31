//! Puts `null` where a field has failed, and no further up than the schema says.
//!
//! Since 7.1 async-graphql leaves a failed field out of its object and keeps the object even when the field must not
//! be null. Clients that store results by field then ask for it again and again. The server adds
//! [`NullPropagation`] to its schema, because only an extension sees the type of every field.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_graphql::{
    QueryPathNode, QueryPathSegment, Response, ServerError, ServerResult, Value,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo,
    },
};
use async_trait::async_trait;

/// The extension, for `Schema::build(…).extension(NullPropagation)`.
#[derive(Debug, Clone, Copy)]
pub struct NullPropagation;

impl ExtensionFactory for NullPropagation {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Propagation::default())
    }
}

#[derive(Default)]
struct Propagation {
    failures: Mutex<Failures>,
}

/// Response keys and list indices from the root.
type Path = Vec<String>;

#[derive(Default)]
struct Failures {
    errors: Vec<ServerError>,
    /// Values that have failed, and those that hold a null they must not hold, until their field is settled.
    spoiled: HashSet<Path>,
}

impl Failures {
    /// Puts null for what is spoiled in the value of a field, and spoils what holds the field when null is not
    /// allowed there.
    fn settle(&mut self, mut path: Path, ty: &str, value: &mut Value) {
        if self.null(&mut path, ty, value) {
            path.pop();
            self.spoiled.insert(path);
        }
    }

    /// Does so for the value at `path` and says whether it is null against its type `ty`.
    fn null(&mut self, path: &mut Path, ty: &str, value: &mut Value) -> bool {
        let (ty, required) = match ty.strip_suffix('!') {
            Some(ty) => (ty, true),
            None => (ty, false),
        };
        let mut spoiled = self.spoiled.remove(path);
        let item = ty.strip_prefix('[').and_then(|ty| ty.strip_suffix(']'));
        if let (Some(item), Value::List(values)) = (item, &mut *value) {
            for (index, value) in values.iter_mut().enumerate() {
                path.push(index.to_string());
                spoiled |= self.null(path, item, value);
                path.pop();
            }
        }
        if spoiled {
            *value = Value::Null;
        }
        spoiled && required
    }
}

impl Propagation {
    // Nothing can panic while the lock is held, so what a poisoned one guards is whole.
    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(
        &self,
        result: ServerResult<Option<Value>>,
        node: &QueryPathNode<'_>,
        ty: &str,
    ) -> Option<Value> {
        let mut failures = self.failures();
        let mut value = match result {
            Ok(value) if failures.spoiled.is_empty() => return value,
            Ok(value) => value.unwrap_or_default(),
            Err(error) => {
                failures.errors.push(error);
                failures.spoiled.insert(node.to_string_vec());
                Value::Null
            }
        };
        // An item is settled with its list: async-graphql calls every item non-null here, whatever the schema says.
        if matches!(node.segment, QueryPathSegment::Name(_)) {
            failures.settle(node.to_string_vec(), ty, &mut value);
        }
        Some(value)
    }
}

#[async_trait]
impl Extension for Propagation {
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let mut response = next.run(ctx, operation_name).await;
        // Taken, not read: a subscription comes here once for each of its results.
        let Failures { errors, spoiled } = std::mem::take(&mut *self.failures());
        response.errors.extend(errors);
        if spoiled.contains(&Path::new()) {
            response.data = Value::Null;
        }
        response
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let node = info.path_node;
        let ty = info.return_type;
        let result = next.run(ctx, info).await;
        Ok(self.settle(result, node, ty))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::super::toy;

    async fn data(document: &str) -> (Json, usize) {
        let response = toy::schema().execute(document).await;
        let data = response.data.into_json().expect("GraphQL values are JSON");
        (data, response.errors.len())
    }

    #[tokio::test]
    async fn failed_field_is_null_beside_its_siblings() {
        let (data, errors) = data("{ unexpected hello }").await;
        assert_eq!(
            (data, errors),
            (json!({ "unexpected": null, "hello": "world" }), 1)
        );
    }

    #[tokio::test]
    async fn failed_required_field_makes_its_object_null() {
        let (data, errors) = data("{ node { name broken } hello }").await;
        assert_eq!(
            (data, errors),
            (json!({ "node": null, "hello": "world" }), 1)
        );
    }

    #[tokio::test]
    async fn null_goes_up_through_lists_to_the_root() {
        let (data, errors) = data("{ nodes { name broken } hello }").await;
        assert_eq!((data, errors), (Json::Null, 2));
    }

    #[tokio::test]
    async fn item_that_fails_by_itself_is_null_in_its_list() {
        let (data, errors) = data("{ fallible }").await;
        assert_eq!((data, errors), (json!({ "fallible": [1, null] }), 1));
    }

    #[tokio::test]
    async fn null_stops_at_a_nullable_item() {
        let (data, errors) = data("{ maybeNodes { node { broken } name } }").await;
        assert_eq!((data, errors), (json!({ "maybeNodes": [null, null] }), 2));
    }
}
