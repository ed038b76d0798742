//! What the payer does when the payment service misbehaves, over HTTP: it backs off, asks before it
//! acts, and tells a person why.

use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    Lucid, SHORT, eventually,
    node::{TestNode, work_until},
    payment_service::{Asked, Books, PaymentService, Reaction, Wire},
};

/// Nothing arrives: the service answers so to every POST, and knows no payout.
fn refuses(
    status: u16,
    headers: &'static [&'static str],
) -> impl FnMut(Asked, &str, &mut Books) -> Reaction + Send {
    move |asked, _, _| match asked {
        Asked::Post => {
            Reaction { takes_effect: false, answer: Wire::Status(status, headers, "busy".into()) }
        }
        Asked::Get => Reaction::honest(),
    }
}

fn serve(service: &PaymentService, settings: &[(&str, &str)]) -> Lucid {
    let mut all = SHORT.to_vec();
    all.extend([
        ("TRON_PAYMENT_URL", service.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
        ("LUCID_RAIL_TIMEOUT_MS", "1000"),
    ]);
    all.extend([
        ("LUCID_PAYOUTS_SECOND_LOOK_S", "2"),
        ("LUCID_PAYOUTS_MANUAL_LOOK_S", "2"),
        ("LUCID_LIMITS_PAYOUTS_PER_MIN", "0"),
    ]);
    all.extend(settings);
    Lucid::serve_with(&all)
}

fn status(lucid: &Lucid) -> Value {
    lucid.get("/api/v1/payouts/status")
}

/// The first payout in a state.
fn payout_in(lucid: &Lucid, state: &str) -> Option<Value> {
    let all = lucid.get("/api/v1/payouts?limit=100");
    all["payouts"].as_array()?.iter().find(|payout| payout["state"] == state).cloned()
}

fn id(payout: &Value) -> String {
    payout["payout_id"].as_str().unwrap().to_owned()
}

fn freeze_and_wait(lucid: &Lucid) -> Duration {
    let began = Instant::now();
    let (code, told) = lucid.treasurer("carol", &["freeze", "--reason", "stop"]);
    assert!(code == Some(0) && told.contains("\"state\":\"frozen\""), "{told}");
    began.elapsed()
}

#[test]
fn a_service_that_is_too_busy_is_not_stormed() {
    for headers in [&["retry-after: 5"] as &[&str], &[]] {
        let service =
            PaymentService::start(refuses(if headers.is_empty() { 503 } else { 429 }, headers));
        let lucid = serve(&service, &[]);
        let mut node = TestNode::register(&lucid, "alice", 1);
        work_until(&lucid, &mut node, "a payout in doubt", || payout_in(&lucid, "unknown"));
        let (began, before) = (Instant::now(), service.counts().0);
        while began.elapsed() < Duration::from_secs(15) {
            node.work(&lucid);
            thread::sleep(Duration::from_millis(500));
        }
        let (posted, looked) = service.counts();
        let posted = posted - before;
        assert!((1..=3).contains(&posted), "{posted} POSTs in 15 s");
        assert!(looked <= 40, "{looked} look-ups");
        let payout = payout_in(&lucid, "unknown").unwrap();
        let entries = lucid.get(&format!("/api/v1/audit?subject={}&limit=100", id(&payout)))["pagination"]["total"].as_u64().unwrap();
        assert!(entries <= 12, "{entries} audit entries of one payout");
        assert_eq!(service.broken(), Vec::<String>::new());
        service.be_honest();
        eventually("the payout to be paid", || payout_in(&lucid, "confirmed"));
    }
}

#[test]
fn nothing_is_sent_once_payments_are_frozen_and_looking_goes_on() {
    let service = PaymentService::start(refuses(503, &[]));
    let lucid = serve(&service, &[]);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let payout =
        work_until(&lucid, &mut node, "a payout in doubt", || payout_in(&lucid, "unknown"));
    let took = freeze_and_wait(&lucid);
    assert!(took < Duration::from_secs(20), "{took:?}");
    service.still.store(true, Ordering::SeqCst);
    // From here on everything that is sent would arrive.
    service.be_honest();
    let looked = service.counts().1;
    thread::sleep(Duration::from_secs(12));
    assert!(service.counts().1 > looked, "looking goes on");
    assert_eq!((service.broken(), service.orders()), (vec![], 0));
    assert_eq!(lucid.get(&format!("/api/v1/payouts/{}", id(&payout)))["state"], "unknown");
    // Frozen again is as it was: nothing is on its way.
    let again = lucid.call(
        "POST",
        "/api/v1/payouts/freeze",
        Some(&lucid.token("carol", "super_admin")),
        Some(&json!({ "reason": "again" })),
    );
    assert!(again.0 == 200 && again.1["state"] == "frozen", "{again:?}");
    service.still.store(false, Ordering::SeqCst);
    assert_eq!(lucid.treasurer("carol", &["resume", "--reason", "on"]).0, Some(0));
    eventually("the payout to be paid", || payout_in(&lucid, "confirmed"));
}

#[test]
fn a_freeze_says_what_may_be_on_its_way_until_nothing_can_be() {
    let hang = Duration::from_millis(4_000);
    let service = PaymentService::start(move |asked, _, _| match asked {
        Asked::Post => Reaction { takes_effect: true, answer: Wire::Hang(hang) },
        Asked::Get => Reaction::honest(),
    });
    let lucid = serve(&service, &[("LUCID_RAIL_TIMEOUT_MS", "3000")]);
    let mut node = TestNode::register(&lucid, "alice", 1);
    work_until(&lucid, &mut node, "a request on its way", || payout_in(&lucid, "submitting"));
    let (code, freezing) = lucid.call(
        "POST",
        "/api/v1/payouts/freeze",
        Some(&lucid.token("carol", "super_admin")),
        Some(&json!({ "reason": "stop" })),
    );
    assert_eq!(
        (code, freezing["state"].as_str(), freezing["in_flight"].as_u64()),
        (202, Some("freezing"), Some(1)),
        "{freezing}"
    );
    assert!(freezing["frozen"] == false && freezing["in_flight_usdt"] == "25.000000", "{freezing}");
    assert_eq!(status(&lucid)["safety"], "stopped");
    eventually("nothing on its way", || {
        (status(&lucid)["payments"]["state"] == "frozen").then_some(())
    });
    service.still.store(true, Ordering::SeqCst);
    // What was on its way had arrived, and is found.
    eventually("the payout to be found", || payout_in(&lucid, "confirmed"));
    assert_eq!(service.broken(), Vec::<String>::new());
}

#[test]
fn after_a_long_stop_payouts_are_looked_up_before_anybody_is_asked() {
    let service = PaymentService::start(|_, _, _| Reaction::honest());
    // Accepted for ever, as far as it says.
    let pending = |asked, _: &str, _: &mut _| match asked {
        Asked::Post => Reaction::honest(),
        Asked::Get => Reaction {
            takes_effect: false,
            answer: Wire::With(json!({ "status": "accepted", "transaction_id": null })),
        },
    };
    service.react(pending);
    let mut lucid = serve(&service, &[("LUCID_PAYOUTS_ACCEPTED_DEADLINE_S", "4")]);
    let mut node = TestNode::register(&lucid, "alice", 1);
    work_until(&lucid, &mut node, "an accepted payout", || payout_in(&lucid, "accepted"));
    // Down past the deadline; it is paid meanwhile.
    lucid.stop_for_a_while(|| {
        service.be_honest();
        thread::sleep(Duration::from_secs(6));
    });
    let paid = eventually("the payout to be over", || {
        payout_in(&lucid, "confirmed").or_else(|| payout_in(&lucid, "manual"))
    });
    assert_eq!(paid["state"], "confirmed", "{paid}");

    // Past its deadline in earnest, it is a person's; what is found after that is offered, and ends
    // nothing by itself.
    service.react(pending);
    node.prove(&lucid);
    let manual = work_until(&lucid, &mut node, "a payout that waits for a person", || {
        payout_in(&lucid, "manual")
    });
    let alert = |lucid: &Lucid| {
        status(lucid)["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .any(|reason| reason.as_str().unwrap().contains(&id(&manual)))
    };
    assert!(alert(&lucid), "{}", status(&lucid));
    service.be_honest();
    let found = eventually("the offer", || {
        let payout = lucid.get(&format!("/api/v1/payouts/{}", id(&manual)));
        payout["found"].is_object().then_some(payout)
    });
    assert_eq!(
        (found["state"].as_str(), found["found"]["outcome"].as_str()),
        (Some("manual"), Some("paid")),
        "{found}"
    );
    let txid = found["found"]["transaction_id"].as_str().unwrap().to_owned();
    assert_eq!(
        lucid
            .treasurer(
                "carol",
                &["resolve", &id(&manual), "--paid", &txid, "--evidence", "as found"]
            )
            .0,
        Some(0)
    );
    assert!(!alert(&lucid), "{}", status(&lucid));
}

#[test]
fn one_transaction_named_for_two_payouts_is_a_person_s_with_a_reason() {
    let service = PaymentService::start(|asked, _, books| {
        // Every payout is paid by the first one's transaction, as far as it says.
        let first = books.orders.values().next().map(|order| order.txid.clone());
        match (asked, first) {
            (Asked::Get, Some(txid)) => Reaction {
                takes_effect: false,
                answer: Wire::With(json!({ "status": "completed", "transaction_id": txid })),
            },
            _ => Reaction::honest(),
        }
    });
    let lucid = serve(&service, &[]);
    let mut nodes = [TestNode::register(&lucid, "alice", 1), TestNode::register(&lucid, "bob", 2)];
    let manual = eventually("a payout that waits for a person", || {
        nodes.iter_mut().for_each(|node| node.work(&lucid));
        payout_in(&lucid, "manual")
    });
    let reason = manual["reason"].as_str().unwrap();
    assert!(
        reason.contains("names transaction") && reason.contains("which is that of payout"),
        "{reason}"
    );
    let looked = service.looks(&id(&manual));
    thread::sleep(Duration::from_secs(5));
    let later = service.looks(&id(&manual));
    assert!(
        later - looked <= 4,
        "{} look-ups in 5 s of a payout that waits for a person",
        later - looked
    );
    let first = service.books().orders.values().next().unwrap().txid.clone();
    let (code, told) = lucid.treasurer(
        "carol",
        &["resolve", &id(&manual), "--paid", &first, "--evidence", "it says so"],
    );
    assert!(code == Some(1) && told.contains("is that of payout"), "{told}");
    let (code, told) = lucid.treasurer(
        "carol",
        &["resolve", &id(&manual), "--paid", "tx-real", "--evidence", "the chain"],
    );
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(status(&lucid)["payments"]["state"], "active", "nobody else is stopped");
}

/// A payout that is paid, and about which the service says something else from now on.
fn paid(service: &PaymentService, lucid: &Lucid, node: &mut TestNode) -> String {
    let payout = work_until(lucid, node, "a payment", || payout_in(lucid, "confirmed"));
    assert!(service.books().orders.contains_key(&id(&payout)));
    id(&payout)
}

#[test]
fn one_look_up_that_contradicts_the_books_stops_nobody() {
    let service = PaymentService::start(|_, _, _| Reaction::honest());
    let lucid = serve(&service, &[]);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let payout = paid(&service, &lucid, &mut node);
    // Look-ups of it say so often that nobody knows it.
    let lies = |times: u32| {
        let (payout, mut told) = (payout.clone(), 0);
        move |asked: Asked, id: &str, _: &mut Books| {
            if asked == Asked::Get && id == payout && told < times {
                told += 1;
                let unknown = json!({ "error": { "code": "PAYOUT_NOT_FOUND" } });
                return Reaction {
                    takes_effect: false,
                    answer: Wire::Status(404, &[], unknown.to_string()),
                };
            }
            Reaction::honest()
        }
    };
    // Comparing begins anew with each start: within a quarter of a minute.
    service.react(lies(1));
    let mut lucid = lucid;
    let looked = service.looks(&payout);
    lucid.crash_and_restart();
    node.prove(&lucid);
    eventually("a second look-up", || (service.looks(&payout) >= looked + 2).then_some(()));
    thread::sleep(Duration::from_secs(1));
    assert_eq!(status(&lucid)["payments"]["state"], "active");
    assert_eq!(status(&lucid)["mismatches_open"], 0);

    // Said twice, it is a mismatch, and payments are stopped once.
    service.react(lies(u32::MAX));
    lucid.crash_and_restart();
    node.prove(&lucid);
    let list = |lucid: &Lucid| {
        lucid.get("/api/v1/payouts/mismatches?open=true")["mismatches"].as_array().unwrap().clone()
    };
    let mismatch = eventually("the mismatch", || list(&lucid).first().cloned());
    assert_eq!(
        (mismatch["payout_id"].as_str(), mismatch["kind"].as_str()),
        (Some(payout.as_str()), Some("not_paid")),
        "{mismatch}"
    );
    eventually("payments to be frozen", || {
        (status(&lucid)["payments"]["state"] == "frozen").then_some(())
    });
    assert!(status(&lucid)["reasons"].to_string().contains("says unknown"), "{}", status(&lucid));
    // Let go again they stay so, and honest payouts are paid, while nobody ended it.
    assert_eq!(lucid.treasurer("carol", &["resume", "--reason", "we know"]).0, Some(0));
    let before = service.orders();
    work_until(&lucid, &mut node, "another payment", || (service.orders() > before).then_some(()));
    thread::sleep(Duration::from_secs(16));
    assert_eq!(status(&lucid)["payments"]["state"], "active", "the same claim stops nobody twice");
    let mismatch_id = mismatch["mismatch_id"].as_str().unwrap();
    let (code, told) = lucid.treasurer(
        "carol",
        &["end-mismatch", mismatch_id, "--remedy", "recover", "--evidence", "no"],
    );
    assert!(code == Some(1) && told.contains("use dismiss or restore"), "{told}");
    let available = |lucid: &Lucid| {
        lucid.get(&format!("/api/v1/nodes/{}/earnings", node.id))["available_usdt"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(available(&lucid), "0.000000");
    assert_eq!(
        lucid
            .treasurer(
                "carol",
                &["end-mismatch", mismatch_id, "--remedy", "restore", "--evidence", "the chain"]
            )
            .0,
        Some(0)
    );
    assert_eq!(list(&lucid), Vec::<Value>::new());
    assert!(!status(&lucid)["reasons"].to_string().contains(&payout), "{}", status(&lucid));
    assert_eq!(lucid.treasurer("carol", &["audit"]).0, Some(0));
}

#[test]
fn a_payout_that_failed_and_is_paid_later_is_ended_by_treasurers() {
    let service = PaymentService::start(|asked, id, books| {
        // It says that it failed: a promise.
        if asked == Asked::Get
            && books.orders.len() == 1
            && books.orders.contains_key(id)
            && !books.used.contains_key("paid after all")
        {
            books.say_failed(id, true);
        }
        Reaction::honest()
    });
    let lucid = serve(&service, &[]);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let failed =
        work_until(&lucid, &mut node, "a payout that failed", || payout_in(&lucid, "failed"));
    let payout = id(&failed);
    {
        let mut books = service.books();
        *books.used.entry("paid after all").or_default() += 1;
        books.say_failed(&payout, false);
    }
    let mut lucid = lucid;
    lucid.crash_and_restart();
    let list = |lucid: &Lucid| {
        lucid.get("/api/v1/payouts/mismatches?open=true")["mismatches"].as_array().unwrap().clone()
    };
    let mismatch = eventually("the mismatch", || list(&lucid).first().cloned());
    assert_eq!(
        (mismatch["payout_id"].as_str(), mismatch["kind"].as_str()),
        (Some(payout.as_str()), Some("paid_after_release")),
        "{mismatch}"
    );
    eventually("payments to be frozen", || {
        (status(&lucid)["payments"]["state"] == "frozen").then_some(())
    });
    let mismatch_id = mismatch["mismatch_id"].as_str().unwrap();
    let (code, told) = lucid.treasurer(
        "carol",
        &["end-mismatch", mismatch_id, "--remedy", "recover", "--evidence", "the chain"],
    );
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(lucid.treasurer("carol", &["resume", "--reason", "ended"]).0, Some(0));
    // What it got twice is taken back once, and nothing stops again.
    let looked = service.looks(&payout);
    lucid.crash_and_restart();
    node.prove(&lucid);
    eventually("another look-up", || (service.looks(&payout) > looked).then_some(()));
    thread::sleep(Duration::from_secs(3));
    assert_eq!(
        (status(&lucid)["payments"]["state"].as_str(), status(&lucid)["mismatches_open"].as_u64()),
        (Some("active"), Some(0))
    );
    let (code, audit) = lucid.treasurer("carol", &["audit"]);
    assert!(code == Some(0) && audit.contains("\"in_order\":true"), "{audit}");
    let statement =
        lucid.get(&format!("/api/v1/nodes/{}/statement?format=json", node.id)).to_string();
    assert!(statement.contains(&format!("adj:{mismatch_id}")), "{statement}");
}
