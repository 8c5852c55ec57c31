//! Finding installed programs.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Returns the program `name` from the search path.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Returns the first folder that holds all of `names`.
pub(crate) fn folder_with(
    names: &[&str],
    folders: impl IntoIterator<Item = PathBuf>,
) -> Option<PathBuf> {
    folders
        .into_iter()
        .find(|folder| names.iter().all(|name| folder.join(name).is_file()))
}

/// Returns `root/<version>/bin` for every version, the newest first.
pub(crate) fn versions(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_comes_first_by_number() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "17", "15", "common"] {
            fs::create_dir(root.path().join(version)).unwrap();
        }
        let found = versions(root.path());
        let expected: Vec<_> = ["17", "15", "9"]
            .iter()
            .map(|version| root.path().join(version).join("bin"))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn folder_must_hold_all_programs() {
        let root = tempfile::tempdir().unwrap();
        let (half, whole) = (root.path().join("half"), root.path().join("whole"));
        for file in ["half/a", "whole/a", "whole/b"] {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        assert_eq!(folder_with(&["a", "b"], [half, whole.clone()]), Some(whole));
    }
}
