//! Content hashes: whether two versions of a thing are the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The first 16 bytes of a SHA-256, in hexadecimal.
///
/// 128 bits keep an accidental collision out of reach (2⁶⁴ objects for an even chance) at half the storage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(String);

impl ContentHash {
    /// Hashes texts so that neither their borders nor a missing one can be mistaken.
    #[must_use]
    pub fn of<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            match part {
                None => hasher.update([0]),
                Some(text) => {
                    hasher.update([1]);
                    hasher.update((text.len() as u64).to_be_bytes());
                    hasher.update(text.as_bytes());
                }
            }
        }
        Self(hex(&hasher.finalize()[..16]))
    }

    /// Takes a hash as it was stored.
    #[must_use]
    pub fn from_stored(hash: String) -> Self {
        Self(hash)
    }

    /// Returns the hash as a number.
    #[must_use]
    pub fn as_number(&self) -> u128 {
        u128::from_str_radix(&self.0, 16).unwrap_or_default()
    }

    /// Returns the hash as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_and_absence_count() {
        let hash = |parts: &[Option<&str>]| ContentHash::of(parts.iter().copied());
        assert_ne!(
            hash(&[Some("ab"), Some("c")]),
            hash(&[Some("a"), Some("bc")])
        );
        assert_ne!(hash(&[None]), hash(&[Some("")]));
        assert_eq!(hash(&[Some("a")]), hash(&[Some("a")]));
        assert_eq!(hash(&[]).as_str().len(), 32);
    }
}
