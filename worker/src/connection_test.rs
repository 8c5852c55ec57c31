//! The connection test: checks with their own results, and nothing is changed (D-67).

mod checks;
mod reading;

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_domain::{
    Check, CheckKind, CheckStatus, DirectoryUser, ExternalId, InboundRules, TestId,
};
use lockstep_graph::{GraphClient, Priority};
use lockstep_queue::Signal;
use lockstep_store::StoreError;
use lockstep_store::connection_test::{ConnectionTest, TestResult};
use lockstep_store::organization::INBOUND_SYNC;
use lockstep_sync::inbound::desired::{Desired, scope};
use tokio::time::timeout;
use tracing::info;

use self::checks::{expiry, out_of_time, root, sign_in_checks, signed_in};
use crate::Worker;
use crate::connection::Provider;
use crate::inbound::groups_select;
use crate::permission::{permission_checks, permissions};
use crate::worker::span;

/// How much longer than the test itself its lease lasts, so that the two never overlap.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// Accounts of the mirror that are judged at a time.
const CHUNK: u64 = 1_000;

/// Makes a test, if nobody else does.
pub async fn work(worker: &Worker, id: TestId) {
    match worker
        .store
        .claim_test(id, span(worker.timing.test + LEASE_MARGIN))
        .await
    {
        Ok(Some(test)) => {
            if let Err(error) = make(worker, &test).await {
                worker.report("store a test", id.0, &error);
            }
        }
        Ok(None) => {}
        Err(error) => worker.report("claim a test", id.0, &error),
    }
}

async fn make(worker: &Worker, test: &ConnectionTest) -> Result<(), StoreError> {
    let result = match timeout(worker.timing.test, Testing { worker, test }.run()).await {
        Ok(result) => result?,
        Err(_) => TestResult {
            checks: vec![out_of_time(worker.timing.test)],
            ..TestResult::default()
        },
    };
    let status = worker.store.finish_test(test, &result).await?;
    info!(test.id = %test.id, integration.id = %test.integration_id, status = %status, "Test has ended");
    let (organization_id, integration_id) = (test.organization_id, test.integration_id);
    worker
        .bus
        .publish(&Signal::Test {
            organization_id,
            integration_id,
            test_id: test.id,
        })
        .await;
    worker
        .bus
        .publish(&Signal::Integration {
            organization_id,
            integration_id,
        })
        .await;
    Ok(())
}

struct Testing<'a> {
    worker: &'a Worker,
    test: &'a ConnectionTest,
}

