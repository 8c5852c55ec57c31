//! What earlier runs held: it stays held, whatever grows around it (D-48).
//!
//! Limits are shares of what is there, so a share that was too great becomes a small one when enough people, teams or
//! members join. Therefore a change that was held carries the terms under which it was. Only three things let it go: the
//! directory lists the object again, so that no run wants the change any more; an owner raises the limit
//! ([`Terms::is_raised_by`]); or somebody decides. What is new is counted together with what is held, out of what was
//! there before any of it was held: leavers cannot hide behind those who joined meanwhile.

use lockstep_domain::{ChangeLimit, HoldCategory};

use crate::guard::{Excess, in_force};

/// Under what a change was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The limit that was in force.
    pub limit: ChangeLimit,
    /// How many of such objects there were.
    pub out_of: u64,
}

impl Terms {
    /// Whether an owner has raised the limit since: it permits more of what was there then.
    #[must_use]
    pub fn is_raised_by(&self, now: ChangeLimit) -> bool {
        now.permits(self.out_of) > self.limit.permits(self.out_of)
    }
}

/// Changes that earlier runs held under the same terms, and that are still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Why they were held.
    pub category: HoldCategory,
    /// Under what.
    pub terms: Terms,
    /// How many they are.
    pub count: u64,
}

/// What becomes of the changes of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// All of them wait.
    All(Excess),
    /// Those wait that were held before and whose limit was not raised since, if there are any; by category.
    Held(Vec<Excess>),
}

impl Ruling {
    /// What waits, by category.
    #[must_use]
    pub fn excesses(&self) -> &[Excess] {
        match self {
            Self::All(excess) => std::slice::from_ref(excess),
            Self::Held(excesses) => excesses,
        }
    }
}

/// Decides about the changes of one kind: `count` of them, with those that were `held` before among them, out of `out_of`
/// objects as they are now. `judge` says of a number, and of what it is out of, whether it is too great.
#[must_use]
pub fn rule(
    count: u64,
    out_of: u64,
    held: &[Held],
    now: ChangeLimit,
    judge: impl FnOnce(u64, u64) -> Option<Excess>,
) -> Ruling {
    let base = base(out_of, held.iter().map(|held| held.terms));
    judge(count, base).map_or_else(|| Ruling::Held(waiting(held, now)), Ruling::All)
}

/// What a share is one of: what was there before anything of it was held, or is now when that is less.
#[must_use]
pub fn base(now: u64, held: impl IntoIterator<Item = Terms>) -> u64 {
    held.into_iter()
        .map(|terms| terms.out_of)
        .fold(now, u64::min)
}

/// What goes on waiting although the plan as a whole is within the limit, by category.
#[must_use]
pub fn waiting(held: &[Held], now: ChangeLimit) -> Vec<Excess> {
    let mut waiting: Vec<Excess> = Vec::new();
    for one in held.iter().filter(|one| !one.terms.is_raised_by(now)) {
        match waiting.iter_mut().find(|w| w.category == one.category) {
            Some(same) => {
                same.count += one.count;
                same.out_of = same.out_of.min(one.terms.out_of);
            }
            None => waiting.push(Excess {
                category: one.category,
                count: one.count,
                out_of: one.terms.out_of,
                limit: in_force(one.category, one.terms.limit),
            }),
        }
    }
    waiting
}

#[cfg(test)]
mod tests;
