//! Users and their links.

use lockstep_domain::{
    Actor, Address, AddressKey, ExternalId, IntegrationId, OrganizationId, PlatformUser,
    RecordOrigin, Role, RunId, TeamId, UserId, UserLink, UserStatus,
};
use lockstep_entity::{membership, platform_user, user_link};
use sea_orm::{
    ActiveValue::NotSet, ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait,
    EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
};

use crate::column::{from_optional_json, parse, parse_optional, rows_per_statement};
use crate::order::{ListOrder, Ordered, Place};
use crate::page::{Page, PageRequest};
use crate::search::Searched;
use crate::{Store, StoreError, Tx};

/// Restricts a list of users.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Only users with one of these statuses.
    pub statuses: Option<Vec<UserStatus>>,
    /// Only users with one of these roles.
    pub roles: Option<Vec<Role>>,
    /// Only users managed there.
    pub origins: Option<Vec<RecordOrigin>>,
    /// Only users of this team.
    pub team: Option<TeamId>,
    /// Only users with a word of name or address that begins so, for each word of this text.
    pub search: Option<String>,
    /// In which order.
    pub order: ListOrder,
}

/// A user who is created by hand.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// First name.
    pub given_name: String,
    /// Last name.
    pub family_name: String,
    /// E-mail address.
    pub email: Address,
    /// Role.
    pub role: Role,
    /// Language of mails.
    pub language: String,
}

impl Store {
    /// Creates a user by hand.
    ///
    /// # Errors
    /// When the address is taken ([`StoreError::is_taken`]) or the database fails.
    pub async fn create_user(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        new: &NewUser,
    ) -> Result<PlatformUser, StoreError> {
        let now = self.now();
        let user = PlatformUser {
            id: UserId(self.fresh_id()),
            organization_id: organization,
            given_name: Some(new.given_name.clone()),
            family_name: Some(new.family_name.clone()),
            names_derived: false,
            email: new.email.to_string(),
            email_key: new.email.key(),
            job_title: None,
            language: new.language.clone(),
            language_is_own_choice: false,
            status: UserStatus::Active,
            ever_active: true,
            deactivation_reason: None,
            deactivated_at: None,
            role: new.role,
            origin: RecordOrigin::Local,
            image_url: None,
            created_at: now,
            updated_at: now,
        };
        platform_user::Entity::insert(write_user(&user, None))
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("create a user"))?;
        Ok(user)
    }

    /// Returns a user of an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user(
        &self,
        organization: OrganizationId,
        id: UserId,
    ) -> Result<Option<PlatformUser>, StoreError> {
        Ok(users_by_id(self.db(), organization, &[id.0]).await?.pop())
    }

    /// Returns a user of an organization as a transaction sees it, before it is put into a team.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_in(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: UserId,
    ) -> Result<Option<PlatformUser>, StoreError> {
        Ok(users_by_id(tx, organization, &[id.0]).await?.pop())
    }

    /// Returns users of an organization by their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users_by_id(
        &self,
        organization: OrganizationId,
        ids: &[UserId],
    ) -> Result<Vec<PlatformUser>, StoreError> {
        let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
        users_by_id(self.db(), organization, &ids).await
    }

    /// Returns the links of users, for a data loader.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn links_by_user(
        &self,
        organization: OrganizationId,
        ids: &[UserId],
    ) -> Result<Vec<LinkRow>, StoreError> {
        let rows = user_link::Entity::in_organization(organization.0)
            .filter(user_link::Column::UserId.is_in(ids.iter().map(|id| id.0)))
            .all(self.db())
            .await
            .map_err(StoreError::of("read links"))?;
        rows.into_iter()
            .map(|row| {
                let (tenant_id, linked_at) = (row.tenant_id.clone(), row.linked_at);
                Ok(LinkRow {
                    link: read_link(row)?,
                    tenant_id,
                    linked_at,
                })
            })
            .collect()
    }

    /// Returns a page of users. Its places must be of the order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users(
        &self,
        organization: OrganizationId,
        filter: &UserFilter,
        request: &PageRequest<Place<UserId>>,
    ) -> Result<Page<PlatformUser>, StoreError> {
        use platform_user::Column;
        let search = filter.search.as_deref();
        let searched = Searched {
            organization: Column::OrganizationId,
            key: Column::SearchKey,
        };
        let ordered = Ordered {
            id: Column::Id,
            key: Column::SearchKey,
        };
        let rows = self.rows_of(organization, search, filter.order.by, &searched);
        let some = |rows| {
            let rows = platform_user::Entity::find().filter(rows);
            rows.filter(condition(filter))
        };
        let keys = filter.order.keys(ordered, rows.fit);
        self.page_by(some(rows.all), some(rows.walked), &keys, request)
            .await?
            .try_map(read_user)
    }

    /// Number of users with a link to an integration who are not deactivated.
    pub(crate) async fn count_linked_active(
        &self,
        integration: uuid::Uuid,
    ) -> Result<u64, StoreError> {
        platform_user::Entity::find()
            .filter(platform_user::Column::Id.in_subquery(linked_users(integration)))
            .filter(platform_user::Column::Status.ne(UserStatus::Deactivated.as_str()))
            .count(self.db())
            .await
            .map_err(StoreError::of("count linked users"))
    }

    /// Ids of the owners of an organization who are not deactivated.
    pub(crate) async fn active_owners(
        &self,
        organization: OrganizationId,
    ) -> Result<Vec<UserId>, StoreError> {
        let ids: Vec<uuid::Uuid> = platform_user::Entity::in_organization(organization.0)
            .select_only()
            .column(platform_user::Column::Id)
            .filter(platform_user::Column::Role.eq(Role::Owner.as_str()))
            .filter(platform_user::Column::Status.ne(UserStatus::Deactivated.as_str()))
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read the owners"))?;
        Ok(ids.into_iter().map(UserId).collect())
    }
}

