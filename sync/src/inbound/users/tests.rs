//! A small world, one thing changed, the whole answer looked at.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lockstep_domain::{
    EmailSource, FieldChange, IntegrationId, ObjectFields, OrganizationId, Presence, RecordOrigin,
    UserType,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::inbound::parting::without_address;
use crate::ordering::{AddressMove, Fate, order};

const INTEGRATION: IntegrationId = IntegrationId(Uuid::from_u128(1));

/// Both sides of a small organization.
#[derive(Debug, Clone, Default)]
struct World {
    rules: InboundRules,
    accounts: BTreeMap<ExternalId, DirectoryUser>,
    users: BTreeMap<UserId, PlatformUser>,
    links: Vec<UserLink>,
}

fn account(name: &str) -> DirectoryUser {
    DirectoryUser {
        external_id: ExternalId(name.to_owned()),
        display_name: Some(format!("{name} Example")),
        given_name: Some(name.to_owned()),
        surname: Some("Example".to_owned()),
        mail: Some(format!("{name}@example.com")),
        user_principal_name: Some(format!("{name}@login.example.com")),
        account_enabled: true,
        user_type: UserType::Member,
        job_title: Some("Teacher".to_owned()),
        employee_id: None,
        manager_id: None,
        presence: Presence::Present,
    }
}

fn user(n: u128, email: &str) -> PlatformUser {
    PlatformUser {
        id: UserId(Uuid::from_u128(n)),
        organization_id: OrganizationId(Uuid::from_u128(7)),
        given_name: Some("Local".to_owned()),
        family_name: Some("User".to_owned()),
        names_derived: false,
        email: email.to_owned(),
        email_key: AddressKey::of(email),
        job_title: Some("Chosen here".to_owned()),
        language: "en".to_owned(),
        language_is_own_choice: false,
        status: UserStatus::Active,
        ever_active: true,
        deactivation_reason: None,
        deactivated_at: None,
        role: Role::Member,
        origin: RecordOrigin::Local,
        image_url: None,
        created_at: DateTime::<Utc>::UNIX_EPOCH,
        updated_at: DateTime::<Utc>::UNIX_EPOCH,
    }
}

impl World {
    fn with(accounts: impl IntoIterator<Item = DirectoryUser>) -> Self {
        let accounts = accounts
            .into_iter()
            .map(|a| (a.external_id.clone(), a))
            .collect();
        Self {
            accounts,
            ..Self::default()
        }
    }

    /// A world in which `names` were synchronized once.
    fn settled(names: &[&str]) -> Self {
        let mut world = Self::with(names.iter().copied().map(account));
        world.sync();
        world
    }

    fn surroundings(&self) -> Surroundings {
        let accounts = self.accounts.values().cloned().collect();
        let users = self.users.values().cloned().collect();
        Surroundings::new(
            INTEGRATION,
            &self.rules,
            accounts,
            users,
            self.links.clone(),
        )
    }

    fn plan(&self) -> Vec<PlannedChange> {
        let keys: Vec<ExternalId> = self.accounts.keys().cloned().collect();
        plan(&keys, &self.surroundings(), &self.rules)
            .into_iter()
            .flat_map(|decision| decision.changes)
            .collect()
    }

    /// Which of the planned changes another one keeps from happening.
    fn blocked(changes: &[PlannedChange]) -> Vec<usize> {
        let id = |n: usize| lockstep_domain::ChangeId(Uuid::from_u128(n as u128));
        let moves: Vec<AddressMove> = changes
            .iter()
            .enumerate()
            .filter(|(_, change)| change.waits_for.is_some() || change.moves_address())
            .map(|(n, change)| AddressMove {
                change: id(n),
                user: change.user_id,
                waits_for: change.waits_for,
                fate: Fate::Goes,
            })
            .collect();
        let blocked = order(&moves).blocked;
        blocked
            .iter()
            .map(|(change, _)| change.0.as_u128() as usize)
            .collect()
    }

    /// What will be done, in a line a person can read.
    fn lines(&self) -> Vec<String> {
        self.plan().iter().map(line).collect()
    }

