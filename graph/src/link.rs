//! Links that Graph gives us: kept whole, followed byte for byte, and only to where we were told to ask.

use std::fmt;

use reqwest::Url;

/// A link to go on from: a `deltaLink` of a completed round, or a `nextLink` inside one. Opaque, and worth
/// as much as the query it stands for: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DeltaLink(String);

impl DeltaLink {
    /// Takes a link that was stored.
    pub fn new(link: impl Into<String>) -> Self {
        Self(link.into())
    }

    /// Returns the link, to be stored as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the link, to be stored as it is.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for DeltaLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeltaLink(..)")
    }
}

/// Parses a link, if its path and query will be sent as they stand. The HTTP client would repair what is
/// not quite a URL (spaces, `..`, a backslash) and so ask for something else than Graph said.
///
/// One repair is let through: an apostrophe in the query goes out as `%27`, which OData reads alike.
pub(crate) fn verbatim(link: &str) -> Option<Url> {
    let (_, rest) = link.split_once("://")?;
    let target = &rest[rest.find('/')?..];
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.replace('\'', "%27"))),
        None => (target, None),
    };
    let url = Url::parse(link).ok()?;
    (url.path() == path && url.query() == query.as_deref()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "https://graph.microsoft.com/v1.0";

    #[test]
    fn links_of_graph_are_kept_to_the_byte() {
        for tail in [
            "/users?$top=5&$skiptoken=X%274453707...6633B9%27",
            "/users/delta?$deltatoken=oEcOySpF_hWYmTIUZBOI-njKhFiGl~!*(),;:@/?=&+%2B%2b",
            "/users/microsoft.graph.delta()?$select=id,displayName&$expand=manager($select=id)",
            "/servicePrincipals(appId='x')?$select=id",
        ] {
            let link = format!("{ROOT}{tail}");
            assert_eq!(verbatim(&link).unwrap().as_str(), link);
        }
    }

    #[test]
    fn an_apostrophe_in_the_query_is_the_only_repair() {
        let url = verbatim(&format!("{ROOT}/users?$skiptoken=X'44'")).unwrap();
        assert_eq!(url.as_str(), format!("{ROOT}/users?$skiptoken=X%2744%27"));
        for tail in [
            "/a/../users",
            "/users?a=b c",
            "/users\\x",
            "/users#x",
            "/us\ters",
            "/users?$filter=é",
            "/a/%2e%2e/b",
        ] {
            assert!(verbatim(&format!("{ROOT}{tail}")).is_none(), "{tail}");
        }
        assert!(verbatim("/users").is_none());
        assert!(verbatim("").is_none());
    }

    #[test]
    fn debug_does_not_show_a_link() {
        assert!(!format!("{:?}", DeltaLink::new("https://x/?$deltatoken=abc")).contains("abc"));
    }
}
