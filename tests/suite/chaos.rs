//! Three replicas, MongoDB and Redis under load, any of which is killed at any moment: nothing
//! acknowledged is lost, nothing is paid twice, no epoch is closed twice, none mixes policies, and
//! whoever is answered with an error is so while something is dead. No two replicas have the same
//! time.
//!
//! `CHAOS_SECONDS=600 cargo test --test suite chaos -- --nocapture` goes on for longer; `SEED=…`
//! kills in the same order again.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lucid_model::{
    epochs::receipt::epoch_root,
    id::{NodeId, PoolScope},
    time::TimeMs,
};
use lucid_ports::{EpochFilter, Order, PageRequest, Store};
use serde_json::{Value, json};

use crate::{
    kill::{check_money, payouts},
    support::{
        Lucid, SHORT, SandboxProcess, block_on, clock::WallClock, eventually, eventually_within,
        http, mongo::MongoServer, node::TestNode, now_ms, redis::RedisServer,
    },
};
use lucid_testkit::fleet::Chance;

const REPLICAS: usize = 3;
const NODES: u8 = 6;
/// Seconds of load, unless told otherwise.
const SECONDS: u64 = 20;
/// How far each replica's clock is ahead, seconds.
const CLOCKS: [i64; REPLICAS] = [0, 5, -5];
/// Between two samples of a node, by its own clock.
const STEP_MS: i64 = 2_000;
/// Between two reports of a node.
const PAUSE: Duration = Duration::from_millis(150);
/// How long whoever is cut off from Redis is: longer than a lease.
const CUT_OFF: Duration = Duration::from_secs(6);
/// After what was dead serves again, connections to it may still fail for so long.
const GRACE: Duration = Duration::from_secs(3);

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Replica(usize),
    Mongo,
    Redis,
}

/// What those who report share with whoever kills.
struct Field {
    bases: [RwLock<String>; REPLICAS],
    over: AtomicBool,
    answered: AtomicU64,
    /// When, by which replica, and what came instead of an answer.
    errors: Mutex<Vec<(Instant, usize, String)>>,
}

/// A node that reports until it is acknowledged, to another replica if one does not answer.
struct Reporter {
    node: TestNode,
    start_ms: i64,
    /// Numbers of samples that were acknowledged.
    samples: Vec<u64>,
}

impl Reporter {
    fn sample(&self, number: u64) -> Value {
        let at = TimeMs(self.start_ms + STEP_MS * i64::try_from(number).unwrap());
        json!({ "timestamp": at.to_string(), "cpu_usage": number % 100 })
    }

