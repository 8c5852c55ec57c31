//! Decimal numbers: texts to clients, whole hundredths to us.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// Greatest length of a decimal number, so that digits without end are not even looked at.
const MAX_LENGTH: usize = 40;

/// A decimal number as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal(String);

impl Decimal {
    /// Writes hundredths with two places.
    pub(crate) fn of_hundredths(hundredths: i64) -> Self {
        let sign = if hundredths < 0 { "-" } else { "" };
        let amount = hundredths.unsigned_abs();
        Self(format!("{sign}{}.{:02}", amount / 100, amount % 100))
    }

    /// Returns the number in hundredths, none when it has more than two places or is too great.
    pub(crate) fn hundredths(&self) -> Option<i64> {
        let (whole, fraction) = self.0.split_once('.').unwrap_or((&self.0, "0"));
        if fraction.len() > 2 {
            return None;
        }
        // The digits of the fraction are read with the whole ones, so that the sign of -0.5 is not lost.
        format!("{whole}{fraction:0<2}").parse().ok()
    }
}

/// A decimal number as a string without exponent, for example `1250.00`.
#[Scalar(
    name = "Decimal",
    specified_by_url = "https://www.w3.org/TR/xmlschema-2/#decimal"
)]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if is_decimal(&text) => Ok(Self(text)),
            Value::String(_) => Err(InputValueError::custom(
                "it is not a decimal number such as 1250.00",
            )),
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

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    text.len() <= MAX_LENGTH && digits(whole) && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<i64> {
        let decimal = <Decimal as ScalarType>::parse(Value::from(text)).ok();
        decimal.and_then(|decimal| decimal.hundredths())
    }

    #[test]
    fn hundredths_come_back() {
        for (hundredths, text) in [
            (0, "0.00"),
            (5, "0.05"),
            (123_450, "1234.50"),
            (-5, "-0.05"),
        ] {
            assert_eq!(Decimal::of_hundredths(hundredths).0, text);
            assert_eq!(read(text), Some(hundredths), "{text}");
        }
    }

    #[test]
    fn decimals_have_at_most_two_places_and_no_exponent() {
        assert_eq!(
            ["1250", "+1250.5", "007"].map(read),
            [Some(125_000), Some(125_050), Some(700)]
        );
        for text in ["", ".5", "5.", "1e3", "1,50", " 1", "0x1", "1.505", "--1"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&"9".repeat(30)), None, "it fits no budget");
        assert!(<Decimal as ScalarType>::parse(Value::from(1250)).is_err());
    }
}
