use std::time::{Duration, Instant};

use crate::support::{Outcome, Rig, payout, vote};

const NEVER: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn payouts_and_votes_outlive_a_restart() -> Outcome {
    let rig = Rig::new()?;
    let paid = rig.pay("k", &payout("p-1", "3.21")).await?;
    let voted = rig.vote(&vote("n-1", "b-1", "50")).await?;
    let rig = rig.restarted(NEVER).await?;
    assert_eq!(rig.get("/api/v1/payouts/p-1").await?.text("/amount"), "3.210000");
    assert_eq!(rig.pay("k", &payout("p-1", "3.21")).await?.body, paid.body);
    assert_eq!(rig.pay("k", &payout("p-1", "4")).await?.status, 409);
    assert_eq!(rig.vote(&vote("n-1", "b-1", "50")).await?.body, voted.body);
    assert_eq!(rig.vote(&vote("n-1", "b-1", "51")).await?.status, 409);
    assert_eq!((rig.transfers().await?.len(), rig.votes().await?.len()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_confirmed_transfer_stays_confirmed_under_a_longer_delay() -> Outcome {
    let rig = Rig::confirming_after(Duration::ZERO)?;
    rig.pay("p-1", &payout("p-1", "1")).await?;
    let rig = rig.restarted(NEVER).await?;
    assert_eq!(rig.get("/api/v1/payouts/p-1").await?.text("/status"), "confirmed");
    Ok(())
}

#[tokio::test]
async fn what_was_answered_is_on_disk_without_a_shutdown() -> Outcome {
    let rig = Rig::new()?;
    rig.pay("p-1", &payout("p-1", "1")).await?;
    let copy = tempfile::tempdir()?;
    for entry in std::fs::read_dir(rig.dir.path())? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
        }
    }
    let survivor = Rig::on(copy, NEVER)?;
    assert_eq!(survivor.transfers().await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_payouts_at_once_are_all_recorded() -> Outcome {
    const PAYOUTS: usize = 600;
    const LANES: usize = 60;
    let rig = Rig::new()?;
    let start = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let requests: Vec<_> = (lane..PAYOUTS)
            .step_by(LANES)
            .map(|number| format!("p-{number}"))
            .map(|id| rig.paying(&id, &payout(&id, "0.000001")))
            .collect();
        lanes.spawn(async move {
            let mut accepted = 0_usize;
            for request in requests {
                let answer = request.send().await;
                accepted += usize::from(answer.is_ok_and(|answer| answer.status() == 202));
            }
            accepted
        });
    }
    let accepted: usize = lanes.join_all().await.into_iter().sum();
    println!("{PAYOUTS} payouts in {:?}", start.elapsed());
    assert_eq!(accepted, PAYOUTS);
    assert_eq!(rig.transfers().await?.len(), PAYOUTS);
    Ok(())
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_hanging_answer() -> Outcome {
    let rig = Rig::new()?;
    rig.misbehave(serde_json::json!({ "payout": [{ "answer": { "hang": { "ms": 600_000 } } }] }))
        .await?;
    let request = rig.paying("p-1", &payout("p-1", "1"));
    let hanging = tokio::spawn(request.send());
    let told = rig.eventually("/api/v1/sandbox/transfers", |told| {
        told.body.pointer("/transfers/0").is_some()
    });
    told.await?;
    let start = Instant::now();
    rig.sandbox.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(hanging.await?.is_err());
    Ok(())
}
