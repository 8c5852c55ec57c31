//! Entry points for changing things. A mutation reads like: authorize, validate, write, wake, answer.

mod activation;
mod credential;
mod desk;
mod entitlement;
mod integration;
mod member;
mod optional;
mod rules;
mod run;
mod sign_in;
mod team;
mod team_rules;
mod test;
mod text;
mod together;
mod user_error;

use async_graphql::MergedObject;

pub(crate) use self::user_error::UserError;

/// Entry points for changing things.
///
/// Every input takes an `idempotencyKey`: the same key with the same input within 24 hours returns the first outcome
/// again instead of acting twice, and the same key with another input is refused with IDEMPOTENCY_KEY_REUSED. A
/// refused request has done nothing and is not remembered.
#[derive(MergedObject, Default)]
pub struct Mutation(
    integration::IntegrationMutations,
    credential::CredentialMutations,
    rules::RulesMutations,
    test::TestMutations,
    activation::ActivationMutations,
    run::RunMutations,
    entitlement::EntitlementMutations,
    team::TeamMutations,
    member::MemberMutations,
    sign_in::SignInMutations,
);
