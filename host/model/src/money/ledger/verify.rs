//! Recomputing the ledger from its entries: every sum, every balance, every place, and what
//! settlements and payouts say of it.

use std::collections::{BTreeMap, HashMap};

use super::{Account, Entry, EntryKind, Head, LedgerError, Stream};
use crate::{
    id::{NodeId, PayoutId, PoolScope},
    money::{
        MicroUsdt,
        payout::{Payout, PayoutState},
        settlement::SettlementRecord,
    },
    time::TimeMs,
};

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// An entry is not what its stream leads to.
    #[error("entry {id} ({stream}, place {seq}): {problem}")]
    Entry {
        id: String,
        /// Its stream.
        stream: String,
        /// Its place in it.
        seq: u64,
        problem: String,
    },
    /// A settled period is not what its entries say.
    #[error("settlement period {period}: {problem}")]
    Period {
        /// Start of the period, Unix seconds.
        period: i64,
        problem: String,
    },
    /// A payout is not what its entries say.
    #[error("payout {payout}: {problem}")]
    Payout { payout: PayoutId, problem: String },
}

/// What entries of a settlement period add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct PeriodSums {
    accruals: u32,
    accrued: i64,
    budget: i64,
    remainder: i64,
}

/// What is known of a payout's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserved {
    node: NodeId,
    amount: MicroUsdt,
    /// Paid or not; none: not closed.
    paid: Option<bool>,
}

/// Money by where it is, all streams together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The treasury.
    pub treasury: i64,
    /// Nodes': may be paid.
    pub available: i64,
    /// Nodes': held back.
    pub held: i64,
    /// Nodes': set aside for payouts.
    pub reserved: i64,
    /// Nodes owe it.
    pub receivable: i64,
    /// Paid to nodes.
    pub paid: i64,
    /// Came in from outside.
    pub deposited: i64,
    /// Left behind by nodes and not claimed in time.
    pub unclaimed: i64,
}

/// Takes the entries of all streams, stream by stream in the order of their places.
#[derive(Debug, Default)]
pub struct Verifier {
    stream: Option<(Stream, Head)>,
    periods: BTreeMap<i64, PeriodSums>,
    /// What is left on each pool's budget of a period.
    budgets: BTreeMap<(i64, PoolScope), i64>,
    payouts: HashMap<PayoutId, Reserved>,
    totals: Totals,
    reversals: i64,
    entries: u64,
    streams: u64,
    newest: Option<TimeMs>,
}

