//! Settling a period: budgets to pools, a policy's weights to shares, shares to the ledger.
//!
//! How a period is shared is kept first, then booked: every entry has a deterministic id, and of
//! several who settle a period each books what was kept first, so that a crash or a change at any
//! point is mended by doing it again. A period is payable only once its record says what was
//! booked, and that is said only after every pool's budget account is empty (I13).

mod comparison;
mod estimate;

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lucid_epochs::registered_facts;
use lucid_fleet::{SharedTraits, Siblings};
use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::{
        epoch::Period,
        facts::{Fact, FactRow},
        frame::{FrameChunk, FrameHead},
        score::Ppm,
    },
    fleet::node::{Node, NodeStatus},
    id::{Digest, NodeId, PoolScope},
    money::{
        MicroUsdt,
        ledger::{Account, Draft, Entry, Stream},
        merkle,
        settlement::{Distribution, PoolSettlement, SettlementRecord, settle_pool},
        split::{Claim, split_largest_remainder},
    },
    notifications::event::EventKind,
    policies::{CallContext, Revision, Scope, Weights},
};
use lucid_ports::{EpochFilter, NodeTotals, Order, PageRequest, PayoutPolicy, TRACE};

pub(crate) use self::estimate::Estimates;
use crate::Money;

/// A pool whose budget of a period is to be shared.
struct PoolToShare<'a> {
    period: Period,
    pool: PoolScope,
    budget: MicroUsdt,
    members: Vec<NodeTotals>,
    siblings: &'a Siblings,
    revision: Revision,
    /// Of the period's epochs.
    roots: &'a [Digest],
    /// Whether a node that is eligible by its epochs gets anything at all, whatever the policy
    /// says.
    may_earn: &'a (dyn Fn(NodeId, Option<&Node>) -> bool + Sync),
}

/// Writes of entries that are on their way at once.
const BOOKED_AT_ONCE: usize = 4;
/// Entries booked in one write.
const BOOK_BATCH: usize = 1_000;

impl Money {
    /// Settles the oldest period whose epochs are all closed; none if none is due.
    ///
    /// # Errors
    /// [`ServiceError`] if something is missing now: money is held, never guessed; the next call
    /// goes on.
    pub async fn settle_due_period(&self) -> Result<Option<SettlementRecord>, ServiceError> {
        if self.parts.clock.sure_now().is_none() {
            return Ok(None);
        }
        let Some(last_epoch) = self.parts.epoch_records.last_epoch().await? else {
            return Ok(None);
        };
        let Some(period) = self.next_to_settle().await? else { return Ok(None) };
        if last_epoch.epoch.end() < period.end() {
            return Ok(None);
        }
        self.settle(period).await.map(Some)
    }

