//! Text from outside, made short and safe.

/// Longest text kept of a property, in bytes. The longest Graph documents is about 1 KiB.
pub(crate) const LONGEST_TEXT: usize = 4096;

/// Longest message kept of an error, in bytes.
const LONGEST_MESSAGE: usize = 300;

/// Shortens text to at most `limit` bytes, never inside a character. Tells whether anything was cut.
pub(crate) fn cut(text: &mut String, limit: usize) -> bool {
    if text.len() <= limit {
        return false;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    true
}

/// Returns the first line of a message, without what could be a token, a secret or the query of a link.
pub(crate) fn message(raw: &str) -> String {
    let line = raw.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().map(safe_word).collect();
    let mut text: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    cut(&mut text, LONGEST_MESSAGE);
    text
}

/// Returns a code or an id, cut to a length that fits a log line.
pub(crate) fn code(raw: &str) -> String {
    let mut text: String = raw.chars().filter(|c| c.is_ascii_graphic()).collect();
    cut(&mut text, 120);
    safe_word(&text).to_owned()
}

fn safe_word(word: &str) -> &str {
    let lower = word.to_ascii_lowercase();
    if ["token=", "secret=", "assertion="]
        .iter()
        .any(|mark| lower.contains(mark))
        || is_jwt(&lower)
    {
        return "[removed]";
    }
    match word.split_once('?') {
        Some((head, _)) if head.contains("://") => head,
        _ => word,
    }
}

/// Every JWT starts with the base64 of `{"`.
fn is_jwt(lower: &str) -> bool {
    lower.contains("eyj") && lower.contains('.') && lower.len() > 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        let mut text = "aé".to_owned();
        assert!(cut(&mut text, 2));
        assert_eq!(text, "a");
        assert!(!cut(&mut text, 1));
    }

    #[test]
    fn a_message_is_its_first_line_without_links_and_tokens() {
        let raw = "AADSTS7: see https://x.example/a?b=c and eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIs.eyJhdWQ now.\r\nTrace ID: 1";
        assert_eq!(
            message(raw),
            "AADSTS7: see https://x.example/a and [removed] now."
        );
        assert_eq!(
            message("bad $skiptoken=abc in link"),
            "bad [removed] in link"
        );
        assert_eq!(message(""), "");
    }
}
