//! Seals: the ends of chains, signed by the service. What a seal names cannot be cut off or
//! replaced unnoticed, and each seal has the digest of the one before: a chain that did not move
//! need not be named again.

use super::chain::ChainHead;
use crate::{
    canonical::{Canonical, CanonicalReader},
    fleet::{node::PublicKey, statement},
    id::{AuditWriterId, Digest, FamilyId},
    policies::KeyId,
    time::TimeMs,
};

const TAG: &str = "lucid/v1/audit-seal";

/// What a seal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealStatement {
    /// Of which store and its copies.
    pub family: FamilyId,
    /// Place among the seals, from 1.
    pub seq: u64,
    /// Digest of the seal before; zeros for the first.
    pub previous: Digest,
    pub at: TimeMs,
    /// Whose signature it has.
    pub key: PublicKey,
    /// The ends of chains that moved since the seal before, and perhaps of others, by writer.
    pub heads: Vec<ChainHead>,
}

impl SealStatement {
    /// The bytes that are signed and kept.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { family, seq, previous, at, key, heads } = self;
        let start = Canonical::tagged(TAG)
            .fixed(family.0.as_bytes())
            .u64(*seq)
            .fixed(&previous.0)
            .i64(at.0)
            .fixed(&key.0);
        let head = |bytes: Canonical, head: &ChainHead| {
            bytes
                .fixed(head.writer.0.as_bytes())
                .u64(head.seq)
                .u64(head.total)
                .fixed(&head.link.0)
                .i64(head.at.0)
        };
        heads.iter().fold(start.u64(heads.len() as u64), head).finish()
    }
    /// The statement of its bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = CanonicalReader(bytes.strip_prefix(TAG.as_bytes())?.strip_prefix(&[0])?);
        let (family, seq) = (FamilyId(uuid::Uuid::from_bytes(reader.fixed()?)), reader.u64()?);
        let (previous, at, key) =
            (Digest(reader.fixed()?), TimeMs(reader.i64()?), PublicKey(reader.fixed()?));
        let mut heads = Vec::new();
        for _ in 0..reader.u64()? {
            let writer = AuditWriterId(uuid::Uuid::from_bytes(reader.fixed()?));
            heads.push(ChainHead {
                writer,
                seq: reader.u64()?,
                total: reader.u64()?,
                link: Digest(reader.fixed()?),
                at: TimeMs(reader.i64()?),
            });
        }
        reader.0.is_empty().then_some(Self { family, seq, previous, at, key, heads })
    }
}

/// A signed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// What it says.
    pub statement: SealStatement,
    /// Over [`SealStatement::bytes`].
    pub signature: [u8; 64],
}

impl Seal {
    /// What the next seal refers to.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.statement.bytes())
    }
    /// Whether its key signed it.
    pub fn is_signed(&self) -> bool {
        statement::verify(self.statement.key, &self.statement.bytes(), &self.signature)
    }
}

/// The short name of a key: the first eight bytes of its digest, in hex.
pub fn key_id(key: PublicKey) -> String {
    KeyId::of(key).to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use uuid::Uuid;

    use super::*;

    pub(crate) fn sealed(key: u8, seq: u64, previous: Digest, heads: Vec<ChainHead>) -> Seal {
        let signing = SigningKey::from_bytes(&[key; 32]);
        let family = FamilyId(Uuid::from_u128(3));
        let statement = SealStatement {
            family,
            seq,
            previous,
            at: TimeMs(5_000),
            key: PublicKey(signing.verifying_key().to_bytes()),
            heads,
        };
        Seal { signature: signing.sign(&statement.bytes()).to_bytes(), statement }
    }

    #[test]
    fn a_seal_is_read_as_it_was_written_and_has_the_digest_of_the_committed_vector() {
        let head = ChainHead {
            writer: AuditWriterId(Uuid::from_u128(1)),
            seq: 2,
            total: 9,
            link: Digest::of(b"link"),
            at: TimeMs(4_000),
        };
        let seal = sealed(7, 1, Digest::default(), vec![head]);
        assert!(seal.is_signed());
        assert_eq!(
            seal.digest().to_string(),
            "5334cc5192ff89ab74f34f7cec56c77857ad56a05b17ca74a48c93871d2e0476"
        );
        let bytes = seal.statement.bytes();
        assert_eq!(SealStatement::read(&bytes), Some(seal.statement.clone()));
        assert_eq!(SealStatement::read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(SealStatement::read(&[bytes, vec![0]].concat()), None);
        assert_eq!(key_id(seal.statement.key), "fe812c12f3ab4ce6");
        let forged = Seal {
            statement: SealStatement { at: TimeMs(5_001), ..seal.statement.clone() },
            ..seal
        };
        assert!(!forged.is_signed());
    }
}
