//! Tokens, good and bad.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::TimeDelta;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use lockstep_domain::Role;
use serde_json::json;

use super::*;
use crate::tests::world::World;

fn settings() -> JwtSettings {
    let key = JwtKey::Secret("a secret that is long enough for a test".to_owned().into());
    JwtSettings {
        issuers: vec![Issuer::parse("https://platform.example.com").unwrap()],
        audiences: vec!["lockstep".to_owned()],
        ..JwtSettings::of_ours(key)
    }
}

fn bearing(authorization: &str) -> Credentials {
    Credentials {
        authorization: Some(authorization.to_owned()),
        organization: None,
    }
}

fn claims(world: &World) -> Claims {
    Claims::of_user(
        world.ada,
        world.organization,
        world.store.now() + TimeDelta::hours(1),
    )
}

async fn enter(
    world: &World,
    claims: &Claims,
    minted_with: &JwtSettings,
) -> Result<Session, AuthRefusal> {
    let authenticator = TokenAuthenticator::new(world.store.clone(), settings()).unwrap();
    let token = mint(minted_with, claims).unwrap();
    let answer = authenticator
        .authenticate(&bearing(&format!("bearer {token}")))
        .await?;
    assert_eq!(answer.expires_at, Some(claims.expires_at));
    Ok(answer.session.unwrap())
}

fn is_unauthenticated(answer: &Result<Session, AuthRefusal>) -> bool {
    matches!(answer, Err(AuthRefusal::Unauthenticated(_)))
}

#[tokio::test]
async fn the_token_identifies_and_the_row_authorizes() {
    let world = World::new().await;
    let session = enter(&world, &claims(&world), &settings()).await.unwrap();
    assert!(session.owner().is_some() && !session.is_staff);
    world.set_role(world.ada, Role::Member).await;
    let session = enter(&world, &claims(&world), &settings()).await.unwrap();
    assert!(session.owner().is_none());
}

#[tokio::test]
async fn bad_tokens_are_refused() {
    let world = World::new().await;
    let good = claims(&world);
    let elsewhere = Claims {
        organization: Some(world.other),
        ..good.clone()
    };
    let nowhere = Claims {
        organization: None,
        ..good.clone()
    };
    let expired = Claims {
        expires_at: world.store.now(),
        ..good.clone()
    };
    let answer = enter(&world, &elsewhere, &settings()).await;
    assert!(
        matches!(
            answer,
            Err(AuthRefusal::Denied(ErrorCode::SignInUnknown, _))
        ),
        "{answer:?}"
    );
    for claims in [nowhere, expired] {
        assert!(
            is_unauthenticated(&enter(&world, &claims, &settings()).await),
            "{claims:?}"
        );
    }
    let other_key = JwtKey::Secret("another secret of the same length …".to_owned().into());
    for minted_with in [
        JwtSettings {
            key: other_key,
            ..settings()
        },
        JwtSettings {
            issuers: Vec::new(),
            ..settings()
        },
        JwtSettings {
            issuers: vec![Issuer::parse("https://evil.example.com").unwrap()],
            ..settings()
        },
        JwtSettings {
            audiences: Vec::new(),
            ..settings()
        },
        JwtSettings {
            audiences: vec!["other".to_owned()],
            ..settings()
        },
    ] {
        assert!(is_unauthenticated(
            &enter(&world, &good, &minted_with).await
        ));
    }
    let authenticator = TokenAuthenticator::new(world.store.clone(), settings()).unwrap();
    for header in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer x"),
        Some("Basic YTpi"),
        Some("Bearer a.b.c"),
    ] {
        let shown = header.map_or_else(Credentials::default, bearing);
        let answer = authenticator.authenticate(&shown).await;
        assert!(
            matches!(answer, Err(AuthRefusal::Unauthenticated(_))),
            "{header:?}"
        );
    }
}

#[tokio::test]
async fn x005_the_first_authenticated_request_makes_a_user_active() {
    use sea_orm::ConnectionTrait as _;
    let world = World::new().await;
    let statement = "UPDATE platform_user SET status = 'NOT_YET_ACTIVATED', ever_active = FALSE";
    let tx = world.store.begin().await.unwrap();
    let done = tx.execute_unprepared(statement).await.unwrap();
    tx.commit().await.unwrap();
    assert!(done.rows_affected() > 0);
    let session = enter(&world, &claims(&world), &settings()).await.unwrap();
    let shown = session.user.unwrap();
    assert_eq!(
        (shown.status, shown.ever_active),
        (UserStatus::Active, true)
    );
    let stored = world.store.principal(world.organization, world.ada).await;
    let stored = stored.unwrap().unwrap();
    assert_eq!(stored.user, shown, "and nothing else of the row");
    assert_eq!(stored.last_seen_at, Some(world.store.now()));
    // However many requests follow, there is one write an hour.
    world.clock.advance(TimeDelta::minutes(59));
    enter(&world, &claims(&world), &settings()).await.unwrap();
    let again = world.store.principal(world.organization, world.ada).await;
    assert_eq!(again.unwrap().unwrap().last_seen_at, stored.last_seen_at);
}

