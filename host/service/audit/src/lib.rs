//! The audit log: reading it, and sealing the ends of its chains.

mod log;
mod requests;
mod verify;

use std::sync::Arc;

use lucid_foundation::{Ids, ServiceClock};
use lucid_model::id::FamilyId;
use lucid_ports::{AuditStore, RequestStore, Signer};
use parking_lot::Mutex;

pub use self::verify::{AuditProgress, AuditVerified, verify_audit};

/// What it is built on.
pub struct Parts {
    pub clock: Arc<ServiceClock>,
    pub family: FamilyId,
    pub ids: Ids,
    pub log: Arc<dyn AuditStore>,
    pub requests: Arc<dyn RequestStore>,
    pub signer: Arc<dyn Signer>,
}

/// How it works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// How long a request with an idempotency key has for itself before it is tried again: longer
    /// than any request may take.
    pub request_lease_ms: i64,
    /// How long its answer is kept.
    pub request_kept_ms: i64,
}

/// Reads and seals the audit log, and remembers requests with idempotency keys.
pub struct Audit {
    parts: Parts,
    config: AuditConfig,
    /// What the audit log's seals name, as far as they were read.
    sealed: Mutex<log::Sealed>,
}

impl Audit {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts, config: AuditConfig) -> Arc<Self> {
        Arc::new(Self { parts, config, sealed: Mutex::default() })
    }

    /// How it is set up.
    pub fn config(&self) -> &AuditConfig {
        &self.config
    }
}