/// A link with when and to which tenant it was made.
#[derive(Debug, Clone)]
pub struct LinkRow {
    /// The link.
    pub link: UserLink,
    /// Directory (tenant) ID.
    pub tenant_id: String,
    /// When it was made.
    pub linked_at: chrono::DateTime<chrono::Utc>,
}

/// By whom a user was deactivated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deactivation {
    /// The user.
    pub user_id: UserId,
    /// The person who did it, none when a run did.
    pub by: Option<Actor>,
    /// The run that did it, none when a person did.
    pub run_id: Option<RunId>,
}

impl Store {
    /// Returns by whom users were deactivated, for a data loader.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deactivations_of(
        &self,
        organization: OrganizationId,
        ids: &[UserId],
    ) -> Result<Vec<Deactivation>, StoreError> {
        let rows = platform_user::Entity::in_organization(organization.0)
            .filter(platform_user::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .filter(platform_user::Column::Status.eq(UserStatus::Deactivated.as_str()))
            .all(self.db())
            .await
            .map_err(StoreError::of("read who deactivated users"))?;
        rows.into_iter()
            .map(|row| {
                let by = from_optional_json("platform_user.deactivated_by", row.deactivated_by)?;
                Ok(Deactivation {
                    user_id: row.id.into(),
                    by,
                    run_id: row.deactivated_by_run.map(RunId),
                })
            })
            .collect()
    }

    /// Returns the links of accounts of the directory. The caller has looked the integration up in its organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn links_by_account(
        &self,
        integration: IntegrationId,
        accounts: &[ExternalId],
    ) -> Result<Vec<UserLink>, StoreError> {
        let rows = user_link::Entity::of_integration(integration.0)
            .filter(user_link::Column::ExternalId.is_in(accounts.iter().map(ExternalId::as_str)))
            .all(self.db());
        rows.await
            .map_err(StoreError::of("read links"))?
            .into_iter()
            .map(read_link)
            .collect()
    }
}

fn linked_users(integration: uuid::Uuid) -> sea_orm::sea_query::SelectStatement {
    sea_orm::sea_query::Query::select()
        .column(user_link::Column::UserId)
        .from(user_link::Entity)
        .and_where(user_link::Column::IntegrationId.eq(integration))
        .to_owned()
}

