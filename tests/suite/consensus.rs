//! Votes on a clock of the test's own: their order, a chain that is away, undecided, forgetful or
//! contradicts.

pub(crate) mod chains;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use lucid_model::{
    consensus::{BlockRef, Vote, VoteChoice, VoteState, VoteTally},
    epochs::{
        epoch::EpochRecord,
        receipt::{ChunkHeader, ScoreRow, ScoredChunk, epoch_root},
        score::{RULES_VERSION, ScoreCenti},
    },
    id::{Digest, FamilyId, NodeId, PoolScope},
    policies::{PolicyRef, Revision},
    time::{DAY_MS, HOUR_MS, TimeMs},
};
use lucid_ports::{Attempt, Chain, ChainError, Order, PageRequest, Store, VoteAnswer, VoteFilter};
use lucid_service::{Actor, Participation, Ports, Service};
use lucid_store_sqlite::Memory;
use lucid_testkit::fleet;
use uuid::Uuid;

use crate::{
    money::simulation::{
        workers::{policies, ports},
        world::{SharedWorld, World},
    },
    support::{block_on, money},
};

const SECOND_MS: i64 = 1_000;
const BLOCK_MS: i64 = 5_000;
const IN_FLIGHT_MAX: usize = 16;

/// What the chain knows, and how it behaves.
#[derive(Default)]
struct Ledger {
    away: bool,
    /// It goes away when so many votes have arrived.
    away_after: Option<usize>,
    blocks_asked: u32,
    /// A vote that it does not have.
    takes_no: Option<VoteChoice>,
    /// Whose votes it does not answer.
    silent_about: BTreeSet<NodeId>,
    /// What it says to votes of a node; acceptance if nothing.
    says: BTreeMap<NodeId, VoteAnswer>,
    /// What it says when it is asked about an id.
    decided: BTreeMap<String, Option<VoteAnswer>>,
    /// What arrived, in order.
    arrived: Vec<(NodeId, i64, String)>,
    tries: usize,
}

struct TestChain {
    world: SharedWorld,
    ledger: Mutex<Ledger>,
}

fn silence() -> ChainError {
    ChainError { detail: "connection refused".into() }
}

#[async_trait]
impl Chain for TestChain {
    fn takes(&self, choice: VoteChoice) -> bool {
        self.ledger.lock().unwrap().takes_no != Some(choice)
    }

    async fn latest_block(&self) -> Result<BlockRef, ChainError> {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.blocks_asked += 1;
        let height = self.world.lock().unwrap().now_ms / BLOCK_MS;
        if ledger.away {
            Err(silence())
        } else {
            Ok(BlockRef { id: format!("b{height}"), hash: "h".into() })
        }
    }

    async fn vote(
        &self,
        vote: &Vote,
        block: &BlockRef,
        _: [u8; 64],
    ) -> Result<VoteAnswer, ChainError> {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.tries += 1;
        ledger.away |= ledger.away_after.is_some_and(|votes| votes <= ledger.arrived.len());
        if ledger.away || ledger.silent_about.contains(&vote.node) {
            return Err(silence());
        }
        ledger.arrived.push((vote.node, vote.epoch_start_s, block.id.clone()));
        let accepted = VoteAnswer::Accepted {
            vote_id: format!("v-{}", ledger.arrived.len()),
            status: "accepted".into(),
        };
        Ok(ledger.says.get(&vote.node).cloned().unwrap_or(accepted))
    }

    async fn look(&self, vote_id: &str) -> Result<Option<VoteAnswer>, ChainError> {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.tries += 1;
        ledger.decided.get(vote_id).cloned().ok_or_else(silence)
    }
}

struct Scene {
    world: SharedWorld,
    store: Arc<dyn Store>,
    chain: Arc<TestChain>,
    service: Arc<Service>,
    nodes: u32,
}

