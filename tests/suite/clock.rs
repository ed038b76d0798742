//! A wall clock that was moved closes, settles, plans, expires and deletes nothing, and everybody
//! is told.

mod worlds;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use lucid_model::{
    clock::{ClockFault, ClockMark},
    policies::Revision,
    time::{HOUR_MS, TimeMs},
};
use lucid_ports::{AuditFilter, Clock, Order, PageRequest, Store};
use lucid_service::{Actor, CLOCK_DOUBTED, EPOCHS_STALLED, Ports, Service};
use lucid_store_sqlite::Memory;
use lucid_testkit::fleet;
use serde_json::{Value, json};

use crate::support::{
    Lucid, SECRET, SHORT, block_on, clock::WallClock, eventually, node::TestNode, now_ms,
};

const DAY_S: i64 = 86_400;
const BOOT: &str = "this start of the machine";
const NODES: u32 = 3;

/// Two clocks: one that is set, one that is not.
#[derive(Default)]
pub struct Clocks {
    wall_ms: AtomicI64,
    steady_ms: AtomicI64,
}

impl Clocks {
    pub fn at(wall: TimeMs) -> Arc<Self> {
        Arc::new(Self { wall_ms: AtomicI64::new(wall.0), steady_ms: AtomicI64::new(5_000) })
    }
    /// Somebody sets the wall clock.
    pub fn moved(&self, by_ms: i64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
    pub fn pass(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.steady_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Clocks {
    fn now(&self) -> TimeMs {
        TimeMs(self.wall_ms.load(Ordering::SeqCst))
    }
    fn monotonic_ms(&self) -> i64 {
        self.steady_ms.load(Ordering::SeqCst)
    }
}

/// A fleet that worked in the first three epochs, none of which is closed.
struct World {
    store: Arc<dyn Store>,
    cache: tempfile::TempDir,
    _memory: Memory,
}

impl World {
    fn new() -> Self {
        let memory = Memory::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(memory.open().unwrap());
        block_on(async {
            fleet::register(&store, NODES).await;
            fleet::activate(
                store.as_ref(),
                &Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/observation-weighted/1.0.0"),
                Revision(0),
            )
            .await;
            for epoch in 1..=3 {
                fleet::work(&store, NODES, epoch).await;
            }
        });
        Self { store, cache: tempfile::tempdir().unwrap(), _memory: memory }
    }

    /// A service that has begun to watch its clock.
    fn service(&self, clocks: &Arc<Clocks>, mark: Option<&ClockMark>) -> Arc<Service> {
        let ports = Ports {
            clock: Arc::clone(clocks) as Arc<dyn Clock>,
            ..fleet::ports(&self.store, self.cache.path(), clocks.now(), 1)
        };
        block_on(async {
            let service = fleet::service_on(ports, fleet::config(1)).await;
            service.watch_clock(BOOT, mark).await.unwrap();
            service
        })
    }

    fn epochs(&self) -> u64 {
        let first = PageRequest { page: 1, limit: 100, sort: (), order: Order::Ascending };
        block_on(self.store.epochs(lucid_ports::EpochFilter::default(), first)).unwrap().items.len()
            as u64
    }
}

/// Does everything that is done by itself and may close, settle, expire or delete: how many epochs
/// were closed and periods settled.
fn work(service: &Service) -> (usize, usize) {
    block_on(async {
        let (mut closed, mut settled) = (0, 0);
        service.check_clock().await.unwrap();
        while service.epochs.close_due_epoch().await.unwrap().is_some() {
            closed += 1;
        }
        while service.money.settle_due_period().await.unwrap().is_some() {
            settled += 1;
        }
        service.fleet.lift_suspensions().await.unwrap();
        let is_busy = service.audit.forget_requests().await.unwrap()
            | service.fleet.forget_alerts().await.unwrap()
            | service
                .telemetry
                .forget_due_series(service.epochs.open_epoch().await.unwrap())
                .await
                .unwrap();
        assert!(
            !is_busy || service.clock.status().reading.fault.is_none(),
            "a doubted clock deletes nothing"
        );
        service.check_clock().await.unwrap();
        (closed, settled)
    })
}

fn is_raised(service: &Service, about: &str) -> bool {
    service.notifications.raised_alerts().iter().any(|(raised, _)| *raised == about)
}

/// Just after the epoch is due.
fn due(epoch: u32) -> TimeMs {
    fleet::epoch(epoch).end().plus_ms(46_000)
}

#[test]
fn a_wall_clock_that_is_moved_closes_and_settles_nothing_until_it_agrees_again() {
    for by_ms in [HOUR_MS, 48 * HOUR_MS, -HOUR_MS, -5 * 365 * 24 * HOUR_MS] {
        let (world, clocks) = (World::new(), Clocks::at(due(1)));
        let service = world.service(&clocks, None);
        assert_eq!(
            work(&service),
            (1, 2),
            "the period of the epoch that was there, and this one's"
        );
        clocks.moved(by_ms);
        clocks.pass(1_000);
        assert_eq!(work(&service), (0, 0), "moved by {by_ms}");
        assert!(is_raised(&service, CLOCK_DOUBTED), "moved by {by_ms}");
        assert_eq!(service.clock.now(), due(1).plus_ms(1_000), "time goes on where it was");
        clocks.pass(HOUR_MS);
        assert_eq!(work(&service), (0, 0), "the epoch that is over by now waits as well");
        clocks.moved(-by_ms);
        assert_eq!(work(&service), (1, 1));
        assert!(!is_raised(&service, CLOCK_DOUBTED));
        assert_eq!(world.epochs(), 3, "none is closed before it was over, and none empty");
        let last = block_on(world.store.last_epoch()).unwrap().unwrap();
        assert_eq!((last.epoch, last.nodes), (fleet::epoch(2), NODES));
    }
}

#[test]
fn who_accepts_the_clock_lets_everything_go_on_by_it_and_is_written_down() {
    let (world, clocks) = (World::new(), Clocks::at(due(1)));
    let service = world.service(&clocks, None);
    assert_eq!(work(&service).0, 1);
    // The machine was paused for two hours: neither clock noticed, then NTP set one.
    clocks.moved(2 * HOUR_MS);
    assert_eq!(work(&service).0, 0);
    let (root, nobody) = (Actor::file(), Actor { roles: Vec::new(), ..Actor::file() });
    assert!(block_on(service.accept_clock(&nobody, "mine")).is_err());
    let accepted = block_on(service.accept_clock(&root, "it was paused")).unwrap();
    assert_eq!((accepted.reading.fault, accepted.reading.now), (None, due(3)));
    assert_eq!(work(&service).0, 2);
    assert!(block_on(service.accept_clock(&root, "again")).is_err(), "there is nothing to accept");
    let page = PageRequest { page: 1, limit: 10, sort: (), order: Order::Descending };
    let filter = AuditFilter { action: Some("clock.accept".into()), ..AuditFilter::default() };
    let entries = block_on(world.store.audit(&filter, page)).unwrap().items;
    assert!(
        matches!(entries.as_slice(), [one] if one.entry.detail.contains("forward by 7200 s") && one.entry.detail.contains("it was paused")),
        "{entries:?}"
    );
}

#[test]
fn a_replica_elsewhere_that_shows_the_same_time_confirms_a_clock() {
    let (world, clocks) = (World::new(), Clocks::at(due(1)));
    let service = world.service(&clocks, None);
    clocks.moved(2 * HOUR_MS);
    assert_eq!(work(&service).0, 0);
    service.confirm_clock("another");
    assert_eq!(work(&service).0, 3);
}

#[test]
fn a_start_with_a_wrong_clock_closes_nothing_and_one_after_days_off_goes_on() {
    let (world, clocks) = (World::new(), Clocks::at(due(1)));
    let before = world.service(&clocks, None);
    assert_eq!(work(&before).0, 1);
    let mark = before.clock.mark(BOOT).unwrap();
    // In the past: by the newest epoch alone, also after a reboot.
    let past = Clocks::at(fleet::epoch(0).start());
    let service = world.service(&past, None);
    assert_eq!(work(&service), (0, 0));
    assert!(matches!(service.clock.status().reading.fault, Some(ClockFault::Behind { .. })));
    assert!(is_raised(&service, CLOCK_DOUBTED));
    assert_eq!(service.clock.mark(BOOT), None, "no start goes by it");
    // The next one goes by the steady clock where it is the same boot, else by how long a service
    // may be off.
    for (ahead_ms, boot, is_trusted) in [
        (HOUR_MS, BOOT, false),
        (48 * HOUR_MS, BOOT, false),
        (48 * HOUR_MS, "a reboot", true),
        (400 * 24 * HOUR_MS, "a reboot", false),
    ] {
        let later = Clocks::at(due(1).plus_ms(ahead_ms));
        let service = world.service(&later, Some(&ClockMark { boot: boot.into(), ..mark.clone() }));
        assert_eq!(
            service.clock.status().reading.fault.is_none(),
            is_trusted,
            "{ahead_ms} ms after {boot}"
        );
        if !is_trusted {
            assert_eq!(work(&service), (0, 0), "{ahead_ms} ms after {boot}");
        }
    }
    let later = Clocks::at(due(3));
    let service = world.service(&later, Some(&ClockMark { boot: "a reboot".into(), ..mark }));
    assert_eq!(work(&service).0, 2, "what was over meanwhile is closed without a person");
}

#[test]
fn an_epoch_that_ends_in_the_future_is_said_and_stops_what_goes_by_epochs() {
    let (world, clocks) = (World::new(), Clocks::at(due(1)));
    let service = world.service(&clocks, None);
    // A replica whose clock was wrong had closed two epochs more.
    let wrong = world.service(&Clocks::at(due(3)), None);
    assert_eq!(
        block_on(async {
            (
                wrong.epochs.close_due_epoch().await.unwrap().is_some(),
                wrong.epochs.close_due_epoch().await.unwrap().is_some(),
            )
        }),
        (true, true)
    );
    assert_eq!(work(&service), (0, 0));
    let end = fleet::epoch(2).end();
    assert_eq!(service.clock.status().reading.fault, Some(ClockFault::EpochAhead { end }));
    assert!(is_raised(&service, CLOCK_DOUBTED));
    clocks.pass(HOUR_MS);
    assert!(work(&service).1 > 0, "it is over by now");
    assert!(!is_raised(&service, CLOCK_DOUBTED));
}

#[test]
fn two_periods_without_a_closed_epoch_are_a_stall_whatever_the_wall_clock_shows() {
    let (world, clocks) = (World::new(), Clocks::at(due(1)));
    let service = world.service(&clocks, None);
    assert_eq!(work(&service).0, 1);
    clocks.moved(-48 * HOUR_MS);
    clocks.pass(HOUR_MS);
    work(&service);
    assert!(!is_raised(&service, EPOCHS_STALLED));
    clocks.pass(HOUR_MS + 60_000);
    work(&service);
    assert!(is_raised(&service, EPOCHS_STALLED));
    clocks.moved(48 * HOUR_MS);
    assert_eq!(work(&service).0, 2);
    assert!(!is_raised(&service, EPOCHS_STALLED));
}

/// A token that is good whatever the service's clock shows.
fn admin() -> String {
    lucid_api::issue_token(SECRET, "root", "admin", 100 * 86_400, TimeMs(now_ms())).unwrap()
}

fn readiness(lucid: &Lucid) -> (u16, String) {
    let (status, said) = lucid.send("GET", "/readyz", None, None, &[]);
    (status, said.to_string())
}

/// How long it took to become so.
fn becomes(lucid: &Lucid, status: u16, word: &str) -> Duration {
    let at = Instant::now();
    eventually(&format!("readiness {status}"), || {
        Some(readiness(lucid)).filter(|(now, said)| *now == status && said.contains(word))
    });
    let took = at.elapsed();
    assert!(took < Duration::from_secs(10), "{status} took {took:?}");
    took
}

fn newest_epoch_end_ms(lucid: &Lucid) -> i64 {
    let (status, epochs) = lucid.call("GET", "/api/v1/poot/epochs?limit=1", Some(&admin()), None);
    assert_eq!(status, 200, "{epochs}");
    epochs["epochs"][0]["epoch"].as_i64().map_or(0, |start_s| (start_s + 5) * 1_000)
}

#[test]
fn a_running_service_whose_clock_is_set_is_not_ready_closes_nothing_and_goes_on_when_it_is_right() {
    let Some(clock) = WallClock::ahead(0) else { return };
    let lucid = Lucid::serve_with(&[SHORT.as_slice(), &clock.settings()].concat());
    let mut node = TestNode::register(&lucid, "alice", 1);
    crate::support::node::work_until(&lucid, &mut node, "an epoch", || {
        (lucid.metric("lucid_epochs_total") > 0.0).then_some(())
    });
    for seconds in [7_200, 2 * DAY_S, -7_200] {
        clock.set(seconds);
        let took = becomes(&lucid, 503, "clock");
        let epochs = lucid.metric("lucid_epochs_total");
        std::thread::sleep(Duration::from_secs(7));
        assert_eq!(
            lucid.metric("lucid_epochs_total"),
            epochs,
            "an epoch was over meanwhile, and waits: {seconds} s"
        );
        assert_eq!(lucid.metric("lucid_clock_doubted"), 1.0);
        let (_, health) = lucid.send("GET", "/health", None, None, &[]);
        assert!(
            health["checks"]["clock"].as_str().unwrap().contains("lucid clock accept"),
            "{health}"
        );
        clock.set(0);
        let back = becomes(&lucid, 200, "ready");
        println!("moved by {seconds} s: not ready after {took:?}, ready again after {back:?}");
        crate::support::node::work_until(&lucid, &mut node, "epochs to go on", || {
            (lucid.metric("lucid_epochs_total") > epochs + 1.0).then_some(())
        });
        assert!(newest_epoch_end_ms(&lucid) <= now_ms(), "no epoch is closed before it is over");
    }
    let scores = lucid.call("GET", "/api/v1/poot/scores?limit=1", Some(&admin()), None).1;
    eventually("the node to accrue again", || {
        node.work(&lucid);
        let newest = lucid.call("GET", "/api/v1/poot/scores?limit=1", Some(&admin()), None).1;
        (newest["scores"][0]["epoch"] != scores["scores"][0]["epoch"]
            && newest["scores"][0]["total_observation_time"].as_u64()? > 0)
            .then_some(())
    });
    // A person who looked says that it is right.
    clock.set(60);
    becomes(&lucid, 503, "clock");
    let accept =
        |reason: &Value| lucid.call("POST", "/api/v1/clock/accept", Some(&admin()), Some(reason));
    assert_eq!(accept(&json!({})).0, 400);
    assert_eq!(
        lucid
            .call(
                "POST",
                "/api/v1/clock/accept",
                Some(&lucid.token("alice", "node_operator")),
                Some(&json!({ "reason": "mine" }))
            )
            .0,
        403
    );
    let (status, clocks) = accept(&json!({ "reason": "a test" }));
    assert_eq!((status, &clocks["trusted"]), (200, &json!(true)), "{clocks}");
    becomes(&lucid, 200, "ready");
    assert_eq!(accept(&json!({ "reason": "again" })).0, 409);
    let (_, audit) = lucid.call("GET", "/api/v1/audit?action=clock.accept", Some(&admin()), None);
    assert_eq!(audit["pagination"]["total"], 1, "{audit}");
}

#[test]
fn a_service_that_starts_with_a_wrong_clock_closes_nothing_and_registers_nobody() {
    let Some(clock) = WallClock::ahead(0) else { return };
    let mut lucid = Lucid::serve_with(&[SHORT.as_slice(), &clock.settings()].concat());
    let mut node = TestNode::register(&lucid, "alice", 1);
    crate::support::node::work_until(&lucid, &mut node, "an epoch", || {
        (lucid.metric("lucid_epochs_total") > 0.0).then_some(())
    });
    let since_2020 = now_ms() / 1_000 - 1_577_836_800;
    for (seconds, note_is_lost) in
        [(-since_2020, false), (-since_2020, true), (7_200, false), (2 * DAY_S, false)]
    {
        let data = lucid.data();
        lucid.stop_for_a_while(|| {
            if note_is_lost {
                std::fs::remove_file(data.join("clock.json")).unwrap();
            }
            clock.set(seconds);
        });
        becomes(&lucid, 503, "clock");
        std::thread::sleep(Duration::from_secs(7));
        assert_eq!(lucid.metric("lucid_epochs_total"), 0.0, "{seconds} s");
        if note_is_lost {
            let registered = lucid.call(
                "POST",
                "/api/v1/nodes",
                Some(&admin()),
                Some(&json!({ "name": "n", "ip_address": "198.51.100.9", "port": 9000 })),
            );
            assert_eq!(registered.0, 503, "{}", registered.1);
        }
        clock.set(0);
        becomes(&lucid, 200, "ready");
        eventually("epochs to go on", || (lucid.metric("lucid_epochs_total") > 0.0).then_some(()));
        assert!(newest_epoch_end_ms(&lucid) <= now_ms());
    }
}
