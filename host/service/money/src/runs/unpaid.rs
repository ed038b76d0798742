//! Who has money that was not paid, since when, and why not.
//!
//! Each line is a part of one balance that one reason keeps from being paid: of what a node has
//! available, what is mature by itself and what is not; what is held back; what is set aside for a
//! payout, by where that payout is.

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lucid_foundation::ServiceError;
use lucid_model::{
    fleet::node::Node,
    id::{NodeId, PayoutId, RunId, UserId},
    money::{
        MicroUsdt,
        ledger::{Account, Head, Stream},
        payout::{Payout, PayoutState},
        run::{Run, RunStage},
    },
    time::TimeMs,
};
use lucid_ports::{Order, PageRequest};

use super::{
    planning::Fleet,
    report::{LeftOut, NotPaid},
};
use crate::Money;

/// Entries of a stream read at once, from its end backwards.
const ENTRIES_A_PAGE: u64 = 64;
/// Streams that are read at the same time.
const STREAMS_AT_ONCE: usize = 32;

/// Why money was not paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unpaid {
    /// It is available, and no payout sets it aside.
    LeftOut(LeftOut),
    /// It is held back: by a policy, until people release or forfeit it.
    Held,
    /// Its run is being planned.
    RunBeingPlanned,
    /// Its run waits for approval.
    RunNotApproved,
    /// Its run is approved, and nobody let it go.
    RunNotExecuted,
    /// Payments are frozen.
    Frozen,
    /// No payment service is configured.
    NoRail,
    /// Its payout is sent next.
    Queued,
    /// The payment service has its payout.
    OnItsWay,
    /// Nobody knows yet what became of its payout.
    PayoutUnknown,
    /// A treasurer has to say what became of its payout.
    PayoutManual,
    /// Its payout is over, and is booked next.
    Closing,
    /// It was set aside, and no payout was made of it: it is given back within the hour.
    NoPayout,
}

impl Unpaid {
    /// Every reason.
    pub const ALL: [Self; 19] = [
        Self::LeftOut(LeftOut::BelowMinimum),
        Self::LeftOut(LeftOut::NotMature),
        Self::LeftOut(LeftOut::NoWallet),
        Self::LeftOut(LeftOut::WalletCoolingDown),
        Self::LeftOut(LeftOut::Suspended),
        Self::LeftOut(LeftOut::OpenPayout),
        Self::LeftOut(LeftOut::NotPlanned),
        Self::Held,
        Self::RunBeingPlanned,
        Self::RunNotApproved,
        Self::RunNotExecuted,
        Self::Frozen,
        Self::NoRail,
        Self::Queued,
        Self::OnItsWay,
        Self::PayoutUnknown,
        Self::PayoutManual,
        Self::Closing,
        Self::NoPayout,
    ];

    /// A stable word.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeftOut(why) => why.name(),
            Self::Held => "held",
            Self::RunBeingPlanned => "run_being_planned",
            Self::RunNotApproved => "run_not_approved",
            Self::RunNotExecuted => "run_not_executed",
            Self::Frozen => "frozen",
            Self::NoRail => "no_rail",
            Self::Queued => "queued",
            Self::OnItsWay => "on_its_way",
            Self::PayoutUnknown => "payout_unknown",
            Self::PayoutManual => "payout_manual",
            Self::Closing => "closing",
            Self::NoPayout => "no_payout",
        }
    }
}

/// Which balance of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// May be paid.
    Available,
    /// Held back.
    Held,
    /// Set aside for a payout.
    Reserved,
}

impl Balance {
    /// As in earnings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Held => "held",
            Self::Reserved => "reserved",
        }
    }

    fn account(self, node: NodeId) -> Account {
        match self {
            Self::Available => Account::Available(node),
            Self::Held => Account::Held(node),
            Self::Reserved => Account::Reserved(node),
        }
    }
}

/// Money of a node that was not paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpaidLine {
    pub node: NodeId,
    pub owner: Option<UserId>,
    /// Where the money is.
    pub balance: Balance,
    pub amount: MicroUsdt,
    /// Why it was not paid.
    pub why: Unpaid,
    /// The payout that it is set aside for.
    pub payout: Option<PayoutId>,
    /// When the oldest of it came to this balance.
    pub since: TimeMs,
}

/// Which of them are told.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnpaidFilter {
    /// Of this node.
    pub node: Option<NodeId>,
    /// Of this owner's nodes.
    pub owner: Option<UserId>,
    /// For this reason.
    pub why: Option<Unpaid>,
}

