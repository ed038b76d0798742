//! Each kind of entry: which accounts it moves money between, and the id that follows from what it
//! is about.

use super::{Account, Balances, Draft, EntryKind, LedgerError, Leg, Stream};
use crate::{
    id::{MismatchId, NodeId, PayoutId, PoolScope, ProposalId},
    money::{MicroUsdt, payout::Correction},
};

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
}
