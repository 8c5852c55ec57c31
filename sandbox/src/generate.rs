//! Tenants of any size, made up reproducibly.

use serde_json::{Map, Value, json};

use crate::directory::{Directory, Handle, Kind};
use crate::random::Random;
use crate::related::Relation;

/// What [`crate::Tenant::generate`] makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Number of users.
    pub users: u32,
    /// Number of groups, without the big one.
    pub groups: u32,
    /// Members of each of these groups.
    pub members_per_group: u32,
    /// Members of one extra group; 0 for none.
    pub big_group: u32,
    /// The same seed gives the same tenant.
    pub seed: u64,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        GenerateOptions {
            users: 60,
            groups: 6,
            members_per_group: 10,
            big_group: 0,
            seed: 1,
        }
    }
}

const DOMAIN: &str = "sandbox.example";

/// Given name, its form in addresses.
const GIVEN_NAMES: &[(&str, &str)] = &[
    ("Aino", "aino"),
    ("Ömer", "omer"),
    ("José", "jose"),
    ("Zoë", "zoe"),
    ("Łucja", "lucja"),
    ("Nguyệt", "nguyet"),
    ("Þóra", "thora"),
    ("Dvořák", "dvorak"),
    ("Siân", "sian"),
    ("Émile", "emile"),
    ("Βασίλης", "vasilis"),
    ("Ольга", "olga"),
    ("محمد", "mohammed"),
    ("さくら", "sakura"),
    ("智媛", "jiwon"),
    ("Işıl", "isil"),
    ("Mary Jane", "mary.jane"),
    ("Jean-Luc", "jean-luc"),
    ("Noor", "noor"),
    ("Kwame", "kwame"),
    ("Ines", "ines"),
    ("Tomás", "tomas"),
    ("Ada", "ada"),
    ("Bo", "bo"),
    ("Yusuf", "yusuf"),
    ("Leilani", "leilani"),
    ("Anjali", "anjali"),
    ("Sigrún", "sigrun"),
    ("Mateo", "mateo"),
    ("Chloé", "chloe"),
    ("Ravi", "ravi"),
    ("O", "o"),
];

/// Surname, its form in addresses.
const SURNAMES: &[(&str, &str)] = &[
    ("Virtanen", "virtanen"),
    ("Yıldız", "yildiz"),
    ("García Márquez", "garcia"),
    ("O'Brien", "obrien"),
    ("Wójcik", "wojcik"),
    ("Trần", "tran"),
    ("Guðmundsdóttir", "gudmundsdottir"),
    ("Nováková", "novakova"),
    ("D’Angelo", "dangelo"),
    ("Παπαδοπούλου", "papadopoulou"),
    ("Иванова", "ivanova"),
    ("الحسن", "alhassan"),
    ("田中", "tanaka"),
    ("김", "kim"),
    ("van der Berg", "vanderberg"),
    ("Smith-Jones", "smith-jones"),
    ("Mensah", "mensah"),
    ("Sørensen", "sorensen"),
    ("Müller", "mueller"),
    ("Iyer", "iyer"),
    ("Lee", "lee"),
    ("Kaʻahumanu", "kaahumanu"),
    ("Ng", "ng"),
    ("Silva", "silva"),
    ("Haddad", "haddad"),
    ("Şahin", "sahin"),
    ("Brâncuși", "brancusi"),
    ("Castle", "castle"),
    ("Okafor", "okafor"),
    ("Petit", "petit"),
    ("Rossi", "rossi"),
    ("Lindqvist", "lindqvist"),
];

/// Department and the titles in it.
const DEPARTMENTS: &[(&str, &[&str])] = &[
    (
        "Teaching",
        &["Teacher", "Senior teacher", "Teaching assistant"],
    ),
    ("Finance", &["Accountant", "Controller", "Payroll clerk"]),
    (
        "IT",
        &["System administrator", "Developer", "Service desk agent"],
    ),
    ("Human resources", &["Recruiter", "HR partner"]),
    ("Facilities", &["Caretaker", "Technician"]),
    ("Library", &["Librarian", "Archivist"]),
    (
        "Research",
        &["Researcher", "Data analyst", "Laboratory assistant"],
    ),
];

/// Direct reports of one manager: user n reports to user (n - 1) / FAN_OUT.
const FAN_OUT: u32 = 9;

/// Builds the directory.
pub(crate) fn directory(options: &GenerateOptions) -> Directory {
    let mut random = Random::new(options.seed);
    let mut directory = Directory::named(Some("Generated sandbox tenant".to_owned()));
    let users: Vec<Handle> = (0..options.users)
        .map(|number| {
            let id = random.guid();
            let object = user(&mut random, number);
            directory.add_object(Kind::User, &id, object)
        })
        .collect();
    for number in 1..users.len() {
        let manager = users[(number - 1) / FAN_OUT as usize];
        directory.link_manager(users[number], Some(manager));
    }
    for number in 0..options.groups {
        add_group(
            &mut directory,
            &mut random,
            number,
            &users,
            options.members_per_group,
        );
    }
    if options.big_group > 0 {
        add_group(
            &mut directory,
            &mut random,
            options.groups,
            &users,
            options.big_group,
        );
    }
    directory
}