impl Verifier {
    /// Entries taken.
    pub fn entries(&self) -> u64 {
        self.entries
    }
    /// Streams begun.
    pub fn streams(&self) -> u64 {
        self.streams
    }
    /// Where the money is, by what was taken.
    pub fn totals(&self) -> Totals {
        self.totals
    }
    /// When the newest entry was booked.
    pub fn newest(&self) -> Option<TimeMs> {
        self.newest
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// The first [`Flaw`].
    pub fn take(&mut self, entry: &Entry) -> Result<(), Flaw> {
        let draft = &entry.draft;
        let wrong = |problem: String| Flaw::Entry {
            id: draft.id.clone(),
            stream: draft.stream.name(),
            seq: entry.seq,
            problem,
        };
        let head = match self.stream {
            Some((stream, head)) if stream == draft.stream => head,
            _ => {
                self.leave();
                self.streams += 1;
                Head::default()
            }
        };
        if entry.seq != head.seq + 1 {
            return Err(wrong(format!(
                "place {} is missing: the entry before it has place {}",
                head.seq + 1,
                head.seq
            )));
        }
        let balances = draft
            .balances_after(head.balances)
            .map_err(|error: LedgerError| wrong(error.to_string()))?;
        if balances != entry.balances {
            return Err(wrong(format!(
                "its balances should be {balances:?}, and are {:?}",
                entry.balances
            )));
        }
        self.classify(entry).map_err(wrong)?;
        self.entries += 1;
        self.newest = self.newest.max(Some(entry.at));
        self.stream = Some((draft.stream, Head { seq: entry.seq, balances }));
        Ok(())
    }

    /// The stream that was being read is over: its balances are part of the totals.
    fn leave(&mut self) {
        let Some((stream, head)) = self.stream.take() else { return };
        if stream == Stream::Treasury {
            self.totals.treasury += head.balances.available.0;
            return;
        }
        self.totals.available += head.balances.available.0;
        self.totals.held += head.balances.held.0;
        self.totals.reserved += head.balances.reserved.0;
        self.totals.receivable += head.balances.receivable.0;
    }

    /// What the entry means beyond its stream, by its kind and its id.
    fn classify(&mut self, entry: &Entry) -> Result<(), String> {
        let draft = &entry.draft;
        let on = |account: Account| {
            draft
                .legs
                .iter()
                .filter(|leg| leg.account == account)
                .map(|leg| leg.amount.0)
                .sum::<i64>()
        };
        let named = |prefix: &str| {
            draft
                .id
                .strip_prefix(prefix)
                .ok_or_else(|| format!("a {} entry is named {prefix}…", draft.kind.name()))
        };
        let budget = || {
            let pool = draft.legs.iter().find_map(|leg| {
                if let Account::Budget(pool) = leg.account { Some(pool) } else { None }
            });
            pool.ok_or_else(|| "it has no leg on a pool's budget".to_owned())
        };
        match draft.kind {
            EntryKind::Deposit => self.totals.deposited += on(Account::Treasury),
            EntryKind::Fund | EntryKind::Remainder | EntryKind::Accrue => {
                let prefix = match draft.kind {
                    EntryKind::Fund => "fnd:",
                    EntryKind::Accrue => "acc:",
                    _ => "rem:",
                };
                let period = named(prefix)?
                    .split(':')
                    .next()
                    .and_then(|start| start.parse().ok())
                    .ok_or("its name has no period")?;
                let pool = budget()?;
                let moved = on(Account::Budget(pool));
                *self.budgets.entry((period, pool)).or_default() += moved;
                let sums = self.periods.entry(period).or_default();
                match draft.kind {
                    EntryKind::Fund => sums.budget += moved,
                    EntryKind::Accrue => {
                        sums.accruals += 1;
                        sums.accrued -= moved;
                    }
                    _ => sums.remainder -= moved,
                }
            }
            EntryKind::Reserve | EntryKind::Settle | EntryKind::Release => self.of_payout(entry)?,
            EntryKind::Reverse
            | EntryKind::Offset
            | EntryKind::Recover
            | EntryKind::Forfeit
            | EntryKind::Adjust => {
                self.reversals += on(Account::Reversals);
                self.totals.paid += on(Account::Outside);
            }
            EntryKind::ReleaseHold => {}
            EntryKind::Unclaimed => {
                let _ = named("unc:")?;
                self.totals.unclaimed += on(Account::Unclaimed);
            }
        }
        Ok(())
    }

    fn of_payout(&mut self, entry: &Entry) -> Result<(), String> {
        let draft = &entry.draft;
        let Stream::Node(node) = draft.stream else {
            return Err("a payout's entry is in a node's stream".into());
        };
        let prefix = if draft.kind == EntryKind::Reserve { "rsv:" } else { "cls:" };
        let id = draft
            .id
            .strip_prefix(prefix)
            .and_then(|id| id.parse::<PayoutId>().ok())
            .ok_or_else(|| format!("it is named {prefix} and a payout"))?;
        let moved = draft
            .legs
            .iter()
            .filter(|leg| leg.account == Account::Reserved(node))
            .map(|leg| leg.amount.0)
            .sum::<i64>();
        if draft.kind == EntryKind::Reserve {
            self.payouts.insert(id, Reserved { node, amount: MicroUsdt(moved), paid: None });
            return Ok(());
        }
        let paid = draft.kind == EntryKind::Settle;
        let reserved = self
            .payouts
            .get_mut(&id)
            .filter(|reserved| reserved.node == node)
            .ok_or("nothing was reserved for this payout")?;
        if reserved.amount.0 != -moved {
            return Err(format!("{} USDT were reserved for it", reserved.amount));
        }
        if reserved.paid.replace(paid).is_some() {
            return Err("the payout was closed before".into());
        }
        self.totals.paid -= if paid { moved } else { 0 };
        Ok(())
    }

    /// Compares a settled period with its entries, once all entries are taken. The record is older
    /// than they are.
    ///
    /// # Errors
    /// A [`Flaw`].
    pub fn settlement(&self, record: &SettlementRecord) -> Result<(), Flaw> {
        let period = record.period.start_s;
        let wrong = |problem: String| Flaw::Period { period, problem };
        let sums = self.periods.get(&period).copied().unwrap_or_default();
        let said = PeriodSums {
            accruals: record.count,
            accrued: record.sum.0,
            budget: record.budget.0,
            remainder: record.remainder.0,
        };
        if sums != said {
            return Err(wrong(format!("its record says {said:?}, its entries {sums:?}")));
        }
        if let Some(((_, pool), left)) = self
            .budgets
            .range((period, PoolScope::Unassigned)..)
            .take_while(|((of, _), _)| *of == period)
            .find(|(_, left)| **left != 0)
        {
            return Err(wrong(format!(
                "{} USDT of pool {pool}'s budget went to nobody",
                MicroUsdt(*left)
            )));
        }
        Ok(())
    }

    /// Compares a payout with its entries, once all entries are taken. The payout was read before
    /// they were: if it was open then and is closed in the ledger, it has to be read again.
    ///
    /// # Errors
    /// A [`Flaw`].
    pub fn payout(&self, payout: &Payout) -> Result<(), Flaw> {
        let wrong =
            |problem: &str| Err(Flaw::Payout { payout: payout.id, problem: problem.to_owned() });
        let Some(reserved) = self.payouts.get(&payout.id) else {
            return wrong("nothing was reserved for it");
        };
        if reserved.node != payout.node || reserved.amount != payout.amount {
            return wrong(&format!(
                "{} USDT of node {} were reserved for it",
                reserved.amount, reserved.node
            ));
        }
        match (payout.state, reserved.paid) {
            (PayoutState::Confirmed, Some(false)) => {
                wrong("it was paid, and its money is the node's again")
            }
            (PayoutState::Failed | PayoutState::Cancelled, Some(true)) => {
                wrong("it was not paid, and its money is gone")
            }
            (state, Some(_)) if !state.is_final() => {
                wrong("it is open, and its money was moved on already")
            }
            // One that was never sent is closed as it is made, and its money freed after that.
            (PayoutState::Cancelled, None) if payout.sends == 0 => Ok(()),
            (_, None) if payout.closed => wrong("it is closed, and its money is still set aside"),
            _ => Ok(()),
        }
    }

    /// Ends the reading: what is on its way between streams. Zero whenever nobody is in the middle
    /// of a reversal.
    pub fn finish(&mut self) -> MicroUsdt {
        self.leave();
        MicroUsdt(self.reversals)
    }
}

#[cfg(test)]
mod tests;