/// What was not paid, of all who are told of; as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpaidReport {
    /// In sum, by why.
    pub totals: BTreeMap<Unpaid, NotPaid>,
    /// Some of the lines, by node.
    pub lines: Vec<UnpaidLine>,
    /// How many lines there are.
    pub total: u64,
}

/// A line, and what of its stream says since when: how much came to the balance after the oldest of
/// it.
struct Found {
    line: UnpaidLine,
    head: Head,
    newest: MicroUsdt,
}

/// What decides why money is not paid, beside the nodes themselves.
struct Ground {
    open: BTreeMap<NodeId, Payout>,
    runs: BTreeMap<RunId, Run>,
    /// What accrued in periods that are not mature; none: no period is.
    fresh: Option<Vec<BTreeMap<NodeId, MicroUsdt>>>,
    frozen: bool,
    has_rail: bool,
}

impl Ground {
    /// What of a balance is not mature.
    fn fresh(&self, node: NodeId, available: MicroUsdt) -> Result<MicroUsdt, ServiceError> {
        let Some(fresh) = &self.fresh else { return Ok(available) };
        Ok(MicroUsdt::checked_sum(fresh.iter().filter_map(|accrued| accrued.get(&node)).copied())?
            .min(available))
    }

    /// Why a payout has not paid.
    fn why(&self, payout: &Payout) -> Unpaid {
        let stage = self.runs.get(&payout.run).map(Run::stage);
        match payout.state {
            PayoutState::Manual => Unpaid::PayoutManual,
            PayoutState::Unknown => Unpaid::PayoutUnknown,
            PayoutState::Confirmed | PayoutState::Failed | PayoutState::Cancelled => {
                Unpaid::Closing
            }
            PayoutState::Accepted => Unpaid::OnItsWay,
            PayoutState::Reserved if stage == Some(RunStage::Planning) => Unpaid::RunBeingPlanned,
            PayoutState::Reserved if stage == Some(RunStage::Waiting) => Unpaid::RunNotApproved,
            PayoutState::Reserved if stage == Some(RunStage::Approved) => Unpaid::RunNotExecuted,
            PayoutState::Reserved | PayoutState::Submitting if self.frozen => Unpaid::Frozen,
            PayoutState::Reserved | PayoutState::Submitting if !self.has_rail => Unpaid::NoRail,
            PayoutState::Reserved => Unpaid::Queued,
            PayoutState::Submitting => Unpaid::OnItsWay,
        }
    }
}

