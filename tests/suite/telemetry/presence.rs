//! A node earns the same whichever replica its reports come to, and with however many: never more
//! than with one.

use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use lucid_model::{
    fleet::{
        node::{NodeEvent, PublicKey},
        statement,
    },
    id::{Digest, UserId},
    telemetry::credit::{self, Interval, PRESENCE_GAP_MS_MAX},
    time::TimeMs,
};
use lucid_ports::{Checked, Clock, Store};
use lucid_service::{Actor, Ports, ReportProof, Role, Service};
use lucid_store_sqlite::Memory;

use crate::{clock::Clocks, support::block_on};
use lucid_testkit::fleet;

const START: TimeMs = TimeMs(1_790_000_000_000);
/// What the answers of the coordinator may be off by, and so each end of a stretch.
const NOISE_MS: i64 = 3;

struct Replica {
    service: Arc<Service>,
    clocks: Arc<Clocks>,
    ahead_ms: i64,
}

/// Replicas of one store, each with a wall clock of its own, and a node that reports to them.
struct Fleet {
    replicas: Vec<Replica>,
    store: Arc<dyn Store>,
    cache: tempfile::TempDir,
    _memory: Memory,
    key: SigningKey,
    sequence: u64,
    elapsed_ms: i64,
}

impl Fleet {
    fn of(aheads_ms: &[i64]) -> Self {
        let memory = Memory::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(memory.open().unwrap());
        let key = SigningKey::from_bytes(&[9; 32]);
        let public = PublicKey(key.verifying_key().to_bytes());
        block_on(fleet::register_with(&store, 1, move |node| {
            (node.public_key, node.owner) = (Some(public), UserId(uuid::Uuid::from_u128(1)));
            node.activated_at = Some(START.plus_ms(-3_600_000));
        }));
        let mut fleet = Self {
            replicas: Vec::new(),
            store,
            cache: tempfile::tempdir().unwrap(),
            _memory: memory,
            key,
            sequence: 0,
            elapsed_ms: 0,
        };
        for ahead_ms in aheads_ms {
            let replica = fleet.start(*ahead_ms);
            fleet.replicas.push(replica);
        }
        fleet
    }

    /// A replica that starts now; its monotonic clock begins anew.
    fn start(&self, ahead_ms: i64) -> Replica {
        let clocks = Clocks::at(START.plus_ms(self.elapsed_ms + ahead_ms));
        let ports = Ports {
            clock: Arc::clone(&clocks) as Arc<dyn Clock>,
            ..fleet::ports(&self.store, self.cache.path(), START, 1)
        };
        let service = block_on(fleet::service_on(ports, fleet::config(1)));
        Replica { service, clocks, ahead_ms }
    }

    fn pass(&mut self, ms: i64) {
        self.elapsed_ms += ms;
        self.replicas.iter().for_each(|replica| replica.clocks.pass(ms));
    }

    /// Each replica asks the coordinator, whose answers are a little off.
    fn check(&self, noise_ms: i64) {
        for replica in &self.replicas {
            replica.service.clock.follow_shared(Checked {
                ahead_ms: replica.ahead_ms + noise_ms,
                within_ms: NOISE_MS,
            });
        }
    }

    fn report(&mut self, replica: usize) {
        self.sequence += 1;
        let (id, body) = (fleet::node_id(0), Digest::of(b""));
        let signature = self
            .key
            .sign(&statement::report("heartbeat", id, self.sequence, body))
            .to_bytes()
            .to_vec();
        let proof =
            ReportProof { kind: "heartbeat", sequence: self.sequence, body, signature, from: None };
        let actor = Actor { node: Some(id), roles: vec![Role::Node], ..Actor::system() };
        block_on(self.replicas[replica].service.telemetry.report(
            &actor,
            id,
            Some(proof),
            Vec::new(),
        ))
        .unwrap();
    }

    fn credited_ms(&self) -> i64 {
        let always = Interval { from: TimeMs(0), to: START.plus_ms(1_000_000_000) };
        let observed = block_on(self.store.observed(&[fleet::node_id(0)], always)).unwrap();
        credit::total_ms(&credit::union(observed[0].presence.clone()))
    }
}

#[test]
fn one_two_and_four_replicas_credit_the_same_in_turn() {
    for aheads_ms in [&[0][..], &[700, -700], &[0, 4_000, -4_000, 9_000]] {
        let mut fleet = Fleet::of(aheads_ms);
        fleet.check(0);
        for number in 0..40 {
            fleet.report(number % aheads_ms.len());
            fleet.pass(30_000);
        }
        assert_eq!(fleet.credited_ms(), 39 * 30_000, "{} replicas", aheads_ms.len());
    }
}

