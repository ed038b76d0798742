use std::time::Duration;

use lucid_sandbox::{Sandbox, SandboxError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ADDRESS, Outcome, Rig, config, payout, told};

#[tokio::test]
async fn a_payout_is_accepted_with_an_echo() -> Outcome {
    let rig = Rig::new()?;
    let told = rig.pay("p-1", &payout("p-1", "12.5")).await?;
    assert_eq!(told.status, 202);
    let external_id = told.text("/external_id").to_owned();
    assert!(external_id.starts_with("sbx-"));
    assert_eq!(
        told.body,
        json!({
            "payout_id": "p-1",
            "reference": "ref-p-1",
            "external_id": external_id,
            "status": "accepted",
            "recipient_address": ADDRESS,
            "amount": "12.500000",
            "currency": "USDT",
            "sandbox": true,
        })
    );
    for path in [
        "/api/v1/payouts/p-1".to_owned(),
        format!("/api/v1/payouts/{external_id}"),
        "/api/v1/payouts?reference=ref-p-1".to_owned(),
    ] {
        let told = rig.get(&path).await?;
        assert_eq!((told.status, told.text("/payout_id")), (200, "p-1"), "{path}");
        assert_eq!(told.text("/status"), "accepted");
        assert_eq!(told.body.get("transaction_id"), Some(&Value::Null));
    }
    Ok(())
}

