//! The ledger: insert-only, double entry. An entry's legs add up to zero; each node has a stream of
//! its own, numbered without gaps, and every entry keeps the balances after it.
//!
//! Invariants: I1 legs sum to 0; I2 balances are never negative and `seq` has no gaps. A correction
//! is another entry, never an edit.

pub mod verify;

use crate::{
    fleet::pool::named_enum,
    id::{MismatchId, NodeId, PayoutId, PoolScope, ProposalId},
    money::{MicroUsdt, MoneyError, payout::Correction},
    time::TimeMs,
};

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// Where funding comes from and payments go to: the world outside.
    Outside,
    /// Funds not yet promised to anybody.
    Treasury,
    /// A pool's budget of the settlement period being accrued.
    Budget(PoolScope),
    /// A node's money that may be paid.
    Available(NodeId),
    /// A node's money that is held back.
    Held(NodeId),
    /// A node's money that a payout is about to pay.
    Reserved(NodeId),
    /// What a node owes after a reversal.
    Receivable(NodeId),
    /// What was taken back from nodes, on its way to the treasury.
    Reversals,
    /// The other side of what nodes owe: not there yet.
    Owed,
    /// What nodes left behind and nobody claimed: kept apart, and nobody's budget.
    Unclaimed,
}

impl Account {
    /// `treasury`, `budget:{pool}`, `available:{node}`, …
    pub fn name(self) -> String {
        match self {
            Self::Outside => "outside".into(),
            Self::Treasury => "treasury".into(),
            Self::Budget(pool) => format!("budget:{pool}"),
            Self::Available(node) => format!("available:{node}"),
            Self::Held(node) => format!("held:{node}"),
            Self::Reserved(node) => format!("reserved:{node}"),
            Self::Receivable(node) => format!("receivable:{node}"),
            Self::Reversals => "reversals".into(),
            Self::Owed => "owed".into(),
            Self::Unclaimed => "unclaimed".into(),
        }
    }
    /// The account of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.split_once(':') {
            None => match name {
                "outside" => Some(Self::Outside),
                "treasury" => Some(Self::Treasury),
                "reversals" => Some(Self::Reversals),
                "owed" => Some(Self::Owed),
                "unclaimed" => Some(Self::Unclaimed),
                _ => None,
            },
            Some(("budget", pool)) => pool.parse().ok().map(Self::Budget),
            Some(("available", node)) => node.parse().ok().map(Self::Available),
            Some(("held", node)) => node.parse().ok().map(Self::Held),
            Some(("reserved", node)) => node.parse().ok().map(Self::Reserved),
            Some(("receivable", node)) => node.parse().ok().map(Self::Receivable),
            Some(_) => None,
        }
    }
}

/// Which sequence an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// The treasury's.
    Treasury,
    /// A node's.
    Node(NodeId),
}

impl Stream {
    /// `treasury` or the node's id.
    pub fn name(self) -> String {
        match self {
            Self::Treasury => "treasury".into(),
            Self::Node(node) => node.to_string(),
        }
    }
    /// The stream of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "treasury" { Some(Self::Treasury) } else { name.parse().ok().map(Self::Node) }
    }
}

named_enum! {
    /// What an entry records.
    EntryKind {
        /// Money comes into the treasury.
        Deposit = "deposit",
        /// A pool's budget is set aside.
        Fund = "fund",
        /// What was not shared goes back.
        Remainder = "remainder",
        /// A node earned.
        Accrue = "accrue",
        /// A payout sets money aside.
        Reserve = "reserve",
        /// A payout was paid.
        Settle = "settle",
        /// A payout was not paid.
        Release = "release",
        /// Part of what a node earned is taken back.
        Reverse = "reverse",
        /// A node pays back what it owes, from what it earns.
        Offset = "offset",
        /// What was taken back comes into the treasury.
        Recover = "recover",
        /// What was held back may be paid.
        ReleaseHold = "release_hold",
        /// What was held back goes to the treasury.
        Forfeit = "forfeit",
        /// Two treasurers put something right.
        Adjust = "adjust",
        /// What a node left behind was not claimed in time.
        Unclaimed = "unclaimed",
    }
}

