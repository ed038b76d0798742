//! Two processes over one store, stepped in an order that chance gives, killed and replaced at any
//! moment.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use lucid_coordination::LocalUsedOnce;
use lucid_engine::{EngineConfig, PolicyEngine};
use lucid_model::{
    epochs::{
        epoch::{EpochRecord, PeriodLength},
        receipt::{ChunkHeader, ScoredChunk},
    },
    fleet::{
        challenge::ChallengeKey,
        node::{Node, NodeCaps, NodeStatus, Wallet},
    },
    id::{Digest, FamilyId, NodeId, PoolScope, UserId},
    money::{
        MicroUsdt,
        payout::{Correction, Deadlines, Outcome, Pace, Payout, PayoutState},
        run::{Run, RunStage, RunState},
        tron::TronAddress,
    },
    policies::{PolicyRef, Revision},
    time::TimeMs,
};
use lucid_ports::{Fence, HeldLease, PolicyRuntime, Registration, Store, WebhookSender};
use lucid_service::{
    Actor, PayerLimits, Ports, Role, Service, ServiceConfig, ServiceError, verify_books,
};
use lucid_store_sqlite::{Memory, Pause};
use lucid_webhooks::WebhookClient;
use uuid::Uuid;

use super::{
    check,
    policy::fickle,
    rail::{Rail, SEND_TIME_MAX_MS, Turn},
    world::{Machine, SharedWorld, World},
};
use crate::support::money;

const FAMILY: FamilyId = FamilyId(Uuid::from_u128(7));
const OWNER: UserId = UserId(Uuid::from_u128(1));
/// Steps of a world before it calms down.
const STEPS: u32 = 600;
/// Longer than between two looks for what was set aside and forgotten.
const SWEEP_MS: i64 = 3_700_000;
/// Nothing more is sent while so much is in doubt.
const DOUBT_MAX: MicroUsdt = MicroUsdt(3_000_000);
/// Rounds after that, each as long as the longest wait between two tries: longer than every
/// deadline.
const CALM_ROUNDS: u32 = 100;
const CALM_ROUND_MS: i64 = 60_000;
/// Polls in which a step of a worker ends if nothing goes wrong.
const POLLS_MAX: u32 = 10_000;
/// When everything that the rail will ever do is done.
const LONG_AFTER_MS: i64 = 172_800_000;
/// What nodes share in each period.
const BUDGET: MicroUsdt = MicroUsdt(4_200_017);
/// Periods that accrue in a world.
const PERIODS_MAX: u64 = 3;
pub const DEADLINES: Deadlines = Deadlines { unknown_ms: 600_000, accepted_ms: 1_800_000 };
const PACE: Pace = Pace {
    send_first_ms: 5_000,
    send_max_ms: 900_000,
    look_first_ms: 1_000,
    look_max_ms: 60_000,
    manual_look_ms: 600_000,
};
/// Between two look-ups that have to say the same of a payout that ended.
const SECOND_LOOK_MS: i64 = 60_000;

type Step = Pin<Box<dyn Future<Output = Result<(), ServiceError>> + Send>>;

/// What a worker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    Recover,
    Pay,
    Plan,
    Finish,
    Settle,
}

struct Worker {
    service: Arc<Service>,
    step: Option<(Work, Step)>,
    /// The lease that it last began to pay with.
    fence: u64,
    recovered: bool,
}

/// A world with its processes.
pub struct Scene {
    world: SharedWorld,
    memory: Memory,
    /// What is durable, as the test reads and writes it.
    pub store: Arc<dyn Store>,
    /// Where treasurers work: it waits for nobody.
    office: Arc<Service>,
    workers: Mutex<Vec<Worker>>,
}

pub fn policies() -> Arc<dyn PolicyRuntime> {
    static ENGINE: OnceLock<(Arc<PolicyEngine>, tempfile::TempDir)> = OnceLock::new();
    let (engine, _) = ENGINE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        (
            PolicyEngine::new(EngineConfig {
                guest_threads: 1,
                ..EngineConfig::new(dir.path().join("cache"))
            })
            .unwrap(),
            dir,
        )
    });
    Arc::clone(engine) as Arc<dyn PolicyRuntime>
}

