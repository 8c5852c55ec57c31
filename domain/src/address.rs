//! E-mail addresses: how they are read, checked and compared.

use std::fmt;

use caseless::Caseless as _;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// Greatest length of an address in characters: 64 + `@` + 189 fit into the 254 of RFC 5321.
pub const MAX_ADDRESS_LENGTH: usize = 254;

/// What two addresses are compared by: NFKC, trimmed, case-folded.
///
/// It is computed here and stored, because databases disagree on case: SQLite's `lower()` knows ASCII only.
/// A Turkish dotless `ı` stays apart from `i`, and `İ` folds to `i` with a combining dot, so no two people meet
/// by accident of a locale.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressKey(String);

impl AddressKey {
    /// Computes the key of any text, valid address or not.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let normal: String = text.trim().nfkc().collect();
        let folded: String = normal.chars().default_case_fold().nfkc().collect();
        Self(folded.trim().to_owned())
    }

    /// Takes a key as it was stored.
    #[must_use]
    pub fn from_stored(key: String) -> Self {
        Self(key)
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A valid e-mail address, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

/// Why a text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// There is nothing but blanks.
    #[error("it is empty")]
    Empty,
    /// There is not exactly one `@` with text on both sides.
    #[error("it needs one @ between a name and a domain")]
    Shape,
    /// The domain has no dot, or an empty label.
    #[error("its domain is not complete")]
    Domain,
    /// It contains a blank, a control character or a bracket.
    #[error("it contains a character that an address cannot have")]
    Character,
    /// It is longer than [`MAX_ADDRESS_LENGTH`].
    #[error("it is longer than 254 characters")]
    Length,
    /// It is the name that Microsoft Entra ID gives a guest, not an address.
    #[error("it is the internal name of a guest account (#EXT#), not an address")]
    GuestName,
}

impl Address {
    /// Reads an address, trimming blanks around it.
    ///
    /// # Errors
    /// Says what keeps the text from being an address.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidAddress::Empty);
        }
        if text.chars().count() > MAX_ADDRESS_LENGTH {
            return Err(InvalidAddress::Length);
        }
        if text.to_ascii_uppercase().contains("#EXT#") {
            return Err(InvalidAddress::GuestName);
        }
        if text.chars().any(forbidden) {
            return Err(InvalidAddress::Character);
        }
        let (local, domain) = text.split_once('@').ok_or(InvalidAddress::Shape)?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return Err(InvalidAddress::Shape);
        }
        if !domain.contains('.') || domain.split('.').any(str::is_empty) {
            return Err(InvalidAddress::Domain);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what the address is compared by.
    #[must_use]
    pub fn key(&self) -> AddressKey {
        AddressKey::of(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn forbidden(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '\\'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e2_case_and_unicode_form_do_not_make_two_people() {
        let key = AddressKey::of("Ünal.Öz@Example.com");
        assert_eq!(key, AddressKey::of("  u\u{308}nal.o\u{308}z@EXAMPLE.com "));
        assert_eq!(
            AddressKey::of("straße@example.com"),
            AddressKey::of("STRASSE@example.com")
        );
        assert_eq!(
            AddressKey::of("ａ@example.com"),
            AddressKey::of("a@example.com")
        );
    }

    #[test]
    fn e2_the_dotless_i_stays_another_letter() {
        assert_ne!(
            AddressKey::of("ısmail@example.com"),
            AddressKey::of("ismail@example.com")
        );
    }

    #[test]
    fn keys_are_stable_when_computed_again() {
        for text in [
            "İ@example.com",
            "ΣΑΣ@example.com",
            "ﬁ@example.com",
            "Ω@example.com",
        ] {
            let key = AddressKey::of(text);
            assert_eq!(key, AddressKey::of(key.as_str()), "{text}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        assert_eq!(
            Address::parse(" a@example.com ").map(|a| a.to_string()),
            Ok("a@example.com".to_owned())
        );
        for (text, error) in [
            ("  ", InvalidAddress::Empty),
            ("a", InvalidAddress::Shape),
            ("a@b@example.com", InvalidAddress::Shape),
            ("@example.com", InvalidAddress::Shape),
            ("a@example", InvalidAddress::Domain),
            ("a@example..com", InvalidAddress::Domain),
            ("a b@example.com", InvalidAddress::Character),
            ("a\r\nbcc:b@example.com", InvalidAddress::Character),
            ("a_b.com#EXT#@x.onmicrosoft.com", InvalidAddress::GuestName),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(
            Address::parse(&format!("{}@example.com", "a".repeat(300))),
            Err(InvalidAddress::Length)
        );
    }
}
