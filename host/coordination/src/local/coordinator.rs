use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use lucid_ports::{Checked, CoordinationError, Coordinator, Fence, Heard, Lease, Listener, Topic};
use parking_lot::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

/// Messages a slow listener may be behind before it loses the oldest.
const MESSAGES_BUFFERED_MAX: usize = 4_096;

#[derive(Clone)]
struct Said {
    origin: String,
    topic: Topic,
    payload: Vec<u8>,
}

struct Exchange {
    leases: Mutex<HashMap<String, Lease>>,
    /// The greatest fence of each name that a store has seen, given out by whomever.
    seen: Mutex<HashMap<String, Fence>>,
    said: broadcast::Sender<Said>,
}

/// Leases and messages of one process.
pub struct LocalCoordinator {
    exchange: Arc<Exchange>,
    replica: String,
}

impl LocalCoordinator {
    /// A coordinator that knows nobody else.
    pub fn new(replica: &str) -> Self {
        let exchange = Exchange {
            leases: Mutex::default(),
            seen: Mutex::default(),
            said: broadcast::Sender::new(MESSAGES_BUFFERED_MAX),
        };
        Self { exchange: Arc::new(exchange), replica: replica.to_owned() }
    }

    /// Another party of the same exchange.
    #[cfg(test)]
    pub(crate) fn beside(&self, replica: &str) -> Self {
        Self { exchange: Arc::clone(&self.exchange), replica: replica.to_owned() }
    }
}

/// Greater than the last one, and than those of processes before this one.
fn next_fence(last: Option<Fence>) -> Fence {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
    Fence(last.map_or(now_us, |last| now_us.max(last.0.saturating_add(1))))
}

#[async_trait]
impl Coordinator for LocalCoordinator {
    fn replica(&self) -> &str {
        &self.replica
    }

    async fn acquire(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, CoordinationError> {
        let mut leases = self.exchange.leases.lock();
        let now = Instant::now();
        let last = leases.get(name);
        if last.is_some_and(|last| last.holder != self.replica && last.is_good(now)) {
            return Ok(None);
        }
        let fence = next_fence(
            last.map(|last| last.fence).max(self.exchange.seen.lock().get(name).copied()),
        );
        let lease = Lease {
            name: name.to_owned(),
            holder: self.replica.clone(),
            fence,
            ttl,
            until: now + ttl,
        };
        leases.insert(name.to_owned(), lease.clone());
        Ok(Some(lease))
    }

    async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, CoordinationError> {
        let mut leases = self.exchange.leases.lock();
        let now = Instant::now();
        let held = leases.get_mut(&lease.name).filter(|held| {
            (&held.holder, held.fence) == (&lease.holder, lease.fence) && held.is_good(now)
        });
        Ok(held.map(|held| {
            held.until = now + held.ttl;
            held.clone()
        }))
    }

    async fn release(&self, lease: &Lease) -> Result<bool, CoordinationError> {
        let mut leases = self.exchange.leases.lock();
        let now = Instant::now();
        let held = leases.get_mut(&lease.name).filter(|held| {
            (&held.holder, held.fence) == (&lease.holder, lease.fence) && held.is_good(now)
        });
        // The fence is kept, so that the next one is greater.
        Ok(held.map(|held| held.until = now).is_some())
    }

    fn seen(&self, name: &str, fence: Fence) {
        let mut seen = self.exchange.seen.lock();
        let known = seen.entry(name.to_owned()).or_default();
        *known = fence.max(*known);
    }

    async fn tell(&self, topic: Topic, payload: Vec<u8>) -> Result<(), CoordinationError> {
        // No listener is no error.
        let _ = self.exchange.said.send(Said { origin: self.replica.clone(), topic, payload });
        Ok(())
    }

    async fn listen(&self) -> Box<dyn Listener> {
        Box::new(LocalListener {
            said: self.exchange.said.subscribe(),
            replica: self.replica.clone(),
        })
    }

    /// It has the replica's own clock.
    async fn check(&self) -> Result<Checked, CoordinationError> {
        Ok(Checked { ahead_ms: 0, within_ms: 0 })
    }
}

struct LocalListener {
    said: broadcast::Receiver<Said>,
    replica: String,
}

#[async_trait]
impl Listener for LocalListener {
    async fn next(&mut self) -> Heard {
        loop {
            match self.said.recv().await {
                Ok(Said { origin, topic, payload }) if origin != self.replica => {
                    return Heard::Message { origin, topic, payload };
                }
                Ok(_) => {}
                Err(RecvError::Lagged(lost)) => {
                    return Heard::Gap { origin: None, lost: Some(lost) };
                }
                // Nobody is left to say anything.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lucid_ports::{RateLimiter, UsedOnce};

    use super::*;
    use crate::{
        LocalLimiter, LocalUsedOnce,
        conformance::{QUOTAS, Replicas, coordination_suite},
    };

    struct InProcess {
        first: LocalCoordinator,
        limiter: Arc<LocalLimiter>,
        used_once: Arc<LocalUsedOnce>,
    }

    impl Replicas for InProcess {
        fn replica(&self, name: &str) -> Arc<dyn Coordinator> {
            Arc::new(self.first.beside(name))
        }
        fn limiter(&self) -> Arc<dyn RateLimiter> {
            Arc::clone(&self.limiter) as Arc<dyn RateLimiter>
        }
        fn used_once(&self) -> Arc<dyn UsedOnce> {
            Arc::clone(&self.used_once) as Arc<dyn UsedOnce>
        }
    }

    fn in_process() -> Option<InProcess> {
        Some(InProcess {
            first: LocalCoordinator::new("zero"),
            limiter: Arc::new(LocalLimiter::new(&QUOTAS)),
            used_once: Arc::default(),
        })
    }

    coordination_suite!(in_process);
}
