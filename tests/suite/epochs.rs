//! Epochs are closed once and always the same, whoever closes them, however often he is killed
//! meanwhile.

pub(crate) mod shards;
pub(crate) mod voids;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use lucid_model::{
    epochs::{
        epoch::EpochRecord,
        epoch_file::{MAGIC, SECTION_HEAD_BYTES},
        receipt::epoch_root,
        score::Ppm,
    },
    id::NodeId,
    notifications::event::EventKind,
    policies::Revision,
    time::TimeMs,
};
use lucid_ports::{EpochFilter, Order, PageRequest, Store, VoteFilter};
use lucid_service::Service;
use lucid_testkit::fleet;

use crate::support::{Lucid, SHORT, block_on, eventually, mongo::MongoServer, node::TestNode};

/// More than one chunk of the pool.
const NODES: u32 = 2_300;
const EPOCHS: u32 = 3;
/// Fewer: each is registered and reports one by one.
const NODES_OF_MONGODB: u32 = 120;
/// Where a child closes epochs.
const CHILD_STORE: &str = "EPOCHS_CHILD_STORE";

fn policies() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/observation-weighted/1.0.0")
}

fn kills() -> u64 {
    std::env::var("KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// A fleet that has worked for so many epochs, none of which is closed.
async fn fill(store: &Arc<dyn Store>, nodes: u32) {
    fleet::register(store, nodes).await;
    fleet::activate(store.as_ref(), &policies(), Revision(0)).await;
    for epoch in 1..=EPOCHS {
        fleet::work(store, nodes, epoch).await;
    }
}

async fn close_all(service: &Service) {
    while service.epochs.close_due_epoch().await.unwrap().is_some() {}
}

async fn records(store: &dyn Store) -> Vec<EpochRecord> {
    let all = PageRequest { page: 1, limit: 100, sort: (), order: Order::Ascending };
    store.epochs(EpochFilter::default(), all).await.unwrap().items
}

/// What counts: all but which attempt it was and when.
async fn roots(store: &dyn Store) -> Vec<String> {
    records(store).await.iter().map(|record| record.link().to_string()).collect()
}

async fn closed_by(
    store: Arc<dyn Store>,
    nodes: u32,
    chunks_at_once: usize,
    threads: usize,
) -> Vec<String> {
    let cache = tempfile::tempdir().unwrap();
    fill(&store, nodes).await;
    let service = fleet::service(&store, cache.path(), EPOCHS, chunks_at_once, threads).await;
    close_all(&service).await;
    check(store.as_ref(), &service, nodes).await;
    roots(store.as_ref()).await
}

/// Each epoch has the root of its receipts and comes out the same again, the chain holds, and every
/// node counted each epoch once.
async fn check(store: &dyn Store, service: &Service, nodes: u32) {
    let records = records(store).await;
    assert_eq!(records.len(), usize::try_from(EPOCHS).unwrap() + 1);
    assert!(records.windows(2).all(|two| two[1].previous_link == two[0].link()), "the chain holds");
    let (mut observed, mut eligible) = (std::collections::BTreeMap::<NodeId, u64>::new(), 0);
    for record in &records[1..] {
        let chunks = store.scored(record.epoch.start_s).await.unwrap();
        assert_eq!((epoch_root(&chunks), record.nodes, record.held), (record.root, nodes, 0));
        for row in chunks.iter().flat_map(|chunk| &chunk.rows) {
            *observed.entry(row.node).or_default() += u64::from(row.observed_s);
        }
        eligible += u64::from(record.eligible);
        let replay = service.epochs.replay_epoch(record.epoch.start_s).await.unwrap();
        assert!(replay.is_same() && replay.rows == u64::from(nodes), "{replay:?}");
    }
    for number in 0..nodes {
        let node = store.node(fleet::node_id(number)).await.unwrap().unwrap();
        assert_eq!(
            Some(&node.observed_s),
            observed.get(&node.id),
            "{} counted each epoch once",
            node.id
        );
    }
    while store.make_votes(TimeMs(0)).await.unwrap().worked {}
    let one = PageRequest { page: 1, limit: 1, sort: (), order: Order::Ascending };
    assert_eq!(
        store.votes(&VoteFilter::default(), one).await.unwrap().total,
        eligible,
        "a vote for each eligible node"
    );
}

#[test]
fn scores_are_the_same_on_one_core_or_more_and_in_every_store() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let sqlite = lucid_testkit::STORES
            .open(&format!("sqlite://{}", dir.path().display()))
            .await
            .unwrap();
        let alone = closed_by(sqlite, NODES, 1, 1).await;
        let memory = || Arc::new(lucid_store_sqlite::Memory::new().unwrap().open().unwrap());
        assert_eq!(closed_by(memory(), NODES, 4, 2).await, alone);
        if let Some(server) = MongoServer::start() {
            let store = lucid_testkit::STORES.open(&server.database()).await.unwrap();
            assert_eq!(
                closed_by(store, NODES_OF_MONGODB, 3, 2).await,
                closed_by(memory(), NODES_OF_MONGODB, 1, 1).await
            );
        }
    });
}

