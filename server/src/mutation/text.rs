//! Texts that people enter.

use super::user_error::{Refusal, TextCode, refuse};

/// What a text is, for the refusals.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextRule {
    /// How the refusals call it, with its article, for example `A name`.
    pub(super) what: &'static str,
    /// Greatest length in characters.
    pub(super) max: usize,
}

impl TextRule {
    /// Takes outer blanks off and refuses what is empty, too long, or has control characters in it.
    pub(super) fn check<C: TextCode>(self, text: &str) -> Result<String, Refusal<C>> {
        let Self { what, max } = self;
        let text = text.trim();
        if text.is_empty() {
            return Err(refuse(C::REQUIRED, format!("{what} cannot be empty.")));
        }
        if text.chars().any(char::is_control) {
            let message = format!("{what} cannot contain control characters.");
            return Err(refuse(C::INVALID, message));
        }
        if text.chars().count() > max {
            let message = format!("{what} can have at most {max} characters.");
            return Err(refuse(C::TOO_LONG, message));
        }
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::user_error::AccessUserErrorCode as Code;
    use super::*;

    #[test]
    fn names_are_checked_without_their_outer_blanks() {
        let rule = TextRule {
            what: "A name",
            max: 3,
        };
        let check = |text: &str| rule.check::<Code>(text).map_err(|refusal| refusal.code);
        assert_eq!(check(" äöü\n"), Ok("äöü".to_owned()));
        assert_eq!(check(" \t"), Err(Code::Required));
        assert_eq!(check("a\u{0}b"), Err(Code::Invalid));
        assert_eq!(check("abcd"), Err(Code::TooLong));
    }
}
