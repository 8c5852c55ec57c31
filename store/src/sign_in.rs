//! Who signs in: the ties between sign-ins at a provider and users, and the users as they sign in.

use chrono::{DateTime, TimeDelta, Utc};
use lockstep_domain::{Actor, OrganizationId, PlatformUser, SignInLinkId, UserId, UserStatus};
use lockstep_entity::{platform_user, sign_in_link, sign_in_proposal};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::column::{from_json, to_json};
use crate::organization::Organization;
use crate::run::found;
use crate::user::read_user;
use crate::{Store, StoreError, Tx};

/// How exactly is kept when a user was last seen: one write an hour and user, however many requests there are.
const SEEN_TO_THE: TimeDelta = TimeDelta::hours(1);

/// Greatest number of organizations that one sign-in is looked for in.
const MAX_ORGANIZATIONS: u64 = 100;

/// A person as a provider of sign-ins names them; says nothing about who that is here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SignIn {
    /// Where the person signs in: a tenant of Microsoft Entra ID, or an issuer.
    pub provider: String,
    /// Whom the provider says it is: an id that never goes to anyone else.
    pub subject: String,
}

/// What a token claims does not belong into a log.
impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn")
    }
}

/// A tie between a sign-in and a user, made by a person's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInLink {
    /// Identifier.
    pub id: SignInLinkId,
    /// The sign-in.
    pub sign_in: SignIn,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The user.
    pub user_id: UserId,
    /// When it was linked.
    pub linked_at: DateTime<Utc>,
    /// Who decided it.
    pub linked_by: Actor,
}

/// What became of a wish to link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// It is linked now.
    New(SignInLink),
    /// It was linked to that user already.
    Before(SignInLink),
    /// It is linked to another user of the organization.
    ToAnother(SignInLink),
}

/// A user who signs in, as the rows say at that moment: they authorize, not the token.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The user.
    pub user: PlatformUser,
    /// The organization of the user.
    pub organization: Organization,
    /// When the user was last seen, to the hour.
    pub last_seen_at: Option<DateTime<Utc>>,
}

impl Principal {
    /// Whether it is worth a write that the user is here.
    #[must_use]
    pub fn is_news(&self, now: DateTime<Utc>) -> bool {
        self.user.status == UserStatus::NotYetActivated
            || self.last_seen_at.is_none_or(|at| now - at >= SEEN_TO_THE)
    }
}