/// What a service of a world is built on, without chain and rail.
pub fn ports(
    world: &SharedWorld,
    store: Arc<dyn Store>,
    policies: Arc<dyn PolicyRuntime>,
) -> Ports {
    let machine = || Machine(Arc::clone(world));
    Ports {
        store,
        policies,
        chain: None,
        webhooks: webhooks(),
        rail: None,
        signer: Arc::new(machine()),
        sealer: Arc::new(
            lucid_store::SealKeys::read(&"5e".repeat(lucid_store::SEAL_KEY_BYTES)).unwrap(),
        ),
        clock: Arc::new(machine()),
        entropy: Arc::new(machine()),
        challenge_key: ChallengeKey::of_secret("secret"),
        used_once: Arc::new(LocalUsedOnce::default()),
    }
}

/// Nobody is sent anything here.
fn webhooks() -> Arc<dyn WebhookSender> {
    static CLIENT: OnceLock<Arc<WebhookClient>> = OnceLock::new();
    Arc::clone(CLIENT.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Arc::new(WebhookClient::new(Duration::from_secs(1), false, lucid_egress::Egress::default()))
    })) as Arc<dyn WebhookSender>
}

fn config() -> ServiceConfig {
    let huge = MicroUsdt(1_000_000_000_000);
    {
        let mut config = money::config();
        config.money.payout_min = MicroUsdt(1_000_000);
        config.money.payout_final_min = MicroUsdt(900_000);
        config.money.claimable_ms = 1_800_000;
        config.money.budget = Some(BUDGET);
        config.money.auto_approve_max = huge;
        config.money.cycle_cap = Some(huge);
        config.money.unknown_max = Some(DOUBT_MAX);
        config.fleet.wallet_cooldown_ms = 3_600_000;
        config.money.deadlines = DEADLINES;
        config.money.pace = PACE;
        config.money.payer_limits =
            PayerLimits { decided_ms_max: 20_000, timeout_ms: SEND_TIME_MAX_MS };
        config.money.second_look_ms = SECOND_LOOK_MS;
        config.money.rail_pause_ms = 2_000;
        config.money.payouts_in_flight_max = 2;
        config
    }
}

fn node_id(number: u64) -> NodeId {
    NodeId(Uuid::from_u128(0x0192_f0c1_2b3c_7d4e_8f90_0000_0000_0000 + u128::from(number)))
}

/// Runs something that waits for nobody.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the test's own store waits for nobody"),
    }
}

/// Runs something that may pause, and goes on each time.
fn patiently<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

impl Scene {
    pub fn new(seed: u64, accidents_max: u32) -> Self {
        let world: SharedWorld = Arc::new(Mutex::new(World::new(seed, accidents_max)));
        let memory = Memory::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(memory.open().unwrap());
        let desk = Rail { world: Arc::clone(&world), worker: 0, store: Arc::clone(&store) };
        let office = Ports {
            rail: Some(Arc::new(desk)),
            ..ports(&world, Arc::clone(&store), fickle(&world, policies()))
        };
        let office = Service::new(office, config(), FAMILY);
        let scene = Self { world, memory, store, office, workers: Mutex::default() };
        let workers = [0, 1].map(|worker| scene.begin(worker)).into();
        *scene.workers.lock().unwrap() = workers;
        scene
    }

    pub fn world(&self) -> SharedWorld {
        Arc::clone(&self.world)
    }

    fn begin(&self, worker: usize) -> Worker {
        let pause: Pause = Arc::new(|| Box::pin(Turn::default()));
        let rail = Rail { world: Arc::clone(&self.world), worker, store: Arc::clone(&self.store) };
        let store = Arc::new(self.memory.open_pausing(pause).unwrap());
        let ports = Ports {
            rail: Some(Arc::new(rail)),
            ..ports(&self.world, store, fickle(&self.world, policies()))
        };
        Worker {
            service: Service::new(ports, config(), FAMILY),
            step: None,
            fence: 0,
            recovered: false,
        }
    }

