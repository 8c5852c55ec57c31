//! Proposals: a verified address says that a sign-in may be of a user. That links nothing; an owner decides.

use chrono::{DateTime, Utc};
use lockstep_domain::{
    Actor, AddressKey, OrganizationId, PlatformUser, SignInProposalId, UserId, UserStatus,
};
use lockstep_entity::{platform_user, sign_in_proposal};
use sea_orm::sea_query::{Expr, OnConflict, SelectStatement};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _, QueryTrait as _,
};

use crate::column::to_json;
use crate::page::{Page, PageRequest};
use crate::sign_in::SignIn;
use crate::user::read_user;
use crate::{Store, StoreError, Tx};

/// Greatest number of users that one sign-in is proposed for.
const MAX_USERS: u64 = 20;
/// Greatest number of sign-ins that are proposed for one user, dismissed ones too: nobody can fill an owner's list.
const MAX_PROPOSALS: u64 = 10;

/// A sign-in that may be of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInProposal {
    /// Identifier.
    pub id: SignInProposalId,
    /// The sign-in.
    pub sign_in: SignIn,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The user who has the address.
    pub user_id: UserId,
    /// The address that the provider has verified, as addresses are compared.
    pub email: AddressKey,
    /// When the person first tried to sign in.
    pub proposed_at: DateTime<Utc>,
}

