//! What is in a run, who is not and why, and what is different from the run before.

use std::collections::BTreeMap;

use lucid_foundation::ServiceError;
use lucid_model::{
    fleet::node::{Node, PayoutHold},
    id::{NodeId, RunId, UserId},
    money::{
        MicroUsdt,
        payout::{Payout, PayoutState},
        run::{Run, RunPart, RunState},
    },
};
use lucid_ports::{Order, PageRequest, PayoutFilter, PayoutSort};

use super::{
    RUNS_A_PAGE,
    planning::{Fleet, Planning},
};
use crate::Money;

/// Payouts of a run read at once.
const PAYOUTS_A_PAGE: u32 = 1_000;

/// Why somebody who has something is not paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It is less than what is paid at once: it is carried over.
    BelowMinimum,
    /// It accrued so lately that it may still be disputed.
    NotMature,
    /// There is nowhere to send it.
    NoWallet,
    /// The wallet was changed so lately that neither the old nor the new one is paid.
    WalletCoolingDown,
    /// The node is suspended.
    Suspended,
    /// An earlier payout is not over yet.
    OpenPayout,
    /// It can be paid: the run was planned before that was so.
    NotPlanned,
}

impl LeftOut {
    /// A stable word.
    pub fn name(self) -> &'static str {
        match self {
            Self::BelowMinimum => "below_minimum",
            Self::NotMature => "not_mature",
            Self::NoWallet => "no_wallet",
            Self::WalletCoolingDown => "wallet_cooling_down",
            Self::Suspended => "suspended",
            Self::OpenPayout => "open_payout",
            Self::NotPlanned => "not_planned",
        }
    }
}

/// Who is not paid, by why; as it is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotPaid {
    /// Nodes.
    pub nodes: u64,
    /// What they have available, in sum.
    pub available: MicroUsdt,
}

/// A node of a run's report: paid by it, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunLine {
    /// Its payout.
    Payout(Box<Payout>),
    /// Why it has none, and what it has.
    LeftOut {
        node: NodeId,
        owner: Option<UserId>,
        /// What is available.
        available: MicroUsdt,
        why: LeftOut,
    },
}

/// What is to be known of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    pub run: Run,
    /// Its payouts, in sum.
    pub parts: Vec<RunPart>,
    /// Who has something and is not in it; as it is now.
    pub left_out: BTreeMap<LeftOut, NotPaid>,
    /// The run before it that was approved.
    pub previous: Option<Run>,
    /// Node by node, if asked for: payouts by node, then who is left out.
    pub lines: Vec<RunLine>,
    /// What nodes got in the run before, if lines were asked for.
    pub previously: BTreeMap<NodeId, MicroUsdt>,
}

impl Money {
    /// What is in a run and what is not; node by node, if `lines` are asked for.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Store`].
    pub async fn run_report(&self, id: RunId, lines: bool) -> Result<RunReport, ServiceError> {
        let run = self.run(id).await?;
        let Some(mature) = self.parts.settlements.settlement(run.cycle).await? else {
            return Err(ServiceError::no("settlement of the run's cycle"));
        };
        let parts = self.parts.runs.run_parts(id).await?;
        let heads = self.heads_of(&run).await?;
        let planning = self.planning(&run, &mature).await?;
        let paid: BTreeMap<NodeId, Payout> =
            self.payouts_of(id).await?.into_iter().map(|payout| (payout.node, payout)).collect();
        let (mut left_out, mut not_paid, mut fleet) =
            (BTreeMap::<LeftOut, NotPaid>::new(), Vec::new(), Fleet::default());
        for (node, head) in heads.into_iter().filter(|(node, head)| {
            head.balances.available > MicroUsdt::ZERO && !paid.contains_key(node)
        }) {
            // Of a fleet they are read along with their balances, but for those that left.
            let live = if planning.run.nodes.is_empty() {
                self.find(&mut fleet, node).await?
            } else {
                None
            };
            let record = if live.is_some() { live } else { self.parts.nodes.node(node).await? };
            let (why, owner) = self.why_left_out(&planning, record, planning.payable(node, head)?);
            let sum = left_out.entry(why).or_default();
            let available = head.balances.available;
            (sum.nodes, sum.available) = (sum.nodes + 1, sum.available.checked_add(available)?);
            if lines {
                not_paid.push(RunLine::LeftOut { node, owner, available, why });
            }
        }
        let previous = self.previous_run(&run).await?;
        let mut report = RunReport {
            run,
            parts,
            left_out,
            previous,
            lines: Vec::new(),
            previously: BTreeMap::new(),
        };
        if lines {
            report.lines = paid
                .into_values()
                .map(|payout| RunLine::Payout(Box::new(payout)))
                .chain(not_paid)
                .collect();
            if let Some(previous) = &report.previous {
                let was_paid = |payout: &Payout| payout.state != PayoutState::Cancelled;
                report.previously = self
                    .payouts_of(previous.id)
                    .await?
                    .into_iter()
                    .filter(was_paid)
                    .map(|payout| (payout.node, payout.amount))
                    .collect();
            }
        }
        Ok(report)
    }

