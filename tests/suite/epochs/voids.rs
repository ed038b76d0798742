//! Observations that are taken back after they counted: receipts beside receipts, and money that
//! goes back.

use lucid_model::{
    epochs::{
        epoch::{Period, PeriodLength},
        score::ScoreCenti,
    },
    id::{NodeId, PayoutId, PoolScope},
    money::{
        MicroUsdt,
        ledger::{Account, Balances, Draft, Stream},
        settlement::{Accrual, Distribution, PoolSettlement},
    },
    telemetry::{credit::Interval, observation::Verdict},
};
use lucid_ports::Booked;
use lucid_service::{Actor, Role, ServiceConfig, ServiceError, Voided};
use serde_json::json;
use uuid::Uuid;

use crate::{
    support::{Lucid, SHORT, block_on, eventually, money, node::TestNode},
    telemetry::cheats::{Scene, id, session},
};

const POLICIES: [&str; 3] = ["observation-only", "hardware-and-identity", "proportional"];
const BUDGET: MicroUsdt = MicroUsdt(9_000_000);
/// What each node works of an epoch.
const WORK_MS: i64 = 600_000;

/// Two epochs a settlement period.
fn config() -> ServiceConfig {
    let mut config = money::config();
    config.rules.settlement = PeriodLength::new(7_200).unwrap();
    config.money.budget = Some(BUDGET);
    config
}

fn scene(config: ServiceConfig) -> Scene {
    let scene = Scene::with(&POLICIES, config);
    block_on(scene.service.money.fund_treasury(
        &Actor::system(),
        "test",
        MicroUsdt(100_000_000),
        "test",
    ))
    .unwrap();
    // A settlement period begins with every other epoch.
    while scene.service.clock.now() < settlement_start(&scene).start() {
        scene.pass(60_000);
    }
    scene
}

fn settlement_start(scene: &Scene) -> Period {
    let two = PeriodLength::new(7_200).unwrap();
    let at = two.period_at(scene.epoch.start());
    if at.start_s == scene.epoch.start_s { at } else { at.next() }
}

/// Both work in the `i`th epoch of the first settlement period, each in a session of its own; then
/// it is closed.
fn work_epoch(scene: &Scene, i: u64) -> Period {
    let from = scene.service.clock.now();
    for _ in 0..WORK_MS / 30_000 {
        scene.report(1);
        scene.report(2);
        scene.pass(30_000);
    }
    scene.report(1);
    scene.report(2);
    for node in [1, 2] {
        scene.observe(
            node,
            session(i * 10 + u64::from(node)),
            Interval { from, to: scene.service.clock.now() },
        );
    }
    let epoch = PeriodLength::new(3_600).unwrap().period_at(from);
    scene.pass(epoch.end().ms_since(scene.service.clock.now()) + 1);
    close(scene);
    epoch
}

fn close(scene: &Scene) {
    while block_on(scene.service.epochs.close_due_epoch()).unwrap().is_some() {}
}

fn settle(scene: &Scene) {
    while block_on(scene.service.money.settle_due_period()).unwrap().is_some() {}
}

fn void(scene: &Scene, node: u8, number: u64) -> Voided {
    block_on(scene.service.money.void_observation(
        &Actor::system(),
        id(node),
        session(number),
        "made up".into(),
    ))
    .unwrap()
}

fn balances(scene: &Scene, node: u8) -> Balances {
    block_on(scene.store.head(Stream::Node(id(node)))).unwrap().balances
}

fn treasury(scene: &Scene) -> i64 {
    let head = block_on(scene.store.head(Stream::Treasury)).unwrap().balances.available;
    assert_eq!(
        block_on(scene.store.account_total(Account::Treasury)).unwrap(),
        head,
        "the legs say what the stream says"
    );
    assert_eq!(
        block_on(scene.store.account_total(Account::Reversals)).unwrap(),
        MicroUsdt::ZERO,
        "everything that was taken back has come"
    );
    head.0
}