/// Not a case: what [`closed_across_kills`] starts and kills.
#[test]
fn child_that_closes_epochs() {
    let Ok(url) = std::env::var(CHILD_STORE) else { return };
    block_on(async {
        let store = lucid_testkit::STORES.open(&url).await.unwrap();
        let cache = tempfile::tempdir().unwrap();
        let service = fleet::service(&store, cache.path(), EPOCHS, 2, 1).await;
        println!("\nchild is closing");
        close_all(&service).await;
        println!("\nchild is done");
    });
}

/// Kills whoever closes the epochs, at moments spread over the close, until one is let finish.
fn closed_across_kills(url: &str, nodes: u32, kills: u64) -> u64 {
    let mut chance = fleet::Chance::of(kills + 11);
    let mut killed = 0;
    for round in 0.. {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "epochs::child_that_closes_epochs", "--nocapture"])
            .env(CHILD_STORE, url)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "child is closing"), "the child cannot close epochs");
        if round < kills {
            // Early ones and late ones alike, however fast the machine is.
            let longest_ms = 1 << chance.below(9);
            thread::sleep(Duration::from_millis(chance.below(longest_ms)));
            child.kill().unwrap();
        }
        let done = lines.any(|line| line == "child is done");
        child.wait().unwrap();
        if done {
            break;
        }
        killed += 1;
    }
    block_on(async {
        let store = lucid_testkit::STORES.open(url).await.unwrap();
        let cache = tempfile::tempdir().unwrap();
        let service = fleet::service(&store, cache.path(), EPOCHS, 2, 1).await;
        check(store.as_ref(), &service, nodes).await;
        // Somebody who was never killed finds the same.
        let memory: Arc<dyn Store> =
            Arc::new(lucid_store_sqlite::Memory::new().unwrap().open().unwrap());
        fill(&memory, nodes).await;
        let undisturbed = fleet::service(&memory, cache.path(), EPOCHS, 4, 2).await;
        close_all(&undisturbed).await;
        assert_eq!(roots(store.as_ref()).await, roots(memory.as_ref()).await);
    });
    killed
}

/// The same in as many stores as it takes for all the kills: few fit into one close.
fn closed_across_all_kills(nodes: u32, url: impl Fn() -> String) {
    let (mut killed, mut stores) = (0, 0);
    while killed < kills() {
        let url = url();
        block_on(async { fill(&lucid_testkit::STORES.open(&url).await.unwrap(), nodes).await });
        killed += closed_across_kills(&url, nodes, kills() - killed);
        stores += 1;
        assert!(stores < 10 + 2 * kills(), "{killed} kills in {stores} stores");
    }
    println!(
        "{killed} kills in {stores} stores while {EPOCHS} epochs of {nodes} nodes were closed"
    );
}

#[test]
fn kills_while_epochs_are_closed_score_nobody_twice() {
    let dir = tempfile::tempdir().unwrap();
    closed_across_all_kills(NODES, || {
        format!("sqlite://{}/{}", dir.path().display(), uuid::Uuid::now_v7().simple())
    });
}

#[test]
fn kills_while_epochs_are_closed_score_nobody_twice_over_mongodb() {
    let Some(server) = MongoServer::start() else { return };
    closed_across_all_kills(NODES_OF_MONGODB, || server.database());
}

