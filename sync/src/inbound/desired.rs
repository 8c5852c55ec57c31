//! What one account of the directory asks for: whether it is in scope, and the user it should be.

use lockstep_domain::{
    Address, AddressKey, DeactivationReason, DirectoryUser, EmailSource, InboundRules,
    InvalidAddress, Presence, UserType,
};

/// Whether an account is in scope of the rules, or why not.
///
/// The strongest reason wins: gone before disabled, disabled before excluded, so that a log names the cause an
/// admin would look for first.
///
/// # Errors
/// The reason for which a linked user is deactivated.
pub fn scope(account: &DirectoryUser, rules: &InboundRules) -> Result<(), DeactivationReason> {
    match account.presence {
        Presence::Removed => return Err(DeactivationReason::Deleted),
        Presence::Missing => return Err(DeactivationReason::NotFound),
        Presence::Present => {}
    }
    if !account.account_enabled {
        return Err(DeactivationReason::Disabled);
    }
    if account.user_type == UserType::Guest && !rules.include_guest_users {
        return Err(DeactivationReason::GuestExcluded);
    }
    Ok(())
}

/// The user an account should be; a field that the directory does not give in a usable form is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// First name.
    pub given_name: Result<String, Flaw>,
    /// Last name.
    pub family_name: Result<String, Flaw>,
    /// Whether the names were split off the display name.
    pub names_derived: bool,
    /// E-mail address.
    pub address: Result<Address, Flaw>,
    /// Job title; the outer none means that the rules do not write it (E-050).
    pub job_title: Option<Option<String>>,
}

/// What is wrong with a required attribute, and which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Name of the attribute in Microsoft Entra ID.
    pub attribute: &'static str,
    /// None when it is missing, else what is wrong with its value.
    pub invalid: Option<InvalidAddress>,
}

impl Desired {
    /// Works out the user an account should be.
    #[must_use]
    pub fn of(account: &DirectoryUser, rules: &InboundRules) -> Self {
        let names = names(account, rules);
        Self {
            given_name: names.given,
            family_name: names.family,
            names_derived: names.derived,
            address: address(account, rules),
            job_title: rules
                .sync_job_title
                .then(|| filled(account.job_title.as_deref())),
        }
    }

    /// Every flaw, in the order in which a form would show the fields.
    #[must_use]
    pub fn flaws(&self) -> Vec<&Flaw> {
        [
            self.given_name.as_ref().err(),
            self.family_name.as_ref().err(),
            self.address.as_ref().err(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What the wanted address is compared by, none when there is no usable one.
    #[must_use]
    pub fn address_key(&self) -> Option<AddressKey> {
        self.address.as_ref().ok().map(Address::key)
    }
}

struct Names {
    given: Result<String, Flaw>,
    family: Result<String, Flaw>,
    derived: bool,
}

fn names(account: &DirectoryUser, rules: &InboundRules) -> Names {
    let given = filled(account.given_name.as_deref());
    let family = filled(account.surname.as_deref());
    let split = account
        .display_name
        .as_deref()
        .and_then(|name| name.trim().rsplit_once(' '));
    if let (true, Some((first, last))) = (rules.derive_names_from_display_name, split)
        && (given.is_none() || family.is_none())
    {
        return Names {
            given: Ok(given.unwrap_or_else(|| first.trim().to_owned())),
            family: Ok(family.unwrap_or_else(|| last.to_owned())),
            derived: true,
        };
    }
    Names {
        given: given.ok_or(Flaw {
            attribute: "givenName",
            invalid: None,
        }),
        family: family.ok_or(Flaw {
            attribute: "surname",
            invalid: None,
        }),
        derived: false,
    }
}

fn address(account: &DirectoryUser, rules: &InboundRules) -> Result<Address, Flaw> {
    let mail = ("mail", filled(account.mail.as_deref()));
    let upn = (
        "userPrincipalName",
        filled(account.user_principal_name.as_deref()),
    );
    let (attribute, text) = match (account.user_type, rules.email_source) {
        (UserType::Guest, _) | (UserType::Member, EmailSource::Mail) => mail,
        (UserType::Member, EmailSource::MailThenUpn) if mail.1.is_some() => mail,
        (UserType::Member, EmailSource::MailThenUpn | EmailSource::Upn) => upn,
    };
    let text = text.ok_or(Flaw {
        attribute,
        invalid: None,
    })?;
    Address::parse(&text).map_err(|invalid| Flaw {
        attribute,
        invalid: Some(invalid),
    })
}

/// Trims a value; blanks alone count as none.
fn filled(text: Option<&str>) -> Option<String> {
    text.map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
