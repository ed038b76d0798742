//! Newtypes for every id, so that a node's id is never passed where a payout's is meant.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::time::TimeMs;

/// The namespace of ids that are derived from a name (UUIDv5): user ids from token subjects, payout
/// ids.
pub const DERIVED_ID_NAMESPACE: Uuid = Uuid::from_u128(0x6c75_6369_6421_4d00_9e0d_0a6f_6465_7321);

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a uuid")]
pub struct NotAnId;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            /// Accepts the hyphenated form only, so that one id has one spelling.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                if text.len() != 36 {
                    return Err(NotAnId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)
            }
        }
    )*};
}

uuid_ids! {
    /// A worker node (UUIDv7).
    NodeId;
    /// A pool of nodes (UUIDv7).
    PoolId;
    /// Who owns a node: the token's subject, or a UUIDv5 of it.
    UserId;
    /// An observation session; made by whoever observes, one node's in the whole fleet.
    SessionId;
    /// A payout (UUIDv5 of store family, cycle, node and attempt): also its idempotency key at the
    /// rail.
    PayoutId;
    /// A payout run.
    RunId;
    /// A receipt of a score computed on demand (UUIDv7).
    OnDemandId;
    /// A store and all its copies; part of every derived payout id.
    FamilyId;
    /// An audit entry (UUIDv7; a UUIDv5 of another entry's for what followed from it).
    AuditId;
    /// An enrolment token (UUIDv7); not the token itself.
    EnrolmentId;
    /// The id that what a request creates will have, fixed before it is carried out (UUIDv7).
    IntendedId;
    /// An alert about a node (UUIDv7).
    AlertId;
    /// A webhook (UUIDv7).
    WebhookId;
    /// A delivery to a webhook (UUIDv5 of the webhook and the event).
    DeliveryId;
    /// A receipt that adjusts a score (UUIDv5 of node, epoch and number).
    AdjustmentId;
    /// What a shadow said about a period (UUIDv5 of the shadow and the period).
    ShadowResultId;
    /// What a treasurer says became of a payout (UUIDv7).
    ProposalId;
    /// A payout that the payment service contradicts (UUIDv5 of the payout and the claim).
    MismatchId;
    /// A policy version that runs beside the active one (UUIDv7).
    ShadowId;
    /// What writes to the audit log: a store file, later a replica (UUIDv4).
    AuditWriterId;
}

impl UserId {
    /// The id of a token subject: itself if it is a UUID, else a UUIDv5 of it in a fixed namespace.
    pub fn from_subject(subject: &str) -> Self {
        Uuid::try_parse(subject)
            .map(Self)
            .unwrap_or_else(|_| Self(Uuid::new_v5(&DERIVED_ID_NAMESPACE, subject.as_bytes())))
    }
}

impl FamilyId {
    /// When the family's first store was created, which its id (UUIDv7) says.
    pub fn began_at(self) -> Option<TimeMs> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Some(TimeMs(
            i64::try_from(seconds)
                .ok()?
                .checked_mul(1_000)?
                .checked_add(i64::from(nanos / 1_000_000))?,
        ))
    }
}

impl PayoutId {
    /// The id of one attempt to pay one node in one cycle: the same after a restore, so that a
    /// repeated run carries the key the rail already knows.
    pub fn derive(family: FamilyId, cycle: i64, node: NodeId, attempt: u32) -> Self {
        let mut name = Vec::with_capacity(44);
        name.extend_from_slice(family.0.as_bytes());
        name.extend_from_slice(&cycle.to_le_bytes());
        name.extend_from_slice(node.0.as_bytes());
        name.extend_from_slice(&attempt.to_le_bytes());
        Self(Uuid::new_v5(&DERIVED_ID_NAMESPACE, &name))
    }
}

impl MismatchId {
    /// The id of what is claimed of a payout: the same claim has the same id.
    pub fn of(payout: PayoutId, claim: &str) -> Self {
        Self(Uuid::new_v5(&payout.0, claim.as_bytes()))
    }
}

impl RunId {
    /// The id of a cycle's scheduled run: planning twice makes one run.
    pub fn derive(family: FamilyId, cycle: i64) -> Self {
        let mut name = b"run".to_vec();
        name.extend_from_slice(family.0.as_bytes());
        name.extend_from_slice(&cycle.to_le_bytes());
        Self(Uuid::new_v5(&DERIVED_ID_NAMESPACE, &name))
    }
}

/// The pool a calculation runs over; nodes without a pool form one pool of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolScope {
    /// Nodes that belong to no pool.
    Unassigned,
    /// The nodes of one pool.
    Pool(PoolId),
}

impl PoolScope {
    /// The scope of a node's pool membership.
    pub fn of(pool: Option<PoolId>) -> Self {
        pool.map_or(Self::Unassigned, Self::Pool)
    }
    /// The pool, if it is one.
    pub fn pool(self) -> Option<PoolId> {
        match self {
            Self::Unassigned => None,
            Self::Pool(id) => Some(id),
        }
    }
    /// 16 bytes for canonical encodings; the nil UUID stands for unassigned.
    pub fn bytes(self) -> [u8; 16] {
        self.pool().map_or([0; 16], |id| *id.0.as_bytes())
    }
}

impl fmt::Display for PoolScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unassigned => f.write_str("unassigned"),
            Self::Pool(id) => id.fmt(f),
        }
    }
}

impl FromStr for PoolScope {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text == "unassigned" { Ok(Self::Unassigned) } else { text.parse().map(Self::Pool) }
    }
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAnId)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id: NodeId = "0192f0c1-2b3c-7d4e-8f90-123456789abc".parse().unwrap();
        assert_eq!(id.to_string(), "0192f0c1-2b3c-7d4e-8f90-123456789abc");
        assert!("0192f0c12b3c7d4e8f90123456789abc".parse::<NodeId>().is_err());
        assert!("{0192f0c1-2b3c-7d4e-8f90-123456789abc}".parse::<NodeId>().is_err());
    }

    #[test]
    fn a_subject_that_is_no_uuid_has_a_stable_id() {
        assert_eq!(UserId::from_subject("alice"), UserId::from_subject("alice"));
        assert_ne!(UserId::from_subject("alice"), UserId::from_subject("bob"));
    }

    #[test]
    fn a_family_says_when_it_began() {
        // The example of RFC 9562.
        let family: FamilyId = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".parse().unwrap();
        assert_eq!(family.began_at(), Some(TimeMs(1_645_557_742_000)));
        assert_eq!(FamilyId(Uuid::from_u128(1)).began_at(), None);
    }

    #[test]
    fn a_payout_id_never_changes() {
        let id = PayoutId::derive(FamilyId(Uuid::nil()), 1_760_000_400, NodeId(Uuid::max()), 0);
        assert_eq!(id.to_string(), "5afe7dec-154c-5607-90fc-fe6846c63510");
        assert_ne!(
            id,
            PayoutId::derive(FamilyId(Uuid::nil()), 1_760_000_400, NodeId(Uuid::max()), 1)
        );
    }
}
