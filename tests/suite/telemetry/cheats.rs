//! Ways to be credited for more than was observed, and what comes of each: an epoch of an hour on a
//! clock of the test's own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ed25519_dalek::Signer as _;
use lucid_engine::{EngineConfig, PolicyEngine, read_bundle};
use lucid_model::{
    epochs::{
        epoch::{Period, PeriodLength},
        score::Ppm,
    },
    fleet::{
        node::{Node, NodeCaps, PublicKey, Wallet},
        statement,
    },
    id::{Digest, FamilyId, NodeId, SessionId, UserId},
    policies::{ParamValues, Scope},
    telemetry::{
        commands::{NewSample, NewSession},
        credit::Interval,
        metric::Usage,
    },
    time::TimeMs,
};
use lucid_ports::{Registration, Store};
use lucid_service::{
    ActivationRequest, Actor, ReportProof, Reported, Role, Service, ServiceConfig, ServiceError,
    Start,
};
use lucid_store_sqlite::Memory;
use uuid::Uuid;

use crate::{
    money::simulation::{
        workers::ports,
        world::{SharedWorld, World},
    },
    support::{
        block_on, money,
        node::{WALLET, key},
        root,
    },
};

const REPORT_MS: i64 = 30_000;
const HOUR_S: u32 = 3_600;

/// Nodes of the test's own, in an hour of its own.
pub struct Scene {
    world: SharedWorld,
    pub store: Arc<dyn Store>,
    pub service: Arc<Service>,
    /// The first epoch.
    pub epoch: Period,
    sequences: Mutex<BTreeMap<u8, u64>>,
    _cache: tempfile::TempDir,
}

pub fn id(number: u8) -> NodeId {
    NodeId(Uuid::from_u128(0x0192_f0c1_2b3c_7d4e_8f90_0000_0000_0000 + u128::from(number)))
}

pub fn session(number: u64) -> SessionId {
    SessionId(Uuid::from_u128(u128::from(number) + 1))
}

impl Scene {
    /// Two nodes that have been active since before the epoch that begins now.
    fn new() -> Self {
        Self::with(&["observation-only", "hardware-and-identity"], money::config())
    }

    /// The same with other policies active.
    pub fn with(policies: &[&str], config: ServiceConfig) -> Self {
        let world: SharedWorld = Arc::new(Mutex::new(World::new(0, 0)));
        let store: Arc<dyn Store> = Arc::new(Memory::new().unwrap().open().unwrap());
        // One of the scene's own: what is active is the engine's.
        let cache = tempfile::tempdir().unwrap();
        let engine =
            PolicyEngine::new(EngineConfig { guest_threads: 1, ..EngineConfig::new(cache.path()) })
                .unwrap();
        let service = Service::new(
            ports(&world, Arc::clone(&store), engine),
            config,
            FamilyId(Uuid::from_u128(7)),
        );
        for policy in policies {
            let bundle = read_bundle(&root().join(format!("policies/{policy}/1.0.0"))).unwrap();
            let staged =
                block_on(service.policies.stage(&Actor::system(), bundle, "test")).unwrap();
            let digest = staged.version.unwrap().policy.digest;
            let request = ActivationRequest {
                scope: Scope::Default,
                digest,
                params: ParamValues::new(),
                start: Start::Now,
                reason: "test".into(),
            };
            block_on(service.policies.activate(&Actor::system(), request)).unwrap();
        }
        // The next full hour.
        let hour = PeriodLength::new(HOUR_S).unwrap();
        let epoch = hour.period_at(service.clock.now()).next();
        let wallet =
            Wallet { address: WALLET.parse().unwrap(), version: 1, since: service.clock.now() };
        for number in [1, 2] {
            let node = Node {
                public_key: Some(PublicKey(key(number).verifying_key().to_bytes())),
                activated_at: Some(service.clock.now()),
                ..money::node(id(number), UserId(Uuid::from_u128(1)), wallet, service.clock.now())
            };
            let registration = Registration {
                node,
                caps: NodeCaps::default(),
                enrolment: None,
                audit: money::audit("node.register"),
                assign_audit: None,
            };
            block_on(store.register_node(registration)).unwrap();
        }
        let scene =
            Self { world, store, service, epoch, sequences: Mutex::default(), _cache: cache };
        scene.pass(epoch.start().ms_since(scene.service.clock.now()));
        scene
    }

