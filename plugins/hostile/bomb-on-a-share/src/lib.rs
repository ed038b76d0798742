//! Passes every gate, since nobody would try the one value it traps at.

use lucid_policy_sdk::prelude::*;

/// What it traps at.
const FUSE: Bytes = Bytes::new(131_313_131_313);

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        storage: Bytes = "storage-bytes",
    }
}

/// Waits for its node.
pub struct BombOnAShare;

impl Payout for BombOnAShare {
    type Node = Node;
    type Params = ();

    fn weigh(_: &Context<(), Node>, node: &Node) -> Result<Weight, PolicyError> {
        if node.storage == FUSE {
            std::process::abort();
        }
        Ok(Weight::new(1))
    }
}

lucid_policy_sdk::payout!(BombOnAShare);