impl Scene {
    /// Nodes that are all eligible.
    fn new(nodes: u32) -> Self {
        let world: SharedWorld = Arc::new(Mutex::new(World::new(0, 0)));
        // The fleet's first epoch has just ended.
        world.lock().unwrap().now_ms = fleet::epoch(1).start().0;
        let store: Arc<dyn Store> = Arc::new(Memory::new().unwrap().open().unwrap());
        block_on(fleet::register(&store, nodes));
        let chain = Arc::new(TestChain { world: Arc::clone(&world), ledger: Mutex::default() });
        let ports = Ports {
            chain: Some(Arc::clone(&chain) as Arc<dyn Chain>),
            ..ports(&world, Arc::clone(&store), policies())
        };
        let mut config = money::config();
        config.consensus.votes_age_max_ms = DAY_MS;
        config.consensus.vote_retry_first_ms = SECOND_MS;
        config.consensus.votes_in_flight_max = IN_FLIGHT_MAX;
        let service = Service::new(ports, config, FamilyId(Uuid::from_u128(7)));
        Self { world, store, chain, service, nodes }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.chain.ledger.lock().unwrap()
    }

    /// Closes an epoch in which every node has a score.
    fn close(&self, number: u32) {
        self.close_with(
            number,
            (0..self.nodes).map(|node| money::worked_well(fleet::node_id(node))).collect(),
        );
    }

    fn close_with(&self, number: u32, rows: Vec<ScoreRow>) {
        let period = fleet::epoch(number);
        let chunk = |(index, rows): (u32, &[ScoreRow])| ScoredChunk {
            header: ChunkHeader {
                period,
                pool: PoolScope::Unassigned,
                index,
                rows: u32::try_from(rows.len()).unwrap(),
                frame: Digest::default(),
                policy: PolicyRef {
                    name: "p".into(),
                    version: "1.0.0".parse().unwrap(),
                    digest: Digest::default(),
                },
                params: Digest::default(),
                abi: "lucid:policy/scoring@1.0.0".into(),
                rules: RULES_VERSION,
            },
            rows: rows.to_vec(),
        };
        let chunks: Vec<_> = (0..).zip(rows.chunks(2_000)).map(chunk).collect();
        let last = block_on(self.store.last_epoch()).unwrap().unwrap();
        let record = EpochRecord {
            epoch: period,
            closed_at: self.service.clock.now(),
            policy_revision: Revision(1),
            rules: RULES_VERSION,
            nodes: self.nodes,
            eligible: self.nodes,
            held: 0,
            root: epoch_root(&chunks),
            previous_link: last.link(),
            block: block_on(self.service.epochs.block_at_close()).unwrap(),
            completeness: None,
        };
        let attempt = Attempt::from_bytes([1; 12]);
        block_on(self.store.stage_chunks(period, attempt, chunks)).unwrap();
        assert!(block_on(self.store.close_staged(record, attempt)).unwrap().is_some());
    }

    /// Lets time pass, and the service look each second, at once again while it finds work.
    fn pass(&self, seconds: i64) {
        for _ in 0..seconds {
            self.world.lock().unwrap().pass(SECOND_MS);
            while block_on(self.service.consensus.send_votes()).unwrap() > 0 {}
        }
    }

    fn votes(&self, state: VoteState) -> Vec<Vote> {
        let page = PageRequest { page: 1, limit: 100_000, sort: (), order: Order::Ascending };
        block_on(
            self.store.votes(&VoteFilter { state: Some(state), ..VoteFilter::default() }, page),
        )
        .unwrap()
        .items
    }

    fn alert(&self, about: &str) -> Option<String> {
        self.service
            .notifications
            .raised_alerts()
            .into_iter()
            .find(|(raised, _)| *raised == about)
            .map(|(_, message)| message)
    }
}

