//! What the demo tells: the outcome of the run, where to go next, and the same for scripts.

use std::io::Write;

use lockstep_sandbox::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, DEMO_TENANT_ID};
use serde_json::{Value, json};

use super::Stage;
use super::tour::{Integration, Run};
use crate::memory;

/// The objects that are counted, as the API and the report call them.
const COUNTED: [&str; 3] = ["users", "teams", "memberships"];

/// Tells how a run came out.
pub(crate) fn run(out: &mut impl Write, run: &Run) -> anyhow::Result<()> {
    writeln!(
        out,
        "run         {} ({} read)",
        run.text("/state"),
        run.text("/readMode").to_lowercase()
    )?;
    for object in COUNTED {
        counts(out, run, object)?;
    }
    problems(out, run)?;
    changes(out, run, "userChanges")?;
    changes(out, run, "teamChanges")?;
    cost(out, run)
}

fn counts(out: &mut impl Write, run: &Run, object: &str) -> anyhow::Result<()> {
    let names = [
        "created",
        "linked",
        "updated",
        "deactivated",
        "reactivated",
        "removed",
        "unchanged",
        "skipped",
        "held",
        "failed",
    ];
    let counts: Vec<String> = names
        .into_iter()
        .map(|name| (name, run.number(&format!("/summary/{object}/{name}"))))
        .filter(|(name, count)| *count > 0 || *name == "created")
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    writeln!(out, "{object:<11} {}", counts.join(", "))?;
    Ok(())
}

fn problems(out: &mut impl Write, run: &Run) -> anyhow::Result<()> {
    let list = |name: &str| run.0[name].as_array().cloned().unwrap_or_default();
    for group in list("problemGroups") {
        let field = group["field"]
            .as_str()
            .map(|field| format!(" ({field})"))
            .unwrap_or_default();
        writeln!(
            out,
            "            {} × {}{field}",
            group["count"],
            text(&group, "code")
        )?;
    }
    for warning in list("warnings") {
        writeln!(out, "warning     {}", text(&warning, "message"))?;
    }
    if let Some(error) = run.0.get("error").filter(|error| !error.is_null()) {
        writeln!(
            out,
            "error       {}: {} {}",
            text(error, "code"),
            text(error, "message"),
            text(error, "remediation")
        )?;
    }
    Ok(())
}

