//! Features by themselves, each over the ports that it names and nothing else: a store in memory,
//! a clock that is set by hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops and says where")]

mod audit;
mod notifications;

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use lucid_audit::{Audit, AuditConfig};
use lucid_foundation::{Ids, ServiceClock};
use lucid_model::{fleet::node::PublicKey, id::FamilyId, time::TimeMs};
use lucid_ports::{Clock, Entropy, Signer};
use lucid_store_sqlite::{Memory, SqliteStore};
use uuid::Uuid;

/// Wall and steady clock in one.
pub struct SetClock(AtomicI64);

impl SetClock {
    pub fn pass_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> TimeMs {
        TimeMs(self.0.load(Ordering::Relaxed))
    }
    fn monotonic_ms(&self) -> i64 {
        self.now().0
    }
}

/// Counts, so that no two ids are the same.
#[derive(Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn random_16(&self) -> [u8; 16] {
        let next = u128::from(self.0.fetch_add(1, Ordering::Relaxed));
        (next << 64 | next).to_be_bytes()
    }
}

struct Key;

impl Signer for Key {
    fn public_key(&self) -> PublicKey {
        PublicKey([7; 32])
    }
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [7; 64]
    }
}

/// What features are built on here.
pub struct Ground {
    pub store: Arc<SqliteStore>,
    pub set: Arc<SetClock>,
    pub clock: Arc<ServiceClock>,
    pub ids: Ids,
    pub entropy: Arc<dyn Entropy>,
}

impl Ground {
    pub fn empty() -> Self {
        let store = Arc::new(Memory::new().unwrap().open().unwrap());
        let set = Arc::new(SetClock(AtomicI64::new(1_700_000_000_000)));
        let clock = Arc::new(ServiceClock::new(set.clone()));
        let entropy: Arc<dyn Entropy> = Arc::new(Counting::default());
        let ids = Ids { clock: clock.clone(), entropy: entropy.clone() };
        Self { store, set, clock, ids, entropy }
    }

    pub fn audit(&self) -> Arc<Audit> {
        let parts = lucid_audit::Parts {
            clock: self.clock.clone(),
            family: FamilyId(Uuid::from_u128(1)),
            ids: self.ids.clone(),
            log: self.store.clone(),
            requests: self.store.clone(),
            signer: Arc::new(Key),
        };
        Audit::new(parts, AuditConfig { request_lease_ms: 10_000, request_kept_ms: 60_000 })
    }
}