impl Store {
    /// Proposes a sign-in for every active user who has the address that its provider has verified, in one organization
    /// or in all. What was dismissed stays so; what waits for another address of the two is about this one from now on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn propose_sign_in(
        &self,
        sign_in: &SignIn,
        email: &str,
        organization: Option<OrganizationId>,
    ) -> Result<(), StoreError> {
        let email = AddressKey::of(email);
        for user in self.unproposed(sign_in, &email, organization).await? {
            if self.count_proposals(&user).await? < MAX_PROPOSALS {
                self.propose(sign_in, &email, &user).await?;
            }
        }
        Ok(())
    }

    /// Users who have an address and for whom a sign-in was not proposed yet, or only because of an address that both
    /// had before: the usual answer is nobody, with no write.
    async fn unproposed(
        &self,
        sign_in: &SignIn,
        email: &AddressKey,
        organization: Option<OrganizationId>,
    ) -> Result<Vec<PlatformUser>, StoreError> {
        use platform_user::Column;
        let is_decided = Condition::any()
            .add(sign_in_proposal::Column::DismissedAt.is_not_null())
            .add(sign_in_proposal::Column::Email.eq(email.as_str()));
        let proposed = sign_in_proposal::Entity::of_sign_in(&sign_in.provider, &sign_in.subject)
            .filter(is_decided)
            .select_only()
            .column(sign_in_proposal::Column::UserId)
            .into_query();
        let within = organization.map(|id| Column::OrganizationId.eq(id.0));
        let rows = platform_user::Entity::find()
            .filter(Column::EmailKey.eq(email.as_str()))
            .filter(Column::Status.ne(UserStatus::Deactivated.as_str()))
            .filter(Column::Id.not_in_subquery(proposed))
            .filter(Condition::all().add_option(within))
            .limit(MAX_USERS)
            .all(self.db())
            .await
            .map_err(StoreError::of("look for users of an address"))?;
        rows.into_iter().map(read_user).collect()
    }

    async fn count_proposals(&self, user: &PlatformUser) -> Result<u64, StoreError> {
        sign_in_proposal::Entity::in_organization(user.organization_id.0)
            .filter(sign_in_proposal::Column::UserId.eq(user.id.0))
            .count(self.db())
            .await
            .map_err(StoreError::of("count proposals"))
    }

    async fn propose(
        &self,
        sign_in: &SignIn,
        email: &AddressKey,
        user: &PlatformUser,
    ) -> Result<(), StoreError> {
        use sign_in_proposal::Column;
        let operation = "propose a sign-in";
        let row = sign_in_proposal::ActiveModel {
            id: Set(self.fresh_id()),
            provider: Set(sign_in.provider.clone()),
            subject: Set(sign_in.subject.clone()),
            organization_id: Set(user.organization_id.0),
            user_id: Set(user.id.0),
            email: Set(email.as_str().to_owned()),
            proposed_at: Set(self.now()),
            dismissed_at: Set(None),
            dismissed_by: Set(None),
        };
        let again = OnConflict::columns([Column::Provider, Column::Subject, Column::UserId])
            .update_column(Column::Email)
            .action_and_where(Column::DismissedAt.is_null())
            .to_owned();
        let tx = self.begin().await?;
        sign_in_proposal::Entity::insert(row)
            .on_conflict(again)
            .exec_without_returning(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit().await.map_err(StoreError::of(operation))
    }

    /// Returns a page of what waits for a decision, oldest first. What was proposed for a user who has another address by
    /// now is left out: the address may be somebody else's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sign_in_proposals(
        &self,
        organization: OrganizationId,
        request: &PageRequest<SignInProposalId>,
    ) -> Result<Page<SignInProposal>, StoreError> {
        use sign_in_proposal::Column;
        let waiting = sign_in_proposal::Entity::in_organization(organization.0)
            .filter(Column::DismissedAt.is_null())
            .filter(Expr::exists(user_with_the_address()));
        let page = self.page(waiting, Column::Id, false, request).await?;
        page.try_map(|row| Ok(read(row)))
    }

    /// Returns a proposal that waits for a decision.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sign_in_proposal(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        id: SignInProposalId,
    ) -> Result<Option<SignInProposal>, StoreError> {
        use sign_in_proposal::Column;
        let row = sign_in_proposal::Entity::in_organization(organization.0)
            .filter(Column::Id.eq(id.0))
            .filter(Column::DismissedAt.is_null())
            .one(tx)
            .await
            .map_err(StoreError::of("read a proposal"))?;
        Ok(row.map(read))
    }

    /// Takes a proposal away because it is decided; false when somebody else has decided it. One statement looks and
    /// takes, so of two decisions at once one holds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_sign_in_proposal(
        &self,
        tx: &Tx,
        proposal: &SignInProposal,
    ) -> Result<bool, StoreError> {
        use sign_in_proposal::Column;
        let taken = sign_in_proposal::Entity::delete_many()
            .filter(Column::OrganizationId.eq(proposal.organization_id.0))
            .filter(Column::Id.eq(proposal.id.0))
            .filter(Column::DismissedAt.is_null())
            .exec(tx)
            .await
            .map_err(StoreError::of("take a proposal"))?;
        Ok(taken.rows_affected > 0)
    }

    /// Dismisses a proposal for good; false when somebody else has decided it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dismiss_sign_in(
        &self,
        tx: &Tx,
        proposal: &SignInProposal,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        use sign_in_proposal::Column;
        let done = sign_in_proposal::Entity::update_many()
            .col_expr(Column::DismissedAt, Some(self.now()).into())
            .col_expr(Column::DismissedBy, Some(to_json(by)).into())
            .filter(Column::OrganizationId.eq(proposal.organization_id.0))
            .filter(Column::Id.eq(proposal.id.0))
            .filter(Column::DismissedAt.is_null())
            .exec(tx)
            .await
            .map_err(StoreError::of("dismiss a proposal"))?;
        Ok(done.rows_affected > 0)
    }
}

/// The user of a proposal, while that user has its address.
fn user_with_the_address() -> SelectStatement {
    use platform_user::Column;
    use sea_orm::ExprTrait as _;
    use sign_in_proposal::Column as Proposed;
    let proposed = |column: Proposed| Expr::col((sign_in_proposal::Entity, column));
    platform_user::Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Expr::col((platform_user::Entity, Column::Id)).eq(proposed(Proposed::UserId)))
        .filter(Expr::col((platform_user::Entity, Column::EmailKey)).eq(proposed(Proposed::Email)))
        .into_query()
}

fn read(row: sign_in_proposal::Model) -> SignInProposal {
    SignInProposal {
        id: row.id.into(),
        sign_in: SignIn {
            provider: row.provider,
            subject: row.subject,
        },
        organization_id: row.organization_id.into(),
        user_id: row.user_id.into(),
        email: AddressKey::of(&row.email),
        proposed_at: row.proposed_at,
    }
}
