//! Client secrets sealed to public keys: whoever stores them cannot read them.
//!
//! The API process holds a [`Sealer`] alone, the worker also an [`Opener`]. What is sealed names the organization,
//! the integration, the tenant and the client; an opener refuses a secret whose names do not match its row, so a row
//! that was swapped for another opens nothing. Several public keys at once give rotation: add the new key, seal
//! again, take the old key away.

use std::fmt;
use std::io::{Read as _, Write as _};

use age::x25519::{Identity, Recipient};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use lockstep_domain::{IntegrationId, OrganizationId};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// What a secret belongs to. Sealed together with it and compared when it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The organization.
    pub organization: OrganizationId,
    /// The integration.
    pub integration: IntegrationId,
    /// Directory (tenant) ID or domain, as stored.
    pub tenant: String,
    /// Application (client) ID.
    pub client: String,
}

/// A sealed secret, safe to store. Text, so that it fits any column.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(String);

impl SealedSecret {
    /// Takes a sealed secret as it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns what is to be stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(..)")
    }
}

/// Why sealing, opening or reading a key failed. Never says what the secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A public key is malformed.
    #[error("a public key is malformed: it begins with `age1`; `lockstep keys` makes a pair")]
    PublicKey,
    /// A private key is malformed.
    #[error(
        "a private key is malformed: it begins with `AGE-SECRET-KEY-1`; `lockstep keys` makes a pair"
    )]
    PrivateKey,
    /// There is no key.
    #[error("no key is given")]
    NoKey,
    /// The sealing itself failed.
    #[error("the secret could not be sealed")]
    Sealing,
    /// No key at hand opens the secret: it was sealed to another one, or the stored text is damaged.
    #[error("no key at hand opens the stored secret")]
    NotOurs,
    /// The secret was sealed for another organization, integration, tenant or client.
    #[error("the stored secret belongs to other settings")]
    OtherOwner,
}

#[derive(Serialize, Deserialize)]
struct Content {
    owner: Owner,
    secret: String,
}

/// Seals secrets; cannot open them.
#[derive(Clone)]
pub struct Sealer(Vec<Recipient>);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} keys)", self.0.len())
    }
}

impl Sealer {
    /// Reads public keys, separated by commas or white space.
    ///
    /// # Errors
    /// When there is none, or one is malformed.
    pub fn from_public_keys(keys: &str) -> Result<Self, SealError> {
        let keys = split(keys)
            .map(|key| key.parse().map_err(|_| SealError::PublicKey))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(SealError::NoKey)
        } else {
            Ok(Self(keys))
        }
    }

    /// Seals a secret for its owner.
    ///
    /// # Errors
    /// When the encryption fails, which only a lack of memory can cause.
    pub fn seal(&self, owner: Owner, secret: &SecretString) -> Result<SealedSecret, SealError> {
        let content = Content {
            owner,
            secret: secret.expose_secret().to_owned(),
        };
        let content = serde_json::to_vec(&content).map_err(|_| SealError::Sealing)?;
        let recipients = self
            .0
            .iter()
            .map(|recipient| recipient as &dyn age::Recipient);
        let encryptor =
            age::Encryptor::with_recipients(recipients).map_err(|_| SealError::Sealing)?;
        let mut sealed = Vec::new();
        let mut writer = encryptor
            .wrap_output(&mut sealed)
            .map_err(|_| SealError::Sealing)?;
        writer
            .write_all(&content)
            .and_then(|()| writer.finish().map(drop))
            .map_err(|_| SealError::Sealing)?;
        Ok(SealedSecret(STANDARD_NO_PAD.encode(sealed)))
    }
}

/// Opens secrets. Held by workers alone.
#[derive(Clone)]
pub struct Opener(Vec<Identity>);

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({} keys)", self.0.len())
    }
}