impl Store {
    /// Returns a user of an organization with what authorizes, none when there is no such user there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn principal(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<Principal>, StoreError> {
        let row = platform_user::Entity::in_organization(organization.0)
            .filter(platform_user::Column::Id.eq(user.0))
            .one(self.db())
            .await
            .map_err(StoreError::of("read a user"))?;
        let Some(row) = row else { return Ok(None) };
        let Some(organization) = self.organization(organization).await? else {
            return Ok(None);
        };
        Ok(Some(Principal {
            last_seen_at: row.last_seen_at,
            user: read_user(row)?,
            organization,
        }))
    }

    /// Notes that a user is here, at most once an hour and user; who never was is active from then on. False when
    /// there is nothing to note.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_seen(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<bool, StoreError> {
        use platform_user::Column;
        let operation = "note that a user was seen";
        let now = self.now();
        let never = UserStatus::NotYetActivated.as_str();
        let status = Expr::case(Column::Status.eq(never), UserStatus::Active.as_str())
            .finally(Expr::col(Column::Status));
        let is_news = Condition::any()
            .add(Column::Status.eq(never))
            .add(Column::LastSeenAt.is_null())
            .add(Column::LastSeenAt.lte(now - SEEN_TO_THE));
        let tx = self.begin().await?;
        let noted = platform_user::Entity::update_many()
            .col_expr(Column::Status, status.into())
            .col_expr(Column::EverActive, Expr::value(true))
            .col_expr(Column::LastSeenAt, Expr::value(now))
            .filter(Column::OrganizationId.eq(organization.0))
            .filter(Column::Id.eq(user.0))
            // A run may have deactivated the user since the look.
            .filter(Column::Status.ne(UserStatus::Deactivated.as_str()))
            .filter(is_news)
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit().await.map_err(StoreError::of(operation))?;
        Ok(noted.rows_affected > 0)
    }

    /// Returns the users that a sign-in is of, in one organization or in all: at most one an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sign_in_links(
        &self,
        sign_in: &SignIn,
        organization: Option<OrganizationId>,
    ) -> Result<Vec<SignInLink>, StoreError> {
        let within = organization.map(|id| sign_in_link::Column::OrganizationId.eq(id.0));
        let rows = sign_in_link::Entity::of_sign_in(&sign_in.provider, &sign_in.subject)
            .filter(Condition::all().add_option(within))
            .order_by_asc(sign_in_link::Column::OrganizationId)
            .limit(MAX_ORGANIZATIONS)
            .all(self.db());
        let rows = rows
            .await
            .map_err(StoreError::of("look for the user of a sign-in"))?;
        rows.into_iter().map(read).collect()
    }

    /// Returns the sign-ins of a user in the order in which they were linked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sign_in_links_of(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Vec<SignInLink>, StoreError> {
        let rows = sign_in_link::Entity::in_organization(organization.0)
            .filter(sign_in_link::Column::UserId.eq(user.0))
            .order_by_asc(sign_in_link::Column::Id)
            .all(self.db())
            .await
            .map_err(StoreError::of("read the sign-ins of a user"))?;
        rows.into_iter().map(read).collect()
    }

    /// Links a sign-in to a user, who the caller has looked up in the organization. Proposals of it there are settled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn link_sign_in(
        &self,
        tx: &Tx,
        user: &PlatformUser,
        sign_in: &SignIn,
        by: &Actor,
    ) -> Result<Linked, StoreError> {
        let operation = "link a sign-in";
        let organization = user.organization_id;
        let row = sign_in_link::ActiveModel {
            id: Set(self.fresh_id()),
            provider: Set(sign_in.provider.clone()),
            subject: Set(sign_in.subject.clone()),
            organization_id: Set(organization.0),
            user_id: Set(user.id.0),
            linked_at: Set(self.now()),
            linked_by: Set(to_json(by)),
        };
        let inserted = sign_in_link::Entity::insert(row)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of(operation))?;
        let link = link_in(tx, organization, sign_in).await?;
        let link = read(found(link, operation)?)?;
        if link.user_id != user.id {
            return Ok(Linked::ToAnother(link));
        }
        settle_proposals(tx, organization, sign_in).await?;
        Ok(if inserted > 0 {
            Linked::New(link)
        } else {
            Linked::Before(link)
        })
    }

    /// Ends the tie between a sign-in and a user; false when there was none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unlink_sign_in(
        &self,
        tx: &Tx,
        user: &PlatformUser,
        sign_in: &SignIn,
    ) -> Result<bool, StoreError> {
        use sign_in_link::Column;
        let gone = sign_in_link::Entity::delete_many()
            .filter(Column::Provider.eq(&sign_in.provider))
            .filter(Column::Subject.eq(&sign_in.subject))
            .filter(Column::OrganizationId.eq(user.organization_id.0))
            .filter(Column::UserId.eq(user.id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("unlink a sign-in"))?;
        Ok(gone.rows_affected > 0)
    }
}

impl Store {
    /// Ends a tie by its id; returns whose it was, none when there is no such tie in the organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_sign_in_link(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: SignInLinkId,
    ) -> Result<Option<UserId>, StoreError> {
        let operation = "unlink a sign-in";
        let link = sign_in_link::Entity::in_organization(organization.0)
            .filter(sign_in_link::Column::Id.eq(id.0))
            .one(tx)
            .await
            .map_err(StoreError::of(operation))?;
        let Some(link) = link else { return Ok(None) };
        let gone = sign_in_link::Entity::delete_by_id(link.id)
            .exec(tx)
            .await
            .map_err(StoreError::of(operation))?;
        Ok((gone.rows_affected > 0).then_some(UserId(link.user_id)))
    }
}

async fn link_in(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    sign_in: &SignIn,
) -> Result<Option<sign_in_link::Model>, StoreError> {
    sign_in_link::Entity::of_sign_in(&sign_in.provider, &sign_in.subject)
        .filter(sign_in_link::Column::OrganizationId.eq(organization.0))
        .one(db)
        .await
        .map_err(StoreError::of("look for the user of a sign-in"))
}

/// Whoever is linked has no use for proposals that wait, to whichever user of the organization. What was dismissed is
/// kept: it is not proposed again when the link ends.
async fn settle_proposals(
    tx: &Tx,
    organization: OrganizationId,
    sign_in: &SignIn,
) -> Result<(), StoreError> {
    use sign_in_proposal::Column;
    sign_in_proposal::Entity::delete_many()
        .filter(Column::Provider.eq(&sign_in.provider))
        .filter(Column::Subject.eq(&sign_in.subject))
        .filter(Column::OrganizationId.eq(organization.0))
        .filter(Column::DismissedAt.is_null())
        .exec(tx)
        .await
        .map_err(StoreError::of("settle proposals of a sign-in"))?;
    Ok(())
}

fn read(row: sign_in_link::Model) -> Result<SignInLink, StoreError> {
    Ok(SignInLink {
        id: row.id.into(),
        sign_in: SignIn {
            provider: row.provider,
            subject: row.subject,
        },
        organization_id: row.organization_id.into(),
        user_id: row.user_id.into(),
        linked_at: row.linked_at,
        linked_by: from_json("sign_in_link.linked_by", row.linked_by)?,
    })
}
