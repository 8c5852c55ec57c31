//! Storing credentials. The secret is sealed before it touches the store (E-037).

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use lockstep_domain::{EntraCloud as Cloud, IntegrationId, TenantName};
use lockstep_seal::SealedSecret;
use lockstep_store::Tx;
use lockstep_store::credential::{AppRegistration, Credential, NewSecret, TenantReader};
use lockstep_store::integration::Touches;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::desk::{Begun, Desk, Request, check_revision, shown};
use super::together::together;
use super::user_error::{
    IntegrationUserError, IntegrationUserErrorCode as Code, Refusal, Stop, refuse, settle,
};
use crate::error::{Failure, Result};
use crate::object::enums::EntraCloud;
use crate::object::integration::Integration;
use crate::scalar::{SecretText, Timestamp};
use crate::signal;

/// Greatest length of a client secret in bytes; those of Microsoft have 40 characters.
const MAX_SECRET: usize = 512;
/// Greatest length of a Key ID in bytes; those of Microsoft are UUIDs.
const MAX_KEY_ID: usize = 100;

/// Mutations of credentials.
#[derive(Default)]
pub(crate) struct CredentialMutations;

#[Object]
impl CredentialMutations {
    /// Stores tenant ID, client ID, and a client secret, which cannot be read back. Requires MANAGE_CREDENTIALS.
    async fn set_integration_credential(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to store.")] input: SetIntegrationCredentialInput,
    ) -> Result<Option<SetIntegrationCredentialPayload>> {
        let (_, user_errors) = settle(|| set(ctx, &input)).await?;
        let integration = shown(ctx, &input.integration_id).await?;
        Ok(Some(SetIntegrationCredentialPayload {
            integration,
            user_errors,
        }))
    }
}

async fn set(ctx: &Context<'_>, input: &SetIntegrationCredentialInput) -> Result<(), Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let request = Request {
        mutation: "setIntegrationCredential",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(()) => return Ok(()),
    };
    let found = work
        .integration(desk.organization(), &input.integration_id)
        .await;
    let known = found.as_ref().ok().map(|(integration, _)| integration);
    let revision = check_revision(known, input.expected_revision);
    let given = checked(&desk, &work.tx, known.map(|known| known.id), input).await;
    let ((integration, _), (), given) = work.all((found, revision, given))?;
    save(&desk, &work.tx, integration.id, &given).await?;
    desk.app
        .store
        .touch_integration(&work.tx, integration.id, Touches::WhatWasTested)
        .await?;
    work.commit(&()).await?;
    signal::integration_changed(desk.app, desk.organization(), integration.id).await;
    Ok(())
}

/// Checks what was given for an integration, as far as that goes when there is none.
async fn checked(
    desk: &Desk<'_>,
    tx: &Tx,
    integration: Option<IntegrationId>,
    input: &SetIntegrationCredentialInput,
) -> Result<Given, Stop<Code>> {
    let Some(integration) = integration else {
        return Given::check(&input.credential, None);
    };
    let store = &desk.app.store;
    let stored = store.credential_in(tx, integration).await?;
    let given = Given::check(&input.credential, stored.as_ref())?;
    let moves = stored
        .as_ref()
        .is_some_and(|stored| !stored.is_of(&given.app));
    if moves && store.has_links(tx, integration).await? {
        let message = "The tenant cannot be changed while users are linked. Make a new integration for another tenant.";
        return Err(refuse(Code::LinksExist, message)
            .at("credential.tenantId")
            .into());
    }
    check_tenant(desk, tx, Some(integration), &given.app, stored.as_ref()).await?;
    Ok(given)
}

/// Checks what was given for an integration that is yet to be created.
pub(super) async fn checked_new(
    desk: &Desk<'_>,
    tx: &Tx,
    input: Option<&EntraCredentialInput>,
) -> Result<Option<Given>, Stop<Code>> {
    let Some(input) = input else { return Ok(None) };
    let given = Given::check(input, None)?;
    check_tenant(desk, tx, None, &given.app, None).await?;
    Ok(Some(given))
}

/// Refuses a tenant that another inbound integration of the organization reads. What other organizations read is nobody's
/// business here.
async fn check_tenant(
    desk: &Desk<'_>,
    tx: &Tx,
    own: Option<IntegrationId>,
    app: &AppRegistration,
    stored: Option<&Credential>,
) -> Result<(), Stop<Code>> {
    let known = stored.filter(|stored| stored.is_of(app));
    let resolved = known.and_then(|known| known.resolved_tenant_id.as_deref());
    let readers = desk
        .app
        .store
        .tenant_readers(tx, desk.organization(), own, app, resolved)
        .await?;
    match readers.first() {
        Some(other) => Err(in_use(other).at("credential.tenantId").into()),
        None => Ok(()),
    }
}

