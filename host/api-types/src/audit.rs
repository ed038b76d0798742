//! The audit log: entries, the ends of its chains, the newest seal.

use lucid_model::{
    audit::{
        chain::{ChainHead, ChainedEntry},
        seal::{Seal, key_id},
    },
    fleet::node::PublicKey,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// Characters of a filter: more than any actor, action or subject has.
pub const FILTER_LENGTH_MAX: usize = 512;

/// Who did what, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntryBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub entry_id: String,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub at: String,
    /// Who: a subject, a node, `file`, `system`.
    pub actor: String,
    /// What: `node.register`, `policy.activate`, …
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why, and what else a reader needs.
    pub detail: String,
    /// The request it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RequestId>)]
    pub request_id: Option<String>,
    /// SHA-256 of the record before, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Digest>)]
    pub before: Option<String>,
    /// SHA-256 of the record after, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Digest>)]
    pub after: Option<String>,
    /// In whose chain it is.
    #[schema(value_type = schema::Id)]
    pub writer: String,
    /// Number of the link that covers it.
    pub link: u64,
    /// Its place in the chain, from 1.
    pub place: u64,
}

impl From<&ChainedEntry> for AuditEntryBody {
    fn from(chained: &ChainedEntry) -> Self {
        let entry = &chained.entry;
        Self {
            entry_id: entry.id.to_string(),
            at: entry.at.to_string(),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            detail: entry.detail.clone(),
            request_id: entry.request_id.clone(),
            before: entry.before.map(|digest| digest.to_string()),
            after: entry.after.map(|digest| digest.to_string()),
            writer: chained.writer.to_string(),
            link: chained.link,
            place: chained.place,
        }
    }
}

/// The end of a writer's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHeadBody {
    /// Whose.
    #[schema(value_type = schema::Id)]
    pub writer: String,
    /// Number of its last link.
    pub link: u64,
    /// That link's digest, in hex.
    #[schema(value_type = schema::Digest)]
    pub digest: String,
    /// Entries of the whole chain.
    pub entries: u64,
    /// The link's time.
    #[schema(value_type = schema::Timestamp)]
    pub at: String,
}

impl From<&ChainHead> for AuditHeadBody {
    fn from(head: &ChainHead) -> Self {
        Self {
            writer: head.writer.to_string(),
            link: head.seq,
            digest: head.link.to_string(),
            entries: head.total,
            at: head.at.to_string(),
        }
    }
}

/// The ends of all chains, signed. Kept elsewhere, it proves what the log was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditSealBody {
    /// Its number, from 1.
    pub seq: u64,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub at: String,
    /// Digest of the seal before, in hex.
    #[schema(value_type = schema::Digest)]
    pub previous: String,
    /// Its own digest, in hex: what the next seal refers to.
    #[schema(value_type = schema::Digest)]
    pub digest: String,
    /// What it covers.
    pub heads: Vec<AuditHeadBody>,
    /// Short name of the key.
    #[schema(value_type = schema::KeyId)]
    pub kid: String,
    /// The Ed25519 key, in hex.
    #[schema(value_type = schema::KeyHex)]
    pub public_key: String,
    /// The bytes that are signed, in hex.
    #[schema(value_type = schema::Hex)]
    pub statement: String,
    /// The signature, in hex.
    #[schema(value_type = schema::SignatureHex)]
    pub signature: String,
}

impl From<&Seal> for AuditSealBody {
    fn from(seal: &Seal) -> Self {
        let statement = &seal.statement;
        Self {
            seq: statement.seq,
            at: statement.at.to_string(),
            previous: statement.previous.to_string(),
            digest: seal.digest().to_string(),
            heads: statement.heads.iter().map(Into::into).collect(),
            kid: key_id(statement.key),
            public_key: hex::encode(statement.key.0),
            statement: hex::encode(statement.bytes()),
            signature: hex::encode(seal.signature),
        }
    }
}

/// Where the log ends now, and up to where it is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHeadsBody {
    /// The end of every writer's chain.
    pub heads: Vec<AuditHeadBody>,
    /// The newest seal, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seal: Option<AuditSealBody>,
    /// Short name of the key that seals now.
    #[schema(value_type = schema::KeyId)]
    pub kid: String,
    /// That key, in hex.
    #[schema(value_type = schema::KeyHex)]
    pub public_key: String,
}

impl AuditHeadsBody {
    /// Of a log that `key` seals.
    pub fn new(heads: &[ChainHead], last_seal: Option<&Seal>, key: PublicKey) -> Self {
        Self {
            heads: heads.iter().map(Into::into).collect(),
            last_seal: last_seal.map(Into::into),
            kid: key_id(key),
            public_key: hex::encode(key.0),
        }
    }
}