    /// What a run would make of its plan: of a change whose address has to wait, the rest.
    fn made(&self, holds_addresses: bool) -> Vec<PlannedChange> {
        let changes = self.plan();
        let blocked = Self::blocked(&changes);
        let waits = |n: usize, change: &PlannedChange| {
            blocked.contains(&n)
                || (holds_addresses && (change.moves_address() || change.waits_for.is_some()))
        };
        let made = |(n, change): (usize, PlannedChange)| {
            let after = match &change.after {
                Some(after) if waits(n, &change) => {
                    without_address(change.action, change.before.as_ref(), after)
                }
                after => after.clone(),
            };
            (change.skipped.is_none() && after.is_some())
                .then_some(PlannedChange { after, ..change })
        };
        changes.into_iter().enumerate().filter_map(made).collect()
    }

    /// Plans and applies, as the worker would.
    fn sync(&mut self) {
        self.sync_and(false);
    }

    fn sync_and(&mut self, holds_addresses: bool) {
        for change in self.made(holds_addresses) {
            self.apply(change);
        }
        let mut keys: Vec<_> = self.users.values().map(|user| &user.email_key).collect();
        keys.sort();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count, "an address belongs to one user");
    }

    /// What would be done if a run began now.
    fn open(&self, holds_addresses: bool) -> Vec<String> {
        self.made(holds_addresses).iter().map(line).collect()
    }

    /// Everyone in scope is as the directory says, but for addresses in a conflict.
    fn assert_followed(&self) -> Result<(), TestCaseError> {
        let plan = self.plan();
        let surroundings = self.surroundings();
        let in_scope = |account: &&DirectoryUser| scope(account, &self.rules).is_ok();
        for account in self.accounts.values().filter(in_scope) {
            let desired = Desired::of(account, &self.rules);
            let mut own = plan.iter().filter(|c| c.external_id == account.external_id);
            let in_conflict = own.any(|change| change.after.is_some() || change.skipped.is_some());
            let Some(user) = surroundings.linked_user(&account.external_id) else {
                prop_assert!(in_conflict || !desired.flaws().is_empty(), "{:?}", account);
                continue;
            };
            prop_assert_ne!(user.status, UserStatus::Deactivated, "{:?}", plan);
            if let Ok(name) = &desired.given_name {
                prop_assert_eq!(user.given_name.as_ref(), Some(name), "{:?}", plan);
            }
            let has_it = desired
                .address_key()
                .is_none_or(|key| key == user.email_key);
            prop_assert!(has_it || in_conflict, "{:?}", account);
        }
        Ok(())
    }

    fn apply(&mut self, change: PlannedChange) {
        let Some(after) = change.after else { return };
        let fresh = UserId(Uuid::from_u128(1_000 + self.users.len() as u128));
        let id = change.user_id.unwrap_or(fresh);
        let before = self.users.remove(&id).unwrap_or_else(|| PlatformUser {
            ever_active: false,
            ..user(0, "")
        });
        if let Some(matched_by) = change.matched_by {
            self.links.push(UserLink {
                integration_id: INTEGRATION,
                external_id: change.external_id,
                user_id: id,
                matched_by,
            });
        }
        let changed = PlatformUser {
            id,
            given_name: after.given_name,
            family_name: after.family_name,
            email_key: AddressKey::of(&after.email),
            email: after.email,
            job_title: after.job_title,
            status: after.status,
            deactivation_reason: after.deactivation_reason,
            ..before
        };
        self.users.insert(id, changed);
    }

    fn edit(&mut self, name: &str, edit: impl FnOnce(&mut DirectoryUser)) {
        edit(
            self.accounts
                .get_mut(&ExternalId::from(name))
                .expect("the account was made before"),
        );
    }

    fn user_of(&mut self, name: &str) -> &mut PlatformUser {
        let link = self
            .links
            .iter()
            .find(|link| link.external_id.as_str() == name)
            .expect("the account is linked");
        self.users
            .get_mut(&link.user_id)
            .expect("a link points at a user")
    }

    fn add(&mut self, user: PlatformUser) {
        self.users.insert(user.id, user);
    }
}

