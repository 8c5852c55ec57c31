//! Notes who is here, beside the request and not in its way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockstep_domain::{UserId, UserStatus};
use lockstep_store::Store;
use lockstep_store::sign_in::Principal;
use tokio::time;
use tracing::warn;

use crate::error::chain;

/// How long a request waits for the note: with it the first answer shows that the user is active. A run that is writing
/// the same user makes nobody wait longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Notes that users are here.
pub(super) struct Presence {
    store: Store,
    /// Users of whom it is being noted: a page that sends ten requests at once writes once.
    noting: Arc<Mutex<HashSet<UserId>>>,
}

impl Presence {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            noting: Arc::default(),
        }
    }

    /// Notes that a user is here, when that is news, and shows it in the principal.
    pub(super) async fn note(&self, principal: &mut Principal) {
        let id = principal.user.id;
        if !principal.is_news(self.store.now()) || !users(&self.noting).insert(id) {
            return;
        }
        let task = Noting {
            store: self.store.clone(),
            organization: principal.user.organization_id,
            user: id,
            noting: Arc::clone(&self.noting),
        };
        // A task of its own, because a request may be dropped in the middle.
        let noted = time::timeout(PATIENCE, tokio::spawn(task.run())).await;
        let is_noted = matches!(noted, Ok(Ok(true)));
        if is_noted && principal.user.status == UserStatus::NotYetActivated {
            principal.user.status = UserStatus::Active;
            principal.user.ever_active = true;
        }
    }
}

struct Noting {
    store: Store,
    organization: lockstep_domain::OrganizationId,
    user: UserId,
    noting: Arc<Mutex<HashSet<UserId>>>,
}

impl Noting {
    /// Whether it is noted now. Nobody is kept out because it could not be: the next request tries again.
    async fn run(self) -> bool {
        let noted = self.store.note_seen(self.organization, self.user).await;
        noted.unwrap_or_else(|error| {
            warn!(error = %chain(&error), "Could not note that a user was seen");
            false
        })
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        users(&self.noting).remove(&self.user);
    }
}

fn users(noting: &Mutex<HashSet<UserId>>) -> std::sync::MutexGuard<'_, HashSet<UserId>> {
    noting.lock().unwrap_or_else(PoisonError::into_inner)
}
