//! A property that is absent, null, or has a value.

/// A property of a directory object. In a delta answer the three cases differ: an absent property was never
/// set or is not part of the change, a null one was cleared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Field<T> {
    /// The answer does not mention it, or holds something that is not of its type.
    #[default]
    Absent,
    /// The answer says that there is none.
    Null,
    /// The answer has a value.
    Value(T),
}

impl<T> Field<T> {
    /// Whether the answer did not mention the property.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the answer says that there is no value.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns the value, if there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Takes the value out, if there is one.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Converts the value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Value(value) => Field::Value(convert(value)),
        }
    }

    /// Applies the property to what was known before: an absent one changes nothing, a null one clears it.
    pub fn apply_to(self, known: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *known = None,
            Self::Value(value) => *known = Some(value),
        }
    }
}

impl Field<String> {
    /// Returns the text, if there is one.
    pub fn as_str(&self) -> Option<&str> {
        self.value().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_field_leaves_what_was_known_and_a_null_one_clears_it() {
        let mut known = Some(1);
        Field::Absent.apply_to(&mut known);
        assert_eq!(known, Some(1));
        Field::Value(2).apply_to(&mut known);
        assert_eq!(known, Some(2));
        Field::Null.apply_to(&mut known);
        assert_eq!(known, None);
    }
}
