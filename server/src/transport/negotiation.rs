//! What the caller accepts and what it sends: `Accept` and `Content-Type`.

use axum::http::{HeaderMap, HeaderValue, header};

/// A media type that the endpoint answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`, whose status can be trusted.
    GraphqlResponse,
    /// `application/json`, of clients older than that.
    Json,
    /// `text/event-stream`.
    EventStream,
}

impl Media {
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
        })
    }
}

/// What an `Accept` header lets the endpoint answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The JSON type that is liked best, if any is accepted.
    pub(super) json: Option<Media>,
    /// Whether event streams are named; a wildcard does not name them.
    pub(super) event_stream: bool,
    /// Whether this is a browser that opens a page.
    pub(super) html: bool,
}

impl Accepted {
    /// Reads the header. A request without one accepts `application/json`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let ranges = ranges(headers);
        if ranges.is_empty() {
            return Self {
                json: Some(Media::Json),
                event_stream: false,
                html: false,
            };
        }
        Self {
            json: json(&ranges),
            event_stream: named(&ranges, "text", "event-stream"),
            html: named(&ranges, "text", "html"),
        }
    }

    /// Returns the media type for a single result. urql lists event streams with every query, so they come last.
    pub(super) fn for_result(self) -> Option<Media> {
        self.json
            .or(self.event_stream.then_some(Media::EventStream))
    }

    /// Returns the media type for errors that come before a result.
    pub(super) fn for_refusal(self) -> Media {
        self.json.unwrap_or(Media::Json)
    }
}

/// Whether a body of this type is read. Only JSON, which a foreign page cannot send without asking first (CORS).
pub(super) fn is_json_body(headers: &HeaderMap) -> bool {
    let Some(value) = text(headers.get(header::CONTENT_TYPE)) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    };
    essence.eq_ignore_ascii_case("application/json") && parts.all(utf8)
}

/// One entry of an `Accept` header.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    /// Thousandths, so that two of them compare exactly.
    quality: u16,
}

impl Range<'_> {
    fn is(&self, main: &str, sub: &str) -> bool {
        self.main.eq_ignore_ascii_case(main) && self.sub.eq_ignore_ascii_case(sub)
    }
}

fn ranges(headers: &HeaderMap) -> Vec<Range<'_>> {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| text(Some(value)))
        .flat_map(|value| value.split(','))
        .filter_map(range)
        .collect()
}

fn range(entry: &str) -> Option<Range<'_>> {
    let mut parts = entry.split(';').map(str::trim);
    let (main, sub) = parts.next()?.split_once('/')?;
    let mut quality = 1000;
    for parameter in parts {
        match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                quality = thousandths(value.trim());
            }
            // A JSON answer is always UTF-8, so another charset cannot be served.
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                let value = value.trim().trim_matches('"');
                if !value.eq_ignore_ascii_case("utf-8") {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(Range { main, sub, quality })
}

fn thousandths(quality: &str) -> u16 {
    let quality: f32 = quality.parse().unwrap_or(0.0);
    // A negative or missing number becomes 0, one above 1 becomes 1: `as` saturates.
    (quality.clamp(0.0, 1.0) * 1000.0) as u16
}

// Of equal quality, the newer type wins when it is named and the older one when only a wildcard fits.
fn json(ranges: &[Range<'_>]) -> Option<Media> {
    let newer = quality(ranges, "application", "graphql-response+json");
    let older = quality(ranges, "application", "json");
    let newer_is_named = named(ranges, "application", "graphql-response+json");
    let prefer_newer = newer > older || (newer == older && newer_is_named);
    match (newer, older) {
        (0, 0) => None,
        _ if prefer_newer => Some(Media::GraphqlResponse),
        _ => Some(Media::Json),
    }
}

fn named(ranges: &[Range<'_>], main: &str, sub: &str) -> bool {
    ranges
        .iter()
        .any(|range| range.is(main, sub) && range.quality > 0)
}

// The most specific range decides, as RFC 9110 section 12.5.1 says, so `*/*, application/json;q=0` excludes JSON.
fn quality(ranges: &[Range<'_>], main: &str, sub: &str) -> u16 {
    [(main, sub), (main, "*"), ("*", "*")]
        .into_iter()
        .find_map(|(main, sub)| ranges.iter().find(|range| range.is(main, sub)))
        .map_or(0, |range| range.quality)
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "application/graphql-response+json";

    fn accept(value: &str) -> Accepted {
        let value = HeaderValue::from_str(value).expect("a header value of a test");
        Accepted::of(&HeaderMap::from_iter([(header::ACCEPT, value)]))
    }

    fn content_type(value: &'static str) -> bool {
        let value = HeaderValue::from_static(value);
        is_json_body(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)]))
    }

    #[test]
    fn client_that_accepts_only_json_gets_json() {
        assert_eq!(accept("application/json").json, Some(Media::Json));
    }

    #[test]
    fn newer_type_wins_when_both_are_named() {
        assert_eq!(
            accept(&format!("application/json, {NEW}")).json,
            Some(Media::GraphqlResponse)
        );
    }

    #[test]
    fn quality_decides_between_the_two() {
        let value = format!("application/json;q=0.9, {NEW};q=0.1");
        assert_eq!(accept(&value).json, Some(Media::Json));
    }

    #[test]
    fn wildcard_and_silence_mean_json() {
        assert_eq!(accept("*/*").json, Some(Media::Json));
        assert_eq!(Accepted::of(&HeaderMap::new()).json, Some(Media::Json));
    }

    #[test]
    fn excluded_type_is_not_served_through_a_wildcard() {
        let value = format!("*/*, application/json;q=0, {NEW};q=0");
        assert_eq!(accept(&value).for_result(), None);
    }

    #[test]
    fn image_is_not_acceptable() {
        assert_eq!(accept("image/png").for_result(), None);
    }

    #[test]
    fn event_stream_is_the_last_choice_for_a_single_result() {
        let urql = accept(&format!(
            "{NEW}, application/json, text/event-stream, multipart/mixed"
        ));
        assert_eq!(urql.for_result(), Some(Media::GraphqlResponse));
        assert_eq!(
            accept("text/event-stream").for_result(),
            Some(Media::EventStream)
        );
    }

    #[test]
    fn wildcard_does_not_ask_for_an_event_stream() {
        assert!(!accept("*/*").event_stream);
    }

    #[test]
    fn only_json_in_utf8_is_read() {
        assert!(content_type("application/json"));
        assert!(content_type("Application/JSON; charset=\"UTF-8\""));
        assert!(!content_type("application/json; charset=latin1"));
        assert!(!content_type("text/plain"));
        assert!(!content_type("multipart/form-data; boundary=x"));
        assert!(!is_json_body(&HeaderMap::new()));
    }
}