    /// Lets the world run to its end.
    ///
    /// # Errors
    /// What was wrong.
    pub fn play(&self) -> Result<(), String> {
        for number in 1..=3 {
            self.register(number);
        }
        self.close_hour(0);
        let mut periods = 1;
        for _ in 0..STEPS {
            if self.world.lock().unwrap().chance.is_calm() {
                break;
            }
            self.go_on(&mut periods)?;
        }
        self.world.lock().unwrap().chance.calm_down();
        self.world.lock().unwrap().note("nothing goes wrong from here on");
        if at_once(self.store.payments_switch()).unwrap().frozen.is_some() {
            self.freeze_or_resume();
        }
        self.calm()?;
        // What was set aside for a run that was taken back is looked for once an hour.
        self.world.lock().unwrap().pass(SWEEP_MS);
        self.calm()?;
        for _ in 0..3 {
            while patiently(self.office.money.reconcile_step())
                .map_err(|error| error.to_string())?
            {}
            self.world.lock().unwrap().pass(SECOND_LOOK_MS);
        }
        self.world.lock().unwrap().pass(LONG_AFTER_MS);
        if let Some(broken) = self.world.lock().unwrap().broken.clone() {
            return Err(broken);
        }
        at_once(check::all(self))?;
        self.recovers_to_the_same()?;
        self.treasurers_end_it()?;
        at_once(check::all(self))?;
        // What waited for that is sent now.
        self.calm()?;
        self.world.lock().unwrap().pass(LONG_AFTER_MS);
        at_once(check::all(self))?;
        self.treasurers_end_it()?;
        at_once(check::all(self))?;
        let open = at_once(self.store.open_payouts(u32::MAX)).unwrap();
        if !open.is_empty() {
            return Err(format!("still open: {open:?}"));
        }
        self.is_reconciled()
    }

    /// Treasurers say what became of what nobody could tell: they look at the chain.
    fn treasurers_end_it(&self) -> Result<(), String> {
        for payout in at_once(self.store.open_payouts(u32::MAX))
            .unwrap()
            .into_iter()
            .filter(|payout| payout.state == PayoutState::Manual)
        {
            let txid = self
                .world
                .lock()
                .unwrap()
                .transfers
                .iter()
                .find(|transfer| transfer.payout == payout.id)
                .map(|t| t.txid.clone());
            let outcome = txid.map_or(Outcome::NotPaid, |txid| Outcome::Paid { txid });
            self.world
                .lock()
                .unwrap()
                .note(format!("treasurers say that {} ended: {outcome:?}", payout.id));
            let resolved = at_once(self.office.money.resolve_payout(
                &treasurer(),
                payout.id,
                outcome,
                "the chain".into(),
            ));
            resolved.map_err(|error| format!("{} cannot be resolved: {error}", payout.id))?;
        }
        Ok(())
    }

    /// Treasurers' runs that nobody let go yet.
    fn waiting_runs(&self) -> Vec<Run> {
        at_once(self.store.open_runs())
            .unwrap()
            .into_iter()
            .filter(|run| !run.is_scheduled() && run.stage() != RunStage::Sending)
            .collect()
    }

    /// Treasurers plan a run, or go on with one.
    fn work_on_runs(&self, place: u64) -> Result<(), String> {
        let runs = self.waiting_runs();
        let run = runs
            .get(usize::try_from(place).unwrap() % runs.len().max(1))
            .filter(|_| !place.is_multiple_of(4));
        let nodes = (1..=3).filter(|number| (place >> number) & 1 == 1).map(node_id).collect();
        match run {
            Some(run) => self.work_on_run(run, place.is_multiple_of(13)),
            None => self.told_of_run(
                at_once(self.office.money.plan_run(&treasurer(), nodes)),
                "is to be planned",
                "run of a treasurer",
            ),
        }
    }

    /// Takes a treasurers' run a step further, or back.
    fn work_on_run(&self, run: &Run, back: bool) -> Result<(), String> {
        let (office, dave) = (&self.office, Actor { subject: "dave".into(), ..treasurer() });
        let (done, what, seen) = match run.state {
            _ if back => (
                at_once(office.money.cancel_run(&dave, run.id, "no".into())),
                "is taken back",
                "run taken back",
            ),
            RunState::Planned => {
                (at_once(office.money.approve_run(&dave, run.id)), "is approved", "run approved")
            }
            _ => (at_once(office.money.execute_run(&dave, run.id)), "is executed", "run executed"),
        };
        self.told_of_run(done, what, seen)
    }

