//! Answers that nobody vouches for: whatever the bytes are, nothing is taken for paid, accepted or
//! refused that does not prove it.

use lucid_model::{
    id::{NodeId, PayoutId, RunId, UserId},
    money::{MicroUsdt, payout::PayoutState},
    time::TimeMs,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

const WALLET: &str = "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC";

fn payout() -> Payout {
    let id = Uuid::from_u128(0x0192_f0c1_2b3c_7d4e_8f90_1234_5678_9abc);
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
        external_id: Some("x-1".into()),
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

/// A sound answer of a profile.
fn sound(profile: &Profile) -> Value {
    let id = payout().id.to_string();
    let mut answer = json!({ "status": "confirmed", "recipient_address": WALLET, "amount": "12.500000", "currency": "USDT" });
    let of_profile = match profile.name {
        "initiate" => {
            json!({ "payout_id": "x-1", "tx_id": "t", "amount": 12.5, "status": "completed" })
        }
        "tron-create" => {
            json!({ "payout_id": "x-1", "metadata": { "reference": id }, "txid": "t", "amount": 12.5, "status": "completed" })
        }
        _ => json!({ "payout_id": id, "external_id": "x", "transaction_id": "t" }),
    };
    answer.as_object_mut().unwrap().extend(of_profile.as_object().unwrap().clone());
    answer
}

fn of(body: &str, profile: &Profile) -> (Answer, Reported) {
    let answer = classify(profile, &payout(), StatusCode::ACCEPTED, body.as_bytes());
    (answer, understand(profile, &payout(), StatusCode::OK, body.as_bytes()))
}

#[test]
fn each_shape_is_understood_in_its_own_words_and_no_other() {
    for profile in Profile::LIVE {
        let (answer, reported) = of(&sound(&profile).to_string(), &profile);
        assert!(
            matches!(answer, Answer::Accepted { external_id: Some(_) }),
            "{}: {answer:?}",
            profile.name
        );
        assert!(
            matches!(reported, Reported::Confirmed { ref txid, .. } if txid == "t"),
            "{}: {reported:?}",
            profile.name
        );
    }
    let (answer, _) = of(&sound(&Profile::TRON_CREATE).to_string(), &Profile::LUCID);
    assert!(matches!(answer, Answer::Ambiguous(_)), "{answer:?}");
}

#[test]
fn an_answer_that_is_about_anything_else_proves_nothing() {
    for profile in Profile::LIVE {
        for (field, wrong) in [
            ("amount", json!("12.500001")),
            ("amount", json!(12.6)),
            ("amount", json!("1.25e1")),
            ("amount", Value::Null),
            ("recipient_address", json!("TJRabPrwbZy45sbavfcjinPJC18kjpRTv8")),
            ("reference", json!("0192f0c1-0000-7d4e-8f90-123456789abc")),
            ("currency", json!("TRX")),
            ("currency", Value::Null),
            ("payout_id", json!("../../admin")),
            ("payout_id", json!("x".repeat(65))),
        ] {
            let mut answer = sound(&profile);
            answer[field] = wrong.clone();
            if field == "reference" && profile.ids != Ids::ItsAlone {
                // There our id is elsewhere, too, and either is enough.
                continue;
            }
            let (accepted, reported) = of(&answer.to_string(), &profile);
            assert!(
                matches!(accepted, Answer::Ambiguous(_)),
                "{}, {field} {wrong}: {accepted:?}",
                profile.name
            );
            assert!(
                matches!(reported, Reported::Unclear(_)),
                "{}, {field} {wrong}: {reported:?}",
                profile.name
            );
        }
        let mut two = sound(&profile);
        (two["transaction_id"], two["tx_id"]) = (json!("one"), json!("other"));
        assert!(
            matches!(of(&two.to_string(), &profile).1, Reported::Unclear(_)),
            "two transactions"
        );
        let twice = sound(&profile).to_string().replacen('{', "{\"amount\":\"12.500000\",", 1);
        assert!(
            matches!(of(&twice, &profile).0, Answer::Ambiguous(_)),
            "a key that is there twice"
        );
    }
}

#[test]
fn an_amount_is_the_decimal_that_a_number_writes_with_an_exponent_or_without() {
    let of_amount = |amount: i64, text: &str| {
        let body = sound(&Profile::TRON_CREATE).to_string().replace("12.5", text);
        let small = Payout { amount: MicroUsdt(amount), ..payout() };
        matches!(
            classify(&Profile::TRON_CREATE, &small, StatusCode::OK, body.as_bytes()),
            Answer::Accepted { .. }
        )
    };
    for (amount, text) in [
        (50, "5e-05"),
        (50, "5e-5"),
        (50, "0.00005"),
        (1, "1e-06"),
        (12_500_000, "1.25e1"),
        (1_000_000_000_000, "1e+06"),
    ] {
        assert!(of_amount(amount, text), "{text}");
    }
    for (amount, text) in [
        (50, "5e-06"),
        (50, "5.00000000000001e-05"),
        (50, "\"5e-05\""),
        (0, "1e-07"),
        (50, "5e-05.0"),
    ] {
        assert!(!of_amount(amount, text), "{text}");
    }
}

#[test]
fn what_failed_or_was_cancelled_says_why_and_frees_nothing_where_it_is_no_proof() {
    for (profile, field) in [
        (Profile::LUCID, "reason"),
        (Profile::INITIATE, "failure_reason"),
        (Profile::TRON_CREATE, "error_message"),
    ] {
        let mut answer = sound(&profile);
        answer
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !["transaction_id", "tx_id", "txid"].contains(&name.as_str()));
        answer[field] = json!("insufficient energy");
        answer["status"] = json!("failed");
        let failed = of(&answer.to_string(), &profile).1;
        assert_eq!(
            failed,
            Reported::Failed { reason: "insufficient energy".into(), txid: None },
            "{}",
            profile.name
        );
        answer["status"] = json!("cancelled");
        let cancelled = of(&answer.to_string(), &profile).1;
        if profile.capabilities.failed_is_final {
            assert!(matches!(cancelled, Reported::Unclear(_)), "nobody declared it: {cancelled:?}");
        } else {
            let reason = "cancelled at the payment service: insufficient energy".to_owned();
            assert_eq!(cancelled, Reported::Failed { reason, txid: None }, "{}", profile.name);
        }
    }
}

#[test]
fn a_profile_declares_what_refuses_before_any_effect() {
    for profile in Profile::LIVE {
        for status in [301, 302, 303, 307, 308, 408, 409, 425, 429, 500, 502, 503, 504] {
            let answer =
                classify(&profile, &payout(), StatusCode::from_u16(status).unwrap(), b"<html>");
            let declared = profile.name != "lucid" && [308, 429].contains(&status);
            assert_eq!(
                matches!(answer, Answer::RailRefusesUs(_)),
                declared,
                "{}, {status}: {answer:?}",
                profile.name
            );
            assert_eq!(
                matches!(answer, Answer::Ambiguous(_)),
                !declared,
                "{}, {status}: {answer:?}",
                profile.name
            );
        }
    }
}

#[test]
fn a_look_up_that_finds_nothing_is_not_found_only_where_payouts_are_found_by_our_id() {
    let of = |profile: &Profile, body: &str| {
        understand(profile, &payout(), StatusCode::NOT_FOUND, body.as_bytes())
    };
    assert_eq!(
        of(&Profile::LUCID, r#"{"error":{"code":"PAYOUT_NOT_FOUND","message":"none"}}"#),
        Reported::NotFound
    );
    for (profile, body) in [
        (Profile::LUCID, r#"{"error":{"code":"NO_SUCH_ROUTE"}}"#),
        (Profile::LUCID, r#"{"detail":"Not Found"}"#),
        (Profile::INITIATE, r#"{"error":{"code":"LUCID_ERR_1201","message":"Payout not found"}}"#),
        (Profile::TRON_CREATE, r#"{"detail":"Payout not found"}"#),
        (Profile::TRON_CREATE, "<html>"),
    ] {
        assert!(matches!(of(&profile, body), Reported::Unclear(_)), "{}: {body}", profile.name);
    }
}

#[test]
fn an_address_in_hex_is_the_address_that_was_sent() {
    let mut answer = sound(&Profile::INITIATE);
    answer["recipient_address"] = json!("417e5f4552091a69125d5dfcb7b8c2659029395bdf");
    assert!(matches!(of(&answer.to_string(), &Profile::INITIATE).0, Answer::Accepted { .. }));
    answer["recipient_address"] = json!("4180c0dbf239224071c59dd8970ab9d542e3414ab2");
    assert!(matches!(of(&answer.to_string(), &Profile::INITIATE).0, Answer::Ambiguous(_)));
}

/// Texts that look like amounts.
fn amounts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9+\\-.eE_ ,]{0,24}",
        any::<i64>().prop_map(|n| MicroUsdt(n).to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        any::<String>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// An amount is read as the exact decimal that it is written as, or not at all.
    #[test]
    fn no_text_is_read_as_another_amount(text in amounts()) {
        if let Ok(amount) = text.parse::<MicroUsdt>() {
            let exact: rust_decimal::Decimal = text.parse().unwrap();
            prop_assert_eq!(exact * rust_decimal::Decimal::from(1_000_000), rust_decimal::Decimal::from(amount.0), "{}", text);
        }
    }

    /// Whatever bytes come, nothing panics, and nothing is believed that is not a sound answer.
    #[test]
    fn no_bytes_are_believed(bytes in prop::collection::vec(any::<u8>(), 0..200), status in 100_u16..600) {
        let status = StatusCode::from_u16(status).unwrap();
        for profile in Profile::LIVE {
            let answer = classify(&profile, &payout(), status, &bytes);
            prop_assert!(matches!(answer, Answer::Ambiguous(_) | Answer::RailRefusesUs(_)), "{:?}", answer);
            let reported = understand(&profile, &payout(), status, &bytes);
            prop_assert!(matches!(reported, Reported::Unclear(_) | Reported::Unavailable(_)), "{:?}", reported);
        }
    }

    /// A sound answer with a few bytes changed is believed only if it still says the same.
    #[test]
    fn a_damaged_answer_is_the_same_or_nothing(place in 0_usize..400, byte in any::<u8>(), cut in prop::option::of(0_usize..400), which in 0_usize..3) {
        let profile = Profile::LIVE[which];
        let mut bytes = sound(&profile).to_string().into_bytes();
        let place = place % bytes.len();
        bytes[place] = byte;
        if let Some(cut) = cut {
            bytes.truncate(cut);
        }
        if let Answer::Accepted { .. } = classify(&profile, &payout(), StatusCode::ACCEPTED, &bytes) {
            let said: Value = serde_json::from_slice(&bytes).unwrap();
            let amount = said["amount"].as_str().map_or_else(|| said["amount"].to_string(), str::to_owned);
            let number = said["amount"].is_number();
            let read = if number { MicroUsdt::from_json_number(&amount) } else { amount.parse() };
            prop_assert_eq!(read, Ok(MicroUsdt(12_500_000)));
            prop_assert_eq!(said["recipient_address"].as_str(), Some(WALLET));
        }
    }
}