fn members_of(team: TeamId) -> sea_orm::sea_query::SelectStatement {
    sea_orm::sea_query::Query::select()
        .column(membership::Column::UserId)
        .from(membership::Entity)
        .and_where(membership::Column::TeamId.eq(team.0))
        .to_owned()
}

fn condition(filter: &UserFilter) -> Condition {
    use platform_user::Column;
    let mut all = Condition::all()
        .add_option(
            filter
                .statuses
                .as_ref()
                .map(|s| Column::Status.is_in(s.iter().map(|s| s.as_str()))),
        )
        .add_option(
            filter
                .roles
                .as_ref()
                .map(|r| Column::Role.is_in(r.iter().map(|r| r.as_str()))),
        )
        .add_option(
            filter
                .origins
                .as_ref()
                .map(|o| Column::Origin.is_in(o.iter().map(|o| o.as_str()))),
        );
    if let Some(team) = filter.team {
        all = all.add(Column::Id.in_subquery(members_of(team)));
    }
    all
}

pub(crate) async fn users_by_id(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    ids: &[uuid::Uuid],
) -> Result<Vec<PlatformUser>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(rows_per_statement(1)) {
        let rows = platform_user::Entity::in_organization(organization.0)
            .filter(crate::lookup::one_of(
                db,
                platform_user::Column::Id,
                chunk.iter().copied(),
            ))
            .all(db);
        for row in rows.await.map_err(StoreError::of("read users"))? {
            found.push(read_user(row)?);
        }
    }
    Ok(found)
}

pub(crate) fn read_user(row: platform_user::Model) -> Result<PlatformUser, StoreError> {
    Ok(PlatformUser {
        id: row.id.into(),
        organization_id: row.organization_id.into(),
        given_name: row.given_name,
        family_name: row.family_name,
        names_derived: row.names_derived,
        email: row.email,
        email_key: AddressKey::from_stored(row.email_key),
        job_title: row.job_title,
        language: row.language,
        language_is_own_choice: row.language_is_own_choice,
        status: parse("platform_user.status", &row.status)?,
        ever_active: row.ever_active,
        deactivation_reason: parse_optional(
            "platform_user.deactivation_reason",
            row.deactivation_reason.as_deref(),
        )?,
        deactivated_at: row.deactivated_at,
        role: parse("platform_user.role", &row.role)?,
        origin: parse("platform_user.origin", &row.origin)?,
        image_url: row.image_url,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

pub(crate) fn write_user(
    user: &PlatformUser,
    deactivated_by_run: Option<uuid::Uuid>,
) -> platform_user::ActiveModel {
    platform_user::ActiveModel {
        id: Set(user.id.0),
        organization_id: Set(user.organization_id.0),
        given_name: Set(user.given_name.clone()),
        family_name: Set(user.family_name.clone()),
        names_derived: Set(user.names_derived),
        email: Set(user.email.clone()),
        email_key: Set(user.email_key.as_str().to_owned()),
        job_title: Set(user.job_title.clone()),
        language: Set(user.language.clone()),
        language_is_own_choice: Set(user.language_is_own_choice),
        status: Set(user.status.as_str().into()),
        ever_active: Set(user.ever_active),
        deactivation_reason: Set(user
            .deactivation_reason
            .map(|reason| reason.as_str().into())),
        deactivated_at: Set(user.deactivated_at),
        deactivated_by: Set(None),
        deactivated_by_run: Set(deactivated_by_run),
        role: Set(user.role.as_str().into()),
        origin: Set(user.origin.as_str().into()),
        image_url: Set(user.image_url.clone()),
        created_at: Set(user.created_at),
        updated_at: Set(user.updated_at),
        search_key: Set(user.search_key()),
        // Only a sign-in writes it.
        last_seen_at: NotSet,
    }
}

pub(crate) fn read_link(row: user_link::Model) -> Result<UserLink, StoreError> {
    Ok(UserLink {
        integration_id: row.integration_id.into(),
        external_id: ExternalId(row.external_id),
        user_id: row.user_id.into(),
        matched_by: parse("user_link.matched_by", &row.matched_by)?,
    })
}
