//! Switching add-ons. Staff alone may (E-007).

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::OrganizationId;
use lockstep_store::organization as stored;

use super::desk::{Begun, Request, begin, checked_key};
use super::together::together;
use super::user_error::{AccessUserError, AccessUserErrorCode as Code, Stop, refuse, settle};
use crate::app;
use crate::error::Result;
use crate::id::GlobalId as _;
use crate::object::enums::Feature;
use crate::object::organization::Entitlement;
use crate::session::Session;

/// Mutations of add-ons.
#[derive(Default)]
pub(crate) struct EntitlementMutations;

#[Object]
impl EntitlementMutations {
    /// Switches an add-on of an organization on or off. Staff only: requires MANAGE_ENTITLEMENTS.
    async fn set_entitlement(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to switch.")] input: SetEntitlementInput,
    ) -> Result<Option<SetEntitlementPayload>> {
        let (row, user_errors) = settle(|| set(ctx, &input)).await?;
        let entitlement = row.map(|row| Entitlement::of(input.feature, row.as_ref()));
        Ok(Some(SetEntitlementPayload {
            entitlement,
            user_errors,
        }))
    }
}

async fn set(
    ctx: &Context<'_>,
    input: &SetEntitlementInput,
) -> Result<Option<stored::Entitlement>, Stop<Code>> {
    let session = Session::of(ctx)?;
    if !session.is_staff {
        return Err(refuse(Code::Forbidden, "Add-ons are switched by staff.").into());
    }
    let store = &app(ctx).store;
    let organization = match OrganizationId::local(&input.organization_id) {
        Some(id) => store.organization(id).await?,
        None => None,
    };
    let organization = organization.map(|found| found.id).ok_or_else(|| {
        refuse(Code::NotFound, "There is no such organization.").at("organizationId")
    });
    let key = input.idempotency_key.as_deref();
    let (organization, ()) = together((organization, checked_key(key)))?;
    let request = Request {
        mutation: "setEntitlement",
        input,
        key,
    };
    let name = input.feature.stored();
    match begin(store, organization, &session.subject, request).await? {
        Begun::New(work) => {
            store
                .set_entitlement(
                    &work.tx,
                    organization,
                    name,
                    input.enabled,
                    &session.staff_actor(),
                )
                .await?;
            work.commit(&()).await?;
        }
        Begun::Before(()) => {}
    }
    Ok(store
        .entitlements(organization)
        .await?
        .into_iter()
        .find(|row| row.feature == name))
}

/// Input of `setEntitlement`.
#[derive(InputObject)]
pub(crate) struct SetEntitlementInput {
    /// The global id of the organization.
    organization_id: ID,
    /// The add-on.
    feature: Feature,
    /// Whether it is switched on.
    enabled: bool,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `setEntitlement`.
#[derive(SimpleObject)]
pub(crate) struct SetEntitlementPayload {
    /// The add-on after the change, null when there are errors.
    entitlement: Option<Entitlement>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}
