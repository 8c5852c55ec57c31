//! Weighs the arguments of a document with the values of their variables filled in.
//!
//! async-graphql copies an argument each time it looks at it, and the whole value of a variable each time it is
//! mentioned. So a large value that is mentioned often takes far more memory than the request that brought it.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Value as ConstValue, Variables,
    parser::types::{Directive, ExecutableDocument},
};
use async_graphql_value::Value;

/// What a value takes besides its text, in bytes.
const NODE: usize = 32;

/// Knows what each variable weighs, so that a mention costs a look.
pub(super) struct Weights<'a> {
    variables: HashMap<&'a str, usize>,
}

impl<'a> Weights<'a> {
    /// Weighs each variable once: the value that was sent, or else the heaviest default of any operation.
    pub(super) fn new(document: &'a ExecutableDocument, sent: &'a Variables) -> Self {
        let mut variables = HashMap::new();
        for (_, operation) in document.operations.iter() {
            for definition in &operation.node.variable_definitions {
                let default = definition.node.default_value.as_ref();
                let weight = default.map_or(NODE, |default| of_const(&default.node));
                let known = variables.entry(definition.node.name.node.as_str());
                let heaviest: &mut usize = known.or_default();
                *heaviest = weight.max(*heaviest);
            }
        }
        for (name, value) in sent.iter() {
            variables.insert(name.as_str(), of_const(value));
        }
        Self { variables }
    }

    /// Returns what arguments weigh, in bytes.
    pub(super) fn arguments(&self, arguments: &[(Positioned<Name>, Positioned<Value>)]) -> usize {
        sum(arguments.iter().map(|(_, value)| self.value(&value.node)))
    }

    /// Returns what the arguments of directives weigh, in bytes.
    pub(super) fn directives(&self, directives: &[Positioned<Directive>]) -> usize {
        let each = directives.iter().map(|directive| &directive.node);
        sum(each.map(|directive| self.arguments(&directive.arguments)))
    }

    fn value(&self, value: &Value) -> usize {
        match value {
            Value::Variable(name) => self
                .variables
                .get(name.as_str())
                .map_or(NODE, |known| *known),
            Value::String(text) => text.len().saturating_add(NODE),
            Value::Binary(bytes) => bytes.len().saturating_add(NODE),
            Value::List(items) => {
                sum(items.iter().map(|item| self.value(item))).saturating_add(NODE)
            }
            Value::Object(fields) => {
                sum(fields.values().map(|field| self.value(field))).saturating_add(NODE)
            }
            Value::Null | Value::Number(_) | Value::Boolean(_) | Value::Enum(_) => NODE,
        }
    }
}

fn of_const(value: &ConstValue) -> usize {
    match value {
        ConstValue::String(text) => text.len().saturating_add(NODE),
        ConstValue::Binary(bytes) => bytes.len().saturating_add(NODE),
        ConstValue::List(items) => sum(items.iter().map(of_const)).saturating_add(NODE),
        ConstValue::Object(fields) => sum(fields.values().map(of_const)).saturating_add(NODE),
        ConstValue::Null | ConstValue::Number(_) | ConstValue::Boolean(_) | ConstValue::Enum(_) => {
            NODE
        }
    }
}

fn sum(weights: impl Iterator<Item = usize>) -> usize {
    weights.fold(0, usize::saturating_add)
}
