//! Money that a planner set aside and made no payout of, because it was stopped or replaced; and
//! what nobody claimed.

use std::collections::{BTreeMap, BTreeSet};

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::node::NodeStatus,
    id::{NodeId, PayoutId, RunId},
    money::{
        MicroUsdt,
        ledger::{Balances, Draft, Head, Stream},
        payout::{Payout, PayoutState},
        run::{Run, RunStage},
        settlement::SettlementRecord,
    },
    time::TimeMs,
};
use lucid_ports::Booked;

use super::{
    plan_node::ATTEMPTS_MAX,
    planning::{Fleet, Planning, set_aside_by},
};
use crate::Money;

/// Settlement periods before an entry in which the reservation may have been planned that it stands
/// for.
const PERIODS_BACK_MAX: u32 = 400;
/// Between two looks for money that would stay where it is.
const SWEEP_MS: i64 = 3_600_000;
/// Entries of a stream read at once.
const ENTRIES_A_PAGE: u32 = 1_000;

/// A reservation without a payout that is to be paid.
pub(super) struct Forgotten {
    payout: PayoutId,
    attempt: u32,
    pub(super) cycle: i64,
    amount: MicroUsdt,
}

impl Money {
    /// Looks, once an hour, for money that would stay where it is for ever.
    pub(super) async fn sweep_money(
        &self,
        run: &Run,
        mature: &SettlementRecord,
    ) -> Result<(), ServiceError> {
        let now = self.parts.clock.now();
        if now < *self.no_money_sweep_before.lock() {
            return Ok(());
        }
        // Whoever plans a run looks at what is its.
        if self.parts.runs.open_runs().await?.iter().any(|run| run.stage() == RunStage::Planning) {
            return Ok(());
        }
        *self.no_money_sweep_before.lock() = now.plus_ms(SWEEP_MS);
        let heads = self.parts.ledger.heads_available(MicroUsdt::ZERO).await?;
        self.give_back_forgotten(run, mature, &heads).await?;
        self.move_unclaimed(&heads).await
    }

    /// Gives back what planners set aside that were stopped or replaced, after their run was
    /// planned by another: without it that would wait for the next run.
    async fn give_back_forgotten(
        &self,
        run: &Run,
        mature: &SettlementRecord,
        heads: &[(NodeId, Head)],
    ) -> Result<(), ServiceError> {
        let open: BTreeMap<NodeId, MicroUsdt> = self
            .parts
            .payouts
            .open_payouts(u32::MAX)
            .await?
            .into_iter()
            .map(|p| (p.node, p.amount))
            .collect();
        // More is set aside than the node's open payout, if it has one, is about.
        let is_forgotten = |node: &NodeId, reserved: MicroUsdt| {
            reserved > open.get(node).copied().unwrap_or_default()
        };
        for (node, _) in
            heads.iter().copied().filter(|(node, head)| is_forgotten(node, head.balances.reserved))
        {
            for forgotten in self.forgotten(node).await? {
                // Its own run need not be there: a person's may have been the only one of its
                // cycle.
                tracing::warn!(%node, cycle = forgotten.cycle, amount = %forgotten.amount, "a planner that was stopped had set money aside: it is given back");
                let planning = self.planning(run, mature).await?;
                self.take_back_forgotten(&planning, node, &forgotten).await?;
            }
        }
        Ok(())
    }

    /// Keeps apart what nodes left behind that is too little for a last payout, once nothing has
    /// moved for as long as it can be claimed.
    async fn move_unclaimed(&self, heads: &[(NodeId, Head)]) -> Result<(), ServiceError> {
        let until = self.parts.clock.now().plus_ms(-self.config.claimable_ms);
        let is_small = |head: &Head| {
            let Balances { available, held, reserved, .. } = head.balances;
            available > MicroUsdt::ZERO
                && available < self.config.payout_final_min
                && held == MicroUsdt::ZERO
                && reserved == MicroUsdt::ZERO
        };
        let mut fleet = Fleet::default();
        for (node, head) in heads.iter().filter(|(_, head)| is_small(head)) {
            // Most of them are live and carry over.
            if self.find(&mut fleet, *node).await?.is_none() {
                let left = self.parts.nodes.node(*node).await?;
                if left.is_some_and(|left| {
                    left.status == NodeStatus::Deregistered && left.updated_at <= until
                }) {
                    self.move_unclaimed_of(*node, *head, until).await?;
                }
            }
        }
        Ok(())
    }