#[test]
fn four_hours_without_the_chain_lose_no_vote_and_end_without_a_storm() {
    let scene = Scene::new(1_000);
    scene.ledger().away = true;
    for hour in 1..=4 {
        scene.world.lock().unwrap().pass(HOUR_MS - 60 * SECOND_MS);
        scene.close(hour);
        scene.pass(60);
    }
    scene.pass(2 * 3_600);
    assert!(
        scene.alert("chain").is_some_and(|message| message.contains("connection refused")),
        "a person is told"
    );
    let asked = scene.ledger().blocks_asked;
    let tries = scene.ledger().tries;
    assert!(
        (100..300).contains(&asked) && tries == 0,
        "one question about the newest block now and then: {asked}, {tries}"
    );

    scene.ledger().away = false;
    scene.pass(120);
    assert_eq!(
        (scene.votes(VoteState::Pending).len(), scene.votes(VoteState::Accepted).len()),
        (0, 4_000)
    );
    assert_eq!(scene.alert("chain"), None);
    let ledger = scene.ledger();
    assert_eq!((ledger.tries, ledger.arrived.len()), (4_000, 4_000), "each was sent once");
    let mut of_nodes: BTreeMap<NodeId, Vec<i64>> = BTreeMap::new();
    let mut blocks: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for (node, epoch, block) in &ledger.arrived {
        of_nodes.entry(*node).or_default().push(*epoch);
        blocks.entry(*epoch).or_default().insert(block.clone());
    }
    assert!(
        of_nodes.values().all(|epochs| epochs.is_sorted()),
        "a node votes in the order of its epochs"
    );
    let blocks: BTreeSet<_> = blocks
        .values()
        .flat_map(|of_epoch| if of_epoch.len() == 1 { of_epoch.first() } else { None })
        .collect();
    assert_eq!(blocks.len(), 4, "each epoch has a block, and no two the same");
}

#[test]
fn a_chain_that_goes_away_in_the_middle_is_tried_as_often_as_votes_may_be_on_their_way() {
    let scene = Scene::new(100);
    scene.ledger().away_after = Some(30);
    scene.close(1);
    scene.pass(1);
    assert_eq!(
        (scene.votes(VoteState::Accepted).len(), scene.ledger().tries),
        (30, 30 + IN_FLIGHT_MAX)
    );
    assert!(scene.alert("chain").is_some());
    scene.pass(60);
    assert_eq!(
        scene.ledger().tries,
        30 + IN_FLIGHT_MAX,
        "no vote is tried while it names no block"
    );
    scene.ledger().away_after = None;
    scene.ledger().away = false;
    scene.pass(70);
    assert_eq!(
        (
            scene.votes(VoteState::Accepted).len(),
            scene.ledger().arrived.len(),
            scene.alert("chain")
        ),
        (100, 100, None)
    );
}

#[test]
fn votes_of_a_chain_that_is_away_for_longer_than_they_last_expire() {
    let scene = Scene::new(10);
    scene.ledger().away = true;
    scene.close(1);
    scene.pass(3);
    scene.world.lock().unwrap().pass(DAY_MS);
    scene.pass(1);
    assert_eq!(
        (scene.votes(VoteState::Pending).len(), scene.votes(VoteState::Expired).len()),
        (0, 10)
    );
    assert!(scene.alert("chain").is_some());
    scene.ledger().away = false;
    scene.pass(70);
    assert_eq!(scene.alert("chain"), None, "it is back, though nothing waits for it");
    scene.close(25);
    scene.pass(120);
    assert_eq!((scene.votes(VoteState::Accepted).len(), scene.ledger().arrived.len()), (10, 10));
    let page = || PageRequest { page: 1, limit: 10, sort: (), order: Order::Descending };
    let of = |node| {
        block_on(scene.service.consensus.participation(&Actor::system(), node, page()))
            .unwrap()
            .items
    };
    let told = |all: Vec<Participation>| {
        all.into_iter().map(|one| (one.record.epoch, one.eligible, one.votes)).collect::<Vec<_>>()
    };
    let tally = |accepted, expired| VoteTally { accepted, expired, ..VoteTally::default() };
    let [newest, oldest, before] = [25, 1, 0].map(fleet::epoch);
    assert_eq!(
        told(of(None)),
        [(newest, 10, tally(10, 0)), (oldest, 10, tally(0, 10)), (before, 0, tally(0, 0))]
    );
    assert_eq!(
        told(of(Some(fleet::node_id(3)))),
        [(newest, 1, tally(1, 0)), (oldest, 1, tally(0, 1)), (before, 0, tally(0, 0))]
    );
}

