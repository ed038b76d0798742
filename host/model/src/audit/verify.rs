//! Verification: pure machines that are fed links, entries and seals in order and name the first
//! that is wrong.

use super::{
    chain::{ChainHead, ChainedEntry, Link, LinkDraft},
    seal::{Seal, key_id},
};
use crate::{
    fleet::node::PublicKey,
    id::{AuditWriterId, Digest, FamilyId},
};

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A link is not where it should be.
    #[error("link {seq} of writer {writer} is missing")]
    LinkMissing { writer: AuditWriterId, seq: u64 },
    /// A link does not continue the one before.
    #[error(
        "link {seq} of writer {writer} does not continue the link before it: one of the two was changed"
    )]
    LinkBroken { writer: AuditWriterId, seq: u64 },
    /// An entry is not where it should be.
    #[error("entry {place} of writer {writer} is missing (link {link})")]
    EntryMissing {
        writer: AuditWriterId,
        /// Of which link.
        link: u64,
        place: u64,
    },
    /// An entry says that it came with another link.
    #[error("entry {place} of writer {writer} says link {says}, and belongs to link {link}")]
    EntryMoved {
        writer: AuditWriterId,
        /// Of which link.
        link: u64,
        place: u64,
        /// Where it says it belongs.
        says: u64,
    },
    /// The entries are not the ones the link was made over.
    #[error(
        "link {link} of writer {writer}: entries {first}–{last} are not those it was made over: changed, added, removed or in another order"
    )]
    EntriesChanged {
        writer: AuditWriterId,
        /// Which link.
        link: u64,
        /// Its first entry's place.
        first: u64,
        /// Its last entry's place.
        last: u64,
    },
    /// An entry that no link covers.
    #[error("entry {place} of writer {writer} is covered by no link")]
    EntryUnlinked { writer: AuditWriterId, place: u64 },
    /// The log has more entries than its chains.
    #[error("the log has {found} entries, and its chains have {chained}")]
    StrayEntries {
        /// In the log.
        found: u64,
        /// In all chains.
        chained: u64,
    },
    /// A seal is not where it should be.
    #[error("seal {seq} is missing")]
    SealMissing { seq: u64 },
    /// A seal does not continue the one before, or is another store's.
    #[error("seal {seq} does not continue the seal before it: one of the two was changed")]
    SealBroken { seq: u64 },
    /// A seal's signature is not its key's.
    #[error("seal {seq} is not signed by its key {}", key_id(*.key))]
    SealForged {
        seq: u64,
        /// The key it names.
        key: PublicKey,
    },
    /// A seal is signed by a key that is not the service's.
    #[error("seal {seq} is signed by key {}, which is not the service's; if it was once, name it too: {}", key_id(*.key), hex::encode(.key.0))]
    SealKeyUnknown {
        seq: u64,
        /// The key it names.
        key: PublicKey,
    },
    /// A seal is not the one that was kept elsewhere.
    #[error("seal {seq} is not the one that was kept: the log, or its end, was made anew")]
    SealDiffers { seq: u64 },
    /// What was sealed is not there any more.
    #[error(
        "seal {seal} names link {link} of writer {writer}, which is not there: links were cut off"
    )]
    SealedLinkMissing {
        /// Which seal.
        seal: u64,
        /// Whose chain.
        writer: AuditWriterId,
        /// Which link.
        link: u64,
    },
    /// What was sealed was another chain.
    #[error(
        "seal {seal} names another link {link} of writer {writer} than the log has: the log was replaced"
    )]
    SealedLinkDiffers {
        /// Which seal.
        seal: u64,
        /// Whose chain.
        writer: AuditWriterId,
        /// Which link.
        link: u64,
    },
}

/// Walks one writer's chain: a link, then its entries, then the next link.
pub struct ChainVerifier {
    head: ChainHead,
    open: Option<(Link, LinkDraft)>,
}