    async fn move_unclaimed_of(
        &self,
        node: NodeId,
        head: Head,
        until: TimeMs,
    ) -> Result<(), ServiceError> {
        let last = self.parts.ledger.entries(Stream::Node(node), head.seq - 1, 1).await?;
        if last.iter().any(|entry| entry.at > until) {
            return Ok(());
        }
        let amount = head.balances.available;
        let entry = Draft::unclaimed(node, head.seq, amount, format!("not claimed since {until}"))?
            .book(head, self.parts.clock.now())?;
        let audit = self.parts.audit.entry(
            &Actor::system(),
            "payout.unclaimed",
            node,
            format!("{amount} USDT were not claimed since {until}"),
        );
        // Whatever came in between, a payout or a correction, has its way: what is left of it is
        // looked at in an hour.
        if self.parts.ledger.book_audited(entry, audit).await? == Booked::Done {
            tracing::info!(%node, %amount, "a node's rest was not claimed: it is kept apart");
        }
        Ok(())
    }

    pub(super) async fn take_back_forgotten(
        &self,
        planning: &Planning<'_>,
        node: NodeId,
        forgotten: &Forgotten,
    ) -> Result<(), ServiceError> {
        let Some((record, wallet)) = self
            .parts
            .nodes
            .node(node)
            .await?
            .and_then(|node| node.wallet.map(|wallet| (node, wallet)))
        else {
            return Ok(());
        };
        let place = (forgotten.payout, forgotten.attempt);
        let payout = self.reserved_payout(place, planning, &record, wallet, forgotten.amount);
        self.take_back(Payout {
            run: RunId::derive(self.parts.family, forgotten.cycle),
            cycle: forgotten.cycle,
            ..payout
        })
        .await
    }

    /// Reservations of a node that a planner which was stopped or replaced made no payout of.
    pub(super) async fn forgotten(&self, node: NodeId) -> Result<Vec<Forgotten>, ServiceError> {
        let (mut reserved, mut closed, mut after) = (BTreeMap::new(), BTreeSet::new(), 0);
        loop {
            let entries =
                self.parts.ledger.entries(Stream::Node(node), after, ENTRIES_A_PAGE).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in entries {
                match entry.draft.id.split_once(':') {
                    Some(("rsv", payout)) => {
                        let amount = set_aside_by(&entry);
                        reserved.insert(payout.to_owned(), (entry.at, amount));
                    }
                    Some(("cls", payout)) => {
                        closed.insert(payout.to_owned());
                    }
                    _ => {}
                }
            }
        }
        let mut forgotten = Vec::new();
        for (named, (at, amount)) in
            reserved.into_iter().filter(|(payout, _)| !closed.contains(payout))
        {
            let Some((payout, cycle, attempt)) = self.cycle_of(&named, node, at) else { continue };
            // A payout that was cancelled to take its place, by somebody who was stopped before the
            // money was free, is none either.
            if self
                .parts
                .payouts
                .payout(payout)
                .await?
                .is_none_or(|there| there.state == PayoutState::Cancelled)
            {
                forgotten.push(Forgotten { payout, attempt, cycle, amount });
            }
        }
        Ok(forgotten)
    }

    /// The payout that a reservation names, and the cycle and attempt from which its id follows.
    fn cycle_of(
        &self,
        payout: &str,
        node: NodeId,
        reserved_at: TimeMs,
    ) -> Option<(PayoutId, i64, u32)> {
        let mut period = self.parts.rules.settlement.period_at(reserved_at);
        for _ in 0..PERIODS_BACK_MAX {
            for attempt in 0..ATTEMPTS_MAX {
                let id = PayoutId::derive(self.parts.family, period.start_s, node, attempt);
                if id.to_string() == payout {
                    return Some((id, period.start_s, attempt));
                }
            }
            period = self.parts.rules.settlement.period_at(period.start().plus_ms(-1));
        }
        None
    }
}
