//! A fleet in a store, with an epoch of reports, and a service over it: for measuring and trying
//! how epochs are closed.

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, LazyLock},
    time::Instant,
};

use lucid_coordination::LocalUsedOnce;
use lucid_engine::{EngineConfig, PolicyEngine, read_bundle};
use lucid_model::{
    audit::AuditEntry,
    epochs::{
        epoch::{EpochRecord, Period, PeriodLength},
        score::Ppm,
    },
    fleet::{
        challenge::ChallengeKey,
        node::{Node, NodeAddress, NodeCaps, NodeConfig, NodeStatus, PublicKey},
    },
    id::{AuditId, Digest, FamilyId, NodeId, SessionId, UserId},
    money::{
        MicroUsdt,
        payout::{Deadlines, Pace},
    },
    policies::{
        Activation, ParamValues, PolicyKind, PolicyRef, PolicyVersion, Revision, Scope,
        VersionState,
    },
    telemetry::{
        credit::Interval,
        metric::{NetworkCounters, Sample, Usage},
        observation::{Observation, Observer, Verdict},
    },
    time::TimeMs,
};
use lucid_ports::{Activated, Clock, Entropy, Registration, Report, Signer, Store, StoredBundle};
use lucid_service::{
    Approval, AuditConfig, ConsensusConfig, EpochsConfig, FleetConfig, MoneyConfig,
    NotificationsConfig, PayerLimits, PoliciesConfig, Ports, Rules, SeriesAges, Service,
    ServiceConfig, TelemetryConfig, Trust,
};
use uuid::Uuid;

const FIRST_S: i64 = 20_000 * 86_400;
/// Calls that are on their way at once.
const AT_ONCE: usize = 256;

/// The `i`th epoch; nodes work from the first one on.
pub fn epoch(i: u32) -> Period {
    let length = PeriodLength::new(3_600).unwrap();
    length.period_at(TimeMs::from_unix_s(FIRST_S + i64::from(i) * 3_600))
}

/// Numbers that look like chance and are the same in each run.
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first ones of neighbouring seeds are alike.
        for _ in 0..8 {
            chance.next();
        }
        chance
    }
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }
}

/// As UUIDv7 are: a time that grows, then chance.
pub fn node_id(number: u32) -> NodeId {
    let mut chance = Chance::of(u64::from(number) + 1);
    let time = (0x0190_0000_0000_u64 + u64::from(number) * 40 + chance.below(40)) << 16;
    NodeId(Uuid::from_u64_pair(time | 0x7000 | chance.below(0x1000), 1 << 63 | chance.next() >> 2))
}

fn audit(action: &str, subject: String) -> AuditEntry {
    AuditEntry {
        id: AuditId(Uuid::now_v7()),
        at: TimeMs::from_unix_s(FIRST_S),
        actor: "test".into(),
        action: action.into(),
        subject,
        detail: String::new(),
        request_id: None,
        before: None,
        after: None,
    }
}

fn node(number: u32) -> Node {
    let [_, high, middle, low] = number.to_be_bytes();
    Node {
        id: node_id(number),
        owner: UserId(Uuid::from_u128(u128::from(number / 20))),
        external_id: None,
        name: format!("worker {number}"),
        description: None,
        status: NodeStatus::Active,
        error_reason: None,
        pool: None,
        address: Some(NodeAddress { ip: IpAddr::from([10, high, middle, low]), port: 9000 }),
        created_at: TimeMs::from_unix_s(FIRST_S - i64::from(number % 100_000) * 61),
        updated_at: TimeMs::from_unix_s(FIRST_S),
        activated_at: Some(TimeMs::from_unix_s(FIRST_S)),
        status_since: None,
        score: None,
        observed_s: 0,
        config: NodeConfig::default(),
        public_key: Some(PublicKey(Digest::of(&number.to_le_bytes()).0)),
        wallet: None,
        wallet_wish: None,
        hardware: None,
        suspension: None,
        approved: true,
        version: 1,
    }
}

