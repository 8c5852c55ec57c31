//! Laws of holds, over thousands of made-up histories of one tenant. What is decided is decided by the guard alone.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::InboundLimits;
use proptest::prelude::*;

use super::*;
use crate::guard::{Tally, departures};

/// A tenant as plain as can be.
#[derive(Debug, Clone)]
struct World {
    limits: InboundLimits,
    listed: BTreeSet<u32>,
    active: BTreeSet<u32>,
    held: BTreeMap<u32, (HoldCategory, Terms)>,
}

impl World {
    fn of(people: u32, limit: ChangeLimit) -> Self {
        Self {
            limits: InboundLimits {
                user_deactivations: limit,
                ..InboundLimits::default()
            },
            listed: (0..people).collect(),
            active: (0..people).collect(),
            held: BTreeMap::new(),
        }
    }

    fn hire(&mut self, count: u32) {
        let next = self
            .active
            .iter()
            .chain(&self.listed)
            .max()
            .map_or(0, |last| last + 1);
        self.listed.extend(next..next + count);
    }

    fn leave(&mut self, which: impl IntoIterator<Item = u32>) {
        for person in which {
            self.listed.remove(&person);
        }
    }

    /// A run, as the store goes about it. Returns whom it deactivates.
    fn run(&mut self, is_preview: bool) -> BTreeSet<u32> {
        let now = self.limits.user_deactivations;
        let mut held = self.held.clone();
        held.retain(|person, _| !self.listed.contains(person));
        let gone: BTreeSet<u32> = self.active.difference(&self.listed).copied().collect();
        let tally = Tally {
            source_accounts: self.listed.len() as u64,
            linked_active_users: self.active.len() as u64,
        };
        let groups: Vec<Held> = held
            .values()
            .map(|(category, terms)| Held {
                category: *category,
                terms: *terms,
                count: 1,
            })
            .collect();
        let ruling = rule(
            gone.len() as u64,
            tally.linked_active_users,
            &groups,
            now,
            |count, out_of| departures(count, out_of, tally, &self.limits),
        );
        let no_limit = [HoldCategory::EmptySource, HoldCategory::AllUsersGone];
        if !matches!(&ruling, Ruling::All(excess) if no_limit.contains(&excess.category)) {
            held.retain(|_, (_, terms)| !terms.is_raised_by(now));
        }
        let leaves: BTreeSet<u32> = match &ruling {
            Ruling::All(excess) => {
                let terms = Terms {
                    limit: now,
                    out_of: excess.out_of,
                };
                for person in &gone {
                    held.entry(*person).or_insert((excess.category, terms));
                }
                BTreeSet::new()
            }
            Ruling::Held(_) => gone
                .into_iter()
                .filter(|person| !held.contains_key(person))
                .collect(),
        };
        if is_preview {
            return BTreeSet::new();
        }
        self.held = held;
        self.active = self.active.union(&self.listed).copied().collect();
        self.active.retain(|person| !leaves.contains(person));
        leaves
    }
}

fn a_limit() -> impl Strategy<Value = ChangeLimit> {
    let percent = proptest::option::of(0_u32..=100);
    let maximum = proptest::option::of(0_u32..40);
    (0_u32..12, percent, maximum).prop_map(|(allowance, percent, maximum)| ChangeLimit {
        allowance,
        percent,
        maximum,
    })
}

#[derive(Debug, Clone)]
enum Event {
    Hire(u32),
    Leave(u32),
    Return(u32),
    Limit(ChangeLimit),
    Run,
    Preview,
}

