//! The change log, for reading.

use chrono::{DateTime, Utc};
use lockstep_domain::{
    ChangeAction, ChangeId, ChangeOutcome, ChangeReason, ChangeReasonCode, ExternalId,
    HoldCategory, ObjectFields, ObjectKind, OrganizationId, RunId, TeamId, UserId, searched_words,
};
use lockstep_entity::run_change;
use sea_orm::{
    ColumnTrait as _, Condition, JsonValue, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{count, from_json, parse, parse_optional};
use crate::lookup::first;
use crate::page::{Page, PageRequest};
use crate::place::is_unmade;
use crate::search::begin_words;
use crate::{Store, StoreError};

/// An entry of the change log of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Identifier.
    pub id: ChangeId,
    /// The run.
    pub run_id: RunId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// Place in the change log, from 1 without gaps.
    pub sequence: i64,
    /// Kind of the object.
    pub object_kind: ObjectKind,
    /// What is done.
    pub action: ChangeAction,
    /// How it came out.
    pub outcome: ChangeOutcome,
    /// Object id in the directory: of the account, or of what the team was made from.
    pub external_id: ExternalId,
    /// The user, for a change of a user; a creation carries the id that the user has or will have.
    pub user_id: Option<UserId>,
    /// The team, for a change of a team or membership; a creation carries the id that the team has or will have.
    pub team_id: Option<TeamId>,
    /// Name of the user or team at that time.
    pub display_name: String,
    /// Whose membership it is, for a change of one.
    pub member: Option<ChangedMember>,
    /// The team that a move leaves, and its name at that time.
    pub moved_from: Option<(TeamId, String)>,
    /// The object before.
    pub before: Option<ObjectFields>,
    /// The object after.
    pub after: Option<ObjectFields>,
    /// Why it was skipped, held or failed.
    pub reason: Option<ChangeReason>,
    /// The limit it is held by.
    pub hold_category: Option<HoldCategory>,
    /// Number of the event that told of the outcome.
    pub event_sequence: Option<i64>,
    /// When it was made or worked out.
    pub occurred_at: DateTime<Utc>,
}

/// The person of a membership as they were at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedMember {
    /// The user; for one whom the same run creates, the id that the user has or will have.
    pub user_id: UserId,
    /// Object id of the account.
    pub external_id: ExternalId,
    /// Name.
    pub name: String,
}

/// Restricts a change log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ChangeFilter {
    /// Only these kinds of object.
    pub kinds: Option<Vec<ObjectKind>>,
    /// Only these actions.
    pub actions: Option<Vec<ChangeAction>>,
    /// Only these outcomes.
    pub outcomes: Option<Vec<ChangeOutcome>>,
    /// Only these reasons.
    pub reasons: Option<Vec<ChangeReasonCode>>,
    /// Only what is held by these limits.
    pub hold_categories: Option<Vec<HoldCategory>>,
    /// Only names with a word that begins so, for each word of this text.
    pub search: Option<String>,
    /// Only changes of this user or team, or of a membership of it.
    pub object: Option<Uuid>,
}

/// Changes with the same problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The cause.
    pub code: ChangeReasonCode,
    /// The field at fault.
    pub field: Option<String>,
    /// How many changes have it.
    pub count: u64,
}

impl Store {
    /// Returns a page of the change log of a run, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changes(
        &self,
        run: RunId,
        filter: &ChangeFilter,
        request: &PageRequest<i64>,
    ) -> Result<Page<Change>, StoreError> {
        let all = run_change::Entity::of_run(run.0).filter(condition(filter));
        self.page(all, run_change::Column::Sequence, false, request)
            .await?
            .try_map(read)
    }

    /// Returns an entry of a change log.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn change(
        &self,
        organization: OrganizationId,
        id: ChangeId,
    ) -> Result<Option<Change>, StoreError> {
        let row = run_change::Entity::in_organization(organization.0)
            .filter(run_change::Column::Id.eq(id.0))
            .one(self.db());
        row.await
            .map_err(StoreError::of("read a change"))?
            .map(read)
            .transpose()
    }

    /// Returns the entries whose outcome was told after an event, in the order of the events.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changes_told_after(
        &self,
        run: RunId,
        event: i64,
        limit: u64,
    ) -> Result<Vec<Change>, StoreError> {
        let rows = run_change::Entity::of_run(run.0)
            .filter(run_change::Column::EventSequence.gt(event))
            .order_by_asc(run_change::Column::EventSequence);
        first(self.db(), rows, limit)
            .await
            .map_err(StoreError::of("read changes"))?
            .into_iter()
            .map(read)
            .collect()
    }

    /// Groups what was skipped, held or failed by its cause, greatest group first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn problems(&self, run: RunId) -> Result<Vec<Problem>, StoreError> {
        let rows: Vec<(String, Option<String>, i64)> = run_change::Entity::of_run(run.0)
            .select_only()
            .columns([
                run_change::Column::ReasonCode,
                run_change::Column::ReasonField,
            ])
            .column_as(run_change::Column::Id.count(), "n")
            .filter(is_unmade())
            .filter(run_change::Column::ReasonCode.is_not_null())
            .group_by(run_change::Column::ReasonCode)
            .group_by(run_change::Column::ReasonField)
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("group problems"))?;
        let mut problems = rows
            .into_iter()
            .map(|(code, field, n)| {
                Ok(Problem {
                    code: parse("run_change.reason_code", &code)?,
                    field,
                    count: count(n),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        problems.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then_with(|| (a.code, &a.field).cmp(&(b.code, &b.field)))
        });
        Ok(problems)
    }
}

