//! Freezing payments, taking them back, saying what became of one, statements, and whether the
//! books are in order.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use lucid_model::{
    id::{FamilyId, NodeId, PayoutId, PoolScope},
    money::{
        MicroUsdt,
        ledger::{Draft, Entry, Stream},
        payout::{Payout, PayoutState},
        settlement::SettlementRecord,
    },
    time::TimeMs,
};
use lucid_ports::{Booked, Books, Fence, PayoutUpdate, Store, StoreError};
use lucid_service::{Ports, Safety, Service, verify_books};
use lucid_store_sqlite::Memory;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    money::{
        rails,
        simulation::{
            workers::{policies, ports},
            world::World,
        },
    },
    support::{
        Lucid, SHORT, SandboxProcess, block_on, eventually, money,
        node::{TestNode, work_until},
    },
};

fn lucid(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lucid")).args(args).output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr),
    )
}

/// Tokens as files, as the command line takes them.
struct Tokens(tempfile::TempDir);

impl Tokens {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn file(&self, lucid: &Lucid, subject: &str, role: &str) -> String {
        let file = self.0.path().join(subject);
        std::fs::write(&file, lucid.token(subject, role)).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

/// Short periods, and something to pay with.
fn funded() -> Vec<(&'static str, &'static str)> {
    let mut settings = SHORT.to_vec();
    settings.push(("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"));
    settings
}

fn micro(text: &Value) -> i64 {
    text.as_str().unwrap().parse::<MicroUsdt>().unwrap().0
}

#[test]
fn frozen_payments_wait_and_go_on_and_the_books_add_up() {
    let service = Lucid::serve_with(&funded());
    let tokens = Tokens::new();
    let treasurer = service.token("carol", "super_admin");
    let file = tokens.file(&service, "carol", "super_admin");
    let mut node = TestNode::register(&service, "alice", 1);
    let remote = ["--server", &service.base, "--token-file", &file];
    let status = |more: &[&str]| lucid(&[&["status"], &remote[..], more].concat());

    let (code, frozen) =
        lucid(&[&["payout", "freeze", "--reason", "a drill"], &remote[..]].concat());
    assert!(code == Some(0) && frozen.contains("\"frozen\":true"), "{frozen}");
    let owner = service.token("alice", "node_operator");
    assert_eq!(
        service
            .call("POST", "/api/v1/payouts/freeze", Some(&owner), Some(&json!({ "reason": "x" })))
            .0,
        403
    );
    assert_eq!(
        service.call("POST", "/api/v1/payouts/freeze", Some(&treasurer), Some(&json!({}))).0,
        400,
        "why?"
    );
    let again = service
        .call(
            "POST",
            "/api/v1/payouts/freeze",
            Some(&treasurer),
            Some(&json!({ "reason": "another" })),
        )
        .1;
    assert_eq!(again["reason"], "a drill", "who was first");

    let planned = work_until(&service, &mut node, "a payout that waits", || {
        let payouts = service.get("/api/v1/payouts");
        payouts["payouts"].as_array()?.first().cloned()
    });
    assert_eq!(planned["state"], "reserved");
    let (code, told) = status(&[]);
    assert!(
        code == Some(2)
            && told.contains("payments are frozen")
            && told.contains("a drill")
            && told.contains("reserved"),
        "{told}"
    );
    // The payer looks several times a second: an epoch later it has looked often.
    let epoch = service.get("/api/v1/payouts/status")["last_epoch"].clone();
    eventually("another epoch", || {
        (service.get("/api/v1/payouts/status")["last_epoch"] != epoch).then_some(())
    });
    let payout = planned["payout_id"].as_str().unwrap();
    let path = format!("/api/v1/payouts/{payout}");
    assert_eq!(service.get(&path)["state"], "reserved", "nothing is sent");

    // A treasurer takes it back: the money is the node's again.
    let before = service.get(&format!("/api/v1/nodes/{}/earnings", node.id));
    assert_eq!(
        service
            .call("POST", &format!("{path}/cancel"), Some(&owner), Some(&json!({ "reason": "x" })))
            .0,
        403
    );
    let (code, cancelled) =
        lucid(&[&["payout", "cancel", payout, "--reason", "a drill"], &remote[..]].concat());
    assert!(code == Some(0) && cancelled.contains("\"cancelled\""), "{cancelled}");
    let after = service.get(&format!("/api/v1/nodes/{}/earnings", node.id));
    assert!(
        micro(&before["reserved_usdt"]) > 0
            && micro(&after["reserved_usdt"]) < micro(&before["reserved_usdt"]),
        "{before} {after}"
    );

    assert_eq!(
        service
            .call(
                "POST",
                "/api/v1/payouts/resume",
                Some(&service.token("dave", "admin")),
                Some(&json!({ "reason": "x" }))
            )
            .0,
        403
    );
    let (code, resumed) = lucid(&[&["payout", "resume", "--reason", "done"], &remote[..]].concat());
    assert!(code == Some(0) && resumed.contains("\"frozen\":false"), "{resumed}");
    let paid = work_until(&service, &mut node, "a payout", || {
        let paid = service.get("/api/v1/payouts?status=completed");
        paid["payouts"].as_array()?.first().cloned()
    });
    let too_late = service.call(
        "POST",
        &format!("/api/v1/payouts/{}/cancel", paid["payout_id"].as_str().unwrap()),
        Some(&treasurer),
        Some(&json!({ "reason": "x" })),
    );
    assert_eq!(too_late.0, 409, "{too_late:?}");

    let (code, audit) = lucid(&[&["payout", "audit"], &remote[..]].concat());
    assert!(code == Some(0) && audit.contains("\"in_order\":true"), "{audit}");
    let (code, books) = lucid(&[
        "ledger",
        "verify",
        "--data",
        service.data().to_str().unwrap(),
        "--output",
        "json",
    ]);
    let books: Value = serde_json::from_str(books.trim()).unwrap();
    assert!(
        code == Some(0) && books["in_order"] == true && books["payouts"].as_u64() >= Some(2),
        "{books}"
    );
    let of = |place: &str| micro(&books["usdt"][place]);
    assert_eq!(
        of("deposited"),
        of("treasury") + of("available") + of("held") + of("reserved") + of("paid"),
        "{books}"
    );
    let standing = eventually("nothing to look at", || {
        let standing = service.get("/api/v1/payouts/status");
        (standing["safety"] == "safe").then_some(standing)
    });
    assert!(standing["books"]["in_order"] == true && standing["rail"] == "sandbox", "{standing}");
    assert_eq!(status(&["--output", "json"]).0, Some(0));
}

#[test]
fn two_treasurers_put_a_balance_right() {
    let mut settings = funded();
    settings.push(("FOUR_EYES", "true"));
    let service = Lucid::serve_with(&settings);
    let (carol, dave, owner) = (
        service.token("carol", "super_admin"),
        service.token("dave", "super_admin"),
        service.token("alice", "node_operator"),
    );
    let node = TestNode::register(&service, "alice", 1);
    let path = format!("/api/v1/nodes/{}/corrections", node.id);
    let body = |correction: &str, usdt: &str| json!({ "correction": correction, "amount_usdt": usdt, "reason": "ticket 4712" });
    let available =
        || micro(&service.get(&format!("/api/v1/nodes/{}/earnings", node.id))["available_usdt"]);
    let before = available();
    assert_eq!(service.call("POST", &path, Some(&owner), Some(&body("credit", "5"))).0, 403);
    assert_eq!(service.call("POST", &path, Some(&carol), Some(&body("gift", "5"))).0, 400);
    for (correction, usdt) in
        [("debit", "900"), ("release_hold", "0.000001"), ("credit", "99999999")]
    {
        let (status, body) =
            service.call("POST", &path, Some(&carol), Some(&body(correction, usdt)));
        let later = correction == "credit";
        assert_eq!(status, if later { 202 } else { 409 }, "{correction}: {body}");
        if later {
            // What the treasury has is known when it is carried out.
            let id = body["proposal"]["proposal_id"].as_str().unwrap();
            assert_eq!(
                service
                    .call(
                        "POST",
                        &format!("/api/v1/payouts/proposals/{id}/accept"),
                        Some(&dave),
                        None
                    )
                    .0,
                409
            );
            assert_eq!(
                service
                    .call(
                        "POST",
                        &format!("/api/v1/payouts/proposals/{id}/refuse"),
                        Some(&carol),
                        None
                    )
                    .0,
                200
            );
        }
    }
    let (code, proposed) = service.treasurer(
        "carol",
        &[
            "correct",
            &node.id.to_string(),
            "--correction",
            "credit",
            "--amount",
            "5",
            "--reason",
            "ticket 4712",
        ],
    );
    let proposed: Value = serde_json::from_str(&proposed).unwrap();
    assert_eq!(
        (code, proposed["proposal"]["amount_usdt"].as_str()),
        (Some(0), Some("5.000000")),
        "{proposed}"
    );
    assert_eq!(available(), before, "another one has to confirm it");
    let id = proposed["proposal"]["proposal_id"].as_str().unwrap();
    assert_eq!(service.treasurer("carol", &["accept", id]).0, Some(1), "not who proposed it");
    assert_eq!(service.treasurer("dave", &["accept", id]).0, Some(0));
    assert_eq!(service.treasurer("dave", &["accept", id]).0, Some(1), "once");
    assert_eq!(available(), before + 5_000_000);
    let statement = service.get(&format!("/api/v1/nodes/{}/statement", node.id));
    assert!(
        statement["lines"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line["kind"] == "adjust" && line["amount_usdt"] == "5.000000"),
        "{statement}"
    );
    let (code, audit) = service.treasurer("carol", &["audit"]);
    assert!(code == Some(0) && audit.contains("\"in_order\":true"), "{audit}");
}

#[test]
fn a_statement_adds_up_to_what_the_ledger_says() {
    let service = Lucid::serve_with(&funded());
    let tokens = Tokens::new();
    let mut node = TestNode::register(&service, "alice", 1);
    work_until(&service, &mut node, "a payout", || {
        service.get("/api/v1/payouts?status=completed")["payouts"].as_array()?.first().cloned()
    });
    let earnings = service.get(&format!("/api/v1/nodes/{}/earnings", node.id));
    assert!(micro(&earnings["paid_usdt"]) >= 25_000_000, "{earnings}");
    // Half a period after a settlement half a budget is earned, about.
    let estimated = eventually("an estimate", || {
        node.work(&service);
        let earnings = service.get(&format!("/api/v1/nodes/{}/earnings", node.id));
        Some(micro(&earnings["estimated_usdt"])).filter(|estimated| *estimated > 0)
    });
    assert!((12_500_000..=50_000_000).contains(&estimated), "{estimated}");
    let owner = service.token("alice", "node_operator");
    let path = format!("/api/v1/nodes/{}/statement", node.id);
    let (status, statement) = service.call("GET", &path, Some(&owner), None);
    assert_eq!(status, 200, "{statement}");
    let lines = statement["lines"].as_array().unwrap();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert!(
        kinds.contains(&"accrue") && kinds.contains(&"reserve") && kinds.contains(&"settle"),
        "{kinds:?}"
    );
    let sum: i64 = lines.iter().map(|line| micro(&line["amount_usdt"])).sum();
    let there: i64 = ["available_usdt", "held_usdt", "reserved_usdt"]
        .iter()
        .map(|field| micro(&statement[*field]))
        .sum();
    assert_eq!((sum, micro(&statement["sum_usdt"])), (there, sum), "{statement}");
    let settled = lines.iter().find(|line| line["kind"] == "settle").unwrap();
    assert!(
        settled["transaction_id"].is_string() && micro(&settled["amount_usdt"]) < 0,
        "{settled}"
    );

    let (status, csv) = service.call("GET", &format!("{path}?format=csv"), Some(&owner), None);
    let csv = csv.as_str().unwrap();
    assert!(
        status == 200
            && csv.starts_with(
                "entry_id,at,user_id,node_id,kind,currency,amount,transaction_id,cause\n"
            ),
        "{csv}"
    );
    assert!(
        csv.lines().count() > lines.len()
            && csv.contains(settled["transaction_id"].as_str().unwrap()),
        "{csv}"
    );
    let file = tokens.file(&service, "alice", "node_operator");
    let (code, own) = lucid(&[
        "payout",
        "statement",
        "--server",
        &service.base,
        "--token-file",
        &file,
        "--format",
        "json",
    ]);
    let own: Value = serde_json::from_str(own.trim()).unwrap();
    assert!(code == Some(0) && own["lines"].as_array().unwrap().len() >= lines.len(), "{own}");
    for (question, status) in [
        ("?from=x", 400),
        ("?year=12", 400),
        ("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 400),
        ("?year=2001", 200),
    ] {
        assert_eq!(
            service.call("GET", &format!("{path}{question}"), Some(&owner), None).0,
            status,
            "{question}"
        );
    }
    assert_eq!(
        service.call("GET", &path, Some(&service.token("mallory", "node_operator")), None).0,
        403
    );
    let of_alice = own["lines"][0]["user_id"].as_str().unwrap();
    let others = format!("/api/v1/payouts/statement?user_id={of_alice}");
    assert_eq!(
        service.call("GET", &others, Some(&service.token("mallory", "node_operator")), None).0,
        403
    );
    assert_eq!(service.call("GET", &others, Some(&service.token("carol", "admin")), None).0, 200);
}

#[test]
fn what_nobody_can_tell_two_treasurers_say() {
    let sandbox = SandboxProcess::start();
    // It takes the request, and says nothing of it any more.
    sandbox.set_faults(&json!({
        "payout": [{ "effect": "none", "answer": { "status": { "code": 502 } } }],
        "status": [{ "answer": { "status": { "code": 502 } } }]
    }));
    let mut settings: Vec<_> =
        funded().into_iter().filter(|(name, _)| *name != "FOUR_EYES").collect();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("FOUR_EYES", "true"),
        ("LUCID_PAYOUTS_UNKNOWN_DEADLINE_S", "2"),
    ]);
    let service = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&service, "alice", 1);
    let manual = work_until(&service, &mut node, "a payout that a person has to look at", || {
        let payouts = service.get("/api/v1/payouts?status=processing");
        payouts["payouts"].as_array()?.iter().find(|payout| payout["state"] == "manual").cloned()
    });
    let path = format!("/api/v1/payouts/{}", manual["payout_id"].as_str().unwrap());
    let standing = service.get("/api/v1/payouts/status");
    assert!(
        standing["safety"] == "attention" && standing["reasons"].to_string().contains("manual"),
        "{standing}"
    );
    let (carol, dave) =
        (service.token("carol", "super_admin"), service.token("dave", "super_admin"));
    let resolve = |how: &str, token: &str, body: Value| {
        service.call("POST", &format!("{path}/resolve/{how}"), Some(token), Some(&body))
    };
    assert_eq!(resolve("paid", &carol, json!({ "evidence": "x" })).0, 400, "by which transaction?");
    assert_eq!(resolve("not-paid", &carol, json!({})).0, 400, "how is that known?");
    assert_eq!(resolve("lost", &carol, json!({ "evidence": "x" })).0, 404);
    let (status, proposed) =
        resolve("paid", &carol, json!({ "transaction_id": "t-1", "evidence": "ticket 7" }));
    assert_eq!(status, 202, "{proposed}");
    let proposal = format!(
        "/api/v1/payouts/proposals/{}",
        proposed["proposal"]["proposal_id"].as_str().unwrap()
    );
    assert_eq!(service.get(&path)["state"], "manual", "one alone moves nothing");
    assert_eq!(
        service.call("POST", &format!("{proposal}/accept"), Some(&carol), None).0,
        403,
        "not who says so"
    );
    assert_eq!(service.call("POST", &format!("{proposal}/refuse"), Some(&dave), None).0, 200);
    assert_eq!(
        service.call("POST", &format!("{proposal}/accept"), Some(&dave), None).0,
        409,
        "it was refused"
    );
    assert_eq!(service.get(&path)["state"], "manual");