fn user(random: &mut Random, number: u32) -> Map<String, Value> {
    let (given, given_ascii) = *random.pick(GIVEN_NAMES);
    let (surname, surname_ascii) = *random.pick(SURNAMES);
    let (department, titles) = *random.pick(DEPARTMENTS);
    let alias = format!("{given_ascii}.{surname_ascii}{number}");
    let guest = number > 0 && random.percent(2);
    let disabled = number > 0 && random.percent(3);
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
    set("displayName", format!("{given} {surname}").into());
    set("givenName", given.into());
    set("surname", surname.into());
    set("accountEnabled", (!disabled).into());
    set("userType", if guest { "Guest" } else { "Member" }.into());
    set("jobTitle", (*random.pick(titles)).into());
    set("department", department.into());
    set("employeeId", format!("E{number:06}").into());
    set("createdDateTime", created(random).into());
    set(
        "preferredLanguage",
        (*random.pick(&["en-GB", "fi-FI", "tr-TR", "fr-FR", "ja-JP"])).into(),
    );
    let address = format!(
        "{}@{}",
        mixed_case(random, &alias),
        mixed_case(random, DOMAIN)
    );
    set("userPrincipalName", principal_name(&alias, guest).into());
    if !random.percent(1) {
        set("mail", address.into());
    }
    object
}

fn principal_name(alias: &str, guest: bool) -> String {
    match guest {
        true => format!("{alias}_partner.example#EXT#@{DOMAIN}"),
        false => format!("{alias}@{DOMAIN}"),
    }
}

/// Addresses come in any case from real directories; about every fourth of ours does too.
fn mixed_case(random: &mut Random, text: &str) -> String {
    if !random.percent(25) {
        return text.to_owned();
    }
    let mut start = true;
    text.chars()
        .map(|letter| {
            let shown = if start {
                letter.to_ascii_uppercase()
            } else {
                letter
            };
            start = !letter.is_alphanumeric();
            shown
        })
        .collect()
}

fn created(random: &mut Random) -> String {
    let (year, month, day) = (
        2016 + random.below(10),
        1 + random.below(12),
        1 + random.below(28),
    );
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn add_group(
    directory: &mut Directory,
    random: &mut Random,
    number: u32,
    users: &[Handle],
    members: u32,
) {
    let id = random.guid();
    let unified = number.is_multiple_of(3);
    let (department, _) = *random.pick(DEPARTMENTS);
    let object = json!({
        "displayName": format!("{department} {number:04}"),
        "description": format!("Generated group {number}"),
        "groupTypes": if unified { json!(["Unified"]) } else { json!([]) },
        "mailEnabled": unified,
        "securityEnabled": !unified,
        "mailNickname": format!("group{number:04}"),
        "mail": if unified { json!(format!("group{number:04}@{DOMAIN}")) } else { Value::Null },
        "visibility": if unified { json!("Private") } else { Value::Null },
        "createdDateTime": created(random),
    });
    let Value::Object(object) = object else {
        return;
    };
    let group = directory.add_object(Kind::Group, &id, object);
    let count = (members as usize).min(users.len());
    let start = random.below(users.len());
    let stride = stride(random, users.len());
    for step in 0..count {
        let member = users[(start + step * stride) % users.len()];
        directory.link(Relation::Members, group, member);
    }
}

/// A step that visits every one of `length` places before it returns to the first.
fn stride(random: &mut Random, length: usize) -> usize {
    fn divisor(a: usize, b: usize) -> usize {
        if b == 0 { a } else { divisor(b, a % b) }
    }
    let mut stride = 1 + random.below(length);
    while length > 1 && divisor(stride, length) != 1 {
        stride += 1;
    }
    stride
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tenant_and_another_seed_another() {
        let ids = |seed| -> Vec<String> {
            let made = directory(&GenerateOptions {
                seed,
                ..GenerateOptions::default()
            });
            made.entries
                .iter()
                .map(|entry| entry.id.to_string())
                .collect()
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
    }

    #[test]
    fn groups_have_exactly_the_members_asked_for() {
        let made = directory(&GenerateOptions {
            users: 500,
            groups: 3,
            members_per_group: 40,
            big_group: 450,
            seed: 7,
        });
        let sizes: Vec<usize> = made
            .groups
            .iter()
            .map(|group| made.entry(*group).slots(Relation::Members).len())
            .collect();
        assert_eq!(sizes, [40, 40, 40, 450]);
    }

    #[test]
    fn everyone_but_the_first_has_a_manager_and_nobody_too_many_reports() {
        let made = directory(&GenerateOptions {
            users: 1000,
            ..GenerateOptions::default()
        });
        let managed = made
            .users
            .iter()
            .filter(|user| made.entry(**user).manager.is_some());
        assert_eq!(managed.count(), 999);
        assert!(
            made.entries
                .iter()
                .all(|entry| entry.reports.len() <= FAN_OUT as usize)
        );
        assert_eq!(made.principal_names.len(), 1000);
    }

    #[test]
    fn no_users_and_many_groups_is_still_a_tenant() {
        let made = directory(&GenerateOptions {
            users: 0,
            groups: 2,
            members_per_group: 5,
            big_group: 9,
            seed: 0,
        });
        assert_eq!((made.users.len(), made.groups.len()), (0, 3));
    }
}