impl ChainVerifier {
    /// At the start of a writer's chain.
    pub fn new(writer: AuditWriterId) -> Self {
        Self { head: ChainHead::empty(writer), open: None }
    }
    /// The last link that was right.
    pub fn head(&self) -> ChainHead {
        self.head
    }
    /// Whether entries are missing before the next link.
    pub fn wants_entry(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next link.
    ///
    /// # Errors
    /// [`Flaw`] if it does not continue the chain.
    pub fn link(&mut self, link: &Link) -> Result<(), Flaw> {
        let (writer, seq) = (self.head.writer, self.head.seq + 1);
        if self.open.is_some() {
            return Err(self.entry_missing());
        }
        if link.seq != seq || link.writer != writer {
            return Err(Flaw::LinkMissing { writer, seq });
        }
        let continues = link.previous == self.head.link
            && link.count > 0
            && self.head.total.checked_add(link.count) == Some(link.total);
        if !continues {
            return Err(Flaw::LinkBroken { writer, seq });
        }
        self.open = Some((*link, LinkDraft::default()));
        Ok(())
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`Flaw`] if it is not the one whose place is next, or the link's entries are now complete
    /// and are others.
    pub fn entry(&mut self, entry: &ChainedEntry) -> Result<(), Flaw> {
        let writer = self.head.writer;
        let Some((link, mut draft)) = self.open.take() else {
            return Err(Flaw::EntryUnlinked { writer, place: entry.place });
        };
        let place = self.head.total + draft.count() + 1;
        if entry.place != place || entry.writer != writer {
            return Err(Flaw::EntryMissing { writer, link: link.seq, place });
        }
        if entry.link != link.seq {
            return Err(Flaw::EntryMoved { writer, link: link.seq, place, says: entry.link });
        }
        draft.add(&entry.entry);
        if draft.count() < link.count {
            self.open = Some((link, draft));
            return Ok(());
        }
        if draft.link(&self.head) != Some(link) {
            return Err(Flaw::EntriesChanged {
                writer,
                link: link.seq,
                first: self.head.total + 1,
                last: link.total,
            });
        }
        self.head = link.head();
        Ok(())
    }

    /// The entry that should have come, if one is missing.
    pub fn entry_missing(&self) -> Flaw {
        let count = self.open.as_ref().map_or(0, |(_, draft)| draft.count());
        Flaw::EntryMissing {
            writer: self.head.writer,
            link: self.head.seq + 1,
            place: self.head.total + count + 1,
        }
    }
}

/// What is known from elsewhere, so that a log cannot vouch for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Keys that count. Without one any key will do: then seals prove only that they fit together.
    pub keys: Vec<PublicKey>,
    /// Number and digest of a seal that was kept.
    pub seal: Option<(u64, Digest)>,
}

/// Walks the seals. What they name is looked up by the caller and handed to [`SealVerifier::head`].
pub struct SealVerifier<'t> {
    trust: &'t Trust,
    last: Option<(FamilyId, u64, Digest)>,
}

impl<'t> SealVerifier<'t> {
    /// Before the first seal.
    pub fn new(trust: &'t Trust) -> Self {
        Self { trust, last: None }
    }

    /// Takes the next seal.
    ///
    /// # Errors
    /// [`Flaw`] if it does not continue the seals, or its signature does not count.
    pub fn seal(&mut self, seal: &Seal) -> Result<(), Flaw> {
        let statement = &seal.statement;
        let (last_seq, previous) =
            self.last.map_or((0, Digest::default()), |(_, seq, digest)| (seq, digest));
        let seq = last_seq + 1;
        if statement.seq != seq {
            return Err(Flaw::SealMissing { seq });
        }
        if !seal.is_signed() {
            return Err(Flaw::SealForged { seq, key: statement.key });
        }
        if !self.trust.keys.is_empty() && !self.trust.keys.contains(&statement.key) {
            return Err(Flaw::SealKeyUnknown { seq, key: statement.key });
        }
        if statement.previous != previous
            || self.last.is_some_and(|(family, ..)| family != statement.family)
        {
            return Err(Flaw::SealBroken { seq });
        }
        let digest = seal.digest();
        if self.trust.seal.is_some_and(|(kept, known)| kept == seq && known != digest) {
            return Err(Flaw::SealDiffers { seq });
        }
        self.last = Some((statement.family, seq, digest));
        Ok(())
    }

    /// After the last seal.
    ///
    /// # Errors
    /// [`Flaw`] if the seal that was kept did not come by.
    pub fn finish(&self) -> Result<(), Flaw> {
        let seq = self.last.map_or(0, |(_, seq, _)| seq) + 1;
        if self.trust.seal.is_some_and(|(kept, _)| kept >= seq) {
            Err(Flaw::SealMissing { seq })
        } else {
            Ok(())
        }
    }

    /// Compares a head that a seal names with the link that the log has there.
    ///
    /// # Errors
    /// [`Flaw`] if there is none, or another one.
    pub fn head(seal: &Seal, named: &ChainHead, found: Option<&Link>) -> Result<(), Flaw> {
        let (seal, writer, link) = (seal.statement.seq, named.writer, named.seq);
        match found {
            _ if named.seq == 0 => Ok(()),
            None => Err(Flaw::SealedLinkMissing { seal, writer, link }),
            Some(found) if found.head() != *named => {
                Err(Flaw::SealedLinkDiffers { seal, writer, link })
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
