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
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};

use super::{ENTRIES, LINKS, SEALS, chain, entry::read_listed};
use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields, stored},
    page::{collect, page},
};

impl MongoStore {
    /// What was written before the call is in a link, and what is in a link is in the list.
    pub(crate) async fn complete_audit(&self) -> Result<(), StoreError> {
        self.drain.sweep().await?;
        Ok(chain::list_waiting(&self.collection(LINKS), &self.collection(ENTRIES)).await?)
    }

    async fn last_seal(&self) -> Result<Option<Seal>, Fault> {
        last_seal(&self.collection(SEALS)).await
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
    Ok(
        doc! { "_id": seq, "v": 1, "statement": fields::bytes(&seal.statement.bytes()), "signature": fields::bytes(&seal.signature) },
    )
}

pub(crate) fn read_seal(fields: Fields<'_>) -> Result<Seal, Fault> {
    let seq: u64 = fields.number("_id")?;
    let statement =
        SealStatement::read(&fields.bytes("statement")?).filter(|statement| statement.seq == seq);
    let statement = statement
        .ok_or_else(|| Fault::Bad(format!("audit seal {seq} is not a seal's statement")))?;
    Ok(Seal { statement, signature: fields.array("signature")? })
}

fn filtered(filter: &AuditFilter) -> Document {
    let texts =
        [("subject", &filter.subject), ("actor", &filter.actor), ("action", &filter.action)];
    let mut conditions: Document = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), Bson::String(text.clone()?))))
        .collect();
    if let (Some(area), None) = (&filter.area, &filter.action) {
        // Up to the character after the point.
        conditions.insert("action", doc! { "$gte": format!("{area}."), "$lt": format!("{area}/") });
    }
    let bounds = [("$gte", filter.from), ("$lt", filter.to)];
    let bounds: Document = bounds
        .into_iter()
        .filter_map(|(name, at)| Some((name.to_owned(), Bson::Int64(at?.0))))
        .collect();
    if !bounds.is_empty() {
        conditions.insert("at", bounds);
    }
    conditions
}

/// The ends of all chains that have links.
pub(super) async fn heads(links: &Collection<Document>) -> Result<Vec<ChainHead>, Fault> {
    let mut heads = Vec::new();
    for writer in links.distinct("writer", doc! {}).await? {
        let last = links.find_one(doc! { "writer": writer }).sort(doc! { "seq": -1 }).await?;
        heads.extend(
            last.map(|document| chain::read_link(Fields::of(&document)))
                .transpose()?
                .map(|link| link.head()),
        );
    }
    heads.sort_unstable_by_key(|head| head.writer);
    Ok(heads)
}

pub(super) async fn last_seal(seals: &Collection<Document>) -> Result<Option<Seal>, Fault> {
    let last = seals.find_one(doc! {}).sort(doc! { "_id": -1 }).await?;
    last.map(|document| read_seal(Fields::of(&document))).transpose()
}

pub(super) async fn links_after(
    links: &Collection<Document>,
    writer: AuditWriterId,
    after_seq: u64,
    limit: u32,
) -> Result<Vec<Link>, Fault> {
    let found = links
        .find(after(writer, "seq", after_seq)?)
        .sort(doc! { "seq": 1 })
        .limit(i64::from(limit));
    collect(
        found.projection(doc! { "ids": 0, "waiting": 0, "unlisted": 0 }).await?,
        chain::read_link,
    )
    .await
}

pub(super) async fn entries_after(
    entries: &Collection<Document>,
    writer: AuditWriterId,
    after_place: u64,
    limit: u32,
) -> Result<Vec<ChainedEntry>, Fault> {
    let found = entries
        .find(after(writer, "place", after_place)?)
        .sort(doc! { "place": 1 })
        .limit(i64::from(limit));
    collect(found.await?, read_listed).await
}

pub(super) async fn seals_after(
    seals: &Collection<Document>,
    after_seq: u64,
    limit: u32,
) -> Result<Vec<Seal>, Fault> {
    let found = seals
        .find(doc! { "_id": { "$gt": stored(after_seq)? } })
        .sort(doc! { "_id": 1 })
        .limit(i64::from(limit));
    collect(found.await?, read_seal).await
}

pub(super) async fn listed(
    entries: &Collection<Document>,
    filter: &AuditFilter,
    request: &PageRequest<()>,
) -> Result<Page<ChainedEntry>, Fault> {
    page(entries, filtered(filter), &["at", "_id"], request, read_listed).await
}

/// A writer's own, after a number.
fn after(writer: AuditWriterId, number: &str, after: u64) -> Result<Document, Fault> {
    Ok(doc! { "writer": fields::id(writer.0), number: { "$gt": stored(after)? } })
}

#[async_trait]
impl AuditLog for MongoStore {
    async fn audit(
        &self,
        filter: &AuditFilter,
        request: PageRequest<()>,
    ) -> Result<Page<ChainedEntry>, StoreError> {
        self.complete_audit().await?;
        Ok(listed(&self.collection(ENTRIES), filter, &request).await?)
    }
    async fn audit_heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        self.complete_audit().await?;
        Ok(heads(&self.collection(LINKS)).await?)
    }
    async fn audit_links(
        &self,
        writer: AuditWriterId,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        Ok(links_after(&self.collection(LINKS), writer, after_seq, limit).await?)
    }
    async fn audit_entries(
        &self,
        writer: AuditWriterId,
        after_place: u64,
        limit: u32,
    ) -> Result<Vec<ChainedEntry>, StoreError> {
        Ok(entries_after(&self.collection(ENTRIES), writer, after_place, limit).await?)
    }
    async fn audit_seals(&self, after_seq: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        Ok(seals_after(&self.collection(SEALS), after_seq, limit).await?)
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
