//! How a node proves that it has its key.

use std::collections::BTreeMap;

use lucid_model::{
    id::{Digest, NodeId},
    node::{Node, NodeStatus, PublicKey},
    statement,
    time::TimeMs,
};

use crate::{Service, ServiceError};

/// Open challenges and used registration nonces; both forget by themselves.
#[derive(Default)]
pub(crate) struct Challenges {
    open: BTreeMap<String, (NodeId, TimeMs)>,
    nonces: BTreeMap<(PublicKey, String), TimeMs>,
}

/// Most open challenges: beyond, the oldest requests have to be made again.
const CHALLENGES_MAX: usize = 100_000;

impl Challenges {
    fn forget(&mut self, now: TimeMs) {
        self.open.retain(|_, (_, until)| *until > now);
        self.nonces.retain(|_, until| *until > now);
    }
}

/// What a node has to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Hex.
    pub challenge: String,
    /// Good until then, once.
    pub expires_at: TimeMs,
}

/// The proof that came with a registration.
#[derive(Debug, Clone)]
pub struct RegistrationProof {
    /// When it was made, Unix milliseconds.
    pub timestamp_ms: i64,
    /// Used once.
    pub nonce: String,
    /// Over [`statement::registration`].
    pub signature: Vec<u8>,
    /// Method and path of the request.
    pub method: &'static str,
    /// Path of the request.
    pub path: String,
    /// Digest of its body.
    pub body: Digest,
}

impl Service {
    /// Gives a node something to sign.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for a node that is gone or has no key.
    pub async fn challenge(&self, node: NodeId) -> Result<Challenge, ServiceError> {
        let found = self.store().node(node).await?.filter(|n| n.is_live() && n.public_key.is_some());
        found.ok_or(ServiceError::no("node"))?;
        let (now, challenge) = (self.now(), hex::encode(self.ports.entropy.random_32()));
        let expires_at = now.plus_ms(self.config.challenge_ms);
        let mut challenges = self.challenges.lock();
        if challenges.open.len() >= CHALLENGES_MAX {
            challenges.forget(now);
        }
        if challenges.open.len() >= CHALLENGES_MAX {
            return Err(ServiceError::CapReached { what: "open challenges", limit: 100_000 });
        }
        challenges.open.insert(challenge.clone(), (node, expires_at));
        Ok(Challenge { challenge, expires_at })
    }

    /// Checks a signed challenge; it is used up whatever the outcome.
    ///
    /// # Errors
    /// [`ServiceError::Unproven`] if it is unknown, used, expired or not signed by the node's key.
    pub async fn prove(&self, node: NodeId, challenge: &str, signature: &[u8]) -> Result<Node, ServiceError> {
        let open = self.challenges.lock().open.remove(challenge);
        let known = open.is_some_and(|(asked, until)| asked == node && until > self.now());
        let record = self.store().node(node).await?.filter(Node::is_live);
        match record {
            Some(record)
                if known && record.public_key.is_some_and(|key| statement::verify(key, &statement::challenge(node, challenge), signature)) =>
            {
                Ok(record)
            }
            _ => Err(ServiceError::Unproven { why: "the challenge is unknown, used or expired, or the signature is not the node's" }),
        }
    }

    /// Checks the signature of a registration and uses its nonce up.
    pub(crate) fn check_registration(&self, key: PublicKey, proof: &RegistrationProof) -> Result<(), ServiceError> {
        let now = self.now();
        if proof.timestamp_ms.abs_diff(now.0) > self.config.registration_skew_ms.unsigned_abs() {
            return Err(ServiceError::Unproven { why: "the registration's timestamp is too far from our clock" });
        }
        let signed = statement::registration(proof.method, &proof.path, proof.body, proof.timestamp_ms, &proof.nonce);
        if !statement::verify(key, &signed, &proof.signature) {
            return Err(ServiceError::Unproven { why: "the registration is not signed by its public key" });
        }
        let mut challenges = self.challenges.lock();
        challenges.forget(now);
        let until = now.plus_ms(2 * self.config.registration_skew_ms);
        match challenges.nonces.insert((key, proof.nonce.clone()), until) {
            None => Ok(()),
            Some(_) => Err(ServiceError::Unproven { why: "the registration's nonce was used before" }),
        }
    }

    /// The node behind a token that was given out: still there, and still with a key.
    ///
    /// # Errors
    /// [`ServiceError::Unproven`] if it left meanwhile.
    pub async fn token_node(&self, node: NodeId) -> Result<Node, ServiceError> {
        let record = self.store().node(node).await?;
        record.filter(|n| n.status != NodeStatus::Deregistered).ok_or(ServiceError::Unproven { why: "the token's node is gone" })
    }
}
