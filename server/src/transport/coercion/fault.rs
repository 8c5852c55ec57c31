//! Whether a value fits a type of the schema.

use async_graphql::{
    Value,
    registry::{MetaInputValue, MetaType, MetaTypeName, Registry},
};

/// Longest name of an unknown field that is told back, in characters.
const MAX_NAME: usize = 64;

/// Returns why `value` is none of type `ty`, with its place below `path`. Never tells the value: it may be a secret.
///
/// Goes no deeper than the JSON or the document that holds the value, which are bounded where they are read.
pub(super) fn fault(
    registry: &Registry,
    ty: &str,
    value: &Value,
    path: &mut Vec<String>,
) -> Option<String> {
    match MetaTypeName::create(ty) {
        MetaTypeName::NonNull(_) if *value == Value::Null => Some(at(path, "it must not be null")),
        MetaTypeName::NonNull(inner) => fault(registry, inner, value, path),
        _ if *value == Value::Null => None,
        MetaTypeName::List(item) => match value {
            Value::List(items) => items.iter().enumerate().find_map(|(index, value)| {
                below(path, index.to_string(), |path| {
                    fault(registry, item, value, path)
                })
            }),
            // One value stands for a list of one.
            value => fault(registry, item, value, path),
        },
        MetaTypeName::Named(name) => {
            fault_of_named(registry.types.get(name)?, name, registry, value, path)
        }
    }
}

fn fault_of_named(
    ty: &MetaType,
    name: &str,
    registry: &Registry,
    value: &Value,
    path: &mut Vec<String>,
) -> Option<String> {
    match ty {
        MetaType::Scalar {
            is_valid,
            specified_by_url,
            ..
        } => {
            let is_good = is_valid.as_ref().is_none_or(|is_valid| is_valid(value));
            let fits = name != "Int" || fits_32_bits(value);
            let wanted = match specified_by_url {
                Some(url) => format!("it is no {name} ({url})"),
                None => format!("it is no {name}"),
            };
            (!is_good || !fits).then(|| at(path, &wanted))
        }
        MetaType::Enum { enum_values, .. } => {
            let is_known = match value {
                Value::String(text) => enum_values.contains_key(text),
                Value::Enum(name) => enum_values.contains_key(name.as_str()),
                _ => false,
            };
            (!is_known).then(|| at(path, &format!("it is no value of {name}")))
        }
        MetaType::InputObject {
            input_fields,
            oneof,
            ..
        } => {
            let Value::Object(members) = value else {
                return Some(at(path, &format!("it is no object, as {name} is")));
            };
            if *oneof && (members.len() != 1 || members.values().any(|value| *value == Value::Null))
            {
                let wanted = format!("{name} takes exactly one field, and not null");
                return Some(at(path, &wanted));
            }
            let unknown = members
                .keys()
                .find(|member| !input_fields.contains_key(member.as_str()));
            if let Some(unknown) = unknown {
                let shown: String = unknown.chars().take(MAX_NAME).collect();
                return Some(at(path, &format!("{name} has no field \"{shown}\"")));
            }
            input_fields.values().find_map(|field| {
                let value = members.get(field.name.as_str());
                below(path, field.name.clone(), |path| {
                    fault_of_field(registry, field, value, path)
                })
            })
        }
        _ => None,
    }
}

fn fault_of_field(
    registry: &Registry,
    field: &MetaInputValue,
    value: Option<&Value>,
    path: &mut Vec<String>,
) -> Option<String> {
    match value {
        Some(value) => fault(registry, &field.ty, value, path),
        None if MetaTypeName::create(&field.ty).is_non_null() && field.default_value.is_none() => {
            Some(at(path, "it is required, but was not sent"))
        }
        None => None,
    }
}

fn below<T>(
    path: &mut Vec<String>,
    segment: String,
    look: impl FnOnce(&mut Vec<String>) -> T,
) -> T {
    path.push(segment);
    let seen = look(path);
    path.pop();
    seen
}

fn at(path: &[String], reason: &str) -> String {
    if path.is_empty() {
        return reason.to_owned();
    }
    format!("at \"{}\", {reason}", path.join("."))
}

fn fits_32_bits(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        _ => false,
    }
}
