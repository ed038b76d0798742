//! Writes that carry audit entries: one document, done once, and found again if the answer was
//! lost.

use lucid_model::audit::AuditEntry;
use mongodb::bson::{Bson, Document, doc};

use crate::{MongoStore, audit::intents, fault::Fault};

impl MongoStore {
    /// Inserts a document with its entries. `false`: a unique key is somebody else's, nothing
    /// changed.
    pub(crate) async fn insert_audited(
        &self,
        collection: &'static str,
        mut document: Document,
        entries: &[AuditEntry],
    ) -> Result<bool, Fault> {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        document.insert("audit", intents(entries));
        let written = self.collection(collection).insert_one(document).await.map(|_| true);
        self.conclude(collection, &id, entries, written.map_err(Fault::from)).await
    }

    /// Changes the one document that `filter` finds, which names its `_id` and what it has to be.
    /// `false`: it is not so, or a unique key is somebody else's; nothing changed.
    pub(crate) async fn update_audited(
        &self,
        collection: &'static str,
        filter: Document,
        mut update: Document,
        entries: &[AuditEntry],
    ) -> Result<bool, Fault> {
        let id = filter.get("_id").cloned().unwrap_or(Bson::Null);
        update.insert("$push", doc! { "audit": { "$each": intents(entries) } });
        let written = self
            .collection(collection)
            .update_one(filter, update)
            .await
            .map(|result| result.matched_count == 1);
        self.conclude(collection, &id, entries, written.map_err(Fault::from)).await
    }

    /// A write that seems refused, or whose answer was lost, may be done: the driver tries again by
    /// itself. Its first entry, whose id no other write has, tells.
    pub(crate) async fn conclude(
        &self,
        collection: &'static str,
        id: &Bson,
        entries: &[AuditEntry],
        written: Result<bool, Fault>,
    ) -> Result<bool, Fault> {
        let refused = match written {
            Ok(true) => {
                self.drain.left(collection, id, entries);
                return Ok(true);
            }
            Ok(false) => None,
            Err(fault) if fault.is_duplicate() => None,
            Err(fault) if fault.is_ambiguous() => Some(fault),
            Err(fault) => return Err(fault),
        };
        let done = match entries.first() {
            Some(entry) => self.is_told(collection, id, entry.id).await?,
            None => false,
        };
        match refused {
            _ if done => {
                self.drain.left(collection, id, entries);
                Ok(true)
            }
            // It may still be done after this: whoever asks again finds it.
            Some(fault) => Err(fault),
            None => Ok(false),
        }
    }
}
