//! The chain: each writer of the log adds one link for each of its transactions. A link's digest
//! covers the one before and the entries that came with it, so that nothing behind the last link
//! can be changed unnoticed.

use sha2::{Digest as _, Sha256};

use super::AuditEntry;
use crate::{
    canonical::Canonical,
    id::{AuditWriterId, Digest},
    time::TimeMs,
};

/// One link: the entries of one transaction of one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Whose chain.
    pub writer: AuditWriterId,
    /// Place in the chain, from 1.
    pub seq: u64,
    /// Digest of the link before; zeros for the first.
    pub previous: Digest,
    /// Digest of the entries, in their order.
    pub entries: Digest,
    /// How many they are; never none.
    pub count: u64,
    /// How many the chain has up to and with this link.
    pub total: u64,
    /// The latest time of its entries.
    pub at: TimeMs,
}

impl Link {
    /// What the next link refers to.
    pub fn digest(&self) -> Digest {
        let Self { writer, seq, previous, entries, count, total, at } = self;
        let bytes = Canonical::tagged("lucid/v1/audit-link")
            .fixed(writer.0.as_bytes())
            .u64(*seq)
            .fixed(&previous.0)
            .fixed(&entries.0);
        Digest::of(&bytes.u64(*count).u64(*total).i64(at.0).finish())
    }
    /// The end of a chain that ends with this link.
    pub fn head(&self) -> ChainHead {
        ChainHead {
            writer: self.writer,
            seq: self.seq,
            total: self.total,
            link: self.digest(),
            at: self.at,
        }
    }
}

/// The end of a writer's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    pub writer: AuditWriterId,
    /// The last link's place; 0 = none.
    pub seq: u64,
    /// Entries of the whole chain.
    pub total: u64,
    /// The last link's digest; zeros = none.
    pub link: Digest,
    /// The last link's time.
    pub at: TimeMs,
}

impl ChainHead {
    /// A chain without links.
    pub fn empty(writer: AuditWriterId) -> Self {
        Self { writer, seq: 0, total: 0, link: Digest::default(), at: TimeMs::default() }
    }
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainedEntry {
    /// What it says.
    pub entry: AuditEntry,
    /// In whose chain.
    pub writer: AuditWriterId,
    /// Of which link.
    pub link: u64,
    /// Place in the chain, from 1.
    pub place: u64,
}

/// Entries on their way into a link: hashed once, as they come.
#[derive(Clone)]
pub struct LinkDraft {
    hash: Sha256,
    count: u64,
    at: TimeMs,
}

impl Default for LinkDraft {
    fn default() -> Self {
        Self {
            hash: Sha256::new_with_prefix(Canonical::tagged("lucid/v1/audit-entries").finish()),
            count: 0,
            at: TimeMs::default(),
        }
    }
}

impl LinkDraft {
    /// Takes the next entry in.
    pub fn add(&mut self, entry: &AuditEntry) {
        self.hash.update(Canonical::default().bytes(&entry.canonical()).finish());
        self.count += 1;
        self.at = self.at.max(entry.at);
    }
    /// How many entries it has.
    pub fn count(&self) -> u64 {
        self.count
    }
    /// The link of the entries, behind `head`; none if there are none.
    pub fn link(self, head: &ChainHead) -> Option<Link> {
        let (count, at, entries) = (self.count, self.at, Digest(self.hash.finalize().into()));
        let link = Link {
            writer: head.writer,
            seq: head.seq + 1,
            previous: head.link,
            entries,
            count,
            total: head.total + count,
            at,
        };
        (count > 0).then_some(link)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::audit::tests::entry;

    #[test]
    fn a_link_has_the_digest_of_the_committed_vector() {
        let mut draft = LinkDraft::default();
        draft.add(&entry(7));
        draft.add(&AuditEntry { at: TimeMs(900), ..entry(8) });
        let link = draft.link(&ChainHead::empty(AuditWriterId(Uuid::from_u128(1)))).unwrap();
        assert_eq!(
            (link.seq, link.count, link.total, link.at, link.previous),
            (1, 2, 2, TimeMs(1_000), Digest::default())
        );
        assert_eq!(
            link.entries.to_string(),
            "7ebeaa2fdc80eb79c92a8180bd5336de4813fbae75acb242eb18a346c8bf3830"
        );
        assert_eq!(
            link.digest().to_string(),
            "cbdd5bbd194d3ce5c0a9ecfe8d29a4a677254685806a3a842f7af2e2f0c5ffa8"
        );
        assert_eq!(LinkDraft::default().link(&link.head()), None);
    }
}