impl Opener {
    /// Reads private keys, separated by commas or white space.
    ///
    /// # Errors
    /// When there is none, or one is malformed.
    pub fn from_private_keys(keys: &SecretString) -> Result<Self, SealError> {
        let keys = split(keys.expose_secret())
            .map(|key| key.parse().map_err(|_| SealError::PrivateKey))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(SealError::NoKey)
        } else {
            Ok(Self(keys))
        }
    }

    /// Returns the sealer that belongs to these keys.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer(self.0.iter().map(Identity::to_public).collect())
    }

    /// Opens a secret that was sealed for `owner`.
    ///
    /// # Errors
    /// When no key fits, the text is damaged, or the secret was sealed for someone else.
    pub fn open(&self, owner: &Owner, sealed: &SealedSecret) -> Result<SecretString, SealError> {
        let bytes = STANDARD_NO_PAD
            .decode(&sealed.0)
            .map_err(|_| SealError::NotOurs)?;
        let decryptor = age::Decryptor::new(bytes.as_slice()).map_err(|_| SealError::NotOurs)?;
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        let reader = decryptor
            .decrypt(identities)
            .map_err(|_| SealError::NotOurs)?;
        let mut content = Vec::new();
        // Sealed content is small; the cap keeps a forged row from filling the memory.
        reader
            .take(64 * 1024)
            .read_to_end(&mut content)
            .map_err(|_| SealError::NotOurs)?;
        let content: Content = serde_json::from_slice(&content).map_err(|_| SealError::NotOurs)?;
        if content.owner == *owner {
            Ok(content.secret.into())
        } else {
            Err(SealError::OtherOwner)
        }
    }
}

/// Makes a new pair of keys: the public one, and the private one.
#[must_use]
pub fn generate_keys() -> (String, SecretString) {
    let identity = Identity::generate();
    (
        identity.to_public().to_string(),
        identity.to_string().expose_secret().to_owned().into(),
    )
}

fn split(keys: &str) -> impl Iterator<Item = &str> {
    keys.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|key| !key.is_empty() && !key.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(n: u8) -> Owner {
        Owner {
            organization: OrganizationId(
                format!("00000000-0000-0000-0000-0000000000{n:02x}")
                    .parse()
                    .unwrap(),
            ),
            integration: IntegrationId("00000000-0000-0000-0000-000000000001".parse().unwrap()),
            tenant: "contoso.com".to_owned(),
            client: "client".to_owned(),
        }
    }

    fn opener() -> Opener {
        Opener::from_private_keys(&generate_keys().1).unwrap()
    }

    #[test]
    fn i13_a_secret_opens_for_its_owner_alone() {
        let opener = opener();
        let sealed = opener
            .sealer()
            .seal(owner(1), &"s3cret~value".into())
            .unwrap();
        assert_eq!(
            opener.open(&owner(1), &sealed).unwrap().expose_secret(),
            "s3cret~value"
        );
        assert_eq!(
            opener.open(&owner(2), &sealed).unwrap_err(),
            SealError::OtherOwner,
            "a swapped row opens nothing"
        );
    }

    #[test]
    fn i12_nothing_shows_the_secret() {
        let opener = opener();
        let sealed = opener
            .sealer()
            .seal(owner(1), &"s3cret~value".into())
            .unwrap();
        assert!(!sealed.as_str().contains("s3cret"));
        assert!(!format!("{sealed:?} {opener:?} {:?}", opener.sealer()).contains("AGE"));
    }

    #[test]
    fn i14_keys_are_rotated_by_adding_the_new_one_first() {
        let ((old_public, old), (new_public, new)) = (generate_keys(), generate_keys());
        let both = Sealer::from_public_keys(&format!("{old_public}, {new_public}")).unwrap();
        let sealed = both.seal(owner(1), &"s".into()).unwrap();
        for key in [&old, &new] {
            assert!(
                Opener::from_private_keys(key)
                    .unwrap()
                    .open(&owner(1), &sealed)
                    .is_ok()
            );
        }
        let sealed = Sealer::from_public_keys(&new_public)
            .unwrap()
            .seal(owner(1), &"s".into())
            .unwrap();
        assert_eq!(
            Opener::from_private_keys(&old)
                .unwrap()
                .open(&owner(1), &sealed)
                .unwrap_err(),
            SealError::NotOurs
        );
    }

    #[test]
    fn damaged_texts_and_keys_are_refused() {
        assert_eq!(
            opener()
                .open(&owner(1), &SealedSecret::from_stored("%%%".into()))
                .unwrap_err(),
            SealError::NotOurs
        );
        assert_eq!(
            Sealer::from_public_keys("age1nonsense").unwrap_err(),
            SealError::PublicKey
        );
        assert_eq!(
            Opener::from_private_keys(&"nonsense".into()).unwrap_err(),
            SealError::PrivateKey
        );
        assert_eq!(Sealer::from_public_keys(" ").unwrap_err(), SealError::NoKey);
    }
}
