//! How pools are, whose place is given to whom, and what they did.

use std::sync::{Arc, Mutex};

use lucid_model::{
    fleet::{
        commands::NewPool,
        node::{Node, NodeCaps, NodeStatus, Wallet},
        pool::{Pool, PoolConfig, health::Health},
    },
    id::{FamilyId, NodeId, PoolId, UserId},
};
use lucid_ports::{Assigned, Registration, Store};
use lucid_service::{Actor, Service};
use lucid_store_sqlite::Memory;
use serde_json::json;
use uuid::Uuid;

use crate::{
    money::simulation::{
        workers::{at_once, policies, ports},
        world::{SharedWorld, World},
    },
    support::{
        Lucid, SHORT, money,
        node::{TestNode, work_until},
    },
};

const MINUTE_MS: i64 = 60_000;

/// A service whose clock is the test's, and a pool that is checked each five minutes.
struct Scene {
    world: SharedWorld,
    store: Arc<dyn Store>,
    service: Arc<Service>,
    pool: PoolId,
}

fn id(number: u32) -> NodeId {
    NodeId(Uuid::from_u128(0x0192_f0c1_2b3c_7d4e_8f90_0000_0000_0000 + u128::from(number)))
}

impl Scene {
    /// Of `nodes`, the first ones are in the pool, as many as it has room for.
    fn new(nodes: u32, max_nodes: u32, config: PoolConfig) -> Self {
        let world: SharedWorld = Arc::new(Mutex::new(World::new(0, 0)));
        let memory = Memory::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(memory.open().unwrap());
        let service = Service::new(
            ports(&world, Arc::clone(&store), policies()),
            money::config(),
            FamilyId(Uuid::from_u128(7)),
        );
        let new = NewPool { name: "east".into(), description: None, max_nodes, config };
        let pool = at_once(service.fleet.create_pool(&Actor::system(), new)).unwrap().id;
        let scene = Self { world, store, service, pool };
        for number in 1..=nodes {
            let wallet = Wallet {
                address: crate::support::node::WALLET.parse().unwrap(),
                version: 1,
                since: scene.service.clock.now(),
            };
            let node = money::node(
                id(number),
                UserId(Uuid::from_u128(1)),
                wallet,
                scene.service.clock.now(),
            );
            let registration = Registration {
                node,
                caps: NodeCaps::default(),
                enrolment: None,
                audit: money::audit("node.register"),
                assign_audit: None,
            };
            at_once(scene.store.register_node(registration)).unwrap();
            if number <= max_nodes {
                scene.assign(number, Some(scene.pool));
            }
        }
        scene
    }

    fn node(&self, number: u32) -> Node {
        at_once(self.store.node(id(number))).unwrap().unwrap()
    }

    fn assign(&self, number: u32, pool: Option<PoolId>) {
        let assigned = at_once(self.store.assign_node(
            id(number),
            self.node(number).version,
            pool,
            money::audit("node.assign"),
        ))
        .unwrap();
        assert!(matches!(assigned, Assigned::Done(_)), "{assigned:?}");
    }

    fn becomes(&self, number: u32, status: NodeStatus) {
        let before = self.node(number);
        let node = Node {
            status,
            updated_at: self.service.clock.now(),
            version: before.version + 1,
            ..before
        };
        assert!(at_once(self.store.update_node(node, money::audit("node.update"))).unwrap());
    }

    /// Lets minutes pass, and the service look as often as it does by itself.
    fn pass(&self, minutes: i64) -> Health {
        for _ in 0..minutes {
            self.world.lock().unwrap().pass(MINUTE_MS);
            at_once(self.service.fleet.check_due_pools()).unwrap();
        }
        at_once(self.store.pool_standing(self.pool)).unwrap().unwrap().health
    }

    fn members(&self) -> Vec<u32> {
        let members = at_once(self.store.pool_members(self.pool)).unwrap();
        members
            .into_iter()
            .map(|member| u32::try_from(member.0.as_u128() - id(0).0.as_u128()).unwrap())
            .collect()
    }

    fn replaced(&self) -> usize {
        at_once(self.store.pool_standing(self.pool)).unwrap().unwrap().replaced.len()
    }

    fn pool(&self) -> Pool {
        at_once(self.store.pool(self.pool)).unwrap().unwrap()
    }

