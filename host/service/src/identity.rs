//! How a node proves that it has its key.

use std::collections::BTreeMap;

use lucid_model::{
    event::EventKind,
    id::{Digest, NodeId},
    node::{CapReached, Node, NodeStatus, PublicKey},
    statement,
    time::TimeMs,
};

use lucid_ports::{RegisterConflict, TRACE};

use crate::{Actor, NodeView, Role, Service, ServiceError, nodes::Change};

/// Open challenges and used registration nonces; both forget by themselves.
#[derive(Default)]
pub(crate) struct Challenges {
    open: BTreeMap<String, (NodeId, TimeMs)>,
    nonces: BTreeMap<(PublicKey, String), TimeMs>,
    /// When to look for what expired: not with every request, each of which would read all of it.
    forget_at: TimeMs,
}

/// Most open challenges: beyond, the oldest requests have to be made again.
const CHALLENGES_MAX: usize = 100_000;

/// Between two looks for what expired.
const FORGET_EVERY_MS: i64 = 1_000;

impl Challenges {
    fn forget(&mut self, now: TimeMs) {
        if now < self.forget_at {
            return;
        }
        self.forget_at = now.plus_ms(FORGET_EVERY_MS);
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
            return Err(ServiceError::CapReached(CapReached { what: "open challenges", limit: CHALLENGES_MAX as u64 }));
        }
        challenges.open.insert(challenge.clone(), (node, expires_at));
        Ok(Challenge { challenge, expires_at })
    }

    /// Checks a signed challenge; it is used up whatever the outcome.
    ///
    /// # Errors
    /// [`ServiceError::Unproven`] if it is unknown, used, expired or not signed by the node's key.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.prove", skip_all)]
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
        let signed = statement::registration(proof.method, &proof.path, proof.body, proof.timestamp_ms, &proof.nonce);
        self.fresh(proof.timestamp_ms)?;
        if !statement::verify(key, &signed, &proof.signature) {
            return Err(ServiceError::Unproven { why: "the registration is not signed by its public key" });
        }
        self.use_nonce_up(key, &proof.nonce)
    }

    fn fresh(&self, timestamp_ms: i64) -> Result<(), ServiceError> {
        if timestamp_ms.abs_diff(self.now().0) > self.config.registration_skew_ms.unsigned_abs() {
            return Err(ServiceError::Unproven { why: "the signature's timestamp is too far from our clock" });
        }
        Ok(())
    }

    fn use_nonce_up(&self, key: PublicKey, nonce: &str) -> Result<(), ServiceError> {
        let now = self.now();
        let mut challenges = self.challenges.lock();
        challenges.forget(now);
        match challenges.nonces.insert((key, nonce.to_owned()), now.plus_ms(2 * self.config.registration_skew_ms)) {
            Some(until) if until > now => Err(ServiceError::Unproven { why: "the nonce was used before" }),
            _ => Ok(()),
        }
    }

    /// Gives a node its next key: the old one signs it away, the new one shows that somebody has it.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is another's or has no key, a signature is wrong, or a live node has the key.
    pub async fn rotate_key(&self, actor: &Actor, id: NodeId, rotation: KeyRotation) -> Result<NodeView, ServiceError> {
        let node = self.store().node(id).await?.filter(Node::is_live).ok_or(ServiceError::no("node"))?;
        if !(actor.node == Some(id) || (actor.node.is_none() && actor.manages(node.owner))) {
            return Err(ServiceError::Forbidden { why: "the node is another's, or the role may not change nodes" });
        }
        let old = node.public_key.ok_or(ServiceError::Unproven { why: "the node has no key that could sign" })?;
        let proof = rotation.proof.ok_or(ServiceError::invalid("x-lucid-signature", "is required: the present key signs the next one"))?;
        let signed = statement::key_rotation(id, rotation.next, proof.timestamp_ms, &proof.nonce);
        self.fresh(proof.timestamp_ms)?;
        if !statement::verify(old, &signed, &proof.signature) {
            return Err(ServiceError::Unproven { why: "the change is not signed by the node's key" });
        }
        if !statement::verify(rotation.next, &signed, &rotation.next_signature) {
            return Err(ServiceError::Unproven { why: "the change is not signed by the next key" });
        }
        self.use_nonce_up(old, &proof.nonce)?;
        let holder = self.store().node_by_key(rotation.next).await?;
        if let Some(holder) = holder {
            let own = (holder.owner == node.owner).then_some(holder.id);
            return Err(ServiceError::AlreadyRegistered { conflict: RegisterConflict::PublicKey, own });
        }
        let owner = Actor { node: None, roles: vec![Role::Owner], user: node.owner, ..actor.clone() };
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
        self.emit(EventKind::KeyRotated { node: id });
        Ok(view)
    }

    /// The node behind a token that was given out: still there, and still with the key that it proved.
    ///
    /// # Errors
    /// [`ServiceError::Unproven`] if it left meanwhile.
    pub async fn token_node(&self, node: NodeId, key: Option<PublicKey>) -> Result<Node, ServiceError> {
        let record = self.store().node(node).await?.filter(|n| n.status != NodeStatus::Deregistered);
        let record = record.ok_or(ServiceError::Unproven { why: "the token's node is gone" })?;
        if record.public_key != key {
            return Err(ServiceError::Unproven { why: "the token's node has another key by now" });
        }
        Ok(record)
    }
}