/// Stores credentials that were checked.
pub(super) async fn save(
    desk: &Desk<'_>,
    tx: &Tx,
    integration: IntegrationId,
    given: &Given,
) -> Result<(), Stop<Code>> {
    let secret = given.seal(desk, integration)?.map(|sealed| NewSecret {
        sealed,
        expires_at: given.expires_at,
        key_id: given.key_id.clone(),
    });
    desk.app
        .store
        .save_credential(tx, integration, &given.app, secret.as_ref(), &desk.actor())
        .await?;
    Ok(())
}

/// The refusal of a second integration that would read the same people.
pub(super) fn in_use(other: &TenantReader) -> Refusal<Code> {
    let message = format!(
        "The integration \"{}\" reads this tenant already, and each person can be linked through one of them only. Change that integration, or enter another tenant.",
        other.name
    );
    refuse(Code::TenantInUse, message)
}

/// Credentials that were given, checked.
pub(super) struct Given {
    pub(super) app: AppRegistration,
    secret: Option<SecretString>,
    expires_at: Option<DateTime<Utc>>,
    key_id: Option<String>,
}

impl Given {
    /// Checks what was given. A secret is needed when the one that is stored was sealed for another tenant or client.
    pub(super) fn check(
        input: &EntraCredentialInput,
        stored: Option<&Credential>,
    ) -> Result<Self, Stop<Code>> {
        let EntraCredentialInput {
            cloud,
            tenant_id,
            client_id,
            client_secret,
        } = input;
        let (tenant_id, client_id, secret, key_id) = together((
            checked_tenant(tenant_id),
            checked_client(client_id),
            client_secret
                .as_ref()
                .map(|secret| checked_secret(&secret.value))
                .transpose(),
            checked_key_id(
                client_secret
                    .as_ref()
                    .and_then(|secret| secret.key_id.as_deref()),
            ),
        ))?;
        let app = AppRegistration {
            cloud: cloud
                .map(Cloud::from)
                .or_else(|| Some(stored?.app.cloud))
                .unwrap_or(Cloud::Global),
            tenant_id,
            client_id,
        };
        if secret.is_none() && stored.is_some_and(|stored| is_sealed_for_another(stored, &app)) {
            let message = "Enter the client secret again: the stored one belongs to another tenant or client.";
            return Err(refuse(Code::Required, message)
                .at("credential.clientSecret")
                .into());
        }
        let expires_at = client_secret.as_ref().and_then(|secret| secret.expires_at);
        Ok(Self {
            app,
            secret,
            expires_at: expires_at.map(|at| at.0),
            key_id,
        })
    }

    /// Seals the secret, if one was given, to the keys of the workers.
    pub(super) fn seal(
        &self,
        desk: &Desk<'_>,
        integration: IntegrationId,
    ) -> Result<Option<SealedSecret>> {
        let owner = self.app.owner(desk.organization(), integration);
        let sealed = self
            .secret
            .as_ref()
            .map(|secret| desk.app.sealer.seal(owner, secret));
        sealed.transpose().map_err(|error| Failure::fault(&error))
    }
}

fn is_sealed_for_another(stored: &Credential, app: &AppRegistration) -> bool {
    let is_other = stored.app.tenant_id != app.tenant_id || stored.app.client_id != app.client_id;
    stored.secret.is_some() && is_other
}

fn checked_tenant(text: &str) -> Result<String, Refusal<Code>> {
    if text.trim().is_empty() {
        return Err(
            refuse(Code::Required, "Enter the Directory (tenant) ID.").at("credential.tenantId")
        );
    }
    let tenant = TenantName::parse(text).map_err(|_| {
        let message = "Enter the Directory (tenant) ID, a GUID, or a verified domain such as contoso.onmicrosoft.com.";
        refuse(Code::Invalid, message).at("credential.tenantId")
    })?;
    Ok(tenant.as_str().to_owned())
}

