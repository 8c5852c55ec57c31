//! The server itself.

use async_graphql::{Context, Object, SimpleObject};

use crate::scalar::{LanguageTag, Timestamp, int};
use crate::{Limits, MAX_COMPLEXITY, app, page};

/// Version and limits of the server, for support and for clients that adapt to limits.
pub(crate) struct ServiceInfo;

/// Version and limits of the server, for support and for clients that adapt to limits.
#[Object]
impl ServiceInfo {
    /// Semantic version of the server.
    async fn version<'a>(&self, ctx: &Context<'a>) -> &'a str {
        &app(ctx).version
    }

    /// Source revision the server was built from.
    async fn revision<'a>(&self, ctx: &Context<'a>) -> Option<&'a str> {
        app(ctx).revision.as_deref()
    }

    /// Greatest page size a connection accepts.
    async fn max_page_size(&self) -> i32 {
        page::MAX_PAGE
    }

    /// Greatest depth of selection sets a document may have.
    async fn max_depth(&self, ctx: &Context<'_>) -> i32 {
        int(ctx.data_opt::<Limits>().copied().unwrap_or_default().depth)
    }

    /// Greatest complexity a document may have.
    async fn max_complexity(&self) -> i32 {
        int(MAX_COMPLEXITY)
    }

    /// The present time of the server.
    async fn server_time(&self, ctx: &Context<'_>) -> Timestamp {
        app(ctx).store.now().into()
    }

    /// Languages that e-mails can be written in, for choosing a default language.
    async fn languages(&self, ctx: &Context<'_>) -> Vec<Language> {
        let languages = &app(ctx).languages;
        languages
            .iter()
            .map(|language| Language {
                tag: LanguageTag(language.tag.clone()),
                name: language.name.clone(),
            })
            .collect()
    }
}

/// A language that e-mails can be written in.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Language {
    /// Tag of the language.
    tag: LanguageTag,
    /// Name of the language in itself, for example `Deutsch`.
    name: String,
}
