//! Verifying the books: every entry, settlement and payout, in pages, so that a ledger of any size
//! takes little memory.

use lucid_model::{
    id::PayoutId,
    money::{
        MicroUsdt,
        ledger::{
            Entry,
            verify::{Flaw, Totals, Verifier},
        },
        payout::Payout,
        settlement::SettlementRecord,
    },
    time::TimeMs,
};
use lucid_ports::{Books, StoreError};
use uuid::Uuid;

/// Records read at once.
const PAGE: u32 = 5_000;

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BooksProgress {
    /// Ledger entries.
    pub entries: u64,
    /// Streams: the treasury's, and one a node.
    pub streams: u64,
    /// Settled periods.
    pub settlements: u64,
    /// Payouts.
    pub payouts: u64,
}

/// What came out of verifying the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BooksVerified {
    /// What was read.
    pub progress: BooksProgress,
    /// Where the money is.
    pub totals: Totals,
    /// Between nodes and the treasury: zero whenever nobody is in the middle of a reversal.
    pub on_its_way: MicroUsdt,
    /// When the newest entry was booked.
    pub newest: Option<TimeMs>,
    /// The first thing that is wrong.
    pub flaw: Option<Flaw>,
}

/// Why a walk ended early.
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

/// Recomputes the ledger, and compares settlements and payouts with it; `told` hears how far it is.
/// A service may go on booking meanwhile.
///
/// # Errors
/// [`StoreError`] if the store cannot be read: that says nothing about the books.
pub async fn verify_books(
    books: &dyn Books,
    told: &mut (dyn FnMut(BooksProgress) + Send),
) -> Result<BooksVerified, StoreError> {
    let mut walk = Walk {
        books,
        told,
        progress: BooksProgress::default(),
        verifier: Verifier::default(),
        on_its_way: MicroUsdt::ZERO,
    };
    let flaw = match walk.all().await {
        Ok(()) => None,
        Err(End::Flaw(flaw)) => Some(flaw),
        Err(End::Store(error)) => return Err(error),
    };
    let Walk { progress, verifier, on_its_way, .. } = walk;
    Ok(BooksVerified {
        progress,
        totals: verifier.totals(),
        on_its_way,
        newest: verifier.newest(),
        flaw,
    })
}

struct Walk<'a> {
    books: &'a dyn Books,
    told: &'a mut (dyn FnMut(BooksProgress) + Send),
    progress: BooksProgress,
    verifier: Verifier,
    on_its_way: MicroUsdt,
}

impl Walk<'_> {
    async fn all(&mut self) -> Result<(), End> {
        // What was written after its entries is read before them: they are all there then.
        let (settlements, payouts) = (self.settlements().await?, self.payouts().await?);
        self.entries().await?;
        self.on_its_way = self.verifier.finish();
        settlements.iter().try_for_each(|record| self.verifier.settlement(record))?;
        for payout in &payouts {
            if let Err(flaw) = self.verifier.payout(payout) {
                // It may have ended since it was read: its state is always written before its money
                // moves.
                match read_again(self.books, payout.id).await? {
                    Some(now) if !payout.state.is_final() => self.verifier.payout(&now)?,
                    _ => return Err(flaw.into()),
                }
            }
        }
        Ok(())
    }

    async fn entries(&mut self) -> Result<(), End> {
        let mut page: Vec<Entry> = self.books.ledger_after(None, PAGE).await?;
        while let Some(last) = page.last() {
            let next = self.books.ledger_after(Some((last.draft.stream, last.seq)), PAGE);
            // The next page is read while this one is verified.
            let (next, found) = futures::join!(next, async {
                page.iter().try_for_each(|entry| self.verifier.take(entry))
            });
            found?;
            page = next?;
            (self.progress.entries, self.progress.streams) =
                (self.verifier.entries(), self.verifier.streams());
            (self.told)(self.progress);
        }
        Ok(())
    }

    async fn settlements(&mut self) -> Result<Vec<SettlementRecord>, StoreError> {
        let mut all: Vec<SettlementRecord> = Vec::new();
        loop {
            let page = self
                .books
                .settlements_after(all.last().map(|record| record.period.start_s), PAGE)
                .await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
            self.progress.settlements = all.len() as u64;
            (self.told)(self.progress);
        }
    }

    /// Of each only what is compared: requests and addresses stay in the store.
    async fn payouts(&mut self) -> Result<Vec<Payout>, StoreError> {
        let mut all: Vec<Payout> = Vec::new();
        loop {
            let page = self.books.payouts_after(all.last().map(|payout| payout.id), PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page.into_iter().map(|payout| Payout {
                request: None,
                reason: None,
                ..payout
            }));
            self.progress.payouts = all.len() as u64;
            (self.told)(self.progress);
        }
    }
}

async fn read_again(books: &dyn Books, id: PayoutId) -> Result<Option<Payout>, StoreError> {
    let before = id.0.as_u128().checked_sub(1).map(|before| PayoutId(Uuid::from_u128(before)));
    Ok(books.payouts_after(before, 1).await?.into_iter().find(|payout| payout.id == id))
}
