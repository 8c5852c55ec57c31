//! How a token names a person.

use lockstep_domain::Address;
use lockstep_store::sign_in::SignIn;
use serde_json::{Map, Value};

use super::AuthError;
use super::issuer::is_id;

/// Greatest length of what names a person, in bytes: providers promise 255.
const MAX_NAME: usize = 255;

/// Claims that name another person tomorrow, or that people give themselves. Whoever took one for an identity would let
/// strangers in.
const UNFIT: [&str; 9] = [
    "email",
    "mail",
    "preferred_username",
    "upn",
    "unique_name",
    "username",
    "name",
    "given_name",
    "family_name",
];

/// How tokens name people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum People {
    /// By our own ids: the user in `sub`, the organization in `org`. For tokens of the platform that embeds Lockstep.
    ByOurIds,
    /// As a provider of sign-ins knows them; a stored link says who that is here.
    ByLink(PersonClaims),
}

impl People {
    /// Whether people are named by their tenant of Microsoft Entra ID.
    pub(super) fn are_of_entra(&self) -> bool {
        matches!(self, Self::ByLink(claims) if claims.is_entra())
    }
}

/// The claims by which a provider names a person: where they sign in, and who they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonClaims {
    provider: String,
    subject: String,
}

impl PersonClaims {
    /// Takes the names of the two claims: `tid` and `oid` for Microsoft Entra ID, `iss` and `sub` for others.
    ///
    /// # Errors
    /// When a claim names nobody for good.
    pub fn new(provider: &str, subject: &str) -> Result<Self, AuthError> {
        for claim in [provider, subject] {
            if claim.is_empty() || UNFIT.contains(&claim) {
                return Err(AuthError::UnfitClaim(claim.to_owned()));
            }
        }
        Ok(Self {
            provider: provider.to_owned(),
            subject: subject.to_owned(),
        })
    }

    /// Name of the claim that says where a person signs in.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Name of the claim that says who a person is there.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the provider is a tenant of Microsoft Entra ID.
    #[must_use]
    pub fn is_entra(&self) -> bool {
        self.provider == "tid"
    }

    /// Makes a sign-in of the values of the two claims; the error is the name of the claim that cannot have its value.
    ///
    /// # Errors
    /// When a value is empty, too long, or no id where the provider has ids.
    pub fn sign_in(&self, provider: &str, subject: &str) -> Result<SignIn, &str> {
        Ok(SignIn {
            provider: value(&self.provider, provider).ok_or(self.provider.as_str())?,
            subject: value(&self.subject, subject).ok_or(self.subject.as_str())?,
        })
    }

    /// Reads a sign-in from the claims of a token.
    pub(super) fn read(&self, claims: &Map<String, Value>) -> Result<SignIn, &str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        self.sign_in(text(&self.provider), text(&self.subject))
    }

    /// The address that the provider says to have verified. Microsoft Entra ID says so with `xms_edov`, because an
    /// administrator of any tenant can write any address into `email`; others with `email_verified`.
    pub(super) fn verified_address(&self, claims: &Map<String, Value>) -> Option<Address> {
        let word = if self.is_entra() {
            "xms_edov"
        } else {
            "email_verified"
        };
        claims.get(word).filter(|value| is_true(value))?;
        Address::parse(claims.get("email")?.as_str()?).ok()
    }
}

/// Ids of Microsoft Entra ID are UUIDs, which may be typed in either case; other names are compared as they are.
fn value(claim: &str, text: &str) -> Option<String> {
    let text = text.trim();
    if matches!(claim, "tid" | "oid") {
        return is_id(text).then(|| text.to_ascii_lowercase());
    }
    let is_fit = !text.is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control);
    is_fit.then(|| text.to_owned())
}

/// Providers write a truth as a boolean, as a number, or as a text.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_i64() == Some(1),
        Value::String(text) => matches!(text.as_str(), "true" | "1"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(json: Value) -> Map<String, Value> {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn ids_of_entra_are_ids_in_either_case_and_other_names_are_what_they_are() {
        let entra = PersonClaims::new("tid", "oid").unwrap();
        let id = "84BD8158-6D4D-4958-8B9F-9D6445542F95";
        let read = entra
            .read(&claims(json!({ "tid": id, "oid": id })))
            .unwrap();
        assert_eq!(read.provider, id.to_lowercase());
        assert_eq!(read.subject, id.to_lowercase());
        for bad in [
            json!({ "tid": "contoso", "oid": id }),
            json!({ "oid": id }),
            json!({ "tid": 1, "oid": id }),
        ] {
            assert_eq!(entra.read(&claims(bad)).err(), Some("tid"));
        }
        let other = PersonClaims::new("iss", "sub").unwrap();
        let read = other.read(&claims(json!({ "iss": "https://a.example", "sub": "Ab" })));
        assert_eq!(read.unwrap().subject, "Ab");
        let long = "x".repeat(MAX_NAME + 1);
        assert_eq!(other.sign_in("https://a.example", &long).err(), Some("sub"));
    }

    #[test]
    fn only_an_address_that_the_provider_has_verified_counts() {
        let entra = PersonClaims::new("tid", "oid").unwrap();
        let other = PersonClaims::new("iss", "sub").unwrap();
        let verified = |who: &PersonClaims, json| who.verified_address(&claims(json)).is_some();
        let mail = "ada@example.com";
        assert!(verified(&entra, json!({ "email": mail, "xms_edov": true })));
        assert!(verified(&entra, json!({ "email": mail, "xms_edov": "1" })));
        assert!(!verified(
            &entra,
            json!({ "email": mail, "email_verified": true })
        ));
        assert!(!verified(
            &entra,
            json!({ "email": mail, "xms_edov": false })
        ));
        assert!(verified(
            &other,
            json!({ "email": mail, "email_verified": true })
        ));
        assert!(!verified(
            &other,
            json!({ "email": mail, "email_verified": "yes" })
        ));
        assert!(!verified(
            &other,
            json!({ "email": mail, "xms_edov": true })
        ));
        assert!(!verified(&other, json!({ "email": mail })));
        assert!(!verified(
            &other,
            json!({ "email": "no address", "email_verified": true })
        ));
    }

    #[test]
    fn claims_that_name_another_person_tomorrow_are_refused() {
        for (provider, subject) in [
            ("tid", "email"),
            ("iss", "preferred_username"),
            ("upn", "oid"),
            ("", "sub"),
        ] {
            assert!(
                PersonClaims::new(provider, subject).is_err(),
                "{provider} {subject}"
            );
        }
    }
}
