//! The audit log: entries travel inside the document whose change they tell of (field `audit`), and
//! are drained into the chain of whichever process comes by first.
//!
//! Nothing is lost and nothing is told twice: an entry is in its document until a link has it, and
//! a link is one document with the ids of its entries, unique over all links. The lists are made
//! from the links.

pub(crate) mod chain;
mod drain;
pub(crate) mod entry;
pub(crate) mod log;
mod reader;
pub(crate) mod requests;

use lucid_model::{audit::AuditEntry, id::AuditId};
use mongodb::bson::{Bson, Document, doc};

pub(crate) use self::{
    drain::Drain,
    entry::{intent, read as read_intent},
    reader::AuditReader,
};
use crate::{
    MongoStore,
    fault::Fault,
    fields,
    index::{Index, Partial},
};

/// Links; those whose entries are not in the list yet carry them (field `waiting`).
pub(crate) const LINKS: &str = "audit_links";
/// Entries with their places: what lists and verification read.
pub(crate) const ENTRIES: &str = "audit";
/// Seals.
pub(crate) const SEALS: &str = "audit_seals";
/// Collections whose documents carry entries.
pub(crate) const AUDITED: [&str; 13] = [
    "nodes",
    "pools",
    "enrolments",
    "policy_versions",
    "activations",
    "ledger",
    "runs",
    "payouts",
    "webhooks",
    "shadows",
    "adjustments",
    "proposals",
    "payments_switch",
];

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: LINKS,
        name: "chain",
        keys: &[("writer", 1), ("seq", 1)],
        unique: true,
        partial: None,
        why: "one link a place of a writer's chain; the end of each chain",
    },
    Index {
        collection: LINKS,
        name: "entries",
        keys: &[("ids", 1)],
        unique: true,
        partial: None,
        why: "one link an entry, whoever drains it",
    },
    Index {
        collection: LINKS,
        name: "unlisted",
        keys: &[("unlisted", 1)],
        unique: false,
        partial: Some(Partial::Where(unlisted)),
        why: "links whose entries are not in the list yet",
    },
    Index {
        collection: ENTRIES,
        name: "place",
        keys: &[("writer", 1), ("place", 1)],
        unique: true,
        partial: None,
        why: "one entry a place; a writer's entries in order",
    },
    Index {
        collection: ENTRIES,
        name: "at",
        keys: &[("at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "the log by time",
    },
    Index {
        collection: ENTRIES,
        name: "actor",
        keys: &[("actor", 1), ("at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "the log of an actor",
    },
    Index {
        collection: ENTRIES,
        name: "action",
        keys: &[("action", 1), ("at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "the log of an action",
    },
    Index {
        collection: ENTRIES,
        name: "subject",
        keys: &[("subject", 1), ("at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "the log of a subject",
    },
];

/// Links whose entries are not in the list yet.
pub(crate) fn unlisted() -> Document {
    doc! { "unlisted": true }
}

/// The index of what a collection's documents carry.
pub(crate) fn carried_by(collection: &'static str) -> Index {
    Index {
        collection,
        name: "undrained",
        keys: &[("audit.id", 1)],
        unique: false,
        partial: Some(Partial::Where(undrained)),
        why: "audit entries that no link has yet",
    }
}

/// Documents with entries that no link may have yet.
pub(crate) fn undrained() -> Document {
    doc! { "audit.id": { "$exists": true } }
}

/// What goes into the field `audit` of a new document.
pub(crate) fn intents(entries: &[AuditEntry]) -> Bson {
    Bson::Array(entries.iter().map(|entry| Bson::Document(intent(entry))).collect())
}

impl MongoStore {
    /// Whether the write that this entry tells of was done, though its answer was lost or says
    /// otherwise: the entry is in the document, or a link has it. In this order, because draining
    /// goes the same way.
    pub(crate) async fn is_told(
        &self,
        collection: &'static str,
        document: &Bson,
        entry: AuditId,
    ) -> Result<bool, Fault> {
        let entry = fields::id(entry.0);
        let inside = doc! { "_id": document.clone(), "audit.id": entry.clone() };
        if self.collection(collection).find_one(inside).await?.is_some() {
            return Ok(true);
        }
        Ok(self.collection(LINKS).find_one(doc! { "ids": entry }).await?.is_some())
    }
}