fn an_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1_u32..40).prop_map(Event::Hire),
        (0_u32..60).prop_map(Event::Leave),
        (0_u32..60).prop_map(Event::Return),
        a_limit().prop_map(Event::Limit),
        Just(Event::Run),
        Just(Event::Run),
        Just(Event::Preview),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn d48_no_sequence_of_growth_lets_a_held_change_through(
        people in 1_u32..60,
        limit in a_limit(),
        leavers in proptest::collection::btree_set(0_u32..60, 1..30),
        hires in proptest::collection::vec(0_u32..400, 1..8),
    ) {
        let mut world = World::of(people, limit);
        world.leave(leavers);
        world.run(false);
        let held: BTreeSet<u32> = world.held.keys().copied().collect();
        for count in hires {
            world.hire(count);
            let gone = world.run(false);
            prop_assert!(gone.is_disjoint(&held), "{gone:?} of {held:?} were let through");
        }
    }

    #[test]
    fn d48_what_is_held_goes_only_after_it_was_listed_again_or_the_limit_was_raised(
        people in 1_u32..60,
        limit in a_limit(),
        events in proptest::collection::vec(an_event(), 1..40),
    ) {
        let mut world = World::of(people, limit);
        // Whom a run held, and the limits that were in force since.
        let mut waits: BTreeMap<u32, ChangeLimit> = BTreeMap::new();
        for event in events {
            match event {
                Event::Hire(count) => world.hire(count),
                Event::Leave(person) => world.leave([person]),
                Event::Return(person) if world.active.contains(&person) => {
                    world.listed.insert(person);
                }
                Event::Return(_) => {}
                Event::Limit(limit) => world.limits.user_deactivations = limit,
                Event::Preview => {
                    let before = world.held.clone();
                    world.run(true);
                    prop_assert_eq!(&world.held, &before, "a preview ends and begins nothing");
                }
                Event::Run => {
                    let listed = world.listed.clone();
                    waits.retain(|person, _| !listed.contains(person));
                    let now = world.limits.user_deactivations;
                    for person in world.run(false) {
                        let Some(then) = waits.remove(&person) else { continue };
                        let is_raised = (0..500).any(|n| now.permits(n) > then.permits(n));
                        prop_assert!(is_raised, "{person} went under {now:?}, held under {then:?}");
                    }
                    for person in world.held.keys() {
                        waits.entry(*person).or_insert(now);
                    }
                    // What a raised limit holds anew is held under that one.
                    for (person, then) in &mut waits {
                        if let Some((_, terms)) = world.held.get(person) {
                            *then = terms.limit;
                        }
                    }
                }
            }
        }
    }
}

fn limit(allowance: u32, percent: u32) -> ChangeLimit {
    ChangeLimit {
        allowance,
        percent: Some(percent),
        maximum: Some(500),
    }
}

#[test]
fn d48_three_of_six_who_come_back_leave_three_who_wait() {
    let mut world = World::of(50, limit(5, 10));
    world.leave(0..6);
    assert!(world.run(false).is_empty());
    world.listed.extend(0..3);
    assert!(
        world.run(false).is_empty(),
        "three would be within the limit"
    );
    assert_eq!(world.held.keys().copied().collect::<Vec<_>>(), [3, 4, 5]);
    world.leave([7]);
    assert_eq!(
        world.run(false),
        BTreeSet::from([7]),
        "four are within the limit, and one of them is new"
    );
}

#[test]
fn d48_who_leaves_after_a_hold_is_counted_with_it_out_of_what_was_there_then() {
    let mut world = World::of(50, limit(5, 10));
    world.leave(0..6);
    world.run(false);
    world.hire(50);
    world.leave([7]);
    assert!(
        world.run(false).is_empty(),
        "seven of fifty, not of a hundred"
    );
    assert_eq!(world.held.len(), 7);
}

#[test]
fn d48_only_a_raised_limit_looks_at_what_is_held_again() {
    let mut world = World::of(50, limit(5, 10));
    world.leave(0..6);
    world.run(false);
    world.hire(100);
    for lowered in [limit(5, 10), limit(4, 10), limit(0, 5), limit(5, 11)] {
        world.limits.user_deactivations = lowered;
        assert!(
            world.run(false).is_empty(),
            "{lowered:?} permits no sixth of fifty"
        );
    }
    world.limits.user_deactivations = limit(5, 12);
    assert_eq!(world.run(false).len(), 6);
}

#[test]
fn d48_a_limit_that_is_raised_too_little_holds_anew_under_the_new_one() {
    let mut world = World::of(50, limit(5, 10));
    world.leave(0..8);
    world.run(false);
    world.limits.user_deactivations = limit(6, 10);
    assert!(world.run(false).is_empty());
    world.listed.extend(0..4);
    assert!(
        world.run(false).is_empty(),
        "four are within the limit, which was not raised since"
    );
    world.limits.user_deactivations = limit(7, 10);
    assert_eq!(world.run(false).len(), 4);
}

#[test]
fn d48_what_an_empty_directory_took_along_is_held_until_it_is_back() {
    let mut world = World::of(50, limit(5, 10));
    world.leave(0..50);
    world.run(false);
    world.listed.extend(2..50);
    assert!(world.run(false).is_empty());
    assert_eq!(
        world
            .held
            .values()
            .map(|(category, _)| *category)
            .collect::<Vec<_>>(),
        [HoldCategory::EmptySource; 2]
    );
}