/// One movement on one account; positive = more on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Which account.
    pub account: Account,
    /// By how much.
    pub amount: MicroUsdt,
}

/// Balances of a stream after an entry. A treasury stream uses `available` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balances {
    /// May be paid or promised.
    pub available: MicroUsdt,
    /// Held back.
    pub held: MicroUsdt,
    /// Set aside for a payout.
    pub reserved: MicroUsdt,
    /// Owed by the node.
    pub receivable: MicroUsdt,
}

/// An entry before it has its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Deterministic, unique in the whole ledger: booking twice is one booking.
    pub id: String,
    /// Whose sequence.
    pub stream: Stream,
    /// What it records.
    pub kind: EntryKind,
    /// What moves.
    pub legs: Vec<Leg>,
    /// What caused it, for a person: a period, a payout, a root.
    pub cause: String,
}

/// A booked entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was booked.
    pub draft: Draft,
    /// Place in the stream, from 1.
    pub seq: u64,
    pub at: TimeMs,
    /// After it.
    pub balances: Balances,
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// `seq` of the last entry; 0 = none.
    pub seq: u64,
    /// After it.
    pub balances: Balances,
}

/// Why an entry cannot be booked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// I1.
    #[error("entry {id}: the legs add up to {sum}, not to zero")]
    Unbalanced { id: String, sum: MicroUsdt },
    /// I2.
    #[error("entry {id}: {account} would be {balance}")]
    Overdrawn {
        id: String,
        /// The account.
        account: &'static str,
        /// What it would be.
        balance: MicroUsdt,
    },
    /// A leg on an account of another node.
    #[error("entry {id}: a leg belongs to another stream")]
    WrongStream { id: String },
    /// A sum is not representable.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Draft {
    /// Money comes into the treasury. `id` names the deposit.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn deposit(id: &str, amount: MicroUsdt, cause: String) -> Result<Self, LedgerError> {
        Self::moved(
            format!("dep:{id}"),
            Stream::Treasury,
            EntryKind::Deposit,
            Account::Outside,
            Account::Treasury,
            amount,
            cause,
        )
    }
    /// A pool's budget of a period is set aside.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn fund(
        period_start_s: i64,
        pool: PoolScope,
        amount: MicroUsdt,
    ) -> Result<Self, LedgerError> {
        let (id, cause) =
            (format!("fnd:{period_start_s}:{pool}"), format!("budget of period {period_start_s}"));
        Self::moved(
            id,
            Stream::Treasury,
            EntryKind::Fund,
            Account::Treasury,
            Account::Budget(pool),
            amount,
            cause,
        )
    }
    /// What was not shared goes back to the treasury.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn remainder(
        period_start_s: i64,
        pool: PoolScope,
        amount: MicroUsdt,
    ) -> Result<Self, LedgerError> {
        let (id, cause) = (
            format!("rem:{period_start_s}:{pool}"),
            format!("remainder of period {period_start_s}"),
        );
        Self::moved(
            id,
            Stream::Treasury,
            EntryKind::Remainder,
            Account::Budget(pool),
            Account::Treasury,
            amount,
            cause,
        )
    }
    /// A node earned `share` in a period, `held` of it held back.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if `held` exceeds what can be subtracted.
    pub fn accrue(
        period_start_s: i64,
        pool: PoolScope,
        node: NodeId,
        share: MicroUsdt,
        held: MicroUsdt,
        cause: String,
    ) -> Result<Self, LedgerError> {
        let mut legs = vec![
            Leg { account: Account::Budget(pool), amount: share.checked_neg()? },
            Leg { account: Account::Available(node), amount: share.checked_sub(held)? },
        ];
        if held != MicroUsdt::ZERO {
            legs.push(Leg { account: Account::Held(node), amount: held });
        }
        Ok(Self {
            id: format!("acc:{period_start_s}:{node}"),
            stream: Stream::Node(node),
            kind: EntryKind::Accrue,
            legs,
            cause,
        })
    }
    /// A payout sets its amount aside.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn reserve(payout: PayoutId, node: NodeId, amount: MicroUsdt) -> Result<Self, LedgerError> {
        let (id, cause) = (format!("rsv:{payout}"), format!("payout {payout}"));
        Self::moved(
            id,
            Stream::Node(node),
            EntryKind::Reserve,
            Account::Available(node),
            Account::Reserved(node),
            amount,
            cause,
        )
    }
    /// A payout is over: paid, or its money is free again. One id for both, so that only one can
    /// ever exist (I4).
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn close(
        payout: PayoutId,
        node: NodeId,
        amount: MicroUsdt,
        paid: bool,
        cause: String,
    ) -> Result<Self, LedgerError> {
        let (kind, to) = if paid {
            (EntryKind::Settle, Account::Outside)
        } else {
            (EntryKind::Release, Account::Available(node))
        };
        Self::moved(
            format!("cls:{payout}"),
            Stream::Node(node),
            kind,
            Account::Reserved(node),
            to,
            amount,
            cause,
        )
    }

    /// What a node left behind was not claimed in time. `after` is the place of the last entry in
    /// its stream: whatever comes there first, this entry never stands.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn unclaimed(
        node: NodeId,
        after: u64,
        amount: MicroUsdt,
        cause: String,
    ) -> Result<Self, LedgerError> {
        let id = format!("unc:{node}:{after}");
        Self::moved(
            id,
            Stream::Node(node),
            EntryKind::Unclaimed,
            Account::Available(node),
            Account::Unclaimed,
            amount,
            cause,
        )
    }

    /// Part of an accrual is taken back: from what is available and then what is held; what is gone
    /// already is owed from now on. `number` counts the reversals of one accrual from 1.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if a sum is not representable.
    pub fn reverse(
        accrual: &str,
        number: u32,
        node: NodeId,
        amount: MicroUsdt,
        head: &Balances,
        cause: String,
    ) -> Result<Self, LedgerError> {
        let available = amount.min(head.available);
        let rest = amount.checked_sub(available)?;
        let held = rest.min(head.held);
        let owed = rest.checked_sub(held)?;
        let moves = [
            (Account::Available(node), available.checked_neg()?),
            (Account::Held(node), held.checked_neg()?),
            (Account::Reversals, available.checked_add(held)?),
            (Account::Receivable(node), owed),
            (Account::Owed, owed.checked_neg()?),
        ];
        let legs = moves
            .into_iter()
            .filter(|(_, amount)| *amount != MicroUsdt::ZERO)
            .map(|(account, amount)| Leg { account, amount })
            .collect();
        Ok(Self {
            id: Self::reversal_id(accrual, number),
            stream: Stream::Node(node),
            kind: EntryKind::Reverse,
            legs,
            cause,
        })
    }

    /// The id of a reversal.
    pub fn reversal_id(accrual: &str, number: u32) -> String {
        if number == 1 { format!("rev:{accrual}") } else { format!("rev:{accrual}:{number}") }
    }

    /// A node pays back what it owes with an accrual, of which at most half is taken; none if it
    /// owes nothing.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if a sum is not representable.
    pub fn offset(accrual: &Self, head: &Balances) -> Result<Option<Self>, LedgerError> {
        let Stream::Node(node) = accrual.stream else { return Ok(None) };
        let came = accrual
            .legs
            .iter()
            .find(|leg| leg.account == Account::Available(node))
            .map_or(0, |leg| leg.amount.0);
        let amount = MicroUsdt(came / 2).min(head.receivable).min(head.available);
        if amount <= MicroUsdt::ZERO {
            return Ok(None);
        }
        let back = amount.checked_neg()?;
        let moves = [
            (Account::Available(node), back),
            (Account::Reversals, amount),
            (Account::Receivable(node), back),
            (Account::Owed, amount),
        ];
        let legs = moves.into_iter().map(|(account, amount)| Leg { account, amount }).collect();
        let cause = format!("pays back what it owes from {}", accrual.id);
        Ok(Some(Self {
            id: Self::offset_id(accrual),
            stream: accrual.stream,
            kind: EntryKind::Offset,
            legs,
            cause,
        }))
    }

    /// The id of an accrual's offset.
    pub fn offset_id(accrual: &Self) -> String {
        format!("off:{}", accrual.id)
    }

    /// The payment service paid what was released to the payee, too: what is available is taken
    /// back, and the rest is owed. What the payee owes was paid by the treasury, see
    /// [`Draft::recover`].
    ///
    /// # Errors
    /// [`LedgerError::Money`] if a sum is not representable.
    pub fn recover_payment(
        mismatch: MismatchId,
        node: NodeId,
        amount: MicroUsdt,
        head: &Balances,
        cause: String,
    ) -> Result<Self, LedgerError> {
        let available = amount.min(head.available);
        let owed = amount.checked_sub(available)?;
        let moves = [
            (Account::Available(node), available.checked_neg()?),
            (Account::Reversals, owed.checked_neg()?),
            (Account::Receivable(node), owed),
            (Account::Owed, owed.checked_neg()?),
            (Account::Outside, amount),
        ];
        let legs = moves
            .into_iter()
            .filter(|(_, amount)| *amount != MicroUsdt::ZERO)
            .map(|(account, amount)| Leg { account, amount })
            .collect();
        Ok(Self {
            id: Self::remedy_id(mismatch),
            stream: Stream::Node(node),
            kind: EntryKind::Adjust,
            legs,
            cause,
        })
    }

    /// The payment service never paid what the books say it did: the payee has it again.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn restore_payment(
        mismatch: MismatchId,
        node: NodeId,
        amount: MicroUsdt,
        cause: String,
    ) -> Result<Self, LedgerError> {
        let (id, kind) = (Self::remedy_id(mismatch), EntryKind::Adjust);
        Self::moved(
            id,
            Stream::Node(node),
            kind,
            Account::Outside,
            Account::Available(node),
            amount,
            cause,
        )
    }

    /// The id of the entry that ends a mismatch: there is one at most.
    pub fn remedy_id(mismatch: MismatchId) -> String {
        format!("adj:{mismatch}")
    }

    /// What a reversal or an offset took back comes into the treasury, and what the treasury paid
    /// for a payee leaves it; none if that was nothing.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn recover(taken: &Self) -> Result<Option<Self>, LedgerError> {
        let Some(leg) = taken.legs.iter().find(|leg| leg.account == Account::Reversals) else {
            return Ok(None);
        };
        let id = format!("rec:{}", taken.id);
        let recovered = Self::moved(
            id,
            Stream::Treasury,
            EntryKind::Recover,
            Account::Reversals,
            Account::Treasury,
            leg.amount,
            taken.cause.clone(),
        );
        recovered.map(Some)
    }

    /// The entries of a correction, in the order in which they are booked. Money between a node and
    /// the treasury is in two streams, and on its way between them until both are booked.
    ///
    /// # Errors
    /// [`LedgerError::Money`] if the amount has no negative.
    pub fn correction(
        proposal: ProposalId,
        node: NodeId,
        what: Correction,
        amount: MicroUsdt,
        cause: &str,
    ) -> Result<Vec<Self>, LedgerError> {
        let (of_node, cause) = (Stream::Node(node), cause.to_owned());
        let taken = |id: String, kind: EntryKind, from: Account| {
            let taken =
                Self::moved(id, of_node, kind, from, Account::Reversals, amount, cause.clone())?;
            Ok([Some(taken.clone()), Self::recover(&taken)?].into_iter().flatten().collect())
        };
        match what {
            Correction::ReleaseHold => {
                let (id, kind) = (format!("rlh:{proposal}"), EntryKind::ReleaseHold);
                Ok(vec![Self::moved(
                    id,
                    of_node,
                    kind,
                    Account::Held(node),
                    Account::Available(node),
                    amount,
                    cause,
                )?])
            }
            Correction::ForfeitHold => {
                taken(format!("fft:{proposal}"), EntryKind::Forfeit, Account::Held(node))
            }
            Correction::Debit => {
                taken(format!("adj:{proposal}"), EntryKind::Adjust, Account::Available(node))
            }
            Correction::Credit => {
                let (given, id, kind) = (
                    format!("adj:{proposal}:treasury"),
                    format!("adj:{proposal}"),
                    EntryKind::Adjust,
                );
                Ok(vec![
                    Self::moved(
                        given,
                        Stream::Treasury,
                        kind,
                        Account::Treasury,
                        Account::Reversals,
                        amount,
                        cause.clone(),
                    )?,
                    Self::moved(
                        id,
                        of_node,
                        kind,
                        Account::Reversals,
                        Account::Available(node),
                        amount,
                        cause,
                    )?,
                ])
            }
        }
    }

    fn moved(
        id: String,
        stream: Stream,
        kind: EntryKind,
        from: Account,
        to: Account,
        amount: MicroUsdt,
        cause: String,
    ) -> Result<Self, LedgerError> {
        let legs =
            vec![Leg { account: from, amount: amount.checked_neg()? }, Leg { account: to, amount }];
        Ok(Self { id, stream, kind, legs, cause })
    }

    /// Gives the entry its place after `head`.
    ///
    /// # Errors
    /// [`LedgerError`] if the legs do not balance, a balance would be negative, or a leg is another
    /// node's.
    pub fn book(self, head: Head, at: TimeMs) -> Result<Entry, LedgerError> {
        let balances = self.balances_after(head.balances)?;
        Ok(Entry { draft: self, seq: head.seq + 1, at, balances })
    }

    /// The balances of its stream after it.
    ///
    /// # Errors
    /// As [`Draft::book`].
    pub fn balances_after(&self, before: Balances) -> Result<Balances, LedgerError> {
        let sum = MicroUsdt::checked_sum(self.legs.iter().map(|l| l.amount))?;
        if sum != MicroUsdt::ZERO {
            return Err(LedgerError::Unbalanced { id: self.id.clone(), sum });
        }
        let mut balances = before;
        for leg in &self.legs {
            let slot = match (leg.account, self.stream) {
                (
                    Account::Outside
                    | Account::Budget(_)
                    | Account::Reversals
                    | Account::Owed
                    | Account::Unclaimed,
                    _,
                ) => continue,
                (Account::Treasury, Stream::Treasury) => &mut balances.available,
                (Account::Available(node), Stream::Node(own)) if node == own => {
                    &mut balances.available
                }
                (Account::Held(node), Stream::Node(own)) if node == own => &mut balances.held,
                (Account::Reserved(node), Stream::Node(own)) if node == own => {
                    &mut balances.reserved
                }
                (Account::Receivable(node), Stream::Node(own)) if node == own => {
                    &mut balances.receivable
                }
                _ => return Err(LedgerError::WrongStream { id: self.id.clone() }),
            };
            *slot = slot.checked_add(leg.amount)?;
        }
        for (account, balance) in [
            ("available", balances.available),
            ("held", balances.held),
            ("reserved", balances.reserved),
            ("receivable", balances.receivable),
        ] {
            if balance < MicroUsdt::ZERO {
                return Err(LedgerError::Overdrawn { id: self.id.clone(), account, balance });
            }
        }
        Ok(balances)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODE: NodeId = NodeId(uuid::Uuid::from_u128(7));
    const PAYOUT: PayoutId = PayoutId(uuid::Uuid::from_u128(9));
    const PAY: MicroUsdt = MicroUsdt(60);

    fn head_after(drafts: Vec<Draft>) -> Result<Head, LedgerError> {
        drafts.into_iter().try_fold(Head::default(), |head, draft| {
            let entry = draft.book(head, TimeMs(0))?;
            Ok(Head { seq: entry.seq, balances: entry.balances })
        })
    }
    fn accrued() -> Draft {
        Draft::accrue(0, PoolScope::Unassigned, NODE, MicroUsdt(100), MicroUsdt(25), String::new())
            .unwrap()
    }

    #[test]
    fn money_moves_from_earned_to_paid() {
        let close = |paid| Draft::close(PAYOUT, NODE, PAY, paid, String::new()).unwrap();
        let reserve = || Draft::reserve(PAYOUT, NODE, PAY).unwrap();
        let paid = head_after(vec![accrued(), reserve(), close(true)]).unwrap();
        assert_eq!(
            (paid.seq, paid.balances.available.0, paid.balances.held.0, paid.balances.reserved.0),
            (3, 15, 25, 0)
        );
        let released = head_after(vec![accrued(), reserve(), close(false)]).unwrap();
        assert_eq!(released.balances.available, MicroUsdt(75));
    }

    #[test]
    fn no_account_is_overdrawn() {
        assert!(matches!(
            head_after(vec![accrued(), Draft::reserve(PAYOUT, NODE, MicroUsdt(76)).unwrap()]),
            Err(LedgerError::Overdrawn { .. })
        ));
        assert!(matches!(
            head_after(vec![Draft::fund(0, PoolScope::Unassigned, MicroUsdt(1)).unwrap()]),
            Err(LedgerError::Overdrawn { .. })
        ));
    }

    #[test]
    fn legs_that_do_not_balance_are_refused() {
        let mut draft = accrued();
        draft.legs[0].amount = MicroUsdt(-99);
        assert!(matches!(
            draft.book(Head::default(), TimeMs(0)),
            Err(LedgerError::Unbalanced { .. })
        ));
        let foreign = Draft { stream: Stream::Node(NodeId(uuid::Uuid::from_u128(8))), ..accrued() };
        assert!(matches!(
            foreign.book(Head::default(), TimeMs(0)),
            Err(LedgerError::WrongStream { .. })
        ));
    }

    #[test]
    fn what_is_taken_back_is_what_is_there_and_the_rest_is_owed() {
        let reserve = Draft::reserve(PAYOUT, NODE, PAY).unwrap();
        let paid = head_after(vec![
            accrued(),
            reserve,
            Draft::close(PAYOUT, NODE, PAY, true, String::new()).unwrap(),
        ])
        .unwrap();
        // 15 available, 25 held, 60 gone.
        let reversal =
            Draft::reverse("acc:0:n", 1, NODE, MicroUsdt(70), &paid.balances, "void".into())
                .unwrap();
        assert_eq!(reversal.id, "rev:acc:0:n");
        assert_eq!(
            Draft::recover(&reversal).unwrap().unwrap().legs[1].amount,
            MicroUsdt(40),
            "what comes into the treasury"
        );
        let entry = reversal.book(paid, TimeMs(0)).unwrap();
        let Balances { available, held, receivable, .. } = entry.balances;
        assert_eq!((available.0, held.0, receivable.0), (0, 0, 30));
        // The next accrual pays back, but keeps half.
        let next = Draft::accrue(
            1,
            PoolScope::Unassigned,
            NODE,
            MicroUsdt(50),
            MicroUsdt(10),
            String::new(),
        )
        .unwrap();
        let entry = next
            .clone()
            .book(Head { seq: entry.seq, balances: entry.balances }, TimeMs(0))
            .unwrap();
        let offset = Draft::offset(&next, &entry.balances).unwrap().unwrap();
        assert_eq!(
            (offset.id.as_str(), Draft::recover(&offset).unwrap().unwrap().legs[1].amount),
            ("off:acc:1:00000000-0000-0000-0000-000000000007", MicroUsdt(20))
        );
        let entry =
            offset.book(Head { seq: entry.seq, balances: entry.balances }, TimeMs(0)).unwrap();
        assert_eq!((entry.balances.available.0, entry.balances.receivable.0), (20, 10));
        assert_eq!(
            Draft::offset(&next, &Balances { receivable: MicroUsdt(4), ..entry.balances })
                .unwrap()
                .unwrap()
                .legs[1]
                .amount,
            MicroUsdt(4)
        );
        assert_eq!(
            Draft::offset(&next, &Balances { receivable: MicroUsdt::ZERO, ..entry.balances })
                .unwrap(),
            None
        );
        let nothing_there =
            Draft::reverse("acc:0:n", 2, NODE, MicroUsdt(5), &Balances::default(), String::new())
                .unwrap();
        assert_eq!(
            (Draft::recover(&nothing_there).unwrap(), nothing_there.id.as_str()),
            (None, "rev:acc:0:n:2")
        );
    }

    #[test]
    fn a_correction_moves_what_is_there_and_nothing_else() {
        let id = ProposalId(uuid::Uuid::from_u128(3));
        let earned = head_after(vec![accrued()]).unwrap();
        let after = |what, amount| {
            let drafts = Draft::correction(id, NODE, what, MicroUsdt(amount), "ticket").unwrap();
            let of_node = drafts
                .iter()
                .filter(|draft| draft.stream == Stream::Node(NODE))
                .cloned()
                .try_fold(earned, |head, draft| {
                    draft
                        .book(head, TimeMs(0))
                        .map(|entry| Head { seq: entry.seq, balances: entry.balances })
                });
            let moved = |account| {
                drafts
                    .iter()
                    .flat_map(|draft| &draft.legs)
                    .filter(|leg| leg.account == account)
                    .map(|leg| leg.amount.0)
                    .sum::<i64>()
            };
            of_node.map(|head| {
                (
                    head.balances.available.0,
                    head.balances.held.0,
                    moved(Account::Treasury),
                    moved(Account::Reversals),
                )
            })
        };
        // 75 available, 25 held.
        assert_eq!(after(Correction::ReleaseHold, 25).unwrap(), (100, 0, 0, 0));
        assert_eq!(after(Correction::ForfeitHold, 5).unwrap(), (75, 20, 5, 0));
        assert_eq!(after(Correction::Credit, 5).unwrap(), (80, 25, -5, 0));
        assert_eq!(after(Correction::Debit, 75).unwrap(), (0, 25, 75, 0));
        for (what, too_much) in
            [(Correction::ReleaseHold, 26), (Correction::ForfeitHold, 26), (Correction::Debit, 76)]
        {
            assert!(
                matches!(after(what, too_much), Err(LedgerError::Overdrawn { .. })),
                "{what:?}"
            );
        }
    }

    #[test]
    fn an_account_survives_its_name() {
        for account in [
            Account::Outside,
            Account::Treasury,
            Account::Budget(PoolScope::Unassigned),
            Account::Available(NODE),
            Account::Held(NODE),
            Account::Reserved(NODE),
            Account::Receivable(NODE),
            Account::Reversals,
            Account::Owed,
        ] {
            assert_eq!(Account::from_name(&account.name()), Some(account));
        }
    }

    proptest! {
        #[test]
        fn earned_is_always_what_is_there_or_was_paid(steps in prop::collection::vec((0_u8..4, 1_i64..1000), 1..60)) {
            let (mut head, mut earned, mut paid) = (Head::default(), 0, 0);
            for (step, amount) in steps {
                let money = MicroUsdt(amount);
                let draft = match step {
                    0 => Draft::accrue(0, PoolScope::Unassigned, NODE, money, MicroUsdt(amount / 4), String::new()),
                    1 => Draft::reserve(PAYOUT, NODE, money),
                    2 => Draft::close(PAYOUT, NODE, money, true, String::new()),
                    _ => Draft::close(PAYOUT, NODE, money, false, String::new()),
                }.unwrap();
                if let Ok(entry) = draft.book(head, TimeMs(0)) {
                    prop_assert_eq!(entry.seq, head.seq + 1);
                    head = Head { seq: entry.seq, balances: entry.balances };
                    if step == 0 { earned += amount; }
                    if step == 2 { paid += amount; }
                }
                let b = head.balances;
                prop_assert_eq!(earned, b.available.0 + b.held.0 + b.reserved.0 + paid);
            }
        }
    }
}