#[test]
fn a_vote_without_an_answer_holds_up_its_own_node_and_nobody_else() {
    let scene = Scene::new(3);
    let quiet = fleet::node_id(1);
    scene.ledger().silent_about.insert(quiet);
    scene.close(1);
    scene.pass(10);
    scene.close(2);
    scene.pass(30);
    let of = |votes: Vec<Vote>| votes.into_iter().filter(|vote| vote.node == quiet).count();
    assert_eq!(
        (scene.votes(VoteState::Accepted).len(), of(scene.votes(VoteState::Pending))),
        (4, 2)
    );
    let sent = scene.votes(VoteState::Pending);
    assert!(
        sent[0].attempts > 1 && sent[1].attempts == 0,
        "the second waits for the first: {sent:?}"
    );
    scene.ledger().silent_about.clear();
    scene.pass(70);
    let epochs: Vec<_> = scene
        .ledger()
        .arrived
        .iter()
        .filter(|(node, ..)| *node == quiet)
        .map(|(_, epoch, _)| *epoch)
        .collect();
    assert_eq!(epochs, [fleet::epoch(1).start_s, fleet::epoch(2).start_s]);
    assert_eq!(scene.votes(VoteState::Pending).len(), 0);
}

#[test]
fn the_chain_is_asked_about_what_it_has_not_decided_and_what_it_lost_is_sent_again() {
    let scene = Scene::new(3);
    let undecided =
        |id: &str| VoteAnswer::Undecided { vote_id: id.into(), status: "pending".into() };
    for (node, id) in [(0, "a"), (1, "b"), (2, "c")] {
        scene.ledger().says.insert(fleet::node_id(node), undecided(id));
    }
    scene.ledger().decided.insert("a".into(), Some(undecided("a")));
    scene
        .ledger()
        .decided
        .insert("b".into(), Some(VoteAnswer::Rejected { reason: "no such block".into() }));
    scene.close(1);
    scene.pass(10);
    assert_eq!(
        scene
            .votes(VoteState::Pending)
            .iter()
            .map(|vote| vote.answer.as_deref())
            .collect::<Vec<_>>()[0],
        Some("pending")
    );
    let rejected = scene.votes(VoteState::Rejected);
    assert_eq!(
        (rejected.len(), rejected[0].node, rejected[0].answer.as_deref()),
        (1, fleet::node_id(1), Some("no such block"))
    );
    let epoch = fleet::epoch(1).start_s;
    assert_eq!(
        scene.alert("votes-rejected"),
        Some(format!("1 votes of epoch {epoch} were rejected, for example: no such block"))
    );
    let accepted = VoteAnswer::Accepted { vote_id: "a".into(), status: "accepted".into() };
    scene.ledger().decided.insert("a".into(), Some(accepted));
    scene.ledger().decided.insert("c".into(), None);
    scene.ledger().says.clear();
    scene.pass(130);
    assert_eq!(scene.votes(VoteState::Accepted).len(), 2);
    assert_eq!(
        scene.ledger().arrived.iter().filter(|(node, ..)| *node == fleet::node_id(2)).count(),
        2,
        "what it lost is sent again"
    );
    assert!(scene.alert("votes-rejected").is_some(), "until a later epoch's votes are accepted");
    scene.close(2);
    scene.pass(10);
    assert_eq!((scene.votes(VoteState::Accepted).len(), scene.alert("votes-rejected")), (5, None));
}

