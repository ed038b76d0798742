//! What every coordinator does alike: one suite over `dyn Coordinator`.

pub(super) mod covered;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_model::id::UserId;
use lucid_ports::{
    Admission, Coordinator, Fence, FirstUse, Heard, Lease, LimitClass, Party, RateLimiter, Topic,
    UsedOnce,
};

use super::Quotas;

/// How long leases last here.
pub(super) const TTL: Duration = Duration::from_secs(1);
/// How long one lasts that shall not run out meanwhile.
const LONG: Duration = Duration::from_secs(5);
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const QUOTAS: Quotas = Quotas {
    admin_per_min: 0,
    payouts_per_min: 50,
    poot_per_min: 7,
    registrations_per_min: 60,
    registrations_burst: 20,
    other_per_min: 1_000,
    parties_max: 1_000,
};

/// Makes replicas of one store.
pub(super) trait Replicas: Sync {
    /// Another replica.
    fn replica(&self, name: &str) -> Arc<dyn Coordinator>;
    /// A replica's view of the limits that all share.
    fn limiter(&self) -> Arc<dyn RateLimiter>;
    /// A replica's view of what may be used once by all.
    fn used_once(&self) -> Arc<dyn UsedOnce>;
}

pub(super) fn user(number: u128) -> Party {
    Party::User(UserId(uuid::Uuid::from_u128(number)))
}

/// Tries again and again until there is something.
pub(super) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    look: impl Fn() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Takes a lease as soon as it is to be had.
pub(super) async fn taken(replica: &Arc<dyn Coordinator>, name: &str) -> Lease {
    eventually("a lease", || async { replica.acquire(name, TTL).await.ok().flatten() }).await
}

pub(super) async fn one_of_fifty_gets_the_lease(replicas: &dyn Replicas) {
    // A coordinator that has just begun may grant nothing yet.
    let warm = replicas.replica("warm");
    eventually("a long lease", || async { warm.acquire("begun", LONG).await.unwrap() }).await;
    let tries = (0..50).map(|number| {
        let replica = replicas.replica(&format!("replica-{number}"));
        tokio::spawn(async move { replica.acquire("payer", LONG).await.unwrap() })
    });
    let mut granted = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        granted.extend(one.await.unwrap());
    }
    assert_eq!(granted.len(), 1, "{granted:?}");
    assert!(granted[0].is_good(Instant::now()));
    assert!(warm.acquire("runs", TTL).await.unwrap().is_some(), "other names are free");
}

pub(super) async fn fences_grow_from_holder_to_holder(replicas: &dyn Replicas) {
    let mut last = Fence::default();
    for round in 0..20 {
        // A new name each time: what a replica is after it was started again.
        let replica = replicas.replica(&format!("start-{round}"));
        let lease = taken(&replica, "payer").await;
        assert!(lease.fence > last, "{} after {last}", lease.fence);
        let again = replica.acquire("payer", TTL).await.unwrap().unwrap();
        assert!(again.fence > lease.fence, "the holder itself gets another one");
        assert!(replica.renew(&lease).await.unwrap().is_none(), "with that the one before is void");
        last = again.fence;
        if round % 10 != 9 {
            assert!(replica.release(&again).await.unwrap());
        }
        // The tenth is left to run out.
    }
}

pub(super) async fn a_fence_that_a_store_has_seen_is_passed(replicas: &dyn Replicas) {
    let replica = replicas.replica("first");
    let first = taken(&replica, "payer").await;
    // As if a clock had been set back since.
    let seen = Fence(first.fence.0 + 1_000_000_000_000);
    replica.seen("payer", seen);
    replica.seen("payer", first.fence);
    let next = taken(&replica, "payer").await;
    assert!(next.fence > seen, "{} after {seen}", next.fence);
    assert!(taken(&replica, "runs").await.fence < seen, "other names do not mind");
}

