//! Creating an integration and changing its name and language.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::{InboundRules, IntegrationId};
use lockstep_store::StoreError;
use lockstep_store::integration::NewIntegration;

use super::credential::{EntraCredentialInput, save};
use super::desk::{Begun, Desk, Request, check_revision, shown};
use super::rules::SyncRulesInput;
use super::text::TextRule;
use super::user_error::{
    IntegrationUserError, IntegrationUserErrorCode as Code, Refusal, Stop, refuse, settle,
};
use crate::error::Result;
use crate::id::GlobalId as _;
use crate::object::enums::IntegrationProvider;
use crate::object::integration::Integration;
use crate::scalar::LanguageTag;
use crate::signal;

const NAME: TextRule = TextRule {
    what: "A name",
    max: 100,
};

/// Mutations of the integration itself.
#[derive(Default)]
pub(crate) struct IntegrationMutations;

#[Object]
impl IntegrationMutations {
    /// Creates an integration in the state DRAFT. Requires MANAGE_INTEGRATIONS.
    async fn create_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to create.")] input: CreateIntegrationInput,
    ) -> Result<Option<CreateIntegrationPayload>> {
        let (id, user_errors) = settle(create(ctx, &input).await)?;
        let integration = match id {
            Some(id) => shown(ctx, &id.global()).await?,
            None => None,
        };
        Ok(Some(CreateIntegrationPayload {
            integration,
            user_errors,
        }))
    }

    /// Changes the name or default language of an integration. Requires MANAGE_INTEGRATIONS.
    async fn update_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateIntegrationInput,
    ) -> Result<Option<UpdateIntegrationPayload>> {
        let (_, user_errors) = settle(update(ctx, &input).await)?;
        let integration = shown(ctx, &input.integration_id).await?;
        Ok(Some(UpdateIntegrationPayload {
            integration,
            user_errors,
        }))
    }
}

async fn create(
    ctx: &Context<'_>,
    input: &CreateIntegrationInput,
) -> Result<IntegrationId, Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let CreateIntegrationInput {
        name,
        provider: _,
        sync_rules,
        default_language,
        credential,
        idempotency_key,
    } = input;
    let new = NewIntegration {
        name: checked_name(name)?,
        default_language: default_language
            .as_ref()
            .map(|tag| checked_language(&desk, tag))
            .transpose()?,
        rules: sync_rules.over(&InboundRules::default())?,
    };
    let request = Request {
        mutation: "createIntegration",
        input,
        key: idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let created = desk
        .app
        .store
        .create_integration(&work.tx, desk.organization(), &new, &desk.actor())
        .await;
    let id = created.map_err(name_taken)?.id;
    if let Some(credential) = credential {
        save(&desk, &work.tx, id, None, credential).await?;
    }
    work.commit(&id).await?;
    signal::integration_changed(desk.app, desk.organization(), id).await;
    Ok(id)
}

async fn update(ctx: &Context<'_>, input: &UpdateIntegrationInput) -> Result<(), Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let name = input.name.as_deref().map(checked_name).transpose()?;
    let language = input
        .default_language
        .as_ref()
        .map(|tag| checked_language(&desk, tag))
        .transpose()?;
    let request = Request {
        mutation: "updateIntegration",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(()) => return Ok(()),
    };
    let (integration, _) = work
        .integration(desk.organization(), &input.integration_id)
        .await?;
    check_revision(&integration, input.expected_revision)?;
    let name = name.filter(|name| *name != integration.name);
    let language =
        language.filter(|language| integration.default_language.as_ref() != Some(language));
    if name.is_some() || language.is_some() {
        let renamed = desk.app.store.rename_integration(
            &work.tx,
            integration.id,
            name.as_deref(),
            language.as_deref(),
        );
        renamed.await.map_err(name_taken)?;
    }
    work.commit(&()).await?;
    signal::integration_changed(desk.app, desk.organization(), integration.id).await;
    Ok(())
}

fn checked_name(name: &str) -> Result<String, Refusal<Code>> {
    NAME.check(name).map_err(|refusal| refusal.at("name"))
}

fn checked_language(desk: &Desk<'_>, tag: &LanguageTag) -> Result<String, Refusal<Code>> {
    let known = desk
        .app
        .languages
        .iter()
        .find(|language| language.tag.eq_ignore_ascii_case(&tag.0));
    known.map(|language| language.tag.clone()).ok_or_else(|| {
        refuse(
            Code::Invalid,
            "E-mails cannot be written in this language; see `ServiceInfo.languages`.",
        )
        .at("defaultLanguage")
    })
}

fn name_taken(error: StoreError) -> Stop<Code> {
    if error.is_taken() {
        return refuse(Code::NameTaken, "Another integration has the name.")
            .at("name")
            .into();
    }
    error.into()
}

/// Input of `createIntegration`.
#[derive(InputObject)]
pub(crate) struct CreateIntegrationInput {
    /// Name shown to people, up to 100 characters.
    name: String,
    /// The directory product on the other side.
    #[graphql(default_with = "IntegrationProvider::MicrosoftEntraId")]
    provider: IntegrationProvider,
    /// What is synchronized; the choice sets the direction.
    sync_rules: SyncRulesInput,
    /// Language of e-mails to users an inbound run creates, one of `ServiceInfo.languages`; required before an inbound
    /// integration is activated (E-038).
    default_language: Option<LanguageTag>,
    /// Credentials, when they are known already.
    credential: Option<EntraCredentialInput>,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `createIntegration`.
#[derive(SimpleObject)]
pub(crate) struct CreateIntegrationPayload {
    /// The new integration, null when there are errors.
    integration: Option<Integration>,
    /// Expected failures; empty on success.
    user_errors: Vec<IntegrationUserError>,
}

/// Input of `updateIntegration`; fields that are left out keep their value.
#[derive(InputObject)]
pub(crate) struct UpdateIntegrationInput {
    /// The global id of the integration.
    integration_id: ID,
    /// Name shown to people, up to 100 characters.
    name: Option<String>,
    /// Language of e-mails to users an inbound run creates.
    default_language: Option<LanguageTag>,
    /// Refuses the change when the integration has another revision by now.
    expected_revision: Option<i32>,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `updateIntegration`.
#[derive(SimpleObject)]
pub(crate) struct UpdateIntegrationPayload {
    /// The integration after the change, null when it was not found.
    integration: Option<Integration>,
    /// Expected failures; empty on success.
    user_errors: Vec<IntegrationUserError>,
}
