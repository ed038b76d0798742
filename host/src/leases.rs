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
