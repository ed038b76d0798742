use async_trait::async_trait;
use lucid_model::{
    audit::request::{RequestKey, StoredAnswer},
    id::{Digest, IntendedId},
    time::TimeMs,
};

use crate::StoreError;

/// A request with an idempotency key, as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    pub key: RequestKey,
    /// What it asks for.
    pub fingerprint: Digest,
    /// The id that what it creates will have; kept, so that a second try creates the same thing.
    pub creates: IntendedId,
    /// Now.
    pub at: TimeMs,
    /// Until then nobody else carries it out.
    pub lease_until: TimeMs,
    /// Until then the answer is kept.
    pub expires_at: TimeMs,
}

/// What is to be done about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Carry it out; what it creates has this id. The first try may have come to its end or not.
    Run(IntendedId),
    /// Somebody is at it.
    InProgress,
    /// It was carried out, and this was the answer.
    Answered(StoredAnswer),
    /// The key names another request.
    OtherRequest,
}

/// Requests with idempotency keys. The record is written before anything else is, and carries the
/// id to be created.
#[async_trait]
pub trait RequestStore: Send + Sync {
    /// Claims a request, unless somebody else has it or it is answered. A record that expired
    /// counts as none.
    async fn begin_request(&self, request: NewRequest) -> Result<Begun, StoreError>;
    /// Keeps the answer.
    async fn answer_request(&self, key: RequestKey, answer: StoredAnswer)
    -> Result<(), StoreError>;
    /// Gives the claim up without an answer: the next try carries it out, with the same id.
    async fn release_request(&self, key: RequestKey) -> Result<(), StoreError>;
    /// Forgets what expired, at most `limit` records; how many.
    async fn forget_requests(&self, now: TimeMs, limit: u32) -> Result<u64, StoreError>;
}