    fn told_of_run(
        &self,
        done: Result<Run, ServiceError>,
        what: &str,
        seen: &'static str,
    ) -> Result<(), String> {
        match done {
            Ok(run) => {
                let mut world = self.world.lock().unwrap();
                world.note(format!("run {} of a treasurer {what}", run.id));
                world.see(seen);
                Ok(())
            }
            // It is being planned, or ended meanwhile; or nothing was settled yet.
            Err(
                ServiceError::Changed { .. }
                | ServiceError::WrongRunState(_)
                | ServiceError::NothingMature,
            ) => Ok(()),
            Err(error) => Err(format!("no run {what}: {error}")),
        }
    }

    /// The books add up, and the payment service tells nothing else.
    fn is_reconciled(&self) -> Result<(), String> {
        let books = at_once(verify_books(self.store.as_ref(), &mut |_| {})).unwrap();
        if let Some(flaw) = books.flaw {
            return Err(format!("the books are not in order: {flaw}"));
        }
        let switch = at_once(self.store.payments_switch()).unwrap();
        match switch.frozen {
            Some(freeze) if freeze.by == "system" => {
                Err(format!("payments were stopped: {}", freeze.reason))
            }
            _ => Ok(()),
        }
    }

    /// A treasurer takes a payout back, if it can still be.
    fn cancel(&self, place: u64) -> Result<(), String> {
        let open = at_once(self.store.open_payouts(u32::MAX)).unwrap();
        let Some(payout) = open.get(usize::try_from(place).unwrap() % open.len().max(1)) else {
            return Ok(());
        };
        match at_once(self.office.money.cancel_payout(&treasurer(), payout.id, "taken back".into()))
        {
            Ok(_) => {
                let mut world = self.world.lock().unwrap();
                world.note(format!("a treasurer takes {} back", payout.id));
                world.see("taken back");
                Ok(())
            }
            Err(ServiceError::WrongPayoutState(_) | ServiceError::Changed { .. }) => Ok(()),
            Err(error) => Err(format!("{} cannot be taken back: {error}", payout.id)),
        }
    }

    /// A treasurer puts a node's balance right.
    fn correct(&self, place: u64) -> Result<(), String> {
        let (node, amount) =
            (node_id(1 + place % 3), MicroUsdt(1 + i64::try_from(place % 20_000).unwrap()));
        let correction =
            if place.is_multiple_of(5) { Correction::Debit } else { Correction::Credit };
        match at_once(self.office.money.correct_balance(
            &treasurer(),
            node,
            (correction, amount),
            "right".into(),
        )) {
            Ok(_) => {
                let mut world = self.world.lock().unwrap();
                world.note(format!("{} of {amount} for {node}", correction.name()));
                world.see("corrected");
                Ok(())
            }
            // The treasury, or the node, has not so much.
            Err(ServiceError::NotEnough { .. } | ServiceError::Changed { .. }) => Ok(()),
            Err(error) => Err(format!("{node} cannot be put right: {error}")),
        }
    }

    /// An operator stops payments, or lets them go again.
    fn freeze_or_resume(&self) {
        let switch = at_once(self.store.payments_switch()).unwrap();
        let frozen = switch.frozen.is_some();
        let office = &self.office;
        let switched = if frozen {
            at_once(office.money.resume_payments(&treasurer(), "on".into()))
        } else {
            at_once(office.money.freeze_payments(&treasurer(), "stop".into()))
        };
        switched.unwrap();
        let mut world = self.world.lock().unwrap();
        world.note(if frozen { "payments go on" } else { "payments are frozen" });
        world.see("frozen");
        if switch.frozen.is_some_and(|freeze| freeze.still_at.is_some()) {
            world.see("nothing on its way");
        }
    }

    fn go_on(&self, periods: &mut u64) -> Result<(), String> {
        let (choice, worker, ms) = {
            let chance = &mut self.world.lock().unwrap().chance;
            (chance.below(100), chance.below(2) as usize, chance.ms(20_000))
        };
        match choice {
            0..72 => self.poll(worker).map(|_| ())?,
            72..78 => self.kill(worker),
            78..82 => self.move_lease(),
            82..92 => self.world.lock().unwrap().pass(ms),
            92..93 if ms % 3 == 0 => self.cancel(u64::try_from(ms).unwrap())?,
            92..93 => self.work_on_runs(u64::try_from(ms).unwrap())?,
            93..94 => self.freeze_or_resume(),
            94..96 => self.world.lock().unwrap().pass(ms * 30),
            96..97 if *periods < PERIODS_MAX => {
                self.close_hour(*periods);
                *periods += 1;
            }
            96..97 if ms % 2 == 0 => self.correct(u64::try_from(ms).unwrap())?,
            96..98 => self.change_wallet(1 + u64::try_from(ms).unwrap() % 3),
            98..99 if ms % 4 == 0 => self.deregister(1 + u64::try_from(ms / 4).unwrap() % 3),
            _ => self.suspend_or_lift(1 + u64::try_from(ms).unwrap() % 3),
        }
        Ok(())
    }