fn checked_client(text: &str) -> Result<String, Refusal<Code>> {
    let text = text.trim();
    if text.is_empty() {
        return Err(
            refuse(Code::Required, "Enter the Application (client) ID.").at("credential.clientId")
        );
    }
    let id = Uuid::parse_str(text).map_err(|_| {
        refuse(Code::Invalid, "The Application (client) ID is a GUID.").at("credential.clientId")
    })?;
    Ok(id.hyphenated().to_string())
}

fn checked_secret(value: &SecretText) -> Result<SecretString, Refusal<Code>> {
    let at = |refusal: Refusal<Code>| refusal.at("credential.clientSecret.value");
    let text = value.0.expose_secret().trim();
    if text.is_empty() {
        return Err(at(refuse(
            Code::Required,
            "Enter the Value of the client secret.",
        )));
    }
    if text.len() > MAX_SECRET {
        return Err(at(refuse(
            Code::TooLong,
            format!("A client secret has at most {MAX_SECRET} characters."),
        )));
    }
    if Uuid::parse_str(text).is_ok() {
        let message =
            "This looks like the Secret ID. Enter the Value, which Microsoft shows only once.";
        return Err(at(refuse(Code::SecretIdGiven, message)));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(at(refuse(
            Code::Invalid,
            "A client secret has no blanks in it. Copy the Value again.",
        )));
    }
    Ok(text.to_owned().into())
}

fn checked_key_id(text: Option<&str>) -> Result<Option<String>, Refusal<Code>> {
    let text = text.unwrap_or_default().trim();
    if text.len() > MAX_KEY_ID {
        let message = format!("A Key ID has at most {MAX_KEY_ID} characters.");
        return Err(refuse(Code::TooLong, message).at("credential.clientSecret.keyId"));
    }
    if text.chars().any(char::is_control) {
        let message = "A Key ID has no control characters.";
        return Err(refuse(Code::Invalid, message).at("credential.clientSecret.keyId"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Identity of the app registration in Microsoft Entra ID. Blanks around pasted values are removed.
#[derive(InputObject)]
pub(crate) struct EntraCredentialInput {
    /// The national cloud of the tenant; left out, the stored one or else GLOBAL.
    cloud: Option<EntraCloud>,
    /// Directory (tenant) ID, or a verified domain of the tenant.
    tenant_id: String,
    /// Application (client) ID.
    client_id: String,
    /// The client secret; left out, the stored one is kept.
    client_secret: Option<ClientSecretInput>,
}

/// A client secret.
#[derive(InputObject)]
pub(crate) struct ClientSecretInput {
    /// The Value of the client secret, not its Secret ID. Write-only: no field of the schema returns it.
    value: SecretText,
    /// When the secret expires, as shown by Microsoft.
    expires_at: Option<Timestamp>,
    /// Key ID as shown by Microsoft, to tell secrets apart.
    key_id: Option<String>,
}

/// Input of `setIntegrationCredential`.
#[derive(InputObject)]
pub(crate) struct SetIntegrationCredentialInput {
    /// The global id of the integration.
    integration_id: ID,
    /// The credentials.
    credential: EntraCredentialInput,
    /// Refuses the change when the integration has another revision by now.
    expected_revision: Option<i32>,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `setIntegrationCredential`.
#[derive(SimpleObject)]
pub(crate) struct SetIntegrationCredentialPayload {
    /// The integration after the change, null when it was not found.
    integration: Option<Integration>,
    /// Expected failures; empty on success.
    user_errors: Vec<IntegrationUserError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Result<String, Code> {
        let checked = checked_secret(&SecretText(text.to_owned().into()));
        checked
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn e023_the_secret_id_is_told_from_the_value() {
        assert_eq!(secret(" abc~1.2_3 \n"), Ok("abc~1.2_3".to_owned()));
        assert_eq!(
            secret("5b1e7f0c-9f3c-4a51-8d5b-7d4b0c1a2e3f"),
            Err(Code::SecretIdGiven)
        );
        assert_eq!(secret("  "), Err(Code::Required));
        assert_eq!(secret("a b"), Err(Code::Invalid));
        assert_eq!(secret(&"a".repeat(513)), Err(Code::TooLong));
    }

    #[test]
    fn e019_client_ids_are_guids() {
        let code = |text| checked_client(text).map_err(|refusal| refusal.code);
        let id = "84BD8158-6d4d-4958-8b9f-9d6445542f95";
        assert_eq!(code(id), Ok(id.to_lowercase()));
        assert_eq!(code("my app"), Err(Code::Invalid));
        assert_eq!(code(" "), Err(Code::Required));
    }
}
