//! Tasks that one replica does for all: a task's step runs only while this process holds the task's lease.

use std::{future::Future, sync::Arc, time::Duration};

use lucid_ports::{Coordinator, Lease};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// Renewals in the life of a lease.
const RENEWALS: u32 = 3;
/// After a renewal or an acquisition that failed, the part of a lease's life until the next.
const RETRIES: u32 = 10;
/// Longest time for giving a lease back at the end.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(1);

/// Does `work` whenever this replica holds the lease, and ends when told to stop. Work is dropped where it waits when
/// the lease is over: to the records that is a crash, which they are made for. Each time it begins anew.
pub async fn while_held<F>(coordinator: Arc<dyn Coordinator>, name: &'static str, ttl: Duration, stop: CancellationToken, work: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    let held = metrics::gauge!("lucid_lease_held", "name" => name);
    held.set(0.0);
    while !stop.is_cancelled() {
        let wait = match coordinator.acquire(name, ttl).await {
            Ok(Some(lease)) => {
                tracing::info!(task = name, fence = lease.fence, "this replica does it from now on");
                held.set(1.0);
                let over = do_while_good(coordinator.as_ref(), lease, work()).await;
                held.set(0.0);
                match over {
                    Over::Done => return,
                    Over::Lost => tracing::warn!(task = name, "the lease is lost: this replica does not do it any more"),
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
}

enum Over {
    /// The work ended by itself: the process stops.
    Done,
    /// The lease is gone, or its time is over.
    Lost,
}

async fn do_while_good(coordinator: &dyn Coordinator, lease: Lease, work: impl Future<Output = ()>) -> Over {
    let mut lease = lease;
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => {
                // If it cannot be given back it runs out.
                let _ = tokio::time::timeout(RELEASE_TIME_MAX, coordinator.release(&lease)).await;
                return Over::Done;
            }
            renewed = renewed(coordinator, &lease) => match renewed {
                Some(renewed) => lease = renewed,
                None => return Over::Lost,
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
    use std::sync::atomic::{AtomicU32, Ordering};

    use lucid_store::coord::LocalCoordinator;

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
        let (begun, dropped, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (counted, gone, told) = (Arc::clone(&begun), Arc::clone(&dropped), stop.clone());
        let work = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let (guard, told) = (Dropped(Arc::clone(&gone)), told.clone());
            async move {
                told.cancelled().await;
                drop(guard);
            }
        };
        let running = tokio::spawn(while_held(Arc::clone(&coordinator), "payer", TTL, stop.clone(), work));
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
        running.await.unwrap();
        assert_eq!((begun.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (2, 2));
    }
}