fn line(change: &PlannedChange) -> String {
    let fields = match &change.after {
        None => Vec::new(),
        Some(after) => {
            let before = change.before.clone().map(ObjectFields::User);
            FieldChange::between(before.as_ref(), Some(&ObjectFields::User(after.clone())))
        }
    };
    let fields: Vec<String> = fields
        .iter()
        .map(|f| {
            format!(
                "{}: {} -> {}",
                f.field,
                f.before.as_deref().unwrap_or("-"),
                f.after.as_deref().unwrap_or("-")
            )
        })
        .collect();
    let skipped = change.skipped.as_ref().map(|reason| match &reason.field {
        Some(field) => format!(" SKIPPED {} {field}", reason.code),
        None => format!(" SKIPPED {}", reason.code),
    });
    format!(
        "{} {} [{}]{}",
        change.action,
        change.external_id,
        fields.join(", "),
        skipped.unwrap_or_default()
    )
}

#[test]
fn no_change_makes_an_empty_plan() {
    assert_eq!(World::settled(&["ada", "bob"]).lines(), [] as [&str; 0]);
}

#[test]
fn e009_a_person_without_a_user_gets_one() {
    let world = World::with([account("ada")]);
    assert_eq!(
        world.lines(),
        [
            "CREATE ada [givenName: - -> ada, familyName: - -> Example, email: - -> ada@example.com, status: - -> NOT_YET_ACTIVATED]"
        ]
    );
}

#[test]
fn e010_a_changed_name_and_address_are_written() {
    let mut world = World::settled(&["ada", "bob"]);
    world.edit("ada", |a| a.surname = Some("Lovelace".into()));
    world.edit("bob", |a| a.mail = Some("robert@example.com".into()));
    assert_eq!(
        world.lines(),
        [
            "UPDATE ada [familyName: Example -> Lovelace]",
            "UPDATE bob [email: bob@example.com -> robert@example.com]"
        ]
    );
}

#[test]
fn e050_the_job_title_is_written_only_when_chosen() {
    let mut world = World::settled(&["ada"]);
    assert_eq!(world.lines(), [] as [&str; 0]);
    world.rules.sync_job_title = true;
    assert_eq!(world.lines(), ["UPDATE ada [jobTitle: - -> Teacher]"]);
    world.sync();
    world.edit("ada", |a| a.job_title = None);
    assert_eq!(
        world.lines(),
        ["UPDATE ada [jobTitle: Teacher -> -]"],
        "D-10: an optional value is cleared"
    );
}

#[test]
fn e045_guests_are_left_out_and_e046_treated_like_members_when_chosen() {
    let guest = DirectoryUser {
        user_type: UserType::Guest,
        ..account("gus")
    };
    let mut world = World::with([guest]);
    assert_eq!(world.lines(), ["CREATE gus [] SKIPPED GUEST_EXCLUDED"]);
    world.rules.include_guest_users = true;
    world.sync();
    assert_eq!(world.users.len(), 1);
    world.rules.include_guest_users = false;
    assert_eq!(
        world.lines(),
        ["DEACTIVATE gus [status: NOT_YET_ACTIVATED -> DEACTIVATED]"],
        "D-25"
    );
}

#[test]
fn e048_a_person_without_a_required_field_is_skipped_with_the_field_named() {
    let world = World::with([
        DirectoryUser {
            given_name: None,
            surname: Some("  ".into()),
            ..account("room")
        },
        DirectoryUser {
            mail: None,
            ..account("zoe")
        },
        DirectoryUser {
            mail: Some("nonsense".into()),
            ..account("zul")
        },
    ]);
    assert_eq!(
        world.lines(),
        [
            "CREATE room [] SKIPPED MISSING_REQUIRED givenName",
            "CREATE zoe [] SKIPPED MISSING_REQUIRED mail",
            "CREATE zul [] SKIPPED INVALID_VALUE mail",
        ]
    );
    assert_eq!(
        world.plan()[0]
            .skipped
            .as_ref()
            .map(|reason| reason.message.as_str()),
        Some("givenName and surname are missing in Microsoft Entra ID.")
    );
}