/// Nodes send a sample an hour here, of the hundred and twenty that are expected.
#[test]
fn an_epoch_waits_for_reports_until_its_deadline() {
    block_on(async {
        let store: Arc<dyn Store> =
            Arc::new(lucid_store_sqlite::Memory::new().unwrap().open().unwrap());
        fill(&store, 3).await;
        let cache = tempfile::tempdir().unwrap();
        let at = |after_ms: i64, least_ppm: u32| {
            let mut config = fleet::config(1);
            config.epochs.epoch_completeness_min = Ppm(least_ppm);
            config.epochs.epoch_deadline_ms = 180_000;
            fleet::service_at(
                &store,
                cache.path(),
                fleet::epoch(1).end().plus_ms(after_ms),
                1,
                config,
            )
        };
        let early = at(179_999, 900_000).await;
        assert_eq!(early.epochs.close_due_epoch().await.unwrap(), None, "reports may still come");
        let closing = early.epochs.closing().unwrap();
        assert_eq!(
            (closing.epoch, closing.stage.name(), closing.completeness),
            (fleet::epoch(1), "waiting", Some(Ppm(8_333)))
        );
        assert_eq!(
            store.frame_parts(fleet::epoch(1).start_s).await.unwrap(),
            None,
            "nothing is fixed yet"
        );
        let late = at(180_000, 900_000).await;
        let mut events = late.notifications.bus().subscribe();
        let closed = late.epochs.close_due_epoch().await.unwrap().unwrap();
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let EventKind::EpochClosing { epoch, stage, done, nodes } = event.kind {
                assert_eq!((epoch, nodes.unwrap_or(3)), (fleet::epoch(1), 3));
                told.push((stage, done));
            }
        }
        let gathered = told.iter().filter(|(stage, _)| *stage == "gathering").count();
        assert!(
            gathered > 0 && told[gathered..] == [("scoring", 0), ("scoring", 3), ("storing", 0)],
            "{told:?}"
        );
        assert_eq!(
            (closed.epoch, closed.nodes, closed.completeness),
            (fleet::epoch(1), 3, Some(Ppm(8_333)))
        );
        let enough =
            fleet::service_at(&store, cache.path(), fleet::epoch(2).end().plus_ms(45_000), 1, {
                let mut config = fleet::config(1);
                config.epochs.epoch_completeness_min = Ppm(8_333);
                config.epochs.epoch_deadline_ms = 180_000;
                config
            });
        assert_eq!(
            enough.await.epochs.close_due_epoch().await.unwrap().unwrap().epoch,
            fleet::epoch(2),
            "nobody waits for more than enough"
        );
    });
}

