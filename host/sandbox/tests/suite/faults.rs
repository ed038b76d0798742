use std::time::{Duration, Instant};

use lucid_sandbox::{Answer, Fault, FaultPlan, Sandbox, SandboxError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ADDRESS, Fallible, HASH, Outcome, Rig, client, config, payout, told, vote};

const STATUS: &str = "/api/v1/payouts/p-1";
const BLOCK: &str = "/api/v1/blocks/latest";

fn always(answer: Value) -> Value {
    json!({ "payout": [{ "answer": answer }], "status": [{ "answer": answer }] })
}

async fn rig_with(plan: Value) -> Fallible<Rig> {
    let rig = Rig::new()?;
    rig.misbehave(plan).await?;
    Ok(rig)
}

#[tokio::test]
async fn faults_do_not_exist_unless_allowed() -> Outcome {
    let dir = tempfile::tempdir()?;
    let mut strict = config(dir.path(), Duration::ZERO)?;
    strict.faults_allowed = false;
    let sandbox = Sandbox::start(strict)?;
    let url = format!("{}/api/v1/sandbox/faults", sandbox.url());
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let told = told(client()?.request(method, &url).body("{}")).await?;
        assert_eq!((told.status, told.text("/error/code")), (404, "NO_SUCH_ROUTE"));
    }
    let refused = sandbox.set_faults(FaultPlan::default());
    assert!(matches!(refused, Err(SandboxError::FaultsNotAllowed)));
    sandbox.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_plan_that_makes_no_sense_is_refused() -> Outcome {
    let rig = Rig::new()?;
    for plan in [
        json!({ "payouts": [] }),
        json!({ "payout": [{ "answer": "nonsense" }] }),
        json!({ "payout": [{ "answer": { "status": { "code": 700 } } }] }),
        json!({ "payout": [{ "times": 0 }] }),
        json!({ "payout": [{ "answer": "failed" }] }),
        json!({ "status": [{ "effect": "twice" }] }),
        json!({ "block": [{ "answer": "wrong_amount" }] }),
        json!({ "vote": [{ "effect": "fails" }] }),
    ] {
        let told = told(rig.request(Method::PUT, "/api/v1/sandbox/faults").json(&plan)).await?;
        assert_eq!((told.status, told.text("/error/code")), (400, "INVALID_FAULT"), "{plan}");
    }
    Ok(())
}

