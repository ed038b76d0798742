//! Two payers over one store: the older one was stopped at the worst moment and does not know that
//! it is none any more.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use async_trait::async_trait;
use ed25519_dalek::{Signer as _, SigningKey};
use lucid_engine::{EngineConfig, PolicyEngine};
use lucid_model::{
    fleet::{
        challenge::ChallengeKey,
        node::{Node, NodeCaps, NodeStatus, PublicKey, Wallet},
    },
    id::{FamilyId, NodeId, PayoutId, PoolScope, RunId, UserId},
    money::{
        MicroUsdt,
        ledger::{Draft, Head, Stream},
        payout::{Answer, Capabilities, Payout, PayoutState, Reply, Reported},
        run::{Run, RunState},
    },
    time::TimeMs,
};
use lucid_payments::{Profile, TronPayment, TronPaymentConfig};
use lucid_ports::{
    Clock, Entropy, Fence, HeldLease, PaymentRail, PayoutFilter, PayoutSort, Registration, Signer,
    Store,
};
use lucid_service::{Actor, PAYER, Ports, Role, Service, ServiceError};
use lucid_store_sqlite::{Memory, Pause};
use uuid::Uuid;

use crate::support::{
    PATIENCE, SandboxProcess, block_on, money, mongo::MongoServer, node::WALLET, now_ms,
};

const AMOUNT: MicroUsdt = MicroUsdt(10_000_000);
pub const FAMILY: FamilyId = FamilyId(Uuid::from_u128(7));

/// The real rail, with a place to be stopped at: what a payer has read by then it has not written
/// yet.
struct Rail {
    real: TronPayment,
    stop: Option<(mpsc::SyncSender<()>, parking::Gate)>,
}

/// Holds whoever comes until it is opened.
mod parking {
    use std::sync::{Condvar, Mutex};

    #[derive(Default)]
    struct State {
        open: Mutex<bool>,
        changed: Condvar,
    }

    #[derive(Clone, Default)]
    pub struct Gate(std::sync::Arc<State>);

    impl Gate {
        pub fn pass(&self) {
            let mut open = self.0.open.lock().unwrap();
            while !*open {
                open = self.0.changed.wait(open).unwrap();
            }
        }
        pub fn open(&self) {
            *self.0.open.lock().unwrap() = true;
            self.0.changed.notify_all();
        }
    }
}

#[async_trait]
impl PaymentRail for Rail {
    fn name(&self) -> &str {
        self.real.name()
    }
    fn capabilities(&self) -> Capabilities {
        self.real.capabilities()
    }
    fn request(&self, payout: &Payout) -> Vec<u8> {
        if let Some((stopped, gate)) = &self.stop {
            stopped.send(()).unwrap();
            gate.pass();
        }
        self.real.request(payout)
    }
    async fn send(&self, payout: &Payout, request: &[u8]) -> Reply<Answer> {
        self.real.send(payout, request).await
    }
    async fn look(&self, payout: &Payout) -> Reply<Reported> {
        self.real.look(payout).await
    }
}

struct Machine(SigningKey);

impl Clock for Machine {
    fn now(&self) -> TimeMs {
        TimeMs(now_ms())
    }
    fn monotonic_ms(&self) -> i64 {
        now_ms()
    }
}
impl Entropy for Machine {
    fn random_16(&self) -> [u8; 16] {
        *Uuid::new_v4().as_bytes()
    }
}
impl Signer for Machine {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
    fn sign(&self, statement: &[u8]) -> [u8; 64] {
        self.0.sign(statement).to_bytes()
    }
}

fn payer(
    store: &Arc<dyn Store>,
    sandbox: &SandboxProcess,
    cache: &std::path::Path,
    stop: Option<(mpsc::SyncSender<()>, parking::Gate)>,
) -> Arc<Service> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let rail = TronPaymentConfig {
        base_url: sandbox.url.clone(),
        token: None,
        timeout: Duration::from_secs(10),
        egress: lucid_egress::Egress::default(),
        profile: Profile::SANDBOX,
    };
    let machine = || Machine(SigningKey::from_bytes(&[5; 32]));
    let engine = EngineConfig { guest_threads: 1, ..EngineConfig::new(cache) };
    let ports = Ports {
        store: Arc::clone(store),
        policies: PolicyEngine::new(engine).unwrap(),
        chain: None,
        rail: Some(Arc::new(Rail { real: TronPayment::new(rail).unwrap(), stop })),
        webhooks: Arc::new(lucid_webhooks::WebhookClient::new(
            Duration::from_secs(1),
            false,
            lucid_egress::Egress::default(),
        )),
        signer: Arc::new(machine()),
        sealer: Arc::new(
            lucid_store::SealKeys::read(&"5e".repeat(lucid_store::SEAL_KEY_BYTES)).unwrap(),
        ),
        clock: Arc::new(machine()),
        entropy: Arc::new(machine()),
        challenge_key: ChallengeKey::of_secret("secret"),
        used_once: Arc::new(lucid_coordination::LocalUsedOnce::default()),
    };
    Service::new(ports, money::config(), FAMILY)
}

