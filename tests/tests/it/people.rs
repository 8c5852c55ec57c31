//! People of an organization: who makes them, what is done to them by hand, and when they are first seen.

use chrono::TimeDelta;
use lockstep_domain::{
    Actor, Address, ChangeAction, ObjectKind, Role, RunKind, RunPhase, UserFields, UserId,
    UserStatus,
};
use lockstep_store::lease::Step;
use lockstep_store::plan::{MarkedChange, PlannedChunk};
use lockstep_store::user::NewUser;
use lockstep_store::user_by_hand::Edited;
use lockstep_sync::inbound::users::PlannedChange;
use serde_json::{Value, json};

use crate::provider::Installation;
use crate::world::{World, both, id_of, people};

impl World {
    async fn seen(&self, user: UserId) -> bool {
        self.store.note_seen(self.organization, user).await.unwrap()
    }

    async fn role(&self, user: UserId, role: Role) -> Edited {
        let tx = self.store.begin().await.unwrap();
        let edited = self
            .store
            .set_role(&tx, self.organization, user, role)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        edited
    }

    async fn add(&self, name: &str, role: Role) -> UserId {
        let new = NewUser {
            given_name: name.to_owned(),
            family_name: "Example".to_owned(),
            email: Address::parse(&format!("{name}@example.com")).unwrap(),
            role,
            language: "en".to_owned(),
        };
        let tx = self.store.begin().await.unwrap();
        let user = self
            .store
            .create_user(&tx, self.organization, &new)
            .await
            .unwrap();
        self.store.mark_around(&tx, &user).await.unwrap();
        tx.commit().await.unwrap();
        user.id
    }
}