impl Money {
    /// Who has money that was not paid, and why not: a page of lines by node, and all in sum.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn unpaid(
        &self,
        filter: UnpaidFilter,
        page: PageRequest<()>,
    ) -> Result<UnpaidReport, ServiceError> {
        let mut found = self.found_unpaid(filter).await?;
        let mut totals = BTreeMap::<Unpaid, NotPaid>::new();
        let mut last = None;
        for Found { line, .. } in &found {
            let sum = totals.entry(line.why).or_default();
            // Two balances of a node may wait for the same.
            sum.nodes +=
                u64::from(last.replace((line.node, line.why)) != Some((line.node, line.why)));
            sum.available = sum.available.checked_add(line.amount)?;
        }
        let total = u64::try_from(found.len()).unwrap_or(u64::MAX);
        if page.order == Order::Descending {
            found.reverse();
        }
        let skip = page.page.saturating_sub(1).saturating_mul(u64::from(page.limit));
        let asked = found
            .into_iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .take(usize::try_from(page.limit).unwrap_or(usize::MAX));
        let dated: Vec<_> = asked.map(|found| self.dated(found).boxed()).collect();
        Ok(UnpaidReport {
            totals,
            lines: stream::iter(dated).buffered(STREAMS_AT_ONCE).try_collect().await?,
            total,
        })
    }

    async fn found_unpaid(&self, filter: UnpaidFilter) -> Result<Vec<Found>, ServiceError> {
        // Balances before payouts: a payout that is paid in between is told of once more, and none
        // is left out.
        let heads = match filter.node {
            Some(node) => vec![(node, self.parts.ledger.head(Stream::Node(node)).await?)],
            None => self.parts.ledger.heads_available(MicroUsdt::ZERO).await?,
        };
        let ground = self.ground().await?;
        let (mut found, mut fleet) = (Vec::new(), Fleet::default());
        for (node, head) in heads {
            let balances = head.balances;
            if [balances.available, balances.held, balances.reserved]
                .iter()
                .all(|amount| *amount <= MicroUsdt::ZERO)
            {
                continue;
            }
            let live =
                if filter.node.is_none() { self.find(&mut fleet, node).await? } else { None };
            let record = if live.is_some() { live } else { self.parts.nodes.node(node).await? };
            if filter
                .owner
                .is_some_and(|owner| record.as_ref().is_none_or(|record| record.owner != owner))
            {
                continue;
            }
            self.unpaid_of(&ground, (node, head), record.as_ref(), &mut found)?;
        }
        if let Some(why) = filter.why {
            found.retain(|found| found.line.why == why);
        }
        Ok(found)
    }

    async fn ground(&self) -> Result<Ground, ServiceError> {
        let mature = self.last_mature_period().await?;
        let open = self.parts.payouts.open_payouts(u32::MAX).await?;
        Ok(Ground {
            runs: self.parts.runs.open_runs().await?.into_iter().map(|run| (run.id, run)).collect(),
            open: open
                .into_iter()
                .map(|payout| (payout.node, Payout { request: None, ..payout }))
                .collect(),
            fresh: match mature {
                Some(mature) => Some(self.fresh_since(&mature).await?),
                None => None,
            },
            frozen: self.parts.decisions.payments_switch().await?.frozen.is_some(),
            has_rail: self.parts.rail.is_some(),
        })
    }

    /// The lines of one node.
    fn unpaid_of(
        &self,
        ground: &Ground,
        (node, head): (NodeId, Head),
        record: Option<&Node>,
        found: &mut Vec<Found>,
    ) -> Result<(), ServiceError> {
        let owner = record.map(|record| record.owner);
        let mut tell = |balance, amount, why, newest| {
            if amount > MicroUsdt::ZERO {
                let line = UnpaidLine {
                    node,
                    owner,
                    balance,
                    amount,
                    why,
                    payout: None,
                    since: TimeMs(0),
                };
                found.push(Found { line, head, newest });
            }
        };
        let available = head.balances.available;
        let blocked = match record {
            Some(record) => self.blocked(ground.open.contains_key(&node), record),
            None => Some(LeftOut::NoWallet),
        };
        let fresh = if matches!(blocked, None | Some(LeftOut::OpenPayout)) {
            ground.fresh(node, available)?
        } else {
            MicroUsdt::ZERO
        };
        let mature = available.checked_sub(fresh)?;
        let below = record.is_some_and(|record| mature < self.least(record));
        let why =
            blocked.unwrap_or(if below { LeftOut::BelowMinimum } else { LeftOut::NotPlanned });
        tell(Balance::Available, mature, Unpaid::LeftOut(why), available);
        tell(Balance::Available, fresh, Unpaid::LeftOut(LeftOut::NotMature), fresh);
        tell(Balance::Held, head.balances.held, Unpaid::Held, head.balances.held);
        let payout =
            ground.open.get(&node).filter(|payout| payout.amount <= head.balances.reserved);
        let forgotten = head
            .balances
            .reserved
            .checked_sub(payout.map_or(MicroUsdt::ZERO, |payout| payout.amount))?;
        tell(Balance::Reserved, forgotten, Unpaid::NoPayout, head.balances.reserved);
        found.extend(payout.map(|payout| {
            let (why, amount, since) = (ground.why(payout), payout.amount, payout.created_at);
            let line = UnpaidLine {
                node,
                owner,
                balance: Balance::Reserved,
                amount,
                why,
                payout: Some(payout.id),
                since,
            };
            Found { line, head, newest: MicroUsdt::ZERO }
        }));
        Ok(())
    }

    /// Since when: what came to a balance first also leaves it first, so that what is there came
    /// with the newest entries.
    async fn dated(
        &self,
        Found { mut line, head, newest }: Found,
    ) -> Result<UnpaidLine, ServiceError> {
        let account = line.balance.account(line.node);
        let (mut before, mut rest) = (head.seq, newest);
        while before > 0 && rest > MicroUsdt::ZERO {
            let after = before.saturating_sub(ENTRIES_A_PAGE);
            let limit = u32::try_from(before - after).unwrap_or(u32::MAX);
            for entry in
                self.parts.ledger.entries(Stream::Node(line.node), after, limit).await?.iter().rev()
            {
                let came = entry
                    .draft
                    .legs
                    .iter()
                    .filter(|leg| leg.account == account && leg.amount > MicroUsdt::ZERO);
                for leg in came {
                    rest = rest.checked_sub(leg.amount)?;
                    line.since = entry.at;
                }
                if rest <= MicroUsdt::ZERO {
                    break;
                }
            }
            before = after;
        }
        Ok(line)
    }
}
