//! Everything at once: a payment service that answers wrongly most of the time, kill -9, freezes at
//! random moments, one replica on SQLite and two on MongoDB. Nobody is paid twice, nothing is sent
//! while payments are frozen, no payout is sent more often than its pace, and in the end every
//! payout is decided and the ledger says what the payment service does, to the micro-USDT.
//!
//! `STORM_KILLS=300` kills so often; `make test` does it a few times.

use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    kill::{check_money, payouts},
    support::{
        Lucid, SHORT, attempt,
        mongo::MongoServer,
        node::TestNode,
        payment_service::{Asked, Books, PaymentService, Reaction, Wire},
        redis::RedisServer,
    },
};

/// Of ten answers so many are faulty.
const FAULTY_OF_TEN: u64 = 6;
/// Sends of a payout within an hour.
const SENDS_AN_HOUR_MAX: usize = 12;
const NODES: u8 = 8;
/// Longer than a request may take.
const HANG: Duration = Duration::from_millis(900);
/// Time for everything that is open to be decided, once the service is honest again: the longest
/// wait between two sends.
const DECIDED_WITHIN: Duration = Duration::from_secs(20 * 60);

fn kills() -> u64 {
    std::env::var("STORM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled".
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn status(code: u16, headers: &'static [&'static str], body: &str) -> Wire {
    Wire::Status(code, headers, body.to_owned())
}

fn error(code: &str) -> String {
    json!({ "error": { "code": code, "message": "no" } }).to_string()
}

/// What goes wrong with a POST: its name, whether the payout is made all the same, and the answer.
fn post_fault(number: u64) -> (&'static str, bool, Wire) {
    const HTML: &str = "<html>gateway</html>";
    match number {
        0 => ("429, wait 1 s", false, status(429, &["retry-after: 1"], "")),
        1 => ("429", false, status(429, &[], "")),
        2 => ("429, made", true, status(429, &["retry-after: 2"], "")),
        3 => (
            "503, wait until then",
            false,
            status(503, &["retry-after: Sun, 06 Nov 1994 08:49:37 GMT"], ""),
        ),
        4 => ("503", false, status(503, &[], HTML)),
        5 => ("503, made", true, status(503, &[], HTML)),
        6 => ("500", false, status(500, &[], &error("INTERNAL"))),
        7 => ("500, made", true, status(500, &[], &error("INTERNAL"))),
        8 => ("502, made", true, status(502, &[], HTML)),
        9 => ("504, made", true, status(504, &[], HTML)),
        10 => ("408", false, status(408, &[], "")),
        11 => ("409, made", true, status(409, &[], &error("CONFLICT"))),
        12 => ("425", false, status(425, &[], "")),
        13 => ("401", false, status(401, &[], "")),
        14 => ("403", false, status(403, &[], "")),
        15 => ("302", false, status(302, &["location: http://127.0.0.1:9/"], "")),
        16 => ("308, made", true, status(308, &["location: http://127.0.0.1:9/"], "")),
        17 => ("200 HTML, made", true, status(200, &[], HTML)),
        18 => ("200 empty, made", true, status(200, &[], "")),
        19 => ("cut, made", true, Wire::Cut),
        20 => ("another amount, made", true, Wire::With(json!({ "amount": "0.000001" }))),
        21 => (
            "another address, made",
            true,
            Wire::With(json!({ "recipient_address": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t" })),
        ),
        22 => (
            "another payout, made",
            true,
            Wire::With(
                json!({ "payout_id": "00000000-0000-0000-0000-000000000000", "reference": "" }),
            ),
        ),
        23 => ("reset, made", true, Wire::Reset),
        24 => ("closed", false, Wire::Close),
        25 => ("no answer, made", true, Wire::Hang(HANG)),
        _ => ("400, unknown code", false, status(400, &[], &error("SOMETHING"))),
    }
}
const POST_FAULTS: u64 = 27;

/// What goes wrong with a look-up.
fn get_fault(number: u64) -> (&'static str, Wire) {
    match number {
        0 => ("look-up: 500", status(500, &[], "")),
        1 => ("look-up: 503", status(503, &["retry-after: 1"], "")),
        2 => ("look-up: 429", status(429, &["retry-after: 1"], "")),
        3 => ("look-up: HTML", status(200, &[], "<html>")),
        4 => ("look-up: cut", Wire::Cut),
        5 => ("look-up: reset", Wire::Reset),
        6 => ("look-up: no answer", Wire::Hang(HANG)),
        7 => ("look-up: another amount", Wire::With(json!({ "amount": "0.000001" }))),
        _ => ("look-up: an unknown word", Wire::With(json!({ "status": "mystery" }))),
    }
}
const GET_FAULTS: u64 = 9;

fn faulty(seed: u64) -> impl FnMut(Asked, &str, &mut Books) -> Reaction + Send {
    let mut chance = Chance(seed);
    move |asked, _, books| {
        if chance.below(10) >= FAULTY_OF_TEN {
            return Reaction::honest();
        }
        let (name, takes_effect, answer) = match asked {
            Asked::Post => post_fault(chance.below(POST_FAULTS)),
            Asked::Get => {
                let (name, answer) = get_fault(chance.below(GET_FAULTS));
                (name, false, answer)
            }
        };
        *books.used.entry(name).or_default() += 1;
        Reaction { takes_effect, answer }
    }
}

/// A service that may be killed at any moment, and the tokens of who works on it.
struct Fleet {
    replicas: Vec<Lucid>,
    nodes: Vec<TestNode>,
}

impl Fleet {
    /// Reports of each node, to one of the replicas.
    fn work(&mut self, turn: usize) {
        let lucid = &self.replicas[turn % self.replicas.len()];
        self.nodes.iter_mut().for_each(|node| node.work(lucid));
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let lucid = &self.replicas[0];
        attempt(
            method,
            &format!("{}/api/v1{path}", lucid.base),
            &lucid.token("carol", "super_admin"),
            body,
        )
    }

    fn payments_state(&self) -> Option<String> {
        Some(self.ask("GET", "/payouts/status", None)?["payments"]["state"].as_str()?.to_owned())
    }
}

fn storm(seed: u64, stores: &[(&str, &str)], replicas: usize) {
    let service = PaymentService::start(faulty(seed));
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", service.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "100000"),
        ("PAYOUT_UNKNOWN_MAX_USDT", "100000"),
        ("LUCID_RAIL_TIMEOUT_MS", "600"),
        ("LUCID_PAYOUTS_MANUAL_LOOK_S", "2"),
        ("LUCID_PAYOUTS_SECOND_LOOK_S", "2"),
        ("LUCID_COORDINATION_LEASE_MS", "3000"),
        ("LUCID_LIMITS_PAYOUTS_PER_MIN", "0"),
        ("LUCID_LIMITS_OTHER_PER_MIN", "0"),
    ]);
    settings.extend(stores);
    let replicas: Vec<_> = (0..replicas).map(|_| Lucid::serve_with(&settings)).collect();
    let nodes = (1..=NODES)
        .map(|number| TestNode::register(&replicas[0], &format!("owner {number}"), number))
        .collect();
    let mut fleet = Fleet { replicas, nodes };
    let (mut chance, mut frozen_until) = (Chance(seed | 1), None::<Instant>);
    let (mut freezes, mut stills, mut turn) = (0, 0, 0);
    for kill in 0..kills() {
        let until = Instant::now() + Duration::from_millis(3_000 + chance.below(4_000));
        while Instant::now() < until {
            turn += 1;
            fleet.work(turn);
            match frozen_until {
                None if chance.below(40) == 0
                    && fleet
                        .ask("POST", "/payouts/freeze", Some(&json!({ "reason": "storm" })))
                        .is_some() =>
                {
                    freezes += 1;
                    frozen_until =
                        Some(Instant::now() + Duration::from_millis(chance.below(5_000)));
                }
                Some(_)
                    if !service.still.load(Ordering::SeqCst)
                        && fleet.payments_state().as_deref() == Some("frozen") =>
                {
                    service.still.store(true, Ordering::SeqCst);
                    stills += 1;
                }
                Some(end) if Instant::now() >= end => {
                    service.still.store(false, Ordering::SeqCst);
                    if fleet
                        .ask("POST", "/payouts/resume", Some(&json!({ "reason": "on" })))
                        .is_some()
                    {
                        frozen_until = None;
                    }
                }
                _ => {}
            }
            thread::sleep(Duration::from_millis(200));
        }
        let place = usize::try_from(kill).unwrap() % fleet.replicas.len();
        fleet.replicas[place].crash_and_restart();
        fleet.nodes.iter_mut().for_each(|node| node.prove(&fleet.replicas[0]));
    }
    service.still.store(false, Ordering::SeqCst);
    service.be_honest();
    while fleet.payments_state().as_deref() != Some("active") {
        fleet.ask("POST", "/payouts/resume", Some(&json!({ "reason": "over" })));
        thread::sleep(Duration::from_millis(200));
    }
    decide_everything(&fleet, &service);
    let books = service.books();
    println!(
        "{} POSTs and {} look-ups for {} payouts, {freezes} freezes, {stills} of them seen still, {} kinds of faults",
        books.posted(),
        books.looked(),
        books.posts.len(),
        books.used.len()
    );
    assert!(books.broken.is_empty(), "{:?}", books.broken);
    for (id, posts) in &books.posts {
        for (place, (first, _)) in posts.iter().enumerate() {
            let within = posts[place..]
                .iter()
                .take_while(|(at, _)| at.duration_since(*first) < Duration::from_secs(3_600))
                .count();
            assert!(within <= SENDS_AN_HOUR_MAX, "{id} was sent {within} times within an hour");
        }
    }
    let transfers = books.transfers();
    drop(books);
    check_money(&fleet.replicas[0], &fleet.nodes, &transfers);
    if fleet.replicas.len() == 1 {
        crate::audit::check_entries_fit_together(&fleet.replicas[0], &["node", "run", "payout"]);
    }
    let (code, audit) = fleet.replicas[0].treasurer("carol", &["audit"]);
    assert!(code == Some(0) && audit.contains("\"in_order\":true"), "{audit}");
}

/// Waits until no payout is open; what waits for a person is said by who reads the payment
/// service's own books.
fn decide_everything(fleet: &Fleet, service: &PaymentService) {
    let (began, lucid) = (Instant::now(), &fleet.replicas[0]);
    let mut settled = 0;
    loop {
        let open: Vec<_> = payouts(lucid)
            .into_iter()
            .filter(|p| p["status"] == "pending" || p["status"] == "processing")
            .collect();
        for payout in open.iter().filter(|payout| payout["state"] == "manual") {
            let id = payout["payout_id"].as_str().unwrap();
            let txid = service.books().orders.get(id).map(|order| order.txid.clone());
            let outcome = txid.as_deref().map_or(vec!["--not-paid"], |txid| vec!["--paid", txid]);
            lucid.treasurer(
                "carol",
                &[&["resolve", id, "--evidence", "its own books"][..], &outcome].concat(),
            );
        }
        // New ones may be planned yet, for periods that ended while nodes worked.
        settled = if open.is_empty() { settled + 1 } else { 0 };
        if settled > 15 {
            return;
        }
        assert!(began.elapsed() < DECIDED_WITHIN, "still open: {open:?}");
        thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_storm_pays_nobody_twice() {
    storm(0x5eed_0001, &[], 1);
}

#[test]
fn a_storm_over_two_replicas_pays_nobody_twice() {
    let (Some(redis), Some(mongo)) = (RedisServer::start(), MongoServer::start()) else { return };
    storm(0x5eed_0002, &[("REDIS_URI", &redis.url()), ("MONGODB_URI", &mongo.database())], 2);
}