/// A settlement is stopped in the middle, and a node suspended before it goes on: it is shared as
/// it was begun.
#[test]
fn a_settlement_that_was_interrupted_ends_as_it_was_begun_whatever_changed_meanwhile() {
    let scene = scene(config());
    let period = settlement_start(&scene);
    for i in 0..2 {
        work_epoch(&scene, i);
    }
    // As the first try began it: half for each, of which one is booked.
    let (pool, half) = (PoolScope::Unassigned, MicroUsdt(BUDGET.0 / 2));
    let accruals =
        [1, 2].map(|node| Accrual { node: id(node), share: half, held: MicroUsdt::ZERO }).to_vec();
    let begun = PoolSettlement {
        period,
        pool,
        budget: BUDGET,
        accruals,
        remainder: MicroUsdt::ZERO,
        cause: "interrupted".into(),
    };
    let drafts = begun.drafts().unwrap();
    block_on(scene.store.keep_distribution(Distribution {
        period,
        pools: vec![begun],
        note: None,
    }))
    .unwrap();
    for draft in drafts.into_iter().take(2) {
        let entry = draft
            .clone()
            .book(block_on(scene.store.head(draft.stream)).unwrap(), scene.service.clock.now())
            .unwrap();
        assert_eq!(block_on(scene.store.book(vec![entry])).unwrap(), [Booked::Done]);
    }
    let operator = Actor { roles: vec![Role::Operator], ..Actor::system() };
    let suspension = lucid_model::fleet::commands::NewSuspension {
        reason: "abuse".into(),
        hours: None,
        notify_owner: false,
    };
    block_on(scene.service.fleet.suspend(&operator, id(2), suspension)).unwrap();
    settle(&scene);
    let record = block_on(scene.store.settlement(period.start_s)).unwrap().unwrap();
    assert_eq!(
        (record.count, record.sum, record.budget, record.remainder),
        (2, BUDGET, BUDGET, MicroUsdt::ZERO)
    );
    assert_eq!(
        block_on(scene.store.account_total(Account::Budget(pool))).unwrap(),
        MicroUsdt::ZERO
    );
    assert_eq!((balances(&scene, 1).available, balances(&scene, 2).available), (half, half));
    assert_eq!(
        block_on(lucid_service::verify_books(scene.store.as_ref(), &mut |_| {})).unwrap().flaw,
        None
    );
}

#[test]
fn a_voided_observation_adjusts_a_score_and_changes_no_receipt() {
    let scene = scene(config());
    let epoch = work_epoch(&scene, 1);
    let before = block_on(scene.store.scored(epoch.start_s)).unwrap();
    let voided = void(&scene, 1, 11);
    let [adjustment] = voided.adjustments.as_slice() else { panic!("{voided:?}") };
    assert_eq!(
        (
            adjustment.before.observed_s,
            adjustment.after.observed_s,
            adjustment.after.score,
            adjustment.number
        ),
        (600, 0, ScoreCenti(0), 1)
    );
    assert_eq!(
        (adjustment.before.sessions, adjustment.after.sessions, adjustment.chunk_root),
        (1, 0, before[0].root())
    );
    assert_eq!(block_on(scene.store.scored(epoch.start_s)).unwrap(), before, "never an edit");
    let replay = block_on(scene.service.epochs.replay_epoch(epoch.start_s)).unwrap();
    assert!(replay.is_same(), "{replay:?}");

    let seen = |node: NodeId| {
        block_on(scene.service.epochs.score_seen(&Actor::system(), epoch.start_s, node)).unwrap()
    };
    assert_eq!(
        (
            seen(id(1)).counts().observed_s,
            seen(id(1)).view.row.observed_s,
            seen(id(2)).counts().observed_s
        ),
        (0, 600, 600)
    );
    let entries = block_on(scene.service.audit.audit(
        &Actor::system(),
        lucid_ports::AuditFilter::default(),
        newest(),
    ))
    .unwrap()
    .items;
    let actions: Vec<_> = entries.iter().map(|entry| entry.entry.action.as_str()).collect();
    assert!(
        actions.contains(&"observation.void") && actions.contains(&"score.adjust"),
        "{actions:?}"
    );

    let again = void(&scene, 1, 11);
    assert!(again.adjustments.is_empty() && again.reversed == MicroUsdt::ZERO, "{again:?}");
    // It is said again, and longer: it stays what it is.
    scene.observe(1, session(11), Interval { from: epoch.start(), to: scene.service.clock.now() });
    let kept = block_on(scene.store.session(session(11))).unwrap().unwrap();
    assert_eq!(kept.verdict, Verdict::Voided("made up".into()));

    let owner = Actor { roles: vec![Role::Owner], ..Actor::system() };
    let refused =
        block_on(scene.service.money.void_observation(&owner, id(2), session(12), "mine".into()));
    assert!(matches!(refused, Err(ServiceError::Forbidden { .. })), "{refused:?}");
    let others = block_on(scene.service.money.void_observation(
        &Actor::system(),
        id(1),
        session(12),
        "not its own".into(),
    ));
    assert!(matches!(others, Err(ServiceError::NotFound { .. })), "{others:?}");
}

fn newest() -> lucid_ports::PageRequest<()> {
    lucid_ports::PageRequest {
        page: 1,
        limit: 100,
        sort: (),
        order: lucid_ports::Order::Descending,
    }
}

