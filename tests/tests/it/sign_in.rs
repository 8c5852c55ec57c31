//! People who sign in at a provider, from its token to the row, over HTTP and WebSocket.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use lockstep_tests::postgres;
use lockstep_tests::wait::{PATIENCE, eventually};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};
use serde_json::{Value, json};

use crate::provider::{AUDIENCE, ENTRA, Installation, Provider, entra, in_an_hour};
use crate::world::{Backend, both};

const CONTOSO: &str = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
const FABRIKAM: &str = "11111111-2222-4333-8444-555555555555";
const OLGA: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const EVE: &str = "aaaaaaaa-0000-4000-8000-000000000002";
const NOBODY: &str = "aaaaaaaa-0000-4000-8000-000000000009";

/// An installation where people sign in at Microsoft, with two organizations and an owner in each.
async fn two_organizations(
    backend: Backend,
    provider: &Provider,
) -> (Installation, String, String) {
    let mut installation = Installation::new(
        backend,
        &[
            ("LOCKSTEP_JWT_JWKS_URL", &provider.jwks_url),
            ("LOCKSTEP_JWT_ISSUER", ENTRA),
            ("LOCKSTEP_JWT_AUDIENCE", AUDIENCE),
            ("LOCKSTEP_JWT_PROVIDER_CLAIM", "tid"),
            ("LOCKSTEP_JWT_SUBJECT_CLAIM", "oid"),
        ],
    );
    let contoso = installation
        .organization("Contoso", "olga@contoso.example")
        .await;
    let fabrikam = installation
        .organization("Fabrikam", "eve@fabrikam.example")
        .await;
    installation.serve().await;
    (installation, contoso, fabrikam)
}

fn link<'a>(
    organization: &'a str,
    user: &'a str,
    tenant: &'a str,
    person: &'a str,
) -> [&'a str; 10] {
    [
        "user",
        "link",
        "--organization",
        organization,
        "--user",
        user,
        "--provider",
        tenant,
        "--subject",
        person,
    ]
}