/// A node that has earned, and a payout of it that may be sent.
pub async fn a_payout_to_send(store: &dyn Store, number: u128) -> Payout {
    let (now, id, owner) =
        (TimeMs(now_ms()), NodeId(Uuid::from_u128(number)), UserId(Uuid::from_u128(1)));
    let wallet = Wallet { address: WALLET.parse().unwrap(), version: 1, since: now };
    let node = money::node(id, owner, wallet, now);
    store
        .register_node(Registration {
            node,
            caps: NodeCaps::default(),
            enrolment: None,
            audit: money::audit("node.register"),
            assign_audit: None,
        })
        .await
        .unwrap();
    let run = RunId(Uuid::from_u128(1));
    let approved = Run {
        id: run,
        cycle: 0,
        state: RunState::Approved,
        planner: "system".into(),
        approver: None,
        executor: Some("system".into()),
        nodes: Vec::new(),
        root: None,
        count: 1,
        total: AMOUNT,
        reason: None,
        created_at: now,
        updated_at: now,
        plan: 1,
        version: 2,
    };
    store.create_run(approved, money::audit("run.open")).await.unwrap();
    let payout = PayoutId::derive(FAMILY, 0, id, 0);
    let accrued =
        Draft::accrue(0, PoolScope::Unassigned, id, AMOUNT, MicroUsdt::ZERO, "root".into())
            .unwrap()
            .book(Head::default(), now)
            .unwrap();
    let head = Head { seq: accrued.seq, balances: accrued.balances };
    let reserved = Draft::reserve(payout, id, AMOUNT).unwrap().book(head, now).unwrap();
    for entry in [accrued, reserved] {
        store.book(vec![entry]).await.unwrap();
    }
    let payout = Payout {
        id: payout,
        run,
        node: id,
        owner,
        cycle: 0,
        attempt: 0,
        amount: AMOUNT,
        address: wallet.address,
        wallet_version: 1,
        state: PayoutState::Reserved,
        sends: 0,
        ambiguous: false,
        request: None,
        external_id: None,
        txid: None,
        reason: None,
        created_at: now,
        updated_at: now,
        submitted_at: None,
        processed_at: None,
        next_attempt_at: now,
        next_send_at: now,
        blind_ms: 0,
        found: None,
        closed: false,
        score: None,
        observed_s: 0,
        period_start_s: 0,
        period_end_s: 3600,
        plan: 1,
        version: 1,
    };
    assert!(store.create_payout(payout.clone(), money::audit("payout.create")).await.unwrap());
    payout
}

fn good(fence: u64) -> HeldLease {
    HeldLease::new(Fence(fence), || true)
}

fn transfers(sandbox: &SandboxProcess) -> usize {
    let list = tokio::task::block_in_place(|| sandbox.get("/api/v1/sandbox/transfers?limit=100"));
    list["transfers"].as_array().unwrap().len()
}

async fn pays_all(store: &dyn Store, payer: &Service, tenure: &HeldLease) {
    let began = std::time::Instant::now();
    while !store.open_payouts(10).await.unwrap().is_empty() {
        payer.money.pay_step(tenure).await.unwrap();
        assert!(began.elapsed() < PATIENCE, "{:?}", store.open_payouts(10).await.unwrap());
    }
    let all = lucid_ports::PageRequest {
        page: 1,
        limit: 100,
        sort: PayoutSort::CreatedAt,
        order: lucid_ports::Order::Ascending,
    };
    let paid = store.payouts(&PayoutFilter::default(), all).await.unwrap().items;
    assert!(paid.iter().all(|payout| payout.state == PayoutState::Confirmed), "{paid:?}");
}

async fn an_older_payer_is_shut_out(url: &str, sandbox: &SandboxProcess) {
    let dir = tempfile::tempdir().unwrap();
    let old_store = lucid_testkit::STORES.open(url).await.unwrap();
    // A folder is open once; a server's database as often as there are replicas.
    let store = if url.starts_with("mongodb") {
        lucid_testkit::STORES.open(url).await.unwrap()
    } else {
        Arc::clone(&old_store)
    };
    let payout = a_payout_to_send(store.as_ref(), 1).await;
    let ((stopped, stops), gate) = (mpsc::sync_channel(1), parking::Gate::default());
    let old = payer(&old_store, sandbox, &dir.path().join("old"), Some((stopped, gate.clone())));
    let new = payer(&store, sandbox, &dir.path().join("new"), None);
    old.money.recover_payouts(&good(1)).await.unwrap();
    let paying = tokio::spawn({
        let old = Arc::clone(&old);
        async move { old.money.pay_step(&good(1)).await }
    });
    // It has read, and has not written.
    tokio::task::spawn_blocking(move || stops.recv_timeout(PATIENCE).unwrap()).await.unwrap();
    new.money.recover_payouts(&good(2)).await.unwrap();
    gate.open();
    let refused = paying.await.unwrap().unwrap_err();
    assert!(matches!(refused, ServiceError::PayerReplaced { by: Some(Fence(2)) }), "{refused}");
    assert!(
        old.notifications
            .raised_alerts()
            .iter()
            .any(|(about, message)| *about == PAYER && message.contains('2')),
        "{:?}",
        old.notifications.raised_alerts()
    );
    assert_eq!(store.payout(payout.id).await.unwrap().unwrap(), payout, "nothing was written");
    assert!(matches!(
        old.money.recover_payouts(&good(1)).await.unwrap_err(),
        ServiceError::PayerReplaced { by: Some(Fence(2)) }
    ));
    let before = transfers(sandbox);
    pays_all(store.as_ref(), &new, &good(2)).await;
    assert_eq!(transfers(sandbox), before + 1);

    // It was stopped after the write, for longer than its lease: it does not send either.
    let payout = a_payout_to_send(store.as_ref(), 2).await;
    let over = HeldLease::new(Fence(2), || false);
    assert!(matches!(
        new.money.pay_step(&over).await.unwrap_err(),
        ServiceError::PayerReplaced { by: None }
    ));
    assert_eq!(store.payout(payout.id).await.unwrap().unwrap().state, PayoutState::Submitting);
    assert_eq!(transfers(sandbox), before + 1);
    let last = payer(&store, sandbox, &dir.path().join("last"), None);
    assert_eq!(last.money.recover_payouts(&good(3)).await.unwrap(), 1);
    pays_all(store.as_ref(), &last, &good(3)).await;
    assert_eq!(transfers(sandbox), before + 2);
}

