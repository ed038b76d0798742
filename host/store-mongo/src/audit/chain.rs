use std::collections::HashSet;

use lucid_model::{
    audit::{
        AuditEntry,
        chain::{ChainHead, ChainedEntry, Link, LinkDraft},
    },
    id::{AuditId, AuditWriterId},
};
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};
use uuid::Uuid;

use super::{
    entry::{intent, listed, read},
    unlisted,
};
use crate::{
    fault::Fault,
    fields::{self, Fields, stored},
    page::collect,
};

/// Tries to add a link. Each that fails has found out why: somebody linked an entry, or our own
/// answer was lost.
const LINK_TRIES_MAX: u32 = 16;

pub(crate) fn read_link(fields: Fields<'_>) -> Result<Link, Fault> {
    Ok(Link {
        writer: fields.id("writer", AuditWriterId)?,
        seq: fields.number("seq")?,
        previous: fields.digest("previous")?,
        entries: fields.digest("entries")?,
        count: fields.number("count")?,
        total: fields.number("total")?,
        at: fields.time("at")?,
    })
}

fn link_id(link: &Link) -> Result<Bson, Fault> {
    Ok(Bson::Document(doc! { "writer": fields::id(link.writer.0), "seq": stored(link.seq)? }))
}

/// A link without the entries that wait: `ids` says which it has.
pub(crate) fn listed_link(link: &Link, ids: &[Bson]) -> Result<Document, Fault> {
    Ok(doc! {
        "_id": link_id(link)?, "v": 1, "writer": fields::id(link.writer.0), "seq": stored(link.seq)?, "previous": fields::digest(link.previous),
        "entries": fields::digest(link.entries), "count": stored(link.count)?, "total": stored(link.total)?, "at": link.at.0,
        "ids": ids,
    })
}

/// A link with its entries, which are one write.
fn link_document(link: &Link, entries: &[AuditEntry]) -> Result<Document, Fault> {
    let ids: Vec<_> = entries.iter().map(|entry| fields::id(entry.id.0)).collect();
    let mut document = listed_link(link, &ids)?;
    document.extend(
        doc! { "waiting": entries.iter().map(intent).collect::<Vec<_>>(), "unlisted": true },
    );
    Ok(document)
}

/// The chain of this process: nobody else adds to it.
pub(crate) struct Chain {
    writer: AuditWriterId,
    links: Collection<Document>,
    entries: Collection<Document>,
    /// The end, if it is known: not after a write that failed.
    head: Option<ChainHead>,
}

impl Chain {
    /// A chain of its own for this process, without links as yet.
    pub(crate) fn new(links: Collection<Document>, entries: Collection<Document>) -> Self {
        let writer = AuditWriterId(Uuid::new_v4());
        Self { writer, links, entries, head: Some(ChainHead::empty(writer)) }
    }

    async fn head(&mut self) -> Result<ChainHead, Fault> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        let last = self
            .links
            .find_one(doc! { "writer": fields::id(self.writer.0) })
            .sort(doc! { "seq": -1 })
            .await?;
        let head = last
            .map(|document| read_link(Fields::of(&document)))
            .transpose()?
            .map_or(ChainHead::empty(self.writer), |link| link.head());
        self.head = Some(head);
        Ok(head)
    }

    /// Makes one link over those of the entries that no link has, and puts them into the list.
    pub(crate) async fn add(&mut self, mut entries: Vec<AuditEntry>) -> Result<(), Fault> {
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(entry.id));
        for _ in 0..LINK_TRIES_MAX {
            let head = self.head().await?;
            let mut draft = LinkDraft::default();
            entries.iter().for_each(|entry| draft.add(entry));
            let Some(link) = draft.link(&head) else { return Ok(()) };
            match self.links.insert_one(link_document(&link, &entries)?).await.map_err(Fault::from)
            {
                Ok(_) => {
                    self.head = Some(link.head());
                    // The link is what counts: if this fails, the next reader of the list does it.
                    if let Err(fault) = list(&self.links, &self.entries, &link, &entries).await {
                        tracing::warn!(error = %fault, "audit entries wait for the next reader of the log");
                    }
                    return Ok(());
                }
                // The entries may be in another's link, or in this one: its answer was lost.
                Err(fault) if fault.is_duplicate() || fault.is_ambiguous() => {
                    self.head = None;
                    let linked = self.linked(&entries).await?;
                    entries.retain(|entry| !linked.contains(&entry.id));
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Contended(format!("no audit link could be made in {LINK_TRIES_MAX} tries")))
    }

    async fn linked(&self, entries: &[AuditEntry]) -> Result<HashSet<AuditId>, Fault> {
        let ids: Vec<_> = entries.iter().map(|entry| fields::id(entry.id.0)).collect();
        let links =
            self.links.find(doc! { "ids": { "$in": ids } }).projection(doc! { "ids": 1 }).await?;
        let found = collect(links, |fields| fields.ids("ids", AuditId)).await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// Puts a link's entries into the list; what is there already is the same.
async fn list(
    links: &Collection<Document>,
    list: &Collection<Document>,
    link: &Link,
    entries: &[AuditEntry],
) -> Result<(), Fault> {
    let documents =
        placed(link, entries).map(|entry| listed(&entry)).collect::<Result<Vec<_>, _>>()?;
    match list.insert_many(documents).ordered(false).await.map_err(Fault::from) {
        Ok(_) => {}
        Err(fault) if fault.is_duplicate() => {}
        Err(fault) => return Err(fault),
    }
    links
        .update_one(
            doc! { "_id": link_id(link)? },
            doc! { "$unset": { "waiting": "", "unlisted": "" } },
        )
        .await?;
    Ok(())
}

/// Links whose entries are not in the list yet, with those entries.
pub(super) async fn waiting(
    links: &Collection<Document>,
) -> Result<Vec<(Link, Vec<AuditEntry>)>, Fault> {
    let read = |fields: Fields<'_>| {
        let entries = fields
            .documents("waiting")?
            .into_iter()
            .map(|entry| read(entry, "id"))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((read_link(fields)?, entries))
    };
    collect(links.find(unlisted()).await?, read).await
}

/// Completes the list: what a process left between its link and the list.
pub(super) async fn list_waiting(
    links: &Collection<Document>,
    entries: &Collection<Document>,
) -> Result<(), Fault> {
    for (link, waiting) in waiting(links).await? {
        list(links, entries, &link, &waiting).await?;
    }
    Ok(())
}

/// A link's entries with their places.
pub(super) fn placed(link: &Link, entries: &[AuditEntry]) -> impl Iterator<Item = ChainedEntry> {
    let first = link.total.saturating_sub(link.count).saturating_add(1);
    (first..).zip(entries).map(|(place, entry)| ChainedEntry {
        entry: entry.clone(),
        writer: link.writer,
        link: link.seq,
        place,
    })
}
