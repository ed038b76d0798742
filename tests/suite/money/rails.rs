//! What each answer of a payment service is taken for, over real HTTP.

use std::time::Duration;

use lucid_egress::probe::Verdict;
use lucid_model::{
    id::{NodeId, PayoutId, RunId, UserId},
    money::{
        MicroUsdt,
        payout::{Answer, Payout, PayoutState, Reported},
    },
    time::TimeMs,
};
use lucid_payments::{Profile, TronPayment, TronPaymentConfig};
use lucid_ports::PaymentRail;
use serde_json::json;

use crate::support::{
    Lucid, SHORT, SandboxProcess, block_on,
    node::{TestNode, WALLET, work_until},
};

pub fn payout() -> Payout {
    let id = uuid::Uuid::now_v7();
    Payout {
        id: PayoutId(id),
        run: RunId(id),
        node: NodeId(id),
        owner: UserId(id),
        cycle: 0,
        attempt: 0,
        amount: MicroUsdt(12_500_000),
        address: WALLET.parse().unwrap(),
        wallet_version: 1,
        state: PayoutState::Submitting,
        sends: 1,
        ambiguous: false,
        request: None,
        external_id: None,
        txid: None,
        reason: None,
        created_at: TimeMs(0),
        updated_at: TimeMs(0),
        submitted_at: None,
        processed_at: None,
        next_attempt_at: TimeMs(0),
        next_send_at: TimeMs(0),
        blind_ms: 0,
        found: None,
        closed: false,
        score: None,
        observed_s: 0,
        period_start_s: 0,
        period_end_s: 0,
        plan: 1,
        version: 1,
    }
}

pub fn rail(url: &str) -> TronPayment {
    rail_of(url, Profile::SANDBOX)
}

fn rail_of(url: &str, profile: Profile) -> TronPayment {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let timeout = Duration::from_millis(700);
    TronPayment::new(TronPaymentConfig {
        base_url: url.to_owned(),
        token: None,
        timeout,
        egress: lucid_egress::Egress::default(),
        profile,
    })
    .unwrap()
}

fn send(rail: &TronPayment, payout: &Payout) -> Answer {
    let request = rail.request(payout);
    block_on(rail.send(payout, &request)).said
}

#[test]
fn only_an_echo_is_acceptance_and_only_a_known_code_a_refusal() {
    let sandbox = SandboxProcess::start();
    let rail = rail(&sandbox.url);
    let answer_to = |answer: serde_json::Value| {
        sandbox
            .set_faults(&json!({ "payout": [{ "effect": "none", "answer": answer, "times": 1 }] }));
        send(&rail, &payout())
    };
    assert!(matches!(answer_to(json!("ok")), Answer::Accepted { external_id: Some(_) }));
    for code in [408, 409, 425, 429, 500, 502, 503, 400, 422] {
        let answer = answer_to(json!({ "status": { "code": code } }));
        assert!(matches!(answer, Answer::Ambiguous(_)), "{code}: {answer:?}");
    }
    for code in [401, 403, 404] {
        let answer = answer_to(json!({ "status": { "code": code } }));
        assert!(matches!(answer, Answer::RailRefusesUs(_)), "{code}: {answer:?}");
    }
    let refused = answer_to(json!({ "status": { "code": 422, "error_code": "INVALID_ADDRESS" } }));
    assert!(matches!(refused, Answer::Rejected(_)), "{refused:?}");
    for (what, answer) in [
        ("hang", json!({ "hang": { "ms": 5_000 } })),
        ("reset", json!("reset")),
        ("cut", json!("cut")),
        ("html", json!("html")),
        ("wrong amount", json!("wrong_amount")),
        ("wrong id", json!("wrong_id")),
        ("wrong address", json!("wrong_address")),
        ("redirect", json!("redirect")),
        ("drip", json!({ "drip": { "ms": 300 } })),
        ("huge", json!({ "huge": {} })),
    ] {
        let answer = answer_to(answer);
        assert!(matches!(answer, Answer::Ambiguous(_)), "{what}: {answer:?}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(
        send(&self::rail(&format!("http://{nobody}")), &payout()),
        Answer::NotSent(_)
    ));
}