#[test]
fn d08_names_can_be_derived_and_a_linked_user_keeps_the_old_value() {
    let mut world = World::with([DirectoryUser {
        given_name: None,
        surname: None,
        display_name: Some("Ana María López".into()),
        ..account("ana")
    }]);
    world.rules.derive_names_from_display_name = true;
    let after = world.plan()[0].after.clone().expect("is created");
    assert_eq!(
        (after.given_name.as_deref(), after.family_name.as_deref()),
        (Some("Ana María"), Some("López"))
    );
    assert!(after.names_derived);
    let mut world = World::settled(&["ada"]);
    world.edit("ada", |a| (a.given_name, a.mail) = (None, None));
    assert_eq!(world.lines(), [] as [&str; 0]);
    let keys = [ExternalId::from("ada")];
    assert!(
        plan(&keys, &world.surroundings(), &world.rules)[0].incomplete,
        "D-09: a warning, never a deactivation"
    );
}

#[test]
fn d06_the_address_source_is_a_choice_and_guests_only_have_mail() {
    let mut world = World::with([
        account("ada"),
        DirectoryUser {
            mail: None,
            ..account("bob")
        },
    ]);
    let emails = |world: &World| -> Vec<String> {
        world
            .plan()
            .into_iter()
            .filter_map(|c| Some(c.after?.email))
            .collect()
    };
    assert_eq!(emails(&world), ["ada@example.com"]);
    world.rules.email_source = EmailSource::MailThenUpn;
    assert_eq!(emails(&world), ["ada@example.com", "bob@login.example.com"]);
    world.rules.email_source = EmailSource::Upn;
    assert_eq!(
        emails(&world),
        ["ada@login.example.com", "bob@login.example.com"]
    );
    world.rules.include_guest_users = true;
    world.edit("bob", |a| a.user_type = UserType::Guest);
    assert_eq!(emails(&world), ["ada@login.example.com"]);
}

#[test]
fn d13_a_disabled_account_is_not_created_and_not_linked() {
    let mut world = World::with([DirectoryUser {
        account_enabled: false,
        ..account("ada")
    }]);
    world.add(user(9, "ada@example.com"));
    assert_eq!(world.lines(), ["CREATE ada [] SKIPPED DISABLED"]);
}

#[test]
fn d14_whoever_leaves_is_deactivated_with_the_reason() {
    type Edit = fn(&mut DirectoryUser);
    let cases: [(Edit, DeactivationReason); 3] = [
        (|a| a.account_enabled = false, DeactivationReason::Disabled),
        (
            |a| a.presence = Presence::Removed,
            DeactivationReason::Deleted,
        ),
        (
            |a| a.presence = Presence::Missing,
            DeactivationReason::NotFound,
        ),
    ];
    for (edit, reason) in cases {
        let mut world = World::settled(&["ada", "bob"]);
        world.edit("ada", edit);
        let plan = world.plan();
        assert_eq!(plan.len(), 1, "{reason}");
        assert_eq!(
            plan[0]
                .after
                .as_ref()
                .and_then(|after| after.deactivation_reason),
            Some(reason)
        );
        assert_eq!(
            plan[0].needs_confirmation,
            reason == DeactivationReason::NotFound,
            "D-21"
        );
        world.sync();
        assert_eq!(world.lines(), [] as [&str; 0], "once is enough");
    }
}

#[test]
fn d15_whom_an_owner_deactivated_stays_away() {
    let mut world = World::settled(&["ada"]);
    let ada = world.user_of("ada");
    (ada.status, ada.deactivation_reason) =
        (UserStatus::Deactivated, Some(DeactivationReason::Manual));
    assert_eq!(
        world.lines(),
        ["REACTIVATE ada [status: DEACTIVATED -> NOT_YET_ACTIVATED] SKIPPED USER_HOLD"]
    );
}

