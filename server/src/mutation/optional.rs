//! Fields of inputs where null says something else than silence.

use std::borrow::Cow;

use async_graphql::registry::Registry;
use async_graphql::{InputType, InputValueResult, MaybeUndefined, Name, Value};

/// A field that is left out, null, or a value.
///
/// Unlike [`MaybeUndefined`] it shows in a fingerprint which of the first two it is, so that two such requests with the
/// same idempotency key are not taken for the same.
pub(super) struct Optional<T>(MaybeUndefined<T>);

impl<T> Optional<T> {
    /// Whether null was given.
    pub(super) const fn is_null(&self) -> bool {
        matches!(self.0, MaybeUndefined::Null)
    }

    /// Checks the value, if there is one.
    pub(super) fn check<U, E>(
        &self,
        check: impl FnOnce(&T) -> Result<U, E>,
    ) -> Result<MaybeUndefined<U>, E> {
        Ok(match &self.0 {
            MaybeUndefined::Undefined => MaybeUndefined::Undefined,
            MaybeUndefined::Null => MaybeUndefined::Null,
            MaybeUndefined::Value(value) => MaybeUndefined::Value(check(value)?),
        })
    }
}

impl<T: InputType> InputType for Optional<T> {
    type RawValueType = T::RawValueType;

    fn type_name() -> Cow<'static, str> {
        MaybeUndefined::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        MaybeUndefined::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        MaybeUndefined::<T>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        MaybeUndefined::parse(value)
            .map(Self)
            .map_err(async_graphql::InputValueError::propagate)
    }

    // Only for the fingerprint of an idempotent request: no client can send such a value for a text.
    fn to_value(&self) -> Value {
        match &self.0 {
            MaybeUndefined::Undefined => Value::Enum(Name::new("UNDEFINED")),
            given => given.to_value(),
        }
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        self.0.as_raw_value()
    }
}
