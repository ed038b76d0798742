//! An epoch is scored by all replicas, and comes out as if one had done it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use lucid_model::{
    epochs::score::Ppm,
    id::Digest,
    policies::{Batch, CallContext, Explanation, PolicyIdentity, Revision, Scope, Scores},
};
use lucid_ports::{
    CallError, EpochFilter, Order, PageRequest, PayoutPolicy, PolicySnapshot, ScoringPolicy, Store,
    ValidationPolicy,
};
use lucid_service::{Ports, Service};
use lucid_testkit::fleet;
use tokio::sync::Semaphore;

use crate::support::{PATIENCE, block_on, mongo::MongoServer, runtime::Instead};

/// Five chunks of one pool.
const NODES: u32 = 8_100;
const CHUNKS: usize = 5;
/// Fewer, of a store that takes longer to fill: two chunks.
const NODES_OF_MONGODB: u32 = 2_050;

/// A policy that waits before each chunk until it may go on, and may be another than it says
/// elsewhere.
#[derive(Clone)]
struct Gate {
    may_score: Arc<Semaphore>,
    scored: Arc<AtomicUsize>,
    foreign: bool,
}

impl Gate {
    fn new(chunks: usize, foreign: bool) -> Self {
        Self { may_score: Arc::new(Semaphore::new(chunks)), scored: Arc::default(), foreign }
    }
    fn scored(&self) -> usize {
        self.scored.load(Ordering::SeqCst)
    }
}

struct Gated {
    policy: Arc<dyn ScoringPolicy>,
    identity: PolicyIdentity,
    gate: Gate,
}

#[async_trait]
impl ScoringPolicy for Gated {
    fn identity(&self) -> &PolicyIdentity {
        &self.identity
    }
    async fn score(&self, context: CallContext, batch: Batch) -> Result<Scores, CallError> {
        self.gate.may_score.acquire().await.unwrap().forget();
        self.gate.scored.fetch_add(1, Ordering::SeqCst);
        let mut scores = self.policy.score(context, batch).await?;
        if self.gate.foreign {
            scores.multipliers.iter_mut().for_each(|multiplier| *multiplier = Ppm(1));
        }
        Ok(scores)
    }
    async fn explain(&self, context: CallContext, batch: Batch) -> Result<Explanation, CallError> {
        self.policy.explain(context, batch).await
    }
}

struct Watched {
    active: Arc<dyn PolicySnapshot>,
    gate: Gate,
}