/// What the API and the commands say of a score.
#[test]
fn a_score_is_explained_replayed_exported_and_verified_elsewhere() {
    let lucid = Lucid::serve_with(&SHORT);
    let mut nodes: Vec<_> =
        (1..=2).map(|number| TestNode::register(&lucid, "alice", number)).collect();
    let mut worked = std::time::Instant::now();
    nodes.iter_mut().for_each(|node| node.work(&lucid));
    let score = eventually("a score", || {
        if worked.elapsed() > Duration::from_secs(1) {
            nodes.iter_mut().for_each(|node| node.work(&lucid));
            worked = std::time::Instant::now();
        }
        let scores =
            lucid.get(&format!("/api/v1/poot/scores?node_id={}&sort=calculated_at", nodes[0].id));
        scores["scores"]
            .as_array()
            .unwrap()
            .iter()
            .find(|score| score["observed_seconds"].as_i64() > Some(0))
            .cloned()
    });
    let (id, epoch) = (score["score_id"].as_str().unwrap(), score["epoch"].as_i64().unwrap());
    let explained = lucid.get(&format!("/api/v1/poot/scores/{id}/explain"));
    assert_eq!(explained["score"]["score_id"], score["score_id"]);
    let observed = explained["facts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|fact| fact["name"] == "observed-s")
        .unwrap();
    assert_eq!((&observed["value"], &observed["unit"]), (&score["observed_seconds"], &"s".into()));
    let words = explained["words"].as_array().unwrap();
    let credited = format!(
        "{} of {} seconds of the epoch were credited",
        score["observed_seconds"], score["period_seconds"]
    );
    assert!(words[0].as_str().unwrap().starts_with(&credited), "{words:?}");

    let (status, replay) = lucid.call(
        "POST",
        &format!("/api/v1/poot/scores/{id}/replay"),
        Some(&lucid.token("root", "admin")),
        None,
    );
    assert_eq!((status, &replay["replay"]["same"]), (200, &true.into()), "{replay}");
    let record = lucid.get(&format!("/api/v1/poot/epochs/{epoch}"));
    assert_eq!(
        (&record["state"], &record["record"]["root"]),
        (&"closed".into(), &replay["proof"]["epoch_root"])
    );
    assert!(record["completeness"].is_number(), "{record}");
    let (status, replay) = lucid.call(
        "POST",
        &format!("/api/v1/poot/epochs/{epoch}/replay"),
        Some(&lucid.token("root", "admin")),
        None,
    );
    assert_eq!(
        (status, &replay["same"], &replay["rows"]),
        (200, &true.into(), &record["record"]["nodes"]),
        "{replay}"
    );
    assert_eq!(
        lucid.call("GET", "/api/v1/poot/epochs/7", Some(&lucid.token("root", "admin")), None).0,
        404
    );

    let dir = tempfile::tempdir().unwrap();
    let (file, token) = (dir.path().join("epoch.lucid"), dir.path().join("token"));
    std::fs::write(&token, lucid.token("root", "admin")).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lucid")).args(args).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (path, token) = (file.to_str().unwrap(), token.to_str().unwrap());
    let (code, said) = run(&[
        "epoch",
        "export",
        &epoch.to_string(),
        path,
        "--server",
        &lucid.base,
        "--token-file",
        token,
    ]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["replay", path]);
    assert!(
        code == Some(0)
            && said.contains("all as they were")
            && said.contains(record["record"]["link"].as_str().unwrap()),
        "{said}"
    );
    let (code, said) =
        run(&["replay", &epoch.to_string(), "--server", &lucid.base, "--token-file", token]);
    assert!(code == Some(0) && said.contains("1 epochs"), "{said}");
    // A range, with the policy from elsewhere, and with another policy than the receipts name.
    let next = eventually("the epoch after it", || {
        let closed = lucid.get("/api/v1/poot/epochs?limit=1")["epochs"][0]["epoch"].as_i64()?;
        (closed > epoch).then_some(closed)
    });
    let to = (next + 1).to_string();
    let (code, said) = run(&[
        "replay",
        &epoch.to_string(),
        "--to",
        &to,
        "--server",
        &lucid.base,
        "--token-file",
        token,
    ]);
    let count = (next - epoch) / 5 + 1;
    assert!(
        code == Some(0)
            && said.contains(&format!("{count} epochs"))
            && said.contains("all as they were"),
        "{said}"
    );
    let own = policies();
    let (code, said) = run(&["replay", path, "--policy", own.to_str().unwrap()]);
    assert!(code == Some(0) && said.contains("all as they were"), "{said}");
    let other = own.join("../../observation-only/1.0.0");
    let (code, said) = run(&["replay", path, "--policy", other.to_str().unwrap()]);
    assert!(code == Some(1) && !said.contains("all as they were"), "{said}");
    let (code, said) = run(&[
        "replay",
        &epoch.to_string(),
        "--policy",
        own.to_str().unwrap(),
        "--server",
        &lucid.base,
        "--token-file",
        token,
    ]);
    assert!(code == Some(2) && said.contains("--policy is for files"), "{said}");

    let whole = std::fs::read(&file).unwrap();
    for place in [
        MAGIC.len(),
        MAGIC.len() + SECTION_HEAD_BYTES,
        whole.len() / 2,
        whole.len() - SECTION_HEAD_BYTES - 5,
        whole.len() - 1,
    ] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(&file, changed).unwrap();
        let (code, said) = run(&["replay", path]);
        assert!(code == Some(1) && said.contains("section "), "byte {place}: {said}");
    }
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let (code, said) = run(&["replay", path]);
    assert!(code == Some(1) && said.contains("the file ends in it"), "{said}");
}

#[test]
fn a_node_that_sends_only_metrics_is_told_why_it_scores_nothing() {
    let lucid = Lucid::serve_with(&SHORT);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let owner = lucid.token("alice", "node_operator");
    let score = eventually("a score of an epoch", || {
        let (number, sample) = node.next_sample();
        assert_eq!(node.report_as(&lucid, "metrics", number, &sample).0, 200);
        let (status, scores) = lucid.call(
            "GET",
            &format!("/api/v1/poot/scores?node_id={}", node.id),
            Some(&owner),
            None,
        );
        assert_eq!(status, 200, "{scores}");
        scores["scores"].as_array()?.first().cloned()
    });
    let why = "metrics alone earn nothing: report sessions to POST /api/v1/nodes/{id}/observations";
    assert!(
        score["observed_seconds"] == 0
            && score["reason"].as_str().is_some_and(|reason| reason.contains(why)),
        "{score}"
    );
    let path = format!("/api/v1/poot/scores/{}/explain", score["score_id"].as_str().unwrap());
    let (status, explained) = lucid.call("GET", &path, Some(&owner), None);
    assert!(status == 200 && explained["words"].to_string().contains(why), "{explained}");
}