#[test]
fn where_a_chain_takes_no_abstentions_a_node_that_has_no_score_does_not_vote() {
    let scene = Scene::new(3);
    scene.ledger().takes_no = Some(VoteChoice::Abstain);
    let idle = |number: u32| {
        let row = |node| ScoreRow {
            score: ScoreCenti(if node == 0 { 0 } else { 5_000 }),
            ..money::worked_well(fleet::node_id(node))
        };
        scene.close_with(number, (0..3).map(row).collect());
    };
    idle(1);
    scene.pass(10);
    let abstained = scene.votes(VoteState::Abstained);
    assert_eq!(
        (abstained.len(), abstained[0].node, abstained[0].choice),
        (1, fleet::node_id(0), VoteChoice::Abstain)
    );
    assert!(
        abstained[0].answer.as_deref().is_some_and(|answer| answer.contains("not sent"))
            && abstained[0].vote_id.is_none()
    );
    assert_eq!(
        (scene.votes(VoteState::Accepted).len(), scene.ledger().tries),
        (2, 2),
        "it is not sent"
    );
    assert_eq!(scene.alert("votes-rejected"), None, "nothing is wrong with it");
    // Nor does it say that a chain is back which nobody asked.
    scene.ledger().silent_about.extend([fleet::node_id(1), fleet::node_id(2)]);
    idle(2);
    scene.pass(60);
    assert!(scene.votes(VoteState::Abstained).len() == 2 && scene.alert("chain").is_some());
    let page = PageRequest { page: 1, limit: 10, sort: (), order: Order::Descending };
    let of_epochs = block_on(scene.service.consensus.participation(&Actor::system(), None, page))
        .unwrap()
        .items;
    assert_eq!(
        of_epochs
            .iter()
            .map(|one| (one.votes.accepted, one.votes.abstained))
            .take(2)
            .collect::<Vec<_>>(),
        [(0, 1), (2, 1)]
    );
}

#[test]
fn two_scores_of_one_node_are_an_incident() {
    let scene = Scene::new(2);
    let said = "409 Conflict: this node has cast another vote on this block";
    scene.ledger().says.insert(fleet::node_id(1), VoteAnswer::Contradicted { reason: said.into() });
    scene.close(1);
    scene.pass(10);
    assert_eq!(
        (scene.votes(VoteState::Accepted).len(), scene.votes(VoteState::Rejected).len()),
        (1, 1)
    );
    assert!(scene.alert("vote-contradicted").is_some_and(
        |message| message.contains(said) && message.contains(&fleet::node_id(1).to_string())
    ));
    scene.ledger().says.clear();
    // A vote that is stored and says something else than the epoch's receipts: it stays, and a
    // person is told.
    scene.close(2);
    let other = Vote {
        score: ScoreCenti(1),
        timestamp: TimeMs(7),
        epoch_start_s: fleet::epoch(2).start_s,
        ..scene.votes(VoteState::Accepted).remove(0)
    };
    let record = block_on(scene.store.last_epoch()).unwrap().unwrap();
    let next = EpochRecord {
        epoch: fleet::epoch(3),
        previous_link: record.link(),
        nodes: 0,
        eligible: 0,
        root: epoch_root(&[]),
        ..record
    };
    assert!(
        block_on(scene.store.commit_epoch(next, Vec::new(), vec![other.clone()]))
            .unwrap()
            .is_some()
    );
    scene.service.notifications.clear_alert("vote-contradicted");
    scene.pass(10);
    let expected = format!(
        "node {}, epoch {}, score 50.00: another score is stored",
        other.node, other.epoch_start_s
    );
    assert!(
        scene.alert("vote-contradicted").is_some_and(|message| message.starts_with(&expected)),
        "{:?}",
        scene.alert("vote-contradicted")
    );
}
