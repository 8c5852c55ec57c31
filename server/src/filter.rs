//! Limits of what restricts lists.

use lockstep_domain::searched_words;

use crate::error::{Failure, Result};

/// Greatest length of a searched text in characters: the longest name of a team.
const MAX_SEARCH: usize = 256;
/// Greatest number of words of a searched text.
const MAX_WORDS: usize = 20;
/// Greatest number of values of a list.
const MAX_VALUES: usize = 100;

/// Checks the text of a search. One without any word searches nothing.
pub(crate) fn search(text: Option<String>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    if text.chars().count() > MAX_SEARCH {
        return Err(Failure::bad_input(format!(
            "`search` has at most {MAX_SEARCH} characters."
        )));
    }
    if searched_words(&text).len() > MAX_WORDS {
        return Err(Failure::bad_input(format!(
            "`search` has at most {MAX_WORDS} words."
        )));
    }
    Ok(Some(text))
}

/// Checks the length of a list and turns its values, each once, into those of the domain.
pub(crate) fn values<S: Into<D> + PartialEq, D>(
    name: &str,
    values: Option<Vec<S>>,
) -> Result<Option<Vec<D>>> {
    let values = checked(name, values)?;
    Ok(values.map(|values| values.into_iter().map(Into::into).collect()))
}

/// Checks the length of a list and takes each value once.
pub(crate) fn checked<T: PartialEq>(name: &str, values: Option<Vec<T>>) -> Result<Option<Vec<T>>> {
    let Some(values) = values else {
        return Ok(None);
    };
    if values.len() > MAX_VALUES {
        return Err(Failure::bad_input(format!(
            "`{name}` has at most {MAX_VALUES} values."
        )));
    }
    let mut once = Vec::new();
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    Ok(Some(once))
}
