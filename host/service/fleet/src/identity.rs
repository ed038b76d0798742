//! How a node proves that it has its key.

use std::time::Duration;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::{
        challenge::ChallengeKey,
        node::{CapReached, Node, NodeStatus, PublicKey},
        statement,
    },
    id::{Digest, NodeId},
    notifications::event::EventKind,
    time::TimeMs,
};
use lucid_ports::{FirstUse, RegisterConflict, TRACE};

use crate::{Fleet, NodeView, nodes::Change};

fn too_many(limit: usize) -> ServiceError {
    ServiceError::CapReached(CapReached {
        what: "used challenges and nonces",
        limit: u64::try_from(limit).unwrap_or(u64::MAX),
    })
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

/// A change of key.
#[derive(Debug, Clone)]
pub struct KeyRotation {
    /// The next key.
    pub next: PublicKey,
    /// By the next key, over [`statement::key_rotation`].
    pub next_signature: Vec<u8>,
    /// By the key that the node has, over the same.
    pub proof: Option<KeyProof>,
}

/// The proof that came with a change of key.
#[derive(Debug, Clone)]
pub struct KeyProof {
    /// When it was made, Unix milliseconds.
    pub timestamp_ms: i64,
    /// Used once.
    pub nonce: String,
    /// By the key that the node has.
    pub signature: Vec<u8>,
}

impl Fleet {
    /// Gives a node something to sign.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for a node that is gone or has no key.
    pub async fn challenge(&self, node: NodeId) -> Result<Challenge, ServiceError> {
        let found =
            self.parts.nodes.node(node).await?.filter(|n| n.is_live() && n.public_key.is_some());
        found.ok_or(ServiceError::no("node"))?;
        let expires_at = self.parts.clock.now().plus_ms(self.config.challenge_ms);
        Ok(Challenge {
            challenge: self.challenge_key().seal(node, expires_at, self.parts.entropy.random_16()),
            expires_at,
        })
    }

    /// Seals challenges with the first key from now on, and opens those of each.
    pub fn replace_challenge_keys(&self, keys: Vec<ChallengeKey>) {
        if !keys.is_empty() {
            *self.challenge_keys.lock() = keys;
        }
    }

    fn challenge_key(&self) -> ChallengeKey {
        self.challenge_keys.lock().first().unwrap_or(&self.parts.challenge_key).clone()
    }

    /// Until when a challenge is good.
    fn opened_challenge(&self, node: NodeId, challenge: &str) -> Option<TimeMs> {
        self.challenge_keys.lock().iter().find_map(|key| key.open(node, challenge))
    }

    /// Checks a signed challenge, which any replica may have given out; with it the challenge is
    /// used up.
    ///
    /// # Errors
    /// [`ServiceError::Unproven`] if it is unknown, used, expired or not signed by the node's key.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.prove", skip_all)]
    pub async fn prove(
        &self,
        node: NodeId,
        challenge: &str,
        signature: &[u8],
    ) -> Result<Node, ServiceError> {
        const UNPROVEN: ServiceError = ServiceError::Unproven {
            why: "the challenge is unknown, used or expired, or the signature is not the node's",
        };
        let left_ms = self
            .opened_challenge(node, challenge)
            .map_or(0, |until| until.ms_since(self.parts.clock.now()));
        // A replica whose clock is behind the issuer's does not accept a challenge for longer.
        let left_ms = u64::try_from(left_ms.min(self.config.challenge_ms)).unwrap_or_default();
        let record = self.parts.nodes.node(node).await?.filter(Node::is_live).ok_or(UNPROVEN)?;
        let is_signed = record.public_key.is_some_and(|key| {
            statement::verify(key, &statement::challenge(node, challenge), signature)
        });
        if left_ms == 0 || !is_signed {
            return Err(UNPROVEN);
        }
        // Only who has the node's key gets here, so nobody else adds to what is remembered.
        match self
            .parts
            .used_once
            .use_up(&format!("challenge:{challenge}"), Duration::from_millis(left_ms))
            .await
        {
            FirstUse::Yes => Ok(record),
            FirstUse::No => Err(UNPROVEN),
            FirstUse::TooMany { limit } => Err(too_many(limit)),
        }
    }

    /// Checks the signature of a registration and uses its nonce up.
    pub(crate) async fn check_registration(
        &self,
        key: PublicKey,
        proof: &RegistrationProof,
    ) -> Result<(), ServiceError> {
        let signed = statement::registration(
            proof.method,
            &proof.path,
            proof.body,
            proof.timestamp_ms,
            &proof.nonce,
        );
        self.fresh(proof.timestamp_ms)?;
        if !statement::verify(key, &signed, &proof.signature) {
            return Err(ServiceError::Unproven {
                why: "the registration is not signed by its public key",
            });
        }
        self.use_nonce_up(key, &proof.nonce).await
    }

    fn fresh(&self, timestamp_ms: i64) -> Result<(), ServiceError> {
        if timestamp_ms.abs_diff(self.parts.clock.now().0)
            > self.config.registration_skew_ms.unsigned_abs()
        {
            return Err(ServiceError::Unproven {
                why: "the signature's timestamp is too far from our clock",
            });
        }
        Ok(())
    }

    async fn use_nonce_up(&self, key: PublicKey, nonce: &str) -> Result<(), ServiceError> {
        let ttl = Duration::from_millis(
            self.config.registration_skew_ms.unsigned_abs().saturating_mul(2),
        );
        // Its digest: a nonce is the caller's text.
        let word = format!("nonce:{}:{}", hex::encode(key.0), Digest::of(nonce.as_bytes()));
        match self.parts.used_once.use_up(&word, ttl).await {
            FirstUse::Yes => Ok(()),
            FirstUse::No => Err(ServiceError::Unproven { why: "the nonce was used before" }),
            FirstUse::TooMany { limit } => Err(too_many(limit)),
        }
    }

    /// Gives a node its next key: the old one signs it away, the new one shows that somebody has
    /// it.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is another's or has no key, a signature is wrong, or a live
    /// node has the key.
    pub async fn rotate_key(
        &self,
        actor: &Actor,
        id: NodeId,
        rotation: KeyRotation,
    ) -> Result<NodeView, ServiceError> {
        let node = self.live_node(id).await?;
        if !actor.speaks_for(&node) {
            return Err(ServiceError::Forbidden {
                why: "the node is another's, or the role may not change nodes",
            });
        }
        actor.expects("node", node.version)?;
        let old = node
            .public_key
            .ok_or(ServiceError::Unproven { why: "the node has no key that could sign" })?;
        let proof = rotation.proof.ok_or(ServiceError::invalid(
            "x-lucid-signature",
            "is required: the present key signs the next one",
        ))?;
        let signed = statement::key_rotation(id, rotation.next, proof.timestamp_ms, &proof.nonce);
        self.fresh(proof.timestamp_ms)?;
        if !statement::verify(old, &signed, &proof.signature) {
            return Err(ServiceError::Unproven {
                why: "the change is not signed by the node's key",
            });
        }
        if !statement::verify(rotation.next, &signed, &rotation.next_signature) {
            return Err(ServiceError::Unproven { why: "the change is not signed by the next key" });
        }
        self.use_nonce_up(old, &proof.nonce).await?;
        let holder = self.parts.nodes.node_by_key(rotation.next).await?;
        if let Some(holder) = holder {
            let own = (holder.owner == node.owner).then_some(holder.id);
            return Err(ServiceError::AlreadyRegistered {
                conflict: RegisterConflict::PublicKey,
                own,
            });
        }
        let owner = actor.as_owner_of(&node);
        let (_, view) = self
            .change_node(&owner, id, Change::of("node.rotate_key"), |node, now| {
                if node.public_key != Some(old) {
                    return Err(ServiceError::Changed { what: "node's key" });
                }
                node.public_key = Some(rotation.next);
                node.updated_at = now;
                Ok(())
            })
            .await?;
        self.parts.notifications.emit(EventKind::KeyRotated { node: id });
        Ok(view)
    }

    /// The node behind a token that was given out: still there, and still with the key that it
    /// proved.
    ///
    /// # Errors
    /// [`ServiceError::Unproven`] if it left meanwhile.
    pub async fn token_node(
        &self,
        node: NodeId,
        key: Option<PublicKey>,
    ) -> Result<Node, ServiceError> {
        let record =
            self.parts.nodes.node(node).await?.filter(|n| n.status != NodeStatus::Deregistered);
        let record = record.ok_or(ServiceError::Unproven { why: "the token's node is gone" })?;
        if record.public_key != key {
            return Err(ServiceError::Unproven { why: "the token's node has another key by now" });
        }
        Ok(record)
    }
}