    pub(super) async fn payouts_of(&self, run: RunId) -> Result<Vec<Payout>, ServiceError> {
        let (filter, mut all, mut page) =
            (PayoutFilter { run: Some(run), ..PayoutFilter::default() }, Vec::new(), 1);
        loop {
            let request = PageRequest {
                page,
                limit: PAYOUTS_A_PAGE,
                sort: PayoutSort::CreatedAt,
                order: Order::Ascending,
            };
            let found = self.parts.payouts.payouts(&filter, request).await?;
            let last = found.items.len() < PAYOUTS_A_PAGE as usize;
            all.extend(found.items.into_iter().map(|payout| Payout { request: None, ..payout }));
            if last {
                return Ok(all);
            }
            page += 1;
        }
    }

    fn why_left_out(
        &self,
        planning: &Planning<'_>,
        record: Option<Node>,
        payable: MicroUsdt,
    ) -> (LeftOut, Option<UserId>) {
        let Some(record) = record else { return (LeftOut::NoWallet, None) };
        let why = match self.blocked(planning.is_busy(record.id), &record) {
            Some(why) => why,
            None if payable <= MicroUsdt::ZERO => LeftOut::NotMature,
            None if payable < self.least_of(planning.run, &record) => LeftOut::BelowMinimum,
            None => LeftOut::NotPlanned,
        };
        (why, Some(record.owner))
    }

    /// Why a node is not paid however much it has.
    pub(super) fn blocked(&self, busy: bool, node: &Node) -> Option<LeftOut> {
        if busy {
            return Some(LeftOut::OpenPayout);
        }
        match self.parts.fleet.payout_hold(node)? {
            PayoutHold::Suspended => Some(LeftOut::Suspended),
            PayoutHold::NoWallet => Some(LeftOut::NoWallet),
            PayoutHold::WalletCoolingDown => Some(LeftOut::WalletCoolingDown),
        }
    }

    /// The run before one that was approved, by when they were planned.
    async fn previous_run(&self, run: &Run) -> Result<Option<Run>, ServiceError> {
        let mut page = 1;
        loop {
            let request =
                PageRequest { page, limit: RUNS_A_PAGE, sort: (), order: Order::Descending };
            let runs = self.parts.runs.runs(None, request).await?.items;
            let last = runs.len() < RUNS_A_PAGE as usize;
            let is_before = |other: &Run| (other.created_at, other.id) < (run.created_at, run.id);
            let was_approved = |other: &Run| {
                matches!(other.state, RunState::Approved | RunState::Done) && other.count > 0
            };
            if let Some(found) =
                runs.into_iter().find(|other| is_before(other) && was_approved(other))
            {
                return Ok(Some(found));
            }
            if last {
                return Ok(None);
            }
            page += 1;
        }
    }
}
