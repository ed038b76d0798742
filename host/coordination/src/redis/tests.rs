use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_ports::{Admission, Coordinator, Heard, LimitClass, RateLimiter, Topic, UsedOnce};

use super::{RedisCoordinator, RedisSettings, probe_redis, server::RedisServer};
use crate::conformance::{QUOTAS, Replicas, TTL, coordination_suite, eventually, taken, user};

/// For one command here; the machine may be busy.
const TIMEOUT: Duration = Duration::from_millis(500);

struct OverRedis {
    server: RedisServer,
}

impl OverRedis {
    fn coordinator(&self, replica: &str) -> RedisCoordinator {
        let settings = RedisSettings {
            url: self.server.url(),
            ca_pem: None,
            namespace: "lucid:test".into(),
            replica: replica.into(),
            timeout: TIMEOUT,
        };
        RedisCoordinator::new(settings).unwrap()
    }
}

impl Replicas for OverRedis {
    fn replica(&self, name: &str) -> Arc<dyn Coordinator> {
        Arc::new(self.coordinator(name))
    }
    fn limiter(&self) -> Arc<dyn RateLimiter> {
        Arc::new(self.coordinator("limits").limiter(&QUOTAS))
    }
    fn used_once(&self) -> Arc<dyn UsedOnce> {
        Arc::new(self.coordinator("used").used_once())
    }
}

fn over_redis() -> Option<OverRedis> {
    Some(OverRedis { server: RedisServer::start()? })
}

coordination_suite!(over_redis);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgot_everything_grants_nothing_to_two() {
    let Some(mut redis) = over_redis() else { return };
    let (first, second) = (redis.replica("first"), redis.replica("second"));
    let lease = taken(&first, "payer").await;
    let lease = first.renew(&lease).await.unwrap().unwrap();
    redis.server.kill();
    assert!(second.acquire("payer", TTL).await.is_err());
    assert!(first.renew(&lease).await.is_err());
    assert!(first.check().await.is_err());
    redis.server.start_again();
    let next = taken(&second, "payer").await;
    assert!(!lease.is_good(Instant::now()), "two held it");
    assert!(next.fence > lease.fence, "{} after {}", next.fence, lease.fence);
    assert!(first.renew(&lease).await.unwrap().is_none());
    eventually("the first one's connection", || async { first.check().await.ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_longer_than_the_lease_ends_it() {
    let Some(redis) = over_redis() else { return };
    let (first, second) = (redis.replica("first"), redis.replica("second"));
    let lease = taken(&first, "payer").await;
    redis.server.signal("-STOP");
    let asked = Instant::now();
    assert!(first.renew(&lease).await.is_err());
    assert!(second.acquire("payer", TTL).await.is_err());
    assert!(asked.elapsed() < 6 * TIMEOUT, "a command waits {:?}", asked.elapsed());
    while asked.elapsed() < 2 * TTL {
        assert!(second.acquire("payer", TTL).await.is_err(), "nobody grants anything");
    }
    assert!(!lease.is_good(Instant::now()));
    redis.server.signal("-CONT");
    let holder = eventually("somebody to hold it", || async {
        match (first.acquire("payer", TTL).await, second.acquire("payer", TTL).await) {
            (Ok(Some(lease)), Ok(None)) | (Ok(None), Ok(Some(lease))) => Some(lease),
            (Ok(Some(_)), Ok(Some(_))) => panic!("two held it"),
            _ => None,
        }
    })
    .await;
    assert!(holder.fence > lease.fence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_hear_again_after_redis_was_away_and_say_that_something_is_missing() {
    let Some(mut redis) = over_redis() else { return };
    let (first, second) = (redis.replica("first"), redis.replica("second"));
    let mut listener = second.listen().await;
    first.tell(Topic::Event, b"before".to_vec()).await.unwrap();
    assert!(
        matches!(listener.next().await, Heard::Message { payload, .. } if payload == b"before")
    );
    redis.server.kill();
    let hearing = tokio::spawn(async move {
        let mut heard = Vec::new();
        loop {
            let next = listener.next().await;
            let last = matches!(&next, Heard::Message { payload, .. } if payload == b"after");
            heard.push(next);
            if last {
                return heard;
            }
        }
    });
    assert!(first.tell(Topic::Event, b"lost".to_vec()).await.is_err());
    redis.server.start_again();
    // Until it is subscribed again; what is told before is lost, and said to be.
    eventually("what is said to be heard", || async {
        let _ = first.check().await;
        let _ = first.tell(Topic::Event, b"after".to_vec()).await;
        hearing.is_finished().then_some(())
    })
    .await;
    let heard = hearing.await.unwrap();
    assert!(heard.contains(&Heard::Gap { origin: None, lost: None }), "{heard:?}");
    assert!(heard.iter().any(|h| matches!(h, Heard::Gap { origin: Some(origin), lost: Some(lost) } if origin == "first" && *lost >= 1)), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_go_on_in_the_process_while_redis_is_away() {
    let Some(mut redis) = over_redis() else { return };
    let coordinator = redis.coordinator("first");
    let limiter = coordinator.limiter(&QUOTAS);
    let count = async || {
        let mut count = 0;
        for _ in 0..60 {
            count += u32::from(matches!(
                limiter.admit(LimitClass::Payouts, user(1)).await,
                Admission::Admitted(_)
            ));
        }
        count
    };
    // Fifty at once, and one more for every 1.2 s that the machine took.
    assert!((50..55).contains(&count().await));
    redis.server.kill();
    let began = Instant::now();
    assert!((50..55).contains(&count().await), "a quota of its own");
    assert!(
        began.elapsed() < 5 * TIMEOUT,
        "requests do not wait for a Redis that is away: {:?}",
        began.elapsed()
    );
    redis.server.start_again();
    eventually("Redis to be back", || async { coordinator.check().await.ok() }).await;
    assert!((50..55).contains(&count().await), "counted by the new Redis");
}

#[tokio::test]
async fn a_redis_says_who_it_is() {
    let Some(redis) = over_redis() else { return };
    let facts = probe_redis(&redis.server.url(), None, TIMEOUT).await.unwrap();
    assert!(facts.version.contains('.') && facts.role == "master" && facts.now_ms > 0, "{facts:?}");
    let error = RedisCoordinator::new(RedisSettings {
        url: "rediss://user:hidden@127.0.0.1/x".into(),
        ca_pem: None,
        namespace: String::new(),
        replica: String::new(),
        timeout: TIMEOUT,
    })
    .err()
    .unwrap();
    assert!(!error.to_string().contains("hidden"), "{error}");
}
