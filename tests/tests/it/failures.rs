//! What a person is told when a run or a test fails.

use lockstep_domain::{
    CheckStatus, IntegrationState, PauseResolution, RunErrorCode, RunPhase, RunState,
};
use lockstep_sandbox::{Fault, FaultKind, OptionsPatch};
use lockstep_store::connection_test::NewTest;

use crate::world::{World, actor, both, people};

pub(crate) async fn tested(world: &World) -> lockstep_store::connection_test::ConnectionTest {
    let tx = world.store.begin().await.unwrap();
    let integration = world.integration().await;
    let new = NewTest {
        app: None,
        secret: None,
        rules: None,
        by: actor(&world.owner),
    };
    let test = world
        .store
        .request_test(&tx, &integration, &new)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    lockstep_worker::connection_test::work(&world.worker(), test.id).await;
    world
        .store
        .test(world.organization, test.id)
        .await
        .unwrap()
        .unwrap()
}

both! {
    async fn d62_a_refused_sign_in_says_what_to_do(backend) {
        let cases = [
            (7_000_215, RunErrorCode::InvalidClientSecret),
            (7_000_222, RunErrorCode::CredentialExpired),
            (700_016, RunErrorCode::ClientNotFound),
            (90_002, RunErrorCode::TenantNotFound),
            (53_003, RunErrorCode::BlockedByPolicy),
        ];
        let world = World::around(backend, people(&["ada"])).await;
        for (code, expected) in cases {
            world.control().add_fault(Fault::new(FaultKind::TokenError { code })).unwrap();
            let run = world.sync().await;
            let error = run.error.expect("the run failed");
            assert_eq!((run.state, error.code), (RunState::Failed, expected), "fault_d24, fault_d25");
            assert_eq!(error.provider_error_code.as_deref(), Some(format!("AADSTS{code}").as_str()));
            assert_eq!(error.phase, RunPhase::Authenticating, "where it was refused");
            assert!(error.remediation.is_some() && error.provider_request_id.is_some());
            let integration = world.integration().await;
            let pause = integration.pause.expect("is paused");
            assert_eq!((integration.state, pause.resolution), (IntegrationState::Paused, PauseResolution::TestOrRun));
            assert_eq!(integration.next_start_at, None, "e099: nothing starts by itself");
            let test = tested(&world).await;
            assert_eq!(test.status, CheckStatus::Failed);
            assert!(test.checks.iter().any(|check| check.provider_error_code == error.provider_error_code));
            world.control().clear_faults();
        }
        assert_eq!(tested(&world).await.status, CheckStatus::Passed);
        let integration = world.integration().await;
        assert_eq!(integration.state, IntegrationState::Active, "e101: a test that passes resumes");
        assert!(integration.next_start_at.is_some());
    }

    async fn e025_e029_a_missing_permission_is_named(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        world.control().set_permissions(&["Group.Read.All"]);
        let test = tested(&world).await;
        assert_eq!(test.status, CheckStatus::Failed);
        let missing = test.permissions.iter().find(|p| p.name == "User.Read.All").unwrap();
        assert_eq!(missing.status.as_str(), "MISSING");
        assert!(test.permissions.iter().any(|p| p.name == "Group.Read.All" && p.status.as_str() == "NOT_NEEDED"));
        let run = world.sync().await;
        assert_eq!(run.error.map(|error| error.code), Some(RunErrorCode::PermissionMissing), "fault_d26");
        world.control().set_permissions(&["User.Read.All"]);
        assert_eq!(world.sync().await.state, RunState::Succeeded, "e030");
    }

    async fn e056_a_test_writes_nothing_and_shows_a_sample(backend) {
        let world = World::around(backend, people(&["ada", "bob"])).await;
        let test = tested(&world).await;
        assert_eq!((test.status, test.sample_users.len(), test.in_scope), (CheckStatus::Passed, 2, None));
        assert_eq!(world.users().await.len(), 1);
        world.sync().await;
        let test = tested(&world).await;
        assert_eq!((test.in_scope, test.problems), (Some(2), Some(0)));
    }

    async fn fault_d23_a_fresh_token_that_is_refused_is_a_configuration_fault(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        world.control().add_fault(Fault::status(401).on("/v1.0")).unwrap();
        let run = world.sync().await;
        assert_eq!(run.error.map(|error| error.code), Some(RunErrorCode::TokenRejected));
    }

    async fn d60_a_passing_fault_is_tried_again_at_growing_distances(backend) {
        let world = World::around(backend, people(&["ada"])).await;
        world.control().add_fault(Fault::status(503)).unwrap();
        world.sync().await;
        for minutes in [15, 60, 360, 720, 1_440, 1_440] {
            let pause = world.integration().await.pause.expect("is paused");
            let wait = pause.next_attempt_at.expect("tries again") - world.store.now();
            assert_eq!(wait.num_minutes(), minutes);
            world.clock.advance(wait);
            let started = world.store.start_due_runs().await.unwrap();
            assert_eq!(started.len(), 1);
            lockstep_worker::run::work(&world.worker(), started[0]).await;
            assert_eq!(world.read_run(started[0]).await.trigger.as_str(), "AUTOMATIC_RETRY");
        }
        world.control().clear_faults();
        world.clock.advance(chrono::Duration::days(1));
        let started = world.store.start_due_runs().await.unwrap();
        lockstep_worker::run::work(&world.worker(), started[0]).await;
        assert_eq!(world.integration().await.state, IntegrationState::Active);
    }

    async fn i12_the_secret_is_nowhere_in_the_database(backend) {
        const CANARY: &str = "canary-Secret~value.0123456789";
        let world = World::around(backend, people(&["ada"])).await;
        world.control().set_options(OptionsPatch { client_secret: Some(CANARY.into()), ..OptionsPatch::default() });
        let integration = world.integration().await;
        let app = world.store.credential(integration.id).await.unwrap().unwrap().app;
        let sealed = world.opener.sealer().seal(app.owner(world.organization, integration.id), &CANARY.into()).unwrap();
        let secret = lockstep_store::credential::NewSecret { sealed, expires_at: None, key_id: None };
        let tx = world.store.begin().await.unwrap();
        world.store.save_credential(&tx, integration.id, &app, Some(&secret), &actor(&world.owner)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(tested(&world).await.status, CheckStatus::Passed, "the secret is the right one");
        assert_eq!(world.sync().await.state, RunState::Succeeded);
        world.control().set_options(OptionsPatch { client_secret: Some("another".into()), ..OptionsPatch::default() });
        let failed = world.sync().await;
        assert_eq!(failed.error.as_ref().map(|error| error.code), Some(RunErrorCode::InvalidClientSecret));
        let dump = crate::world::dump(&world).await;
        assert!(dump.contains("ada@example.com"), "the dump holds the data");
        assert!(!dump.contains(CANARY), "e037");
    }
}
