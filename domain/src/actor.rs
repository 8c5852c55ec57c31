//! Who did something, as they were at that time.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text_enum::text_enum;

text_enum! {
    /// Kind of actor.
    pub enum ActorKind {
        /// A user of the organization.
        User = "USER",
        /// Staff of the platform.
        Staff = "STAFF",
        /// The service by itself, or its command line.
        Service = "SERVICE",
    }
}

/// Who did something: later changes of name, address or picture do not show here (E-076).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The kind of actor.
    pub kind: ActorKind,
    /// Identifier of the user or API key, none for staff and the service.
    pub id: Option<Uuid>,
    /// Name at that time.
    pub name: String,
    /// E-mail address at that time, none unless the actor was a person.
    pub email: Option<String>,
    /// Address of the picture at that time.
    pub image_url: Option<String>,
}

impl Actor {
    /// The service by itself.
    #[must_use]
    pub fn service() -> Self {
        Self {
            kind: ActorKind::Service,
            id: None,
            name: "Lockstep".to_owned(),
            email: None,
            image_url: None,
        }
    }
}
