//! Money in a world whose clock, order of events and accidents all follow from one number: the
//! service's own settler, planner and payer, two of each, over a store in memory and a rail that
//! can do anything that a rail can do.
//!
//! `SEEDS=1000000 cargo test --test suite simulation` tries more worlds, from `FIRST` on; `SEED=…`
//! tells one again, step by step.

mod chance;
mod check;
mod policy;
mod rail;
pub mod workers;
pub mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use self::{workers::Scene, world::World};

/// Worlds of one run of the tests.
const SEEDS: u64 = 10_000;
/// Things that go wrong in one world at most.
const ACCIDENTS_MAX: u32 = 60;

/// Lets a world run to its end: what was wrong in it and how it went, if anything was.
fn tried(seed: u64, accidents_max: u32) -> Result<(), Box<(String, World)>> {
    let scene = Scene::new(seed, accidents_max);
    let world = scene.world();
    let found = catch_unwind(AssertUnwindSafe(|| scene.play()))
        .unwrap_or_else(|_| Err("it panicked".into()));
    found.map_err(|wrong| Box::new((wrong, std::mem::take(&mut *world.lock().unwrap()))))
}

/// The fewest accidents with which a world still goes wrong, and how it goes then.
fn shortest(seed: u64) -> Box<(String, World)> {
    (0..=ACCIDENTS_MAX)
        .find_map(|accidents| tried(seed, accidents).err())
        .unwrap_or_else(|| panic!("seed {seed} went wrong once, and not again"))
}

fn tell(seed: u64, found: &(String, World)) -> String {
    let (wrong, world) = found;
    format!(
        "SEED={seed}: {wrong}\nafter {} accidents:\n{}",
        world.chance.accidents,
        world.trace.join("\n")
    )
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn money_is_neither_lost_nor_paid_twice_in_any_world() {
    if let Some(seed) = number("SEED") {
        if let Err(wrong) = tried(seed, ACCIDENTS_MAX) {
            panic!("{}", tell(seed, &wrong));
        }
        return;
    }
    let first = number("FIRST").unwrap_or(1);
    let (end, next, broken) =
        (first + number("SEEDS").unwrap_or(SEEDS), AtomicU64::new(first), AtomicU64::new(u64::MAX));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while broken.load(Ordering::Relaxed) == u64::MAX {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if tried(seed, ACCIDENTS_MAX).is_err() {
                        broken.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seed = broken.into_inner();
    assert!(seed == u64::MAX, "{}", tell(seed, &shortest(seed)));
}

#[test]
fn worlds_are_as_eventful_as_they_are_meant_to_be() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 1..=400 {
        let scene = Scene::new(seed, ACCIDENTS_MAX);
        assert_eq!(scene.play(), Ok(()), "seed {seed}");
        seen.extend(std::mem::take(&mut scene.world().lock().unwrap().seen));
    }
    // A rail or an order of events that never comes up would prove nothing.
    for what in [
        "confirmed",
        "failed",
        "cancelled",
        "manual",
        "sent again",
        "answer: not sent",
        "answer: rejected",
        "answer: refuses us",
        "answer: ambiguous",
        "effect: none",
        "effect: once",
        "effect: late",
        "killed while sending",
        "killed while writing",
        "lease moved",
        "wallet changed",
        "suspended",
        "failed, then paid",
        "transaction seen, then failed",
        "carried over",
        "taken back",
        "frozen",
        "nothing on its way",
        "run of a treasurer",
        "run approved",
        "run executed",
        "run taken back",
        "tried again",
        "too much in doubt",
        "corrected",
        "settled",
        "shared again",
        "killed while settling",
        "settled with less",
        "left",
        "unclaimed",
    ] {
        assert!(seen.contains(what), "never seen: {what}; seen: {seen:?}");
    }
}
