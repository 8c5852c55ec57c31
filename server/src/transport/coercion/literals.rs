//! Values that are written out in a document.

use async_graphql::{
    Positioned, ServerError, Variables,
    parser::types::{
        ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
    },
    registry::{MetaType, MetaTypeName, Registry},
};

use super::{super::error::ErrorCode, fault::fault};

/// Returns what is wrong with the arguments of an operation and of all fragments.
///
/// Each fragment is looked at once, so the time is linear in the size of the text.
pub(super) fn faults(
    registry: &Registry,
    operation: &Positioned<OperationDefinition>,
    document: &ExecutableDocument,
    variables: &Variables,
) -> Vec<ServerError> {
    let mut look = Look {
        registry,
        variables,
        errors: Vec::new(),
    };
    let root = match operation.node.ty {
        OperationType::Query => Some(registry.query_type.as_str()),
        OperationType::Mutation => registry.mutation_type.as_deref(),
        OperationType::Subscription => registry.subscription_type.as_deref(),
    };
    look.selection_set(root, &operation.node.selection_set.node);
    for fragment in document.fragments.values() {
        let on = fragment.node.type_condition.node.on.node.as_str();
        look.selection_set(Some(on), &fragment.node.selection_set.node);
    }
    look.errors
}

struct Look<'a> {
    registry: &'a Registry,
    variables: &'a Variables,
    errors: Vec<ServerError>,
}

impl Look<'_> {
    /// What is not in the schema is passed over: validation names it.
    fn selection_set(&mut self, parent: Option<&str>, set: &SelectionSet) {
        let Some(ty) = parent.and_then(|parent| self.registry.types.get(parent)) else {
            return;
        };
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.field(ty, &field.node),
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let on = condition.map(|condition| condition.node.on.node.as_str());
                    self.selection_set(on.or(parent), &inline.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn field(&mut self, parent: &MetaType, field: &Field) {
        let Some(known) = parent.field_by_name(&field.name.node) else {
            return;
        };
        for (name, value) in &field.arguments {
            let Some(argument) = known.args.get(name.node.as_str()) else {
                continue;
            };
            let lookup = |name| self.variables.get(&name).cloned().ok_or(());
            // One that holds a variable with a default is looked at where the field runs.
            let Ok(value_of) = value.node.clone().into_const_with(lookup) else {
                continue;
            };
            if let Some(reason) = fault(self.registry, &argument.ty, &value_of, &mut Vec::new()) {
                let message = format!("Argument \"{}\": {reason}.", name.node);
                let mut error = ErrorCode::BadUserInput.error(message);
                error.locations = vec![value.pos];
                self.errors.push(error);
            }
        }
        let below = MetaTypeName::concrete_typename(&known.ty);
        self.selection_set(Some(below), &field.selection_set.node);
    }
}