    /// The oldest period that is not settled; none before the first epoch.
    async fn next_to_settle(&self) -> Result<Option<Period>, ServiceError> {
        Ok(match self.parts.settlements.last_settlement().await? {
            Some(last) => {
                let at_end = self.parts.rules.settlement.period_at(last.period.end());
                Some(if at_end.start() < last.period.end() { at_end.next() } else { at_end })
            }
            None => self
                .parts
                .epochs
                .first_epoch()
                .await?
                .map(|first| self.parts.rules.settlement.period_at(first.start())),
        })
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "service.settle_period", skip_all)]
    async fn settle(&self, period: Period) -> Result<SettlementRecord, ServiceError> {
        // Nothing is adjusted in the middle of it: what is adjusted later is reversed.
        let _no_adjustment = self.adjusting.lock().await;
        if self.parts.settlements.distribution(period.start_s).await?.is_none() {
            self.parts.settlements.keep_distribution(self.distribute(period).await?).await?;
        }
        // What was kept first counts. If it is gone, another replica has settled the period in
        // between.
        let distribution = self
            .parts
            .settlements
            .distribution(period.start_s)
            .await?
            .ok_or(ServiceError::Changed { what: "settlement" })?;
        for pool in &distribution.pools {
            self.book_pool(pool).await?;
        }
        self.reverse_adjusted(period).await?;
        let record = distribution.record()?;
        if self.parts.settlements.record_settlement(record.clone()).await? {
            self.parts.notifications.emit(EventKind::PeriodSettled {
                period,
                accruals: record.count,
                sum: record.sum,
            });
        }
        Ok(record)
    }

    /// How a period's budgets are to be shared, as things are now.
    async fn distribute(&self, period: Period) -> Result<Distribution, ServiceError> {
        let members = self.parts.epochs.earned_in(period).await?;
        let (budgets, note) = self.pool_budgets(period, &members).await?;
        match &note {
            Some(_) if self.config.budget.is_none() => {
                self.parts.notifications.alert(
                    "budget",
                    "no reward budget is set (REWARD_BUDGET_USDT): nothing accrues".into(),
                );
            }
            Some(note) => self
                .parts
                .notifications
                .alert("treasury", format!("accruals stop at what is funded: {note}")),
            None => self.parts.notifications.clear_alert("treasury"),
        }
        let roots = self.roots(period).await?;
        let snapshot = self.parts.runtime.snapshot();
        let siblings = Siblings::count(&self.parts.epochs.fleet(period).await?);
        let may_earn = |_: NodeId, node: Option<&Node>| {
            node.is_some_and(|n| n.status != NodeStatus::Suspended)
        };
        let mut pools = Vec::new();
        for (pool, members) in members {
            let budget = budgets.get(&pool).copied().unwrap_or_default();
            if budget == MicroUsdt::ZERO {
                continue;
            }
            let to_share = PoolToShare {
                period,
                pool,
                budget,
                members,
                siblings: &siblings,
                revision: snapshot.revision(),
                roots: &roots,
                may_earn: &may_earn,
            };
            let shared = match snapshot.payout(Scope::of(pool), period.start_s) {
                Some(policy) => self.share_pool(policy.as_ref(), to_share).await,
                None => Err(ServiceError::NoPolicy { kind: "payout" }),
            };
            pools.push(self.hold_on_policy_failure(period, pool, shared)?);
        }
        Ok(Distribution { period, pools, note })
    }

    /// Money that no policy can share is held, and a person is told: a version that was not chosen
    /// never decides about it.
    fn hold_on_policy_failure<T>(
        &self,
        period: Period,
        pool: PoolScope,
        shared: Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        match &shared {
            Ok(_) => self.parts.notifications.clear_alert("payout-policy-failure"),
            Err(error @ (ServiceError::Call(_) | ServiceError::NoPolicy { .. })) => {
                self.parts.notifications.alert(
                    "payout-policy-failure",
                    format!("period {period} of pool {pool} is held: {error}"),
                );
            }
            Err(_) => {}
        }
        shared
    }

    /// What each pool gets to share: what was set aside already, else its part of the global budget
    /// by the score-seconds of its nodes, at most what the treasury has.
    async fn pool_budgets(
        &self,
        period: Period,
        pools: &BTreeMap<PoolScope, Vec<NodeTotals>>,
    ) -> Result<(BTreeMap<PoolScope, MicroUsdt>, Option<String>), ServiceError> {
        let mut set_aside = BTreeMap::new();
        for pool in pools.keys() {
            if let Some(amount) = self.budget_set_aside(period, *pool).await? {
                set_aside.insert(*pool, amount);
            }
        }
        let Some(global) = self.config.budget else {
            return Ok((set_aside, Some("no budget was set".into())));
        };
        let treasury = self.parts.ledger.head(Stream::Treasury).await?.balances.available;
        let taken = MicroUsdt::checked_sum(set_aside.values().copied())?;
        let wanted = global.checked_sub(taken)?.max(MicroUsdt::ZERO);
        let budget = wanted.min(treasury);
        let note =
            (budget < wanted).then(|| format!("the treasury held {treasury} of {wanted} USDT"));
        let weight = |members: &Vec<NodeTotals>| {
            members
                .iter()
                .filter(|m| m.eligible)
                .fold(0_u64, |sum, m| sum.saturating_add(m.score_seconds))
        };
        let open: Vec<_> = pools.iter().filter(|(pool, _)| !set_aside.contains_key(pool)).collect();
        let claims: Vec<_> = open
            .iter()
            .map(|(pool, members)| Claim { by: **pool, weight: weight(members), cap: None })
            .collect();
        let shares = split_largest_remainder(budget, &claims, period.start_s)
            .map_err(lucid_model::money::settlement::SettlementError::from)?;
        set_aside.extend(open.iter().map(|(pool, _)| **pool).zip(shares.shares));
        Ok((set_aside, note))
    }

    /// What was set aside for a pool in a period, if it was.
    async fn budget_set_aside(
        &self,
        period: Period,
        pool: PoolScope,
    ) -> Result<Option<MicroUsdt>, ServiceError> {
        let entry = self.parts.ledger.entry(&format!("fnd:{period}:{pool}")).await?;
        let amount = |entry: Entry| {
            entry
                .draft
                .legs
                .iter()
                .find(|leg| leg.account == Account::Budget(pool))
                .map(|leg| leg.amount)
                .unwrap_or_default()
        };
        Ok(entry.map(amount))
    }

    async fn roots(&self, period: Period) -> Result<Vec<Digest>, ServiceError> {
        let (filter, mut roots, mut page) = (
            EpochFilter { from_s: Some(period.start_s), to_s: Some(period.end_s()) },
            Vec::new(),
            1,
        );
        loop {
            let epochs = self
                .parts
                .epoch_records
                .epochs(filter, PageRequest { page, limit: 100, sort: (), order: Order::Ascending })
                .await?;
            roots.extend(epochs.items.iter().map(|e| e.root));
            if epochs.items.len() < 100 {
                return Ok(roots);
            }
            page += 1;
        }
    }

    /// How a payout policy would share a pool's budget.
    async fn share_pool(
        &self,
        policy: &dyn PayoutPolicy,
        shared: PoolToShare<'_>,
    ) -> Result<PoolSettlement, ServiceError> {
        let PoolToShare { period, pool, budget, members, siblings, revision, roots, may_earn } =
            shared;
        let (mut rows, mut eligible) = (Vec::new(), BTreeMap::new());
        for totals in members {
            let node = self.parts.nodes.node(totals.node).await?;
            eligible.insert(totals.node, totals.eligible && may_earn(totals.node, node.as_ref()));
            let mut facts = self.period_facts(period, &totals, node.as_ref());
            node.iter().for_each(|node| siblings.facts(&SharedTraits::of(node), &mut facts));
            rows.push((totals.node, facts));
        }
        let head =
            FrameHead { period, revision, score_multiplier: self.parts.rules.score_multiplier };
        let (mut nodes, mut answer) = (Vec::new(), Weights::default());
        for chunk in head.chunks(pool, rows, 0) {
            let weights = weigh_chunk(policy, &chunk).await?;
            answer.held.resize(answer.weights.len(), Ppm(0));
            answer.caps.resize(answer.weights.len(), 0);
            answer.weights.extend(weights.weights);
            answer.held.extend(weights.held);
            answer.caps.extend(weights.caps);
            nodes.extend(
                chunk.nodes.iter().map(|n| (*n, eligible.get(n).copied().unwrap_or(false))),
            );
        }
        let (start, of, epochs, root) =
            (period.start_s, &policy.identity().policy, roots.len(), merkle::root(roots));
        let cause = format!("period {start}, {epochs} epochs, root {root}, policy {of}");
        Ok(settle_pool(period, pool, budget, &nodes, &answer, self.config.share_max, cause)?)
    }

    fn period_facts(&self, period: Period, totals: &NodeTotals, node: Option<&Node>) -> FactRow {
        let mut row = FactRow::default();
        row.set(Fact::PeriodS, i64::from(period.length.seconds()));
        row.set_u64(Fact::ObservedS, totals.observed_s);
        row.set(Fact::Eligible, i64::from(totals.eligible));
        row.set_u64(Fact::ScoreSeconds, totals.score_seconds);
        row.set_u64(
            Fact::RawScoreCenti,
            totals.raw_sum_centi.checked_div(u64::from(totals.epochs)).unwrap_or(0),
        );
        row.set(Fact::EpochsScored, i64::from(totals.epochs));
        if let Some(node) = node {
            registered_facts(&mut row, node, period.end());
        }
        row
    }

    async fn book_pool(&self, settled: &PoolSettlement) -> Result<(), ServiceError> {
        let drafts = settled.drafts()?;
        let (first, rest) = drafts
            .split_first()
            .ok_or(ServiceError::Internal { detail: "a settlement without entries".into() })?;
        self.book_draft(first.clone()).await?;
        // Each node's entry is in a stream of its own: while one part is written the next ones are
        // read. Boxed: see `score_frame`.
        let parts: Vec<_> =
            rest.chunks(BOOK_BATCH).map(|part| self.book_drafts(part.to_vec()).boxed()).collect();
        let mut parts = stream::iter(parts).buffer_unordered(BOOKED_AT_ONCE);
        while parts.try_next().await?.is_some() {}
        self.offset_debts(rest).await?;
        let left = self.parts.ledger.account_total(Account::Budget(settled.pool)).await?;
        if left != MicroUsdt::ZERO {
            // Another replica has settled the period by now, and shares the pool's next budget.
            if self.parts.settlements.settlement(settled.period.start_s).await?.is_some() {
                return Err(ServiceError::Changed { what: "settlement" });
            }
            let message = format!(
                "period {}, pool {}: {left} USDT of the budget are booked to nobody; nothing of it is paid",
                settled.period, settled.pool
            );
            self.parts.notifications.alert("settlement", message.clone());
            return Err(ServiceError::Internal { detail: message });
        }
        self.parts.notifications.clear_alert("settlement");
        Ok(())
    }

    /// Nodes that owe pay back from what they just earned. What was taken and did not come into the
    /// treasury, because whoever took it ended, comes now.
    async fn offset_debts(&self, accruals: &[Draft]) -> Result<(), ServiceError> {
        let nobody_owes = self.parts.ledger.account_total(Account::Owed).await? == MicroUsdt::ZERO;
        if nobody_owes
            && self.parts.ledger.account_total(Account::Reversals).await? == MicroUsdt::ZERO
        {
            return Ok(());
        }
        for accrual in accruals {
            let taken = match self.parts.ledger.entry(&Draft::offset_id(accrual)).await? {
                Some(before) => Some(before.draft),
                None => {
                    Draft::offset(accrual, &self.parts.ledger.head(accrual.stream).await?.balances)?
                }
            };
            if let Some(taken) = taken {
                self.take_back_from_node(taken).await?;
            }
        }
        Ok(())
    }
}

async fn weigh_chunk(
    policy: &dyn PayoutPolicy,
    chunk: &FrameChunk,
) -> Result<Weights, ServiceError> {
    let (batch, totals) = chunk.project(&policy.identity().facts);
    let context = CallContext {
        epoch_start_s: chunk.period.start_s,
        period_s: chunk.period.length.seconds(),
        seed: CallContext::seed_of(chunk.period.start_s, chunk.pool),
        totals,
    };
    Ok(policy.weigh(context, batch).await?)
}
