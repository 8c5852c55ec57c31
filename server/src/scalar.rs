//! Scalars of the schema, each with the specification it follows. What cannot be read is refused by validation, before
//! anything runs: so `is_valid` is whether it can be read.

mod decimal;

use std::borrow::Cow;

use async_graphql::{
    InputType, InputValueError, InputValueResult, OutputType, Scalar, ScalarType, Value,
    registry::Registry,
};
use chrono::{DateTime, SecondsFormat, Utc};
use lockstep_domain::Address;
use secrecy::{ExposeSecret as _, SecretString};

pub(crate) use self::decimal::Decimal;

/// A point in time, as domain and database have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp(pub(crate) DateTime<Utc>);

/// An instant, RFC 3339 with time zone offset, always returned in UTC, for example `2026-03-01T04:00:00Z`.
#[Scalar(
    name = "DateTime",
    specified_by_url = "https://scalars.graphql.org/andimarek/date-time.html"
)]
impl ScalarType for Timestamp {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        DateTime::parse_from_rfc3339(text)
            .map(|at| Self(at.with_timezone(&Utc)))
            .map_err(|_| InputValueError::custom("it is not a time such as 2026-03-01T04:00:00Z"))
    }

    fn is_valid(value: &Value) -> bool {
        <Self as ScalarType>::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at)
    }
}

/// A UUID that is shown as one, such as an object id of Microsoft. Ids of our own objects are `ID`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guid(pub(crate) uuid::Uuid);

impl Guid {
    /// Reads an id of Microsoft; they are UUIDs, but it is Microsoft who says so.
    pub(crate) fn read(text: &str) -> Option<Self> {
        uuid::Uuid::parse_str(text).ok().map(Self)
    }
}

/// A UUID in the canonical 8-4-4-4-12 form, case-insensitive on input and lower case on output.
#[Scalar(
    name = "UUID",
    specified_by_url = "https://www.rfc-editor.org/rfc/rfc9562"
)]
impl ScalarType for Guid {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        Self::read(text).ok_or_else(|| InputValueError::custom("it is not a UUID"))
    }

    fn is_valid(value: &Value) -> bool {
        <Self as ScalarType>::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.hyphenated().to_string())
    }
}

/// Declares scalars that are texts.
macro_rules! text_scalars {
    ($($(#[$meta:meta])* $name:ident = $shown:literal, $url:literal, $accepts:expr, $wrong:literal;)+) => {$(
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) String);

        $(#[$meta])*
        #[Scalar(name = $shown, specified_by_url = $url)]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                let accepts: fn(&str) -> bool = $accepts;
                match value {
                    Value::String(text) if accepts(&text) => Ok(Self(text)),
                    Value::String(_) => Err(InputValueError::custom($wrong)),
                    other => Err(InputValueError::expected_type(other)),
                }
            }

            fn is_valid(value: &Value) -> bool {
                <Self as ScalarType>::parse(value.clone()).is_ok()
            }

            fn to_value(&self) -> Value {
                Value::String(self.0.clone())
            }
        }
    )+};
}

text_scalars! {
    /// An e-mail address as used in the `addr-spec` of RFC 5322, compared without regard to case.
    EmailAddress = "EmailAddress", "https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address",
        |text| Address::parse(text).is_ok(), "it is not an e-mail address";
    /// An absolute URL with the scheme http or https.
    Url = "URL", "https://url.spec.whatwg.org/",
        |text| text.starts_with("https://") || text.starts_with("http://"),
        "it is not an absolute URL with the scheme http or https";
    /// An IANA time zone name, for example `UTC` or `Europe/London`.
    TimeZone = "TimeZone", "https://www.iana.org/time-zones", |text| !text.is_empty(), "it is not a time zone";
    /// A language tag of BCP 47, for example `en` or `de-AT`.
    LanguageTag = "LanguageTag", "https://www.rfc-editor.org/rfc/rfc5646", is_language_tag, "it is not a language tag such as de-AT";
    /// A five-field cron expression (minute, hour, day of month, month, day of week), for example `0 4,8,12 * * *`.
    CronExpression = "CronExpression", "https://pubs.opengroup.org/onlinepubs/9699919799/utilities/crontab.html",
        |text| text.split_whitespace().count() == 5, "it is not a cron expression of five fields";
}

fn is_language_tag(text: &str) -> bool {
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    text.len() <= 35
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.split('-').all(part)
}

/// A text that is taken in and never shown, not even in the error about it. A `String` to the schema.
pub(crate) struct SecretText(pub(crate) SecretString);

impl InputType for SecretText {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("String")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <String as OutputType>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        match value {
            Some(Value::String(text)) => Ok(Self(text.into())),
            _ => Err(InputValueError::custom("it is not a text")),
        }
    }

    // Only for the fingerprint of an idempotent request.
    fn to_value(&self) -> Value {
        Value::String(self.0.expose_secret().to_owned())
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }
}

/// A count as a GraphQL `Int`, which has 32 bits: greater ones are cut.
pub(crate) fn int(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_offset_and_written_in_utc() {
        let read = <Timestamp as ScalarType>::parse(Value::from("2026-03-01T06:00:00+02:00"))
            .map_err(|_| ());
        assert_eq!(
            read.map(|at| ScalarType::to_value(&at)),
            Ok(Value::from("2026-03-01T04:00:00Z"))
        );
        assert!(<Timestamp as ScalarType>::parse(Value::from("yesterday")).is_err());
    }

    #[test]
    fn language_tags_are_checked() {
        for (tag, good) in [
            ("en", true),
            ("de-AT", true),
            ("", false),
            ("de_AT", false),
            ("1", false),
        ] {
            assert_eq!(is_language_tag(tag), good, "{tag:?}");
        }
    }

    #[test]
    fn counts_beyond_32_bits_are_cut() {
        assert_eq!((int(5_u64), int(u64::MAX)), (5, i32::MAX));
    }
}
