//! Reads the direct members of groups.

use crate::{
    BatchRequest, DeltaLink, GraphClient, GraphError, Member, Page, Pages,
    page::{self, Protocol},
    url,
    wire::Link,
};

const OPERATION: &str = "read group members";

impl GraphClient {
    /// Reads the direct members of a group. A group that is not there is [`GraphError::NotFound`]. Without
    /// `Member.Read.Hidden` the members of a group with hidden membership are not told.
    pub fn group_members(&self, id: &str) -> Pages<Member> {
        let link = self
            .inner
            .root
            .absolute(&url::members(id, url::LARGEST_PAGE));
        Pages::new(self, OPERATION, Protocol::List, page::read::<Link>, link)
    }

    /// Goes on with the members of a group from a page's [`next_link`](Page::next_link).
    pub fn resume_members(&self, link: &DeltaLink) -> Result<Pages<Member>, GraphError> {
        self.resume(
            OPERATION,
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
        let requests = group_ids
            .iter()
            .map(|id| BatchRequest::members(id))
            .collect();
        let responses = self.batch(requests).await?;
        let pages = responses
            .into_iter()
            .map(|response| self.first_page(response.result?.get()));
        Ok(group_ids.iter().cloned().zip(pages).collect())
    }

    fn first_page(&self, body: &str) -> Result<Page<Member>, GraphError> {
        let bad = |reason| GraphError::BadResponse {
            operation: OPERATION,
            reason,
            status: 200,
        };
        page::read::<Link>(body.as_bytes())
            .map_err(bad)?
            .into_page(OPERATION, &self.inner.root)
    }
}