/// Runs something for each number, many at once.
pub async fn each<F: Future<Output = ()> + Send + 'static>(count: u32, run: impl Fn(u32) -> F) {
    let mut running = tokio::task::JoinSet::new();
    for number in 0..count {
        if running.len() >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(run(number));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

/// Registers active nodes. Nobody was there in the epoch before the first one that they work in.
pub async fn register(store: &Arc<dyn Store>, nodes: u32) {
    register_with(store, nodes, |_| {}).await;
}

/// The same nodes, with something of their own.
pub async fn register_with(
    store: &Arc<dyn Store>,
    nodes: u32,
    edit: impl Fn(&mut Node) + Clone + Send + Sync + 'static,
) {
    let before = EpochRecord {
        epoch: epoch(0),
        closed_at: epoch(0).end(),
        policy_revision: Revision(0),
        rules: 1,
        nodes: 0,
        eligible: 0,
        held: 0,
        root: Digest::of(&[]),
        previous_link: Digest::default(),
        block: None,
        completeness: None,
    };
    assert!(store.commit_epoch(before, Vec::new(), Vec::new()).await.unwrap().is_some());
    each(nodes, |number| {
        let (store, edit) = (Arc::clone(store), edit.clone());
        async move {
            let mut node = node(number);
            edit(&mut node);
            let audit = audit("node.register", node.id.to_string());
            store
                .register_node(Registration {
                    node,
                    caps: NodeCaps::default(),
                    enrolment: None,
                    audit,
                    assign_audit: None,
                })
                .await
                .unwrap();
        }
    })
    .await;
}

/// An epoch of a node: a session and presence of most of it, a sample that says how busy it was.
fn report(number: u32, i: u32) -> Report {
    let (period, node) = (epoch(i), node_id(number));
    let mut chance = Chance::of(u64::from(number) << 20 | u64::from(i));
    let milliseconds = |value: u64| i64::try_from(value).unwrap();
    let presence = Interval {
        from: period.start().plus_ms(milliseconds(chance.below(200_000))),
        to: period.end().plus_ms(-milliseconds(chance.below(400_000))),
    };
    let span = Interval {
        from: presence.from.plus_ms(milliseconds(chance.below(9_000))),
        to: presence.to.plus_ms(-milliseconds(chance.below(90_000))),
    };
    let mut ratio = |limit| Ppm(u32::try_from(chance.below(limit)).unwrap());
    let usage = Usage {
        cpu: ratio(1_000_000),
        memory: ratio(1_000_000),
        disk: ratio(1_000_000),
        network: NetworkCounters::default(),
    };
    let quality = ratio(1_000_000);
    let at = period.start().plus_ms(1_800_000);
    Report {
        node,
        arrived_at: at,
        sequence: None,
        samples: vec![Sample { node, at, arrived_at: at, usage, active_sessions: 1, uptime_s: 7 }],
        presence: Some(presence),
        sessions: vec![Observation {
            session: SessionId(Uuid::from_u128(
                u128::from(i) << 64 | u128::from(number) | 7 << 76 | 2 << 62,
            )),
            node,
            span,
            quality,
            usage: None,
            by: Observer::Observer,
            received_at: at,
            verdict: Verdict::Accepted,
        }],
    }
}

/// Reports of an epoch.
pub async fn work(store: &Arc<dyn Store>, nodes: u32, i: u32) {
    each(nodes, |number| {
        let store = Arc::clone(store);
        async move {
            store.store_report(report(number, i)).await.unwrap();
        }
    })
    .await;
}

/// Activates a policy of the repository.
pub async fn activate(store: &dyn Store, bundle: &Path, based_on: Revision) {
    let bundle = read_bundle(bundle).unwrap();
    let line = |name: &str| {
        let line = bundle
            .manifest
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))
            .unwrap();
        line.trim().trim_matches('"').to_owned()
    };
    let policy = PolicyRef {
        name: line("name"),
        version: line("version").parse().unwrap(),
        digest: Digest::of(&bundle.component),
    };
    let kind = PolicyKind::from_name(&line("kind")).unwrap();
    let version = PolicyVersion {
        policy: policy.clone(),
        kind,
        abi: format!("lucid:policy/{}@1.0.0", kind.name()),
        state: VersionState::Checked,
        reason: None,
        uploaded_at: TimeMs::from_unix_s(FIRST_S),
        uploaded_by: "test".into(),
        signed_by: Vec::new(),
    };
    store
        .add_version(StoredBundle { version, bundle }, audit("policy.add", policy.to_string()))
        .await
        .unwrap();
    let activation = Activation {
        revision: Revision(0),
        kind,
        scope: Scope::Default,
        policy: policy.clone(),
        params: ParamValues::new(),
        from_s: 0,
        at: TimeMs::from_unix_s(FIRST_S),
        actor: "test".into(),
        reason: "test".into(),
    };
    let activated = store
        .activate(based_on, vec![activation], vec![audit("policy.activate", policy.to_string())])
        .await
        .unwrap();
    assert!(matches!(activated, Activated::Done(_)), "{activated:?}");
}

/// A clock that stands still, and the same key and chance for everybody.
struct Still(TimeMs);

impl Clock for Still {
    fn now(&self) -> TimeMs {
        self.0
    }
    /// What is looked at every so often is looked at in a benchmark, too.
    fn monotonic_ms(&self) -> i64 {
        static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
        i64::try_from(STARTED.elapsed().as_millis()).unwrap()
    }
}
impl Entropy for Still {
    fn random_16(&self) -> [u8; 16] {
        *Uuid::new_v4().as_bytes()
    }
}
impl Signer for Still {
    fn public_key(&self) -> PublicKey {
        PublicKey([7; 32])
    }
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [7; 64]
    }
}

