//! Pages: their size, and opaque tokens that say where the next one begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use axum::http::StatusCode;

use crate::error::GraphError;
use crate::query::Options;

/// Page size of a list without `$top`.
const DEFAULT_PAGE: usize = 100;
/// Largest page of a list; asking for more is an error, not a clamp.
const LARGEST_PAGE: usize = 999;

/// Reads `$top`.
pub(crate) fn page_size(options: &Options, cap: usize) -> Result<usize, GraphError> {
    let asked = match options.get("$top") {
        None => DEFAULT_PAGE,
        Some(text) => {
            let invalid = || {
                GraphError::bad_request(format!(
                    "Invalid value '{text}' for $top query option found. The $top query option requires a non-negative integer value."
                ))
            };
            let size: usize = text.parse().map_err(|_| invalid())?;
            if !(1..=LARGEST_PAGE).contains(&size) {
                return Err(GraphError::unsupported_query(format!(
                    "Invalid page size specified: '{size}'. Must be between 1 and {LARGEST_PAGE} inclusive."
                )));
            }
            size
        }
    };
    Ok(if cap > 0 { asked.min(cap) } else { asked })
}

/// Where the next page of a list begins.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PageToken {
    /// The list, such as `users` or `members/{id}`.
    #[serde(rename = "k")]
    pub(crate) list: String,
    #[serde(rename = "o")]
    pub(crate) offset: usize,
    /// The sandbox that made it.
    #[serde(rename = "i")]
    pub(crate) instance: String,
    /// Goes up when all page tokens are made to expire.
    #[serde(rename = "g")]
    pub(crate) generation: u64,
}

impl PageToken {
    /// Reads the `$skiptoken` of a request for this list.
    pub(crate) fn read(
        text: &str,
        list: &str,
        instance: &str,
        generation: u64,
    ) -> Result<PageToken, GraphError> {
        let token: PageToken =
            unseal(text).ok_or_else(|| GraphError::bad_request("Invalid skip token."))?;
        if token.list != list {
            return Err(GraphError::bad_request(
                "The skip token does not belong to this request.",
            ));
        }
        match token.instance == instance && token.generation == generation {
            true => Ok(token),
            false => Err(expired_page()),
        }
    }
}

/// The answer to a page token that is too old.
pub(crate) fn expired_page() -> GraphError {
    GraphError::new(
        StatusCode::BAD_REQUEST,
        "Directory_ExpiredPageToken",
        "The specified page token value has expired and can no longer be included in your request.",
    )
}

/// Makes a token that a client cannot mistake for something to read.
pub(crate) fn seal<T: Serialize>(token: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default())
}

/// Reads a token; `None` for anything that is none.
pub(crate) fn unseal<T: DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The query string without `$skiptoken`, ready for another one.
pub(crate) fn without_skip_token(raw_query: &str) -> String {
    let pairs = raw_query.split('&').filter(|pair| {
        let name = crate::query::decode(pair.split('=').next().unwrap_or_default());
        !pair.is_empty() && name != "$skiptoken" && name != "skiptoken"
    });
    pairs.map(|pair| format!("{pair}&")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_thousand_is_an_error_and_not_a_clamp() {
        let size = |query: &str, cap| page_size(&Options::parse_odata(query), cap);
        assert_eq!(size("", 0).unwrap(), 100);
        assert_eq!(size("$top=999", 0).unwrap(), 999);
        assert_eq!(size("$top=999", 7).unwrap(), 7);
        assert!(
            size("$top=1000", 0)
                .unwrap_err()
                .message
                .starts_with("Invalid page size specified: '1000'.")
        );
        assert!(
            size("$top=0", 0).is_err() && size("$top=-1", 0).is_err() && size("$top=x", 0).is_err()
        );
    }

    #[test]
    fn a_page_token_is_good_for_its_own_list_and_time_only() {
        let token = seal(&PageToken {
            list: "users".into(),
            offset: 5,
            instance: "a".into(),
            generation: 1,
        });
        assert_eq!(PageToken::read(&token, "users", "a", 1).unwrap().offset, 5);
        assert!(PageToken::read(&token, "groups", "a", 1).is_err());
        assert_eq!(
            PageToken::read(&token, "users", "a", 2).unwrap_err().code,
            "Directory_ExpiredPageToken"
        );
        assert!(PageToken::read("nonsense", "users", "a", 1).is_err());
    }

    #[test]
    fn the_other_options_survive_in_a_next_link() {
        assert_eq!(
            without_skip_token("$select=id%2Cmail&%24skiptoken=abc&$top=5"),
            "$select=id%2Cmail&$top=5&"
        );
    }
}