    let (_, proposed) = resolve("not-paid", &carol, json!({ "evidence": "letter of the service" }));
    let proposal = format!(
        "/api/v1/payouts/proposals/{}",
        proposed["proposal"]["proposal_id"].as_str().unwrap()
    );
    let before = service.get(&format!("/api/v1/nodes/{}/earnings", node.id));
    let (status, payout) = service.call("POST", &format!("{proposal}/accept"), Some(&dave), None);
    assert_eq!((status, &payout["payout"]["state"]), (200, &json!("failed")), "{payout}");
    let after = service.get(&format!("/api/v1/nodes/{}/earnings", node.id));
    assert!(
        micro(&after["reserved_usdt"]) < micro(&before["reserved_usdt"]),
        "the money is the node's again: {before} {after}"
    );
    assert_eq!(resolve("not-paid", &carol, json!({ "evidence": "x" })).0, 409, "it is over");
    let listed = service.get("/api/v1/payouts/proposals");
    let states: Vec<_> = listed["proposals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|proposal| proposal["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["accepted", "refused"], "{listed}");
}

#[test]
fn a_changed_entry_is_named_and_payments_stop() {
    let mut service = Lucid::serve_with(&funded());
    let mut node = TestNode::register(&service, "alice", 1);
    work_until(&service, &mut node, "a payout", || {
        service.get("/api/v1/payouts?status=completed")["payouts"].as_array()?.first().cloned()
    });
    let data = service.data();
    service.stop_for_a_while(|| {
        let file = rusqlite::Connection::open(data.join("core.db")).unwrap();
        file.execute_batch("DROP TRIGGER legs_are_never_updated").unwrap();
        let changed = "UPDATE legs SET amount = amount + 1 WHERE entry = (SELECT number FROM ledger WHERE kind = 'accrue' LIMIT 1) AND place = 1";
        assert_eq!(file.execute(changed, []).unwrap(), 1);
    });
    let (code, found) = lucid(&["ledger", "verify", "--data", data.to_str().unwrap()]);
    assert!(
        code == Some(1) && found.contains("entry acc:") && found.contains("add up to"),
        "{found}"
    );
    let standing = eventually("payments that are stopped", || {
        let standing = service.get("/api/v1/payouts/status");
        (standing["safety"] == "stopped").then_some(standing)
    });
    assert!(
        standing["payments"]["frozen_by"] == "system" && standing["books"]["in_order"] == false,
        "{standing}"
    );
}