#[test]
fn a_look_believes_only_what_is_about_this_payout() {
    let sandbox = SandboxProcess::start();
    let rail = rail(&sandbox.url);
    let paid = payout();
    assert_eq!(block_on(rail.look(&paid)).said, Reported::NotFound);
    assert!(matches!(send(&rail, &paid), Answer::Accepted { .. }));
    assert!(matches!(send(&rail, &paid), Answer::Accepted { .. }), "the same key and bytes again");
    let confirmed =
        crate::support::eventually("the confirmation", || match block_on(rail.look(&paid)).said {
            Reported::Confirmed { txid, .. } => Some(txid),
            _ => None,
        });
    assert!(confirmed.starts_with("sandbox-"));
    let other_amount = Payout { amount: MicroUsdt(1), ..paid.clone() };
    assert!(matches!(block_on(rail.look(&other_amount)).said, Reported::Unclear(_)));
    for answer in [
        json!("wrong_id"),
        json!("html"),
        json!({ "status": { "code": 404 } }),
        json!({ "status": { "code": 500 } }),
    ] {
        sandbox.set_faults(&json!({ "status": [{ "answer": answer, "times": 1 }] }));
        let seen = block_on(rail.look(&paid)).said;
        assert!(matches!(seen, Reported::Unclear(_)), "{answer}: {seen:?}");
    }
    let transfers = sandbox.get("/api/v1/sandbox/transfers");
    assert_eq!(transfers["transfers"].as_array().unwrap().len(), 1, "{transfers}");
}

/// The shapes that give ids of their own and keep no keys: what is sent twice is paid twice, and
/// only the service's own id finds it.
fn is_found_by_its_own_id(profile: Profile, id_bytes: usize) {
    let sandbox = SandboxProcess::start();
    let (rail, paid) = (rail_of(&sandbox.url, profile), payout());
    assert!(matches!(block_on(rail.look(&paid)).said, Reported::Unclear(_)), "nobody knows its id");
    let Answer::Accepted { external_id: Some(id) } = send(&rail, &paid) else {
        panic!("{} does not accept", profile.name)
    };
    assert!(
        id.len() == id_bytes && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'),
        "{id}"
    );
    let known = Payout { external_id: Some(id), ..paid.clone() };
    let txid =
        crate::support::eventually("the confirmation", || match block_on(rail.look(&known)).said {
            Reported::Confirmed { txid, external_id: None } => Some(txid),
            _ => None,
        });
    assert!(txid.starts_with("sandbox-"));
    assert!(matches!(
        block_on(rail.look(&Payout { amount: MicroUsdt(1), ..known.clone() })).said,
        Reported::Unclear(_)
    ));
    let unknown = Payout { external_id: Some("0".repeat(id_bytes)), ..known.clone() };
    assert!(
        matches!(block_on(rail.look(&unknown)).said, Reported::Unclear(_)),
        "lost is not the same as not paid"
    );
    for answer in [
        json!("wrong_amount"),
        json!("wrong_address"),
        json!("html"),
        json!("reset"),
        json!("redirect"),
        json!({ "status": { "code": 500 } }),
    ] {
        sandbox
            .set_faults(&json!({ "payout": [{ "effect": "none", "answer": answer, "times": 1 }] }));
        let seen = send(&rail, &payout());
        assert!(matches!(seen, Answer::Ambiguous(_)), "{}, {answer}: {seen:?}", profile.name);
    }
    for code in [308, 429] {
        sandbox.set_faults(&json!({ "payout": [{ "effect": "none", "answer": { "status": { "code": code } }, "times": 1 }] }));
        let seen = send(&rail, &payout());
        assert!(matches!(seen, Answer::RailRefusesUs(_)), "{}, {code}: {seen:?}", profile.name);
    }
    for answer in [json!("wrong_id"), json!("wrong_amount"), json!("wrong_address"), json!("html")]
    {
        sandbox.set_faults(&json!({ "status": [{ "answer": answer, "times": 1 }] }));
        let seen = block_on(rail.look(&known)).said;
        assert!(matches!(seen, Reported::Unclear(_)), "{}, {answer}: {seen:?}", profile.name);
    }
    for (answer, cause) in [
        (json!("failed"), "a planned fault"),
        (json!("cancelled"), "cancelled at the payment service: a planned fault"),
    ] {
        sandbox.set_faults(&json!({ "status": [{ "answer": answer, "times": 1 }] }));
        let seen = block_on(rail.look(&known)).said;
        assert!(
            matches!(&seen, Reported::Failed { reason, txid: Some(_) } if reason == cause),
            "{}, {answer}: {seen:?}",
            profile.name
        );
    }
    // A float in the answer: 0.00005 is 5e-5 there.
    let small = Payout { amount: MicroUsdt(50), ..payout() };
    assert!(matches!(send(&rail, &small), Answer::Accepted { .. }));
    assert!(matches!(send(&rail, &paid), Answer::Accepted { .. }));
    let transfers = sandbox.get("/api/v1/sandbox/transfers");
    assert_eq!(transfers["transfers"].as_array().unwrap().len(), 3, "no key is kept: {transfers}");
    let can = rail.capabilities();
    assert!(!can.dedupes_by_key && !can.queries_by_key && !can.failed_is_final);
}

