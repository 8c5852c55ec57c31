//! The change log of runs.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::{ChangeAction as Action, ObjectFields, RunId, TeamId, UserId};
use lockstep_store::Store;
use lockstep_store::change::{self as stored, ChangeFilter};
use lockstep_store::history::HistoryRequest;
use uuid::Uuid;

use super::enums::{
    ChangeAction, ChangeOutcome, ChangeReasonCode, DeactivationReason, DirectoryObjectType,
    HoldCategory,
};
use super::reference::DirectoryObjectRef;
use super::run::Run;
use crate::error::{Failure, Result};
use crate::filter;
use crate::id::GlobalId;
use crate::loader::{HistoryOf, Loaders};
use crate::page::{Edges, Paging, connection};
use crate::scalar::{Timestamp, int};

/// An entry of a change log as stored. Reached only by owners of its organization.
#[derive(Debug, Clone)]
pub(crate) struct RunChange(pub(crate) Arc<stored::Change>);

impl From<stored::Change> for RunChange {
    fn from(change: stored::Change) -> Self {
        Self(Arc::new(change))
    }
}

/// One entry of the change log of a run.
#[Object]
impl RunChange {
    /// The opaque, globally unique id of the entry.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// The run.
    async fn run(&self, ctx: &Context<'_>) -> Result<Run> {
        let run = Loaders::one(ctx, self.0.run_id).await?;
        run.map(Run::from)
            .ok_or_else(|| Failure::Fault("a change has no run".to_owned()))
    }

    /// Place in the change log, counting up from 1 without gaps.
    async fn sequence(&self) -> i32 {
        int(self.0.sequence)
    }

    /// When the change was made or worked out.
    async fn occurred_at(&self) -> Timestamp {
        self.0.occurred_at.into()
    }

    /// What was done.
    async fn action(&self) -> ChangeAction {
        self.0.action.into()
    }

    /// How it came out.
    async fn outcome(&self) -> ChangeOutcome {
        self.0.outcome.into()
    }

    /// The object that was changed; for memberships the team.
    async fn target(&self) -> DirectoryObjectRef {
        DirectoryObjectRef::target(&self.0)
    }

    /// The user whose membership was changed, null unless the change is one of a membership.
    async fn member(&self) -> Option<DirectoryObjectRef> {
        DirectoryObjectRef::member(&self.0)
    }

    /// The team the user was moved away from, null unless the action is MOVE_MEMBER.
    async fn moved_from(&self) -> Option<DirectoryObjectRef> {
        DirectoryObjectRef::moved_from(&self.0)
    }

    /// Fields that changed.
    async fn field_changes(&self) -> Vec<FieldChange> {
        let changes =
            lockstep_domain::FieldChange::between(self.0.before.as_ref(), self.0.after.as_ref());
        changes.into_iter().map(FieldChange::from).collect()
    }

    /// Why the user is deactivated, null unless the action is DEACTIVATE of a user.
    async fn deactivation_reason(&self) -> Option<DeactivationReason> {
        if self.0.action != Action::Deactivate {
            return None;
        }
        let user = self.0.after.as_ref().and_then(ObjectFields::user)?;
        user.deactivation_reason.map(DeactivationReason::from)
    }

    /// The limit that the change is held by, null when it was never held.
    async fn hold_category(&self) -> Option<HoldCategory> {
        self.0.hold_category.map(HoldCategory::from)
    }

    /// Why the change was skipped, held or failed, null when there is nothing to explain.
    async fn reason(&self) -> Option<ChangeReason> {
        let reason = self.0.reason.as_ref()?;
        Some(ChangeReason::of(self.0.object_kind, reason))
    }
}

/// Why a change was skipped, held or failed.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ChangeReason {
    /// The kind of reason.
    code: ChangeReasonCode,
    /// The reason in a sentence fit to be shown to a person.
    message: String,
    /// The field at fault, null when no single field is.
    field: Option<String>,
    /// Whether a later run tries again by itself.
    retryable: bool,
}

impl ChangeReason {
    fn of(kind: lockstep_domain::ObjectKind, reason: &lockstep_domain::ChangeReason) -> Self {
        Self {
            code: reason.code.into(),
            message: reason.message.clone(),
            field: reason.field.clone(),
            // Teams of which anything was not done are looked at again, whatever the reason.
            retryable: kind != lockstep_domain::ObjectKind::User || reason.code.is_retried(),
        }
    }
}

