//! Pages: one at a time, to the last, and no page twice.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{DeltaLink, GraphClient, GraphError, fetch::Call, url::Root};

/// One page of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The objects. An empty page need not be the last.
    pub items: Vec<T>,
    /// Where later changes are, on the last page of a round.
    pub delta_link: Option<DeltaLink>,
    /// Where the next page is, on all but the last.
    pub next_link: Option<DeltaLink>,
    /// Whether this is the last page.
    pub last: bool,
    /// How many texts were cut because they were longer than 4 KiB.
    pub truncated: usize,
}

/// The pages of one read. After an error the same page can be asked for again.
pub struct Pages<T> {
    client: GraphClient,
    operation: &'static str,
    protocol: Protocol,
    read: Reader<T>,
    next: Option<String>,
    fallback: Option<String>,
    seen: HashSet<u64>,
}

/// How a read ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// With a page that has no link.
    List,
    /// With a page that has a delta link.
    Delta,
}

/// An object as it comes over the wire.
pub(crate) trait Wire: DeserializeOwned {
    type Item;

    /// Converts it and counts the texts that were cut.
    fn into_item(self, truncated: &mut usize) -> Self::Item;
}

/// What a page contains.
#[derive(Debug)]
pub(crate) struct Content<T> {
    items: Vec<T>,
    next: Option<String>,
    delta: Option<String>,
    truncated: usize,
}

/// Reads a page.
pub(crate) type Reader<T> = fn(&[u8]) -> Result<Content<T>, &'static str>;

#[derive(Deserialize)]
struct Envelope<W> {
    value: Vec<W>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta: Option<String>,
}

/// Reads a page of some type.
pub(crate) fn read<W: Wire>(body: &[u8]) -> Result<Content<W::Item>, &'static str> {
    let Envelope { value, next, delta } =
        serde_json::from_slice::<Envelope<W>>(body).map_err(|_| "not a page of objects")?;
    let mut truncated = 0;
    let items = value
        .into_iter()
        .map(|wire| wire.into_item(&mut truncated))
        .collect();
    Ok(Content {
        items,
        next,
        delta,
        truncated,
    })
}

impl<T> Content<T> {
    /// A round of changes has exactly one way to go on. Without any it would end unnoticed.
    pub(crate) fn checked(self, protocol: Protocol) -> Result<Self, &'static str> {
        match (protocol, &self.next, &self.delta) {
            (Protocol::Delta, Some(_), Some(_)) => Err("a page with both links"),
            (Protocol::Delta, None, None) => Err("a page without any link"),
            _ => Ok(self),
        }
    }

    /// Accepts the page, if its links lead to our Graph.
    pub(crate) fn into_page(
        self,
        operation: &'static str,
        root: &Root,
    ) -> Result<Page<T>, GraphError> {
        let Self {
            items,
            next,
            delta,
            truncated,
        } = self;
        if [&next, &delta]
            .into_iter()
            .flatten()
            .any(|link| root.own(link).is_none())
        {
            return Err(GraphError::ForeignLink { operation });
        }
        let last = next.is_none();
        Ok(Page {
            items,
            delta_link: delta.map(DeltaLink::new),
            next_link: next.map(DeltaLink::new),
            last,
            truncated,
        })
    }
}

impl<T> Pages<T> {
    pub(crate) fn new(
        client: &GraphClient,
        operation: &'static str,
        protocol: Protocol,
        read: Reader<T>,
        link: String,
    ) -> Self {
        let client = client.clone();
        Self {
            client,
            operation,
            protocol,
            read,
            next: Some(link),
            fallback: None,
            seen: HashSet::new(),
        }
    }

    /// Names another first link, for a Graph that refuses the first.
    pub(crate) fn or_else(mut self, link: String) -> Self {
        self.fallback = Some(link);
        self
    }

    /// Returns the next page, and none after the last.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, GraphError> {
        while let Some(link) = self.next.clone() {
            let page = match self.fetch(&link).await {
                Err(error) if self.falls_back(&error) => continue,
                outcome => outcome?,
            };
            self.fallback = None;
            self.turn(&link, &page)?;
            return Ok(Some(page));
        }
        Ok(None)
    }

    /// Turns to the other first link, if there is one and Graph refused this one as such.
    fn falls_back(&mut self, error: &GraphError) -> bool {
        let refused = matches!(error, GraphError::Refused { answer, .. } if answer.status == 400);
        let fallback = self.fallback.take_if(|_| refused);
        let turned = fallback.is_some();
        self.next = fallback.or(self.next.take());
        turned
    }

    async fn fetch(&self, link: &str) -> Result<Page<T>, GraphError> {
        let (operation, inner) = (self.operation, &self.client.inner);
        let url = inner
            .root
            .own(link)
            .ok_or(GraphError::ForeignLink { operation })?;
        let call = Call::get(operation, url, inner.options.request_timeout);
        let (read, protocol) = (self.read, self.protocol);
        let content = inner
            .fetch(&call, |reply| read(&reply.body)?.checked(protocol))
            .await?;
        content.into_page(operation, &inner.root)
    }

    /// Turns to the next page, unless this round has been there.
    fn turn(&mut self, link: &str, page: &Page<T>) -> Result<(), GraphError> {
        self.seen.insert(hash(link));
        let next = page.next_link.as_ref().map(DeltaLink::as_str);
        if next.is_some_and(|next| self.seen.contains(&hash(next))) {
            return Err(GraphError::LoopingLink {
                operation: self.operation,
            });
        }
        self.next = next.map(str::to_owned);
        Ok(())
    }
}

fn hash(link: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    link.hash(&mut hasher);
    hasher.finish()
}
