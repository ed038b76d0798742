use async_trait::async_trait;

/// A public key that the gateway signs tokens with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayKey {
    /// How tokens name it: `kid`.
    pub id: String,
    /// What it is, which alone says by which algorithm its tokens are checked.
    pub material: KeyMaterial,
}

/// What a key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// RSA of at least 2048 bits: RS256 and nothing else.
    Rsa {
        /// Big-endian.
        modulus: Vec<u8>,
        /// Big-endian.
        exponent: Vec<u8>,
    },
    /// Ed25519: `EdDSA` and nothing else.
    Ed25519([u8; 32]),
}

/// Why the gateway gave no usable answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the gateway gave no keys: {detail}")]
pub struct GatewayError {
    /// For the log.
    pub detail: String,
}

/// Where the gateway publishes its keys.
#[async_trait]
pub trait GatewayKeys: Send + Sync {
    /// The keys that count now; those that cannot be used here are left out.
    async fn fetch(&self) -> Result<Vec<GatewayKey>, GatewayError>;
}