#[test]
fn a_payer_that_was_replaced_while_it_was_stopped_sends_nothing() {
    let (sandbox, dir) = (SandboxProcess::start(), tempfile::tempdir().unwrap());
    block_on(an_older_payer_is_shut_out(&format!("sqlite://{}", dir.path().display()), &sandbox));
}

/// The payer closes what a treasurer cancels, too: whoever is first, the treasurer hears that it is
/// cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_the_payer_closes_while_it_is_cancelled_is_cancelled() {
    let (sandbox, dir) =
        (tokio::task::block_in_place(SandboxProcess::start), tempfile::tempdir().unwrap());
    let memory = Memory::new().unwrap();
    let store: Arc<dyn Store> = Arc::new(memory.open().unwrap());
    let payout = a_payout_to_send(store.as_ref(), 1).await;
    let paying = payer(&store, &sandbox, &dir.path().join("payer"), None);
    paying.money.recover_payouts(&good(1)).await.unwrap();
    let id = payout.id;
    let before_each_write = move || {
        let (store, paying) = (Arc::clone(&store), Arc::clone(&paying));
        async move {
            let payout = store.payout(id).await.unwrap().unwrap();
            if payout.state == PayoutState::Cancelled && !payout.closed {
                paying.money.pay_step(&good(1)).await.unwrap();
                assert!(store.payout(id).await.unwrap().unwrap().closed);
            }
        }
    };
    let pause: Pause = Arc::new(move || Box::pin(before_each_write()));
    let slow: Arc<dyn Store> = Arc::new(memory.open_pausing(pause).unwrap());
    let office = payer(&slow, &sandbox, &dir.path().join("office"), None);
    let carol = Actor { roles: vec![Role::Treasurer], ..Actor::system() };
    let cancelled = office.money.cancel_payout(&carol, id, "a drill".into()).await.unwrap();
    assert_eq!((cancelled.state, cancelled.closed), (PayoutState::Cancelled, true));
    assert_eq!(slow.head(Stream::Node(payout.node)).await.unwrap().balances.available, AMOUNT);
}

/// A node is suspended between plan and send: nothing is sent, its money is available again, and
/// who listens is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_payout_of_a_node_that_cannot_be_paid_any_more_is_held() {
    let (sandbox, dir) =
        (tokio::task::block_in_place(SandboxProcess::start), tempfile::tempdir().unwrap());
    let store = lucid_testkit::STORES.open("memory://").await.unwrap();
    let payout = a_payout_to_send(store.as_ref(), 1).await;
    let payer = payer(&store, &sandbox, dir.path(), None);
    let mut told = payer.notifications.bus().subscribe();
    let node = store.node(payout.node).await.unwrap().unwrap();
    let suspended = Node { status: NodeStatus::Suspended, version: node.version + 1, ..node };
    assert!(store.update_node(suspended, money::audit("node.update")).await.unwrap());
    payer.money.recover_payouts(&good(1)).await.unwrap();
    payer.money.pay_step(&good(1)).await.unwrap();
    let ended = store.payout(payout.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.closed), (PayoutState::Cancelled, true));
    assert_eq!(store.head(Stream::Node(payout.node)).await.unwrap().balances.available, AMOUNT);
    assert_eq!(transfers(&sandbox), 0);
    let mut types = Vec::new();
    while let Ok(event) = told.try_recv() {
        types.push(event.kind.type_name());
    }
    assert!(
        types.contains(&"payout.held".to_owned()) && types.contains(&"payout.cancelled".to_owned()),
        "{types:?}"
    );
}

#[test]
fn a_payer_that_was_replaced_while_it_was_stopped_sends_nothing_over_mongodb() {
    let Some(server) = MongoServer::start() else { return };
    let sandbox = SandboxProcess::start();
    block_on(an_older_payer_is_shut_out(&server.database(), &sandbox));
}