#[test]
fn d16_whoever_comes_back_is_the_same_user() {
    let mut world = World::settled(&["ada"]);
    let id = world.user_of("ada").id;
    world.edit("ada", |a| a.account_enabled = false);
    world.sync();
    world.edit("ada", |a| {
        (a.account_enabled, a.surname) = (true, Some("Lovelace".into()))
    });
    assert_eq!(
        world.lines(),
        [
            "REACTIVATE ada [familyName: Example -> Lovelace, status: DEACTIVATED -> NOT_YET_ACTIVATED]"
        ]
    );
    world.sync();
    assert_eq!(world.user_of("ada").id, id);
}

#[test]
fn d02_an_existing_user_with_the_address_is_linked_whatever_its_case() {
    let mut world = World::with([account("ada")]);
    world.add(user(9, "ADA@Example.com"));
    assert_eq!(
        world.lines(),
        [
            "LINK ada [givenName: Local -> ada, familyName: User -> Example, email: ADA@Example.com -> ada@example.com]"
        ]
    );
    world.sync();
    assert_eq!(world.users.len(), 1);
    assert_eq!(world.lines(), [] as [&str; 0]);
}

#[test]
fn d02_the_principal_name_matches_only_when_chosen_and_the_local_part_never() {
    let mut world = World::with([account("ada")]);
    world.add(user(9, "ada@login.example.com"));
    world.add(user(10, "ada@elsewhere.example.com"));
    assert!(world.lines()[0].starts_with("CREATE ada"));
    world.rules.match_by_user_principal_name = true;
    assert_eq!(
        world.lines(),
        [
            "LINK ada [givenName: Local -> ada, familyName: User -> Example, email: ada@login.example.com -> ada@example.com]"
        ]
    );
}

#[test]
fn d03_i19_an_owner_is_never_taken_over_silently() {
    let mut world = World::with([account("ada")]);
    world.add(PlatformUser {
        role: Role::Owner,
        ..user(9, "ada@example.com")
    });
    assert_eq!(
        world.lines(),
        ["LINK ada [givenName: Local -> ada, familyName: User -> Example] SKIPPED CONFLICT"]
    );
}

#[test]
fn d04_two_accounts_with_one_address_are_both_left_out() {
    let mut world = World::with([
        account("ada"),
        DirectoryUser {
            mail: Some("ADA@example.com".into()),
            ..account("bob")
        },
    ]);
    assert_eq!(
        world.lines(),
        [
            "CREATE ada [givenName: - -> ada, familyName: - -> Example, email: - -> ada@example.com, status: - -> NOT_YET_ACTIVATED] SKIPPED CONFLICT",
            "CREATE bob [givenName: - -> bob, familyName: - -> Example, email: - -> ADA@example.com, status: - -> NOT_YET_ACTIVATED] SKIPPED CONFLICT"
        ]
    );
    let twin = world
        .accounts
        .remove(&ExternalId::from("bob"))
        .expect("was made");
    world.sync();
    world.accounts.insert(twin.external_id.clone(), twin);
    assert_eq!(
        world.lines(),
        [
            "CREATE bob [givenName: - -> bob, familyName: - -> Example, email: - -> ADA@example.com, status: - -> NOT_YET_ACTIVATED] SKIPPED CONFLICT"
        ],
        "whoever is linked stays"
    );
}

#[test]
fn d05_a_recycled_address_is_a_conflict() {
    let mut world = World::settled(&["ada"]);
    world.edit("ada", |a| a.presence = Presence::Removed);
    world.sync();
    world.accounts.insert(
        "new".into(),
        DirectoryUser {
            mail: Some("ada@example.com".into()),
            ..account("new")
        },
    );
    assert_eq!(
        world.lines(),
        [
            "CREATE new [givenName: - -> new, familyName: - -> Example, email: - -> ada@example.com, status: - -> NOT_YET_ACTIVATED] SKIPPED CONFLICT"
        ]
    );
}

#[test]
fn d07_a_taken_address_is_a_conflict_and_the_rest_is_written() {
    let mut world = World::settled(&["ada"]);
    world.add(user(9, "taken@example.com"));
    world.edit("ada", |a| {
        (a.mail, a.surname) = (Some("taken@example.com".into()), Some("Lovelace".into()))
    });
    assert_eq!(
        world.lines(),
        [
            "UPDATE ada [familyName: Example -> Lovelace]",
            "UPDATE ada [email: ada@example.com -> taken@example.com] SKIPPED CONFLICT email"
        ]
    );
}

