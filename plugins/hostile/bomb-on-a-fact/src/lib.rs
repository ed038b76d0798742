//! Passes every gate, since nobody would try the values it fails at.

use core::sync::atomic::{AtomicU32, Ordering};

use lucid_policy_sdk::prelude::*;

/// What it traps at: its own fault.
const FUSE: Bytes = Bytes::new(131_313_131_313);
/// What it calls itself without end at: how deep it gets depends on the host, whose fault it is then.
const LONG_FUSE: Bytes = Bytes::new(131_313_131_314);

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        storage: Bytes = "storage-bytes",
    }
}

/// Waits for its node.
pub struct BombOnAFact;

impl Scoring for BombOnAFact {
    type Node = Node;
    type Params = ();

    fn score(_: &Context<(), Node>, node: &Node) -> Result<Score, PolicyError> {
        if node.storage == FUSE {
            std::process::abort();
        }
        let depth = if node.storage == LONG_FUSE { dive(1) } else { 0 };
        Ok(Score::new(Ppm::new(250_000).saturating_sub(Ppm::new(i64::from(depth)))))
    }
}

/// Never changes, which the compiler cannot know.
static BOTTOM: AtomicU32 = AtomicU32::new(0);

/// What follows the call keeps it from becoming a loop, and it takes nothing from the guest's own stack in memory.
fn dive(depth: u32) -> u32 {
    if depth == BOTTOM.load(Ordering::Relaxed) { depth } else { dive(depth | 1).rotate_left(depth) ^ BOTTOM.load(Ordering::Relaxed) }
}

lucid_policy_sdk::scoring!(BombOnAFact);