pub(super) async fn a_lease_is_over_for_its_holder_before_another_has_it(replicas: &dyn Replicas) {
    let (first, second) = (replicas.replica("first"), replicas.replica("second"));
    let lease = taken(&first, "payer").await;
    assert!(second.acquire("payer", TTL).await.unwrap().is_none());
    let next = taken(&second, "payer").await;
    assert!(!lease.is_good(Instant::now()), "two held it");
    assert!(next.fence > lease.fence);
    assert!(first.renew(&lease).await.unwrap().is_none(), "what is lost is not renewed");
    assert!(!first.release(&lease).await.unwrap());
    assert!(second.renew(&next).await.unwrap().is_some(), "and the new holder keeps it");
}

pub(super) async fn a_renewed_lease_outlives_its_time(replicas: &dyn Replicas) {
    let (first, second) = (replicas.replica("first"), replicas.replica("second"));
    let began = taken(&first, "payer").await;
    let mut lease = began.clone();
    while Instant::now() < began.until + 2 * TTL {
        assert!(second.acquire("payer", TTL).await.unwrap().is_none());
        lease = first.renew(&lease).await.unwrap().unwrap();
        assert_eq!(lease.fence, began.fence);
        tokio::time::sleep(TTL / 20).await;
    }
    assert!(lease.until > began.until);
}

pub(super) async fn only_its_holder_gives_a_lease_back(replicas: &dyn Replicas) {
    let (first, second) = (replicas.replica("first"), replicas.replica("second"));
    let lease =
        eventually("a long lease", || async { first.acquire("payer", LONG).await.unwrap() }).await;
    let stolen = Lease { holder: "second".into(), ..lease.clone() };
    let guessed = Lease { fence: Fence(lease.fence.0 + 1), ..lease.clone() };
    assert!(!second.release(&stolen).await.unwrap());
    assert!(!first.release(&guessed).await.unwrap());
    assert!(second.renew(&stolen).await.unwrap().is_none());
    assert!(second.acquire("payer", TTL).await.unwrap().is_none());
    assert!(first.release(&lease).await.unwrap());
    assert!(!first.release(&lease).await.unwrap(), "once");
    assert!(second.acquire("payer", TTL).await.unwrap().unwrap().fence > lease.fence);
}

pub(super) async fn what_one_says_the_others_hear(replicas: &dyn Replicas) {
    let (first, second) = (replicas.replica("first"), replicas.replica("second"));
    let (mut by_first, mut by_second) = (first.listen().await, second.listen().await);
    for number in 0..100_u8 {
        first.tell(Topic::Event, vec![b'\n', number, 0xff]).await.unwrap();
    }
    second.tell(Topic::Policies, Vec::new()).await.unwrap();
    for number in 0..100_u8 {
        let message = Heard::Message {
            origin: "first".into(),
            topic: Topic::Event,
            payload: vec![b'\n', number, 0xff],
        };
        assert_eq!(by_second.next().await, message);
    }
    let message =
        Heard::Message { origin: "second".into(), topic: Topic::Policies, payload: Vec::new() };
    assert_eq!(by_first.next().await, message, "and nobody hears itself");
}

pub(super) async fn a_quota_is_shared_and_told(replicas: &dyn Replicas) {
    let limiters = [replicas.limiter(), replicas.limiter()];
    let mut left = Vec::new();
    for number in 0..20 {
        match limiters[number % 2].admit(LimitClass::Registrations, user(1)).await {
            Admission::Admitted(allowance) => left.push(allowance.remaining),
            other => panic!("{number}: {other:?}"),
        }
    }
    // A second gives one back; the machine may be slow.
    assert_eq!(left[0], 19);
    assert!(left.iter().zip((0..20).rev()).all(|(left, least)| *left >= least), "{left:?}");
    let mut refused = None;
    for number in 0..10 {
        if let Admission::Refused(allowance) =
            limiters[number % 2].admit(LimitClass::Registrations, user(1)).await
        {
            refused = Some(allowance);
        }
    }
    let refused = refused.unwrap();
    assert_eq!(
        (refused.quota, refused.remaining, refused.window),
        (20, 0, Duration::from_secs(20))
    );
    assert!(
        refused.reset <= Duration::from_secs(1) && refused.reset > Duration::ZERO,
        "{refused:?}"
    );
    let other = limiters[0].admit(LimitClass::Registrations, user(2)).await;
    assert!(
        matches!(other, Admission::Admitted(allowance) if allowance.remaining == 19),
        "{other:?}"
    );
    assert_eq!(limiters[0].admit(LimitClass::Admin, user(1)).await, Admission::Unlimited);
    // A quota whose parts are no whole microseconds.
    for least in (0..7).rev() {
        let Admission::Admitted(allowance) = limiters[1].admit(LimitClass::Poot, user(1)).await
        else {
            panic!("{least} are left")
        };
        assert_eq!((allowance.remaining, allowance.quota), (least, 7));
        assert_eq!(allowance.reset, (Duration::from_secs(60) / 7).saturating_mul(7 - least));
    }
}

