//! Clock, randomness and the service's key, as the machine has them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signer as _, SigningKey};
use lucid_model::{fleet::node::PublicKey, time::TimeMs};
use lucid_ports::{Clock, Entropy, Signer};
use rustix::time::{ClockId, clock_gettime};

/// The machine's clocks.
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Monotonic time counts from now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> TimeMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimeMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn since_boot_ms(&self) -> i64 {
        // Unlike the monotonic clock it counts the time that the machine was suspended.
        let since = clock_gettime(ClockId::Boottime);
        since.tv_sec.saturating_mul(1_000).saturating_add(since.tv_nsec / 1_000_000)
    }
}

/// The operating system's randomness.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn random_16(&self) -> [u8; 16] {
        // A v4 UUID would lose six bits; the kernel's generator does not fail once it is seeded.
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            tracing::error!("the operating system has no randomness: stopping");
            crate::logs::flush();
            std::process::abort();
        }
        bytes
    }
}

/// The service's Ed25519 key.
pub struct ServiceKey(pub SigningKey);

impl Signer for ServiceKey {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, statement: &[u8]) -> [u8; 64] {
        self.0.sign(statement).to_bytes()
    }
}