/// Epochs of an hour that wait for nobody.
pub fn config(chunks_at_once: usize) -> ServiceConfig {
    ServiceConfig {
        telemetry: TelemetryConfig {
            series: SeriesAges {
                samples_ms: 604_800_000,
                five_minutes_ms: 7_776_000_000,
                hours_ms: 31_536_000_000,
            },
            reports_waiting_max: 1_024,
            sample_limits: lucid_service::SampleLimits {
                per_day: u32::MAX,
                late_per_day: u32::MAX,
            },
        },
        policies: PoliciesConfig { built_in: Vec::new() },
        rules: Rules {
            score_multiplier: Ppm(1_500_000),
            epoch: epoch(0).length,
            settlement: epoch(0).length,
            four_eyes: false,
        },
        epochs: EpochsConfig {
            observation_min_s: 3_600,
            eligibility_window_s: 86_400,
            trust: Trust::Witnessed,
            epoch_close_delay_ms: 45_000,
            epoch_completeness_min: Ppm(0),
            epoch_deadline_ms: 0,
            chunks_at_once,
            replicas: false,
        },
        money: MoneyConfig {
            maturity_ms: 0,
            budget: None,
            share_max: Ppm(1_000_000),
            payout_min: MicroUsdt(1),
            payout_final_min: MicroUsdt(1),
            claimable_ms: 31_536_000_000,
            auto_approve_jump_max: None,
            unknown_max: None,
            auto_approve_max: MicroUsdt(0),
            cycle_cap: None,
            deadlines: Deadlines { unknown_ms: 600_000, accepted_ms: 600_000 },
            pace: Pace {
                send_first_ms: 1,
                send_max_ms: 1,
                look_first_ms: 1,
                look_max_ms: 1,
                manual_look_ms: 1,
            },
            payer_limits: PayerLimits { decided_ms_max: 20_000, timeout_ms: 10_000 },
            second_look_ms: 0,
            rail_pause_ms: 1,
            payouts_in_flight_max: 4,
        },
        fleet: FleetConfig {
            wallet_cooldown_ms: 0,
            approval: Approval::Auto,
            silence_ms: 600_000,
            mass_outage_percent: 50,
            caps: NodeCaps::default(),
            challenge_ms: 1_000,
            registration_skew_ms: 1_000,
            alerts_kept_ms: 86_400_000,
            enrolments_per_owner_max: 0,
        },
        audit: AuditConfig { request_lease_ms: 1_000, request_kept_ms: 1_000 },
        consensus: ConsensusConfig {
            votes_age_max_ms: 1_000,
            vote_retry_first_ms: 1_000,
            votes_in_flight_max: 1,
        },
        notifications: NotificationsConfig {
            webhooks: lucid_service::WebhookSettings {
                endpoints_max: 0,
                undelivered_max: 1,
                retry_first_ms: 1_000,
                retry_max_ms: 1_000,
                give_up_ms: 1_000,
                kept_ms: 1_000,
            },
            events_buffered_max: 4_096,
        },
    }
}

/// A service as the `i`th epoch is due, with what the store says is active; all epochs before are
/// due too.
pub async fn service(
    store: &Arc<dyn Store>,
    cache: &Path,
    i: u32,
    chunks_at_once: usize,
    guest_threads: usize,
) -> Arc<Service> {
    service_at(store, cache, epoch(i).end().plus_ms(45_000), guest_threads, config(chunks_at_once))
        .await
}

/// A service at a moment.
pub async fn service_at(
    store: &Arc<dyn Store>,
    cache: &Path,
    now: TimeMs,
    guest_threads: usize,
    config: ServiceConfig,
) -> Arc<Service> {
    service_on(ports(store, cache, now, guest_threads), config).await
}

/// A service with what the store says is active.
pub async fn service_on(ports: Ports, config: ServiceConfig) -> Arc<Service> {
    let service = Service::new(ports, config, FamilyId(Uuid::from_u128(7)));
    service.policies.load_policies().await.unwrap();
    service
}

/// What a service at a moment is built on, without chain and rail.
pub fn ports(store: &Arc<dyn Store>, cache: &Path, now: TimeMs, guest_threads: usize) -> Ports {
    let still = || Still(now);
    Ports {
        store: Arc::clone(store),
        policies: PolicyEngine::new(EngineConfig { guest_threads, ..EngineConfig::new(cache) })
            .unwrap(),
        chain: None,
        webhooks: Arc::new(lucid_webhooks::WebhookClient::new(
            std::time::Duration::from_secs(1),
            false,
            lucid_egress::Egress::default(),
        )),
        rail: None,
        signer: Arc::new(still()),
        sealer: Arc::new(
            lucid_store::SealKeys::read(&"5e".repeat(lucid_store::SEAL_KEY_BYTES)).unwrap(),
        ),
        clock: Arc::new(still()),
        entropy: Arc::new(still()),
        challenge_key: ChallengeKey::of_secret("secret"),
        used_once: Arc::new(LocalUsedOnce::default()),
    }
}
