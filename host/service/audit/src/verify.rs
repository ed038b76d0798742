use std::collections::{BTreeMap, VecDeque};

use lucid_model::{
    audit::{
        chain::{ChainHead, ChainedEntry},
        seal::Seal,
        verify::{ChainVerifier, Flaw, SealVerifier, Trust},
    },
    fleet::node::PublicKey,
    id::AuditWriterId,
    time::TimeMs,
};
use lucid_ports::{AuditFilter, AuditLog, Order, PageRequest, StoreError};

/// Links, entries or seals read at once.
const PAGE: u32 = 1_000;

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditProgress {
    /// Links that are right.
    pub links: u64,
    /// Entries that are right.
    pub entries: u64,
    /// Entries in all.
    pub entries_total: u64,
    /// Seals that are right.
    pub seals: u64,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerified {
    /// How far it came.
    pub progress: AuditProgress,
    /// The ends of all chains, as they were at the start.
    pub heads: Vec<ChainHead>,
    /// Number and time of the last seal that is right.
    pub last_seal: Option<(u64, TimeMs)>,
    /// Entries that it does not cover.
    pub entries_unsealed: u64,
    /// Keys that signed seals.
    pub keys: Vec<PublicKey>,
    /// The first thing that is wrong; none = intact.
    pub flaw: Option<Flaw>,
}

/// Why a verification ends.
enum End {
    Flaw(Flaw),
    Store(StoreError),
}

impl From<Flaw> for End {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Walks the whole log as it is now: every entry, link and seal. What is added meanwhile is left to
/// the next time. `told` hears of every page.
///
/// # Errors
/// [`StoreError`] if the log cannot be read.
pub async fn verify_audit(
    log: &dyn AuditLog,
    trust: &Trust,
    told: &mut (dyn FnMut(AuditProgress) + Send),
) -> Result<AuditVerified, StoreError> {
    // Seals first, then heads, then the count: each is at least as new as what it has to cover.
    let seals = log.last_audit_seal().await?.map_or(0, |seal| seal.statement.seq);
    let heads = log.audit_heads().await?;
    let progress = AuditProgress {
        entries_total: heads.iter().map(|head| head.total).sum(),
        ..AuditProgress::default()
    };
    let found = AuditVerified {
        progress,
        heads,
        last_seal: None,
        entries_unsealed: progress.entries_total,
        keys: Vec::new(),
        flaw: None,
    };
    let mut walk = Walk { log, told, found, sealed: BTreeMap::new() };
    match walk.all(trust, seals).await {
        Ok(()) => {}
        Err(End::Flaw(flaw)) => walk.found.flaw = Some(flaw),
        Err(End::Store(error)) => return Err(error),
    }
    Ok(walk.found)
}

struct Walk<'a> {
    log: &'a dyn AuditLog,
    told: &'a mut (dyn FnMut(AuditProgress) + Send),
    found: AuditVerified,
    /// Entries of each chain that are sealed.
    sealed: BTreeMap<AuditWriterId, u64>,
}

impl Walk<'_> {
    async fn all(&mut self, trust: &Trust, seals: u64) -> Result<(), End> {
        for head in self.found.heads.clone() {
            self.chain(head).await?;
        }
        self.stray().await?;
        self.seals(trust, seals).await
    }

    /// One writer's chain, up to the head that it had at the start.
    async fn chain(&mut self, to: ChainHead) -> Result<(), End> {
        let mut verifier = ChainVerifier::new(to.writer);
        let mut entries = Entries { writer: to.writer, read: VecDeque::new(), after: 0 };
        while verifier.head().seq < to.seq {
            let mut links = self.log.audit_links(to.writer, verifier.head().seq, PAGE).await?;
            links.retain(|link| link.seq <= to.seq);
            if links.is_empty() {
                return Err(
                    Flaw::LinkMissing { writer: to.writer, seq: verifier.head().seq + 1 }.into()
                );
            }
            for link in &links {
                verifier.link(link)?;
                while verifier.wants_entry() {
                    let entry =
                        entries.next(self.log).await?.ok_or_else(|| verifier.entry_missing())?;
                    verifier.entry(&entry)?;
                    self.found.progress.entries += 1;
                    if self.found.progress.entries.is_multiple_of(u64::from(PAGE)) {
                        (self.told)(self.found.progress);
                    }
                }
                self.found.progress.links += 1;
            }
            (self.told)(self.found.progress);
        }
        Ok(())
    }

    /// Entries that no chain has: behind a chain's end, or where no walk comes by.
    async fn stray(&self) -> Result<(), End> {
        let mut newest = BTreeMap::new();
        for head in &self.found.heads {
            let behind = self.log.audit_entries(head.writer, head.total, PAGE).await?;
            newest.extend(behind.last().map(|entry| (head.writer, entry.place)));
        }
        // Afterwards, and once: what was seen has a link by now.
        let ends: BTreeMap<_, _> =
            self.log.audit_heads().await?.into_iter().map(|now| (now.writer, now.total)).collect();
        for (writer, place) in newest {
            if ends.get(&writer).is_none_or(|total| place > *total) {
                return Err(Flaw::EntryUnlinked { writer, place }.into());
            }
        }
        let one = PageRequest { page: 1, limit: 1, sort: (), order: Order::Ascending };
        let found = self.log.audit(&AuditFilter::default(), one).await?.total;
        let chained: u64 = self.log.audit_heads().await?.iter().map(|head| head.total).sum();
        if (self.found.progress.entries_total..=chained).contains(&found) {
            Ok(())
        } else {
            Err(Flaw::StrayEntries { found, chained }.into())
        }
    }

    async fn seals(&mut self, trust: &Trust, to: u64) -> Result<(), End> {
        let mut verifier = SealVerifier::new(trust);
        while self.found.progress.seals < to {
            let mut seals = self.log.audit_seals(self.found.progress.seals, PAGE).await?;
            seals.retain(|seal| seal.statement.seq <= to);
            if seals.is_empty() {
                return Err(Flaw::SealMissing { seq: self.found.progress.seals + 1 }.into());
            }
            for seal in &seals {
                verifier.seal(seal)?;
                self.sealed_heads(seal).await?;
                self.found.progress.seals += 1;
            }
            (self.told)(self.found.progress);
        }
        Ok(verifier.finish()?)
    }

    /// What a seal names has to be in the chains, which were walked before.
    async fn sealed_heads(&mut self, seal: &Seal) -> Result<(), End> {
        let statement = &seal.statement;
        for named in &statement.heads {
            let found = match named.seq.checked_sub(1) {
                Some(before) => self.log.audit_links(named.writer, before, 1).await?,
                None => Vec::new(),
            };
            SealVerifier::head(seal, named, found.first().filter(|link| link.seq == named.seq))?;
        }
        // Chains that did not move are as an earlier seal has them.
        self.sealed.extend(statement.heads.iter().map(|head| (head.writer, head.total)));
        let sealed: u64 = self.sealed.values().sum();
        self.found.entries_unsealed = self.found.progress.entries_total.saturating_sub(sealed);
        self.found.last_seal = Some((statement.seq, statement.at));
        if !self.found.keys.contains(&statement.key) {
            self.found.keys.push(statement.key);
        }
        Ok(())
    }
}

/// A writer's entries in order, a page at a time.
struct Entries {
    writer: AuditWriterId,
    read: VecDeque<ChainedEntry>,
    after: u64,
}

impl Entries {
    async fn next(&mut self, log: &dyn AuditLog) -> Result<Option<ChainedEntry>, StoreError> {
        if self.read.is_empty() {
            self.read = log.audit_entries(self.writer, self.after, PAGE).await?.into();
        }
        let next = self.read.pop_front();
        self.after = next.as_ref().map_or(self.after, |entry| entry.place);
        Ok(next)
    }
}
