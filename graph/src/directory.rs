//! Reads users and groups: all of them, what changed, or a sample.

use crate::{
    DeltaLink, GraphClient, GraphError, Group, GroupSelect, Member, Pages, User, UserSelect,
    group::GroupWire,
    page::{self, Protocol, Reader},
    url::{self, Expand, Relation},
    user::{ExpandedUserWire, UserWire},
    wire::Link,
};

const LIST_USERS: &str = "read users";
const USER_CHANGES: &str = "read changes of users";
const LIST_GROUPS: &str = "read groups";
const GROUP_CHANGES: &str = "read changes of groups";

impl GraphClient {
    /// Reads all users.
    pub fn list_users(&self, select: UserSelect) -> Pages<User> {
        let at = |expand| {
            self.inner
                .root
                .absolute(&url::users(select, expand, url::LARGEST_PAGE))
        };
        if !select.manager {
            return self.pages(
                LIST_USERS,
                Protocol::List,
                page::read::<UserWire>,
                at(Expand::Nothing),
            );
        }
        let pages = self.pages(
            LIST_USERS,
            Protocol::List,
            page::read::<ExpandedUserWire>,
            at(Expand::ManagerId),
        );
        pages.or_else(at(Expand::Manager))
    }

    /// Reads all users as the first round of changes.
    pub fn users_delta(&self, select: UserSelect) -> Pages<User> {
        let link = self.inner.root.absolute(&url::users_delta(select));
        self.pages(USER_CHANGES, Protocol::Delta, page::read::<UserWire>, link)
    }

    /// Reads the changes of users since a delta link, or goes on inside a round from a page's next link.
    /// Refuses a link that leads elsewhere.
    pub fn resume_users(&self, link: &DeltaLink) -> Result<Pages<User>, GraphError> {
        self.resume(
            USER_CHANGES,
            "users",
            link,
            Protocol::Delta,
            page::read::<UserWire>,
        )
    }

    /// Returns the link to changes of users from now on.
    pub async fn users_delta_latest(&self, select: UserSelect) -> Result<DeltaLink, GraphError> {
        self.latest_link(
            USER_CHANGES,
            &url::users_delta(select),
            page::read::<UserWire>,
        )
        .await
    }

    /// Reads all groups, without members and owners.
    pub fn list_groups(&self, select: GroupSelect) -> Pages<Group> {
        let link = self
            .inner
            .root
            .absolute(&url::groups(select, url::LARGEST_PAGE));
        self.pages(LIST_GROUPS, Protocol::List, page::read::<GroupWire>, link)
    }

    /// Reads all groups as the first round of changes.
    pub fn groups_delta(&self, select: GroupSelect) -> Pages<Group> {
        let link = self.inner.root.absolute(&url::groups_delta(select));
        self.pages(
            GROUP_CHANGES,
            Protocol::Delta,
            page::read::<GroupWire>,
            link,
        )
    }

    /// Reads the changes of groups since a delta link, or goes on inside a round from a page's next link.
    /// Refuses a link that leads elsewhere.
    pub fn resume_groups(&self, link: &DeltaLink) -> Result<Pages<Group>, GraphError> {
        self.resume(
            GROUP_CHANGES,
            "groups",
            link,
            Protocol::Delta,
            page::read::<GroupWire>,
        )
    }

    /// Returns the link to changes of groups from now on.
    pub async fn groups_delta_latest(&self, select: GroupSelect) -> Result<DeltaLink, GraphError> {
        self.latest_link(
            GROUP_CHANGES,
            &url::groups_delta(select),
            page::read::<GroupWire>,
        )
        .await
    }

    /// Reads some users, at most 999.
    pub async fn sample_users(&self, n: u16, select: UserSelect) -> Result<Vec<User>, GraphError> {
        let path = url::users(select, Expand::Nothing, sample_size(n));
        self.sample(LIST_USERS, &path, page::read::<UserWire>).await
    }

    /// Reads some groups, at most 999.
    pub async fn sample_groups(
        &self,
        n: u16,
        select: GroupSelect,
    ) -> Result<Vec<Group>, GraphError> {
        let path = url::groups(select, sample_size(n));
        self.sample(LIST_GROUPS, &path, page::read::<GroupWire>)
            .await
    }

    /// Reads some members of a group, at most 999.
    pub async fn sample_members(&self, group_id: &str, n: u16) -> Result<Vec<Member>, GraphError> {
        let relation = Relation::Members;
        let path = url::related(group_id, relation, sample_size(n));
        self.sample(relation.operation(), &path, page::read::<Link>)
            .await
    }

    pub(crate) async fn sample<T>(
        &self,
        operation: &'static str,
        path: &str,
        read: Reader<T>,
    ) -> Result<Vec<T>, GraphError> {
        let mut pages = self.pages(
            operation,
            Protocol::List,
            read,
            self.inner.root.absolute(path),
        );
        Ok(pages
            .next()
            .await?
            .map(|page| page.items)
            .unwrap_or_default())
    }

    pub(crate) fn resume<T>(
        &self,
        operation: &'static str,
        collection: &str,
        link: &DeltaLink,
        protocol: Protocol,
        read: Reader<T>,
    ) -> Result<Pages<T>, GraphError> {
        let root = &self.inner.root;
        match root.own(link.as_str()) {
            Some(url) if root.leads_to(&url, collection) => {
                Ok(self.pages(operation, protocol, read, link.as_str().to_owned()))
            }
            _ => Err(GraphError::ForeignLink { operation }),
        }
    }

    async fn latest_link<T>(
        &self,
        operation: &'static str,
        delta: &str,
        read: Reader<T>,
    ) -> Result<DeltaLink, GraphError> {
        let link = self.inner.root.absolute(&url::from_now(delta));
        let mut pages = self.pages(operation, Protocol::Delta, read, link);
        let mut latest = None;
        while let Some(page) = pages.next().await? {
            latest = page.delta_link;
        }
        latest.ok_or(GraphError::BadResponse {
            operation,
            reason: "a round without a delta link",
            status: 200,
        })
    }

    fn pages<T>(
        &self,
        operation: &'static str,
        protocol: Protocol,
        read: Reader<T>,
        link: String,
    ) -> Pages<T> {
        Pages::new(self, operation, protocol, read, link)
    }
}

fn sample_size(n: u16) -> u16 {
    n.clamp(1, url::LARGEST_PAGE)
}