#[test]
fn what_made_a_node_eligible_later_is_adjusted_too() {
    // Half an hour of two epochs is enough: the first one's session made the second one count.
    let mut config = config();
    config.epochs.observation_min_s = 1_000;
    config.epochs.eligibility_window_s = 7_200;
    let scene = scene(config);
    let [first, second] = [work_epoch(&scene, 1), work_epoch(&scene, 2)];
    let eligible = |epoch: Period| {
        block_on(scene.service.epochs.score_seen(&Actor::system(), epoch.start_s, id(1)))
            .unwrap()
            .counts()
            .eligible
    };
    assert_eq!([eligible(first), eligible(second)], [false, true]);
    let voided = void(&scene, 1, 11);
    assert_eq!(
        voided.adjustments.iter().map(|a| a.epoch_start_s).collect::<Vec<_>>(),
        [first.start_s, second.start_s]
    );
    let of_second = &voided.adjustments[1];
    assert_eq!(
        (of_second.after.observed_s, of_second.after.window_observed_s, of_second.after.eligible),
        (600, 600, false)
    );
    assert_eq!([eligible(first), eligible(second)], [false, false]);
    // And the next epoch does not count it either.
    let third = work_epoch(&scene, 3);
    let row = block_on(scene.store.score(third.start_s, id(1))).unwrap().unwrap().row;
    assert_eq!((row.window_observed_s, row.eligible), (1_200, true), "the second's and its own");
}

#[test]
fn what_is_voided_before_a_period_ends_earns_nothing_and_the_others_get_it() {
    let scene = scene(config());
    work_epoch(&scene, 1);
    assert_eq!(void(&scene, 1, 11).reversed, MicroUsdt::ZERO, "nothing is settled");
    work_epoch(&scene, 2);
    settle(&scene);
    assert_eq!(
        [balances(&scene, 1).available.0, balances(&scene, 2).available.0],
        [3_000_000, 6_000_000]
    );
    assert_eq!(treasury(&scene), 91_000_000);
    // One that is voided after the settlement is reversed, of this node alone.
    let voided = void(&scene, 1, 21);
    assert_eq!(
        (voided.reversed.0, balances(&scene, 1).available.0, balances(&scene, 2).available.0),
        (3_000_000, 0, 6_000_000)
    );
    assert_eq!(treasury(&scene), 94_000_000);
    assert_eq!(void(&scene, 1, 21).reversed, MicroUsdt::ZERO, "once");
    // Half of what the other earned goes, then the other half: two reversals of one accrual.
    assert_eq!(void(&scene, 2, 12).reversed.0, 3_000_000);
    assert_eq!(void(&scene, 2, 22).reversed.0, 3_000_000);
    assert_eq!((balances(&scene, 2).available.0, treasury(&scene)), (0, 100_000_000));
}

#[test]
fn what_is_paid_already_is_owed_and_paid_back_from_half_of_what_comes() {
    let scene = scene(config());
    work_epoch(&scene, 1);
    work_epoch(&scene, 2);
    settle(&scene);
    let payout = PayoutId(Uuid::from_u128(1));
    let paid = MicroUsdt(4_000_000);
    book(&scene, Draft::reserve(payout, id(1), paid).unwrap());
    book(&scene, Draft::close(payout, id(1), paid, true, "paid".into()).unwrap());
    assert_eq!(void(&scene, 1, 11).reversed.0, 2_250_000);
    let owing = balances(&scene, 1);
    assert_eq!(
        (owing.available.0, owing.receivable.0, treasury(&scene)),
        (0, 1_750_000, 91_500_000)
    );
    // Both work again: half of what it earns pays back.
    work_epoch(&scene, 3);
    work_epoch(&scene, 4);
    settle(&scene);
    let after = balances(&scene, 1);
    assert_eq!((after.available.0, after.receivable.0), (4_500_000 - 1_750_000, 0));
    assert_eq!(
        (treasury(&scene), block_on(scene.store.account_total(Account::Owed)).unwrap()),
        (91_500_000 - 9_000_000 + 1_750_000, MicroUsdt::ZERO)
    );
}

#[test]
fn what_was_taken_before_a_crash_comes_into_the_treasury_after_it() {
    let scene = scene(config());
    work_epoch(&scene, 1);
    work_epoch(&scene, 2);
    settle(&scene);
    let payout = PayoutId(Uuid::from_u128(1));
    let paid = MicroUsdt(4_500_000);
    book(&scene, Draft::reserve(payout, id(1), paid).unwrap());
    book(&scene, Draft::close(payout, id(1), paid, true, "paid".into()).unwrap());
    void(&scene, 1, 11);
    work_epoch(&scene, 3);
    work_epoch(&scene, 4);
    // Whoever settled came as far as the offset, which leaves nobody owing.
    let period = settlement_start(&scene).next();
    let accrual = Draft::accrue(
        period.start_s,
        PoolScope::Unassigned,
        id(1),
        paid,
        MicroUsdt::ZERO,
        "root".into(),
    )
    .unwrap();
    book(&scene, Draft::fund(period.start_s, PoolScope::Unassigned, BUDGET).unwrap());
    book(&scene, accrual.clone());
    let offset = Draft::offset(&accrual, &balances(&scene, 1)).unwrap().unwrap();
    book(&scene, offset);
    assert_eq!(block_on(scene.store.account_total(Account::Owed)).unwrap(), MicroUsdt::ZERO);
    assert_eq!(
        block_on(scene.store.account_total(Account::Reversals)).unwrap(),
        MicroUsdt(2_250_000)
    );
    settle(&scene);
    assert_eq!(treasury(&scene), 91_000_000 - 9_000_000 + 2_250_000);
}