#[tokio::test]
async fn faults_are_used_up_in_order_and_can_be_cleared() -> Outcome {
    let rig = rig_with(json!({ "payout": [
        { "answer": { "status": { "code": 503 } }, "times": 2 },
        { "answer": { "status": { "code": 422, "error_code": "INVALID_ADDRESS" } }, "times": 1 },
    ] }))
    .await?;
    let body = payout("p-1", "1");
    for (status, code) in [(503, "FAULT"), (503, "FAULT"), (422, "INVALID_ADDRESS"), (202, "")] {
        let told = rig.pay("k", &body).await?;
        assert_eq!((told.status, told.text("/error/code")), (status, code));
    }
    assert_eq!(rig.transfers().await?.len(), 1);
    rig.misbehave(json!({ "payout": [{ "answer": { "status": { "code": 500 } } }] })).await?;
    for _ in 0..3 {
        assert_eq!(rig.pay("k", &body).await?.status, 500);
    }
    told(rig.request(Method::DELETE, "/api/v1/sandbox/faults")).await?;
    assert_eq!(rig.pay("k", &body).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn a_lying_rail_accepts_and_does_nothing() -> Outcome {
    let rig = rig_with(json!({ "payout": [{ "effect": "none" }], "vote": [{ "effect": "none" }] }))
        .await?;
    assert_eq!(rig.pay("k", &payout("p-1", "1")).await?.status, 202);
    assert_eq!(rig.vote(&vote("n-1", "b-1", "1")).await?.status, 200);
    assert_eq!(rig.get(STATUS).await?.status, 404);
    assert_eq!((rig.transfers().await?.len(), rig.votes().await?.len()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_broken_rail_pays_twice_under_one_key() -> Outcome {
    let rig = rig_with(json!({
        "payout": [{ "effect": "twice", "times": 2 }],
        "vote": [{ "effect": "twice", "times": 1 }],
    }))
    .await?;
    let body = payout("p-1", "1");
    rig.pay("k", &body).await?;
    assert_eq!(rig.transfers().await?.len(), 2);
    rig.pay("k", &body).await?;
    assert_eq!(rig.transfers().await?.len(), 4);
    rig.pay("k", &body).await?;
    assert_eq!(rig.transfers().await?.len(), 4);
    rig.vote(&vote("n-1", "b-1", "1")).await?;
    assert_eq!(rig.votes().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_late_rail_does_not_know_the_transfer_for_a_while() -> Outcome {
    let rig = rig_with(json!({ "payout": [
        { "effect": { "late": { "ms": 600_000 } }, "times": 1 },
        { "effect": { "late": { "ms": 300 } }, "times": 1 },
    ] }))
    .await?;
    assert_eq!(rig.pay("p-0", &payout("p-0", "1")).await?.status, 202);
    assert_eq!(rig.pay("p-1", &payout("p-1", "1")).await?.status, 202);
    assert_eq!(rig.get("/api/v1/payouts/p-0").await?.status, 404);
    let first = rig.transfers().await?.first().cloned().unwrap_or_default();
    assert_eq!(first.get("visible"), Some(&json!(false)));
    rig.eventually(STATUS, |told| told.status == 200).await?;
    Ok(())
}

#[tokio::test]
async fn a_transfer_can_be_accepted_and_then_fail() -> Outcome {
    let rig = Rig::confirming_after(Duration::ZERO)?;
    rig.misbehave(json!({ "payout": [{ "effect": "fails", "times": 1 }] })).await?;
    assert_eq!(rig.pay("k", &payout("p-1", "1")).await?.text("/status"), "accepted");
    let told = rig.get(STATUS).await?;
    assert_eq!(told.text("/status"), "failed");
    assert_eq!(told.body.get("transaction_id"), Some(&Value::Null));
    Ok(())
}

#[tokio::test]
async fn a_hanging_answer_comes_late_and_the_transfer_at_once() -> Outcome {
    let rig = rig_with(json!({ "payout": [{ "answer": { "hang": { "ms": 300 } } }] })).await?;
    let start = Instant::now();
    let impatient = rig.paying("k", &payout("p-1", "1")).timeout(Duration::from_millis(50));
    assert!(impatient.send().await.is_err_and(|error| error.is_timeout()));
    rig.eventually(STATUS, |told| told.status == 200).await?;
    assert_eq!(rig.pay("k", &payout("p-1", "1")).await?.status, 202);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(rig.transfers().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_reset_leaves_no_answer_but_the_transfer() -> Outcome {
    let rig = rig_with(json!({ "payout": [{ "answer": "reset", "times": 1 }] })).await?;
    let sent = rig.paying("k", &payout("p-1", "1")).send().await;
    let error = sent.err().ok_or("a reset connection gave an answer")?;
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    assert_eq!(rig.transfers().await?.len(), 1);
    assert_eq!(rig.pay("k", &payout("p-1", "1")).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn a_cut_answer_has_a_head_and_half_a_body() -> Outcome {
    let rig = rig_with(always(json!("cut"))).await?;
    let mut answer = rig.paying("k", &payout("p-1", "1")).send().await?;
    assert_eq!(answer.status(), 202);
    let announced = answer.content_length().unwrap_or_default();
    let mut got = 0_usize;
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => got += chunk.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && got > 0 && u64::try_from(got)? < announced, "{got} of {announced}");
    Ok(())
}

#[tokio::test]
async fn a_web_page_still_carries_the_mark() -> Outcome {
    let rig = rig_with(always(json!("html"))).await?;
    let answer = rig.paying("k", &payout("p-1", "1")).send().await?;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("x-lucid-sandbox"));
    assert!(answer.text().await?.starts_with("<!doctype html>"));
    Ok(())
}

#[tokio::test]
async fn untrue_answers_leave_the_record_true() -> Outcome {
    for (answer, field, wrong) in [
        ("wrong_amount", "/amount", "1.000001".to_owned()),
        ("wrong_id", "/payout_id", "p-2".to_owned()),
        ("wrong_id", "/reference", "ref-p-2".to_owned()),
        ("wrong_address", "/recipient_address", ADDRESS.replace("j6t", "j61")),
    ] {
        let rig = rig_with(always(json!(answer))).await?;
        let told = rig.pay("k", &payout("p-1", "1")).await?;
        assert_eq!((told.status, told.text(field)), (202, wrong.as_str()));
        let told = rig.get(STATUS).await?;
        assert_eq!((told.status, told.text(field)), (200, wrong.as_str()));
        let row = rig.transfers().await?.pop().unwrap_or_default();
        assert_eq!(row.get("amount"), Some(&json!("1.000000")));
        assert_eq!(row.get("payout_id"), Some(&json!("p-1")));
        assert_eq!(row.get("recipient_address"), Some(&json!(ADDRESS)));
    }
    Ok(())
}

#[tokio::test]
async fn a_confirmed_transfer_can_be_called_failed() -> Outcome {
    let rig = Rig::confirming_after(Duration::ZERO)?;
    rig.pay("k", &payout("p-1", "1")).await?;
    rig.misbehave(json!({ "status": [{ "answer": "failed", "times": 1 }] })).await?;
    let told = rig.get(STATUS).await?;
    assert_eq!(told.text("/status"), "failed");
    assert!(told.text("/transaction_id").starts_with("sandbox-"));
    assert_eq!(rig.get(STATUS).await?.text("/status"), "confirmed");
    Ok(())
}

#[tokio::test]
async fn a_redirect_repeats_the_request_for_whoever_follows() -> Outcome {
    let rig = rig_with(always(json!("redirect"))).await?;
    let answer = rig.paying("k", &payout("p-1", "1")).send().await?;
    assert_eq!(answer.status(), 307);
    let location = answer.headers().get("location").ok_or("no location")?;
    assert_eq!(location, "/api/v1/payouts");
    Ok(())
}

#[tokio::test]
async fn a_dripping_answer_is_whole_in_the_end() -> Outcome {
    let rig = Rig::new()?;
    rig.pay("k", &payout("p-1", "1")).await?;
    rig.misbehave(json!({ "status": [{ "answer": { "drip": { "ms": 1 } } }] })).await?;
    let start = Instant::now();
    let told = rig.get(STATUS).await?;
    assert_eq!(told.text("/payout_id"), "p-1");
    assert!(start.elapsed() >= Duration::from_millis(200));
    Ok(())
}

#[tokio::test]
async fn a_huge_answer_is_valid_and_of_no_announced_length() -> Outcome {
    let rig =
        rig_with(json!({ "payout": [{ "answer": { "huge": { "bytes": 200_000 } } }] })).await?;
    let answer = rig.paying("k", &payout("p-1", "1")).send().await?;
    assert_eq!(answer.content_length(), None);
    let body: Value = serde_json::from_slice(&answer.bytes().await?)?;
    assert_eq!(body.pointer("/padding").and_then(Value::as_str).map(str::len), Some(200_000));
    assert_eq!(body.pointer("/payout_id"), Some(&json!("p-1")));
    Ok(())
}

#[tokio::test]
async fn anothers_reply_is_about_something_else() -> Outcome {
    let rig = rig_with(always(json!("anothers_reply"))).await?;
    assert_ne!(rig.pay("p-0", &payout("p-0", "1")).await?.text("/payout_id"), "p-0");
    let told = rig.pay("p-1", &payout("p-1", "7")).await?;
    assert_eq!((told.text("/payout_id"), told.text("/amount")), ("p-0", "1.000000"));
    assert_eq!(rig.get(STATUS).await?.text("/payout_id"), "p-0");
    Ok(())
}

#[tokio::test]
async fn votes_and_blocks_misbehave_too() -> Outcome {
    let rig = Rig::new()?;
    let height = |told: &Value| told.get("height").and_then(Value::as_u64).unwrap_or_default();
    let first = rig.vote(&vote("n-1", "b-1", "1")).await?;
    let block = rig.get(BLOCK).await?;
    rig.misbehave(json!({
        "vote": [
            { "answer": "anothers_reply", "times": 1 },
            { "answer": "wrong_id", "times": 1 },
            { "answer": { "status": { "code": 502 } }, "times": 1 },
        ],
        "block": [{ "answer": "wrong_id", "times": 1 }, { "answer": "reset", "times": 1 }],
    }))
    .await?;
    let second = vote("n-2", "b-1", "1");
    assert_eq!(rig.vote(&second).await?.body, first.body);
    let wrong = rig.vote(&second).await?.text("/vote_id").to_owned();
    assert_eq!(rig.vote(&second).await?.status, 502);
    assert_ne!(rig.vote(&second).await?.text("/vote_id"), wrong);
    let wrong = rig.get(BLOCK).await?;
    assert!(height(&wrong.body) >= height(&block.body));
    let mut unknown = vote("n-3", wrong.text("/block_id"), "1");
    if let Some(fields) = unknown.as_object_mut() {
        fields.insert("block_hash".to_owned(), json!(HASH));
    }
    assert_eq!(rig.vote(&unknown).await?.status, 200);
    assert!(rig.get(BLOCK).await.is_err());
    assert_eq!(rig.get(BLOCK).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_plan_can_be_set_without_http() -> Outcome {
    let rig = Rig::new()?;
    let fault = Fault {
        answer: Answer::Status { code: 429, error_code: None },
        times: Some(1),
        ..Fault::default()
    };
    rig.sandbox.set_faults(FaultPlan { payout: [fault].into(), ..FaultPlan::default() })?;
    assert_eq!(rig.pay("k", &payout("p-1", "1")).await?.status, 429);
    assert_eq!(rig.pay("k", &payout("p-1", "1")).await?.status, 202);
    Ok(())
}