#[test]
fn d18_users_who_were_never_matched_are_untouchable() {
    let mut world = World::settled(&["ada"]);
    world.add(user(9, "local@example.com"));
    world.edit("ada", |a| a.presence = Presence::Removed);
    assert_eq!(
        world.lines(),
        ["DEACTIVATE ada [status: NOT_YET_ACTIVATED -> DEACTIVATED]"]
    );
}

#[test]
fn i18_a_user_of_another_integration_is_nobodys_to_take() {
    let mut world = World::with([account("ada")]);
    world.add(user(9, "ada@example.com"));
    world.links.push(UserLink {
        integration_id: IntegrationId(Uuid::from_u128(2)),
        external_id: "ada".into(),
        user_id: UserId(Uuid::from_u128(9)),
        matched_by: LinkMatch::Created,
    });
    assert_eq!(
        world.lines(),
        [
            "CREATE ada [givenName: - -> ada, familyName: - -> Example, email: - -> ada@example.com, status: - -> NOT_YET_ACTIVATED] SKIPPED CONFLICT"
        ]
    );
}

#[test]
fn e3_two_people_swap_addresses() {
    let mut world = World::settled(&["ada", "bob"]);
    let ids = (world.user_of("ada").id, world.user_of("bob").id);
    world.edit("ada", |a| a.mail = Some("bob@example.com".into()));
    world.edit("bob", |a| a.mail = Some("ada@example.com".into()));
    let waits: Vec<_> = world.plan().iter().map(|change| change.waits_for).collect();
    assert_eq!(waits, [Some(ids.1), Some(ids.0)]);
    world.sync();
    assert_eq!(world.user_of("ada").email, "bob@example.com");
    assert_eq!(world.lines(), [] as [&str; 0]);
}

#[test]
fn d07_nobody_waits_for_an_address_that_nobody_gives_up() {
    let mut world = World::settled(&["ann", "bob", "cid"]);
    world.edit("ann", |a| a.account_enabled = false);
    world.sync();
    world.edit("ann", |a| {
        (a.account_enabled, a.mail) = (true, Some("bob@example.com".into()));
        a.surname = Some("New".into());
    });
    world.edit("bob", |a| a.mail = Some("cid@example.com".into()));
    world.sync();
    let ann = world.user_of("ann");
    assert_eq!(
        (ann.status, ann.email.as_str(), ann.family_name.as_deref()),
        (UserStatus::NotYetActivated, "ann@example.com", Some("New"))
    );
    assert_eq!(world.open(false), [] as [&str; 0], "nothing waits");
    // As soon as Cid gives the address up, everyone moves on.
    world.edit("cid", |a| a.mail = Some("cyd@example.com".into()));
    world.sync();
    assert_eq!(world.user_of("ann").email, "bob@example.com");
    assert_eq!(world.user_of("bob").email, "cid@example.com");
}

#[test]
fn a_new_person_takes_an_address_that_is_given_up_in_the_same_run() {
    let mut world = World::settled(&["ada"]);
    world.edit("ada", |a| a.mail = Some("ada.new@example.com".into()));
    world.accounts.insert(
        "bob".into(),
        DirectoryUser {
            mail: Some("ada@example.com".into()),
            ..account("bob")
        },
    );
    world.sync();
    assert_eq!(world.user_of("bob").email, "ada@example.com");
    assert_eq!(world.user_of("ada").email, "ada.new@example.com");
}

fn arbitrary_account(n: usize) -> impl Strategy<Value = DirectoryUser> {
    (0..6_u8, 0..10_u8, 0..10_u8, 0..8_u8).prop_map(move |(mail, flags, names, presence)| {
        DirectoryUser {
            mail: (mail < 5).then(|| format!("Person{mail}@example.com")),
            account_enabled: flags != 0,
            user_type: if flags == 1 {
                UserType::Guest
            } else {
                UserType::Member
            },
            given_name: (names != 0).then(|| format!("Given{names}")),
            job_title: (names % 2 == 0).then(|| format!("Title{names}")),
            presence: match presence {
                0 => Presence::Removed,
                1 => Presence::Missing,
                _ => Presence::Present,
            },
            ..account(&format!("a{n}"))
        }
    })
}

