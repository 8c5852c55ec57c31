//! Address moves: who must give up an address before someone else takes it.
//!
//! An address belongs to one user, so every move waits for at most one other user, and the moves that hang
//! together form chains and rings. Each of them is applied in one transaction, the vacated address first.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{ChangeId, UserId};

/// A planned change that takes an address, or gives one up that another change waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressMove {
    /// The change.
    pub change: ChangeId,
    /// The user who moves, none for one who is yet to be created.
    pub user: Option<UserId>,
    /// The user who must give up the wanted address first.
    pub waits_for: Option<UserId>,
    /// Whether the change will be made, or has to wait for an owner.
    pub fate: Fate,
}

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It will be made.
    Goes,
    /// It waits for an owner.
    Held,
    /// It will not be made.
    Dropped,
}

/// The order of address moves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Changes that hang together, each group in the order in which it is applied.
    pub components: Vec<Vec<ChangeId>>,
    /// Changes that cannot be made because of another one, with its fate.
    pub blocked: Vec<(ChangeId, Fate)>,
}

/// Works out which moves hang together and which are kept from happening by another.
#[must_use]
pub fn order(moves: &[AddressMove]) -> Order {
    let by_user: BTreeMap<UserId, &AddressMove> =
        moves.iter().filter_map(|m| Some((m.user?, m))).collect();
    let fates: BTreeMap<ChangeId, Fate> = moves
        .iter()
        .map(|m| (m.change, fate_of(m, &by_user)))
        .collect();
    let blocked = moves
        .iter()
        .filter(|m| m.fate == Fate::Goes && fates[&m.change] != Fate::Goes);
    Order {
        blocked: blocked.map(|m| (m.change, fates[&m.change])).collect(),
        components: components(moves, &by_user, &fates),
    }
}

/// The worst fate along the chain of those a move waits for.
fn fate_of(start: &AddressMove, by_user: &BTreeMap<UserId, &AddressMove>) -> Fate {
    chain(start, by_user).fold(Fate::Goes, |worst, link| {
        worst.max(link.map_or(Fate::Dropped, |m| m.fate))
    })
}

/// Walks from a move to whom it waits for, and so on; an unknown one ends the walk as none, a ring where it began.
fn chain<'a>(
    start: &'a AddressMove,
    by_user: &'a BTreeMap<UserId, &'a AddressMove>,
) -> impl Iterator<Item = Option<&'a AddressMove>> {
    let mut seen = BTreeSet::new();
    std::iter::successors(Some(Some(start)), move |current| {
        let waits_for = (*current)?.waits_for?;
        Some(by_user.get(&waits_for).copied())
    })
    .take_while(move |link| link.is_none_or(|m| seen.insert(m.change)))
}

fn components(
    moves: &[AddressMove],
    by_user: &BTreeMap<UserId, &AddressMove>,
    fates: &BTreeMap<ChangeId, Fate>,
) -> Vec<Vec<ChangeId>> {
    let goes = |m: &&AddressMove| fates[&m.change] == Fate::Goes;
    let awaited: BTreeSet<UserId> = moves
        .iter()
        .filter(goes)
        .filter_map(|m| m.waits_for)
        .collect();
    let is_awaited = |m: &AddressMove| m.user.is_some_and(|user| awaited.contains(&user));
    let mut placed = BTreeSet::new();
    let mut found = Vec::new();
    // Chains begin at a move nobody waits for; what is left after them are rings.
    let (rings, chains): (Vec<_>, Vec<_>) = moves
        .iter()
        .filter(goes)
        .filter(|m| m.waits_for.is_some() || is_awaited(m))
        .partition(|m| is_awaited(m));
    for start in chains.into_iter().chain(rings) {
        let mut component: Vec<ChangeId> = chain(start, by_user)
            .flatten()
            .map(|m| m.change)
            .filter(|id| placed.insert(*id))
            .collect();
        component.reverse();
        if !component.is_empty() {
            found.push(component);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn change(n: u128) -> ChangeId {
        ChangeId(Uuid::from_u128(n))
    }

    fn step(n: u128, waits_for: Option<u128>) -> AddressMove {
        AddressMove {
            change: change(n),
            user: Some(user(n)),
            waits_for: waits_for.map(user),
            fate: Fate::Goes,
        }
    }

    #[test]
    fn nothing_waits_nothing_hangs_together() {
        assert_eq!(order(&[]), Order::default());
        assert_eq!(order(&[step(1, None)]), Order::default());
    }

    #[test]
    fn the_vacated_address_comes_first() {
        let order = order(&[step(1, Some(2)), step(2, Some(3)), step(3, None)]);
        assert_eq!(order.components, [[change(3), change(2), change(1)]]);
        assert_eq!(order.blocked, []);
    }

    #[test]
    fn e3_a_swap_is_one_component() {
        let order = order(&[step(1, Some(2)), step(2, Some(1)), step(7, None)]);
        assert_eq!(order.components.len(), 1);
        assert_eq!(
            order.components[0].iter().collect::<BTreeSet<_>>(),
            BTreeSet::from([&change(1), &change(2)])
        );
    }

    #[test]
    fn a_held_move_holds_everyone_who_waits_for_it_and_nobody_else() {
        let held = AddressMove {
            fate: Fate::Held,
            ..step(3, None)
        };
        let order = order(&[
            step(1, Some(2)),
            step(2, Some(3)),
            held,
            step(4, Some(5)),
            step(5, None),
        ]);
        assert_eq!(
            order.blocked,
            [(change(1), Fate::Held), (change(2), Fate::Held)]
        );
        assert_eq!(order.components, [[change(5), change(4)]]);
    }

    #[test]
    fn waiting_for_a_user_who_does_not_move_drops_the_move() {
        let order = order(&[step(1, Some(9))]);
        assert_eq!(order.blocked, [(change(1), Fate::Dropped)]);
        assert_eq!(order.components, Vec::<Vec<ChangeId>>::new());
    }
}
