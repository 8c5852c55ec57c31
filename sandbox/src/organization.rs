//! Reads of the organization itself and of its deleted objects.

use serde_json::{Value, json};

use crate::directory::{Kind, Presence};
use crate::error::GraphError;
use crate::lists::{Places, Read};
use crate::options::OptionsState;
use crate::query::Options;
use crate::select::{self, Selection};

const ORGANIZATION_PROPERTIES: &[&str] = &[
    "id",
    "displayName",
    "verifiedDomains",
    "assignedPlans",
    "tenantType",
    "countryLetterCode",
    "defaultUsageLocation",
    "preferredLanguage",
    "createdDateTime",
    "technicalNotificationMails",
    "onPremisesSyncEnabled",
];

/// `GET /organization`
pub(crate) fn organization(read: &Read<'_>) -> Result<Value, GraphError> {
    read.options.only(&["$select"])?;
    let settings = read.server.settings(|settings| settings.shown.clone());
    let name = read.directory.display_name.clone();
    let mut organization = described(&settings, name);
    keep_selected(&mut organization, read.options)?;
    let context = "organization";
    Ok(read.single(context, json!({ "value": [organization] })))
}

/// `GET /directory/deletedItems/microsoft.graph.user` and `.group`
pub(crate) fn deleted_items(read: &Read<'_>, kind: Kind) -> Result<Value, GraphError> {
    read.options.only(&["$select", "$top", "$skiptoken"])?;
    let mut selection = Selection::of_list(&[kind], read.options.get("$select"))?;
    if selection.given.is_none() && kind == Kind::User {
        selection.names.push("deletedDateTime".to_owned());
    }
    let deleted = &read.directory.deleted;
    let set = if kind == Kind::User {
        "users"
    } else {
        "groups"
    };
    let places = Places {
        list: format!("deleted/{set}"),
        count: deleted.len(),
        at: &|at| deleted.get(at).copied(),
    };
    read.page(
        &format!("{set}{}", selection.context()),
        &places,
        &|handle| {
            let entry = read.directory.entry(handle);
            let is_shown = entry.kind == kind && matches!(entry.presence, Presence::Deleted(_));
            is_shown.then(|| Value::Object(select::listed(entry, &selection.names)))
        },
    )
}

fn described(settings: &OptionsState, name: Option<String>) -> Value {
    json!({
        "id": settings.tenant_id,
        "displayName": name.unwrap_or_else(|| settings.tenant_domain.clone()),
        "tenantType": "AAD",
        "countryLetterCode": null,
        "defaultUsageLocation": null,
        "preferredLanguage": "en",
        "createdDateTime": "2016-01-04T09:00:00Z",
        "technicalNotificationMails": [],
        "onPremisesSyncEnabled": null,
        "assignedPlans": [],
        "verifiedDomains": [{
            "capabilities": "Email, OfficeCommunicationsOnline",
            "isDefault": true,
            "isInitial": true,
            "name": settings.tenant_domain,
            "type": "Managed",
        }],
    })
}

fn keep_selected(organization: &mut Value, options: &Options) -> Result<(), GraphError> {
    let Some(text) = options.get("$select") else {
        return Ok(());
    };
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    if let Some(name) = names
        .iter()
        .find(|name| !ORGANIZATION_PROPERTIES.contains(name))
    {
        let text = format!(
            "Could not find a property named '{name}' on type 'microsoft.graph.organization'."
        );
        return Err(GraphError::bad_request(text));
    }
    if let Some(object) = organization.as_object_mut() {
        object.retain(|name, _| names.contains(&name.as_str()));
    }
    Ok(())
}
