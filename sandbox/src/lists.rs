//! Lists page by page, and single objects: the parts all reads share.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value};

use crate::directory::{Directory, Handle};
use crate::error::GraphError;
use crate::paging::{self, PageToken};
use crate::query::Options;
use crate::server::Server;

/// One read of the directory.
pub(crate) struct Read<'a> {
    pub(crate) server: &'a Server,
    pub(crate) directory: &'a Directory,
    pub(crate) options: &'a Options,
    /// The path as sent, such as `/v1.0/users`.
    pub(crate) path: &'a str,
    /// The query as sent.
    pub(crate) query: &'a str,
    /// The permissions in the caller's token.
    pub(crate) granted: &'a [String],
}

/// An ordered list of places, some of them empty.
pub(crate) struct Places<'a> {
    /// Names the list in page tokens.
    pub(crate) list: String,
    pub(crate) count: usize,
    pub(crate) at: &'a dyn Fn(usize) -> Option<Handle>,
}

impl Read<'_> {
    /// One page of the objects at these places that `show` gives something for.
    pub(crate) fn page(
        &self,
        context: &str,
        places: &Places<'_>,
        show: &dyn Fn(Handle) -> Option<Value>,
    ) -> Result<Value, GraphError> {
        let cap = self
            .server
            .settings(|settings| settings.shown.list_page_cap);
        let size = paging::page_size(self.options, cap)?;
        let generation = self.server.page_generation.load(Ordering::SeqCst);
        let start = match self.options.get("$skiptoken") {
            Some(text) => {
                PageToken::read(text, &places.list, &self.server.instance, generation)?.offset
            }
            None => 0,
        };
        let mut items = Vec::new();
        let mut next = None;
        for at in start..places.count {
            // Shown first, so that a link never leads to a page without items.
            let Some(item) = (places.at)(at).and_then(show) else {
                continue;
            };
            if items.len() == size {
                next = Some(at);
                break;
            }
            items.push(item);
        }
        let mut page = Map::new();
        page.insert("@odata.context".to_owned(), self.context(context));
        if let Some(offset) = next {
            let instance = self.server.instance.clone();
            let token = PageToken {
                list: places.list.clone(),
                offset,
                instance,
                generation,
            };
            page.insert("@odata.nextLink".to_owned(), self.link(&token).into());
        }
        page.insert("value".to_owned(), Value::Array(items));
        Ok(Value::Object(page))
    }

    /// A single object with its context.
    pub(crate) fn single(&self, context: &str, object: Value) -> Value {
        let mut body = Map::new();
        body.insert("@odata.context".to_owned(), self.context(context));
        if let Value::Object(object) = object {
            body.extend(object);
        }
        Value::Object(body)
    }

    fn context(&self, fragment: &str) -> Value {
        format!("{}/v1.0/$metadata#{fragment}", self.server.base).into()
    }

    fn link(&self, token: &PageToken) -> String {
        let rest = paging::without_skip_token(self.query);
        format!(
            "{}{}?{rest}$skiptoken={}",
            self.server.base,
            self.path,
            paging::seal(token)
        )
    }
}
