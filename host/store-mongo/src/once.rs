//! Writes of one document that are done once, whatever becomes of their answers.
//!
//! A server that is lost after it wrote leaves nobody who knows. The driver sends the write once
//! more: a server that remembers it gives the first answer, one that does not finds our own
//! document in the way. So every write carries a mark of its own, `write`, and one that is refused
//! or unanswered reads back by it before it says whose document that is. It is never sent a third
//! time: what cannot be told is `Unavailable`, and the caller comes again with the same id.

use lucid_model::audit::AuditEntry;
use mongodb::{
    Collection,
    bson::{Bson, Document, doc, oid::ObjectId},
    error::Error,
};

use crate::{
    MongoStore,
    audit::intents,
    fault::{DUPLICATE_KEY, Fault},
    fields::Fields,
};

/// Inserts a document. `false`: one of its unique keys is taken by another write.
pub(crate) async fn insert(
    collection: &Collection<Document>,
    mut document: Document,
) -> Result<bool, Fault> {
    let write = ObjectId::new();
    document.insert("write", write);
    let Err(fault) = collection.insert_one(&document).await.map_err(Fault::from) else {
        return Ok(true);
    };
    if !fault.is_duplicate() && !fault.is_ambiguous() {
        return Err(fault);
    }
    let id = document.get("_id").cloned().unwrap_or(Bson::Null);
    if is_there(collection, doc! { "_id": id, "write": write }).await? {
        return Ok(true);
    }
    if fault.is_duplicate() { Ok(false) } else { Err(fault) }
}

/// Sets fields of the document that has `id` if its version is still the one before `version` and
/// it is as `condition` says, and adds what is to be audited. `false`: it is not so, or there is
/// none.
pub(crate) async fn change(
    collection: &Collection<Document>,
    id: Bson,
    version: i64,
    condition: Document,
    mut fields: Document,
    audit: &[AuditEntry],
) -> Result<bool, Fault> {
    let write = ObjectId::new();
    fields.insert("version", version);
    fields.insert("write", write);
    let mut update = doc! { "$set": fields };
    if !audit.is_empty() {
        update.insert("$push", doc! { "audit": { "$each": intents(audit) } });
    }
    let mut before = doc! { "_id": id.clone(), "version": version.saturating_sub(1) };
    before.extend(condition);
    let lost = match collection.update_one(before, update).await.map_err(Fault::from) {
        Ok(result) if result.matched_count == 1 => return Ok(true),
        Ok(_) => None,
        Err(fault) if fault.is_ambiguous() => Some(fault),
        Err(fault) => return Err(fault),
    };
    match (
        is_there(collection, doc! { "_id": id, "version": version, "write": write }).await?,
        lost,
    ) {
        (true, _) => Ok(true),
        (false, None) => Ok(false),
        (false, Some(fault)) => Err(fault),
    }
}

async fn is_there(collection: &Collection<Document>, filter: Document) -> Result<bool, Fault> {
    Ok(collection.find_one(filter).projection(doc! { "_id": 1 }).await?.is_some())
}

/// Statements of one update command.
const STATEMENTS_MAX: usize = 500;

/// One document's part of an update command.
pub(crate) struct Statement {
    pub(crate) filter: Document,
    pub(crate) update: Document,
    pub(crate) upsert: bool,
}

/// Carries out updates that may be repeated, each of one document, many with one command. An upsert
/// that finds its document there but not matched by its filter changes nothing.
pub(crate) async fn update_each(
    store: &MongoStore,
    collection: &str,
    statements: Vec<Statement>,
) -> Result<(), Fault> {
    for some in statements.chunks(STATEMENTS_MAX) {
        let updates: Vec<_> = some
            .iter()
            .map(|s| doc! { "q": s.filter.clone(), "u": s.update.clone(), "upsert": s.upsert })
            .collect();
        let concern = doc! { "w": "majority", "j": true };
        let command = doc! { "update": collection, "updates": updates, "ordered": false, "writeConcern": concern };
        let answer = store.database.run_command(command).await?;
        let fields = Fields::of(&answer);
        for refused in fields.documents("writeErrors")? {
            if refused.number::<i32>("code")? != DUPLICATE_KEY {
                return Err(Error::custom(format!(
                    "an update of {collection} was refused: {}",
                    refused.text("errmsg")?
                ))
                .into());
            }
        }
        if fields.get("writeConcernError").is_some() {
            return Err(Error::custom(format!(
                "an update of {collection} is not on a majority's disks"
            ))
            .into());
        }
    }
    Ok(())
}

/// Inserts documents whose ids say what they are: those that are there already are the same.
/// `false`: some were there.
pub(crate) async fn insert_each(
    collection: &Collection<Document>,
    documents: &[Document],
) -> Result<bool, Fault> {
    if documents.is_empty() {
        return Ok(true);
    }
    match collection.insert_many(documents).ordered(false).await.map_err(Fault::from) {
        Err(fault) if fault.is_duplicate() => Ok(false),
        inserted => inserted.map(|_| true),
    }
}
