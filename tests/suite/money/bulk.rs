//! Payouts in bulk: listed by where they are, resolved many at once, and who was not paid.

use std::sync::{Arc, Mutex};

use lucid_model::{
    epochs::epoch::PeriodLength,
    fleet::node::{Node, NodeCaps, NodeStatus, Wallet},
    id::{NodeId, PayoutId, PoolScope, UserId},
    money::{
        MicroUsdt,
        ledger::{Draft, Stream},
        payout::{About, Freeze, Outcome, PaymentsSwitch, Payout, PayoutState, Resolution},
        settlement::SettlementRecord,
    },
    time::TimeMs,
};
use lucid_ports::{Booked, Fence, Order, PageRequest, PayoutUpdate, Registration, Store};
use lucid_service::{
    Actor, Role, Service, ServiceConfig, ServiceError, Unpaid, UnpaidFilter, UnpaidReport,
};
use lucid_store_sqlite::Memory;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    money::{
        payers::{FAMILY, a_payout_to_send},
        simulation::{
            workers::{policies, ports},
            world::World,
        },
    },
    support::{
        Lucid, SHORT, block_on, eventually, money,
        mongo::MongoServer,
        node::{TestNode, WALLET},
    },
};

fn service(store: &Arc<dyn Store>, config: ServiceConfig) -> Arc<Service> {
    let world = Arc::new(Mutex::new(World::new(0, 0)));
    Service::new(ports(&world, Arc::clone(store), policies()), config, FAMILY)
}

fn treasurer(subject: &str) -> Actor {
    Actor { subject: subject.into(), roles: vec![Role::Treasurer], ..Actor::system() }
}

async fn changed(store: &dyn Store, payout: &Payout) -> Payout {
    let payout = Payout { version: payout.version + 1, ..payout.clone() };
    assert_eq!(
        store.update_payouts(Fence(1), vec![(payout.clone(), None)]).await.unwrap(),
        [PayoutUpdate::Done]
    );
    payout
}

/// Payouts that a person has to look at.
async fn manual(store: &dyn Store, numbers: std::ops::RangeInclusive<u128>) -> Vec<Payout> {
    let mut payouts = Vec::new();
    for number in numbers {
        let payout = a_payout_to_send(store, number).await;
        payouts.push(
            changed(
                store,
                &Payout { state: PayoutState::Manual, sends: 1, ambiguous: true, ..payout },
            )
            .await,
        );
    }
    payouts
}

fn paid(payout: &Payout, txid: &str) -> Resolution {
    Resolution {
        payout: payout.id,
        outcome: Outcome::Paid { txid: txid.into() },
        evidence: "TronScan".into(),
    }
}

fn not_paid(payout: &Payout) -> Resolution {
    Resolution { payout: payout.id, outcome: Outcome::NotPaid, evidence: "letter".into() }
}

async fn available(store: &dyn Store, node: NodeId) -> MicroUsdt {
    store.head(Stream::Node(node)).await.unwrap().balances.available
}

async fn a_batch_is_confirmed_as_a_whole(store: Arc<dyn Store>) {
    let service = service(&store, {
        let mut config = money::config();
        config.rules.four_eyes = true;
        config
    });
    let (carol, dave) = (treasurer("carol"), treasurer("dave"));
    let payouts = manual(store.as_ref(), 1..=4).await;
    let [first, second, third, fourth] = payouts.as_slice() else { panic!("four") };
    let said = vec![paid(first, "t-1"), not_paid(second), paid(third, "t-3")];
    let proposal = service.money.resolve_payouts(&carol, said.clone()).await.unwrap();
    assert_eq!(
        (&proposal.about, proposal.decided.as_ref(), proposal.evidence.as_str()),
        (&About::Payouts(said), None, "3 payouts: 2 paid, 1 not paid")
    );
    assert_eq!(
        store.payout(first.id).await.unwrap().unwrap().state,
        PayoutState::Manual,
        "one alone moves nothing"
    );
    let refused = service.money.decide_proposal(&carol, proposal.id, true).await.unwrap_err();
    assert!(matches!(refused, ServiceError::Forbidden { .. }), "{refused}");

    // Somebody who confirmed it was stopped after the first payout, before its entry was booked.
    changed(
        store.as_ref(),
        &Payout { state: PayoutState::Confirmed, txid: Some("t-1".into()), ..first.clone() },
    )
    .await;
    assert_eq!(service.money.decide_proposal(&dave, proposal.id, true).await.unwrap(), None);
    let states = [
        (first, PayoutState::Confirmed),
        (second, PayoutState::Failed),
        (third, PayoutState::Confirmed),
        (fourth, PayoutState::Manual),
    ];
    for (payout, state) in states {
        let now = store.payout(payout.id).await.unwrap().unwrap();
        assert_eq!((now.state, now.closed), (state, state != PayoutState::Manual), "{payout:?}");
    }
    assert_eq!(
        available(store.as_ref(), second.node).await,
        second.amount,
        "its money is the node's again"
    );
    assert_eq!(available(store.as_ref(), first.node).await, MicroUsdt::ZERO);
    let again = service.money.decide_proposal(&dave, proposal.id, true).await.unwrap_err();
    assert!(matches!(again, ServiceError::Changed { what: "proposal" }), "{again}");
    assert!(
        service
            .money
            .proposal(proposal.id)
            .await
            .unwrap()
            .decided
            .is_some_and(|decision| decision.accepted && decision.by == "dave")
    );
}

