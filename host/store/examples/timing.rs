use lucid_model::{audit::AuditEntry, id::*, node::*, score::*, time::TimeMs};
use std::{sync::Arc, time::Instant};
use uuid::Uuid;
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    rt.block_on(async {
        let store = lucid_store::open(&format!("sqlite://{dir}/")).unwrap();
        let start = Instant::now();
        let tasks: Vec<_> = (0..64u32)
            .map(|t| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let mut slow = 0u128;
                    for i in 0..200u32 {
                        let n = t * 1000 + i;
                        let [a, b, c, d] = n.to_be_bytes();
                        let node = Node {
                            id: NodeId(Uuid::now_v7()),
                            owner: UserId(Uuid::from_u128(u128::from(t))),
                            external_id: None,
                            name: format!("n{n}"),
                            description: None,
                            status: NodeStatus::Active,
                            error_reason: None,
                            pool: None,
                            ip_address: std::net::IpAddr::from([a, b, c, d]),
                            port: 9000,
                            created_at: TimeMs(i64::from(n)),
                            updated_at: TimeMs(1),
                            activated_at: None,
                            score: None,
                            observed_s: 0,
                            config: NodeConfig::default(),
                            public_key: Some(PublicKey({
                                let mut k = [0; 32];
                                k[..4].copy_from_slice(&n.to_be_bytes());
                                k
                            })),
                            wallet: None,
                            hardware: None,
                            suspension: None,
                            version: 1,
                        };
                        let audit = AuditEntry {
                            id: AuditId(Uuid::now_v7()),
                            at: TimeMs(1),
                            actor: "a".into(),
                            action: "node.register".into(),
                            subject: node.id.to_string(),
                            detail: String::new(),
                            request_id: None,
                        };
                        let one = Instant::now();
                        store.register_node(node, audit).await.unwrap();
                        slow = slow.max(one.elapsed().as_micros());
                    }
                    slow
                })
            })
            .collect();
        let mut worst = 0;
        for t in tasks {
            worst = worst.max(t.await.unwrap());
        }
        let s = start.elapsed().as_secs_f64();
        println!("{:.0} registrations/s, worst {worst} us", 12800.0 / s);
        // observed over all
        let nodes: Vec<NodeId> = {
            let mut v = vec![];
            let mut after = None;
            loop {
                let p = store.live_nodes_after(after, 1000).await.unwrap();
                if p.is_empty() {
                    break;
                }
                after = p.last().map(|n| n.id);
                v.extend(p.into_iter().map(|n| n.id));
            }
            v
        };
        let start = Instant::now();
        let tasks: Vec<_> = nodes
            .chunks(200)
            .map(|ns| {
                let (ns, store) = (ns.to_vec(), Arc::clone(&store));
                tokio::spawn(async move {
                    for node in ns {
                        let samples = (0..10)
                            .map(|i| lucid_model::metric::Sample {
                                node,
                                at: TimeMs(i * 30_000),
                                arrived_at: TimeMs(i),
                                usage: Default::default(),
                                active_sessions: 1,
                                uptime_s: 1,
                            })
                            .collect();
                        let span = lucid_model::credit::Interval { from: TimeMs(0), to: TimeMs(300_000) };
                        let session = lucid_model::observation::Observation {
                            session: SessionId(Uuid::now_v7()),
                            node,
                            span,
                            quality: Ppm(1),
                            usage: None,
                            by: lucid_model::observation::Observer::Itself,
                            received_at: TimeMs(1),
                            verdict: lucid_model::observation::Verdict::Accepted,
                        };
                        store
                            .store_report(lucid_ports::Report {
                                node,
                                arrived_at: TimeMs(1),
                                sequence: Some((1, Digest::default())),
                                samples,
                                presence: Some(span),
                                sessions: vec![session],
                            })
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for t in tasks {
            t.await.unwrap();
        }
        println!("{:.0} reports/s (10 samples, presence, a session each)", nodes.len() as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let o = store.observed(&nodes, lucid_model::credit::Interval { from: TimeMs(0), to: TimeMs(3_600_000) }).await.unwrap();
        println!("observed {} nodes in {:?}", o.len(), start.elapsed());
        let start = Instant::now();
        for _ in 0..1000 {
            store.node(nodes[5]).await.unwrap();
        }
        println!("point read {:?}", start.elapsed() / 1000);
        // an epoch of all nodes
        let period = lucid_model::epoch::PeriodLength::new(3600).unwrap().period_at(TimeMs(0));
        let policy = lucid_model::policy::PolicyRef { name: "p".into(), version: "1.0.0".parse().unwrap(), digest: Digest::default() };
        let chunks = nodes
            .chunks(2000)
            .enumerate()
            .map(|(i, ns)| lucid_model::receipt::ScoredChunk {
                header: lucid_model::receipt::ChunkHeader {
                    period,
                    pool: PoolScope::Unassigned,
                    index: i as u32,
                    rows: ns.len() as u32,
                    frame: Digest::default(),
                    policy: policy.clone(),
                    params: Digest::default(),
                    abi: "a".into(),
                    rules: 1,
                },
                rows: ns
                    .iter()
                    .map(|n| lucid_model::receipt::ScoreRow {
                        node: *n,
                        observed_s: 1,
                        window_observed_s: 1,
                        eligible: true,
                        multiplier: Ppm(1),
                        raw: RawCenti(1),
                        score: ScoreCenti(1),
                        sessions: 1,
                        factors: Default::default(),
                        reason: None,
                        held: false,
                    })
                    .collect(),
            })
            .collect();
        let record = lucid_model::epoch::EpochRecord {
            epoch: period,
            closed_at: TimeMs(1),
            policy_revision: lucid_model::policy::Revision(1),
            rules: 1,
            nodes: 1,
            eligible: 1,
            held: 0,
            root: Digest::default(),
            previous_link: Digest::default(),
            block: None,
        };
        let start = Instant::now();
        store.commit_epoch(record, chunks, vec![]).await.unwrap();
        println!("epoch of {} nodes committed in {:?}", nodes.len(), start.elapsed());
    });
}
