//! Client secrets: whether they can be sealed, and whether those that are stored can be opened.

use anyhow::{Context as _, bail};
use lockstep_seal::{Opener, Owner, SealedSecret, Sealer};
use lockstep_store::Store;

use super::Report;
use crate::cli::Role;
use crate::keys;
use crate::settings::Settings;

/// Stored secrets that are tried.
const TRIED: u64 = 100;

/// Opens a probe and the secrets that were stored last.
pub(super) async fn open(settings: &Settings, store: Option<&Store>, report: &mut Report) {
    let opener = match keys::look_for_opener(settings) {
        Ok(Some(opener)) => opener,
        Ok(None) => {
            return report.add(
                "open key",
                Ok("none yet; the first start makes one beside the database".to_owned()),
            );
        }
        Err(error) => return report.add("open key", Err(error)),
    };
    report.add(
        "open key",
        opens(&opener, &opener.sealer()).map(|()| "a secret was sealed and opened".to_owned()),
    );
    if let Some(store) = store {
        report.add("stored secrets", stored(&opener, store).await);
    }
}

/// Seals a probe, and opens it where the private keys are at hand: two halves of different pairs would be found out only by
/// the first run.
pub(super) fn seal(settings: &Settings, role: Role) -> anyhow::Result<String> {
    let Some(sealer) = keys::look_for_sealer(settings)? else {
        return Ok("none yet; it comes with the open key".to_owned());
    };
    if role == Role::Serve {
        probe(&sealer)?;
        return Ok("a secret was sealed".to_owned());
    }
    match keys::look_for_opener(settings) {
        Ok(Some(opener)) => {
            opens(&opener, &sealer).context(
                "LOCKSTEP_OPEN_KEY does not open what LOCKSTEP_SEAL_KEY seals; `lockstep keys` makes a pair",
            )?;
            Ok("what it seals, the open key opens".to_owned())
        }
        _ => probe(&sealer).map(|_| "a secret was sealed".to_owned()),
    }
}

fn opens(opener: &Opener, sealer: &Sealer) -> anyhow::Result<()> {
    let (owner, sealed) = probe(sealer)?;
    opener.open(&owner, &sealed)?;
    Ok(())
}

fn probe(sealer: &Sealer) -> anyhow::Result<(Owner, SealedSecret)> {
    let owner = Owner {
        organization: uuid::Uuid::nil().into(),
        integration: uuid::Uuid::nil().into(),
        tenant: String::new(),
        client: String::new(),
    };
    let sealed = sealer.seal(owner.clone(), &"probe".into())?;
    Ok((owner, sealed))
}

async fn stored(opener: &Opener, store: &Store) -> anyhow::Result<String> {
    if !store.has_tables().await? {
        return Ok("there are none yet".to_owned());
    }
    let secrets = store.latest_secrets(TRIED).await?;
    let opened = secrets
        .iter()
        .filter(|(owner, sealed)| opener.open(owner, sealed).is_ok())
        .count();
    let tried = secrets.len();
    if opened < tried {
        bail!(
            "{} of {tried} cannot be opened; give the workers the keys that they were sealed to as well (LOCKSTEP_OPEN_KEY), or have owners enter the secrets again",
            tried - opened
        );
    }
    Ok(match tried {
        0 => "there are none yet".to_owned(),
        _ => format!("all {tried} that were tried can be opened"),
    })
}
