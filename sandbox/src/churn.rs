//! Changes at random, but the same ones for the same seed.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::directory::{Directory, Handle, Kind};
use crate::random::Random;
use crate::related::Relation;

/// How much to change at random.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Churn {
    /// Users whose job title changes.
    pub users: usize,
    /// Groups that lose one member and gain another.
    pub groups: usize,
    /// The same seed changes the same objects of the same tenant.
    pub seed: u64,
}

/// What a churn changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Churned {
    /// Ids of the users whose job title changed.
    pub users: Vec<String>,
    /// Ids of the groups whose members changed.
    pub groups: Vec<String>,
}

impl Directory {
    /// Changes users and groups at random.
    pub(crate) fn churn(&mut self, churn: &Churn) -> Churned {
        let mut random = Random::new(churn.seed);
        let users = some_of(&mut random, self.live_ids(&self.users), churn.users);
        for id in &users {
            let title = format!("Specialist {:08x}", random.next() >> 32);
            // The user is live and the property exists, so this cannot be refused.
            let _ = self.patch(Kind::User, id, json!({ "jobTitle": title }));
        }
        let all = self.live_ids(&self.users);
        let groups = some_of(&mut random, self.live_ids(&self.groups), churn.groups);
        for id in &groups {
            self.swap_member(&mut random, id, &all);
        }
        Churned { users, groups }
    }

    /// One member goes, another comes. Refusals are impossible: the group and the members are there.
    fn swap_member(&mut self, random: &mut Random, group: &str, users: &[String]) {
        let Some(handle) = self.live(Kind::Group, group) else {
            return;
        };
        let slots = self.entry(handle).slots(Relation::Members);
        let members: Vec<Handle> = slots.iter().flatten().copied().collect();
        let known: HashSet<&str> = members
            .iter()
            .map(|member| &*self.entry(*member).id)
            .collect();
        let free = (0..20)
            .map(|_| random.below(users.len()))
            .filter_map(|at| users.get(at));
        let joining = free
            .into_iter()
            .find(|id| !known.contains(id.as_str()))
            .cloned();
        let leaving =
            (!members.is_empty()).then(|| self.entry(*random.pick(&members)).id.to_string());
        if let Some(leaving) = leaving {
            let _ = self.unrelate(Relation::Members, group, &leaving);
        }
        if let Some(joining) = joining {
            let _ = self.relate(Relation::Members, group, &joining);
        }
    }
}

/// Some of the ids, each at most once.
fn some_of(random: &mut Random, mut ids: Vec<String>, count: usize) -> Vec<String> {
    let count = count.min(ids.len());
    for at in 0..count {
        let other = at + random.below(ids.len() - at);
        ids.swap(at, other);
    }
    ids.truncate(count);
    ids
}
