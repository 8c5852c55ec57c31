//! Creating an integration and changing its name and language.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::{InboundRules, IntegrationId};
use lockstep_store::StoreError;
use lockstep_store::integration::NewIntegration;

use super::credential::{EntraCredentialInput, checked_new, save};
use super::desk::{Begun, Desk, Request, Work, check_revision, shown};
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
        let (id, user_errors) = settle(|| create(ctx, &input)).await?;
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
        let (_, user_errors) = settle(|| update(ctx, &input)).await?;
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
    let request = Request {
        mutation: "createIntegration",
        input,
        key: idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let (name, rules, default_language, credential) = work.all((
        free_name(&desk, &work, name, None).await,
        sync_rules.over(&InboundRules::default()),
        checked_language(&desk, default_language.as_ref()),
        checked_new(&desk, &work.tx, credential.as_ref()).await,
    ))?;
    let new = NewIntegration {
        name,
        default_language,
        rules,
    };
    let created = desk
        .app
        .store
        .create_integration(&work.tx, desk.organization(), &new, &desk.actor())
        .await;
    let id = created.map_err(name_taken)?.id;
    if let Some(credential) = &credential {
        save(&desk, &work.tx, id, credential).await?;
    }
    work.commit(&id).await?;
    signal::integration_changed(desk.app, desk.organization(), id).await;
    Ok(id)
}

async fn update(ctx: &Context<'_>, input: &UpdateIntegrationInput) -> Result<(), Stop<Code>> {
    let desk = Desk::open(ctx).await?;
    let request = Request {
        mutation: "updateIntegration",
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
    let name = match &input.name {
        Some(name) => free_name(&desk, &work, name, known.map(|known| known.id))
            .await
            .map(Some),
        None => Ok(None),
    };
    let revision = check_revision(known, input.expected_revision);
    let language = checked_language(&desk, input.default_language.as_ref());
    let ((integration, _), (), name, language) = work.all((found, revision, name, language))?;
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

/// Checks a name, and that no other integration than `own` has it.
async fn free_name(
    desk: &Desk<'_>,
    work: &Work<'_>,
    name: &str,
    own: Option<IntegrationId>,
) -> Result<String, Stop<Code>> {
    let name = NAME.check(name).map_err(|refusal| refusal.at("name"))?;
    let holder = desk
        .app
        .store
        .integration_named(&work.tx, desk.organization(), &name)
        .await?;
    if holder.is_some() && holder != own {
        return Err(taken().into());
    }
    Ok(name)
}

fn checked_language(
    desk: &Desk<'_>,
    tag: Option<&LanguageTag>,
) -> Result<Option<String>, Refusal<Code>> {
    let Some(tag) = tag else { return Ok(None) };
    let known = desk
        .app
        .languages
        .iter()
        .find(|language| language.tag.eq_ignore_ascii_case(&tag.0));
    let Some(language) = known else {
        let message = "E-mails cannot be written in this language; see `ServiceInfo.languages`.";
        return Err(refuse(Code::Invalid, message).at("defaultLanguage"));
    };
    Ok(Some(language.tag.clone()))
}

fn taken() -> Refusal<Code> {
    refuse(Code::NameTaken, "Another integration has the name.").at("name")
}

/// Tells the failure of two who take the same name at the same time.
fn name_taken(error: StoreError) -> Stop<Code> {
    if error.is_taken() {
        return taken().into();
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
    /// integration is activated.
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