#[test]
fn the_shape_initiate_is_found_by_its_own_id() {
    is_found_by_its_own_id(Profile::INITIATE, 36);
}

#[test]
fn the_shape_tron_create_is_found_by_its_own_id() {
    is_found_by_its_own_id(Profile::TRON_CREATE, 32);
}

#[test]
fn a_payment_service_is_tried_on_the_route_of_its_profile() {
    let sandbox = SandboxProcess::start();
    for profile in Profile::LIVE {
        let probe = block_on(rail_of(&sandbox.url, profile).probe()).unwrap();
        assert!(matches!(probe.verdict, Verdict::Fits(_)), "{}: {probe:?}", profile.name);
        assert!(probe.date.is_some(), "its clock is compared");
    }
    let elsewhere = format!("{}/elsewhere", sandbox.url);
    for (url, code, refused) in [
        (&elsewhere, None, false),
        (&sandbox.url, Some(401), true),
        (&sandbox.url, Some(500), false),
    ] {
        if let Some(code) = code {
            sandbox.set_faults(
                &json!({ "status": [{ "answer": { "status": { "code": code } }, "times": 1 }] }),
            );
        }
        let probe = block_on(rail(url).probe()).unwrap();
        assert!(
            matches!(&probe.verdict, Verdict::Refused(_) if refused)
                || matches!(&probe.verdict, Verdict::Misfits(_) if !refused),
            "{probe:?}"
        );
    }
    assert!(
        sandbox.get("/api/v1/sandbox/transfers")["transfers"].as_array().unwrap().is_empty(),
        "nothing is sent"
    );
}

/// A live service of another shape: paid once, and what is in doubt is a person's at once, because
/// nothing is promised.
fn pays_through_a_shape_that_promises_nothing(profile: &str, id_bytes: usize) {
    let sandbox = SandboxProcess::start();
    let mut settings: Vec<_> = SHORT.into_iter().filter(|(name, _)| *name != "RAIL").collect();
    settings.extend([("TRON_PAYMENT_URL", sandbox.url.as_str()), ("RAIL_PROFILE", profile)]);
    let service = Lucid::serve_with(&settings);
    let treasurer = service.token("carol", "super_admin");
    let deposit = json!({ "reference": "bank 1", "amount_usdt": "1000" });
    assert_eq!(
        service.call("POST", "/api/v1/payouts/treasury", Some(&treasurer), Some(&deposit)).0,
        201
    );
    let mut node = TestNode::register(&service, "alice", 1);
    let of = |status: &str| {
        service.get(&format!("/api/v1/payouts?status={status}"))["payouts"]
            .as_array()
            .unwrap()
            .first()
            .cloned()
    };
    let paid = work_until(&service, &mut node, "a payout", || of("completed"));
    assert!(paid["external_id"].as_str().is_some_and(|id| id.len() == id_bytes), "{paid}");
    assert_eq!(service.get("/api/v1/payouts/status")["rail"], profile);
    sandbox.set_faults(&json!({ "payout": [{ "effect": "once", "answer": "reset" }] }));
    let manual = work_until(&service, &mut node, "a payout in doubt", || {
        of("processing").filter(|payout| payout["state"] == "manual")
    });
    let made = sandbox.get("/api/v1/sandbox/transfers?limit=1000");
    let made = made["transfers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|transfer| transfer["payout_id"] == manual["payout_id"])
        .count();
    assert_eq!(made, 1, "it was sent once");
}

#[test]
fn a_service_pays_through_the_shape_tron_create() {
    pays_through_a_shape_that_promises_nothing("tron-create", 32);
}

#[test]
fn a_service_pays_through_the_shape_initiate() {
    pays_through_a_shape_that_promises_nothing("initiate", 36);
}