    /// Nothing goes wrong: everything ends, or waits for a person.
    fn calm(&self) -> Result<(), String> {
        for round in 0..CALM_ROUNDS {
            if round == 2 {
                self.settle_the_rest()?;
            }
            for worker in [0, 1] {
                // What it is in the middle of, then one step of each kind.
                for _ in 0..5 {
                    let mut polls = 0;
                    while self.poll(worker)? {
                        polls += 1;
                        if polls > POLLS_MAX {
                            return Err("a step does not end".into());
                        }
                    }
                }
            }
            // Runs that treasurers began are ended by them.
            for run in self.waiting_runs() {
                self.work_on_run(&run, run.id.0.as_u128() % 4 == 0)?;
            }
            let open = at_once(self.store.open_payouts(u32::MAX)).unwrap();
            let in_doubt: i64 = open
                .iter()
                .filter(|payout| payout.state == PayoutState::Manual)
                .map(|payout| payout.amount.0)
                .sum();
            let waits = |payout: &Payout| match payout.state {
                PayoutState::Manual => true,
                // Neither left: what is in doubt keeps them back.
                PayoutState::Reserved | PayoutState::Submitting => in_doubt > DOUBT_MAX.0,
                _ => false,
            };
            if round > 3 && open.iter().all(waits) {
                if open.iter().any(|payout| payout.state == PayoutState::Reserved) {
                    self.world.lock().unwrap().see("too much in doubt");
                }
                return Ok(());
            }
            self.world.lock().unwrap().pass(CALM_ROUND_MS);
        }
        let open = at_once(self.store.open_payouts(u32::MAX)).unwrap();
        let told = open.iter().map(|payout| {
            let run = at_once(self.store.run(payout.run))
                .unwrap()
                .map(|run| (run.state, run.plan, run.version));
            (payout.id, payout.state, payout.plan, run)
        });
        Err(format!("I11: still open: {:?}", told.collect::<Vec<_>>()))
    }

