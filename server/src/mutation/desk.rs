//! What every mutation begins and ends with: who asks, the transaction, the idempotency key.

use async_graphql::{Context, ID, InputType};
use lockstep_domain::{Actor, ContentHash, IntegrationId, OrganizationId, Team, TeamId};
use lockstep_store::idempotency::{KeyOwner, Seen};
use lockstep_store::integration::{Integration, IntegrationRow};
use lockstep_store::organization::INBOUND_SYNC;
use lockstep_store::{Store, StoreError, Tx};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::together::{Checks, together};
use super::user_error::{
    CommonCode, IntegrationCode, IntegrationUserErrorCode, Refusal, Stop, refuse,
};
use crate::app;
use crate::error::{Failure, Result};
use crate::id::GlobalId as _;
use crate::object;
use crate::session::{Owner, Session};

/// Greatest length of an idempotency key in characters.
const MAX_KEY: usize = 255;

/// An owner at the start of a mutation.
pub(super) struct Desk<'a> {
    pub(super) app: &'a crate::Context,
    pub(super) owner: Owner<'a>,
    subject: &'a str,
}

impl<'a> Desk<'a> {
    /// Authorizes for integrations: owners alone (E-031), and only with the add-on (E-006).
    pub(super) async fn open<C: IntegrationCode>(ctx: &Context<'a>) -> Result<Self, Stop<C>> {
        let desk = Self::of_owner(ctx, "Integrations are for owners of the organization.")?;
        let store = &desk.app.store;
        if !store.is_entitled(desk.organization(), INBOUND_SYNC).await? {
            return Err(refuse(
                C::ENTITLEMENT_MISSING,
                "The add-on is not switched on. Ask your account manager.",
            )
            .into());
        }
        Ok(desk)
    }

    /// Authorizes for what every organization has: owners alone, with or without the add-on.
    pub(super) fn of_owner<C: CommonCode>(
        ctx: &Context<'a>,
        refusal: &str,
    ) -> Result<Self, Stop<C>> {
        let session = Session::of(ctx)?;
        let owner = session
            .owner()
            .ok_or_else(|| refuse(C::FORBIDDEN, refusal))?;
        Ok(Self {
            app: app(ctx),
            owner,
            subject: &session.subject,
        })
    }

    pub(super) fn organization(&self) -> OrganizationId {
        self.owner.organization.id
    }

    pub(super) fn actor(&self) -> Actor {
        self.owner.actor()
    }

    /// Begins to write, or finds out what the same request did before.
    pub(super) async fn begin<T: DeserializeOwned, C: CommonCode>(
        &self,
        request: Request<'_, impl InputType>,
    ) -> Result<Begun<'a, T>, Stop<C>> {
        begin(&self.app.store, self.organization(), self.subject, request).await
    }
}

/// A request as far as its repetition can be told.
pub(super) struct Request<'a, I> {
    /// Name of the mutation.
    pub(super) mutation: &'static str,
    /// Its input.
    pub(super) input: &'a I,
    /// Its idempotency key.
    pub(super) key: Option<&'a str>,
}

impl<I> Clone for Request<'_, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I> Copy for Request<'_, I> {}

/// Whether a request is new.
pub(super) enum Begun<'a, T> {
    /// It is: go on.
    New(Work<'a>),
    /// It is not: this was its outcome.
    Before(T),
}

/// A mutation in its transaction.
pub(super) struct Work<'a> {
    store: &'a Store,
    pub(super) tx: Tx,
    key: Key,
}

/// The idempotency key of a request.
enum Key {
    /// There is none.
    None,
    /// It is of this request from now on.
    Taken(KeyOwner),
    /// It cannot be one. [`Work::all`] says so together with whatever else is wrong.
    Malformed,
}

/// Refuses what cannot be an idempotency key.
pub(super) fn checked_key<C: CommonCode>(key: Option<&str>) -> Result<(), Refusal<C>> {
    let is_odd = |key: &str| {
        key.is_empty() || key.chars().count() > MAX_KEY || key.chars().any(char::is_control)
    };
    if key.is_some_and(is_odd) {
        return Err(malformed_key());
    }
    Ok(())
}

fn malformed_key<C: CommonCode>() -> Refusal<C> {
    let message = format!(
        "An idempotency key has 1 to {MAX_KEY} characters, none of them a control character."
    );
    refuse(C::INVALID, message).at("idempotencyKey")
}

