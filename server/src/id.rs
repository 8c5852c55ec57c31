//! Global ids: opaque to clients, a type and a UUID to us.

use async_graphql::ID;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockstep_domain::{
    ChangeId, HoldId, IntegrationId, OrganizationId, RulesVersionId, RunId, SignInLinkId,
    SignInProposalId, TeamId, TestId, UserHoldId, UserId,
};
use uuid::Uuid;

/// An identifier of the domain that clients see.
pub(crate) trait GlobalId: Copy + From<Uuid> + Into<Uuid> {
    /// Name of the object's type in the schema.
    const TYPE: &'static str;

    /// Returns the id as clients see it.
    fn global(self) -> ID {
        let uuid: Uuid = self.into();
        ID(URL_SAFE_NO_PAD.encode(format!("{}:{}", Self::TYPE, uuid.simple())))
    }

    /// Reads an id that a client sent; none when it is malformed or one of another type, which is to be treated like
    /// an unknown one.
    fn local(id: &ID) -> Option<Self> {
        match parts(id)? {
            (kind, uuid) if kind == Self::TYPE => Some(uuid.into()),
            _ => None,
        }
    }
}

/// Takes an id apart: the name of the type, and the UUID.
pub(crate) fn parts(id: &ID) -> Option<(String, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(id.as_str()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (kind, uuid) = text.split_once(':')?;
    Some((kind.to_owned(), Uuid::parse_str(uuid).ok()?))
}

macro_rules! global_ids {
    ($($id:ident = $kind:literal),+ $(,)?) => {
        $(impl GlobalId for $id { const TYPE: &'static str = $kind; })+
    };
}

global_ids! {
    OrganizationId = "Organization",
    UserId = "User",
    UserHoldId = "UserHold",
    TeamId = "Team",
    IntegrationId = "Integration",
    TestId = "IntegrationTest",
    RulesVersionId = "SyncRulesVersion",
    RunId = "Run",
    ChangeId = "RunChange",
    HoldId = "Hold",
    SignInLinkId = "SignInLink",
    SignInProposalId = "SignInProposal",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_and_are_not_taken_for_another_type() {
        let run = RunId(Uuid::from_u128(7));
        assert_eq!(RunId::local(&run.global()), Some(run));
        assert_eq!(UserId::local(&run.global()), None);
    }

    #[test]
    fn malformed_ids_are_nobodys() {
        for text in ["", "x", "Run:1", "UnVuOjE", "🙂"] {
            assert_eq!(RunId::local(&ID::from(text)), None, "{text:?}");
        }
    }
}