impl PolicySnapshot for Watched {
    fn revision(&self) -> Revision {
        self.active.revision()
    }
    fn scoring(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn ScoringPolicy>> {
        let policy = self.active.scoring(scope, at_s)?;
        let mut identity = policy.identity().clone();
        if self.gate.foreign {
            identity.policy.digest = Digest::of(b"another one");
        }
        Some(Arc::new(Gated { policy, identity, gate: self.gate.clone() }))
    }
    fn validation(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn ValidationPolicy>> {
        self.active.validation(scope, at_s)
    }
    fn payout(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn PayoutPolicy>> {
        self.active.payout(scope, at_s)
    }
}

/// A replica over a store, at the end of the first epoch.
async fn replica(store: &Arc<dyn Store>, cache: &Path, gate: &Gate) -> Arc<Service> {
    let mut config = fleet::config(1);
    config.epochs.replicas = true;
    let ports = fleet::ports(store, cache, fleet::epoch(1).end().plus_ms(45_000), 1);
    let gate = gate.clone();
    let in_force =
        move |active| Arc::new(Watched { active, gate: gate.clone() }) as Arc<dyn PolicySnapshot>;
    let policies = Arc::new(Instead { engine: ports.policies, in_force });
    fleet::service_on(Ports { policies, ..ports }, config).await
}

async fn fill(store: &Arc<dyn Store>, nodes: u32) {
    fleet::register(store, nodes).await;
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/observation-weighted/1.0.0");
    fleet::activate(store.as_ref(), &policy, Revision(0)).await;
    fleet::work(store, nodes, 1).await;
}

/// The links of all closed epochs: what counts of them.
async fn links(store: &dyn Store) -> Vec<Digest> {
    let all = PageRequest { page: 1, limit: 100, sort: (), order: Order::Ascending };
    store
        .epochs(EpochFilter::default(), all)
        .await
        .unwrap()
        .items
        .iter()
        .map(|record| record.link())
        .collect()
}

async fn close_all(service: &Service) {
    while service.epochs.close_due_epoch().await.unwrap().is_some() {}
}

fn memory() -> Arc<dyn Store> {
    Arc::new(lucid_store_sqlite::Memory::new().unwrap().open().unwrap())
}

/// What one replica alone makes of it.
async fn alone(nodes: u32) -> Vec<Digest> {
    // Three tests ask for the same.
    static LARGE: tokio::sync::OnceCell<Vec<Digest>> = tokio::sync::OnceCell::const_new();
    if nodes == NODES {
        LARGE.get_or_init(|| closed_alone(nodes)).await.clone()
    } else {
        closed_alone(nodes).await
    }
}

async fn closed_alone(nodes: u32) -> Vec<Digest> {
    let store = memory();
    fill(&store, nodes).await;
    let cache = tempfile::tempdir().unwrap();
    let service = fleet::service(&store, cache.path(), 1, 1, 1).await;
    close_all(&service).await;
    links(store.as_ref()).await
}

/// Helps as soon as there is something to help with; how many chunks.
async fn helped(helper: &Service) -> u32 {
    let began = std::time::Instant::now();
    loop {
        let chunks = helper.epochs.help_close().await.unwrap();
        if chunks > 0 {
            return chunks;
        }
        assert!(began.elapsed() < PATIENCE, "there is nothing to help with");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A store whose first epoch with work in it is due; the one before, which has none, is closed.
async fn due(store: Arc<dyn Store>, nodes: u32) -> (Arc<dyn Store>, tempfile::TempDir) {
    let cache = tempfile::tempdir().unwrap();
    fill(&store, nodes).await;
    let first = fleet::service(&store, &cache.path().join("first"), 0, 1, 1).await;
    close_all(&first).await;
    (store, cache)
}

async fn is_shared(store: Arc<dyn Store>, nodes: u32, chunks: usize) {
    let (store, cache) = due(store, nodes).await;
    // Whoever closes scores one chunk, and is in the middle of the next one while another replica
    // does the rest.
    let (slow, fast) = (Gate::new(1, false), Gate::new(1_000, false));
    let closer = replica(&store, &cache.path().join("closer"), &slow).await;
    let helper = replica(&store, &cache.path().join("helper"), &fast).await;
    let closing = tokio::spawn({
        let closer = Arc::clone(&closer);
        async move { close_all(&closer).await }
    });
    let others = helped(&helper).await as usize;
    assert_eq!(others, chunks - 1);
    // It looks at what others did every so often.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    slow.may_score.add_permits(1_000);
    closing.await.unwrap();
    assert_eq!(links(store.as_ref()).await, alone(nodes).await);
    assert!(slow.scored() <= 2, "it scored {} chunks, of {chunks}", slow.scored());
    assert_eq!(helper.epochs.help_close().await.unwrap(), 0, "there is nothing more");
    let replay = closer.epochs.replay_epoch(fleet::epoch(1).start_s).await.unwrap();
    assert!(replay.is_same() && replay.rows == u64::from(nodes), "{replay:?}");
}

#[test]
fn an_epoch_that_several_replicas_scored_is_the_same_to_the_byte() {
    block_on(async {
        is_shared(memory(), NODES, CHUNKS).await;
        if let Some(server) = MongoServer::start() {
            is_shared(
                lucid_testkit::STORES.open(&server.database()).await.unwrap(),
                NODES_OF_MONGODB,
                2,
            )
            .await;
        }
    });
}

/// A helper that is stopped in the middle leaves nothing that anybody waits for; whoever closes is
/// stopped, and another one goes on with what both have done.
#[test]
fn whoever_is_stopped_in_the_middle_is_waited_for_by_nobody() {
    block_on(async {
        let (store, cache) = due(memory(), NODES).await;
        let (first, second, third) =
            (Gate::new(1, false), Gate::new(2, false), Gate::new(1_000, false));
        let closer = replica(&store, &cache.path().join("closer"), &first).await;
        let helper = replica(&store, &cache.path().join("helper"), &second).await;
        let closing = tokio::spawn(async move { close_all(&closer).await });
        let began = std::time::Instant::now();
        while second.scored() < 2 {
            // It stands still before its third chunk, and is gone.
            let _ = tokio::time::timeout(
                std::time::Duration::from_millis(300),
                helper.epochs.help_close(),
            )
            .await;
            assert!(began.elapsed() < PATIENCE);
        }
        closing.abort();
        let stored = store.staged(fleet::epoch(1).start_s).await.unwrap().unwrap().chunks.len();
        assert!((2..=3).contains(&stored), "{stored}");
        let next = replica(&store, &cache.path().join("next"), &third).await;
        close_all(&next).await;
        assert_eq!(links(store.as_ref()).await, alone(NODES).await);
        assert_eq!(third.scored(), CHUNKS - stored, "what is stored is not scored again");
    });
}

/// A replica that has not heard of another version yet, or has another one for any reason: nothing
/// that it scored counts.
#[test]
fn what_was_scored_by_another_version_is_scored_again() {
    block_on(async {
        let (store, cache) = due(memory(), NODES).await;
        let (slow, foreign) = (Gate::new(1, false), Gate::new(1_000, true));
        let closer = replica(&store, &cache.path().join("closer"), &slow).await;
        let helper = replica(&store, &cache.path().join("helper"), &foreign).await;
        let closing = tokio::spawn(async move { close_all(&closer).await });
        assert!(helped(&helper).await > 0);
        slow.may_score.add_permits(1_000);
        closing.await.unwrap();
        assert_eq!(links(store.as_ref()).await, alone(NODES).await);
    });
}