impl Store {
    /// Returns some changes of a run with the same problem, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn problem_sample(
        &self,
        run: RunId,
        codes: &[ChangeReasonCode],
        field: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Change>, StoreError> {
        use run_change::Column;
        let field = field.map_or_else(
            || Column::ReasonField.is_null(),
            |field| Column::ReasonField.eq(field),
        );
        let rows = run_change::Entity::of_run(run.0)
            .filter(is_unmade())
            .filter(Column::ReasonCode.is_in(codes.iter().map(|code| code.as_str())))
            .filter(field)
            .order_by_asc(Column::Sequence)
            .limit(limit)
            .all(self.db());
        rows.await
            .map_err(StoreError::of("read changes"))?
            .into_iter()
            .map(read)
            .collect()
    }
}

pub(crate) fn condition(filter: &ChangeFilter) -> Condition {
    use run_change::Column;
    let search = filter.search.as_deref().map(|text| {
        let words = searched_words(text);
        begin_words(&words, &[Column::SearchKey, Column::MemberSearchKey])
    });
    let object = filter.object.map(|id| {
        Condition::any()
            .add(Column::PlatformId.eq(id))
            .add(Column::MemberId.eq(id))
            .add(Column::MovedFromId.eq(id))
    });
    Condition::all()
        .add_option(
            filter
                .kinds
                .as_ref()
                .map(|v| Column::ObjectKind.is_in(v.iter().map(|v| v.as_str()))),
        )
        .add_option(
            filter
                .actions
                .as_ref()
                .map(|v| Column::Action.is_in(v.iter().map(|v| v.as_str()))),
        )
        .add_option(
            filter
                .outcomes
                .as_ref()
                .map(|v| Column::Outcome.is_in(v.iter().map(|v| v.as_str()))),
        )
        .add_option(
            filter
                .reasons
                .as_ref()
                .map(|v| Column::ReasonCode.is_in(v.iter().map(|v| v.as_str()))),
        )
        .add_option(
            filter
                .hold_categories
                .as_ref()
                .map(|v| Column::HoldCategory.is_in(v.iter().map(|v| v.as_str()))),
        )
        .add_option(object)
        .add_option(search)
}

pub(crate) fn read(row: run_change::Model) -> Result<Change, StoreError> {
    let code: Option<ChangeReasonCode> =
        parse_optional("run_change.reason_code", row.reason_code.as_deref())?;
    let (message, field) = (row.reason_message.unwrap_or_default(), row.reason_field);
    let object_kind: ObjectKind = parse("run_change.object_kind", &row.object_kind)?;
    let is_user = object_kind == ObjectKind::User;
    let member = row
        .member_id
        .zip(row.member_external_id)
        .map(|(user, external_id)| ChangedMember {
            user_id: UserId(user),
            external_id: ExternalId(external_id),
            name: row.member_name.unwrap_or_default(),
        });
    Ok(Change {
        id: row.id.into(),
        run_id: row.run_id.into(),
        organization_id: row.organization_id.into(),
        sequence: row.sequence,
        object_kind,
        action: parse("run_change.action", &row.action)?,
        outcome: parse("run_change.outcome", &row.outcome)?,
        external_id: ExternalId(row.external_id),
        user_id: row.platform_id.filter(|_| is_user).map(UserId),
        team_id: row.platform_id.filter(|_| !is_user).map(TeamId),
        display_name: row.display_name,
        member,
        moved_from: row
            .moved_from_id
            .map(|id| (TeamId(id), row.moved_from_name.unwrap_or_default())),
        before: read_fields(object_kind, "run_change.before", row.before)?,
        after: read_fields(object_kind, "run_change.after", row.after)?,
        reason: code.map(|code| ChangeReason {
            code,
            message,
            field,
        }),
        hold_category: parse_optional("run_change.hold_category", row.hold_category.as_deref())?,
        event_sequence: row.event_sequence,
        occurred_at: row.occurred_at,
    })
}

fn read_fields(
    kind: ObjectKind,
    column: &'static str,
    json: Option<JsonValue>,
) -> Result<Option<ObjectFields>, StoreError> {
    let Some(json) = json else { return Ok(None) };
    match kind {
        ObjectKind::User => from_json(column, json).map(ObjectFields::User),
        ObjectKind::Team => from_json(column, json).map(ObjectFields::Team),
        ObjectKind::Membership => from_json(column, json).map(ObjectFields::Membership),
    }
    .map(Some)
}
