//! The configuration file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};

use super::groups::{
    Api, Database, Group, Logging, Messages, Microsoft, Opening, People, Sealing, Tokens, Working,
};

/// The settings that there are.
const KNOWN: [&[&str]; 10] = [
    Database::NAMES,
    Messages::NAMES,
    Sealing::NAMES,
    Opening::NAMES,
    Tokens::NAMES,
    Api::NAMES,
    People::NAMES,
    Microsoft::NAMES,
    Working::NAMES,
    Logging::NAMES,
];

/// A TOML file with settings; nothing when none is named.
#[derive(Default)]
pub(super) struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// Reads a file and refuses settings that do not exist.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        Self::parse(path, read(path, "LOCKSTEP_CONFIG")?)
    }

    pub(super) fn parse(path: &Path, text: String) -> anyhow::Result<Self> {
        let file = Self {
            path: path.to_owned(),
            text,
        };
        let table: toml::Table =
            toml::from_str(&file.text).map_err(|error| file.malformed(&error))?;
        let known = |name: &str| names().any(|known| known == name);
        if let Some(name) = table.keys().find(|name| !known(name)) {
            bail!(
                "{}: there is no setting {name}; config.example.toml has all of them",
                path.display()
            );
        }
        Ok(file)
    }

    /// Fills a group with what the file says. A group that is not used stays as it is by default.
    pub(super) fn fill<G: Group>(&self, given: Option<G>) -> anyhow::Result<G> {
        let Some(given) = given else {
            return Ok(G::default());
        };
        let said = toml::from_str(&self.text).map_err(|error| self.malformed(&error))?;
        Ok(given.or(said))
    }

    /// Says where the file is wrong. Not by the line itself, as the error would: it may hold a secret.
    fn malformed(&self, error: &toml::de::Error) -> anyhow::Error {
        let start = error.span().map_or(0, |span| span.start);
        let before = self.text.bytes().take(start);
        let line = before.filter(|byte| *byte == b'\n').count() + 1;
        anyhow!(
            "{}, line {line}: {}",
            self.path.display(),
            error.message().trim_end()
        )
    }
}

/// The names of all settings, as the file has them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.into_iter().flatten().copied()
}

/// Reads a small text file that a setting names.
pub(super) fn read(path: &Path, setting: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("{setting}: cannot read {}", path.display()))
}