    fn is_raised(&self, about: &str) -> bool {
        self.service.notifications.raised_alerts().iter().any(|(raised, _)| *raised == about)
    }
}

#[test]
fn a_member_that_fails_for_long_gives_its_place_away_and_comes_back_when_there_is_room() {
    let scene = Scene::new(6, 4, PoolConfig::default());
    assert_eq!((scene.pass(1), scene.members()), (Health::Healthy, vec![1, 2, 3, 4]));
    scene.pass(1);
    scene.becomes(1, NodeStatus::Error);
    // The next check finds it after four minutes: less than an interval.
    assert_eq!((scene.pass(4), scene.members()), (Health::Degraded, vec![1, 2, 3, 4]));
    assert_eq!(
        (scene.pass(5), scene.members(), scene.replaced()),
        (Health::Degraded, vec![2, 3, 4, 5], 1)
    );
    assert_eq!(
        (scene.pass(5), scene.pass(5)),
        (Health::Degraded, Health::Healthy),
        "better once two checks say so"
    );
    // It works again, and there is no room: it waits.
    scene.becomes(1, NodeStatus::Active);
    scene.pass(10);
    assert_eq!(
        (scene.members(), scene.node(1).pool, scene.replaced()),
        (vec![2, 3, 4, 5], None, 1)
    );
    scene.assign(3, None);
    scene.pass(5);
    assert_eq!(scene.members(), [1, 2, 4, 5]);
    scene.pass(5);
    assert_eq!(scene.replaced(), 0, "it is seen where it belongs");
}

#[test]
fn one_place_in_ten_is_given_away_at_a_check_and_only_as_long_as_somebody_takes_it() {
    let scene = Scene::new(5, 4, PoolConfig::default());
    for number in [1, 2] {
        scene.becomes(number, NodeStatus::Error);
    }
    assert_eq!(scene.pass(1), Health::Unhealthy, "half of it");
    assert!(scene.is_raised("pool-health"));
    scene.pass(5);
    assert_eq!(scene.members(), [2, 3, 4, 5], "the one that failed first and has the lower id");
    scene.pass(30);
    assert_eq!(scene.members(), [2, 3, 4, 5], "nobody is left to take the other's place");
    assert!(!scene.is_raised("pool-health"), "three of four work");
}

#[test]
fn nobody_is_replaced_in_an_outage_of_ours_in_a_pool_that_is_worked_on_or_where_it_is_not_wanted() {
    let scene = Scene::new(5, 4, PoolConfig { failover_enabled: false, ..PoolConfig::default() });
    scene.becomes(1, NodeStatus::Error);
    scene.pass(20);
    assert_eq!(scene.members(), [1, 2, 3, 4], "not wanted");
    let scene = Scene::new(5, 4, PoolConfig::default());
    scene.becomes(1, NodeStatus::Error);
    scene.service.notifications.alert("mass-outage", "most are silent".into());
    scene.pass(20);
    assert_eq!(scene.members(), [1, 2, 3, 4], "an outage of ours");
    scene.service.notifications.clear_alert("mass-outage");
    let pool = scene.pool();
    let worked_on = Pool {
        status: lucid_model::fleet::pool::PoolStatus::Maintenance,
        version: pool.version + 1,
        ..pool
    };
    assert!(at_once(scene.store.update_pool(worked_on, money::audit("pool.update"))).unwrap());
    scene.pass(20);
    assert_eq!(scene.members(), [1, 2, 3, 4], "worked on");
    // Somebody paused it: that is no failure.
    scene.becomes(1, NodeStatus::Inactive);
    assert_eq!(scene.pass(10), Health::Healthy);
}

#[test]
fn a_check_that_was_cut_off_forgets_nobody() {
    let scene = Scene::new(5, 4, PoolConfig::default());
    scene.becomes(1, NodeStatus::Error);
    scene.pass(6);
    assert_eq!((scene.members(), scene.replaced()), (vec![2, 3, 4, 5], 1));
    // As after a crash between the two moves: it left, and nobody came.
    scene.assign(5, None);
    scene.becomes(5, NodeStatus::Inactive);
    scene.becomes(1, NodeStatus::Active);
    scene.pass(5);
    assert_eq!(scene.members(), [1, 2, 3, 4]);
}