/// A store in which something happens after the payouts were read and before the ledger is.
struct Meanwhile {
    store: Arc<dyn Store>,
    happens: Mutex<Option<Payout>>,
}

#[async_trait::async_trait]
impl Books for Meanwhile {
    async fn ledger_after(
        &self,
        after: Option<(Stream, u64)>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let ends = self.happens.lock().unwrap().take();
        if let Some(payout) = ends {
            let ended = Payout {
                state: PayoutState::Confirmed,
                txid: Some("t".into()),
                version: payout.version + 1,
                ..payout
            };
            book(
                &self.store,
                Draft::close(ended.id, ended.node, ended.amount, true, "t".into()).unwrap(),
            )
            .await;
            assert_eq!(
                self.store.update_payouts(Fence(1), vec![(ended, None)]).await.unwrap(),
                [PayoutUpdate::Done]
            );
        }
        self.store.ledger_after(after, limit).await
    }
    async fn settlements_after(
        &self,
        start_s: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SettlementRecord>, StoreError> {
        self.store.settlements_after(start_s, limit).await
    }
    async fn payouts_after(
        &self,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<Payout>, StoreError> {
        self.store.payouts_after(after, limit).await
    }
}

async fn book(store: &Arc<dyn Store>, draft: Draft) {
    let entry = draft.clone().book(store.head(draft.stream).await.unwrap(), TimeMs(5)).unwrap();
    assert_eq!(store.book(vec![entry]).await.unwrap(), [Booked::Done]);
}

#[test]
fn a_payout_that_ends_while_books_are_read_is_no_flaw() {
    block_on(async {
        let store: Arc<dyn Store> = Arc::new(Memory::new().unwrap().open().unwrap());
        let payout = |number: u128| Payout {
            id: PayoutId(Uuid::from_u128(number)),
            node: NodeId(Uuid::from_u128(number)),
            state: PayoutState::Accepted,
            sends: 1,
            ..rails::payout()
        };
        for number in [1, 2] {
            let payout = payout(number);
            book(
                &store,
                Draft::accrue(
                    0,
                    PoolScope::Unassigned,
                    payout.node,
                    payout.amount,
                    MicroUsdt::ZERO,
                    "root".into(),
                )
                .unwrap(),
            )
            .await;
            book(&store, Draft::reserve(payout.id, payout.node, payout.amount).unwrap()).await;
        }
        assert!(store.create_payout(payout(1), money::audit("payout.create")).await.unwrap());
        // Made as one that is never sent; its money is about to be freed.
        let never = Payout { state: PayoutState::Cancelled, closed: true, sends: 0, ..payout(2) };
        assert!(store.create_payout(never, money::audit("payout.create")).await.unwrap());
        let books = Meanwhile { store: Arc::clone(&store), happens: Mutex::new(Some(payout(1))) };
        let found = verify_books(&books, &mut |_| {}).await.unwrap();
        assert_eq!((found.flaw, found.progress.payouts), (None, 2));
        // One whose money moved while it says that it is open is one.
        let again = Payout { state: PayoutState::Accepted, version: 3, ..payout(1) };
        assert_eq!(
            store.update_payouts(Fence(1), vec![(again, None)]).await.unwrap(),
            [PayoutUpdate::Done]
        );
        let found = verify_books(store.as_ref(), &mut |_| {}).await.unwrap();
        assert!(
            found
                .flaw
                .is_some_and(|flaw| flaw.to_string().contains("its money was moved on already"))
        );
    });
}

#[test]
fn a_payout_that_the_payment_service_does_not_know_stops_payments() {
    let sandbox = SandboxProcess::start();
    let world = Arc::new(Mutex::new(World::new(0, 0)));
    let store: Arc<dyn Store> = Arc::new(Memory::new().unwrap().open().unwrap());
    let rail = Arc::new(rails::rail(&sandbox.url));
    let ports = Ports { rail: Some(rail), ..ports(&world, Arc::clone(&store), policies()) };
    let service = Service::new(ports, money::config(), FamilyId(Uuid::from_u128(7)));
    block_on(async {
        let now = service.clock.now();
        let ended = |number: u128, state| Payout {
            id: PayoutId(Uuid::from_u128(number)),
            node: NodeId(Uuid::from_u128(number)),
            cycle: number.try_into().unwrap(),
            state,
            closed: true,
            sends: 1,
            submitted_at: Some(now),
            updated_at: now,
            ..rails::payout()
        };
        let not_paid = ended(1, PayoutState::Failed);
        assert!(store.create_payout(not_paid, money::audit("payout.create")).await.unwrap());
        while service.money.reconcile_step().await.unwrap() {}
        assert_eq!(
            service.money.payments_switch().await.unwrap().frozen,
            None,
            "neither of them paid"
        );
        let paid = Payout { txid: Some("t-1".into()), ..ended(2, PayoutState::Confirmed) };
        assert!(store.create_payout(paid.clone(), money::audit("payout.create")).await.unwrap());
        while service.money.reconcile_step().await.unwrap() {}
        assert_eq!(
            service.money.payments_switch().await.unwrap().frozen,
            None,
            "one look-up stops nobody"
        );
        while service.money.reconcile_step().await.unwrap() {}
        let freeze = service.money.payments_switch().await.unwrap().frozen.unwrap();
        assert!(
            freeze.by == "system" && freeze.reason.contains(&paid.id.to_string()),
            "{freeze:?}"
        );
        let standing = service.review.standing().await.unwrap();
        assert_eq!(standing.safety().0, Safety::Stopped);
    });
}
