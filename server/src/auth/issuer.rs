//! Issuers of tokens, and those that have one name for each tenant.

use std::fmt;

use uuid::Uuid;

use super::AuthError;

/// What stands for the tenant in the name of an issuer, as Microsoft writes it.
const TENANT: &str = "{tenantid}";

/// Names that Microsoft's sign-in service answers to and never puts into a token.
const PSEUDO_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// The `iss` of tokens that are trusted: a name, or a template with a place for the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Reads an issuer or a template such as `https://login.microsoftonline.com/{tenantid}/v2.0`.
    ///
    /// # Errors
    /// When no token can have such an issuer.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        let text = text.trim();
        let rest = text.replacen(TENANT, "", 1);
        if text.is_empty() || rest.contains(['{', '}']) {
            return Err(AuthError::IssuerTemplate(text.to_owned()));
        }
        let is_pseudo = |part: &str| PSEUDO_TENANTS.contains(&part);
        if text.contains("//login.microsoftonline.") && text.split('/').any(is_pseudo) {
            return Err(AuthError::PseudoTenant(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it stands for the issuers of many tenants.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.0.contains(TENANT)
    }

    /// Whether it says of which tenant its tokens are: by a place for the tenant, or by the id of one.
    #[must_use]
    pub(super) fn names_tenant(&self) -> bool {
        self.is_template() || self.ids().next().is_some()
    }

    /// Whether a token of this issuer may say to be of a tenant. A template has been filled with it; another issuer must
    /// hold its id, or one tenant could sign for the people of another.
    #[must_use]
    pub(super) fn is_of(&self, tenant: &str) -> bool {
        self.is_template() || self.ids().any(|id| id.eq_ignore_ascii_case(tenant))
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| is_id(part))
    }

    /// Whether a token that says to be of this issuer and tenant is meant. A template wants exactly the tenant of the
    /// token in its place, and an id: the two claims are signed together, but only together do they name the issuer.
    #[must_use]
    pub(super) fn admits(&self, issuer: &str, tenant: Option<&str>) -> bool {
        if !self.is_template() {
            return self.0 == issuer;
        }
        let tenant = tenant.filter(|tenant| is_id(tenant));
        tenant.is_some_and(|tenant| self.0.replacen(TENANT, tenant, 1) == issuer)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is a UUID in its usual spelling.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == uuid::fmt::Hyphenated::LENGTH && Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRA: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
    const CONTOSO: &str = "84bd8158-6d4d-4958-8b9f-9d6445542f95";

    fn of(tenant: &str) -> String {
        ENTRA.replace(TENANT, tenant)
    }

    #[test]
    fn a_template_wants_the_tenant_of_the_token_in_its_place() {
        let entra = Issuer::parse(ENTRA).unwrap();
        assert!(entra.admits(&of(CONTOSO), Some(CONTOSO)));
        let other = "11111111-2222-4333-8444-555555555555";
        for (issuer, tenant) in [
            (of(CONTOSO), Some(other)),
            (of(CONTOSO), None),
            (of(TENANT), Some(TENANT)),
            (of("contoso.example"), Some("contoso.example")),
            (of(""), Some("")),
            (format!("{}/", of(CONTOSO)), Some(CONTOSO)),
        ] {
            assert!(!entra.admits(&issuer, tenant), "{issuer} {tenant:?}");
        }
    }

    #[test]
    fn a_plain_issuer_is_compared_as_it_is() {
        let issuer = Issuer::parse("https://id.example.com").unwrap();
        assert!(issuer.admits("https://id.example.com", Some(CONTOSO)));
        assert!(!issuer.admits("https://id.example.com/", None));
    }

    #[test]
    fn an_issuer_with_the_id_of_a_tenant_is_of_that_tenant_alone() {
        let other = "11111111-2222-4333-8444-555555555555";
        let issuer = Issuer::parse(&of(CONTOSO)).unwrap();
        assert!(issuer.names_tenant());
        assert!(issuer.is_of(CONTOSO) && issuer.is_of(&CONTOSO.to_uppercase()));
        assert!(!issuer.is_of(other) && !issuer.is_of(""));
        let plain = Issuer::parse("https://id.example.com").unwrap();
        assert!(!plain.names_tenant() && !plain.is_of(CONTOSO) && !plain.is_of("id.example.com"));
        assert!(Issuer::parse(ENTRA).unwrap().names_tenant());
    }

    #[test]
    fn what_no_token_can_have_is_refused_at_the_start() {
        for text in [
            "",
            "https://login.microsoftonline.com/{tenant}/v2.0",
            "https://a.example/{tenantid}/{tenantid}",
        ] {
            let told = Issuer::parse(text).unwrap_err().to_string();
            assert!(told.contains("{tenantid}"), "{told}");
        }
        let told = Issuer::parse("https://login.microsoftonline.com/common/v2.0").unwrap_err();
        assert!(told.to_string().contains("LOCKSTEP_JWT_ISSUER"), "{told}");
    }
}
