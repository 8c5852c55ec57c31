//! The id that ties a log line to what the caller saw.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Header that carries the id in both directions.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a caller; a UUID has 36 characters.
const MAX_LENGTH: usize = 64;

/// The id of one request or of one operation on a socket. Resolvers find it with `ctx.data::<RequestId>()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

impl RequestId {
    /// Returns a fresh id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// Returns the id that a proxy in front has given, or a fresh one when there is none or it is not plain.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        headers
            .get(&HEADER)
            .and_then(|value| value.to_str().ok())
            .filter(|id| is_plain(id))
            .map_or_else(Self::generate, |id| Self(id.to_owned()))
    }

    pub(super) fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

// The id goes into logs and headers, so nothing that could break a line or be taken for markup.
fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= MAX_LENGTH && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(id: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, HeaderValue::from_static(id))])
    }

    #[test]
    fn plain_id_of_a_proxy_is_kept() {
        assert_eq!(RequestId::of(&headers("req-1.a_B")).0, "req-1.a_B");
    }

    #[test]
    fn id_with_markup_is_replaced() {
        assert_eq!(RequestId::of(&headers("<b>")).0.len(), 36);
    }
}
