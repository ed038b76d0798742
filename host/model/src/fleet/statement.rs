//! What nodes sign, byte for byte, and the check of a signature.
//!
//! Every statement starts with `lucid/v1/<purpose>` and a zero byte, so that a signature made for
//! one purpose never serves another.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::{
    canonical::Canonical,
    epochs::score::ScoreCenti,
    fleet::node::PublicKey,
    id::{Digest, NodeId},
    money::tron::TronAddress,
};

/// A registration: method and path of the request, digest of its body, when it was made and a nonce
/// used once.
pub fn registration(
    method: &str,
    path: &str,
    body: Digest,
    timestamp_ms: i64,
    nonce: &str,
) -> Vec<u8> {
    Canonical::tagged("lucid/v1/registration")
        .text(method)
        .text(path)
        .fixed(&body.0)
        .i64(timestamp_ms)
        .text(nonce)
        .finish()
}

/// A report: what kind (`heartbeat`, `metrics`, `observations`), whose, its place in the node's
/// sequence, its body.
pub fn report(kind: &str, node: NodeId, sequence: u64, body: Digest) -> Vec<u8> {
    Canonical::tagged("lucid/v1/report")
        .text(kind)
        .fixed(node.0.as_bytes())
        .u64(sequence)
        .fixed(&body.0)
        .finish()
}

/// A change of key, signed by the old one and by the new one: which node, its next key, when, and a
/// nonce.
pub fn key_rotation(node: NodeId, next: PublicKey, timestamp_ms: i64, nonce: &str) -> Vec<u8> {
    Canonical::tagged("lucid/v1/key-rotation")
        .fixed(node.0.as_bytes())
        .fixed(&next.0)
        .i64(timestamp_ms)
        .text(nonce)
        .finish()
}

/// A change of wallet: which node, where its earnings go, and the version of the wallet that it
/// replaces (0: none), so that it serves once.
pub fn wallet(node: NodeId, address: &TronAddress, replaces_version: u32) -> Vec<u8> {
    Canonical::tagged("lucid/v1/wallet")
        .fixed(node.0.as_bytes())
        .text(&address.to_string())
        .u32(replaces_version)
        .finish()
}

/// A login: the challenge the service gave out.
pub fn challenge(node: NodeId, challenge: &str) -> Vec<u8> {
    Canonical::tagged("lucid/v1/challenge").fixed(node.0.as_bytes()).text(challenge).finish()
}

/// A score claim; the network's own older form, which is text.
pub fn score_claim(node: NodeId, score: ScoreCenti, timestamp: &str) -> Vec<u8> {
    format!("lucid-score-v1\n{node}\n{score}\n{timestamp}").into_bytes()
}

/// Whether `signature` (64 bytes) over `statement` is `key`'s. Strict: weak keys and malleable
/// signatures fail.
pub fn verify(key: PublicKey, statement: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&key.0) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    key.verify_strict(statement, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    #[test]
    fn a_signature_serves_one_statement_only() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = PublicKey(key.verifying_key().to_bytes());
        let node = NodeId(uuid::Uuid::from_u128(7));
        let signature = key.sign(&report("metrics", node, 5, Digest::of(b"body"))).to_bytes();
        assert!(verify(public, &report("metrics", node, 5, Digest::of(b"body")), &signature));
        for other in [
            report("metrics", node, 6, Digest::of(b"body")),
            report("heartbeat", node, 5, Digest::of(b"body")),
            report("metrics", node, 5, Digest::of(b"bodY")),
            challenge(node, "body"),
        ] {
            assert!(!verify(public, &other, &signature));
        }
        assert!(!verify(public, b"", &signature[..63]));
        assert!(!verify(PublicKey([0; 32]), b"", &[0; 64]));
    }
}