#[test]
fn what_is_refused_is_told_whole_on_a_socket_too() {
    // A close frame holds 125 bytes, of which the code takes two.
    for refusal in [
        unknown(),
        deactivated(),
        which_organization(),
        other_organization(),
    ] {
        let AuthRefusal::Denied(code, message) = refusal else {
            panic!("{refusal:?}")
        };
        let reason = format!("{}: {message}", code.as_str());
        assert!(reason.len() <= 123, "{} bytes: {reason}", reason.len());
    }
}

#[tokio::test]
async fn a_token_of_ours_for_another_organization_than_is_meant_is_told_so() {
    let world = World::new().await;
    let authenticator = TokenAuthenticator::new(world.store.clone(), settings()).unwrap();
    let token = mint(&settings(), &claims(&world)).unwrap();
    let enter = async |organization: OrganizationId| {
        let credentials = Credentials {
            organization: Some(organization.to_string()),
            ..bearing(&format!("Bearer {token}"))
        };
        authenticator.authenticate(&credentials).await.map(|_| ())
    };
    assert_eq!(enter(world.organization).await, Ok(()));
    assert_eq!(enter(world.other).await, Err(other_organization()));
    assert_ne!(other_organization(), unknown());
}

const CONTOSO: &str = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
const FABRIKAM: &str = "11111111-2222-4333-8444-555555555555";
const OLGA: &str = "aaaaaaaa-0000-4000-8000-000000000001";

/// People of one tenant of Microsoft.
fn of_contoso() -> JwtSettings {
    let issuer = format!("https://login.microsoftonline.com/{CONTOSO}/v2.0");
    JwtSettings {
        issuers: vec![Issuer::parse(&issuer).unwrap()],
        people: People::ByLink(PersonClaims::new("tid", "oid").unwrap()),
        staff_claim: None,
        ..settings()
    }
}

/// What signing in says with a token of one tenant's issuer that names a tenant.
async fn enter_by_link(
    world: &World,
    tenant: &str,
    organization: Option<OrganizationId>,
) -> Result<(), AuthRefusal> {
    let settings = of_contoso();
    let JwtKey::Secret(secret) = &settings.key else {
        panic!("a shared secret")
    };
    let exp = (world.store.now() + TimeDelta::hours(1)).timestamp();
    let claims = json!({ "iss": settings.issuers[0].to_string(), "aud": "lockstep", "sub": "pairwise",
        "tid": tenant, "oid": OLGA, "exp": exp });
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    let authenticator = TokenAuthenticator::new(world.store.clone(), settings).unwrap();
    let credentials = Credentials {
        organization: organization.map(|id| id.to_string()),
        ..bearing(&format!("Bearer {token}"))
    };
    authenticator.authenticate(&credentials).await.map(|_| ())
}