#[test]
fn it_is_said_when_no_pool_has_room_and_again_when_one_has() {
    let scene = Scene::new(5, 4, PoolConfig::default());
    scene.pass(1);
    assert!(scene.is_raised("pool-capacity"));
    scene.assign(4, None);
    scene.pass(1);
    assert!(!scene.is_raised("pool-capacity"));
}

#[test]
fn what_a_pool_did_is_told_from_its_epochs_and_what_it_has_from_its_members() {
    let mut settings = SHORT.to_vec();
    settings
        .extend([("PAYOUT_MIN_AMOUNT_USDT", "1"), ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "100000")]);
    let lucid = Lucid::serve_with(&settings);
    let pool = lucid.create_pool("east");
    let mut node = TestNode::register(&lucid, "alice", 1);
    let path = |what: &str| format!("/api/v1/pools/{pool}/{what}");
    let health = work_until(&lucid, &mut node, "a first check", || {
        let health = lucid.get(&path("health"));
        (health["nodes_working"] == 1).then_some(health)
    });
    assert_eq!(
        (&health["health"], &health["node_count"], &health["places_free"]),
        (&json!("healthy"), &json!(1), &json!(99)),
        "{health}"
    );
    assert_eq!(
        health["capacity"],
        json!({ "cpu_cores": 4, "memory_bytes": 8_000_000_000_u64, "storage_bytes": 100_000_000_000_u64 })
    );

    let told = work_until(&lucid, &mut node, "a payment in the pool's performance", || {
        let told = lucid.get(&path("performance?resolution=epoch"));
        (told["total"]["paid_usdt"] != "0.000000" && !told["points"].as_array().unwrap().is_empty())
            .then_some(told)
    });
    let (total, points) = (&told["total"], told["points"].as_array().unwrap());
    assert_eq!(
        (&total["nodes_total"], &total["epochs"]),
        (&json!(1), &json!(points.len())),
        "{told}"
    );
    // An epoch that began while the node was still to report for the first time has no active node.
    assert_eq!(
        (&total["nodes_active"], &points.last().unwrap()["nodes_active"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
    assert!(points.iter().all(|point| point["observation_hours"].is_number()), "{told}");
    assert!(
        total["mean_score"].as_f64().unwrap() > 0.0
            && total["uptime_ratio"].as_f64().unwrap() > 0.0,
        "{told}"
    );
    assert_eq!(total["utilisation"], json!({ "cpu": 25.5, "memory": 40, "disk": 10 }), "{told}");
    let (_, payouts) = lucid.call(
        "GET",
        "/api/v1/payouts?status=completed&limit=100",
        Some(&lucid.token("root", "admin")),
        None,
    );
    let paid: f64 =
        payouts["payouts"].as_array().unwrap().iter().map(|p| p["amount"].as_f64().unwrap()).sum();
    assert!(
        total["paid_usdt"].as_str().unwrap().parse::<f64>().unwrap() <= paid,
        "{told} {payouts}"
    );

    // Who may not read everybody's payouts is told of none; days are coarser; a range without
    // epochs is empty.
    let (status, owners) = lucid.call(
        "GET",
        &path("performance?resolution=1d"),
        Some(&lucid.token("alice", "node_operator")),
        None,
    );
    assert_eq!((status, owners["total"].get("paid_usdt")), (200, None), "{owners}");
    assert!(owners["points"].as_array().unwrap().len() <= 2, "{owners}");
    let empty = lucid.get(&path("performance?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z"));
    assert_eq!((&empty["points"], &empty["total"]["epochs"]), (&json!([]), &json!(0)), "{empty}");
    let admin = lucid.token("root", "admin");
    for (question, field) in [
        ("resolution=2h", "resolution"),
        ("from=x", "from"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
    ] {
        let (status, refusal) =
            lucid.call("GET", &path(&format!("performance?{question}")), Some(&admin), None);
        assert_eq!(
            (status, refusal["error"]["details"]["field"].as_str()),
            (400, Some(field)),
            "{refusal}"
        );
    }
    let missing = format!("/api/v1/pools/{}/performance", Uuid::now_v7());
    assert_eq!(lucid.call("GET", &missing, Some(&admin), None).0, 404);
}