#[tokio::test]
async fn the_same_key_and_body_is_one_transfer_with_one_answer() -> Outcome {
    let rig = Rig::new()?;
    let body = payout("p-1", "1");
    let (first, second) = tokio::join!(rig.pay("k", &body), rig.pay("k", &body));
    let (first, second, third) = (first?, second?, rig.pay("k", &body).await?);
    assert_eq!((first.status, second.status, third.status), (202, 202, 202));
    assert_eq!(first.body, second.body);
    assert_eq!(first.body, third.body);
    assert_eq!(rig.transfers().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict() -> Outcome {
    let rig = Rig::new()?;
    rig.pay("k", &payout("p-1", "1")).await?;
    let told = rig.pay("k", &payout("p-1", "1.0")).await?;
    assert_eq!((told.status, told.text("/error/code")), (409, "IDEMPOTENCY_CONFLICT"));
    assert_eq!(rig.transfers().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn another_key_for_the_same_payout_is_another_transfer() -> Outcome {
    let rig = Rig::new()?;
    let body = payout("p-1", "1");
    let (first, second) = (rig.pay("k-1", &body).await?, rig.pay("k-2", &body).await?);
    assert_ne!(first.text("/external_id"), second.text("/external_id"));
    assert_eq!(rig.transfers().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn amounts_are_kept_to_the_last_digit() -> Outcome {
    let rig = Rig::new()?;
    for (id, amount, echo, micro) in [
        ("a", "0.000001", "0.000001", 1_i64),
        ("b", "0.1", "0.100000", 100_000),
        ("c", "9007199254.740993", "9007199254.740993", 9_007_199_254_740_993),
        ("d", "9223372036854.775807", "9223372036854.775807", i64::MAX),
    ] {
        let told = rig.pay(id, &payout(id, amount)).await?;
        assert_eq!((told.status, told.text("/amount")), (202, echo));
        let last = rig.transfers().await?.pop().unwrap_or_default();
        assert_eq!(last.get("amount_micro_usdt"), Some(&json!(micro)));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_a_payout_is_refused_and_not_recorded() -> Outcome {
    let rig = Rig::new()?;
    let changed = |field: &str, value: Value| {
        let mut body = payout("p-1", "1");
        if let Some(fields) = body.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
        body
    };
    let short = ADDRESS.get(1..).unwrap_or_default();
    for (body, status, code) in [
        (changed("amount", json!("1.0000001")), 422, "INVALID_AMOUNT"),
        (changed("amount", json!("0")), 422, "INVALID_AMOUNT"),
        (changed("amount", json!("-1")), 422, "INVALID_AMOUNT"),
        (changed("amount", json!("1e2")), 422, "INVALID_AMOUNT"),
        (changed("amount", json!(1.5)), 422, "INVALID_AMOUNT"),
        (changed("amount", Value::Null), 422, "INVALID_AMOUNT"),
        (changed("recipient_address", json!(short)), 422, "INVALID_ADDRESS"),
        (changed("recipient_address", json!(format!("{ADDRESS} "))), 422, "INVALID_ADDRESS"),
        (changed("wallet_address", json!(ADDRESS.replace('7', "8"))), 422, "ADDRESS_MISMATCH"),
        (changed("currency", json!("TRX")), 422, "INVALID_CURRENCY"),
        (changed("reference", json!("other")), 422, "REFERENCE_MISMATCH"),
        (changed("payout_id", Value::Null), 400, "MISSING_FIELD"),
        (changed("payout_id", json!(7)), 400, "INVALID_JSON"),
        (changed("node_id", json!("n".repeat(256))), 422, "INVALID_LENGTH"),
    ] {
        let told = rig.pay("k", &body).await?;
        assert_eq!((told.status, told.text("/error/code")), (status, code), "{body}");
    }
    let request = rig.request(Method::POST, "/api/v1/payouts").json(&payout("p-1", "1"));
    assert_eq!(told(request).await?.text("/error/code"), "MISSING_IDEMPOTENCY_KEY");
    let told = rig.pay("k", &changed("pad", json!("x".repeat(70_000)))).await?;
    assert_eq!((told.status, told.text("/error/code")), (413, "UNREADABLE_BODY"));
    assert!(rig.transfers().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_transfer_is_confirmed_after_the_delay() -> Outcome {
    let rig = Rig::confirming_after(Duration::from_millis(150))?;
    rig.pay("p-1", &payout("p-1", "1")).await?;
    let path = "/api/v1/payouts/p-1";
    let told = rig.eventually(path, |told| told.text("/status") == "confirmed").await?;
    let transaction_id = told.text("/transaction_id").to_owned();
    let digest = transaction_id.strip_prefix("sandbox-").unwrap_or_default();
    assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let repeated = rig.pay("p-1", &payout("p-1", "1")).await?;
    assert_eq!((repeated.status, repeated.text("/status")), (202, "accepted"));
    let elsewhere = Rig::confirming_after(Duration::ZERO)?;
    elsewhere.pay("p-1", &payout("p-1", "1")).await?;
    assert_eq!(elsewhere.get(path).await?.text("/transaction_id"), transaction_id);
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() -> Outcome {
    let rig = Rig::new()?;
    for (path, status, code) in [
        ("/api/v1/payouts/nobody", 404, "PAYOUT_NOT_FOUND"),
        ("/api/v1/payouts?reference=nobody", 404, "PAYOUT_NOT_FOUND"),
        ("/api/v1/payouts", 400, "MISSING_FIELD"),
        ("/api/v1/payouts/%ff", 400, "INVALID_PATH"),
        ("/api/v1/consensus/vote", 405, "NO_SUCH_METHOD"),
        ("/api/v1/sandbox/transfers?limit=0", 400, "INVALID_QUERY"),
        ("/nowhere", 404, "NO_SUCH_ROUTE"),
    ] {
        let told = rig.get(path).await?;
        assert_eq!((told.status, told.text("/error/code")), (status, code), "{path}");
    }
    assert_eq!(rig.get("/health").await?.text("/status"), "ok");
    Ok(())
}

#[tokio::test]
async fn transfers_are_listed_page_by_page() -> Outcome {
    let rig = Rig::new()?;
    for id in ["a", "b", "c"] {
        rig.pay(id, &payout(id, "1")).await?;
    }
    let mut seen = Vec::new();
    let mut after = json!(0);
    while !after.is_null() {
        let page = rig.get(&format!("/api/v1/sandbox/transfers?limit=2&after={after}")).await?;
        let rows = page.body.get("transfers").and_then(Value::as_array).cloned();
        for row in rows.unwrap_or_default() {
            seen.push(row.get("payout_id").cloned().unwrap_or_default());
        }
        after = page.body.get("next_after").cloned().unwrap_or_default();
    }
    assert_eq!(seen, [json!("a"), json!("b"), json!("c")]);
    Ok(())
}

#[tokio::test]
async fn a_configuration_out_of_range_does_not_start() -> Outcome {
    let dir = tempfile::tempdir()?;
    let sound = config(dir.path(), Duration::ZERO)?;
    let mut open = sound.clone();
    open.listen = "0.0.0.0:0".parse()?;
    assert!(matches!(Sandbox::start(open), Err(SandboxError::NotLoopback { .. })));
    let mut still = sound.clone();
    still.block_interval = Duration::ZERO;
    assert!(matches!(Sandbox::start(still), Err(SandboxError::Duration { .. })));
    let mut eternal = sound;
    eternal.confirm_delay = Duration::MAX;
    assert!(matches!(Sandbox::start(eternal), Err(SandboxError::Duration { .. })));
    Ok(())
}