    fn work(mut self, field: &Field, first: usize) -> Self {
        let client =
            http().pool_max_idle_per_host(1).timeout(Duration::from_secs(10)).build().unwrap();
        let mut place = first;
        while !field.over.load(Ordering::SeqCst) {
            let number = self.node.sequence + 1;
            let (kind, body) = if number.is_multiple_of(8) {
                ("observations", json!({ "observations": [self.node.session_until(now_ms())] }))
            } else {
                ("metrics", self.sample(number))
            };
            let (bytes, headers) = self.node.signed(kind, number, &body);
            let mut tried = false;
            loop {
                let url = format!(
                    "{}/api/v1/nodes/{}/{kind}",
                    field.bases[place].read().unwrap(),
                    self.node.id
                );
                let request = client
                    .post(url)
                    .bearer_auth(&self.node.token)
                    .header("content-type", "application/json")
                    .body(bytes.clone());
                let request = headers
                    .iter()
                    .fold(request, |request, (name, value)| request.header(*name, value));
                let answer = block_on(async {
                    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
                    let status = answer.status().as_u16();
                    answer
                        .text()
                        .await
                        .map(|text| (status, text))
                        .map_err(|error| format!("{error:?}"))
                });
                match answer {
                    Ok((200, _)) => break,
                    // It was stored when its answer was lost.
                    Ok((409, _)) if tried => break,
                    Ok((status, text)) => field.errors.lock().unwrap().push((
                        Instant::now(),
                        place,
                        format!("{status} {text}"),
                    )),
                    Err(error) => field.errors.lock().unwrap().push((Instant::now(), place, error)),
                }
                (tried, place) = (true, (place + 1) % REPLICAS);
                thread::sleep(Duration::from_millis(50));
            }
            self.node.sequence = number;
            if kind == "metrics" {
                self.samples.push(number);
            }
            field.answered.fetch_add(1, Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
        self
    }

    /// Everything that was acknowledged is in the history, once, as it was sent.
    fn check(&self, lucid: &Lucid) {
        let end = TimeMs(self.start_ms + STEP_MS * i64::try_from(self.node.sequence + 2).unwrap());
        let range = format!("from={}&to={end}", TimeMs(self.start_ms));
        let history = lucid.get(&format!(
            "/api/v1/resources/nodes/{}/history?metric=cpu&resolution=raw&{range}",
            self.node.id
        ));
        let kept: Vec<_> = history["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["time"].as_str().unwrap().to_owned())
            .collect();
        let sent: Vec<_> = self
            .samples
            .iter()
            .map(|number| self.sample(*number)["timestamp"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kept, sent, "node {}", self.node.id);
    }
}

/// The processes.
struct Scene {
    replicas: Vec<Lucid>,
    _clocks: Vec<WallClock>,
    mongo: MongoServer,
    redis: RedisServer,
    /// When somebody was dead: from when until when, and who.
    dead: Vec<(Instant, Instant, Victim)>,
    policy: bool,
}

impl Scene {
    fn kill(&mut self, field: &Field, victim: Victim) {
        let from = Instant::now();
        match victim {
            Victim::Replica(place) => {
                self.replicas[place].crash_and_restart();
                field.bases[place].write().unwrap().clone_from(&self.replicas[place].base);
            }
            Victim::Mongo => {
                self.mongo.kill();
                self.mongo.start_again();
            }
            Victim::Redis => {
                self.redis.kill();
                thread::sleep(CUT_OFF);
                self.redis.start_again();
            }
        }
        self.dead.push((from, Instant::now() + GRACE, victim));
    }

    /// Another policy is active from now on, by a replica that may have just come back.
    fn swap(&mut self, chance: &mut Chance) {
        let lucid = &self.replicas[usize::try_from(chance.below(REPLICAS as u64)).unwrap()];
        let name = if self.policy { "observation-only" } else { "observation-weighted" };
        let path = format!("/api/v1/policies/scoring/{name}/1.0.0/activate");
        let (token, body) = (lucid.token("root", "admin"), json!({ "reason": "chaos" }));
        eventually("a swap", || {
            (lucid.call("POST", &path, Some(&token), Some(&body)).0 == 200).then_some(())
        });
        self.policy = !self.policy;
    }
}

/// All that a test begins with.
struct Stage {
    sandbox: SandboxProcess,
    scene: Scene,
    field: Field,
    reporters: Vec<Reporter>,
    database: String,
}

impl Stage {
    fn set(mongo: Option<MongoServer>) -> Option<Self> {
        let (mongo, redis, sandbox) = (mongo?, RedisServer::start()?, SandboxProcess::start());
        // A database that is away is found to be so in a moment, and not in ten seconds.
        let (database, cache) =
            (format!("{}&serverSelectionTimeoutMS=500", mongo.database()), redis.url());
        let mut settings = SHORT.to_vec();
        settings.extend([
            ("MONGODB_URI", database.as_str()),
            ("REDIS_URI", cache.as_str()),
            ("TRON_PAYMENT_URL", sandbox.url.as_str()),
            ("BLOCKCHAIN_URL", sandbox.url.as_str()),
            ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "100000"),
            ("LUCID_SCORING_EPOCH_S", "2"),
            ("LUCID_SCORING_CLOSE_DELAY_S", "1"),
            ("POOT_MIN_OBSERVATION_TIME", "1"),
            ("LUCID_PAYOUTS_SETTLEMENT_S", "6"),
            ("LUCID_LIMITS_OTHER_PER_MIN", "0"),
            ("LUCID_LIMITS_ADMIN_PER_MIN", "0"),
        ]);
        let clocks: Vec<WallClock> = CLOCKS.into_iter().map_while(WallClock::ahead).collect();
        let own =
            |place: usize| clocks.get(place).map(|clock| clock.settings()).into_iter().flatten();
        let replicas: Vec<Lucid> = (0..REPLICAS)
            .map(|place| {
                Lucid::serve_with(&settings.iter().copied().chain(own(place)).collect::<Vec<_>>())
            })
            .collect();
        let field = Field {
            bases: [0, 1, 2].map(|place| RwLock::new(replicas[place].base.clone())),
            over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            errors: Mutex::default(),
        };
        let start_ms = now_ms() - 6 * 3_600_000;
        let reporter = |number| Reporter {
            node: TestNode::register(&replicas[0], "alice", number),
            start_ms,
            samples: Vec::new(),
        };
        let reporters = (1..=NODES).map(reporter).collect();
        let scene =
            Scene { replicas, _clocks: clocks, mongo, redis, dead: Vec::new(), policy: true };
        Some(Self { sandbox, scene, field, reporters, database })
    }
}

/// Everything that the payment service paid.
fn transfers(sandbox: &SandboxProcess) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let page = sandbox.get(&format!("/api/v1/sandbox/transfers?limit=1000&after={from}"));
        all.extend(page["transfers"].as_array().unwrap().iter().cloned());
        after = page["next_after"].as_i64();
    }
    all
}

/// Each epoch was closed once and follows the one before it, has the root of its receipts, and no
/// pool of it two policies; each node counted each once.
async fn check_epochs(store: &dyn Store) -> usize {
    let (mut records, mut page) = (Vec::new(), 1);
    loop {
        let request = PageRequest { page, limit: 100, sort: (), order: Order::Ascending };
        let found = store.epochs(EpochFilter::default(), request).await.unwrap();
        records.extend(found.items);
        if records.len() as u64 >= found.total {
            break;
        }
        page += 1;
    }
    assert!(records.windows(2).all(|two| two[1].previous_link == two[0].link()), "the chain holds");
    assert!(
        records.windows(2).all(|two| two[1].epoch.start_s == two[0].epoch.end_s()),
        "no epoch is missing or there twice"
    );
    while store.apply_scores().await.unwrap() {}
    let mut observed_s: BTreeMap<NodeId, u64> = BTreeMap::new();
    for record in &records {
        let chunks = store.scored(record.epoch.start_s).await.unwrap();
        assert_eq!(epoch_root(&chunks), record.root, "epoch {}", record.epoch);
        let mut of_pool: BTreeMap<PoolScope, _> = BTreeMap::new();
        for chunk in &chunks {
            let policy = of_pool.entry(chunk.header.pool).or_insert(chunk.header.policy.digest);
            assert_eq!(
                *policy, chunk.header.policy.digest,
                "epoch {} mixes policies",
                record.epoch
            );
            chunk.rows.iter().for_each(|row| {
                *observed_s.entry(row.node).or_default() += u64::from(row.observed_s)
            });
        }
    }
    for (node, observed_s) in observed_s {
        assert_eq!(
            store.node(node).await.unwrap().unwrap().observed_s,
            observed_s,
            "node {node} counted each epoch once"
        );
    }
    records.len()
}

#[test]
fn whatever_is_killed_nothing_is_lost_paid_twice_closed_twice_or_mixed() {
    let seconds =
        std::env::var("CHAOS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| now_ms().unsigned_abs());
    println!("SEED={seed} kills in the same order again");
    let Some(Stage { sandbox, mut scene, field, reporters, database }) =
        Stage::set(MongoServer::start_own())
    else {
        return;
    };
    sandbox.set_faults(
        &json!({ "payout": [{ "effect": "once", "answer": { "drip": { "ms": 15 } } }] }),
    );
    let (mut chance, began) = (Chance::of(seed), Instant::now());
    let over = began + Duration::from_secs(seconds);
    let reporters = thread::scope(|scope| {
        let field = &field;
        let working: Vec<_> = reporters
            .into_iter()
            .zip(0..)
            .map(|(reporter, place)| scope.spawn(move || reporter.work(field, place % REPLICAS)))
            .collect();
        let mut cuts = 0;
        while Instant::now() < over {
            thread::sleep(Duration::from_millis(1_500 + chance.below(3_000)));
            // Redis is cut off twice, at the thirds.
            let due = began + Duration::from_secs(seconds) * (cuts + 1) / 3;
            let victim = match chance.below(10) {
                _ if cuts < 2 && Instant::now() >= due => {
                    cuts += 1;
                    Victim::Redis
                }
                0..3 => Victim::Mongo,
                place => Victim::Replica(usize::try_from(place).unwrap() % REPLICAS),
            };
            scene.kill(field, victim);
            scene.swap(&mut chance);
        }
        field.over.store(true, Ordering::SeqCst);
        working.into_iter().map(|working| working.join().unwrap()).collect::<Vec<_>>()
    });
    sandbox.set_faults(&json!({}));
    let lucid = &scene.replicas[0];
    // A payout that was in doubt at each of several kills waits 5 s, twice as long each time, before
    // it is sent again.
    eventually_within(Duration::from_secs(300), "every payout to be final", || {
        let all = payouts(lucid);
        (!all.is_empty()
            && !all.iter().any(|p| p["status"] == "pending" || p["status"] == "processing"))
        .then_some(())
    });
    let errors = field.errors.into_inner().unwrap();
    println!(
        "{seconds} s, {} kills ({:?}), {} reports acknowledged, {} requests without an answer",
        scene.dead.len(),
        [Victim::Mongo, Victim::Redis]
            .map(|who| (who, scene.dead.iter().filter(|(_, _, victim)| *victim == who).count())),
        field.answered.into_inner(),
        errors.len()
    );
    for (at, place, error) in &errors {
        let explains =
            |victim: Victim| victim == Victim::Mongo || victim == Victim::Replica(*place);
        let is_explained = scene
            .dead
            .iter()
            .any(|(from, until, victim)| explains(*victim) && (*from..=*until).contains(at));
        assert!(is_explained, "replica {place} after {:?}: {error}", at.duration_since(began));
    }
    reporters.iter().for_each(|reporter| reporter.check(lucid));
    let nodes: Vec<TestNode> = reporters.into_iter().map(|reporter| reporter.node).collect();
    let transfers = transfers(&sandbox);
    check_money(lucid, &nodes, &transfers);
    let (code, said) = lucid.treasurer("carol", &["audit"]);
    assert!(code == Some(0) && said.contains("\"in_order\":true"), "{said}");
    let store = block_on(lucid_testkit::STORES.open(&database)).unwrap();
    let epochs = block_on(check_epochs(store.as_ref()));
    println!("{epochs} epochs, {} transfers", transfers.len());
    let keys: Vec<String> = scene
        .replicas
        .iter()
        .map(|lucid| lucid.get("/api/v1/audit/heads")["public_key"].as_str().unwrap().to_owned())
        .collect();
    let arguments: Vec<&str> = keys.iter().flat_map(|key| ["--public-key", key.as_str()]).collect();
    let (code, found) = crate::audit::verify_store(lucid, &arguments);
    assert_eq!((code, &found["intact"]), (Some(0), &json!(true)), "{found}");
}

/// One replica after the other is stopped as an operator stops it, and started again: what was
/// taken is answered, and what is not answered was not taken, so that another replica takes it.
#[test]
fn a_rolling_restart_loses_no_request() {
    let Some(Stage { mut scene, field, reporters, .. }) = Stage::set(MongoServer::start()) else {
        return;
    };
    let reporters = thread::scope(|scope| {
        let field = &field;
        let working: Vec<_> = reporters
            .into_iter()
            .zip(0..)
            .map(|(reporter, place)| scope.spawn(move || reporter.work(field, place % REPLICAS)))
            .collect();
        for round in 0..2 * REPLICAS {
            thread::sleep(Duration::from_millis(700));
            let place = round % REPLICAS;
            scene.replicas[place].stop_for_a_while(|| {});
            field.bases[place].write().unwrap().clone_from(&scene.replicas[place].base);
        }
        field.over.store(true, Ordering::SeqCst);
        working.into_iter().map(|working| working.join().unwrap()).collect::<Vec<_>>()
    });
    let errors = field.errors.into_inner().unwrap();
    println!(
        "{} reports acknowledged, {} asked again elsewhere",
        field.answered.into_inner(),
        errors.len()
    );
    // An answer with a status is an answer; one that says that something failed would be ours.
    assert!(errors.iter().all(|(_, _, error)| !error.starts_with(char::is_numeric)), "{errors:?}");
    reporters.iter().for_each(|reporter| reporter.check(&scene.replicas[0]));
}
