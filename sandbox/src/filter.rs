//! The few filters the sandbox understands: objects by id or by userPrincipalName.

use crate::error::GraphError;

/// More objects than this in one filter are refused.
const MOST_OBJECTS: usize = 50;

/// Reads `id eq 'a'`, `id in ('a','b')`, and several of them joined with `or`. Gives the values;
/// whether a value is an id or a userPrincipalName shows by itself.
pub(crate) fn objects(text: &str) -> Result<Vec<String>, GraphError> {
    let mut rest = text.trim();
    let mut values = Vec::new();
    loop {
        let name = ["id", "userPrincipalName"]
            .into_iter()
            .find(|name| rest.starts_with(*name));
        let name = name.ok_or_else(|| unsupported(text))?;
        rest = rest[name.len()..]
            .strip_prefix(' ')
            .ok_or_else(|| unsupported(text))?
            .trim_start();
        rest = match (
            rest.strip_prefix("eq "),
            rest.strip_prefix("in ").map(str::trim_start),
        ) {
            (Some(after), _) => {
                literal(after.trim_start(), &mut values).ok_or_else(|| unsupported(text))?
            }
            (None, Some(after)) => literals(after, &mut values).ok_or_else(|| unsupported(text))?,
            (None, None) => return Err(unsupported(text)),
        };
        if values.len() > MOST_OBJECTS {
            return Err(GraphError::unsupported_query(format!(
                "Too many objects in the filter; at most {MOST_OBJECTS}."
            )));
        }
        rest = match rest.trim() {
            "" => return Ok(values),
            joined => joined
                .strip_prefix("or ")
                .ok_or_else(|| unsupported(text))?
                .trim_start(),
        };
    }
}

fn literals<'a>(text: &'a str, values: &mut Vec<String>) -> Option<&'a str> {
    let mut rest = text.strip_prefix('(')?.trim_start();
    loop {
        rest = literal(rest, values)?.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => return rest.strip_prefix(')'),
        }
    }
}

/// Reads a quoted text, in which a quote is written twice.
fn literal<'a>(text: &'a str, values: &mut Vec<String>) -> Option<&'a str> {
    let mut value = String::new();
    let mut rest = text.strip_prefix('\'')?;
    loop {
        let end = rest.find('\'')?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => {
                values.push(value);
                return Some(rest);
            }
        }
    }
}

fn unsupported(text: &str) -> GraphError {
    let start: String = text.chars().take(100).collect();
    GraphError::unsupported_query(format!(
        "Unsupported or invalid query filter clause specified: '{start}'."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_by_id_and_by_principal_name_and_nothing_else() {
        assert_eq!(objects("id eq 'a'").unwrap(), ["a"]);
        assert_eq!(
            objects("id in ('a', 'b') or id eq 'c'").unwrap(),
            ["a", "b", "c"]
        );
        assert_eq!(
            objects("userPrincipalName eq 'o''neil@x'").unwrap(),
            ["o'neil@x"]
        );
        for text in [
            "",
            "id",
            "id eq",
            "id eq 'a",
            "id ne 'a'",
            "id in ('a'",
            "accountEnabled eq true",
            "id eq 'a' and id eq 'b'",
        ] {
            assert_eq!(
                objects(text).unwrap_err().code,
                "Request_UnsupportedQuery",
                "{text}"
            );
        }
    }
}
