//! Requests that carry an idempotency key, and the answers they got.

use crate::id::Digest;

/// Names a request among those of one caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// Whose: a token's subject, a node, an enrolment token.
    pub subject: String,
    /// What the caller sent: 1–255 visible ASCII characters.
    pub key: String,
}

/// What was answered, to be answered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Headers that belong to the answer (`content-type`, `location`, `etag`).
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// Digest of what makes two requests the same: method, path with query, and body.
pub fn fingerprint(method: &str, path: &str, body: &[u8]) -> Digest {
    Digest::of(
        &crate::canonical::Canonical::tagged("lucid/v1/request")
            .text(method)
            .text(path)
            .bytes(body)
            .finish(),
    )
}
