use std::net::IpAddr;

use uuid::Uuid;

use super::*;
use crate::{
    epochs::score::{Ppm, ScoreCenti},
    fleet::{
        alert::AlertThresholds,
        enrolment::EnrolmentScope,
        node::{
            Hardware, NodeAddress, NodeConfig, NodeStatus, PublicKey, Suspension, Wallet,
            WalletWish,
        },
        pool::{LoadBalancing, PoolConfig, PoolStatus},
    },
    id::{EnrolmentId, NodeId, PayoutId, PoolId, RunId, UserId},
    money::{MicroUsdt, payout::PayoutState, run::RunState},
    policies::{ParamValues, PolicyKind, Revision, Scope, VersionState},
    time::TimeMs,
};

fn node() -> Node {
    Node {
        id: NodeId(Uuid::from_u128(1)),
        owner: UserId(Uuid::from_u128(2)),
        external_id: Some("ext".into()),
        name: "worker".into(),
        description: Some("täglich".into()),
        status: NodeStatus::Suspended,
        error_reason: None,
        pool: Some(PoolId(Uuid::from_u128(3))),
        address: Some(NodeAddress { ip: IpAddr::from([10, 0, 0, 1]), port: 9000 }),
        created_at: TimeMs(1),
        updated_at: TimeMs(2),
        activated_at: Some(TimeMs(3)),
        status_since: None,
        score: None,
        observed_s: 0,
        config: NodeConfig::default(),
        public_key: Some(PublicKey([7; 32])),
        wallet: Some(Wallet { address: address(), version: 3, since: TimeMs(4) }),
        wallet_wish: None,
        hardware: Some(Hardware { cpu_cores: 8, memory_bytes: 1 << 40, storage_bytes: u64::MAX }),
        suspension: Some(Suspension {
            reason: "abuse".into(),
            until: Some(TimeMs(9)),
            earlier: NodeStatus::Active,
        }),
        approved: false,
        version: 1,
    }
}

fn address() -> crate::money::tron::TronAddress {
    "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC".parse().unwrap()
}

fn pool() -> Pool {
    Pool {
        id: PoolId(Uuid::from_u128(1)),
        name: "east".into(),
        description: None,
        status: PoolStatus::Active,
        max_nodes: 10,
        node_count: 3,
        created_at: TimeMs(1),
        updated_at: TimeMs(2),
        config: PoolConfig {
            auto_assignment: true,
            load_balancing: LoadBalancing::Weighted,
            health_check_interval_s: 60,
            failover_enabled: false,
            thresholds: AlertThresholds::default(),
        },
        version: 1,
    }
}

fn policy_ref() -> PolicyRef {
    PolicyRef { name: "p".into(), version: "1.2.3-rc.1".parse().unwrap(), digest: Digest::of(b"p") }
}

fn version() -> PolicyVersion {
    PolicyVersion {
        policy: policy_ref(),
        kind: PolicyKind::Scoring,
        abi: "lucid:policy/scoring@1.0.0".into(),
        state: VersionState::Checked,
        reason: None,
        uploaded_at: TimeMs(1),
        uploaded_by: "alice".into(),
        signed_by: Vec::new(),
    }
}

fn activation() -> Activation {
    Activation {
        revision: Revision(4),
        kind: PolicyKind::Payout,
        scope: Scope::Default,
        policy: policy_ref(),
        params: ParamValues::from([("w".into(), -7)]),
        from_s: 0,
        at: TimeMs(5),
        actor: "alice".into(),
        reason: "better".into(),
    }
}

fn run() -> Run {
    Run {
        id: RunId(Uuid::from_u128(1)),
        cycle: 86_400,
        state: RunState::Approved,
        planner: "system".into(),
        approver: Some("bob".into()),
        executor: None,
        nodes: Vec::new(),
        root: None,
        count: 3,
        total: MicroUsdt(30_000_000),
        reason: None,
        created_at: TimeMs(1),
        updated_at: TimeMs(2),
        plan: 1,
        version: 2,
    }
}

fn payout() -> Payout {
    Payout {
        id: PayoutId(Uuid::from_u128(4)),
        run: RunId(Uuid::from_u128(1)),
        node: NodeId(Uuid::from_u128(2)),
        owner: UserId(Uuid::from_u128(3)),
        cycle: 86_400,
        attempt: 1,
        amount: MicroUsdt(10_000_000),
        address: address(),
        wallet_version: 3,
        state: PayoutState::Accepted,
        sends: 1,
        ambiguous: true,
        request: Some(vec![0, 255]),
        external_id: Some("x".into()),
        txid: None,
        reason: None,
        created_at: TimeMs(1),
        updated_at: TimeMs(2),
        submitted_at: Some(TimeMs(3)),
        processed_at: None,
        next_attempt_at: TimeMs(9),
        next_send_at: TimeMs(9),
        blind_ms: 0,
        found: None,
        closed: false,
        score: None,
        observed_s: 7,
        period_start_s: 0,
        period_end_s: 86_400,
        plan: 1,
        version: 2,
    }
}