/// Shows the first changes of one kind.
fn changes(out: &mut impl Write, run: &Run, kind: &str) -> anyhow::Result<()> {
    let shown = run.0[kind]["nodes"].as_array().cloned().unwrap_or_default();
    for change in &shown {
        let reason = change["reason"]["message"].as_str().unwrap_or_default();
        let line = format!(
            "  {:<14} {:<9} {}  {}{reason}",
            text(change, "action"),
            text(change, "outcome"),
            whom(change),
            fields(change)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    let total = run.number(&format!("/{kind}/totalCount"));
    let shown = shown.len() as u64;
    if total > shown {
        writeln!(out, "  … and {} more", total - shown)?;
    }
    Ok(())
}

/// Names the object of a change; for a membership the member and the team.
fn whom(change: &Value) -> String {
    let name = |of: &str| change[of]["displayName"].as_str();
    let target = name("target").unwrap_or_default();
    match (name("member"), name("movedFrom")) {
        (None, _) => target.to_owned(),
        (Some(member), None) => format!("{member} → {target}"),
        (Some(member), Some(from)) => format!("{member}: {from} → {target}"),
    }
}

/// What changed of a user or team; of a membership the action says it.
fn fields(change: &Value) -> String {
    let is_membership = !change["member"].is_null();
    let fields = change["fieldChanges"].as_array().into_iter().flatten();
    let shown: Vec<String> = fields.filter(|_| !is_membership).map(field).collect();
    shown.join(", ")
}

fn field(change: &Value) -> String {
    match (change["before"].as_str(), change["after"].as_str()) {
        (Some(before), after) => format!(
            "{}: {before} → {}",
            text(change, "field"),
            after.unwrap_or("none")
        ),
        (None, after) => format!("{}: {}", text(change, "field"), after.unwrap_or("none")),
    }
}

fn cost(out: &mut impl Write, run: &Run) -> anyhow::Result<()> {
    let peak = memory::peak()
        .map(|bytes| format!(", peak memory {} MB", bytes / 1_000_000))
        .unwrap_or_default();
    let (requests, throttled) = (
        run.number("/cost/graphRequests"),
        run.number("/cost/throttled"),
    );
    let throttled = if throttled > 0 {
        format!(" ({throttled} asked to slow down)")
    } else {
        String::new()
    };
    writeln!(
        out,
        "cost        {requests} Graph requests{throttled}, {} ms{peak}",
        run.number("/durationMs")
    )?;
    Ok(())
}

/// Says what can be tried now.
pub(crate) fn next_steps(
    out: &mut impl Write,
    stage: &Stage,
    integration: &Integration,
) -> anyhow::Result<()> {
    let Stage {
        address,
        sandbox,
        owner_token,
        practice_token,
        ..
    } = stage;
    let id = &integration.id;
    writeln!(
        out,
        "
API         http://{address}/graphql        (schema: http://{address}/schema.graphql)
Live        ws://{address}/graphql          (graphql-transport-ws)
Sandbox     {sandbox}/sandbox/state
Integration {id}
Owner token {owner_token}

Try, in another terminal:

  TOKEN={owner_token}
  gql() {{ curl -s http://{address}/graphql -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' -d \"$1\"; echo; }}
  gql '{{\"query\":\"{{ organization {{ name users(first: 5) {{ totalCount nodes {{ displayName email status }} }} }} }}\"}}'
  gql '{{\"query\":\"{{ organization {{ teams(first: 5) {{ totalCount nodes {{ name source members(first: 5) {{ totalCount edges {{ role node {{ displayName }} }} }} }} }} }} }}\"}}'
  gql '{{\"query\":\"{{ runs(first: 3) {{ nodes {{ state trigger {{ kind }} summary {{ users {{ created updated deactivated }} teams {{ created }} memberships {{ created removed }} }} }} }} }}\"}}'

Change the tenant, run again, and look at what changed:

  curl -s -X POST {sandbox}/sandbox/churn -d '{{\"users\":3,\"groups\":2,\"seed\":1}}'; echo
  gql '{{\"query\":\"mutation {{ runIntegration(input: {{integrationId: \\\"{id}\\\"}}) {{ run {{ id }} userErrors {{ message }} }} }}\"}}'
  gql '{{\"query\":\"{{ runs(first: 1) {{ nodes {{ changes(first: 9) {{ nodes {{ action target {{ displayName }} member {{ displayName }} fieldChanges {{ field before after }} }} }} }} }} }}\"}}'

Set an integration up by yourself, from operation 1 of the README on, in an organization that has none:

  TOKEN={practice_token}
  tenantId: \"{DEMO_TENANT_ID}\", clientId: \"{DEMO_CLIENT_ID}\", clientSecret: {{ value: \"{DEMO_CLIENT_SECRET}\" }}

Serving. Ctrl-C ends it.",
    )?;
    Ok(())
}

/// One JSON object, for scripts.
pub(crate) fn json(
    out: &mut impl Write,
    stage: &Stage,
    organization: &str,
    integration: &Integration,
    run: &Run,
) -> anyhow::Result<()> {
    let object = json!({
        "graphqlUrl": format!("http://{}/graphql", stage.address),
        "subscriptionsUrl": format!("ws://{}/graphql", stage.address),
        "sandboxUrl": stage.sandbox,
        "ownerToken": stage.owner_token,
        "practiceToken": stage.practice_token,
        "staffToken": stage.staff_token,
        "credential": {
            "tenantId": DEMO_TENANT_ID,
            "clientId": DEMO_CLIENT_ID,
            "clientSecret": { "value": DEMO_CLIENT_SECRET },
        },
        "organizationId": organization,
        "integrationId": integration.id,
        "run": {
            "id": run.text("/id"),
            "state": run.text("/state"),
            "counts": run.0["summary"]["users"],
            "teamCounts": run.0["summary"]["teams"],
            "membershipCounts": run.0["summary"]["memberships"],
            "graphRequests": run.number("/cost/graphRequests"),
            "durationMs": run.number("/durationMs"),
        },
        "peakMemoryBytes": memory::peak(),
    });
    writeln!(out, "{object}")?;
    Ok(())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
