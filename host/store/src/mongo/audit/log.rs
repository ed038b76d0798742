use async_trait::async_trait;
use lucid_model::{
    audit::{
        AuditEntry,
        chain::{ChainHead, ChainedEntry, Link},
        seal::{Seal, SealStatement},
    },
    id::AuditWriterId,
};
use lucid_ports::{AuditFilter, AuditLog, AuditStore, Page, PageRequest, StoreError};
use mongodb::bson::{Bson, Document, doc};

use super::{
    super::{
        MongoStore,
        fault::Fault,
        fields::{self, Fields, stored},
        page::{collect, page},
    },
    ENTRIES, LINKS, SEALS, chain,
    entry::read_listed,
};

impl MongoStore {
    /// What was written before the call is in a link, and what is in a link is in the list.
    pub(crate) async fn complete_audit(&self) -> Result<(), StoreError> {
        self.drain.sweep().await?;
        Ok(chain::list_waiting(&self.collection(LINKS), &self.collection(ENTRIES)).await?)
    }

    async fn heads(&self) -> Result<Vec<ChainHead>, Fault> {
        let links = self.collection(LINKS);
        let mut heads = Vec::new();
        for writer in links.distinct("writer", doc! {}).await? {
            let last = links.find_one(doc! { "writer": writer }).sort(doc! { "seq": -1 }).await?;
            heads.extend(last.map(|document| chain::read_link(Fields::of(&document))).transpose()?.map(|link| link.head()));
        }
        heads.sort_unstable_by_key(|head| head.writer);
        Ok(heads)
    }

    async fn last_seal(&self) -> Result<Option<Seal>, Fault> {
        let last = self.collection(SEALS).find_one(doc! {}).sort(doc! { "_id": -1 }).await?;
        last.map(|document| read_seal(Fields::of(&document))).transpose()
    }

    async fn add_seal(&self, seal: &Seal) -> Result<bool, Fault> {
        if self.last_seal().await?.map_or(0, |last| last.statement.seq) + 1 != seal.statement.seq {
            return Ok(false);
        }
        let seq = stored(seal.statement.seq)?;
        match self.collection(SEALS).insert_one(seal_document(seal)?).await.map_err(Fault::from) {
            Ok(_) => Ok(true),
            Err(fault) if fault.is_duplicate() || fault.is_ambiguous() => {
                // Somebody else's, or our own, whose answer was lost.
                match self.collection(SEALS).find_one(doc! { "_id": seq }).await? {
                    Some(found) => Ok(read_seal(Fields::of(&found))? == *seal),
                    None => Err(fault),
                }
            }
            Err(fault) => Err(fault),
        }
    }
}

pub(crate) fn seal_document(seal: &Seal) -> Result<Document, Fault> {
    let seq = stored(seal.statement.seq)?;
    Ok(doc! { "_id": seq, "v": 1, "statement": fields::bytes(&seal.statement.bytes()), "signature": fields::bytes(&seal.signature) })
}

pub(crate) fn read_seal(fields: Fields<'_>) -> Result<Seal, Fault> {
    let seq: u64 = fields.number("_id")?;
    let statement = SealStatement::read(&fields.bytes("statement")?).filter(|statement| statement.seq == seq);
    let statement = statement.ok_or_else(|| Fault::Bad(format!("audit seal {seq} is not a seal's statement")))?;
    Ok(Seal { statement, signature: fields.array("signature")? })
}

fn filtered(filter: &AuditFilter) -> Document {
    let texts = [("subject", &filter.subject), ("actor", &filter.actor), ("action", &filter.action)];
    let mut conditions: Document = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Bson::String(text.clone()?)))).collect();
    if let (Some(area), None) = (&filter.area, &filter.action) {
        // Up to the character after the point.
        conditions.insert("action", doc! { "$gte": format!("{area}."), "$lt": format!("{area}/") });
    }
    let bounds = [("$gte", filter.from), ("$lt", filter.to)];
    let bounds: Document = bounds.into_iter().filter_map(|(name, at)| Some((name.to_owned(), Bson::Int64(at?.0)))).collect();
    if !bounds.is_empty() {
        conditions.insert("at", bounds);
    }
    conditions
}

/// A writer's own, after a number.
fn after(writer: AuditWriterId, number: &str, after: u64) -> Result<Document, Fault> {
    Ok(doc! { "writer": fields::id(writer.0), number: { "$gt": stored(after)? } })
}

#[async_trait]
impl AuditLog for MongoStore {
    async fn audit(&self, filter: &AuditFilter, request: PageRequest<()>) -> Result<Page<ChainedEntry>, StoreError> {
        self.complete_audit().await?;
        Ok(page(&self.collection(ENTRIES), filtered(filter), &["at", "_id"], &request, read_listed).await?)
    }
    async fn audit_heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        self.complete_audit().await?;
        Ok(self.heads().await?)
    }
    async fn audit_links(&self, writer: AuditWriterId, after_seq: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
        let links = self.collection(LINKS);
        let found = links.find(after(writer, "seq", after_seq)?).sort(doc! { "seq": 1 }).limit(i64::from(limit));
        let found = found.projection(doc! { "ids": 0, "waiting": 0, "unlisted": 0 }).await.map_err(Fault::from)?;
        Ok(collect(found, chain::read_link).await?)
    }
    async fn audit_entries(&self, writer: AuditWriterId, after_place: u64, limit: u32) -> Result<Vec<ChainedEntry>, StoreError> {
        let entries = self.collection(ENTRIES);
        let found = entries.find(after(writer, "place", after_place)?).sort(doc! { "place": 1 }).limit(i64::from(limit));
        Ok(collect(found.await.map_err(Fault::from)?, read_listed).await?)
    }
    async fn audit_seals(&self, after_seq: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        let after = doc! { "_id": { "$gt": stored(after_seq)? } };
        let seals = self.collection(SEALS);
        let found = seals.find(after).sort(doc! { "_id": 1 }).limit(i64::from(limit));
        Ok(collect(found.await.map_err(Fault::from)?, read_seal).await?)
    }
    async fn last_audit_seal(&self) -> Result<Option<Seal>, StoreError> {
        Ok(self.last_seal().await?)
    }
}

#[async_trait]
impl AuditStore for MongoStore {
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.drain.alone(entry).await
    }
    async fn add_audit_seal(&self, seal: Seal) -> Result<bool, StoreError> {
        Ok(self.add_seal(&seal).await?)
    }
}