fn arbitrary_directory() -> impl Strategy<Value = Vec<DirectoryUser>> {
    (0..6).map(arbitrary_account).collect::<Vec<_>>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the directory was and becomes: addresses stay unique, nobody is deleted, local users are untouched,
    /// owners stay owners of themselves, and once the world is settled a run plans no change.
    #[test]
    fn laws_of_user_planning(first in arbitrary_directory(), second in arbitrary_directory(), guests: bool, titles: bool, by_upn: bool) {
        let mut world = World::with(first);
        (world.rules.include_guest_users, world.rules.sync_job_title) = (guests, titles);
        world.rules.match_by_user_principal_name = by_upn;
        world.add(user(11, "a3@login.example.com"));
        world.add(user(9, "person1@example.com"));
        world.add(PlatformUser { role: Role::Owner, ..user(10, "person2@example.com") });
        let owner = world.users[&UserId(Uuid::from_u128(10))].clone();
        world.sync();
        let ids: Vec<UserId> = world.users.keys().copied().collect();
        world.accounts = second.into_iter().map(|a| (a.external_id.clone(), a)).collect();
        for _ in 0..4 {
            world.sync();
        }
        prop_assert_eq!(world.open(false), Vec::<String>::new());
        prop_assert!(ids.iter().all(|id| world.users.contains_key(id)), "nobody is deleted");
        prop_assert_eq!(&world.users[&owner.id], &owner, "an owner is never taken over");
        for account in world.accounts.values().filter(|account| scope(account, &world.rules).is_err()) {
            if let Some(user) = world.surroundings().linked_user(&account.external_id) {
                prop_assert_eq!(user.status, UserStatus::Deactivated, "whoever left is deactivated");
            }
        }
    }

    /// Nobody waits for ever: a run after which nothing is held leaves nothing to the next one, and whoever the directory
    /// calls active may sign in, has the name from there, and the address too unless it is in a conflict.
    #[test]
    fn d07_only_an_address_ever_waits(history in prop::collection::vec(arbitrary_directory(), 3), by_upn: bool) {
        let mut world = World::default();
        world.rules.match_by_user_principal_name = by_upn;
        for directory in history {
            world.accounts.extend(directory.into_iter().map(|a| (a.external_id.clone(), a)));
            world.sync();
            prop_assert_eq!(world.open(false), Vec::<String>::new(), "the second run plans nothing");
            world.assert_followed()?;
        }
    }

    /// When every change of an address is held, everything else arrives all the same.
    #[test]
    fn d48_a_held_address_holds_nothing_else(history in prop::collection::vec(arbitrary_directory(), 3), by_upn: bool) {
        let mut world = World::default();
        world.rules.match_by_user_principal_name = by_upn;
        world.add(user(11, "a3@login.example.com"));
        for directory in history {
            world.accounts.extend(directory.into_iter().map(|a| (a.external_id.clone(), a)));
            world.sync_and(true);
            prop_assert_eq!(world.open(true), Vec::<String>::new(), "the second run plans nothing");
            world.assert_followed()?;
        }
    }

    /// The answer for one account does not depend on which other accounts are looked at together with it.
    #[test]
    fn the_cut_into_chunks_does_not_matter(first in arbitrary_directory(), second in arbitrary_directory()) {
        let mut world = World::with(first);
        world.sync();
        world.accounts = second.into_iter().map(|a| (a.external_id.clone(), a)).collect();
        let one_by_one: Vec<PlannedChange> = world
            .accounts
            .keys()
            .flat_map(|key| plan(std::slice::from_ref(key), &world.surroundings(), &world.rules))
            .flat_map(|decision| decision.changes)
            .collect();
        prop_assert_eq!(world.plan(), one_by_one);
    }
}