fn enrolment() -> Enrolment {
    Enrolment {
        id: EnrolmentId(Uuid::from_u128(5)),
        digest: Digest::of(b"token"),
        owner: UserId(Uuid::from_u128(2)),
        name: "rack 7".into(),
        scope: EnrolmentScope::Approve,
        pool: None,
        uses_max: 3,
        uses: 1,
        expires_at: TimeMs(9),
        revoked_at: None,
        created_at: TimeMs(1),
        created_by: "alice".into(),
    }
}

#[test]
fn every_kind_of_record_has_the_digest_of_its_committed_vector() {
    let deposit = Draft::deposit("d-1", MicroUsdt(5), "funds".into()).unwrap();
    let records: [(&str, &dyn Record, &str); 8] = [
        ("node", &node(), "3880df26798572f707ea0398f2c6c254f31e9997e5024d52d9120e2170ba6c83"),
        ("pool", &pool(), "65ba4d08316480fbf434724ada6a0465615761fce7766eb15f3a9778380271cc"),
        (
            "enrolment",
            &enrolment(),
            "9f7547121f667975b30c0ed60ce87b4dabc80944a4f6a7acdf4756c362e94fff",
        ),
        (
            "policy version",
            &version(),
            "421659fd7f92df94428748a212785b68813523cad3715aa5d37d24456ae6c08f",
        ),
        (
            "activation",
            &activation(),
            "131d1a18156b1925df4e95c5424170284a5eddd242c71c10f4297cf74b74f0f5",
        ),
        ("run", &run(), "e7886afc20ead7ed18998cd74d407d3eaec0c8782382a86eaf36da5ab8813a8b"),
        ("payout", &payout(), "1678bc390611359a251f76e77e7d6f1cb3557f5751251062773bb0c0cbc4f058"),
        ("deposit", &deposit, "516523c1550eab1f0fa766fc0d235442ba50b9631547df62fd34b18d8d503065"),
    ];
    for (name, record, vector) in records {
        assert_eq!(record.digest().to_string(), vector, "{name}");
    }
}

#[test]
fn what_only_counts_or_follows_changes_no_digest() {
    let later = TimeMs(99);
    let same_node =
        Node { updated_at: later, score: Some(ScoreCenti(1)), observed_s: 5, version: 9, ..node() };
    assert_eq!(same_node.digest(), node().digest());
    assert_eq!(
        Pool { node_count: 9, updated_at: later, version: 9, ..pool() }.digest(),
        pool().digest()
    );
    assert_eq!(Enrolment { uses: 2, ..enrolment() }.digest(), enrolment().digest());
    assert_eq!(Run { updated_at: later, version: 9, ..run() }.digest(), run().digest());
    assert_eq!(
        Payout { updated_at: later, next_attempt_at: later, version: 9, ..payout() }.digest(),
        payout().digest()
    );
}

#[test]
fn what_was_decided_changes_the_digest() {
    let nodes = [
        Node { name: "other".into(), ..node() },
        Node { pool: None, ..node() },
        Node { status: NodeStatus::Active, ..node() },
        Node { wallet: None, ..node() },
        Node { public_key: Some(PublicKey([8; 32])), ..node() },
        Node { address: None, ..node() },
        Node {
            wallet_wish: Some(WalletWish { address: address(), at: TimeMs(1), by: "alice".into() }),
            ..node()
        },
        Node { approved: true, ..node() },
        Node { config: NodeConfig { max_cpu: Ppm(1), ..NodeConfig::default() }, ..node() },
    ];
    for other in nodes {
        assert_ne!(other.digest(), node().digest(), "{other:?}");
    }
    assert_ne!(
        Enrolment { revoked_at: Some(TimeMs(5)), ..enrolment() }.digest(),
        enrolment().digest()
    );
    assert_ne!(Pool { max_nodes: 11, ..pool() }.digest(), pool().digest());
    let limited =
        |thresholds| Pool { config: PoolConfig { thresholds, ..pool().config }, ..pool() }.digest();
    let cpu = limited(AlertThresholds { cpu: Some(Ppm(5)), ..AlertThresholds::default() });
    assert_ne!(cpu, pool().digest());
    assert_ne!(
        cpu,
        limited(AlertThresholds { memory: Some(Ppm(5)), ..AlertThresholds::default() })
    );
    assert_ne!(Run { state: RunState::Done, ..run() }.digest(), run().digest());
    assert_ne!(Run { executor: Some("carol".into()), ..run() }.digest(), run().digest());
    assert_ne!(Run { nodes: vec![NodeId(Uuid::from_u128(5))], ..run() }.digest(), run().digest());
    assert_ne!(Payout { sends: 2, ..payout() }.digest(), payout().digest());
    assert_ne!(Payout { closed: true, ..payout() }.digest(), payout().digest());
    assert_ne!(
        Activation { params: ParamValues::new(), ..activation() }.digest(),
        activation().digest()
    );
    assert_ne!(Activation { from_s: 3_600, ..activation() }.digest(), activation().digest());
}