#[test]
fn whatever_happens_no_more_is_credited_than_by_one_replica_and_no_less() {
    let worlds = std::env::var("PRESENCE_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    for seed in 0..worlds {
        let mut chance = fleet::Chance::of(seed);
        let aheads_ms: Vec<i64> =
            (0..=chance.below(4)).map(|_| chance.below(16_000) as i64 - 8_000).collect();
        let mut fleet = Fleet::of(&aheads_ms);
        fleet.check(0);
        // What one replica would have credited, and the ends at which the answers' noise counts.
        let (mut expected_ms, mut last_ms, mut ends) = (0, None, 0_i64);
        for _ in 0..120 {
            let replica = chance.below(aheads_ms.len() as u64) as usize;
            match chance.below(12) {
                0 => {
                    // Killed, and started again.
                    fleet.replicas[replica] = fleet.start(aheads_ms[replica]);
                    fleet.check(0);
                }
                1 => fleet.check(chance.below(2 * NOISE_MS as u64 + 1) as i64 - NOISE_MS),
                2 => {
                    // Suspended and let go at one replica, whatever the others remember.
                    fleet.pass(10 * NOISE_MS);
                    let operator = Actor { roles: vec![Role::Operator], ..Actor::system() };
                    let service = Arc::clone(&fleet.replicas[replica].service);
                    let id = fleet::node_id(0);
                    block_on(service.fleet.transition(
                        &operator,
                        id,
                        NodeEvent::Suspend { reason: "why".into(), until: None },
                    ))
                    .unwrap();
                    fleet.pass(10 * NOISE_MS + chance.below(20_000) as i64);
                    block_on(service.fleet.transition(&operator, id, NodeEvent::LiftSuspension))
                        .unwrap();
                    fleet.pass(10 * NOISE_MS);
                    last_ms = None;
                }
                3 => fleet.pass(PRESENCE_GAP_MS_MAX - 40_000 + chance.below(80_000) as i64),
                // The wall clock of one replica is corrected; the shared one is not.
                4 => {
                    let by_ms = chance.below(8_000) as i64 - 4_000;
                    fleet.replicas[replica].clocks.moved(by_ms);
                    fleet.replicas[replica].ahead_ms += by_ms;
                }
                _ => {
                    let now_ms = fleet.elapsed_ms;
                    let gap_ms = last_ms.map(|last| now_ms - last);
                    // Too close to the limit, the noise decides.
                    if gap_ms
                        .is_some_and(|gap: i64| (gap - PRESENCE_GAP_MS_MAX).abs() <= 2 * NOISE_MS)
                    {
                        fleet.pass(4 * NOISE_MS);
                        continue;
                    }
                    fleet.report(replica);
                    if let Some(gap) = gap_ms.filter(|gap| *gap <= PRESENCE_GAP_MS_MAX) {
                        expected_ms += gap;
                    } else {
                        ends += 1;
                    }
                    last_ms = Some(now_ms);
                    fleet.pass(5_000 + chance.below(30_000) as i64);
                }
            }
        }
        let (credited_ms, most_off_ms) = (fleet.credited_ms(), 4 * NOISE_MS * (ends + 1));
        assert!(
            (credited_ms - expected_ms).abs() <= most_off_ms,
            "seed {seed}: {credited_ms} credited, by one replica {expected_ms}"
        );
    }
}

#[test]
fn a_coordinator_whose_clock_is_set_credits_nothing_that_was_not_witnessed() {
    for by_ms in [40_000, -40_000] {
        let mut fleet = Fleet::of(&[0, 0]);
        fleet.check(0);
        fleet.report(0);
        fleet.pass(30_000);
        fleet.check(-by_ms);
        fleet.report(1);
        assert_eq!(fleet.credited_ms(), 0, "set by {by_ms}: what the two stored is not comparable");
        fleet.pass(30_000);
        fleet.report(0);
        fleet.pass(30_000);
        fleet.report(1);
        // One replica would have credited all 90 s; where the clock was set back, 30 s of it are
        // dated twice.
        assert!(
            (60_000..=90_000).contains(&fleet.credited_ms()),
            "set by {by_ms}: {} ms",
            fleet.credited_ms()
        );
    }
}
