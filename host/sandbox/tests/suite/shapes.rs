//! The shapes of the network's own services: paths, names and forms of what they take and answer.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ADDRESS, Fallible, HASH, Outcome, Rig, Told, told};

const INITIATE: &str = "/api/v1/payouts/initiate";
const TRON_CREATE: &str = "/api/v1/tron/payouts/create";
const CORE: &str = "/blockchain-core/api/v1";

async fn send(rig: &Rig, path: &str, amount: &Value) -> Fallible<Told> {
    let body = json!({
        "payout_id": "p-1", "metadata": { "reference": "p-1" }, "recipient_address": ADDRESS, "amount": amount, "currency": "USDT",
    });
    told(rig.request(Method::POST, path).json(&body)).await
}

fn names(told: &Told) -> Vec<String> {
    told.body.as_object().map(|body| body.keys().cloned().collect()).unwrap_or_default()
}

#[tokio::test]
async fn initiate_answers_an_id_of_its_own_and_none_of_ours() -> Outcome {
    let rig = Rig::confirming_after(Duration::ZERO)?;
    let accepted = send(&rig, INITIATE, &json!(12.5)).await?;
    let fields = [
        "amount",
        "currency",
        "estimated_completion",
        "payout_id",
        "recipient_address",
        "sandbox",
        "status",
        "submitted_at",
    ];
    assert_eq!((accepted.status, names(&accepted)), (202, fields.map(str::to_owned).to_vec()));
    assert_eq!(
        (accepted.text("/status"), accepted.body.get("amount")),
        ("pending", Some(&json!(12.5)))
    );
    let id = accepted.text("/payout_id");
    assert!(id.len() == 36 && id.split('-').map(str::len).eq([8, 4, 4, 4, 12]), "{id}");
    let paid = rig.get(&format!("/api/v1/payouts/{id}")).await?;
    assert_eq!(
        (paid.status, paid.text("/payout_id"), paid.text("/status")),
        (200, id, "completed")
    );
    assert!(
        paid.text("/tx_id").starts_with("sandbox-") && paid.body.get("reference").is_none(),
        "{paid:?}"
    );
    assert_eq!(paid.body.get("failure_reason"), Some(&Value::Null));
    let nobody = rig.get("/api/v1/payouts/00000000-0000-0000-0000-000000000000").await?;
    assert_eq!((nobody.status, nobody.text("/error/code")), (404, "PAYOUT_NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn tron_create_answers_floats_and_its_refusals_have_a_detail() -> Outcome {
    let rig = Rig::new()?;
    let accepted = send(&rig, TRON_CREATE, &json!(0.00005)).await?;
    assert_eq!(
        (accepted.status, accepted.text("/metadata/reference"), accepted.text("/status")),
        (200, "p-1", "pending")
    );
    assert_eq!(
        rig.transfers().await?.first().and_then(|transfer| transfer.get("amount_micro_usdt")),
        Some(&json!(50))
    );
    let id = accepted.text("/payout_id");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let text = rig
        .request(Method::GET, &format!("/api/v1/tron/payouts/{id}"))
        .send()
        .await?
        .text()
        .await?;
    assert!(text.contains("\"amount\":5e-05,"), "{text}");
    for (answer, status) in [("failed", "failed"), ("cancelled", "cancelled")] {
        rig.misbehave(json!({ "status": [{ "answer": answer, "times": 1 }] })).await?;
        let told = rig.get(&format!("/api/v1/tron/payouts/{id}")).await?;
        assert_eq!(
            (told.text("/status"), told.text("/error_message")),
            (status, "a planned fault")
        );
    }
    let nobody = rig.get("/api/v1/tron/payouts/00000000000000000000000000000000").await?;
    assert_eq!((nobody.status, nobody.text("/detail")), (404, "Payout not found"));
    for amount in [json!("12.5"), json!(0.0000001), json!(-1)] {
        let refused = send(&rig, TRON_CREATE, &amount).await?;
        assert!(refused.status == 422 && refused.text("/detail").contains("amount"), "{refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_networks_chain_wants_a_token_and_a_key_and_has_no_look_up() -> Outcome {
    let rig = Rig::new()?;
    let core = |method: Method, path: &str| {
        rig.request(method, &format!("{CORE}{path}")).bearer_auth("t").header("api-key", "k")
    };
    for path in ["/blocks/", "/blocks/latest"] {
        assert_eq!(rig.get(&format!("{CORE}{path}")).await?.status, 401, "{path}");
        assert_eq!(
            told(rig.request(Method::GET, &format!("{CORE}{path}")).bearer_auth("t")).await?.status,
            401,
            "{path}"
        );
    }
    let latest = told(core(Method::GET, "/blocks/latest")).await?;
    assert_eq!((latest.status, latest.text("/detail/error_code")), (404, "BLOCK_001"));
    let listed = told(core(Method::GET, "/blocks/?limit=1")).await?;
    let (id, hash) = (listed.text("/blocks/0/block_id"), listed.text("/blocks/0/hash"));
    assert!(listed.status == 200 && !id.is_empty() && hash.len() == 64, "{listed:?}");
    let vote = |choice: &str, hash: &str| json!({ "node_id": "n", "block_hash": hash, "vote": choice, "signature": "s", "timestamp": "2026-01-01T00:00:00Z" });
    let accepted = told(core(Method::POST, "/consensus/vote").json(&vote("approve", hash))).await?;
    assert_eq!((accepted.status, accepted.text("/status")), (200, "accepted"));
    assert!(accepted.text("/vote_id").starts_with("vote_"), "{accepted:?}");
    for (choice, hash) in [("abstain", HASH), ("approve", "hash_12345")] {
        assert_eq!(
            told(core(Method::POST, "/consensus/vote").json(&vote(choice, hash))).await?.status,
            422,
            "{choice} {hash}"
        );
    }
    let path = format!("/consensus/vote/{}", accepted.text("/vote_id"));
    assert_eq!(told(core(Method::GET, &path)).await?.status, 404);
    assert_eq!(rig.votes().await?.len(), 1);
    Ok(())
}
