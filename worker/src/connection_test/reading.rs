//! Reading a few objects of each kind, as a sample.

use lockstep_domain::{Check, CheckKind, CheckStatus};
use lockstep_graph::{ErrorClass, GraphClient, GraphError, Group, GroupSelect, UserSelect};
use lockstep_store::connection_test::TestResult;

use super::Testing;
use super::checks::refused;
use crate::inbound::patch::{self, patch};
use crate::permission::remedy;

/// Users, groups and members that are read as a sample.
const SAMPLE: u16 = 5;
/// Visibility of a group whose members are hidden.
const HIDDEN: &str = "HiddenMembership";

impl Testing<'_> {
    /// Reads a few users with their managers, and whether changes of both can be followed.
    pub(super) async fn read_users(&self, client: &GraphClient, result: &mut TestResult) {
        let started = self.worker.store.now();
        let users = match client
            .sample_users(SAMPLE, UserSelect { manager: true })
            .await
        {
            Ok(users) => users,
            Err(error) => {
                return result
                    .checks
                    .extend(self.timed(vec![refused(CheckKind::ReadUsers, &error)], started));
            }
        };
        let message = format!("Read as a sample: {}.", counted(users.len(), "user"));
        result.checks.extend(self.timed(
            vec![Check::new(
                CheckKind::ReadUsers,
                CheckStatus::Passed,
                message,
            )],
            started,
        ));
        result.sample_users = users
            .into_iter()
            .filter_map(|user| patch(user).over(None))
            .collect();
        let started = self.worker.store.now();
        let check = match client
            .users_delta_latest(UserSelect { manager: true })
            .await
        {
            Ok(_) => Check::new(
                CheckKind::ReadManagers,
                CheckStatus::Passed,
                "Managers and changes can be read.",
            ),
            Err(error) => refused(CheckKind::ReadManagers, &error),
        };
        result.checks.extend(self.timed(vec![check], started));
    }

    /// Reads a few groups, and the members of one of them.
    pub(super) async fn read_groups(
        &self,
        client: &GraphClient,
        select: GroupSelect,
        result: &mut TestResult,
    ) {
        let started = self.worker.store.now();
        let groups = sample(client, select).await;
        let check = match &groups {
            Ok(groups) => Check::new(
                CheckKind::ReadGroups,
                CheckStatus::Passed,
                format!("Read as a sample: {}.", counted(groups.len(), "group")),
            ),
            Err(error) => refused_group(CheckKind::ReadGroups, error, "Group.Read.All"),
        };
        result.checks.extend(self.timed(vec![check], started));
        let started = self.worker.store.now();
        let check = match groups {
            Ok(groups) => {
                let check = read_members(client, &groups).await;
                result.sample_groups = groups
                    .into_iter()
                    .filter_map(|group| patch::group(group).over(None))
                    .collect();
                check
            }
            Err(_) => Check::new(
                CheckKind::ReadMembers,
                CheckStatus::Skipped,
                "Not tried, as groups could not be read.",
            ),
        };
        result.checks.extend(self.timed(vec![check], started));
    }
}

/// Reads a few groups, and asks for their changes with all that a run tracks.
async fn sample(client: &GraphClient, select: GroupSelect) -> Result<Vec<Group>, GraphError> {
    client.groups_delta_latest(select).await?;
    client.sample_groups(SAMPLE, select).await
}

async fn read_members(client: &GraphClient, groups: &[Group]) -> Check {
    // Whether a group that hides its members tells them hangs on a permission of its own.
    let hides = |group: &Group| {
        let visibility = group.visibility.as_str();
        visibility.is_some_and(|name| name.eq_ignore_ascii_case(HIDDEN))
    };
    let Some(group) = groups.iter().find(|group| !hides(group)) else {
        let message = "There was no group whose members could be read.";
        return Check::new(CheckKind::ReadMembers, CheckStatus::Skipped, message);
    };
    match client.sample_members(&group.id, SAMPLE).await {
        Ok(members) => Check::new(
            CheckKind::ReadMembers,
            CheckStatus::Passed,
            format!(
                "Read as a sample: {} of a group.",
                counted(members.len(), "member")
            ),
        ),
        Err(error) => refused_group(CheckKind::ReadMembers, &error, "GroupMember.Read.All"),
    }
}

/// Names the permission at fault, which is another one than for users.
fn refused_group(kind: CheckKind, error: &GraphError, permission: &str) -> Check {
    let check = refused(kind, error);
    match error.class() {
        ErrorClass::Permission => check.remedy(remedy(&[permission])),
        _ => check,
    }
}

fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