fn book(scene: &Scene, draft: Draft) {
    let entry = draft
        .clone()
        .book(block_on(scene.store.head(draft.stream)).unwrap(), scene.service.clock.now())
        .unwrap();
    assert_eq!(block_on(scene.store.book(vec![entry])).unwrap(), [Booked::Done]);
}

#[test]
fn an_epoch_that_is_being_closed_is_waited_for() {
    let scene = scene(config());
    work_epoch(&scene, 1);
    let from = scene.service.clock.now();
    scene.work(1, WORK_MS);
    scene.observe(1, session(21), Interval { from, to: scene.service.clock.now() });
    scene.pass(3_600_000);
    let waits = block_on(scene.service.money.void_observation(
        &Actor::system(),
        id(1),
        session(21),
        "made up".into(),
    ));
    assert!(matches!(waits, Err(ServiceError::EpochClosing { .. })), "{waits:?}");
    close(&scene);
    let voided = void(&scene, 1, 21);
    assert!(voided.adjustments.is_empty(), "it was voided when the epoch was closed: {voided:?}");
}

#[test]
fn an_operator_voids_over_http() {
    let lucid = Lucid::serve_with(&SHORT);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let operator = lucid.token("carol", "admin");
    let session_id = Uuid::now_v7().to_string();
    let start = crate::support::now_ms();
    let stamp = |ms: i64| lucid_model::time::TimeMs(ms).to_string();
    let closed = eventually("an epoch with the session", || {
        let sample = node.next_sample().1;
        node.report(&lucid, "metrics", &sample);
        let observation = json!({ "session_id": session_id, "start_time": stamp(start), "end_time": stamp(crate::support::now_ms()), "quality_score": 1 });
        node.report(&lucid, "observations", &observation);
        let scores = lucid
            .call(
                "GET",
                &format!("/api/v1/poot/scores?node_id={}&sort=calculated_at&order=desc", node.id),
                Some(&operator),
                None,
            )
            .1;
        scores["scores"]
            .as_array()?
            .iter()
            .find(|score| score["observed_seconds"].as_u64() >= Some(1))
            .cloned()
    });
    let path = format!("/api/v1/nodes/{}/observations/{session_id}/void", node.id);
    let ask = |token: &str, body| lucid.call("POST", &path, Some(token), Some(&body));
    assert_eq!(ask(&operator, json!({})).0, 400);
    assert_eq!(ask(&lucid.token("alice", "node_operator"), json!({ "reason": "x" })).0, 403);
    let voided = eventually("no epoch that is being closed", || {
        let (status, voided) = ask(&operator, json!({ "reason": "made up" }));
        assert!(status == 200 || status == 409, "{voided}");
        (status == 200).then_some(voided)
    });
    assert_eq!(voided["observation"]["verdict"], "voided", "{voided}");
    let score_id = closed["score_id"].as_str().unwrap();
    let seen = lucid.get(&format!("/api/v1/poot/scores/{score_id}"));
    assert_eq!(
        (&seen["observed_seconds"], seen["adjustments"].as_array().map(Vec::len)),
        (&json!(0), Some(1)),
        "{seen}"
    );
    assert_eq!(
        seen["adjustments"][0]["before"]["observed_seconds"], closed["observed_seconds"],
        "{seen}"
    );
    let missing = format!("/api/v1/nodes/{}/observations/{}/void", node.id, Uuid::now_v7());
    assert_eq!(
        lucid.call("POST", &missing, Some(&operator), Some(&json!({ "reason": "x" }))).0,
        404
    );
    // A session that claims half a century is void as soon as one of seconds.
    let claim = Uuid::now_v7().to_string();
    let ended = stamp(start - 86_400_000);
    let observation = json!({ "session_id": claim, "start_time": stamp(0), "end_time": ended, "quality_score": 1 });
    assert_eq!(node.report(&lucid, "observations", &observation).0, 200);
    let path = format!("/api/v1/nodes/{}/observations/{claim}/void", node.id);
    let (status, voided) =
        lucid.call("POST", &path, Some(&operator), Some(&json!({ "reason": "made up" })));
    assert_eq!((status, &voided["observation"]["verdict"]), (200, &json!("voided")), "{voided}");
}