/// Begins a transaction and takes the idempotency key in it.
pub(super) async fn begin<'a, T: DeserializeOwned, C: CommonCode>(
    store: &'a Store,
    organization: OrganizationId,
    principal: &str,
    request: Request<'_, impl InputType>,
) -> Result<Begun<'a, T>, Stop<C>> {
    let Request {
        mutation,
        input,
        key,
    } = request;
    let tx = store.begin().await?;
    let new = |tx, key| Ok(Begun::New(Work { store, tx, key }));
    let Some(key) = key else {
        return new(tx, Key::None);
    };
    if checked_key::<C>(Some(key)).is_err() {
        return new(tx, Key::Malformed);
    }
    let key = KeyOwner {
        organization,
        principal: principal.to_owned(),
        key: key.to_owned(),
    };
    let input = input.to_value().to_string();
    match store
        .take_key(&tx, &key, &ContentHash::of([Some(mutation), Some(&input)]))
        .await?
    {
        Seen::New => new(tx, Key::Taken(key)),
        Seen::Before(outcome) => {
            let outcome =
                serde_json::from_value(outcome).map_err(|error| Failure::fault(&error))?;
            Ok(Begun::Before(outcome))
        }
        Seen::OtherInput => {
            let message = "The idempotency key was used before with another input.";
            Err(refuse(C::IDEMPOTENCY_KEY_REUSED, message)
                .at("idempotencyKey")
                .into())
        }
    }
}

impl Work<'_> {
    /// Gives the values of checks of the input, or everything that is wrong with it, the idempotency key included.
    pub(super) fn all<K: Checks>(&self, checks: K) -> Result<K::Values, Stop<K::Code>>
    where
        K::Code: CommonCode,
    {
        let key = match self.key {
            Key::None | Key::Taken(_) => Ok(()),
            Key::Malformed => Err(malformed_key()),
        };
        let ((), values) = together((key, together(checks)))?;
        Ok(values)
    }

    /// Returns an integration of the organization and keeps others from changing it meanwhile.
    pub(super) async fn integration<C: CommonCode>(
        &self,
        organization: OrganizationId,
        id: &ID,
    ) -> Result<(Integration, IntegrationRow), Stop<C>> {
        let found = match IntegrationId::local(id) {
            Some(id) => {
                self.store
                    .lock_integration(&self.tx, organization, id)
                    .await?
            }
            None => None,
        };
        found.ok_or_else(|| {
            refuse(C::NOT_FOUND, "There is no such integration.")
                .at("integrationId")
                .into()
        })
    }

    /// Returns a team of the organization and keeps others from changing it meanwhile.
    pub(super) async fn team<C: CommonCode>(
        &self,
        organization: OrganizationId,
        id: &ID,
    ) -> Result<Team, Stop<C>> {
        let found = match TeamId::local(id) {
            Some(id) => self.store.lock_team(&self.tx, organization, id).await?,
            None => None,
        };
        found.ok_or_else(|| {
            refuse(C::NOT_FOUND, "There is no such team.")
                .at("teamId")
                .into()
        })
    }

    /// Commits, and keeps the outcome for whoever sends the same request again.
    pub(super) async fn commit<T: Serialize>(self, outcome: &T) -> Result<()> {
        match &self.key {
            Key::None => {}
            Key::Taken(key) => {
                let outcome =
                    serde_json::to_value(outcome).map_err(|error| Failure::fault(&error))?;
                self.store.save_outcome(&self.tx, key, outcome).await?;
            }
            Key::Malformed => {
                return Err(Failure::Fault(
                    "an idempotency key was not checked".to_owned(),
                ));
            }
        }
        let operation = "commit a mutation";
        let committed = self.tx.commit().await;
        Ok(committed.map_err(StoreError::of(operation))?)
    }
}

/// Refuses a change of settings that someone else has changed by now (D-87). Of an integration that was not found there is
/// nothing to say.
pub(super) fn check_revision(
    integration: Option<&Integration>,
    expected: Option<i32>,
) -> Result<(), Refusal<IntegrationUserErrorCode>> {
    match integration.zip(expected) {
        Some((integration, expected)) if expected != integration.revision => {
            let message = "Someone else changed the integration in the meantime; fetch it again.";
            Err(refuse(IntegrationUserErrorCode::RevisionConflict, message).at("expectedRevision"))
        }
        _ => Ok(()),
    }
}

/// Returns the integration of a payload: as it is now, none when the viewer may not see it.
pub(super) async fn shown(
    ctx: &Context<'_>,
    id: &ID,
) -> Result<Option<object::integration::Integration>> {
    let (Some(owner), Some(id)) = (Session::of(ctx)?.owner(), IntegrationId::local(id)) else {
        return Ok(None);
    };
    let row = app(ctx)
        .store
        .integration(owner.organization.id, id)
        .await?;
    Ok(row.map(Into::into))
}
