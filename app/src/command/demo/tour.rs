//! The tour: create, test, activate, run, and watch.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use lockstep_sandbox::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, DEMO_TENANT_ID};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::Api;

/// How often progress is asked for. A frontend would subscribe to `runProgress` instead.
const LOOK: Duration = Duration::from_millis(150);

const FIND: &str = "query { integrations(first: 1) { nodes { id state } } }";

const CREATE: &str = "mutation ($input: CreateIntegrationInput!) {
  createIntegration(input: $input) { integration { id state } userErrors { message } }
}";

const TEST: &str = "mutation ($input: TestIntegrationInput!) {
  testIntegration(input: $input) { test { id status checks { title status message remediation } } userErrors { message } }
}";

const TEST_AGAIN: &str = "query ($id: ID!) {
  node(id: $id) { ... on IntegrationTest { id status checks { title status message remediation } } }
}";

const ACTIVATE: &str = "mutation ($input: ActivateIntegrationInput!) {
  activateIntegration(input: $input) { run { id } userErrors { message } }
}";

const RUN: &str = "mutation ($input: RunIntegrationInput!) {
  runIntegration(input: $input) { run { id } userErrors { message } }
}";

const WATCH: &str =
    "query ($id: ID!) { run(id: $id) { id state progress { phase processed total percent } } }";

const RESULT: &str = "query ($id: ID!) { run(id: $id) {
  id state readMode durationMs attempt
  progress { phase processed total percent }
  summary { users { ...Counts } teams { ...Counts } memberships { ...Counts removed } }
  cost { graphRequests throttled }
  error { code message remediation }
  warnings { code message count }
  problemGroups { code field message count }
  userChanges: changes(first: 12, filter: { types: [USER] }) { ...Changes }
  teamChanges: changes(first: 12, filter: { types: [TEAM] }) { ...Changes }
} }

fragment Counts on ChangeCounts {
  created linked updated deactivated reactivated unchanged skipped held failed
}

fragment Changes on RunChangeConnection { totalCount nodes {
  action outcome target { displayName } member { displayName } movedFrom { displayName }
  fieldChanges { field before after } reason { code field message }
} }";

/// The integration that the tour uses, ready to run.
pub(crate) struct Integration {
    pub(crate) id: String,
    is_new: bool,
}

/// A run as the API tells of it.
pub(crate) struct Run(pub(crate) Value);

impl Run {
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.0
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.text("/state").starts_with("SUCCEEDED")
    }

    fn has_ended(&self) -> bool {
        !matches!(self.text("/state"), "QUEUED" | "RUNNING")
    }
}

/// Returns the id of the organization, as the API knows it.
pub(crate) async fn organization(api: &Api) -> anyhow::Result<String> {
    let found = api.send("{ organization { id } }", json!({})).await?;
    Ok(found
        .pointer("/organization/id")
        .and_then(Value::as_str)
        .context("the API knows no organization")?
        .to_owned())
}

/// Finds the integration, or creates and tests one.
pub(crate) async fn integration(api: &Api, out: &mut impl Write) -> anyhow::Result<Integration> {
    let found = api.send(FIND, json!({})).await?;
    let known = found.pointer("/integrations/nodes/0");
    let id = match known
        .and_then(|node| node.get("id"))
        .and_then(Value::as_str)
    {
        Some(id) => id.to_owned(),
        None => create(api, out).await?,
    };
    let state = known
        .and_then(|node| node.get("state"))
        .and_then(Value::as_str)
        .unwrap_or("DRAFT");
    let is_new = !matches!(state, "ACTIVE" | "PAUSED");
    if is_new {
        test(api, &id, out).await?;
    }
    Ok(Integration { id, is_new })
}

async fn create(api: &Api, out: &mut impl Write) -> anyhow::Result<String> {
    let input = json!({
        "name": "MS Entra ID",
        "defaultLanguage": "en",
        "syncRules": { "inbound": {
            "syncJobTitle": true,
            "groupTeams": { "enabled": true },
            "managerTeams": { "enabled": true },
        } },
        "credential": {
            "tenantId": DEMO_TENANT_ID,
            "clientId": DEMO_CLIENT_ID,
            "clientSecret": { "value": DEMO_CLIENT_SECRET },
        },
    });
    let created = api.send(CREATE, json!({ "input": input })).await?;
    writeln!(out, "created     integration \"MS Entra ID\"")?;
    let id = created
        .pointer("/createIntegration/integration/id")
        .and_then(Value::as_str);
    Ok(id.context("the API created nothing")?.to_owned())
}

async fn test(api: &Api, integration: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let asked = api
        .send(TEST, json!({ "input": { "integrationId": integration } }))
        .await?;
    let mut test = asked
        .pointer("/testIntegration/test")
        .cloned()
        .context("the API made no test")?;
    while test["status"] == "RUNNING" {
        sleep(LOOK).await;
        test = api.send(TEST_AGAIN, json!({ "id": test["id"] })).await?["node"].take();
    }
    let status = test["status"].as_str().unwrap_or_default().to_owned();
    writeln!(out, "tested      {}", status.to_lowercase())?;
    let checks = test["checks"].as_array().cloned().unwrap_or_default();
    for check in checks
        .iter()
        .filter(|check| check["status"] == "FAILED" || check["status"] == "WARNING")
    {
        let text = |field: &str| check[field].as_str().unwrap_or_default();
        writeln!(
            out,
            "            {}: {} {}",
            text("title"),
            text("message"),
            text("remediation")
        )?;
    }
    if status == "FAILED" {
        bail!("the test failed, so the integration cannot be activated");
    }
    Ok(())
}

/// Starts a run and follows it to its end.
pub(crate) async fn run(
    api: &Api,
    integration: &Integration,
    out: &mut impl Write,
) -> anyhow::Result<Run> {
    let input = json!({ "input": { "integrationId": integration.id } });
    let (started, name) = if integration.is_new {
        (api.send(ACTIVATE, input).await?, "activateIntegration")
    } else {
        (api.send(RUN, input).await?, "runIntegration")
    };
    writeln!(
        out,
        "{}",
        if integration.is_new {
            "activated   the first run begins"
        } else {
            "running     once more, by hand"
        }
    )?;
    out.flush()?;
    let id = started
        .pointer(&format!("/{name}/run/id"))
        .and_then(Value::as_str)
        .context("the API started no run")?
        .to_owned();
    let bar = bar()?;
    loop {
        let run = Run(api.send(WATCH, json!({ "id": id })).await?["run"].take());
        show(&bar, &run);
        if run.has_ended() {
            bar.finish_and_clear();
            return Ok(Run(
                api.send(RESULT, json!({ "id": id })).await?["run"].take()
            ));
        }
        sleep(LOOK).await;
    }
}

fn bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{spinner} [{bar:40}] {percent:>3} % {msg}")?
        .progress_chars("=> ");
    Ok(ProgressBar::new(100).with_style(style))
}

fn show(bar: &ProgressBar, run: &Run) {
    bar.set_position(run.number("/progress/percent"));
    let phase = run.text("/progress/phase").to_lowercase().replace('_', " ");
    let processed = run.number("/progress/processed");
    bar.set_message(
        match run.0.pointer("/progress/total").and_then(Value::as_u64) {
            Some(total) => format!("{phase}: {processed} of {total}"),
            None if processed > 0 => format!("{phase}: {processed}"),
            None => phase,
        },
    );
}
