//! Query strings and forms, decoded.

use crate::error::GraphError;

/// The options of one request, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options(Vec<(String, String)>);

/// OData names that Graph also takes without their `$`.
const SYSTEM_OPTIONS: &[&str] = &[
    "select",
    "top",
    "skip",
    "skiptoken",
    "deltatoken",
    "expand",
    "filter",
    "orderby",
    "search",
    "count",
    "format",
];

impl Options {
    /// Reads a query string or a form body.
    pub(crate) fn parse(text: &str) -> Options {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Options(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// Reads a query string of Graph, where system options may lack their `$`.
    pub(crate) fn parse_odata(text: &str) -> Options {
        let mut options = Options::parse(text);
        for (name, _) in &mut options.0 {
            if SYSTEM_OPTIONS.contains(&name.as_str()) {
                name.insert(0, '$');
            }
        }
        options
    }

    /// The value of an option.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Refuses system options that this path does not have, and repeated ones. Options without `$`
    /// are custom ones, which OData ignores.
    pub(crate) fn only(&self, allowed: &[&str]) -> Result<(), GraphError> {
        let system = self
            .0
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with('$'));
        let mut seen: Vec<&str> = Vec::new();
        for name in system {
            if !allowed.contains(&name) {
                let text = format!("The query option '{name}' is not supported on this request.");
                return Err(GraphError::unsupported_query(text));
            }
            if seen.contains(&name) {
                let text = format!(
                    "Query option '{name}' was specified more than once, but it must be specified at most once."
                );
                return Err(GraphError::bad_request(text));
            }
            seen.push(name);
        }
        Ok(())
    }
}

/// Undoes percent-encoding; what is no valid encoding stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = match (bytes[at], bytes.get(at + 1..at + 3)) {
            (b'%', Some(hex)) => match (digit(hex[0]), digit(hex[1])) {
                (Some(high), Some(low)) => {
                    at += 2;
                    high * 16 + low
                }
                _ => b'%',
            },
            (b'+', _) => b' ',
            (byte, _) => byte,
        };
        decoded.push(byte);
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Undoes percent-encoding in a path, where a plus is a plus.
pub(crate) fn decode_path(text: &str) -> String {
    decode(&text.replace('+', "%2B"))
}

/// Encodes a value for a query string.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' => {
                encoded.push(byte as char)
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn digit(byte: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_decoded_and_broken_encoding_is_left_alone() {
        let options =
            Options::parse_odata("%24select=id%2CdisplayName&$filter=id+eq+'a'&top=5&x=%zz&%");
        assert_eq!(options.get("$select"), Some("id,displayName"));
        assert_eq!(options.get("$filter"), Some("id eq 'a'"));
        assert_eq!(options.get("$top"), Some("5"));
        assert_eq!(options.get("x"), Some("%zz"));
        assert_eq!(decode(&encode("a+b c/ü'#")), "a+b c/ü'#");
        assert_eq!(decode_path("a+b%23"), "a+b#");
    }

    #[test]
    fn unknown_and_repeated_system_options_are_refused_and_custom_ones_ignored() {
        assert!(
            Options::parse_odata("$select=id&page=2&page=3")
                .only(&["$select"])
                .is_ok()
        );
        assert!(Options::parse_odata("$top=1").only(&["$select"]).is_err());
        assert!(
            Options::parse_odata("$select=id&select=mail")
                .only(&["$select"])
                .is_err()
        );
    }
}
