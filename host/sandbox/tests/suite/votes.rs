use serde_json::{Value, json};

use crate::support::{HASH, Outcome, Rig, vote};

#[tokio::test]
async fn a_vote_is_taken_once_per_node_and_block() -> Outcome {
    let rig = Rig::new()?;
    let first = rig.vote(&vote("n-1", "b-1", "87.5")).await?;
    assert_eq!((first.status, first.text("/status")), (200, "accepted"));
    assert!(first.text("/vote_id").starts_with("vote-"));
    let again = rig.vote(&vote("n-1", "b-1", "87.5")).await?;
    assert_eq!(again.body, first.body);
    let other = rig.vote(&vote("n-1", "b-1", "87.6")).await?;
    assert_eq!((other.status, other.text("/error/code")), (409, "VOTE_CONFLICT"));
    let elsewhere = rig.vote(&vote("n-1", "b-2", "87.6")).await?;
    assert_ne!(elsewhere.text("/vote_id"), first.text("/vote_id"));
    assert_eq!(rig.vote(&vote("n-2", "b-1", "1")).await?.status, 200);
    let votes = rig.votes().await?;
    assert_eq!(votes.len(), 3);
    assert_eq!(votes.first().and_then(|vote| vote.get("score")), Some(&json!("87.5")));
    Ok(())
}

#[tokio::test]
async fn a_vote_signed_anew_is_the_same_vote() -> Outcome {
    let rig = Rig::new()?;
    let body = vote("n-1", "b-1", "1");
    let first = rig.vote(&body).await?;
    let mut later = body.clone();
    if let Some(fields) = later.as_object_mut() {
        fields.insert("signature".to_owned(), json!("b3RoZXI="));
        fields.insert("timestamp".to_owned(), json!(1_767_225_600));
    }
    assert_eq!(rig.vote(&later).await?.body, first.body);
    Ok(())
}

#[tokio::test]
async fn what_is_not_a_vote_is_refused() -> Outcome {
    let rig = Rig::new()?;
    let latest = rig.get("/api/v1/blocks/latest").await?;
    for (field, value, status, code) in [
        ("vote", json!("perhaps"), 422, "INVALID_VOTE"),
        ("block_hash", json!("aa"), 422, "INVALID_BLOCK_HASH"),
        ("block_id", json!(latest.text("/block_id")), 422, "BLOCK_HASH_MISMATCH"),
        ("score", json!({ "value": 1 }), 422, "INVALID_FIELD"),
        ("score", Value::Null, 400, "MISSING_FIELD"),
        ("signature", Value::Null, 400, "MISSING_FIELD"),
    ] {
        let mut body = vote("n-1", "b-1", "1");
        if let Some(fields) = body.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
        let told = rig.vote(&body).await?;
        assert_eq!((told.status, told.text("/error/code")), (status, code), "{body}");
    }
    assert!(rig.votes().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_latest_block_can_be_voted_on() -> Outcome {
    let rig = Rig::new()?;
    let latest = rig.get("/api/v1/blocks/latest").await?;
    assert_eq!(latest.status, 200);
    assert!(latest.body.get("height").and_then(Value::as_u64).is_some_and(|height| height > 0));
    assert!(latest.text("/timestamp").ends_with('Z'));
    let mut body = vote("n-1", latest.text("/block_id"), "99");
    if let Some(fields) = body.as_object_mut() {
        fields.insert("block_hash".to_owned(), json!(latest.text("/block_hash")));
    }
    assert_ne!(latest.text("/block_hash"), HASH);
    assert_eq!(rig.vote(&body).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn two_instances_name_the_same_block_for_a_height() -> Outcome {
    let (one, other) = (Rig::new()?, Rig::new()?);
    let first = one.get("/api/v1/blocks/latest").await?;
    let height = first.body.get("height").and_then(Value::as_u64).unwrap_or_default();
    let path = "/api/v1/blocks/latest";
    // A block may pass between the two questions; then the first instance is asked again.
    let second = other.eventually(path, |told| {
        told.body.get("height").and_then(Value::as_u64).is_some_and(|now| now >= height)
    });
    let second = second.await?;
    let first = if second.body.get("height") == first.body.get("height") {
        first
    } else {
        one.get(path).await?
    };
    assert_eq!(first.body, second.body);
    Ok(())
}
