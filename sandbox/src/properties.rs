//! The properties of one object, kept as raw JSON.

use std::sync::Arc;

use serde_json::Value;

/// A property name; all objects share the same allocation of it.
pub(crate) type Name = Arc<str>;

/// Properties that were ever set, ordered by name. A `null` was set once and cleared later,
/// which a delta tells and a list does not.
#[derive(Debug, Default, Clone)]
pub(crate) struct Properties(Vec<(Name, Value)>);

impl Properties {
    /// The value of a property that was ever set.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).ok().map(|at| &self.0[at].1)
    }

    /// The text of a property, if it has one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Sets or clears a property; false when nothing changed.
    pub(crate) fn set(&mut self, name: &Name, value: Value) -> bool {
        match self.position(name) {
            Ok(at) if self.0[at].1 == value => false,
            Ok(at) => {
                self.0[at].1 = value;
                true
            }
            Err(_) if value.is_null() => false,
            Err(at) => {
                self.0.insert(at, (name.clone(), value));
                true
            }
        }
    }

    /// Gives back memory after loading.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    /// All properties that were ever set.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.as_ref().cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_what_was_never_set_changes_nothing_and_clearing_what_was_set_leaves_a_null() {
        let title: Name = "jobTitle".into();
        let mut properties = Properties::default();
        assert!(!properties.set(&title, Value::Null));
        assert!(properties.get("jobTitle").is_none());
        assert!(properties.set(&title, "Teacher".into()));
        assert!(!properties.set(&title, "Teacher".into()));
        assert!(properties.set(&title, Value::Null));
        assert_eq!(properties.get("jobTitle"), Some(&Value::Null));
    }
}
