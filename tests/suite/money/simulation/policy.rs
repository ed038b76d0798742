//! A payout policy that never says the same twice, so that of two who settle a period each would
//! share it otherwise.

use std::sync::Arc;

use async_trait::async_trait;
use lucid_model::{
    epochs::score::Ppm,
    id::Digest,
    policies::{
        Batch, CallContext, PolicyIdentity, PolicyKind, PolicyRef, Revision, Scope, Weights,
    },
};
use lucid_ports::{
    CallError, PayoutPolicy, PolicyRuntime, PolicySnapshot, ScoringPolicy, ValidationPolicy,
};

use super::world::SharedWorld;
use crate::support::runtime::Instead;

/// This policy in force for payouts, and nothing else.
struct Fickle {
    world: SharedWorld,
}

/// The engine, with this policy in force for payouts.
pub fn fickle(world: &SharedWorld, engine: Arc<dyn PolicyRuntime>) -> Arc<dyn PolicyRuntime> {
    let world = Arc::clone(world);
    let in_force = move |_: Arc<dyn PolicySnapshot>| {
        Arc::new(Fickle { world: Arc::clone(&world) }) as Arc<dyn PolicySnapshot>
    };
    Arc::new(Instead { engine, in_force })
}

struct Whim {
    world: SharedWorld,
    identity: PolicyIdentity,
}

#[async_trait]
impl PayoutPolicy for Whim {
    fn identity(&self) -> &PolicyIdentity {
        &self.identity
    }

    /// Each node about one share more than the one before it, and now and then a part held back.
    async fn weigh(&self, context: CallContext, batch: Batch) -> Result<Weights, CallError> {
        let mut world = self.world.lock().unwrap();
        if !world.shared.insert(context.epoch_start_s) {
            world.see("shared again");
        }
        let rows = u64::from(batch.count);
        let weights = (1..=rows).map(|place| place * 100 + world.chance.below(40)).collect();
        let held =
            (0..rows).map(|_| Ppm(if world.chance.below(5) == 0 { 100_000 } else { 0 })).collect();
        Ok(Weights { weights, held, ..Weights::default() })
    }
}

impl PolicySnapshot for Fickle {
    fn revision(&self) -> Revision {
        Revision(1)
    }
    fn scoring(&self, _: Scope, _: i64) -> Option<Arc<dyn ScoringPolicy>> {
        None
    }
    fn validation(&self, _: Scope, _: i64) -> Option<Arc<dyn ValidationPolicy>> {
        None
    }
    fn payout(&self, _: Scope, _: i64) -> Option<Arc<dyn PayoutPolicy>> {
        let policy = PolicyRef {
            name: "fickle".into(),
            version: "1.0.0".parse().unwrap(),
            digest: Digest::of(b"fickle"),
        };
        let identity = PolicyIdentity {
            kind: PolicyKind::Payout,
            policy,
            abi: String::new(),
            params: Vec::new(),
            facts: Vec::new(),
        };
        Some(Arc::new(Whim { world: Arc::clone(&self.world), identity }))
    }
}