    pub fn pass(&self, ms: i64) {
        self.world.lock().unwrap().pass(ms);
    }

    fn actor(number: u8) -> Actor {
        let key = PublicKey(key(number).verifying_key().to_bytes());
        Actor {
            roles: vec![Role::Node],
            node: Some(id(number)),
            node_key: Some(key),
            ..Actor::system()
        }
    }

    fn proof(number: u8, kind: &'static str, sequence: u64) -> ReportProof {
        let body = Digest::of(&sequence.to_be_bytes());
        let signature = key(number)
            .sign(&statement::report(kind, id(number), sequence, body))
            .to_bytes()
            .to_vec();
        ReportProof { kind, sequence, body, signature, from: None }
    }

    fn next(&self, number: u8) -> u64 {
        let mut sequences = self.sequences.lock().unwrap();
        let next = sequences.entry(number).or_default();
        *next += 1;
        *next
    }

    fn report_as(
        &self,
        number: u8,
        sequence: u64,
        samples: Vec<NewSample>,
    ) -> Result<Reported, Box<ServiceError>> {
        let proof = Self::proof(number, "metrics", sequence);
        block_on(self.service.telemetry.report(
            &Self::actor(number),
            id(number),
            Some(proof),
            samples,
        ))
        .map_err(Box::new)
    }

    pub fn report(&self, number: u8) {
        let sequence = self.next(number);
        self.report_as(number, sequence, Vec::new()).unwrap();
    }

    /// Reports as it should, from now on for so long.
    pub fn work(&self, number: u8, ms: i64) {
        self.report(number);
        for _ in 0..ms / REPORT_MS {
            self.pass(REPORT_MS);
            self.report(number);
        }
    }

    pub fn observe(&self, number: u8, session: SessionId, span: Interval) -> Reported {
        let proof = Self::proof(number, "observations", self.next(number));
        let new = NewSession { session, span, quality: Ppm(900_000), usage: None };
        block_on(self.service.telemetry.observe(
            &Self::actor(number),
            id(number),
            Some(proof),
            vec![new],
        ))
        .unwrap()
    }

    pub fn since_start(&self, from_ms: i64, to_ms: i64) -> Interval {
        Interval {
            from: self.epoch.start().plus_ms(from_ms),
            to: self.epoch.start().plus_ms(to_ms),
        }
    }

    /// Credited seconds of the two nodes.
    fn credited(&self) -> [u32; 2] {
        let rest = self.epoch.end().ms_since(self.service.clock.now()).max(0);
        self.pass(rest + 1);
        while block_on(self.service.epochs.close_due_epoch()).unwrap().is_some() {}
        let chunks = block_on(self.store.scored(self.epoch.start_s)).unwrap();
        let of = |number| {
            chunks
                .iter()
                .flat_map(|chunk| &chunk.rows)
                .find(|row| row.node == id(number))
                .unwrap()
                .observed_s
        };
        [of(1), of(2)]
    }
}

#[test]
fn who_observes_and_is_there_is_credited_for_it() {
    let scene = Scene::new();
    scene.work(1, 600_000);
    let observed = scene.observe(1, session(1), scene.since_start(0, 600_000));
    assert_eq!(observed.accepted, 1, "{observed:?}");
    assert_eq!(scene.credited(), [600, 0]);
}

#[test]
fn a_replayed_report_witnesses_nothing() {
    let scene = Scene::new();
    scene.work(1, 60_000);
    let last = *scene.sequences.lock().unwrap().get(&1).unwrap();
    // Whoever heard it sends it again, as often as the node should report, and older ones too.
    for _ in 0..20 {
        scene.pass(REPORT_MS);
        assert!(scene.report_as(1, last, Vec::new()).unwrap().repeated);
        let older = scene.report_as(1, 1, Vec::new());
        assert!(
            older.as_ref().is_ok_and(|older| older.repeated)
                || older.is_err_and(|error| matches!(*error, ServiceError::SequenceTaken { .. }))
        );
    }
    // The node is back, and says that it observed all the time.
    assert_eq!(scene.observe(1, session(1), scene.since_start(0, 660_000)).accepted, 1);
    assert_eq!(scene.credited(), [60, 0]);
}