pub(super) async fn a_coordinator_answers_and_has_a_name(replicas: &dyn Replicas) {
    let replica = replicas.replica("first");
    let checked = eventually("an answer", || async { replica.check().await.ok() }).await;
    assert!(checked.ahead_ms.abs() < 1_000, "one machine has one clock: {checked:?}");
    assert_eq!(replica.replica(), "first");
    assert_eq!(taken(&replica, "payer").await.holder, "first");
}

pub(super) async fn what_is_forgotten_is_no_quota_that_is_used(replicas: &dyn Replicas) {
    let limiter = replicas.limiter();
    let mut left = Vec::new();
    for _ in 0..20 {
        let Admission::Admitted(allowance) = limiter.admit(LimitClass::Payouts, user(7)).await
        else {
            panic!("there are fifty")
        };
        left.push(allowance.remaining);
        limiter.forget_idle().await;
    }
    // Forgotten, each would find the quota whole. One more for every 1.2 s that the machine takes.
    assert!(left.iter().min().is_some_and(|least| *least < 45), "{left:?}");
}

pub(super) async fn a_word_is_used_once_whichever_replica_is_asked(replicas: &dyn Replicas) {
    let (first, second) = (replicas.used_once(), replicas.used_once());
    assert_eq!(first.use_up("one", LONG).await, FirstUse::Yes);
    for replica in [&first, &second, &first] {
        assert_eq!(replica.use_up("one", LONG).await, FirstUse::No);
    }
    assert_eq!(second.use_up("another", Duration::from_millis(20)).await, FirstUse::Yes);
    eventually("a word to be forgotten", || async {
        (first.use_up("another", LONG).await == FirstUse::Yes).then_some(())
    })
    .await;
    let tries = (0..50).map(|number| {
        let replica = Arc::clone([&first, &second][number % 2]);
        tokio::spawn(async move { replica.use_up("raced for", LONG).await })
    });
    let mut firsts = 0;
    for one in tries.collect::<Vec<_>>() {
        firsts += usize::from(one.await.unwrap() == FirstUse::Yes);
    }
    assert_eq!(firsts, 1);
}

macro_rules! coordination_suite {
    ($replicas:path) => {
        $crate::conformance::coordination_suite! { @ $replicas;
            one_of_fifty_gets_the_lease, fences_grow_from_holder_to_holder, a_fence_that_a_store_has_seen_is_passed, a_lease_is_over_for_its_holder_before_another_has_it,
            a_renewed_lease_outlives_its_time, only_its_holder_gives_a_lease_back, what_one_says_the_others_hear, a_quota_is_shared_and_told,
            a_coordinator_answers_and_has_a_name, what_is_forgotten_is_no_quota_that_is_used,
            a_word_is_used_once_whichever_replica_is_asked
        }
    };
    (@ $replicas:path; $($test:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let Some(replicas) = $replicas() else { return };
            let watched = $crate::conformance::covered::Watched::new(&replicas);
            $crate::conformance::$test(&watched).await;
            watched.check(stringify!($test));
        })+

        #[test]
        fn every_method_is_proven_by_a_case() {
            $crate::conformance::covered::check_proofs(&[$(stringify!($test)),+]);
        }
    };
}
pub(super) use coordination_suite;
