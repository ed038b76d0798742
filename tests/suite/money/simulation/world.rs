//! Everything outside the service: time, the lease, and what the rail knows.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use ed25519_dalek::{Signer as _, SigningKey};
use lucid_model::{
    fleet::node::PublicKey,
    id::PayoutId,
    money::{
        MicroUsdt,
        payout::{Capabilities, Payout},
        tron::TronAddress,
    },
    time::TimeMs,
};
use lucid_ports::{Clock, Entropy, Signer};

use super::chance::Chance;

/// When worlds begin.
const START_MS: i64 = 1_800_000_000_000;

/// What was ordered at the rail by one request that arrived.
#[derive(Debug, Clone)]
pub struct Order {
    pub payout: PayoutId,
    pub amount: MicroUsdt,
    pub address: TronAddress,
    /// When it arrives, arrived.
    pub arrives_ms: i64,
    /// When its transaction can be seen.
    pub txid_ms: Option<i64>,
    /// When it is said to have failed.
    pub fails_ms: Option<i64>,
    /// When the money moves; later than `fails_ms` only where failures are not final, or a
    /// transaction was seen.
    pub pays_ms: Option<i64>,
    pub paid: bool,
}

/// Money that moved.
#[derive(Debug, Clone)]
pub struct Transfer {
    pub payout: PayoutId,
    pub amount: MicroUsdt,
    pub address: TronAddress,
    pub txid: String,
}

/// The world. All of it follows from its chance.
#[derive(Debug, Default)]
pub struct World {
    pub now_ms: i64,
    pub chance: Chance,
    pub trace: Vec<String>,
    /// Kinds of things that happened.
    pub seen: BTreeSet<&'static str>,
    /// The first rule that was broken while it ran.
    pub broken: Option<String>,
    pub can: Option<Capabilities>,
    pub orders: Vec<Order>,
    pub transfers: Vec<Transfer>,
    /// What was sent for which payout, each time.
    pub sent: Vec<(PayoutId, Vec<u8>)>,
    /// When a request left, or was to leave.
    pub attempts: Vec<(PayoutId, i64)>,
    /// Who pays, and the lease's number.
    pub payer: usize,
    pub fence: u64,
    /// Starts of periods that somebody began to share.
    pub shared: BTreeSet<i64>,
    /// Requests on their way, by worker.
    pub sending: [bool; 2],
    random: u64,
}

pub type SharedWorld = Arc<Mutex<World>>;

pub fn txid(order: usize) -> String {
    format!("tx{order}")
}

impl World {
    pub fn new(seed: u64, accidents_max: u32) -> Self {
        let mut chance = Chance::new(seed, accidents_max);
        let (dedupes_by_key, queries_by_key) =
            [(true, true), (true, true), (true, false), (false, true), (false, false)]
                [chance.below(5) as usize];
        let key_retention_ms = [86_400_000, 300_000][chance.below(2) as usize];
        let can = Capabilities {
            dedupes_by_key,
            queries_by_key,
            key_retention_ms,
            failed_is_final: chance.below(2) == 0,
        };
        let mut world =
            Self { now_ms: START_MS, chance, can: Some(can), fence: 1, ..Self::default() };
        world.note(format!("{can:?}"));
        world
    }

    pub fn note(&mut self, what: impl Into<String>) {
        let line = format!("{:>9} ms  {}", self.now_ms - START_MS, what.into());
        self.trace.push(line);
    }

    pub fn see(&mut self, what: &'static str) {
        self.seen.insert(what);
    }

    pub fn break_rule(&mut self, what: String) {
        self.note(format!("BROKEN: {what}"));
        self.broken.get_or_insert(what);
    }

    pub fn capabilities(&self) -> Capabilities {
        self.can.unwrap()
    }

    /// Lets time pass, and the rail do what it does by then.
    pub fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        let due: Vec<usize> = (0..self.orders.len())
            .filter(|place| {
                !self.orders[*place].paid
                    && self.orders[*place].pays_ms.is_some_and(|at| at <= self.now_ms)
            })
            .collect();
        for place in due {
            let order = &mut self.orders[place];
            order.paid = true;
            let failed_before =
                order.fails_ms.is_some_and(|at| order.pays_ms.is_some_and(|pays| at < pays));
            let Order { payout, amount, address, .. } = order.clone();
            self.transfers.push(Transfer { payout, amount, address, txid: txid(place) });
            self.note(format!("the rail pays {payout} ({})", txid(place)));
            if failed_before {
                self.see("failed, then paid");
            }
        }
    }

    /// A request arrives after so long; where it is one that is known, nothing happens.
    pub fn order(&mut self, payout: &Payout, after_ms: i64) {
        let (can, arrives_ms) = (self.capabilities(), self.now_ms + after_ms);
        let known = |order: &&Order| {
            order.payout == payout.id && arrives_ms < order.arrives_ms + can.key_retention_ms
        };
        if can.dedupes_by_key && self.orders.iter().any(|order| known(&order)) {
            return;
        }
        let order = self.fate(payout, arrives_ms, can.failed_is_final);
        self.orders.push(order);
    }

    /// What becomes of an order: most are paid soon.
    fn fate(&mut self, payout: &Payout, arrives_ms: i64, failed_is_final: bool) -> Order {
        let soon = arrives_ms + self.chance.ms(20_000);
        let mut order = Order {
            payout: payout.id,
            amount: payout.amount,
            address: payout.address,
            arrives_ms,
            txid_ms: Some(soon),
            fails_ms: None,
            pays_ms: Some(soon),
            paid: false,
        };
        if !self.chance.accident(4) {
            return order;
        }
        match self.chance.below(4) {
            // So late that nobody waits for it any more.
            0 => order.pays_ms = Some(arrives_ms + 3_600_000 + self.chance.ms(3_600_000)),
            1 => (order.fails_ms, order.pays_ms, order.txid_ms) = (Some(soon), None, None),
            2 => {
                let seen = soon + self.chance.ms(30_000);
                (order.fails_ms, order.pays_ms) =
                    (Some(seen), Some(seen + self.chance.ms(7_200_000)));
                self.see("transaction seen, then failed");
            }
            _ if failed_is_final => {
                (order.fails_ms, order.pays_ms, order.txid_ms) = (Some(soon), None, None)
            }
            _ => {
                (order.fails_ms, order.pays_ms, order.txid_ms) =
                    (Some(soon), Some(soon + self.chance.ms(7_200_000)), None)
            }
        }
        order
    }
}

/// The service's clock, chance and key.
pub struct Machine(pub SharedWorld);

impl Clock for Machine {
    fn now(&self) -> TimeMs {
        TimeMs(self.0.lock().unwrap().now_ms)
    }
    fn monotonic_ms(&self) -> i64 {
        self.0.lock().unwrap().now_ms
    }
}

impl Entropy for Machine {
    fn random_16(&self) -> [u8; 16] {
        let mut world = self.0.lock().unwrap();
        world.random += 1;
        // Where neither the version's nor the variant's bits of a UUID are: each one's is another.
        let mut bytes = [0; 16];
        bytes[2..10].copy_from_slice(&world.random.to_be_bytes());
        bytes
    }
}

impl Signer for Machine {
    fn public_key(&self) -> PublicKey {
        PublicKey(SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes())
    }
    fn sign(&self, statement: &[u8]) -> [u8; 64] {
        SigningKey::from_bytes(&[5; 32]).sign(statement).to_bytes()
    }
}