fn with(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

const PROPOSALS: &str =
    "{ signInProposals { totalCount nodes { id email user { displayName email } } } }";
const CONFIRM: &str = "mutation($i: ConfirmSignInProposalInput!) { answer: confirmSignInProposal(input: $i) { user { email } userErrors { code message path } } }";
const DISMISS: &str = "mutation($i: DismissSignInProposalInput!) { answer: dismissSignInProposal(input: $i) { user { email } userErrors { code message path } } }";

/// What waits for the decision of an owner.
async fn proposals(installation: &Installation, owner: &str) -> Value {
    let answer = installation.ask(owner, PROPOSALS, json!({})).await;
    answer["data"]["signInProposals"].clone()
}

/// Confirms or dismisses a proposal.
async fn decide(installation: &Installation, owner: &str, mutation: &str, id: &Value) -> Value {
    let input = json!({ "i": { "proposalId": id } });
    let answer = installation.ask(owner, mutation, input).await;
    answer["data"]["answer"].clone()
}

/// Adds a member of Contoso.
async fn add(installation: &Installation, given_name: &str, email: &str) {
    let add = ["user", "add", "--organization", "Contoso", "--email", email];
    let name = ["--given-name", given_name, "--family-name", "Member"];
    let args: Vec<&str> = add.into_iter().chain(name).collect();
    installation.printed(&args).await;
}

/// The token of somebody nobody knows, whose address the provider has verified.
fn verified(provider: &Provider, email: &str) -> String {
    let changes = json!({ "email": email, "xms_edov": true });
    provider.sign(&with(entra(CONTOSO, NOBODY), changes))
}

async fn connected(installation: &Installation) -> DatabaseConnection {
    sea_orm::Database::connect(installation.database_url())
        .await
        .unwrap()
}

async fn greeted(installation: &Installation, token: &str) -> String {
    installation
        .greet(json!({ "Authorization": format!("Bearer {token}") }))
        .await
}

both! {
    async fn a_link_lets_in_whom_the_provider_vouches_for_and_nobody_else(backend) {
        let provider = Provider::start(Some(ENTRA)).await;
        let (installation, contoso, fabrikam) = two_organizations(backend, &provider).await;
        let olga = provider.sign(&entra(CONTOSO, OLGA));
        assert_eq!(installation.viewer(&olga).await, "SIGN_IN_UNKNOWN", "nobody is linked yet");
        assert_eq!(
            greeted(&installation, &olga).await,
            "4403 SIGN_IN_UNKNOWN: Nobody here has this sign-in. Ask an owner of your organization to confirm it, or the operator to link it."
        );
        // Ids may be typed in either case, and an organization has a name.
        installation.printed(&link("Contoso", "Olga@Contoso.example", &CONTOSO.to_uppercase(), OLGA)).await;
        assert_eq!(installation.viewer(&olga).await, "olga@contoso.example OWNER");
        assert_eq!(greeted(&installation, &olga).await, "connection_ack");
        let again = installation.printed(&link(&contoso, "olga@contoso.example", CONTOSO, OLGA)).await;
        assert!(again.starts_with("nothing to do"), "{again}");

        let good = entra(CONTOSO, OLGA);
        let other_issuer = ENTRA.replace("{tenantid}", FABRIKAM);
        for (what, changes, code) in [
            ("the audience of another service", json!({ "aud": "00000003-0000-0000-c000-000000000000" }), "UNAUTHENTICATED"),
            ("no audience", json!({ "aud": null }), "UNAUTHENTICATED"),
            ("another issuer", json!({ "iss": "https://id.example.com" }), "UNAUTHENTICATED"),
            ("the issuer of another tenant", json!({ "iss": other_issuer }), "UNAUTHENTICATED"),
            ("the tenant of another issuer", json!({ "tid": FABRIKAM }), "UNAUTHENTICATED"),
            ("no tenant", json!({ "tid": null }), "UNAUTHENTICATED"),
            ("no person", json!({ "oid": null }), "UNAUTHENTICATED"),
            ("a name for an id", json!({ "oid": "olga@contoso.example" }), "UNAUTHENTICATED"),
            ("an end that has passed", json!({ "exp": 1_700_000_000 }), "UNAUTHENTICATED"),
            ("no end", json!({ "exp": null }), "UNAUTHENTICATED"),
            ("another person", json!({ "oid": NOBODY }), "SIGN_IN_UNKNOWN"),
            ("the same person of another tenant", json!({ "tid": FABRIKAM, "iss": other_issuer }), "SIGN_IN_UNKNOWN"),
            ("our own ids, which are not asked for", json!({ "oid": NOBODY, "sub": OLGA, "org": contoso }), "SIGN_IN_UNKNOWN"),
            ("a word that makes nobody staff here", json!({ "oid": NOBODY, "scope": "staff", "roles": ["staff"] }), "SIGN_IN_UNKNOWN"),
        ] {
            let token = provider.sign(&with(good.clone(), changes));
            assert_eq!(installation.viewer(&token).await, code, "{what}");
            let closed = greeted(&installation, &token).await;
            let expected = if code == "UNAUTHENTICATED" { "4401 " } else { "4403 SIGN_IN_UNKNOWN" };
            assert!(closed.starts_with(expected), "{what}: {closed}");
        }
        // The algorithm is that of the key, whatever the token says of it.
        let public = EncodingKey::from_secret(provider.pem.as_bytes());
        let header = Header { kid: Some("key-1".to_owned()), ..Header::new(Algorithm::HS256) };
        let confused = jsonwebtoken::encode(&header, &good, &public).unwrap();
        assert_eq!(installation.viewer(&confused).await, "UNAUTHENTICATED");
        let stranger = Provider::start(None).await;
        assert_eq!(installation.viewer(&stranger.sign(&good)).await, "UNAUTHENTICATED");

        // Nobody is linked across organizations.
        let refused = installation.refused(&link(&fabrikam, "olga@contoso.example", CONTOSO, OLGA)).await;
        assert!(refused.contains("--user: nobody in \"Fabrikam\""), "{refused}");
        let users = installation.printed(&["user", "list", "--organization", "Contoso", "--json"]).await;
        let olga_id = serde_json::from_str::<Value>(&users).unwrap()["id"].as_str().unwrap().to_owned();
        let refused = installation.refused(&link(&fabrikam, &olga_id, CONTOSO, OLGA)).await;
        assert!(refused.contains("--user: nobody in \"Fabrikam\""), "{refused}");
        let refused = installation.refused(&link(&contoso, "olga@contoso.example", "contoso.example", OLGA)).await;
        assert!(refused.contains("--provider") && refused.contains("Directory (tenant) ID"), "{refused}");

        // A sign-in that is taken back lets nobody in any more.
        let unlink: Vec<&str> = link(&contoso, &olga_id, CONTOSO, OLGA).map(|word| if word == "link" { "unlink" } else { word }).into();
        installation.printed(&unlink).await;
        assert_eq!(installation.viewer(&olga).await, "SIGN_IN_UNKNOWN");
        // What tokens hold is in no log.
        let log = installation.log();
        for held in [OLGA, NOBODY, &olga[..40], "pairwise"] {
            assert!(!log.contains(held), "{held} is logged: {log}");
        }
    }

    async fn whoever_is_deactivated_is_told_so_and_the_last_owner_cannot_be(backend) {
        let provider = Provider::start(Some(ENTRA)).await;
        let (installation, _, _) = two_organizations(backend, &provider).await;
        installation.printed(&link("Contoso", "olga@contoso.example", CONTOSO, OLGA)).await;
        let olga = provider.sign(&entra(CONTOSO, OLGA));
        let deactivate = ["user", "deactivate", "--organization", "Contoso", "--user", "olga@contoso.example"];
        let refused = installation.refused(&deactivate).await;
        assert!(refused.contains("last active owner"), "{refused}");
        let second = [
            "user", "add", "--organization", "Contoso", "--email", "oda@contoso.example",
            "--given-name", "Oda", "--family-name", "Owner", "--role", "owner",
        ];
        installation.printed(&second).await;
        installation.printed(&deactivate).await;
        assert_eq!(installation.viewer(&olga).await, "USER_DEACTIVATED");
        let closed = greeted(&installation, &olga).await;
        assert_eq!(
            closed,
            "4403 USER_DEACTIVATED: Your user is deactivated. Ask an owner of your organization to bring it back."
        );
        installation.printed(&["user", "reactivate", "--organization", "Contoso", "--user", "olga@contoso.example"]).await;
        assert_eq!(installation.viewer(&olga).await, "olga@contoso.example OWNER");
    }

    async fn a_verified_address_proposes_and_an_owner_decides(backend) {
        let provider = Provider::start(Some(ENTRA)).await;
        let (installation, _, _) = two_organizations(backend, &provider).await;
        for (organization, user, tenant, person) in [
            ("Contoso", "olga@contoso.example", CONTOSO, OLGA),
            ("Fabrikam", "eve@fabrikam.example", FABRIKAM, EVE),
        ] {
            installation.printed(&link(organization, user, tenant, person)).await;
        }
        let oda = [
            "user", "add", "--organization", "Contoso", "--email", "oda@contoso.example",
            "--given-name", "Oda", "--family-name", "Owner", "--role", "owner",
        ];
        installation.printed(&oda).await;
        let (olga, eve) = (provider.sign(&entra(CONTOSO, OLGA)), provider.sign(&entra(FABRIKAM, EVE)));
        let list = "{ signInProposals { totalCount nodes { id email provider subject user { displayName role } } } }";
        let proposals = async |token: &str| installation.ask(token, list, json!({})).await["data"]["signInProposals"].clone();

        // An address alone, whoever wrote it, proposes nothing.
        let unverified = with(entra(FABRIKAM, NOBODY), json!({ "email": "oda@contoso.example", "email_verified": true }));
        assert_eq!(installation.viewer(&provider.sign(&unverified)).await, "SIGN_IN_UNKNOWN");
        assert_eq!(proposals(&olga).await["totalCount"], 0);

        let verified = with(entra(CONTOSO, NOBODY), json!({ "email": "Oda@Contoso.example", "xms_edov": true }));
        let unknown = provider.sign(&verified);
        for _ in 0..2 {
            assert_eq!(installation.viewer(&unknown).await, "SIGN_IN_UNKNOWN", "nothing is linked by itself");
        }
        let waiting = proposals(&olga).await;
        assert_eq!(waiting["totalCount"], 1, "once: {waiting}");
        let proposal = &waiting["nodes"][0];
        assert_eq!(proposal["user"], json!({ "displayName": "Oda Owner", "role": "OWNER" }));
        assert_eq!((proposal["provider"].as_str(), proposal["subject"].as_str()), (Some(CONTOSO), Some(NOBODY)));
        assert_eq!(proposals(&eve).await["totalCount"], 0, "another organization is not told");

        let confirm = "mutation($i: ConfirmSignInProposalInput!) { confirmSignInProposal(input: $i) { user { email } userErrors { code } } }";
        let input = json!({ "i": { "proposalId": proposal["id"] } });
        let foreign = installation.ask(&eve, confirm, input.clone()).await;
        assert_eq!(foreign["data"]["confirmSignInProposal"]["userErrors"][0]["code"], "NOT_FOUND", "{foreign}");
        let done = installation.ask(&olga, confirm, input.clone()).await;
        assert_eq!(done["data"]["confirmSignInProposal"]["user"]["email"], "oda@contoso.example", "{done}");
        assert_eq!(installation.viewer(&unknown).await, "oda@contoso.example OWNER");
        assert_eq!(proposals(&olga).await["totalCount"], 0);
        let again = installation.ask(&olga, confirm, input).await;
        assert_eq!(again["data"]["confirmSignInProposal"]["userErrors"][0]["code"], "NOT_FOUND");

        // What is dismissed stays dismissed.
        let person = "aaaaaaaa-0000-4000-8000-00000000000a";
        let other = provider.sign(&with(entra(CONTOSO, person), json!({ "email": "oda@contoso.example", "xms_edov": "1" })));
        assert_eq!(installation.viewer(&other).await, "SIGN_IN_UNKNOWN");
        let waiting = proposals(&olga).await;
        let dismiss = "mutation($i: DismissSignInProposalInput!) { dismissSignInProposal(input: $i) { user { email } userErrors { code } } }";
        let done = installation.ask(&olga, dismiss, json!({ "i": { "proposalId": waiting["nodes"][0]["id"] } })).await;
        assert_eq!(done["data"]["dismissSignInProposal"]["userErrors"], json!([]), "{done}");
        assert_eq!(installation.viewer(&other).await, "SIGN_IN_UNKNOWN");
        assert_eq!(proposals(&olga).await["totalCount"], 0);

        // An owner sees how people sign in, and takes it back.
        let me = installation.ask(&unknown, "{ viewer { user { id } } }", json!({})).await["data"]["viewer"]["user"]["id"].clone();
        let links = "query($u: ID!) { signInLinks(userId: $u) { id provider subject linkedBy { name } } }";
        let seen = installation.ask(&olga, links, json!({ "u": me })).await["data"]["signInLinks"].clone();
        assert_eq!(seen[0]["linkedBy"]["name"], "Olga Owner", "{seen}");
        assert_eq!(installation.ask(&eve, links, json!({ "u": me })).await["data"]["signInLinks"], json!([]));
        let remove = "mutation($i: RemoveSignInLinkInput!) { removeSignInLink(input: $i) { user { email } userErrors { code } } }";
        let input = json!({ "i": { "linkId": seen[0]["id"] } });
        let foreign = installation.ask(&eve, remove, input.clone()).await;
        assert_eq!(foreign["data"]["removeSignInLink"]["userErrors"][0]["code"], "NOT_FOUND", "{foreign}");
        installation.ask(&olga, remove, input).await;
        assert_eq!(installation.viewer(&unknown).await, "SIGN_IN_UNKNOWN");
        assert!(!installation.log().to_lowercase().contains("oda@contoso"), "{}", installation.log());
    }

    async fn a_proposal_holds_only_while_its_user_has_the_address(backend) {
        let provider = Provider::start(Some(ENTRA)).await;
        let (installation, _, _) = two_organizations(backend, &provider).await;
        installation.printed(&link("Contoso", "olga@contoso.example", CONTOSO, OLGA)).await;
        let olga = provider.sign(&entra(CONTOSO, OLGA));
        add(&installation, "Uma", "uma@contoso.example").await;
        let somebody = verified(&provider, "Uma@Contoso.example");
        assert_eq!(installation.viewer(&somebody).await, "SIGN_IN_UNKNOWN");
        let waiting = proposals(&installation, &olga).await;
        assert_eq!(waiting["nodes"][0]["user"]["displayName"], "Uma Member", "{waiting}");
        let id = waiting["nodes"][0]["id"].clone();

        // As a run does when the directory gives the address to somebody else.
        let moved = "UPDATE platform_user SET email = 'old@contoso.example', email_key = 'old@contoso.example' WHERE email_key = 'uma@contoso.example'";
        let done = connected(&installation).await.execute_unprepared(moved).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        add(&installation, "Nia", "uma@contoso.example").await;
        let waiting = proposals(&installation, &olga).await;
        assert_eq!((waiting["totalCount"].clone(), waiting["nodes"].clone()), (json!(0), json!([])));
        let refused = decide(&installation, &olga, CONFIRM, &id).await;
        assert_eq!(refused["userErrors"], json!([{
            "code": "WRONG_STATE", "path": ["input", "proposalId"],
            "message": "The user has another address by now; dismiss the proposal.",
        }]), "{refused}");
        assert_eq!(installation.viewer(&somebody).await, "SIGN_IN_UNKNOWN");
        let waiting = proposals(&installation, &olga).await;
        assert_eq!(waiting["totalCount"], 1, "{waiting}");
        assert_eq!(waiting["nodes"][0]["user"]["displayName"], "Nia Member", "{waiting}");

        // A person whose address changed here and at the provider is proposed with the new one.
        let renamed = verified(&provider, "old@contoso.example");
        assert_eq!(installation.viewer(&renamed).await, "SIGN_IN_UNKNOWN");
        let waiting = proposals(&installation, &olga).await;
        assert_eq!(waiting["totalCount"], 2, "{waiting}");
        assert_eq!((&waiting["nodes"][0]["id"], &waiting["nodes"][0]["email"]), (&id, &json!("old@contoso.example")));
        let done = decide(&installation, &olga, DISMISS, &id).await;
        assert_eq!(done["userErrors"], json!([]), "{done}");
        assert_eq!(installation.viewer(&renamed).await, "SIGN_IN_UNKNOWN");
        assert_eq!(proposals(&installation, &olga).await["totalCount"], 1, "what is dismissed stays so");
    }

    async fn what_was_dismissed_is_not_proposed_again_after_a_link_that_ended(backend) {
        let provider = Provider::start(Some(ENTRA)).await;
        let (installation, _, _) = two_organizations(backend, &provider).await;
        installation.printed(&link("Contoso", "olga@contoso.example", CONTOSO, OLGA)).await;
        let olga = provider.sign(&entra(CONTOSO, OLGA));
        add(&installation, "Uma", "uma@contoso.example").await;
        let somebody = verified(&provider, "uma@contoso.example");
        assert_eq!(installation.viewer(&somebody).await, "SIGN_IN_UNKNOWN");
        let id = proposals(&installation, &olga).await["nodes"][0]["id"].clone();
        let done = decide(&installation, &olga, DISMISS, &id).await;
        assert_eq!(done["userErrors"], json!([]), "{done}");
        let linked = link("Contoso", "uma@contoso.example", CONTOSO, NOBODY);
        installation.printed(&linked).await;
        assert_eq!(installation.viewer(&somebody).await, "uma@contoso.example MEMBER");
        let unlinked = linked.map(|word| if word == "link" { "unlink" } else { word });
        installation.printed(&unlinked).await;
        assert_eq!(installation.viewer(&somebody).await, "SIGN_IN_UNKNOWN");
        assert_eq!(proposals(&installation, &olga).await["totalCount"], 0);
    }

    async fn whoever_is_in_several_organizations_says_which_one_is_meant(backend) {
        let provider = Provider::start(Some(ENTRA)).await;
        let (installation, contoso, fabrikam) = two_organizations(backend, &provider).await;
        for (organization, user) in [("Contoso", "olga@contoso.example"), ("Fabrikam", "eve@fabrikam.example")] {
            installation.printed(&link(organization, user, CONTOSO, OLGA)).await;
        }
        let token = provider.sign(&entra(CONTOSO, OLGA));
        assert_eq!(installation.viewer(&token).await, "ORGANIZATION_NEEDED");
        assert_eq!(installation.viewer_in(&token, &contoso).await, "olga@contoso.example");
        assert_eq!(installation.viewer_in(&token, &fabrikam).await, "eve@fabrikam.example");
        assert_eq!(installation.viewer_in(&token, OLGA).await, "SIGN_IN_UNKNOWN", "an organization of others, or of nobody");
        assert_eq!(installation.viewer_in(&token, "Contoso").await, "UNAUTHENTICATED", "an id, not a name");
        let authorization = format!("Bearer {token}");
        let closed = greeted(&installation, &token).await;
        assert_eq!(closed, "4403 ORGANIZATION_NEEDED: You are in several organizations: name one in `Lockstep-Organization`.");
        let payload = json!({ "Authorization": authorization, "Lockstep-Organization": fabrikam });
        assert_eq!(installation.greet(payload).await, "connection_ack");
        let payload = json!({ "Authorization": authorization, "Lockstep-Organization": OLGA });
        assert!(installation.greet(payload).await.starts_with("4403 SIGN_IN_UNKNOWN"));
    }

    async fn other_providers_are_told_apart_by_issuer_and_subject(backend) {
        let provider = Provider::start(None).await;
        let mut installation = Installation::new(
            backend,
            &[
                ("LOCKSTEP_JWT_JWKS_URL", &provider.jwks_url),
                ("LOCKSTEP_JWT_ISSUER", "https://id.example.com, https://id.example.org"),
                ("LOCKSTEP_JWT_AUDIENCE", "lockstep"),
                ("LOCKSTEP_JWT_PROVIDER_CLAIM", "iss"),
                ("LOCKSTEP_JWT_SUBJECT_CLAIM", "sub"),
                ("LOCKSTEP_JWT_STAFF_CLAIM", "groups"),
            ],
        );
        installation.organization("Contoso", "olga@contoso.example").await;
        let claims = |issuer: &str| json!({ "iss": issuer, "sub": "Olga-7", "aud": ["other", "lockstep"],
            "exp": in_an_hour(), "email": "olga@contoso.example", "email_verified": true });
        let refused = installation.refused(&link("Contoso", "olga@contoso.example", "https://elsewhere.example", "Olga-7")).await;
        assert!(refused.contains("--provider is not LOCKSTEP_JWT_ISSUER"), "{refused}");
        installation.printed(&link("Contoso", "olga@contoso.example", "https://id.example.com", "Olga-7")).await;
        installation.serve().await;
        let com = provider.sign(&claims("https://id.example.com"));
        assert_eq!(installation.viewer(&com).await, "olga@contoso.example OWNER");
        let org = provider.sign(&claims("https://id.example.org"));
        assert_eq!(installation.viewer(&org).await, "SIGN_IN_UNKNOWN", "the same name at another issuer is another person");
        let small = provider.sign(&with(claims("https://id.example.com"), json!({ "sub": "olga-7" })));
        assert_eq!(installation.viewer(&small).await, "SIGN_IN_UNKNOWN");
        let staff = provider.sign(&with(claims("https://id.example.org"), json!({ "groups": ["admins", "staff"] })));
        assert_eq!(installation.viewer(&staff).await, "- -", "staff by the claim that the settings name");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_that_is_dismissed_while_it_is_confirmed_links_nobody() {
    let provider = Provider::start(Some(ENTRA)).await;
    let (installation, _, _) = two_organizations(Backend::Postgres, &provider).await;
    let olga = link("Contoso", "olga@contoso.example", CONTOSO, OLGA);
    installation.printed(&olga).await;
    let olga = provider.sign(&entra(CONTOSO, OLGA));
    add(&installation, "Uma", "uma@contoso.example").await;
    let somebody = verified(&provider, "uma@contoso.example");
    assert_eq!(installation.viewer(&somebody).await, "SIGN_IN_UNKNOWN");
    let id = proposals(&installation, &olga).await["nodes"][0]["id"].clone();

    let dismissal = connected(&installation).await.begin().await.unwrap();
    let dismiss = "UPDATE sign_in_proposal SET dismissed_at = now()";
    dismissal.execute_unprepared(dismiss).await.unwrap();
    let (server, url) = (postgres::shared(), installation.database_url());
    let name = url.rsplit('/').next().unwrap().to_owned();
    let meanwhile = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually(
            "the confirmation waits for the dismissal",
            PATIENCE,
            async || (server.sql(&name, waiting).unwrap() == "1").then_some(()),
        )
        .await;
        dismissal.commit().await.unwrap();
    };
    let confirmation = decide(&installation, &olga, CONFIRM, &id);
    let (refused, ()) = tokio::join!(confirmation, meanwhile);
    assert_eq!(refused["userErrors"][0]["code"], "NOT_FOUND", "{refused}");
    assert_eq!(installation.viewer(&somebody).await, "SIGN_IN_UNKNOWN");
}

#[tokio::test]
async fn settings_that_do_not_go_together_are_told_at_the_start() {
    for (settings, told) in [
        (
            vec![("LOCKSTEP_JWT_PROVIDER_CLAIM", "tid")],
            "LOCKSTEP_JWT_SUBJECT_CLAIM",
        ),
        (
            vec![
                ("LOCKSTEP_JWT_PROVIDER_CLAIM", "iss"),
                ("LOCKSTEP_JWT_SUBJECT_CLAIM", "email"),
            ],
            "names nobody for good",
        ),
        (
            vec![
                ("LOCKSTEP_JWT_ISSUER", ENTRA),
                ("LOCKSTEP_JWT_AUDIENCE", AUDIENCE),
                ("LOCKSTEP_JWT_PROVIDER_CLAIM", "tid"),
                ("LOCKSTEP_JWT_SUBJECT_CLAIM", "oid"),
                ("LOCKSTEP_JWT_STAFF_CLAIM", "roles"),
            ],
            "LOCKSTEP_JWT_STAFF_CLAIM",
        ),
    ] {
        let installation = Installation::new(Backend::Sqlite, &settings);
        let refused = installation.refused(&["all"]).await;
        assert!(refused.contains(told), "{refused}");
    }
}
