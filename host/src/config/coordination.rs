use serde::{Deserialize, Serialize};

/// Shortest life of a lease: renewals need room in it.
const LEASE_MS_MIN: u32 = 500;

/// `[coordination]`: what the replicas of a store agree on. Without Redis there is one replica.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coordination {
    /// `REDIS_URI` or `REDIS_URL`: `redis://[user:password@]host[:port][/db]`.
    pub redis_url: Option<String>,
    /// How long a replica keeps a task without renewing its lease; all replicas need the same.
    pub lease_ms: u32,
    /// For one command to Redis.
    pub timeout_ms: u32,
    /// How often the store is asked whether other policies are active, hints by Redis apart.
    pub policies_poll_ms: u32,
}

impl Default for Coordination {
    fn default() -> Self {
        Self { redis_url: None, lease_ms: 6_000, timeout_ms: 500, policies_poll_ms: 500 }
    }
}

impl Coordination {
    /// What cannot be, by the name of the key.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.redis_url.as_ref().is_some_and(|url| !url.starts_with("redis://") && !url.starts_with("redis+unix://")) {
            // The URL may hold a password: it is not repeated.
            return Err("coordination.redis_url (REDIS_URI): must begin with redis:// or redis+unix://".into());
        }
        if self.lease_ms < LEASE_MS_MIN {
            return Err(format!("coordination.lease_ms: must be at least {LEASE_MS_MIN}"));
        }
        if self.timeout_ms == 0 || self.timeout_ms > self.lease_ms / 3 {
            return Err("coordination.timeout_ms: must be at least 1, and at most a third of coordination.lease_ms".into());
        }
        if self.policies_poll_ms == 0 { Err("coordination.policies_poll_ms: must be at least 1".into()) } else { Ok(()) }
    }
}