both! {
    async fn x005_whoever_a_run_created_is_active_from_the_first_sign_in_on(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        world.sync().await;
        let ada = world.user("ada@example.com").await;
        assert_eq!(ada.status, UserStatus::NotYetActivated);
        assert!(world.seen(ada.id).await);
        let active = world.user("ada@example.com").await;
        assert_eq!((active.status, active.ever_active, active.updated_at), (UserStatus::Active, true, ada.updated_at));
        assert!(!world.seen(ada.id).await, "one write an hour, however many requests there are");
        for run in [world.sync().await, world.full_sync().await] {
            assert_eq!(run.change_count, 0, "a sign-in is nothing that a run minds");
        }
        world.clock.advance(TimeDelta::hours(1));
        assert!(world.seen(ada.id).await);
        // Who is away stays away, and comes back as someone who was there.
        world.control().patch_user(&id_of("ada"), json!({ "accountEnabled": false })).unwrap();
        world.sync().await;
        world.clock.advance(TimeDelta::hours(1));
        assert!(!world.seen(ada.id).await, "whoever is deactivated is not seen");
        world.control().patch_user(&id_of("ada"), json!({ "accountEnabled": true })).unwrap();
        world.sync().await;
        assert_eq!(world.user("ada@example.com").await.status, UserStatus::Active);
    }

    async fn a_first_sign_in_in_the_middle_of_a_run_is_no_edit(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        world.sync().await;
        let (ada, bob) = (world.user("ada@example.com").await, world.user("bob@example.com").await);
        let id = world.request(RunKind::Sync, false).await.run().id;
        let (_, lease) = world.store.claim_run(id, "test", TimeDelta::minutes(1)).await.unwrap().unwrap();
        let change = |user: &lockstep_domain::PlatformUser, action, after: UserFields| MarkedChange {
            change: PlannedChange {
                external_id: lockstep_domain::ExternalId(id_of(user.given_name.as_deref().unwrap())),
                user_id: Some(user.id),
                display_name: user.display_name(),
                action,
                before: Some(UserFields::of(user)),
                after: Some(after),
                matched_by: None,
                waits_for: None,
                needs_confirmation: false,
                source_hash: lockstep_domain::ContentHash::of([]),
                skipped: None,
            },
            mark: world.store.fresh_id(),
        };
        let renamed = UserFields { given_name: Some("Adele".to_owned()), ..UserFields::of(&ada) };
        let gone = UserFields {
            status: UserStatus::Deactivated,
            deactivation_reason: Some(lockstep_domain::DeactivationReason::Disabled),
            ..UserFields::of(&bob)
        };
        let chunk = PlannedChunk {
            changes: vec![change(&ada, ChangeAction::Update, renamed), change(&bob, ChangeAction::Deactivate, gone)],
            ..PlannedChunk::default()
        };
        let step = Step { phase: RunPhase::Planning, processed: 1, total: Some(1) };
        world.store.save_plan(&lease, step, chunk).await.unwrap();
        assert!(world.seen(ada.id).await && world.seen(bob.id).await);
        let (_, applied) = world.store.apply_next(&lease, ObjectKind::User, step, 0, 500).await.unwrap().unwrap();
        assert_eq!((applied.applied, applied.skipped), (2, 0));
        let ada = world.store.user(world.organization, ada.id).await.unwrap().unwrap();
        assert_eq!((ada.status, ada.given_name.as_deref()), (UserStatus::Active, Some("Adele")));
        let bob = world.store.user(world.organization, bob.id).await.unwrap().unwrap();
        assert_eq!(bob.status, UserStatus::Deactivated, "a sign-in keeps nobody who is to go");
    }

    async fn d15_whom_people_deactivate_no_run_brings_back_until_they_do(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        world.sync().await;
        let ada = world.user("ada@example.com").await;
        let edit = async |reactivate: bool| {
            let tx = world.store.begin().await.unwrap();
            let edited = if reactivate {
                world.store.reactivate_user(&tx, world.organization, ada.id).await.unwrap()
            } else {
                world.store.deactivate_user(&tx, world.organization, ada.id, &Actor::service()).await.unwrap()
            };
            tx.commit().await.unwrap();
            edited
        };
        assert!(matches!(edit(false).await, Edited::Done(_)));
        assert!(matches!(edit(false).await, Edited::Before(_)));
        let run = world.sync().await;
        assert_eq!(world.lines(&run).await, ["REACTIVATE ada Example [status: DEACTIVATED -> NOT_YET_ACTIVATED] SKIPPED USER_HOLD"]);
        assert_eq!(world.full_sync().await.summary.users.reactivated, 0);
        let Edited::Done(back) = edit(true).await else { panic!("ada is back") };
        assert_eq!(back.status, UserStatus::NotYetActivated, "she never signed in");
        assert_eq!(world.sync().await.change_count, 0);
        // Whom a run took away, the directory brings back, not a person against it.
        world.control().patch_user(&id_of("ada"), json!({ "accountEnabled": false })).unwrap();
        world.sync().await;
        assert!(matches!(edit(true).await, Edited::WrongState(_)));
    }

    async fn a_change_of_role_makes_the_next_run_look_again(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        let ada = world.add("ada", Role::Owner).await;
        let first = world.sync().await;
        assert!(world.lines(&first).await.iter().any(|line| line.contains("CONFLICT")), "d03: an owner is never linked by itself");
        assert!(matches!(world.role(ada, Role::Member).await, Edited::Done(_)));
        let second = world.sync().await;
        assert_eq!(second.summary.users.linked, 1, "{:?}", world.lines(&second).await);
    }

    async fn d19_of_two_who_take_the_last_two_owners_away_one_is_refused(backend) {
        let world = World::around(backend, people(&[])).await;
        let (olga, oda) = (world.owner.id, world.add("oda", Role::Owner).await);
        for _ in 0..10 {
            let edited = tokio::join!(world.role(olga, Role::Member), world.role(oda, Role::Member));
            let refused = [&edited.0, &edited.1].iter().filter(|edited| matches!(edited, Edited::LastOwner(_))).count();
            assert_eq!(refused, 1, "{edited:?}");
            for user in [olga, oda] {
                world.role(user, Role::Owner).await;
            }
        }
    }

    async fn a_second_owner_is_added_listed_and_made_a_member_again(backend) {
        let installation = Installation::new(backend, &[("LOCKSTEP_LANGUAGES", "en,de")]);
        let contoso = installation.organization("Contoso", "olga@contoso.example").await;
        installation.organization("Fabrikam", "eve@fabrikam.example").await;
        let add = |email: &'static str, more: &[&'static str]| {
            let base = ["user", "add", "--organization", "Contoso", "--email", email, "--given-name", "Oda", "--family-name", "Muster"];
            base.iter().chain(more).copied().collect::<Vec<&str>>()
        };
        let printed = installation.printed(&add("Oda@Contoso.example", &["--role", "owner", "--language", "de"])).await;
        assert!(printed.contains("Oda Muster <Oda@Contoso.example> OWNER ACTIVE"), "{printed}");
        let known = installation.refused(&add("oda@contoso.EXAMPLE", &[])).await;
        assert!(known.contains("is in \"Contoso\" already, as user") && known.contains("lockstep user role"), "{known}");
        for (more, told) in [
            (vec!["--language", "fr"], "--language: \"fr\" is none of LOCKSTEP_LANGUAGES (en, de)"),
            (vec!["--role", "admin"], "--role"),
        ] {
            let refused = installation.refused(&add("new@contoso.example", &more)).await;
            assert!(refused.contains(told), "{refused}");
        }
        let refused = installation.refused(&add("nobody", &[])).await;
        assert!(refused.contains("--email is not an e-mail address"), "{refused}");
        let refused = installation.refused(&["user", "list", "--organization", "Nowhere"]).await;
        assert!(refused.contains("none is called \"Nowhere\"; `lockstep org list`"), "{refused}");

        let listed = installation.printed(&["user", "list", "--organization", &contoso, "--json"]).await;
        let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let seen: Vec<_> = listed.iter().map(|user| (user["email"].as_str().unwrap(), user["role"].as_str().unwrap(), user["status"].as_str().unwrap(), &user["lastSeenAt"])).collect();
        assert_eq!(seen, [
            ("olga@contoso.example", "OWNER", "ACTIVE", &Value::Null),
            ("Oda@Contoso.example", "OWNER", "ACTIVE", &Value::Null),
        ]);
        let role = |user: &'static str, role: &'static str| ["user", "role", "--organization", "Contoso", "--user", user, "--role", role];
        installation.printed(&role("olga@contoso.example", "member")).await;
        let refused = installation.refused(&role("oda@contoso.example", "member")).await;
        assert!(refused.contains("is the last active owner"), "{refused}");
        let members = installation.printed(&["user", "list", "--organization", "Contoso", "--role", "member"]).await;
        assert!(members.contains("olga@contoso.example") && !members.contains("Oda@"), "{members}");

        let organizations = installation.printed(&["org", "list"]).await;
        assert!(organizations.contains("Contoso") && organizations.contains("Fabrikam") && organizations.contains(&contoso));
        installation.organization("Contoso", "two@contoso.example").await;
        let refused = installation.refused(&role("oda@contoso.example", "member")).await;
        assert!(refused.contains("several are called \"Contoso\""), "{refused}");
    }

    async fn a_list_of_many_users_has_everyone_once_and_in_order(backend) {
        let installation = Installation::new(backend, &[]);
        let contoso = installation.organization("Contoso", "olga@contoso.example").await;
        let store = lockstep_store::Store::connect(installation.database_url()).await.unwrap();
        let tx = store.begin().await.unwrap();
        for n in 0..5_200 {
            let new = NewUser {
                given_name: format!("Person {n}"),
                family_name: "Example".to_owned(),
                email: Address::parse(&format!("person{n}@contoso.example")).unwrap(),
                role: Role::Member,
                language: "en".to_owned(),
            };
            store.create_user(&tx, contoso.parse().unwrap(), &new).await.unwrap();
        }
        tx.commit().await.unwrap();
        let listed = installation.printed(&["user", "list", "--organization", "Contoso", "--json"]).await;
        let mut ids: Vec<String> = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 5_201);
        assert!(ids.is_sorted());
        ids.dedup();
        assert_eq!(ids.len(), 5_201);
    }
}
