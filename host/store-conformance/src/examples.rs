//! Records with every field set, so that one that is dropped is noticed.

use std::net::IpAddr;

use lucid_model::{
    audit::AuditEntry,
    consensus::{Vote, VoteChoice, VoteState},
    epochs::{
        epoch::{EpochRecord, Period, PeriodLength},
        receipt::{ChunkHeader, ScoreRow, ScoredChunk},
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    fleet::{
        alert::AlertThresholds,
        node::{
            Hardware, Node, NodeAddress, NodeCaps, NodeConfig, NodeStatus, PublicKey, Suspension,
            Wallet, WalletWish,
        },
        pool::{LoadBalancing, Pool, PoolConfig, PoolStatus},
    },
    id::{AuditId, Digest, NodeId, PayoutId, PoolId, PoolScope, RunId, SessionId, UserId},
    money::{
        MicroUsdt,
        ledger::{Draft, Head},
        payout::{Found, Outcome, Payout, PayoutState},
        run::{Run, RunState},
        settlement::{Accrual, Distribution, PoolSettlement},
    },
    policies::{PolicyRef, Revision},
    telemetry::{
        credit::Interval,
        metric::{NetworkCounters, Sample, Usage},
        observation::{Observation, Observer, Verdict},
    },
    time::TimeMs,
};
use lucid_ports::{Registration, Report};
use uuid::Uuid;

pub const HOUR: i64 = 3600;

pub fn node_id(i: u32) -> NodeId {
    NodeId(Uuid::from_u128(0x1000_0000 + u128::from(i)))
}
pub fn owner_id(i: u32) -> UserId {
    UserId(Uuid::from_u128(0x2000_0000 + u128::from(i)))
}
pub fn pool_id(i: u32) -> PoolId {
    PoolId(Uuid::from_u128(0x3000_0000 + u128::from(i)))
}

/// An entry with an id that no other has.
pub fn audit(action: &str) -> AuditEntry {
    AuditEntry {
        id: AuditId(Uuid::now_v7()),
        at: TimeMs(5_000),
        actor: "alice".into(),
        action: action.into(),
        subject: "it".into(),
        detail: "why".into(),
        request_id: Some("r-1".into()),
        before: Some(Digest::of(b"before")),
        after: Some(Digest::of(b"after")),
    }
}

pub fn at(ip: IpAddr, port: u16) -> Option<NodeAddress> {
    Some(NodeAddress { ip, port })
}

/// A registration without caps and tokens.
pub fn registration(node: Node) -> Registration {
    Registration {
        node,
        caps: NodeCaps::default(),
        enrolment: None,
        audit: audit("node.register"),
        assign_audit: None,
    }
}

/// A plain active node, alone at its address.
pub fn node(i: u32) -> Node {
    let [.., high, low] = i.to_be_bytes();
    Node {
        id: node_id(i),
        owner: owner_id(1),
        external_id: None,
        name: format!("worker {i}"),
        description: None,
        status: NodeStatus::Active,
        error_reason: None,
        pool: None,
        address: at(IpAddr::from([10, 0, high, low]), 9000),
        created_at: TimeMs(1_000),
        updated_at: TimeMs(2_000),
        activated_at: None,
        status_since: None,
        score: None,
        observed_s: 0,
        config: NodeConfig::default(),
        public_key: None,
        wallet: None,
        wallet_wish: None,
        hardware: None,
        suspension: None,
        approved: false,
        version: 1,
    }
}

pub fn full_node(i: u32) -> Node {
    Node {
        external_id: Some(format!("ext-{i}")),
        description: Some("täglich".into()),
        status: NodeStatus::Suspended,
        error_reason: Some("silent".into()),
        address: at("2001:db8::7".parse().unwrap(), 65_535),
        activated_at: Some(TimeMs(1_500)),
        status_since: Some(TimeMs(1_600)),
        score: Some(ScoreCenti(8_750)),
        observed_s: 7_200,
        config: NodeConfig {
            max_sessions: 7,
            max_network_bandwidth: u64::MAX,
            auto_scaling: true,
            ..NodeConfig::default()
        },
        public_key: Some(PublicKey([7; 32])),
        wallet: Some(Wallet {
            address: "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC".parse().unwrap(),
            version: 3,
            since: TimeMs(1_234),
        }),
        wallet_wish: Some(WalletWish {
            address: "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC".parse().unwrap(),
            at: TimeMs(1_300),
            by: "alice".into(),
        }),
        hardware: Some(Hardware { cpu_cores: 8, memory_bytes: 1 << 40, storage_bytes: u64::MAX }),
        suspension: Some(Suspension {
            reason: "abuse".into(),
            until: Some(TimeMs(9_000)),
            earlier: NodeStatus::Active,
        }),
        approved: true,
        ..node(i)
    }
}

pub fn pool(i: u32) -> Pool {
    Pool {
        id: pool_id(i),
        name: format!("pool {i}"),
        description: Some("east".into()),
        status: PoolStatus::Active,
        max_nodes: 10,
        node_count: 0,
        created_at: TimeMs(1_000),
        updated_at: TimeMs(2_000),
        config: PoolConfig {
            auto_assignment: true,
            load_balancing: LoadBalancing::Weighted,
            health_check_interval_s: 60,
            failover_enabled: false,
            thresholds: AlertThresholds {
                cpu: Some(Ppm(500_000)),
                missed_heartbeat_s: Some(120),
                ..AlertThresholds::default()
            },
        },
        version: 1,
    }
}

pub fn policy(name: &str) -> PolicyRef {
    PolicyRef {
        name: name.into(),
        version: "1.2.3-rc.1".parse().unwrap(),
        digest: Digest::of(name.as_bytes()),
    }
}

/// The `i`th hour.
pub fn period(i: i64) -> Period {
    PeriodLength::new(3600).unwrap().period_at(TimeMs::from_unix_s(i * HOUR))
}

pub fn epoch(i: i64) -> EpochRecord {
    EpochRecord {
        epoch: period(i),
        closed_at: TimeMs::from_unix_s((i + 1) * HOUR + 5),
        policy_revision: Revision(3),
        rules: 1,
        nodes: 2,
        eligible: 1,
        held: 0,
        root: Digest::of(b"root"),
        previous_link: Digest::of(b"link"),
        block: None,
        completeness: Some(Ppm(990_000)),
    }
}

pub fn row(node: u32, score: u32) -> ScoreRow {
    ScoreRow {
        node: node_id(node),
        observed_s: 1_800,
        window_observed_s: 3_600,
        eligible: true,
        multiplier: Ppm(900_000),
        raw: RawCenti(score + 5_000),
        score: ScoreCenti(score),
        sessions: 2,
        factors: Factors {
            observation_time: Ppm(1),
            session_quality: Ppm(2),
            uptime: Ppm(3),
            resource_efficiency: Ppm(4),
            network_performance: Ppm(5),
        },
        reason: Some("fine".into()),
        held: false,
    }
}

pub fn chunk(epoch: i64, index: u32, pool: PoolScope, rows: Vec<ScoreRow>) -> ScoredChunk {
    let header = ChunkHeader {
        period: period(epoch),
        pool,
        index,
        rows: u32::try_from(rows.len()).unwrap(),
        frame: Digest::of(b"frame"),
        policy: policy("default"),
        params: Digest::of(b"params"),
        abi: "lucid:policy/scoring@1.0.0".into(),
        rules: 1,
    };
    ScoredChunk { header, rows }
}

pub fn vote(epoch: i64, node: u32) -> Vote {
    Vote {
        node: node_id(node),
        epoch_start_s: epoch * HOUR,
        score: ScoreCenti(8_000),
        block: None,
        choice: VoteChoice::Approve,
        timestamp: TimeMs(77),
        merkle_root: Digest::of(b"root"),
        state: VoteState::Pending,
        vote_id: None,
        answer: None,
        attempts: 0,
        next_attempt_at: TimeMs(100),
    }
}

/// An accrual of `micro` to a node, for period `period`.
pub fn accrual(period: i64, node: u32, micro: i64) -> Draft {
    Draft::accrue(
        period,
        PoolScope::Unassigned,
        node_id(node),
        MicroUsdt(micro),
        MicroUsdt(micro / 4),
        "root".into(),
    )
    .unwrap()
}

/// A period's budgets, shared by so many nodes of two pools.
pub fn distribution(i: i64, nodes: u32) -> Distribution {
    let accrual = |node| Accrual {
        node: node_id(node),
        share: MicroUsdt(i64::from(node) * 7 + 1),
        held: MicroUsdt(i64::from(node % 3)),
    };
    let pool = |pool, nodes: std::ops::Range<u32>| PoolSettlement {
        period: period(i),
        pool,
        budget: MicroUsdt(1 << 40),
        accruals: nodes.map(accrual).collect(),
        remainder: MicroUsdt(12),
        cause: "why".into(),
    };
    let pools = vec![
        pool(PoolScope::Unassigned, 0..nodes / 2),
        pool(PoolScope::Pool(pool_id(1)), nodes / 2..nodes),
    ];
    Distribution { period: period(i), pools, note: (nodes % 2 == 1).then(|| "short".into()) }
}

pub fn booked_at(draft: Draft, head: Head) -> lucid_model::money::ledger::Entry {
    draft.book(head, TimeMs(4_000)).unwrap()
}

pub fn run(i: u128) -> Run {
    Run {
        id: RunId(Uuid::from_u128(i)),
        cycle: 86_400,
        state: RunState::Planned,
        planner: "alice".into(),
        approver: Some("bob".into()),
        executor: Some("carol".into()),
        nodes: vec![node_id(1), node_id(7)],
        root: Some(Digest([6; 32])),
        count: 3,
        total: MicroUsdt(30_000_000),
        reason: Some("waits".into()),
        created_at: TimeMs(1_000),
        updated_at: TimeMs(2_000),
        plan: 1,
        version: 1,
    }
}

/// The first payout to node `i`, with its own external id and transaction.
pub fn payout(i: u32) -> Payout {
    Payout {
        id: PayoutId(Uuid::from_u128(0x4000_0000 + u128::from(i))),
        run: RunId(Uuid::from_u128(1)),
        node: node_id(i),
        owner: owner_id(1),
        cycle: 86_400,
        attempt: 0,
        amount: MicroUsdt(10_000_000 + i64::from(i)),
        address: "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC".parse().unwrap(),
        wallet_version: 3,
        state: PayoutState::Accepted,
        sends: 1,
        ambiguous: true,
        request: Some(vec![0, 255, 7]),
        external_id: Some(format!("x-{i}")),
        txid: Some(format!("t-{i}")),
        reason: Some("because".into()),
        created_at: TimeMs(1_000),
        updated_at: TimeMs(2_000),
        submitted_at: Some(TimeMs(1_500)),
        processed_at: Some(TimeMs(1_600)),
        next_attempt_at: TimeMs(3_000),
        next_send_at: TimeMs(4_000),
        blind_ms: 5_000,
        found: Some(Found {
            outcome: Outcome::Paid { txid: format!("found-{i}") },
            at: TimeMs(5_500),
        }),
        closed: false,
        score: Some(ScoreCenti(9_000)),
        observed_s: 7_200,
        period_start_s: 86_400,
        period_end_s: 172_800,
        plan: 1,
        version: 1,
    }
}

pub fn span(from: i64, to: i64) -> Interval {
    Interval { from: TimeMs(from), to: TimeMs(to) }
}

pub fn sample(node: u32, at: i64, bytes_sent: u64) -> Sample {
    let network = NetworkCounters {
        bytes_sent,
        bytes_received: u64::MAX,
        packets_sent: 1,
        packets_received: 2,
    };
    Sample {
        node: node_id(node),
        at: TimeMs(at),
        arrived_at: TimeMs(at + 10),
        usage: Usage { cpu: Ppm(500_000), memory: Ppm(250_000), disk: Ppm(125_000), network },
        active_sessions: 3,
        uptime_s: 60,
    }
}

pub fn session(i: u128, node: u32, from: i64, to: i64) -> Observation {
    Observation {
        session: SessionId(Uuid::from_u128(i)),
        node: node_id(node),
        span: span(from, to),
        quality: Ppm(700_000),
        usage: Some(sample(node, 0, 9).usage),
        by: Observer::Itself,
        received_at: TimeMs(to),
        verdict: Verdict::Accepted,
    }
}

/// A report without a number and without anything in it.
pub fn report(node: u32, at: i64) -> Report {
    Report {
        node: node_id(node),
        arrived_at: TimeMs(at),
        sequence: None,
        samples: Vec::new(),
        presence: None,
        sessions: Vec::new(),
    }
}
