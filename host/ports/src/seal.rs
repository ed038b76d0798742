/// Twelve random bytes, never used twice with one key.
pub type SealNonce = [u8; 12];

/// How a kept secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// As it is: a version before seals wrote it.
    Clear,
    /// Sealed with the key that seals now.
    Current,
    /// Sealed with a key that only opens.
    Earlier,
    /// Sealed with a key that is not here.
    Unknown,
}

/// Why a secret cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Its key is not here.
    #[error("sealed with key {key}, which this service does not have: restore secrets/seal.key")]
    NoKey {
        /// The key's id.
        key: String,
    },
    /// It was changed, or is another record's.
    #[error("altered in the store: remove the webhook and register it anew")]
    Altered,
    /// The key does not seal it.
    #[error("cannot be sealed")]
    Unsealable,
}

/// Seals secrets that a store keeps, with a key that is not in the store.
pub trait Sealer: Send + Sync {
    /// The secret as it may be kept in the record `about`.
    ///
    /// # Errors
    /// [`SealError::Unsealable`].
    fn seal(&self, secret: &str, about: &str, nonce: SealNonce) -> Result<String, SealError>;
    /// The secret that a record keeps; one in clear is what it is.
    ///
    /// # Errors
    /// [`SealError`] if the key is not here, or what is kept was altered.
    fn open(&self, kept: &str, about: &str) -> Result<String, SealError>;
    /// How it is kept.
    fn standing(&self, kept: &str) -> Seal;
}