/// A field that changed.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct FieldChange {
    /// Name of the field.
    field: &'static str,
    /// Value before, null when there was none.
    before: Option<String>,
    /// Value after, null when there is none.
    after: Option<String>,
}

impl From<lockstep_domain::FieldChange> for FieldChange {
    fn from(change: lockstep_domain::FieldChange) -> Self {
        let lockstep_domain::FieldChange {
            field,
            before,
            after,
        } = change;
        Self {
            field,
            before,
            after,
        }
    }
}

connection! {
    /// A page of a change log.
    RunChangeConnection;
    /// An entry of a change log in a list.
    RunChangeEdge;
    /// The entry.
    node: RunChange;
    /// Number of entries that match.
    total
}

impl RunChangeConnection {
    pub(crate) async fn load(
        store: &Store,
        run: RunId,
        filter: ChangeFilter,
        paging: &Paging,
    ) -> Result<Self> {
        let page = store.changes(run, &filter, &paging.request()?).await?;
        Ok(Self(Edges::of(
            page,
            |change| change.sequence,
            RunChange::from,
        )))
    }
}

impl RunChangeConnection {
    /// Loads a page of the history of a user or team of the organization. Only an owner may see it.
    pub(crate) async fn history(
        ctx: &Context<'_>,
        whose: Uuid,
        filter: Option<RunChangeFilter>,
        paging: &Paging,
    ) -> Result<Self> {
        let request = HistoryRequest {
            filter: filter.unwrap_or_default().stored(ChangeFilter::default())?,
            page: paging.request()?,
        };
        let page = Loaders::one(ctx, HistoryOf(whose, request)).await?;
        let page = page.ok_or_else(|| Failure::Fault("nothing has a history".to_owned()))?;
        Ok(Self(Edges::of(page, |change| change.id, RunChange::from)))
    }
}

/// Restricts a change log; conditions are combined with AND. A list has at most 100 values.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct RunChangeFilter {
    /// Only changes of these kinds of object.
    types: Option<Vec<DirectoryObjectType>>,
    /// Only these actions.
    actions: Option<Vec<ChangeAction>>,
    /// Only these outcomes.
    outcomes: Option<Vec<ChangeOutcome>>,
    /// Only changes which each word of this text fits: it begins a word of the display name of the object or of the member,
    /// without regard to case, accents and order. At most 256 characters and 20 words.
    search: Option<String>,
    /// Only changes with one of these reasons.
    reasons: Option<Vec<ChangeReasonCode>>,
    /// Only changes held by one of these limits.
    hold_categories: Option<Vec<HoldCategory>>,
    /// Only changes whose object or member is this user or team; also moves away from this team.
    node_id: Option<ID>,
}

impl RunChangeFilter {
    /// Narrows `within`.
    pub(crate) fn stored(self, within: ChangeFilter) -> Result<ChangeFilter> {
        let kinds = |types: Vec<DirectoryObjectType>| {
            let kinds = types.into_iter().flat_map(DirectoryObjectType::domain);
            kinds.copied().collect()
        };
        let reasons = |codes: Vec<ChangeReasonCode>| {
            let codes = codes.into_iter().flat_map(ChangeReasonCode::domain);
            codes.collect()
        };
        let outcomes = filter::values("outcomes", self.outcomes)?;
        Ok(ChangeFilter {
            kinds: filter::checked("types", self.types)?.map(kinds),
            actions: filter::values("actions", self.actions)?,
            outcomes: both(within.outcomes, outcomes),
            reasons: filter::checked("reasons", self.reasons)?.map(reasons),
            hold_categories: filter::values("holdCategories", self.hold_categories)?,
            search: filter::search(self.search)?,
            object: self.node_id.map(|id| object(&id)),
        })
    }
}

/// The user or team that an id stands for; an id of something else matches nothing.
fn object(id: &ID) -> Uuid {
    let user = UserId::local(id).map(Uuid::from);
    user.or_else(|| TeamId::local(id).map(Uuid::from))
        .unwrap_or_default()
}

fn both<T: PartialEq>(one: Option<Vec<T>>, other: Option<Vec<T>>) -> Option<Vec<T>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(
            one.into_iter()
                .filter(|value| other.contains(value))
                .collect(),
        ),
        (one, other) => one.or(other),
    }
}
