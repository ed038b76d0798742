//! Makes a SQLite store of many nodes with a day of history, by way of the ports, and measures how
//! long it takes to copy it into MongoDB and to read it back: `make bench`, or `store_copy NODES
//! SAMPLES_A_DAY` (the server is the tests').
//!
//! A day of a node: 24 scores and 24 votes, an accrual, three audited changes, an observation
//! session each six hours, two stretches of presence, and so many samples.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made stops and says where")]

use std::{
    io::{BufRead, BufReader},
    net::IpAddr,
    ops::ControlFlow,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use lucid_model::{
    audit::AuditEntry,
    consensus::{Vote, VoteChoice, VoteState},
    epochs::{
        epoch::{EpochRecord, PeriodLength},
        receipt::{ChunkHeader, ScoreRow, ScoredChunk},
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    fleet::node::{Node, NodeAddress, NodeCaps, NodeConfig, NodeStatus, PublicKey},
    id::{AuditId, Digest, FamilyId, NodeId, PoolScope, SessionId, UserId},
    money::{
        MicroUsdt,
        ledger::{Draft, Head},
    },
    policies::{PolicyRef, Revision},
    telemetry::{
        credit::Interval,
        metric::{NetworkCounters, Sample, Usage},
        observation::{Observation, Observer, Verdict},
    },
    time::TimeMs,
};
use lucid_ports::{Environment, Registration, Report, Stamp, Store};
use uuid::Uuid;

/// The day, from its first second.
const DAY_S: i64 = 20_000 * 86_400;
const HOUR_S: i64 = 3_600;
/// Rows of a chunk, as the service makes them.
const CHUNK_ROWS: usize = 2_000;
/// Calls that are on their way at once.
const AT_ONCE: u32 = 256;

fn node_id(number: u32) -> NodeId {
    // As UUIDv7 are: in the order of their making, with bits of their own.
    let mixed = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0xffff_ffff_ffff;
    NodeId(Uuid::from_u128(
        0x0190_0000_0000_7000_8000_0000_0000_0000 + (u128::from(number) << 80) + mixed,
    ))
}

fn audit(action: &str, subject: NodeId) -> AuditEntry {
    AuditEntry {
        id: AuditId(Uuid::now_v7()),
        at: TimeMs::from_unix_s(DAY_S),
        actor: "0198c0de-0000-7000-8000-000000000001".into(),
        action: action.into(),
        subject: subject.to_string(),
        detail: "by the generator of the benchmark".into(),
        request_id: Some(Uuid::now_v7().to_string()),
        before: None,
        after: Some(Digest::of(subject.0.as_bytes())),
    }
}

fn node(number: u32) -> Node {
    let [_, high, middle, low] = number.to_be_bytes();
    Node {
        id: node_id(number),
        owner: UserId(Uuid::from_u128(u128::from(number / 20))),
        external_id: Some(format!("worker-{number}")),
        name: format!("worker {number}"),
        description: None,
        status: NodeStatus::Pending,
        error_reason: None,
        pool: None,
        address: Some(NodeAddress { ip: IpAddr::from([10, high, middle, low]), port: 9000 }),
        created_at: TimeMs::from_unix_s(DAY_S),
        updated_at: TimeMs::from_unix_s(DAY_S),
        activated_at: None,
        status_since: None,
        score: None,
        observed_s: 0,
        config: NodeConfig::default(),
        public_key: Some(PublicKey(Digest::of(&number.to_le_bytes()).0)),
        wallet: None,
        wallet_wish: None,
        hardware: None,
        suspension: None,
        approved: false,
        version: 1,
    }
}

/// Runs something for each number, many at once.
async fn each<F: Future<Output = ()> + Send + 'static>(count: u32, run: impl Fn(u32) -> F) {
    let mut running = tokio::task::JoinSet::new();
    for number in 0..count {
        if running.len() >= usize::try_from(AT_ONCE).unwrap() {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(run(number));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

async fn fleet(store: &Arc<dyn Store>, nodes: u32) {
    each(nodes, |number| {
        let store = Arc::clone(store);
        async move {
            let fresh = node(number);
            let registration = Registration {
                node: fresh.clone(),
                caps: NodeCaps::default(),
                enrolment: None,
                audit: audit("node.register", fresh.id),
                assign_audit: None,
            };
            store.register_node(registration).await.unwrap();
            let approved = Node { approved: true, version: 2, ..fresh };
            assert!(
                store
                    .update_node(approved.clone(), audit("node.approve", approved.id))
                    .await
                    .unwrap()
            );
            let active = Node {
                status: NodeStatus::Active,
                activated_at: Some(TimeMs::from_unix_s(DAY_S)),
                version: 3,
                ..approved
            };
            assert!(
                store.update_node(active.clone(), audit("node.activate", active.id)).await.unwrap()
            );
        }
    })
    .await;
}

fn row(number: u32) -> ScoreRow {
    let some = number % 10_000;
    ScoreRow {
        node: node_id(number),
        observed_s: 3_000 + number % 600,
        window_observed_s: 3_600,
        eligible: true,
        multiplier: Ppm(1_000_000),
        raw: RawCenti(some),
        score: ScoreCenti(some),
        sessions: 1,
        factors: Factors {
            observation_time: Ppm(900_000 + some),
            session_quality: Ppm(700_000),
            uptime: Ppm(990_000),
            resource_efficiency: Ppm(some),
            network_performance: Ppm(500_000),
        },
        reason: None,
        held: false,
    }
}

fn vote(start_s: i64, number: u32) -> Vote {
    Vote {
        node: node_id(number),
        epoch_start_s: start_s,
        score: ScoreCenti(number % 10_000),
        block: None,
        choice: VoteChoice::Approve,
        timestamp: TimeMs::from_unix_s(start_s + HOUR_S),
        merkle_root: Digest::of(b"root"),
        state: VoteState::Accepted,
        vote_id: Some(format!("{start_s}-{number}")),
        answer: None,
        attempts: 1,
        next_attempt_at: TimeMs(0),
    }
}

async fn epochs(store: &dyn Store, nodes: u32) {
    for hour in 0..24 {
        let period =
            PeriodLength::new(3600).unwrap().period_at(TimeMs::from_unix_s(DAY_S + hour * HOUR_S));
        let rows: Vec<_> = (0..nodes).map(row).collect();
        let header = |index, rows| ChunkHeader {
            period,
            pool: PoolScope::Unassigned,
            index,
            rows,
            frame: Digest::of(b"frame"),
            policy: PolicyRef {
                name: "observation-weighted".into(),
                version: "1.0.0".parse().unwrap(),
                digest: Digest::of(b"policy"),
            },
            params: Digest::of(b"params"),
            abi: "lucid:policy/scoring@1.0.0".into(),
            rules: 1,
        };
        let chunks = (0..).zip(rows.chunks(CHUNK_ROWS));
        let chunks = chunks.map(|(index, rows)| ScoredChunk {
            header: header(index, u32::try_from(rows.len()).unwrap()),
            rows: rows.to_vec(),
        });
        let record = EpochRecord {
            epoch: period,
            closed_at: TimeMs::from_unix_s(period.start_s + HOUR_S + 5),
            policy_revision: Revision(3),
            rules: 1,
            nodes,
            eligible: nodes,
            held: 0,
            root: Digest::of(b"root"),
            previous_link: Digest::of(b"link"),
            completeness: None,
            block: None,
        };
        let votes = (0..nodes).map(|number| vote(period.start_s, number)).collect();
        assert!(store.commit_epoch(record, chunks.collect(), votes).await.unwrap().is_some());
    }
}

async fn money(store: &dyn Store, nodes: u32) {
    let entries = (0..nodes).map(|number| {
        let amount = MicroUsdt(1_000 + i64::from(number));
        let draft = Draft::accrue(
            DAY_S,
            PoolScope::Unassigned,
            node_id(number),
            amount,
            MicroUsdt(0),
            "root".into(),
        )
        .unwrap();
        draft.book(Head::default(), TimeMs::from_unix_s(DAY_S + 86_400)).unwrap()
    });
    for some in entries.collect::<Vec<_>>().chunks(2_000) {
        store.book(some.to_vec()).await.unwrap();
    }
}

fn usage(number: u32, sample: i64) -> Usage {
    let counter = |factor: i64| u64::try_from(sample * factor).unwrap();
    let network = NetworkCounters {
        bytes_sent: counter(70_001),
        bytes_received: counter(90_007),
        packets_sent: counter(61),
        packets_received: counter(83),
    };
    let part = |of: u32| {
        Ppm((number.wrapping_mul(of) + u32::try_from(sample).unwrap() * 7_919) % 1_000_000)
    };
    Usage { cpu: part(31), memory: part(17), disk: part(3), network }
}

async fn telemetry(store: &Arc<dyn Store>, nodes: u32, samples: i64) {
    let day = TimeMs::from_unix_s(DAY_S);
    each(nodes, |number| {
        let store = Arc::clone(store);
        async move {
            let node = node_id(number);
            let every_ms = 86_400_000 / samples.max(1);
            let sample = |place: i64| {
                let at = day.plus_ms(place * every_ms);
                Sample {
                    node,
                    at,
                    arrived_at: at.plus_ms(40),
                    usage: usage(number, place),
                    active_sessions: 1,
                    uptime_s: u64::try_from(place).unwrap() * 30,
                }
            };
            let session = |quarter: i64| Observation {
                session: SessionId(Uuid::from_u128(
                    (u128::from(number) << 8) + u128::from(quarter.unsigned_abs()) + (1 << 100),
                )),
                node,
                span: Interval {
                    from: day.plus_ms(quarter * 21_600_000),
                    to: day.plus_ms(quarter * 21_600_000 + 21_000_000),
                },
                quality: Ppm(900_000),
                usage: None,
                by: Observer::Observer,
                received_at: day.plus_ms(quarter * 21_600_000 + 21_000_100),
                verdict: Verdict::Accepted,
            };
            for half in 0..2 {
                let from = day.plus_ms(half * 43_200_000);
                let report = Report {
                    node,
                    arrived_at: from.plus_ms(43_000_000),
                    sequence: Some((
                        u64::try_from(half + 1).unwrap(),
                        Digest::of(&half.to_le_bytes()),
                    )),
                    samples: (samples * half / 2..samples * (half + 1) / 2).map(sample).collect(),
                    presence: Some(Interval { from, to: from.plus_ms(43_000_000) }),
                    sessions: (half * 2..half * 2 + 2).map(session).collect(),
                };
                store.store_report(report).await.unwrap();
            }
        }
    })
    .await;
}

async fn generate(dir: &Path, nodes: u32, samples: i64) {
    let store = lucid_testkit::STORES.open(&format!("sqlite://{}", dir.display())).await.unwrap();
    let family = FamilyId(Uuid::now_v7());
    store
        .stamp_or(Stamp {
            environment: Environment::Sandbox,
            network: "nile".into(),
            rail: "sandbox".into(),
            family,
        })
        .await
        .unwrap();
    fleet(&store, nodes).await;
    epochs(store.as_ref(), nodes).await;
    money(store.as_ref(), nodes).await;
    telemetry(&store, nodes, samples).await;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |place: usize, or: i64| arguments.get(place).map_or(or, |text| text.parse().unwrap());
    let (nodes, samples) = (u32::try_from(number(0, 2_000)).unwrap(), number(1, 288));
    let mut server = Command::new("scripts/mongo-server.sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.starts_with("mongodb") {
        println!("{}", line.trim());
        server.wait().unwrap();
        return;
    }
    let to = line.trim().replacen("/?", &format!("/bench-{}?", Uuid::now_v7().simple()), 1);
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let started = Instant::now();
        generate(dir.path(), nodes, samples).await;
        let bytes: u64 = ["core.db", "telemetry.db"]
            .iter()
            .map(|file| dir.path().join(file).metadata().unwrap().len())
            .sum();
        println!(
            "{nodes} nodes, {samples} samples a day: {} MiB, made in {:.1} s",
            bytes >> 20,
            started.elapsed().as_secs_f64()
        );
        let started = Instant::now();
        let report = lucid_store::copy(
            &lucid_testkit::STORES,
            &format!("sqlite://{}", dir.path().display()),
            &to,
            &lucid_store::Limits::default(),
            &mut |_| ControlFlow::Continue(()),
        )
        .await
        .unwrap();
        assert!(report.is_equal(), "{:?}", report.misfits);
        let mut copied = 0.0;
        for kind in report.kinds.iter().filter(|kind| kind.to.count > 0) {
            let (copying, reading) = (kind.copied_in.as_secs_f64(), kind.verified_in.as_secs_f64());
            copied += copying;
            println!(
                "  {:<17} {:>10}  copied in {copying:>7.1} s  read back in {reading:>7.1} s",
                kind.kind.name(),
                kind.to.count
            );
        }
        let whole = started.elapsed().as_secs_f64();
        println!("copied in {copied:.1} s, with reading back {whole:.1} s");
    });
    drop(server.stdin.take());
    server.wait().unwrap();
}
