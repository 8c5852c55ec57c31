//! Keys of a local installation: files beside the database that only their owner can read.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use lockstep_seal::{Opener, Sealer, generate_keys};
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings::Settings;

/// File of the key that opens client secrets.
const OPEN_KEY: &str = "lockstep.key";
/// File of the secret that local tokens are signed with.
const TOKEN_SECRET: &str = "lockstep.token-secret";

/// What to do about a key file that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// Make it.
    Make,
    /// Leave it: somebody only looks.
    Leave,
}

/// Returns what seals client secrets: the public keys, or those that belong to the private ones.
pub(crate) fn sealer(settings: &Settings) -> anyhow::Result<Sealer> {
    let sealer = find_sealer(settings, Missing::Make)?;
    sealer.context("the key file vanished while it was made")
}

/// Returns what opens client secrets: the private keys, or the file beside the database.
pub(crate) fn opener(settings: &Settings) -> anyhow::Result<Opener> {
    let opener = find_opener(settings, Missing::Make)?;
    opener.context("the key file vanished while it was made")
}

/// Returns the secret that tokens of a local installation are signed with.
pub(crate) fn token_secret(settings: &Settings) -> anyhow::Result<SecretString> {
    let secret = find_token_secret(settings, Missing::Make)?;
    secret.context("the file of the token secret vanished while it was made")
}

/// Looks for what seals client secrets; none when the first start will make it.
pub(crate) fn look_for_sealer(settings: &Settings) -> anyhow::Result<Option<Sealer>> {
    find_sealer(settings, Missing::Leave)
}

/// Looks for what opens client secrets; none when the first start will make it.
pub(crate) fn look_for_opener(settings: &Settings) -> anyhow::Result<Option<Opener>> {
    find_opener(settings, Missing::Leave)
}

/// Looks for the secret of a local installation's tokens; none when the first start will make it.
pub(crate) fn look_for_token_secret(settings: &Settings) -> anyhow::Result<Option<SecretString>> {
    find_token_secret(settings, Missing::Leave)
}

/// The files beside the database that hold secrets, whether they are there or not.
pub(crate) fn files(settings: &Settings) -> Vec<PathBuf> {
    let folder = settings.folder();
    let names = [OPEN_KEY, TOKEN_SECRET];
    folder.map_or_else(Vec::new, |folder| {
        names.map(|name| folder.join(name)).into()
    })
}

fn find_sealer(settings: &Settings, missing: Missing) -> anyhow::Result<Option<Sealer>> {
    match &settings.seal_key {
        Some(keys) => Sealer::from_public_keys(keys)
            .context("LOCKSTEP_SEAL_KEY cannot be used")
            .map(Some),
        None if settings.open_key.is_none() && settings.folder().is_none() => {
            bail!("LOCKSTEP_SEAL_KEY is not set; `lockstep keys` makes a pair")
        }
        None => Ok(find_opener(settings, missing)?.map(|opener| opener.sealer())),
    }
}

fn find_opener(settings: &Settings, missing: Missing) -> anyhow::Result<Option<Opener>> {
    if let Some(keys) = &settings.open_key {
        return Opener::from_private_keys(keys)
            .context("the keys of LOCKSTEP_OPEN_KEY or LOCKSTEP_OPEN_KEY_FILE cannot be used")
            .map(Some);
    }
    let Some(folder) = settings.folder() else {
        bail!("LOCKSTEP_OPEN_KEY is not set; `lockstep keys` makes a pair")
    };
    let path = folder.join(OPEN_KEY);
    let Some(keys) = key_file(&path, missing, || generate_keys().1)? else {
        return Ok(None);
    };
    let opener = Opener::from_private_keys(&keys);
    opener.map(Some).with_context(|| {
        format!(
            "the key file {} cannot be used; restore it from a backup",
            path.display()
        )
    })
}

fn find_token_secret(
    settings: &Settings,
    missing: Missing,
) -> anyhow::Result<Option<SecretString>> {
    match settings.folder() {
        Some(folder) => key_file(&folder.join(TOKEN_SECRET), missing, random_text),
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

/// Reads a key file. One that is missing is made, or left.
fn key_file(
    path: &Path,
    missing: Missing,
    make: impl FnOnce() -> SecretString,
) -> anyhow::Result<Option<SecretString>> {
    let is_there = path
        .try_exists()
        .with_context(|| format!("cannot look for the key file {}", path.display()))?;
    if !is_there && missing == Missing::Leave {
        return Ok(None);
    }
    if !is_there {
        make_key_file(path, &make())?;
    }
    read_key(path).map(Some)
}

/// Makes a key file, unless another process just did.
///
/// It is written under another name first and then given its own, which fails when it is there already. So of two that
/// make it at once one wins, and nobody ever reads half a key.
fn make_key_file(path: &Path, key: &SecretString) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let draft = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    let written = write_private(&draft, key);
    let named = written.and_then(|()| std::fs::hard_link(&draft, path));
    drop(std::fs::remove_file(&draft));
    match named {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make the key file {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn write_private(path: &Path, key: &SecretString) -> std::io::Result<()> {
    let mut file = create_private(path)?;
    file.write_all(format!("{}\n", key.expose_secret()).as_bytes())?;
    file.sync_all()
}

/// Creates a file that only its owner can read and write.
pub(crate) fn create_private(path: &Path) -> std::io::Result<std::fs::File> {
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
                .map(|_| {
                    scope.spawn(|| {
                        let key = key_file(&path, Missing::Make, random_text);
                        key.unwrap().unwrap()
                    })
                })
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