impl Testing<'_> {
    async fn run(&self) -> Result<TestResult, StoreError> {
        let mut result = TestResult {
            checks: vec![self.entitlement().await?],
            ..TestResult::default()
        };
        if let Some(client) = self.credentials(&mut result).await? {
            self.microsoft(&client, &mut result).await?;
        }
        self.scope(&mut result).await?;
        Ok(result)
    }

    async fn entitlement(&self) -> Result<Check, StoreError> {
        let entitled = self
            .worker
            .store
            .is_entitled(self.test.organization_id, INBOUND_SYNC)
            .await?;
        Ok(if entitled {
            Check::new(
                CheckKind::Entitlement,
                CheckStatus::Passed,
                "The add-on is switched on.",
            )
        } else {
            Check::new(
                CheckKind::Entitlement,
                CheckStatus::Failed,
                "The add-on is not switched on.",
            )
            .remedy("Ask your account manager to switch it on.")
        })
    }

    /// Checks the credentials without asking anyone, and makes a client of them.
    async fn credentials(
        &self,
        result: &mut TestResult,
    ) -> Result<Option<GraphClient>, StoreError> {
        let saved = self
            .worker
            .store
            .credential(self.test.integration_id)
            .await?;
        let app = self
            .test
            .app
            .clone()
            .or_else(|| saved.as_ref().map(|saved| saved.app.clone()));
        let secret = self
            .test
            .secret
            .clone()
            .or_else(|| saved.as_ref().and_then(|saved| saved.secret.clone()));
        let info = saved
            .and_then(|saved| saved.secret_info)
            .filter(|_| self.test.secret.is_none());
        let (Some(app), Some(secret)) = (app, secret) else {
            result.checks.push(
                Check::new(
                    CheckKind::CredentialFormat,
                    CheckStatus::Failed,
                    "Tenant ID, client ID or client secret is missing.",
                )
                .remedy("Enter all three as the set-up guide says."),
            );
            return Ok(None);
        };
        result.checks.push(Check::new(
            CheckKind::CredentialFormat,
            CheckStatus::Passed,
            "Tenant ID, client ID and secret are there.",
        ));
        result
            .checks
            .extend(info.and_then(|info| expiry(&info, self.worker.store.now())));
        let owner = (self.test.organization_id, self.test.integration_id);
        match patient(&self.worker.provider, self.worker.timing.test).connect(
            &app,
            owner,
            &secret,
            &self.worker.opener,
        ) {
            Ok(client) => Ok(Some(client)),
            Err(error) => {
                result.checks.push(
                    Check::new(
                        CheckKind::CredentialFormat,
                        CheckStatus::Failed,
                        format!("The credentials cannot be used: {}.", root(&error)),
                    )
                    .remedy("Enter tenant, client and secret again."),
                );
                Ok(None)
            }
        }
    }

    async fn microsoft(
        &self,
        client: &GraphClient,
        result: &mut TestResult,
    ) -> Result<(), StoreError> {
        let started = self.worker.store.now();
        let granted = match client.granted_permissions().await {
            Ok(granted) => granted,
            Err(error) => {
                result
                    .checks
                    .extend(self.timed(sign_in_checks(&error), started));
                return Ok(());
            }
        };
        result.checks.extend(self.timed(signed_in(), started));
        result.permissions = permissions(granted.as_deref(), &self.test.rules);
        result.checks.extend(permission_checks(&result.permissions));
        self.tenant(client).await?;
        self.read_users(client, result).await;
        if self.test.rules.group_teams.enabled {
            let select = groups_select(&self.test.rules);
            self.read_groups(client, select, result).await;
        }
        Ok(())
    }

    /// Notes whose tenant it is, for the admin to recognize. That it cannot be read is no fault.
    async fn tenant(&self, client: &GraphClient) -> Result<(), StoreError> {
        if let Ok(organization) = client.organization().await
            && self.test.is_saved
        {
            let name = organization.display_name.as_str();
            self.worker
                .store
                .save_tenant(self.test.integration_id, &organization.id, name)
                .await?;
        }
        Ok(())
    }

    fn timed(&self, checks: Vec<Check>, started: DateTime<Utc>) -> Vec<Check> {
        let duration = (self.worker.store.now() - started).num_milliseconds();
        let duration_ms = u64::try_from(duration).unwrap_or_default();
        checks
            .into_iter()
            .map(|check| Check {
                duration_ms,
                ..check
            })
            .collect()
    }

    /// Counts people in scope in the mirror, when the directory was read before.
    async fn scope(&self, result: &mut TestResult) -> Result<(), StoreError> {
        let integration = self
            .worker
            .store
            .integration(self.test.organization_id, self.test.integration_id)
            .await?;
        if integration.is_none_or(|integration| integration.last_full_read_at.is_none()) {
            let message = "The directory was not read yet; the first run will tell.";
            result
                .checks
                .push(Check::new(CheckKind::Scope, CheckStatus::Skipped, message));
            return Ok(());
        }
        let (mut in_scope, mut problems) = (0, 0);
        let mut after: Option<ExternalId> = None;
        loop {
            let accounts = self
                .worker
                .store
                .listed_accounts(self.test.integration_id, after.as_ref(), CHUNK)
                .await?;
            let Some(last) = accounts.last() else { break };
            after = Some(last.external_id.clone());
            let (people, flawed) = judge(&accounts, &self.test.rules);
            in_scope += people;
            problems += flawed;
        }
        let message =
            format!("{in_scope} people are in scope, {problems} of them lack something required.");
        let status = if problems > 0 {
            CheckStatus::Warning
        } else {
            CheckStatus::Passed
        };
        result
            .checks
            .push(Check::new(CheckKind::Scope, status, message));
        (result.in_scope, result.problems) = (Some(in_scope), Some(problems));
        Ok(())
    }
}

fn judge(accounts: &[DirectoryUser], rules: &InboundRules) -> (u64, u64) {
    let people = accounts
        .iter()
        .filter(|account| scope(account, rules).is_ok());
    people.fold((0, 0), |(people, flawed), account| {
        (
            people + 1,
            flawed + u64::from(!Desired::of(account, rules).flaws().is_empty()),
        )
    })
}

/// A test is waited for by a person: it goes first, and gives up soon.
fn patient(provider: &Provider, limit: Duration) -> Provider {
    let mut provider = provider.clone();
    provider.options.priority = Priority::High;
    provider.options.retry_budget = provider.options.retry_budget.min(limit / 6);
    provider.options.max_throttle_wait = provider.options.max_throttle_wait.min(limit / 6);
    provider
}
