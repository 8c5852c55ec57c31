//! The account under which PostgreSQL runs.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use crate::SupportError;

/// Accounts that PostgreSQL may run under when the tests run as root, the preferred one first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// An account of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Gives `folder` to an unprivileged account and returns that, if the tests run as root;
    /// `None` if they do not.
    pub(crate) fn for_folder(folder: &Path) -> Result<Option<Self>, SupportError> {
        // We made the folder, so it belongs to whom we run as.
        let owner = fs::metadata(folder).map_err(SupportError::io("look at a server's folder"))?;
        if owner.uid() != 0 {
            return Ok(None);
        }
        let accounts =
            fs::read_to_string("/etc/passwd").map_err(SupportError::io("read the accounts"))?;
        let account = find(&accounts, &UNPRIVILEGED).ok_or(SupportError::NoAccount)?;
        chown(folder, Some(account.uid), Some(account.gid))
            .map_err(SupportError::io("give away a server's folder"))?;
        Ok(Some(account))
    }

    /// Lets `command` run under this account.
    pub(crate) fn run(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// Returns the first of `names` that the text of `/etc/passwd` knows.
fn find(accounts: &str, names: &[&str]) -> Option<Account> {
    names.iter().find_map(|name| {
        let fields = accounts
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(name))?;
        Some(Account {
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/bash\n\
                            nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";

    #[test]
    fn account_is_read_by_name() {
        let nobody = Account {
            uid: 65534,
            gid: 65533,
        };
        assert_eq!(find(ACCOUNTS, &UNPRIVILEGED), Some(nobody));
    }

    #[test]
    fn account_that_is_not_there_is_not_found() {
        assert_eq!(find(ACCOUNTS, &["postgres"]), None);
    }
}
