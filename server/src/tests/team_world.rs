//! Teams for the small world: made by hand, and made to look as if a run had made them.

use async_graphql::ID;
use lockstep_domain::{Address, IntegrationId, Role, TeamId, UserId};
use lockstep_store::user::NewUser;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{Who, World};
use crate::id::GlobalId as _;

/// Reads a global id out of an answer.
pub(crate) fn id_in(value: &Value) -> ID {
    ID::from(value.as_str().unwrap())
}

/// A user account that the directory could have.
pub(crate) fn account(n: u128) -> Uuid {
    Uuid::from_u128(0xacc0 << 64 | n)
}

impl World {
    /// Creates one more member of the first organization.
    pub(crate) async fn person(&self, n: usize) -> UserId {
        let new = NewUser {
            given_name: format!("Person {n}"),
            family_name: "Doe".to_owned(),
            email: Address::parse(&format!("person.{n}@example.com")).unwrap(),
            role: Role::Member,
            language: "en".to_owned(),
        };
        let tx = self.store.begin().await.unwrap();
        let user = self
            .store
            .create_user(&tx, self.organization, &new)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        user.id
    }

    /// Creates a team, as Ada.
    pub(crate) async fn team(&self, name: &str) -> TeamId {
        let payload = self
            .mutate(
                Who::Ada,
                "createTeam",
                "team { id }",
                json!({ "name": name }),
            )
            .await;
        assert_eq!(payload["userErrors"], json!([]));
        TeamId::local(&id_in(&payload["team"]["id"])).unwrap()
    }

    /// Adds a user to a team, as Ada.
    pub(crate) async fn add(&self, team: TeamId, user: UserId, role: &str) {
        let input = json!({ "teamId": team.global(), "userId": user.global(), "role": role });
        let payload = self.mutate(Who::Ada, "addTeamMember", "", input).await;
        assert_eq!(payload["userErrors"], json!([]));
    }

    /// Makes a team and its members look as if a run had made them of a group of the directory, which has the id of the
    /// team here.
    pub(crate) async fn synchronize(&self, team: TeamId, integration: IntegrationId) {
        self.sql(&format!(
            "UPDATE team SET integration_id = {}, source = 'GROUP', external_id = '{}', source_name = name, \
             name_is_local = 0, origin = 'ENTRA_ID' WHERE id = {}",
            hex(integration.0),
            team.0,
            hex(team.0),
        ))
        .await;
        self.sql(&format!(
            "UPDATE membership SET origin = 'GROUP', added_by = NULL WHERE team_id = {}",
            hex(team.0)
        ))
        .await;
    }

    /// Links a user to an account of the directory, with a manager.
    pub(crate) async fn link(
        &self,
        integration: IntegrationId,
        user: UserId,
        own: Uuid,
        manager: Uuid,
    ) {
        let integration = hex(integration.0);
        self.sql(&format!(
            "INSERT INTO directory_user (integration_id, external_id, account_enabled, user_type, manager_id, presence) \
             VALUES ({integration}, '{own}', 1, 'MEMBER', '{manager}', 'PRESENT')"
        ))
        .await;
        self.sql(&format!(
            "INSERT INTO user_link (integration_id, external_id, user_id, organization_id, tenant_id, matched_by, \
             linked_at) VALUES ({integration}, '{own}', {}, {}, 't', 'EMAIL', '2026-03-02T10:00:00Z')",
            hex(user.0),
            hex(self.organization.0),
        ))
        .await;
    }

    /// Archives a team, as a run does when its group was deleted.
    pub(crate) async fn archive(&self, team: TeamId) {
        self.sql(&format!(
            "UPDATE team SET status = 'ARCHIVED', archival_reason = 'SOURCE_DELETED', \
             archived_at = '2026-03-02T10:00:00Z' WHERE id = {}",
            hex(team.0)
        ))
        .await;
    }

    /// Deactivates a user, for which there is no mutation yet.
    pub(crate) async fn deactivate(&self, user: UserId) {
        self.sql(&format!(
            "UPDATE platform_user SET status = 'DEACTIVATED', deactivation_reason = 'MANUAL' WHERE id = {}",
            hex(user.0)
        ))
        .await;
    }

    /// Changes one row directly, for what only a run does.
    pub(crate) async fn sql(&self, statement: &str) {
        let tx = self.store.begin().await.unwrap();
        tx.execute_unprepared(statement).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Writes an id as SQLite keeps it.
pub(crate) fn hex(id: Uuid) -> String {
    format!("X'{}'", id.simple())
}