async fn link(world: &World, tenant: &str, organization: OrganizationId, user: UserId) {
    let sign_in = SignIn {
        provider: tenant.to_owned(),
        subject: OLGA.to_owned(),
    };
    let store = &world.store;
    let user = store.principal(organization, user).await.unwrap().unwrap();
    let tx = store.begin().await.unwrap();
    let service = lockstep_domain::Actor::service();
    store
        .link_sign_in(&tx, &user.user, &sign_in, &service)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_issuer_of_one_tenant_names_nobody_of_another() {
    let world = World::new().await;
    link(&world, CONTOSO, world.organization, world.ada).await;
    link(&world, FABRIKAM, world.other, world.eve).await;
    assert_eq!(enter_by_link(&world, CONTOSO, None).await, Ok(()));
    assert_eq!(
        enter_by_link(&world, FABRIKAM, None).await,
        Err(refusal_of(&ErrorKind::InvalidIssuer))
    );
}

#[tokio::test]
async fn an_issuer_that_names_no_tenant_is_refused_with_tenants_at_the_start() {
    let world = World::new().await;
    let issuer = Issuer::parse("https://id.example.com").unwrap();
    let one = of_contoso().issuers[0].clone();
    for issuers in [vec![], vec![issuer.clone()], vec![one, issuer]] {
        let settings = JwtSettings {
            issuers,
            ..of_contoso()
        };
        let told = TokenAuthenticator::new(world.store.clone(), settings).err();
        let told = told.unwrap().to_string();
        assert!(told.contains("LOCKSTEP_JWT_ISSUER"), "{told}");
    }
}

#[tokio::test]
async fn whoever_is_in_very_many_organizations_gets_into_each() {
    use lockstep_domain::Address;
    use lockstep_store::user::NewUser;
    let world = World::new().await;
    let mut last = None;
    for number in 0..101 {
        let tx = world.store.begin().await.unwrap();
        let name = format!("Organization {number}");
        let organization = world.store.create_organization(&tx, &name).await.unwrap();
        let new = NewUser {
            given_name: "Olga".to_owned(),
            family_name: "Doe".to_owned(),
            email: Address::parse("olga@example.com").unwrap(),
            role: Role::Member,
            language: "en".to_owned(),
        };
        let user = world.store.create_user(&tx, organization.id, &new).await;
        let user = user.unwrap().id;
        tx.commit().await.unwrap();
        link(&world, CONTOSO, organization.id, user).await;
        last = last.max(Some(organization.id));
    }
    assert_eq!(
        enter_by_link(&world, CONTOSO, None).await,
        Err(which_organization())
    );
    assert_eq!(enter_by_link(&world, CONTOSO, last).await, Ok(()));
}

#[tokio::test]
async fn staff_need_no_row() {
    let world = World::new().await;
    let staff = Claims::of_staff("Sam", world.store.now() + TimeDelta::hours(1));
    let session = enter(&world, &staff, &settings()).await.unwrap();
    assert!(session.is_staff && session.user.is_none());
    assert_eq!(session.staff_actor().name, "Sam");
}

/// Publishes whatever it is told to.
struct KeyServer {
    keys: Mutex<Option<String>>,
    asked: AtomicUsize,
}

#[async_trait]
impl JwksSource for KeyServer {
    async fn jwks(&self) -> Result<String, JwksError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let keys = self.keys.lock().unwrap().clone();
        keys.ok_or_else(|| JwksError("connection refused".into()))
    }
}

fn key_pair() -> EncodingKey {
    let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pair = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EncodingKey::from_ec_der(pair.as_ref())
}

fn key_set(key: &EncodingKey, kid: &str) -> String {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap()
}

#[tokio::test]
async fn published_keys_are_kept_and_asked_for_again_when_one_is_unknown() {
    let world = World::new().await;
    let key = key_pair();
    let issuer = Arc::new(KeyServer {
        keys: Mutex::new(None),
        asked: AtomicUsize::new(0),
    });
    let settings = JwtSettings::of_ours(JwtKey::Jwks(issuer.clone()));
    let authenticator = TokenAuthenticator::new(world.store.clone(), settings).unwrap();
    let token = |kid: &str| {
        let header = Header {
            kid: Some(kid.to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        let exp = (world.store.now() + TimeDelta::hours(5)).timestamp();
        let claims = json!({ "sub": world.ada.0, "org": world.organization, "exp": exp });
        format!(
            "Bearer {}",
            jsonwebtoken::encode(&header, &claims, &key).unwrap()
        )
    };
    let enter = async |kid: &str| {
        authenticator
            .authenticate(&bearing(&token(kid)))
            .await
            .map(|_| ())
    };
    let asked = || issuer.asked.load(Ordering::Relaxed);

    assert_eq!(
        enter("one").await,
        Err(AuthRefusal::Unavailable),
        "nobody can tell while the issuer is away"
    );
    *issuer.keys.lock().unwrap() = Some(key_set(&key, "one"));
    world.clock.advance(TimeDelta::seconds(5));
    assert_eq!((enter("one").await, asked()), (Ok(()), 2));
    for _ in 0..3 {
        assert_eq!((enter("one").await, asked()), (Ok(()), 2));
        assert!(matches!(
            enter("two").await,
            Err(AuthRefusal::Unauthenticated(_))
        ));
    }
    *issuer.keys.lock().unwrap() = Some(key_set(&key, "two"));
    world.clock.advance(TimeDelta::seconds(61));
    assert_eq!(
        (enter("two").await, asked()),
        (Ok(()), 3),
        "a new key is found within a minute"
    );
    assert!(
        matches!(enter("one").await, Err(AuthRefusal::Unauthenticated(_))),
        "and the old one is gone"
    );
    *issuer.keys.lock().unwrap() = None;
    world.clock.advance(TimeDelta::hours(2));
    assert_eq!(
        (enter("two").await, asked()),
        (Ok(()), 4),
        "an issuer that is away locks nobody out"
    );
}
