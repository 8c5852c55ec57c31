//! Keys of a local installation: files beside the database that only their owner can read.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use lockstep_seal::{Opener, Sealer, generate_keys};
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings::Settings;

/// File of the key that opens client secrets.
const OPEN_KEY: &str = "lockstep.key";
/// File of the secret that local tokens are signed with.
const TOKEN_SECRET: &str = "lockstep.token-secret";

/// Returns what seals client secrets: the public keys, or those that belong to the private ones.
pub(crate) fn sealer(settings: &Settings) -> anyhow::Result<Sealer> {
    match &settings.seal_key {
        Some(keys) => Sealer::from_public_keys(keys).context("LOCKSTEP_SEAL_KEY cannot be used"),
        None => Ok(opener(settings)?.sealer()),
    }
}

/// Returns what opens client secrets: the private keys, or the file beside the database.
pub(crate) fn opener(settings: &Settings) -> anyhow::Result<Opener> {
    let keys = match (&settings.open_key, settings.folder()) {
        (Some(keys), _) => keys.clone(),
        (None, Some(folder)) => key_file(&folder.join(OPEN_KEY), || generate_keys().1)?,
        (None, None) => bail!("LOCKSTEP_OPEN_KEY is not set; `lockstep keys` makes a pair"),
    };
    Opener::from_private_keys(&keys).context("LOCKSTEP_OPEN_KEY cannot be used")
}

/// Returns the secret that tokens of a local installation are signed with.
pub(crate) fn token_secret(settings: &Settings) -> anyhow::Result<SecretString> {
    match settings.folder() {
        Some(folder) => key_file(&folder.join(TOKEN_SECRET), random_text),
        None => bail!(
            "nothing says how tokens are checked; set LOCKSTEP_JWT_JWKS_URL, LOCKSTEP_JWT_PUBLIC_KEY_FILE or LOCKSTEP_JWT_SECRET"
        ),
    }
}

/// 244 random bits.
fn random_text() -> SecretString {
    format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    )
    .into()
}

/// Reads a key file, and makes it when there is none.
///
/// It is written under another name first and then given its own, which fails when it is there already. So of two that
/// make it at once one wins, and nobody ever reads half a key.
fn key_file(path: &Path, make: impl FnOnce() -> SecretString) -> anyhow::Result<SecretString> {
    if path.exists() {
        return read_key(path);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let draft = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    let written = write_private(&draft, &make());
    let named = written.and_then(|()| std::fs::hard_link(&draft, path));
    drop(std::fs::remove_file(&draft));
    match named {
        Ok(()) => read_key(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read_key(path),
        Err(error) => {
            Err(error).with_context(|| format!("cannot make the key file {}", path.display()))
        }
    }
}

fn write_private(path: &Path, key: &SecretString) -> std::io::Result<()> {
    let mut file = create_private(path)?;
    file.write_all(format!("{}\n", key.expose_secret()).as_bytes())?;
    file.sync_all()
}

fn create_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn read_key(path: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key file {}", path.display()))?;
    let key = text.trim();
    if key.is_empty() {
        bail!(
            "the key file {} is empty; restore it from a backup, or remove it to have a new one made",
            path.display()
        );
    }
    Ok(key.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_many_make_at_once_is_the_same_for_all_and_private() {
        let folder = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        let path = folder.join("test.key");
        let keys: Vec<String> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| key_file(&path, random_text).unwrap()))
                .collect();
            let keys = makers.into_iter().map(|maker| maker.join().unwrap());
            keys.map(|key| key.expose_secret().to_owned()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 64));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        let left = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, 1, "no draft is left behind");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