#[test]
fn many_payouts_are_resolved_by_one_second_signature() {
    block_on(a_batch_is_confirmed_as_a_whole(Arc::new(Memory::new().unwrap().open().unwrap())));
}

#[test]
fn many_payouts_are_resolved_by_one_second_signature_over_mongodb() {
    let Some(server) = MongoServer::start() else { return };
    block_on(async {
        a_batch_is_confirmed_as_a_whole(
            lucid_testkit::STORES.open(&server.database()).await.unwrap(),
        )
        .await
    });
}

/// The places and fields that a refusal names.
fn problems<T: std::fmt::Debug>(refused: Result<T, ServiceError>) -> Vec<(usize, &'static str)> {
    match refused.unwrap_err() {
        ServiceError::Unresolvable { problems } => {
            problems.into_iter().map(|problem| (problem.place, problem.field)).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_batch_of_which_one_line_is_wrong_is_not_proposed_and_not_carried_out() {
    block_on(async {
        let store: Arc<dyn Store> = Arc::new(Memory::new().unwrap().open().unwrap());
        let service = service(&store, {
            let mut config = money::config();
            config.rules.four_eyes = true;
            config
        });
        let (carol, dave) = (treasurer("carol"), treasurer("dave"));
        let payouts = manual(store.as_ref(), 1..=3).await;
        let sent = a_payout_to_send(store.as_ref(), 9).await;
        let nowhere = Payout { id: PayoutId(Uuid::from_u128(77)), ..sent.clone() };
        let [first, second, third] = payouts.as_slice() else { panic!("three") };
        for (said, expected) in [
            (vec![not_paid(first), not_paid(&nowhere)], vec![(1, "payout_id")]),
            (vec![not_paid(&sent), not_paid(first)], vec![(0, "payout_id")]),
            (vec![not_paid(first), not_paid(second), not_paid(first)], vec![(2, "payout_id")]),
            (
                vec![paid(first, "t"), paid(second, "t"), not_paid(&nowhere)],
                vec![(1, "transaction_id"), (2, "payout_id")],
            ),
        ] {
            assert_eq!(problems(service.money.resolve_payouts(&carol, said).await), expected);
        }
        let all = PageRequest { page: 1, limit: 10, sort: (), order: Order::Ascending };
        assert_eq!(service.money.proposals(all).await.unwrap().total, 0, "nothing is proposed");

        let resolved =
            service.money.resolve_payouts(&carol, vec![paid(third, "t-3")]).await.unwrap();
        service.money.decide_proposal(&dave, resolved.id, true).await.unwrap();
        let taken = service.money.resolve_payouts(&carol, vec![paid(first, "t-3")]).await;
        assert_eq!(problems(taken), [(0, "transaction_id")], "one transaction pays one payout");

        // One of them is another by the time it is confirmed: none is carried out, and it can be
        // refused.
        let proposal = service
            .money
            .resolve_payouts(&carol, vec![not_paid(first), not_paid(second)])
            .await
            .unwrap();
        changed(
            store.as_ref(),
            &Payout { state: PayoutState::Confirmed, txid: Some("t-2".into()), ..second.clone() },
        )
        .await;
        assert_eq!(
            problems(service.money.decide_proposal(&dave, proposal.id, true).await),
            [(1, "payout_id")]
        );
        assert_eq!(store.payout(first.id).await.unwrap().unwrap().state, PayoutState::Manual);
        assert_eq!(service.money.decide_proposal(&dave, proposal.id, false).await.unwrap(), None);
        let refused = service
            .money
            .resolve_payouts(&Actor { roles: vec![Role::Operator], ..carol }, vec![not_paid(first)])
            .await
            .unwrap_err();
        assert!(matches!(refused, ServiceError::Forbidden { .. }), "{refused}");
    });
}

/// Books an accrual of a period, some of it held back.
async fn earns(
    store: &dyn Store,
    node: NodeId,
    period_start_s: i64,
    (amount, held): (i64, i64),
    at: TimeMs,
) {
    let stream = Stream::Node(node);
    let draft = Draft::accrue(
        period_start_s,
        PoolScope::Unassigned,
        node,
        MicroUsdt(amount),
        MicroUsdt(held),
        "root".into(),
    )
    .unwrap();
    let entry = draft.book(store.head(stream).await.unwrap(), at).unwrap();
    assert_eq!(store.book(vec![entry]).await.unwrap(), [Booked::Done]);
}

fn told(report: &UnpaidReport) -> Vec<(u128, &'static str, &'static str, i64, TimeMs)> {
    report
        .lines
        .iter()
        .map(|line| {
            (line.node.0.as_u128(), line.balance.name(), line.why.name(), line.amount.0, line.since)
        })
        .collect()
}

#[test]
fn everybody_who_was_not_paid_is_told_with_amount_since_and_reason() {
    block_on(async {
        let store: Arc<dyn Store> = Arc::new(Memory::new().unwrap().open().unwrap());
        let usdt = |amount: i64| amount * 1_000_000;
        let mut config = money::config();
        config.fleet.wallet_cooldown_ms = 86_400_000;
        config.money.payout_min = MicroUsdt(usdt(10));
        let service = service(&store, config);
        let now = service.clock.now();
        let hour = PeriodLength::new(3_600).unwrap();
        let mature = hour.period_at(now.plus_ms(-2 * 3_600_000));
        let before = hour.period_at(mature.start().plus_ms(-1));
        let (sum, note) = (MicroUsdt::ZERO, None);
        let record =
            SettlementRecord { period: mature, count: 1, sum, budget: sum, remainder: sum, note };
        assert!(store.record_settlement(record).await.unwrap());

        let address = WALLET.parse().unwrap();
        let wallet = |version: u32| Some(Wallet { address, version, since: now });
        for (number, wallet, status) in [
            (11, wallet(1), NodeStatus::Active),
            (12, None, NodeStatus::Active),
            (13, wallet(2), NodeStatus::Active),
            (14, wallet(1), NodeStatus::Suspended),
            (15, wallet(1), NodeStatus::Active),
            (16, wallet(1), NodeStatus::Active),
        ] {
            let owner = UserId(Uuid::from_u128(if number == 12 { 2 } else { 1 }));
            let node = money::node(
                NodeId(Uuid::from_u128(number)),
                owner,
                Wallet { address, version: 1, since: now },
                now,
            );
            let registration = Registration {
                node: Node { wallet, status, ..node },
                caps: NodeCaps::default(),
                enrolment: None,
                audit: money::audit("node.register"),
                assign_audit: None,
            };
            store.register_node(registration).await.unwrap();
        }
        let id = |number: u128| NodeId(Uuid::from_u128(number));
        let (first, second, third) =
            (now.plus_ms(-3_000), now.plus_ms(-2_000), now.plus_ms(-1_000));
        for number in 11..=14 {
            earns(store.as_ref(), id(number), mature.start_s, (usdt(20), 0), second).await;
        }
        // Of what is not mature something is there already.
        earns(store.as_ref(), id(11), mature.next().start_s, (usdt(5), 0), third).await;
        earns(store.as_ref(), id(12), mature.next().start_s, (usdt(5), 0), third).await;
        // Twice less than what is paid at once, and some of it held back.
        earns(store.as_ref(), id(15), before.start_s, (usdt(4), usdt(1)), first).await;
        earns(store.as_ref(), id(15), mature.start_s, (usdt(4), 0), second).await;
        let waiting = a_payout_to_send(store.as_ref(), 1).await;
        let manual = &manual(store.as_ref(), 2..=2).await[0];

        let all = PageRequest { page: 1, limit: 100, sort: (), order: Order::Ascending };
        let report = service.money.unpaid(UnpaidFilter::default(), all).await.unwrap();
        let of_payout = usdt(10);
        assert_eq!(
            told(&report),
            [
                (1, "reserved", "no_rail", of_payout, waiting.created_at),
                (2, "reserved", "payout_manual", of_payout, manual.created_at),
                (11, "available", "not_planned", usdt(20), second),
                (11, "available", "not_mature", usdt(5), third),
                (12, "available", "no_wallet", usdt(25), second),
                (13, "available", "wallet_cooling_down", usdt(20), second),
                (14, "available", "suspended", usdt(20), second),
                (15, "available", "below_minimum", usdt(7), first),
                (15, "held", "held", usdt(1), first),
            ]
        );
        assert_eq!(
            (report.total, report.lines[0].payout, report.lines[2].payout),
            (9, Some(waiting.id), None)
        );
        let sum = |why| report.totals[&why];
        assert_eq!(
            (sum(Unpaid::PayoutManual).nodes, sum(Unpaid::Held).available),
            (1, MicroUsdt(usdt(1)))
        );

        let freeze = Freeze {
            at: now,
            by: "carol".into(),
            reason: "a drill".into(),
            fence: 0,
            still_at: Some(now),
        };
        let frozen =
            PaymentsSwitch { frozen: Some(freeze), version: 1, ..PaymentsSwitch::default() };
        assert!(store.set_payments_switch(frozen, money::audit("payouts.freeze")).await.unwrap());
        let only = |filter: UnpaidFilter| {
            service.money.unpaid(filter, PageRequest { order: Order::Descending, ..all })
        };
        assert_eq!(
            told(
                &only(UnpaidFilter { node: Some(id(1)), ..UnpaidFilter::default() }).await.unwrap()
            )[0]
            .2,
            "frozen"
        );
        let of_owner = only(UnpaidFilter {
            owner: Some(UserId(Uuid::from_u128(2))),
            ..UnpaidFilter::default()
        })
        .await
        .unwrap();
        assert_eq!(told(&of_owner), [(12, "available", "no_wallet", usdt(25), second)]);
        assert_eq!(
            only(UnpaidFilter { why: Some(Unpaid::Held), ..UnpaidFilter::default() })
                .await
                .unwrap()
                .total,
            1
        );
        let page = service
            .money
            .unpaid(UnpaidFilter::default(), PageRequest { page: 3, limit: 4, ..all })
            .await
            .unwrap();
        assert_eq!((page.lines.len(), page.total, told(&page)[0].2), (1, 9, "held"));
    });
}

/// Three payouts that a person has to look at: they are so by hand.
fn three_manual(service: &mut Lucid) -> Vec<Value> {
    let carol = service.token("carol", "super_admin");
    let frozen = service.call(
        "POST",
        "/api/v1/payouts/freeze",
        Some(&carol),
        Some(&json!({ "reason": "a drill" })),
    );
    assert!([200, 202].contains(&frozen.0), "{frozen:?}");
    let mut nodes: Vec<_> =
        (1..=3).map(|number| TestNode::register(service, "alice", number)).collect();
    let of_state = |service: &Lucid, state: &str| {
        service.get(&format!("/api/v1/payouts?order=asc&state={state}"))["payouts"]
            .as_array()
            .unwrap()
            .clone()
    };
    eventually("three payouts that wait", || {
        for node in &mut nodes {
            node.work(service);
        }
        (of_state(service, "reserved").len() == 3).then_some(())
    });
    let data = service.data();
    service.stop_for_a_while(|| {
        let file = rusqlite::Connection::open(data.join("core.db")).unwrap();
        let changed = "UPDATE payouts SET state = 'manual', status = 'processing', sends = 1, ambiguous = 1 WHERE state = 'reserved'";
        assert_eq!(file.execute(changed, []).unwrap(), 3);
    });
    of_state(service, "manual")
}

#[test]
fn treasurers_list_resolve_and_see_who_is_not_paid_from_the_command_line() {
    let mut settings: Vec<_> = SHORT.into_iter().filter(|(name, _)| *name != "FOUR_EYES").collect();
    settings.extend([
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
        ("FOUR_EYES", "true"),
        ("PAYOUT_MIN_AMOUNT_USDT", "0.01"),
    ]);
    let mut service = Lucid::serve_with(&settings);
    let manual = three_manual(&mut service);
    let ids: Vec<_> =
        manual.iter().map(|payout| payout["payout_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        service
            .call("GET", "/api/v1/payouts?state=lost", Some(&service.token("root", "admin")), None)
            .0,
        400
    );

    let (code, listed) =
        service.treasurer("carol", &["list", "--state", "manual", "--output", "csv"]);
    assert!(
        code == Some(0) && listed.lines().count() == 4 && ids.iter().all(|id| listed.contains(id)),
        "{listed}"
    );
    let (code, table) =
        service.treasurer("carol", &["list", "--state", "processing", "--limit", "2"]);
    assert!(code == Some(0) && table.contains("manual") && table.contains("2 of "), "{table}");
    assert_eq!(service.treasurer("carol", &["list", "--state", "lost"]).0, Some(2));

    let (code, unpaid) =
        service.treasurer("carol", &["unpaid", "--reason", "payout_manual", "--output", "csv"]);
    let head = "node_id,user_id,balance,amount_usdt,since,reason,payout_id\n";
    assert!(
        code == Some(0)
            && unpaid.starts_with(head)
            && unpaid.lines().count() == 4
            && unpaid.contains(&ids[0]),
        "{unpaid}"
    );
    let (code, table) = service.treasurer("carol", &["unpaid"]);
    assert!(
        code == Some(0) && table.contains("payout_manual") && table.contains("of 3 nodes"),
        "{table}"
    );
    assert_eq!(
        service
            .call(
                "GET",
                "/api/v1/payouts/unpaid",
                Some(&service.token("alice", "node_operator")),
                None
            )
            .0,
        403
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resolutions.csv");
    let resolve = |text: &str| {
        std::fs::write(&file, text).unwrap();
        service.treasurer("carol", &["resolve", "--file", file.to_str().unwrap()])
    };
    let (code, said) = resolve(&format!(
        "payout_id,outcome,txid,evidence\n{},paid,,TronScan\n{},lost,,x\n",
        ids[0], ids[1]
    ));
    assert!(
        code == Some(2)
            && said.contains("line 2: txid: is required")
            && said.contains("line 3: outcome: must be one of"),
        "{said}"
    );
    let nobody = Uuid::nil();
    let (code, said) = resolve(&format!(
        "payout_id,outcome,txid,evidence\n{},not_paid,,x\n{nobody},not_paid,,x\n",
        ids[0]
    ));
    assert!(
        code == Some(1)
            && said.contains("line 3: payout_id: there is no such payout")
            && said.contains("nothing is proposed"),
        "{said}"
    );
    assert_eq!(service.get("/api/v1/payouts/proposals")["pagination"]["total"], 0);

    let lines: Vec<_> =
        ids.iter().map(|id| format!("{id},not_paid,,\"letter, ticket 7\"")).collect();
    let (code, said) = resolve(&format!("payout_id,outcome,txid,evidence\n{}\n", lines.join("\n")));
    let proposal: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(
        (code, &proposal["payouts"], &proposal["state"]),
        (Some(0), &json!(3), &json!("open")),
        "{said}"
    );
    let id = proposal["proposal_id"].as_str().unwrap();
    let (code, shown) = service.treasurer("dave", &["proposal", id]);
    assert!(
        code == Some(0)
            && ids.iter().all(|payout| shown.contains(payout))
            && shown.contains("letter, ticket 7"),
        "{shown}"
    );
    assert_eq!(service.treasurer("carol", &["accept", id]).0, Some(1), "not who proposed it");
    let (code, accepted) = service.treasurer("dave", &["accept", id]);
    assert!(code == Some(0) && accepted.contains("\"accepted\""), "{accepted}");
    for payout in &ids {
        assert_eq!(service.get(&format!("/api/v1/payouts/{payout}"))["state"], "failed");
    }
    let runs = service.get("/api/v1/payouts/runs?limit=100");
    let is_empty = |run: &Value| run["state"] == "done" && run["payout_count"] == 0;
    assert!(
        !runs["runs"].as_array().unwrap().iter().any(is_empty),
        "a run that paid nobody is not listed: {runs}"
    );
    eventually("books that are in order", || {
        let (code, audit) = service.treasurer("carol", &["audit"]);
        (code == Some(0) && audit.contains("\"in_order\":true")).then_some(())
    });
}
