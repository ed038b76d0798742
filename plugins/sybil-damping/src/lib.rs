//! Many nodes in one place are hardly worth more than a few: beyond a free number, each further node of a crowd adds
//! only a part.
//!
//! For a crowd of `n` nodes of which `f` are free, `multiplier = (f + (n − f) × tail) ÷ n`; of the four crowds a node
//! belongs to (owner, address, network, wallet) the one that dampens most decides.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node; each counts the node itself.
    pub struct Node {
        /// Live nodes of its owner.
        owner: Count = "nodes-same-owner",
        /// Live nodes at its address.
        ip: Count = "nodes-same-ip",
        /// Live nodes in its /24 or /64.
        subnet: Count = "nodes-same-subnet",
        /// Live nodes that are paid to its wallet.
        wallet: Count = "nodes-same-wallet",
    }
}

params! {
    /// What an operator may set.
    pub struct Settings {
        /// Nodes of one owner that count in full.
        owner_free: Count = "owner-free", default 20, in 1..=1_000_000;
        /// Nodes at one address that count in full.
        ip_free: Count = "ip-free", default 2, in 1..=1_000_000;
        /// Nodes in one network that count in full.
        subnet_free: Count = "subnet-free", default 8, in 1..=1_000_000;
        /// Nodes of one wallet that count in full.
        wallet_free: Count = "wallet-free", default 20, in 1..=1_000_000;
        /// What a node beyond them adds.
        tail: Ppm = "tail", default 250_000, in 0..=1_000_000;
    }
}

/// Dampens crowds.
pub struct SybilDamping;

impl Scoring for SybilDamping {
    type Node = Node;
    type Params = Settings;

    fn score(ctx: &Context<Settings, Node>, node: &Node) -> Result<Score, PolicyError> {
        let Settings { owner_free, ip_free, subnet_free, wallet_free, tail } = ctx.params;
        let crowds = [
            (damped(node.owner, owner_free, tail), "many nodes of one owner"),
            (damped(node.ip, ip_free, tail), "many nodes at one address"),
            (damped(node.subnet, subnet_free, tail), "many nodes in one network"),
            (damped(node.wallet, wallet_free, tail), "many nodes of one wallet"),
        ];
        // The first of those that dampen alike, so that the reason is always the same one.
        let (multiplier, reason) = crowds.into_iter().min_by_key(|(multiplier, _)| *multiplier).unwrap_or((Ppm::ONE, ""));
        let score = Score::new(multiplier);
        Ok(if multiplier < Ppm::ONE { score.because(reason) } else { score })
    }
}

/// What each node of a crowd counts.
fn damped(crowd: Count, free: Count, tail: Ppm) -> Ppm {
    if crowd <= free {
        return Ppm::ONE;
    }
    // In millionths of a node, so that nothing is lost to rounding before the division.
    let millionths = |count: Count| Ppm::new(count.get().saturating_mul(Ppm::ONE.get()));
    let beyond = millionths(crowd.saturating_sub(free)).mul_ppm_floor(tail);
    millionths(free).saturating_add(beyond).share_floor(millionths(crowd))
}

lucid_policy_sdk::scoring!(SybilDamping);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        assert!(golden::scoring::<SybilDamping>(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).unwrap() >= 4);
    }

    #[test]
    fn a_larger_crowd_is_worth_more_in_all_and_less_a_node() {
        let crowds: Vec<i64> = (1..=200).collect();
        let alone = vec![1; crowds.len()];
        let call = native::Call::new().column("nodes-same-ip", crowds.clone()).column("nodes-same-owner", alone.clone());
        let call = call.column("nodes-same-subnet", alone.clone()).column("nodes-same-wallet", alone);
        let each = call.score::<SybilDamping>().unwrap().multipliers;
        assert!(each.is_sorted_by(|a, b| a >= b));
        let all: Vec<i64> = each.iter().zip(&crowds).map(|(each, crowd)| i64::from(*each) * crowd).collect();
        assert!(all.windows(2).all(|two| two[0] < two[1]), "{all:?}");
    }
}
