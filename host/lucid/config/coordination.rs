use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Shortest life of a lease: renewals need room in it.
const LEASE_MS_MIN: u32 = 500;

/// `[coordination]`: what the replicas of a store agree on. Without Redis there is one replica.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coordination {
    /// `REDIS_URI` or `REDIS_URL`: `redis://[user:password@]host[:port][/db]`, or `rediss://…` over
    /// TLS.
    pub redis_url: Option<String>,
    /// `REDIS_CA_FILE`: certificates, PEM, that may have signed that of a `rediss://` server; by
    /// default those that the system trusts.
    pub redis_ca_file: Option<PathBuf>,
    /// How long a replica keeps a task without renewing its lease; all replicas need the same.
    pub lease_ms: u32,
    /// For one command to Redis.
    pub timeout_ms: u32,
    /// How often the store is asked whether other policies are active, hints by Redis apart.
    pub policies_poll_ms: u32,
}

impl Default for Coordination {
    fn default() -> Self {
        Self {
            redis_url: None,
            redis_ca_file: None,
            lease_ms: 6_000,
            timeout_ms: 500,
            policies_poll_ms: 500,
        }
    }
}

impl Coordination {
    /// What the file of certificates holds, if one is named.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read.
    pub fn ca_pem(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        let Some(file) = &self.redis_ca_file else { return Ok(None) };
        let wrong =
            |error| ConfigError(format!("coordination.redis_ca_file {}: {error}", file.display()));
        std::fs::read(file).map(Some).map_err(wrong)
    }

    /// What cannot be, by the name of the key.
    pub(super) fn check(&self) -> Result<(), String> {
        let begins = |schemes: &[&str]| {
            self.redis_url
                .as_ref()
                .is_some_and(|url| schemes.iter().any(|scheme| url.starts_with(scheme)))
        };
        if self.redis_url.is_some() && !begins(&["redis://", "rediss://", "redis+unix://"]) {
            // The URL may hold a password: it is not repeated.
            return Err("coordination.redis_url (REDIS_URI): must begin with redis://, rediss:// or redis+unix://".into());
        }
        if self.redis_url.as_ref().is_some_and(|url| url.contains('#')) {
            return Err("coordination.redis_url (REDIS_URI): must not have a # part: the server's certificate is always checked".into());
        }
        if self.redis_ca_file.is_some() && !begins(&["rediss://"]) {
            return Err("coordination.redis_ca_file (REDIS_CA_FILE): is for rediss:// only: name such a URL, or unset it".into());
        }
        if self.lease_ms < LEASE_MS_MIN {
            return Err(format!("coordination.lease_ms: must be at least {LEASE_MS_MIN}"));
        }
        if self.timeout_ms == 0 || self.timeout_ms > self.lease_ms / 3 {
            return Err("coordination.timeout_ms: must be at least 1, and at most a third of coordination.lease_ms".into());
        }
        if self.policies_poll_ms == 0 {
            Err("coordination.policies_poll_ms: must be at least 1".into())
        } else {
            Ok(())
        }
    }
}
