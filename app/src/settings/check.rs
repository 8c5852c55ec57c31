//! Whether a setting can be used. Every error names the setting, what is wrong with it, and what would be right.

use std::ops::RangeInclusive;

use anyhow::{Context as _, bail, ensure};
use lockstep_graph::Url;

/// Longest tag that is accepted; the longest in use has 13 characters.
const MAX_TAG: usize = 35;

/// The address of a database. What it says of a server is looked at when it is connected to.
pub(super) fn database(url: String) -> anyhow::Result<String> {
    let url = url.trim();
    let file = url
        .strip_prefix("sqlite:")
        .map(|file| file.trim_start_matches("//"));
    let reason = match file {
        Some(file) if file.is_empty() || file.starts_with('?') => "it names no file",
        // Each connection would have a database of its own.
        Some(file) if file.starts_with(":memory:") || file.contains("mode=memory") => {
            "a database in memory cannot be shared"
        }
        None if !url.starts_with("postgres://") && !url.starts_with("postgresql://") => {
            "it begins neither with sqlite: nor with postgres://"
        }
        _ => return Ok(url.to_owned()),
    };
    bail!(
        "LOCKSTEP_DATABASE_URL cannot be used: {reason}; give sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME"
    )
}

/// An address over HTTP.
pub(super) fn url(text: Option<String>, setting: &str) -> anyhow::Result<Option<Url>> {
    text.map(|text| {
        http(&text).with_context(|| {
            format!(
                "{setting} is not an address that begins with http:// or https:// and names a host"
            )
        })
    })
    .transpose()
}

fn http(text: &str) -> Option<Url> {
    let url = text.trim().parse::<Url>().ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// A number, or its default, between two others.
pub(super) fn in_range(
    (number, default, range): (Option<u16>, u16, RangeInclusive<u16>),
    setting: &str,
) -> anyhow::Result<u16> {
    let number = number.unwrap_or(default);
    ensure!(
        range.contains(&number),
        "{setting} is {number}; give a number from {} to {}",
        range.start(),
        range.end()
    );
    Ok(number)
}

/// Trims the entries of a list and leaves out blanks and repetitions; nothing but blanks is no list.
pub(super) fn list(entries: Option<Vec<String>>) -> Option<Vec<String>> {
    let mut filled: Vec<String> = Vec::new();
    for entry in entries? {
        let entry = entry.trim();
        if !entry.is_empty() && !filled.iter().any(|known| known == entry) {
            filled.push(entry.to_owned());
        }
    }
    (!filled.is_empty()).then_some(filled)
}

/// Languages by their tags: two or three letters, then parts after hyphens.
pub(super) fn languages(tags: Option<Vec<String>>) -> anyhow::Result<Option<Vec<String>>> {
    let Some(tags) = list(tags) else {
        return Ok(None);
    };
    if let Some(tag) = tags.iter().find(|tag| !is_language(tag)) {
        bail!(
            "LOCKSTEP_LANGUAGES: {tag:?} is not a language tag; write tags such as en, de or pt-BR, separated by commas"
        );
    }
    Ok(Some(tags))
}

fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let plain = |part: &str| {
        (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    tag.len() <= MAX_TAG
        && (2..=3).contains(&language.len())
        && language.chars().all(|c| c.is_ascii_alphabetic())
        && parts.all(plain)
}

/// Origins of web pages as browsers name them: scheme, host, and the port when it is not the scheme's own.
pub(super) fn origins(origins: Option<Vec<String>>) -> anyhow::Result<Vec<String>> {
    list(origins)
        .unwrap_or_default()
        .iter()
        .map(|text| {
            origin(text).with_context(|| {
                format!(
                    "LOCKSTEP_ALLOWED_ORIGINS: {text:?} is not the origin of a web page; write https://HOST or https://HOST:PORT, without a path, and each by itself"
                )
            })
        })
        .collect()
}

fn origin(text: &str) -> Option<String> {
    let url = http(text)?;
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    // The parser takes a star for a host; no browser sends one.
    (bare && !text.contains('*')).then(|| url.origin().ascii_serialization())
}

/// What is logged.
pub(super) fn filter(filter: String) -> anyhow::Result<String> {
    tracing_subscriber::EnvFilter::try_new(&filter).with_context(|| {
        format!("LOCKSTEP_LOG: {filter:?} is neither a level nor parts and levels, such as info or lockstep_worker=debug")
    })?;
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<Vec<String>> {
        Some(text.split(',').map(ToOwned::to_owned).collect())
    }

    #[test]
    fn lists_are_trimmed_and_hold_nothing_twice() {
        assert_eq!(
            list(one(" de,,en ,de")),
            Some(vec!["de".to_owned(), "en".to_owned()])
        );
        assert_eq!(list(one(" ,")), None);
    }

    #[test]
    fn languages_are_tags() {
        for good in ["en", "de-AT", "zh-Hant-TW", "gsw"] {
            assert!(languages(one(good)).is_ok(), "{good}");
        }
        for bad in [
            "english",
            "pt_BR",
            "e",
            "de-",
            "12",
            "en;de",
            "de-verylongpart",
        ] {
            let error = languages(one(bad)).unwrap_err().to_string();
            assert!(
                error.starts_with("LOCKSTEP_LANGUAGES") && error.contains(bad),
                "{error}"
            );
        }
    }

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        let good = "https://App.Example:443/,http://localhost:3000,https://münchen.example";
        assert_eq!(
            origins(one(good)).unwrap(),
            [
                "https://app.example",
                "http://localhost:3000",
                "https://xn--mnchen-3ya.example"
            ]
        );
        for bad in [
            "*",
            "https://*.example",
            "app.example",
            "localhost:3000",
            "https://app.example/path",
            "https://app.example?x",
            "https://user@app.example",
            "ftp://app.example",
            "null",
            "https://a.example https://b.example",
        ] {
            let error = origins(one(bad)).unwrap_err().to_string();
            assert!(
                error.starts_with("LOCKSTEP_ALLOWED_ORIGINS"),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn numbers_keep_to_their_range_wherever_they_come_from() {
        assert_eq!(in_range((None, 4, 1..=256), "X").unwrap(), 4);
        let error = in_range((Some(0), 4, 1..=256), "LOCKSTEP_RUN_CONCURRENCY").unwrap_err();
        assert_eq!(
            error.to_string(),
            "LOCKSTEP_RUN_CONCURRENCY is 0; give a number from 1 to 256"
        );
    }
}