    /// Takes a worker a little further. `false` if its step ended.
    fn poll(&self, number: usize) -> Result<bool, String> {
        let mut workers = self.workers.lock().unwrap();
        let worker = &mut workers[number];
        let (work, mut step) = worker.step.take().unwrap_or_else(|| self.next_step(number, worker));
        match step.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => {
                worker.step = Some((work, step));
                return Ok(true);
            }
            Poll::Ready(Ok(())) => worker.recovered |= work == Work::Recover,
            // Somebody else pays by now, or was first with a record.
            Poll::Ready(Err(ServiceError::PayerReplaced { by })) => {
                worker.recovered = false;
                // A lease comes with a greater number than any that the store has seen.
                let mut world = self.world.lock().unwrap();
                world.fence = world.fence.max(by.map_or(0, |by| by.0 + 1));
            }
            Poll::Ready(Err(ServiceError::Changed { .. })) => {}
            // Corrections took what the budget was to be of.
            Poll::Ready(Err(ServiceError::Ledger(_))) if work == Work::Settle => {}
            Poll::Ready(Err(error)) => {
                return Err(format!("{work:?} of worker {number} failed: {error}"));
            }
        }
        Ok(false)
    }

    fn next_step(&self, number: usize, worker: &mut Worker) -> (Work, Step) {
        let (service, world, seen) = (Arc::clone(&worker.service), self.world(), self.world());
        let (pays, fence, choice) = {
            let mut state = world.lock().unwrap();
            (state.payer == number, state.fence, state.chance.below(8))
        };
        if pays && worker.fence != fence {
            (worker.fence, worker.recovered) = (fence, false);
        }
        let own = worker.fence;
        let tenure = HeldLease::new(Fence(own), move || {
            let state = world.lock().unwrap();
            state.payer == number && state.fence == own
        });
        let work = match choice {
            0 => Work::Finish,
            7 => Work::Settle,
            _ if !pays => [Work::Finish, Work::Settle][choice as usize % 2],
            1 | 2 if worker.recovered => Work::Plan,
            _ if worker.recovered => Work::Pay,
            _ => Work::Recover,
        };
        let step: Step = Box::pin(async move {
            match work {
                Work::Recover => service.money.recover_payouts(&tenure).await.map(|_| ()),
                Work::Pay => service.money.pay_step(&tenure).await.map(|_| ()),
                Work::Plan => service.money.plan_due_run(&tenure).await.map(|_| ()),
                Work::Finish => service.money.finish_runs().await,
                Work::Settle => {
                    if let Some(record) =
                        service.money.settle_due_period().await?.filter(|record| record.count > 0)
                    {
                        seen.lock().unwrap().see(if record.note.is_some() {
                            "settled with less"
                        } else {
                            "settled"
                        });
                    }
                    Ok(())
                }
            }
        });
        (work, step)
    }

    /// kill -9, and another process in its place.
    fn kill(&self, number: usize) {
        let mut workers = self.workers.lock().unwrap();
        let mut world = self.world.lock().unwrap();
        if !world.chance.accident(1) {
            return;
        }
        if std::mem::take(&mut world.sending[number]) {
            world.see("killed while sending");
        } else if workers[number].step.is_some() {
            world.see("killed while writing");
        }
        let doing = workers[number].step.as_ref().map(|(work, _)| *work);
        if doing == Some(Work::Settle) {
            world.see("killed while settling");
        }
        world.note(format!("worker {number} is killed, doing {doing:?}"));
        if world.payer == number {
            world.fence += 1;
        }
        drop(world);
        workers[number] = self.begin(number);
    }

    /// Its lease is over, whatever it is in the middle of.
    fn move_lease(&self) {
        let mut world = self.world.lock().unwrap();
        if world.chance.accident(1) {
            (world.payer, world.fence) = (1 - world.payer, world.fence + 1);
            let (payer, fence) = (world.payer, world.fence);
            world.note(format!("worker {payer} is the payer, lease {fence}"));
            world.see("lease moved");
        }
    }

    fn now(&self) -> TimeMs {
        TimeMs(self.world.lock().unwrap().now_ms)
    }

    fn register(&self, number: u64) {
        let now = self.now();
        let wallet = Wallet { address: address(number, 1), version: 1, since: now };
        let node = money::node(node_id(number), OWNER, wallet, now);
        let registration = Registration {
            node,
            caps: NodeCaps::default(),
            enrolment: None,
            audit: money::audit("node.register"),
            assign_audit: None,
        };
        at_once(self.store.register_node(registration)).unwrap();
    }

    /// An hour is over: each node has a score, and the treasury is funded. One of them will earn
    /// too little to be paid at once.
    fn close_hour(&self, place: u64) {
        let hour = PeriodLength::new(3600).unwrap();
        let mut world = self.world.lock().unwrap();
        if place > 0 {
            world.pass(3_600_000);
        }
        let (epoch, now) = (hour.period_at(TimeMs(world.now_ms - 3_600_000)), TimeMs(world.now_ms));
        world.note(format!("epoch {} is closed", epoch.start_s));
        drop(world);
        if place > 0 && !at_once(self.store.heads_available(MicroUsdt(1))).unwrap().is_empty() {
            self.world.lock().unwrap().see("carried over");
        }
        // And something to put balances right with.
        self.fund(&format!("for {place}"), MicroUsdt(BUDGET.0 + 5_000));
        let header = ChunkHeader {
            period: epoch,
            pool: PoolScope::Unassigned,
            index: 0,
            rows: 3,
            frame: Digest::of(b"frame"),
            policy: PolicyRef {
                name: "none".into(),
                version: "1.0.0".parse().unwrap(),
                digest: Digest::of(b"none"),
            },
            params: Digest::of(b"params"),
            abi: String::new(),
            rules: 1,
        };
        let record = EpochRecord {
            epoch,
            closed_at: now,
            policy_revision: Revision(1),
            rules: 1,
            nodes: 3,
            eligible: 3,
            held: 0,
            root: Digest::of(b"root"),
            previous_link: Digest::of(b"link"),
            block: None,
            completeness: None,
        };
        let chunk = ScoredChunk {
            header,
            rows: (1..=3).map(|number| money::worked_well(node_id(number))).collect(),
        };
        assert!(
            at_once(self.store.commit_epoch(record, vec![chunk], Vec::new())).unwrap().is_some()
        );
    }

    fn fund(&self, what: &str, amount: MicroUsdt) {
        assert!(
            at_once(self.office.money.fund_treasury(&treasurer(), what, amount, "test")).unwrap()
        );
    }

    /// Every period that is over is settled, whoever began to.
    fn settle_the_rest(&self) -> Result<(), String> {
        // Corrections may have taken what a budget was to be of.
        self.fund(&format!("at {}", self.now().0), BUDGET);
        while at_once(self.office.money.settle_due_period())
            .map_err(|error| format!("a period cannot be settled: {error}"))?
            .is_some()
        {}
        let (last, settled) = (
            at_once(self.store.last_epoch()).unwrap(),
            at_once(self.store.last_settlement()).unwrap(),
        );
        if last.map(|record| record.epoch) == settled.map(|record| record.period) {
            Ok(())
        } else {
            Err("a period is not settled".into())
        }
    }

    fn change_node(&self, number: u64, change: impl FnOnce(&mut Node)) {
        let mut node = at_once(self.store.node(node_id(number))).unwrap().unwrap();
        change(&mut node);
        node.version += 1;
        assert!(at_once(self.store.update_node(node, money::audit("node.update"))).unwrap());
    }

    fn change_wallet(&self, number: u64) {
        let now = self.now();
        self.change_node(number, |node| {
            let version = node.wallet.map_or(1, |wallet| wallet.version + 1);
            node.wallet =
                Some(Wallet { address: address(number, u64::from(version)), version, since: now });
        });
        let mut world = self.world.lock().unwrap();
        world.note(format!("the wallet of node {number} changes"));
        world.see("wallet changed");
    }

    /// It leaves for good; its money stays its own.
    fn deregister(&self, number: u64) {
        let now = self.now();
        self.change_node(number, |node| {
            (node.status, node.updated_at) = (NodeStatus::Deregistered, now)
        });
        let mut world = self.world.lock().unwrap();
        world.note(format!("node {number} leaves"));
        world.see("left");
    }

    fn suspend_or_lift(&self, number: u64) {
        if at_once(self.store.node(node_id(number))).unwrap().unwrap().status
            == NodeStatus::Deregistered
        {
            return;
        }
        self.change_node(number, |node| {
            node.status = if node.status == NodeStatus::Suspended {
                NodeStatus::Active
            } else {
                NodeStatus::Suspended
            };
        });
        let mut world = self.world.lock().unwrap();
        world.note(format!("node {number} is suspended, or not any more"));
        world.see("suspended");
    }

    /// I12: taking up what a crash left, again and again, changes nothing.
    fn recovers_to_the_same(&self) -> Result<(), String> {
        let mut before = at_once(self.store.open_payouts(u32::MAX)).unwrap();
        for time in 0..3 {
            {
                let mut world = self.world.lock().unwrap();
                world.fence += 1;
            }
            let (payer, fence) = {
                let world = self.world.lock().unwrap();
                (world.payer, world.fence)
            };
            let service = self.begin(payer).service;
            let greatest = at_once(self.store.begin_paying(Fence(0))).unwrap().0;
            self.world.lock().unwrap().fence = fence.max(greatest + 1);
            let step = async move {
                service
                    .money
                    .recover_payouts(&HeldLease::new(Fence(fence.max(greatest + 1)), || true))
                    .await
            };
            let recovered = patiently(step).map_err(|error| error.to_string())?;
            let now = at_once(self.store.open_payouts(u32::MAX)).unwrap();
            if time == 0 && before.iter().any(|payout| payout.state == PayoutState::Submitting) {
                // It was kept back by what is in doubt: nobody knows any more whether it left.
                before = now;
                continue;
            }
            if recovered != 0 || now != before {
                return Err(format!("I12: recovery changes what was at rest: {recovered} payouts"));
            }
        }
        Ok(())
    }
}

fn treasurer() -> Actor {
    Actor { subject: "carol".into(), roles: vec![Role::Treasurer], ..Actor::system() }
}

/// The address of a node's wallet.
fn address(number: u64, version: u64) -> TronAddress {
    let mut payload = [0; 20];
    payload[..8].copy_from_slice(&(number << 32 | version).to_be_bytes());
    TronAddress::from_payload(payload).unwrap()
}
