//! Reads the direct members and the owners of groups.

use crate::{
    BatchRequest, DeltaLink, GraphClient, GraphError, Member, Page, Pages,
    page::{self, Protocol},
    url::{self, Relation},
    wire::Link,
};

impl Relation {
    /// What reading it is called in errors.
    pub(crate) const fn operation(self) -> &'static str {
        match self {
            Self::Members => "read group members",
            Self::Owners => "read group owners",
        }
    }
}

impl GraphClient {
    /// Reads the direct members of a group. A group that is not there is [`GraphError::NotFound`]. Without
    /// `Member.Read.Hidden` the members of a group with hidden membership are not told.
    pub fn group_members(&self, id: &str) -> Pages<Member> {
        self.related(id, Relation::Members)
    }

    /// Reads the owners of a group. A group that is not there is [`GraphError::NotFound`].
    pub fn group_owners(&self, id: &str) -> Pages<Member> {
        self.related(id, Relation::Owners)
    }

    /// Goes on with the members of a group from a page's [`next_link`](Page::next_link), or with its owners:
    /// the link itself says which. Refuses a link that does not lead to groups. Errors speak of members in
    /// both cases.
    pub fn resume_members(&self, link: &DeltaLink) -> Result<Pages<Member>, GraphError> {
        self.resume(
            Relation::Members.operation(),
            "groups",
            link,
            Protocol::List,
            page::read::<Link>,
        )
    }

    /// Reads the first page of members of many groups, in the order of the ids. Groups with more than 999
    /// members have a [`next_link`](Page::next_link) to go on from. Ask for 20 groups at a time, which is
    /// one request; more are held in memory together.
    pub async fn group_members_batch(
        &self,
        group_ids: &[String],
    ) -> Result<Vec<(String, Result<Page<Member>, GraphError>)>, GraphError> {
        self.related_batch(group_ids, Relation::Members).await
    }

    /// Reads the first page of owners of many groups, as [`group_members_batch`](Self::group_members_batch)
    /// does of members. Graph allows a group 100 owners, so that a second page is not to be expected.
    pub async fn group_owners_batch(
        &self,
        group_ids: &[String],
    ) -> Result<Vec<(String, Result<Page<Member>, GraphError>)>, GraphError> {
        self.related_batch(group_ids, Relation::Owners).await
    }

    fn related(&self, group: &str, relation: Relation) -> Pages<Member> {
        let path = url::related(group, relation, url::LARGEST_PAGE);
        Pages::new(
            self,
            relation.operation(),
            Protocol::List,
            page::read::<Link>,
            self.inner.root.absolute(&path),
        )
    }

    async fn related_batch(
        &self,
        group_ids: &[String],
        relation: Relation,
    ) -> Result<Vec<(String, Result<Page<Member>, GraphError>)>, GraphError> {
        let requests = group_ids
            .iter()
            .map(|id| BatchRequest::related(id, relation))
            .collect();
        let responses = self.batch(requests).await?;
        let pages = responses
            .into_iter()
            .map(|response| self.first_page(relation, response.result?.get()));
        Ok(group_ids.iter().cloned().zip(pages).collect())
    }

    fn first_page(&self, relation: Relation, body: &str) -> Result<Page<Member>, GraphError> {
        let operation = relation.operation();
        let bad = |reason| GraphError::BadResponse {
            operation,
            reason,
            status: 200,
        };
        page::read::<Link>(body.as_bytes())
            .map_err(bad)?
            .into_page(operation, &self.inner.root)
    }
}
