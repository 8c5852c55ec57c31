//! An inbound run: fetch, plan and guard the users, plan and guard the teams, confirm, apply.

mod apply;
mod confirm;
mod fetch;
pub(crate) mod patch;
mod plan;
mod teams;
mod warnings;

use lockstep_domain::{GroupTeamRules, InboundRules, RunCost, RunErrorCode, RunPhase, RunWarning};
use lockstep_graph::GraphClient;
use lockstep_store::Lease;
use lockstep_store::integration::Integration;
use lockstep_store::lease::Step;
use lockstep_store::run::Run;

pub(crate) use fetch::groups_select;
pub use patch::patch;

use crate::Worker;
use crate::failure::{Failure, Stop};
use crate::run::{SIGNING_IN, cost, is_preview, reads};

/// A run in the hands of a worker.
#[derive(Debug)]
pub struct Execution<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) run: Run,
    pub(crate) lease: Lease,
    client: Option<GraphClient>,
    /// Problems that came up while reading.
    pub(crate) notes: Vec<RunWarning>,
    /// Whether settings changed after the latest test that passed (D-68).
    is_untested: bool,
    /// Which groups become teams, once the rules are known.
    group_teams: GroupTeamRules,
}

/// What a run works with, frozen at its start.
pub(crate) struct Frozen {
    pub(crate) integration: Integration,
    pub(crate) rules: InboundRules,
    pub(crate) client: GraphClient,
}

/// Works on an inbound run from where it stands to its end.
///
/// # Errors
/// Why it does not go on.
pub async fn execute(execution: &mut Execution<'_>) -> Result<(), Stop> {
    let frozen = execution.freeze().await?;
    if reads(&execution.run) {
        execution
            .step(Step {
                phase: SIGNING_IN,
                processed: 0,
                total: None,
            })
            .await?;
        // Here, and not with the first request: whoever is refused is told so in the phase of signing in.
        frozen.client.sign_in().await?;
        fetch::fetch(execution, &frozen).await?;
        let users = plan::plan(execution, &frozen).await?;
        teams::plan(execution, &frozen, users).await?;
    } else if execution.notes.is_empty() {
        execution.notes.clone_from(&execution.run.warnings);
    }
    execution.tell_decided().await?;
    if is_preview(&execution.run) {
        return Ok(());
    }
    confirm::confirm(execution, &frozen).await?;
    apply::apply(execution, &frozen.rules).await
}

impl<'a> Execution<'a> {
    pub(crate) fn new(worker: &'a Worker, run: Run, lease: Lease) -> Self {
        Self {
            worker,
            run,
            lease,
            client: None,
            notes: Vec::new(),
            is_untested: false,
            group_teams: GroupTeamRules::default(),
        }
    }

    /// Takes the rules and the credentials as they are now; the rules are those of the run's version (fault E11).
    async fn freeze(&mut self) -> Result<Frozen, Stop> {
        let store = &self.worker.store;
        let gone = || {
            Stop::Failed(Box::new(Failure::new(
                RunErrorCode::Internal,
                "The integration is gone.",
                None,
            )))
        };
        let integration = store
            .integration(self.run.organization_id, self.run.integration_id)
            .await?
            .ok_or_else(gone)?;
        let rules = store
            .rules_version(integration.id, self.run.rules_version)
            .await?
            .ok_or_else(gone)?
            .rules;
        let missing = || {
            Stop::Failed(Box::new(Failure::new(
                RunErrorCode::InvalidClientSecret,
                "Tenant ID, client ID or client secret is missing.",
                Some("Enter the credentials as the set-up guide says."),
            )))
        };
        let credential = store
            .credential(integration.id)
            .await?
            .ok_or_else(missing)?;
        let secret = credential.secret.ok_or_else(missing)?;
        let owner = (integration.organization_id, integration.id);
        let client =
            self.worker
                .provider
                .connect(&credential.app, owner, &secret, &self.worker.opener)?;
        self.client = Some(client.clone());
        self.is_untested = !integration.is_tested();
        self.group_teams.clone_from(&rules.group_teams);
        Ok(Frozen {
            integration,
            rules,
            client,
        })
    }

    /// Keeps the run as last stored, tells whoever listens, and stops when someone asked for it.
    pub(crate) async fn reached(&mut self, run: Run) -> Result<(), Stop> {
        self.worker.tell(&run).await;
        self.run = run;
        if self.run.cancel_requested_at.is_some() {
            Err(Stop::Canceled)
        } else {
            Ok(())
        }
    }

    /// Keeps a problem that does not stop the run; a later word on the same kind of problem replaces it.
    pub(crate) fn note(&mut self, warning: RunWarning) {
        self.notes.retain(|note| note.code != warning.code);
        self.notes.push(warning);
    }

    async fn step(&mut self, step: Step) -> Result<(), Stop> {
        let run = self.worker.store.report(&self.lease, step).await?;
        self.reached(run).await
    }

    /// Has subscribers told of what the complete plan decided, as far as nobody did before.
    async fn tell_decided(&self) -> Result<(), Stop> {
        let step = Step {
            phase: RunPhase::Planning,
            processed: 1,
            total: Some(1),
        };
        let (store, preview) = (&self.worker.store, is_preview(&self.run));
        Ok(store.tell_decided(&self.lease, step, preview).await?)
    }

    /// Reads the run again after the database failed, to go on from what was stored.
    pub(crate) async fn reload(&mut self) {
        if let Ok(Some(run)) = self
            .worker
            .store
            .run(self.run.organization_id, self.run.id)
            .await
        {
            self.run = run;
        }
    }

    /// What the run cost so far.
    pub(crate) fn cost(&self) -> RunCost {
        self.client
            .as_ref()
            .map(|client| cost(client.stats()))
            .unwrap_or_default()
    }
}