#[test]
fn a_stretched_session_is_credited_only_where_the_node_was_there() {
    let scene = Scene::new();
    scene.pass(600_000);
    scene.work(1, 300_000);
    // It says that it observed for a quarter of an hour; it was there for the last five minutes of
    // it.
    scene.observe(1, session(1), scene.since_start(0, 900_000));
    assert_eq!(scene.credited(), [300, 0]);
}

#[test]
fn a_session_is_one_nodes_and_overlaps_count_once() {
    let scene = Scene::new();
    for _ in 0..20 {
        scene.report(1);
        scene.report(2);
        scene.pass(REPORT_MS);
    }
    scene.report(1);
    scene.report(2);
    let span = scene.since_start(0, 600_000);
    assert_eq!(scene.observe(1, session(1), span).accepted, 1);
    assert_eq!(scene.observe(2, session(1), span).accepted, 0, "it is the first one's");
    // The same time by another session: of the first node nothing more.
    scene.observe(1, session(2), span);
    assert_eq!(scene.credited(), [600, 0]);
}

#[test]
fn a_clock_that_is_ahead_earns_nothing_ahead() {
    let scene = Scene::new();
    scene.work(1, 300_000);
    // By its own clock it is half an hour later, and has observed since then.
    scene.observe(1, session(1), scene.since_start(1_800_000, 2_100_000));
    let ahead = NewSample {
        at: Some(scene.since_start(2_100_000, 2_100_000).from),
        usage: Usage::default(),
        active_sessions: 1,
        uptime_s: 9,
    };
    let sequence = scene.next(1);
    scene.report_as(1, sequence, vec![ahead]).unwrap();
    assert_eq!(scene.credited(), [0, 0]);
}

#[test]
fn what_is_back_filled_after_an_outage_is_history_and_no_credit() {
    let scene = Scene::new();
    scene.work(1, 60_000);
    // Twenty minutes without a word, then samples of every half minute of them.
    scene.pass(1_200_000);
    let sample = |i: i64| NewSample {
        at: Some(scene.epoch.start().plus_ms(60_000 + i * REPORT_MS)),
        usage: Usage::default(),
        active_sessions: 1,
        uptime_s: i.unsigned_abs(),
    };
    let sequence = scene.next(1);
    let reported = scene.report_as(1, sequence, (0..40).map(sample).collect()).unwrap();
    assert!(reported.accepted == 40 && reported.late > 30, "{reported:?}");
    scene.observe(1, session(1), scene.since_start(0, 1_260_000));
    assert_eq!(scene.credited(), [60, 0]);
}

#[test]
fn two_minutes_of_silence_are_not_credited_and_a_minute_and_a_half_is() {
    for (silence_ms, credited) in [(90_000, 690), (120_000, 600)] {
        let scene = Scene::new();
        scene.work(1, 300_000);
        scene.pass(silence_ms - REPORT_MS);
        scene.pass(REPORT_MS);
        scene.work(1, 300_000);
        scene.observe(1, session(1), scene.since_start(0, 600_000 + silence_ms));
        assert_eq!(scene.credited(), [credited, 0], "{silence_ms} ms");
    }
}

#[test]
fn a_report_that_another_key_signed_is_none() {
    let scene = Scene::new();
    scene.work(1, 60_000);
    scene.pass(REPORT_MS);
    let forged = ReportProof {
        signature: key(2).sign(b"anything").to_bytes().to_vec(),
        ..Scene::proof(1, "metrics", 99)
    };
    let refused =
        block_on(scene.service.telemetry.report(&Scene::actor(1), id(1), Some(forged), Vec::new()));
    assert!(matches!(refused, Err(ServiceError::Unproven { .. })), "{refused:?}");
    scene.observe(1, session(1), scene.since_start(0, 90_000));
    // The observation itself was a signed report half a minute after the last one.
    assert_eq!(scene.credited(), [90, 0]);
}

/// What is before the activation, or after the epoch's end, is not of the epoch.
#[test]
fn what_lies_outside_the_epoch_counts_elsewhere() {
    let scene = Scene::new();
    scene.pass(i64::from(HOUR_S) * 1_000 - 120_000);
    scene.work(1, 240_000);
    let span = Interval {
        from: TimeMs(scene.epoch.end().0 - 120_000),
        to: TimeMs(scene.epoch.end().0 + 120_000),
    };
    scene.observe(1, session(1), span);
    assert_eq!(scene.credited(), [120, 0]);
}
