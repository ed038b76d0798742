//! Tasks that one replica does for all: a task's step runs only while this process holds the task's
//! lease.

use std::{future::Future, sync::Arc, time::Duration};

use lucid_ports::{Coordinator, Fence, HeldLease, Lease};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Renewals in the life of a lease.
const RENEWALS: u32 = 3;
/// After a renewal or an acquisition that failed, the part of a lease's life until the next.
const RETRIES: u32 = 10;
/// Longest time for giving a lease back at the end.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(1);

/// Why work ended before its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to: the process stops.
    Stopped,
    /// Somebody else does it by now: the store has seen this fence, if any.
    Replaced(Option<Fence>),
}

/// Does `work` whenever this replica holds the lease, until it ends. Work is dropped where it waits
/// when the lease is over: to the records that is a crash, which they are made for. Each time it
/// begins anew. After it was replaced the lease is given back, and a while is left to others.
pub async fn while_held<F>(
    coordinator: Arc<dyn Coordinator>,
    name: &'static str,
    ttl: Duration,
    stop: CancellationToken,
    work: impl Fn(HeldLease) -> F,
) -> Ended
where
    F: Future<Output = Ended>,
{
    let held = metrics::gauge!("lucid_lease_held", "name" => name);
    held.set(0.0);
    while !stop.is_cancelled() {
        let wait = match coordinator.acquire(name, ttl).await {
            Ok(Some(lease)) => {
                tracing::info!(
                    task = name,
                    fence = lease.fence.0,
                    "this replica does it from now on"
                );
                held.set(1.0);
                let over = do_while_good(coordinator.as_ref(), lease, &work).await;
                held.set(0.0);
                match over {
                    Some(Ended::Stopped) => return Ended::Stopped,
                    Some(Ended::Replaced(by)) => {
                        by.into_iter().for_each(|by| coordinator.seen(name, by));
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = sleep(ttl / RENEWALS) => {}
                        }
                        return Ended::Replaced(by);
                    }
                    None => tracing::warn!(
                        task = name,
                        "the lease is lost: this replica does not do it any more"
                    ),
                }
                ttl / RETRIES
            }
            Ok(None) => ttl / RENEWALS,
            Err(error) => {
                tracing::debug!(task = name, %error, "no lease is granted");
                ttl / RETRIES
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(wait) => {}
        }
    }
    Ended::Stopped
}

/// Works until the work ends; none if the lease is gone before, or its time is over.
async fn do_while_good<F: Future<Output = Ended>>(
    coordinator: &dyn Coordinator,
    lease: Lease,
    work: impl Fn(HeldLease) -> F,
) -> Option<Ended> {
    let mut lease = lease;
    let (until, seen_until) = watch::channel(lease.until);
    let work =
        work(HeldLease::new(lease.fence, move || std::time::Instant::now() < *seen_until.borrow()));
    tokio::pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => {
                // If it cannot be given back it runs out.
                let _ = tokio::time::timeout(RELEASE_TIME_MAX, coordinator.release(&lease)).await;
                return Some(ended);
            }
            renewed = renewed(coordinator, &lease) => {
                lease = renewed?;
                until.send_replace(lease.until);
            }
        }
    }
}

/// The lease with more time, before its time is over; none if that cannot be had.
async fn renewed(coordinator: &dyn Coordinator, lease: &Lease) -> Option<Lease> {
    let until = Instant::from_std(lease.until);
    let mut next = until.min(Instant::now() + lease.ttl / RENEWALS);
    loop {
        sleep_until(next).await;
        if !lease.is_good(std::time::Instant::now()) {
            return None;
        }
        match timeout_at(until, coordinator.renew(lease)).await {
            Ok(Ok(renewed)) => return renewed,
            Ok(Err(error)) => tracing::debug!(task = lease.name, %error, "a lease is not renewed"),
            Err(_) => return None,
        }
        next = until.min(Instant::now() + lease.ttl / RETRIES);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use lucid_coordination::LocalCoordinator;

    use super::*;

    const TTL: Duration = Duration::from_millis(300);

    /// Counts what was dropped.
    struct Dropped(Arc<AtomicU32>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn reaches(counter: &AtomicU32, number: u32) {
        let reached = async {
            while counter.load(Ordering::SeqCst) < number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
    }

    #[tokio::test]
    async fn work_is_dropped_with_its_lease_begins_anew_with_the_next_and_ends_when_told() {
        let coordinator: Arc<dyn Coordinator> = Arc::new(LocalCoordinator::new("replica"));
        let (begun, dropped, stop) =
            (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (counted, gone, told) = (Arc::clone(&begun), Arc::clone(&dropped), stop.clone());
        let work = move |_: HeldLease| {
            counted.fetch_add(1, Ordering::SeqCst);
            let (guard, told) = (Dropped(Arc::clone(&gone)), told.clone());
            async move {
                told.cancelled().await;
                drop(guard);
                Ended::Stopped
            }
        };
        let running =
            tokio::spawn(while_held(Arc::clone(&coordinator), "payer", TTL, stop.clone(), work));
        reaches(&begun, 1).await;
        // Twice its time: it is renewed, or the work would begin again.
        tokio::time::sleep(2 * TTL).await;
        assert_eq!((begun.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (1, 0));
        // Whoever gets it anew makes the lease before void.
        let stolen = coordinator.acquire("payer", TTL).await.unwrap().unwrap();
        reaches(&dropped, 1).await;
        reaches(&begun, 2).await;
        assert!(coordinator.renew(&stolen).await.unwrap().is_none());
        stop.cancel();
        assert_eq!(running.await.unwrap(), Ended::Stopped);
        assert_eq!((begun.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (2, 2));
    }

    #[tokio::test]
    async fn work_that_was_replaced_gives_its_lease_back_and_never_gets_a_fence_below_the_other_s()
    {
        let coordinator: Arc<dyn Coordinator> = Arc::new(LocalCoordinator::new("replica"));
        let (later, tenures) = (Fence(u64::MAX / 2), Arc::new(Mutex::new(Vec::<HeldLease>::new())));
        let kept = Arc::clone(&tenures);
        let work = move |tenure: HeldLease| {
            assert!(tenure.is_good());
            kept.lock().unwrap().push(tenure);
            async move { Ended::Replaced(Some(later)) }
        };
        for _ in 0..2 {
            let ended =
                while_held(Arc::clone(&coordinator), "payer", TTL, CancellationToken::new(), &work)
                    .await;
            assert_eq!(ended, Ended::Replaced(Some(later)));
        }
        let tenures = tenures.lock().unwrap();
        assert!(tenures[0].fence() < later && tenures[1].fence() > later);
    }
}
