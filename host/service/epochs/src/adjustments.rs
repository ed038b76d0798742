//! Taking an observation back after it counted: receipts that adjust closed epochs, and money that
//! goes back.
//!
//! The epoch's own receipts stay as they are. What a score would have been without the session is
//! computed by the version that computed it, from the same frame, and kept beside. Periods that are
//! settled later count what was adjusted before their last epoch was closed; whatever is adjusted
//! after that is a reversal, of this node alone.

use std::collections::BTreeMap;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    epochs::{
        adjustment::{Adjustment, effective},
        epoch::Period,
        facts::Fact,
        frame::{FactColumn, FrameChunk},
        receipt::ScoreRow,
    },
    id::{NodeId, PoolScope},
    telemetry::{credit::Interval, observation::Observation},
    time::TimeMs,
};
use lucid_ports::{EpochFilter, NodeTotals, Order, PageRequest, ScoreView};

use crate::{Epochs, Known, score_with_factors};

/// Longest epoch, in milliseconds: one that began so long before a session cannot hold any of it.
const EPOCH_MS_MAX: i64 = 86_400_000;

/// A closed epoch of a node, with what counts of it.
struct Closed {
    epoch: Period,
    view: ScoreView,
    adjustments: u32,
    row: ScoreRow,
}

impl Epochs {
    /// Adjusts every closed epoch in which the node would have another score, or would not be
    /// eligible.
    pub async fn adjust(
        &self,
        actor: &Actor,
        observation: &Observation,
        reason: &str,
    ) -> Result<Vec<Adjustment>, ServiceError> {
        let (node, span) = (observation.node, observation.span);
        let window_s = self.config.eligibility_window_s;
        let all = Interval {
            from: span.from.plus_ms(-EPOCH_MS_MAX - window_s * 1000),
            to: span.to.plus_ms(window_s * 1000),
        };
        let mut epochs = self.closed_of(node, all).await?;
        let known = Known::default();
        let mut made = Vec::new();
        for place in 0..epochs.len() {
            let Some(Closed { epoch, row, .. }) = epochs.get(place) else { break };
            let (epoch, mut wanted) = (*epoch, row.clone());
            let inside = span.clip(epoch.interval()).length_ms() > 0;
            let mut quality = None;
            if inside {
                let (observed_s, sessions, mean) =
                    self.observed_without_voided(node, epoch).await?;
                wanted.observed_s = wanted.observed_s.min(observed_s);
                wanted.sessions = wanted.sessions.min(sessions);
                quality = Some(mean.unwrap_or(Fact::QualityPpm.info().default));
            }
            if !inside && epoch.start() < span.from {
                continue;
            }
            let (from_s, own) = (epoch.end_s() - window_s, wanted.observed_s);
            let earlier = epochs
                .iter()
                .take(place)
                .filter(|other| other.epoch.start_s >= from_s)
                .map(|other| other.row.observed_s);
            wanted.window_observed_s =
                wanted.window_observed_s.min(earlier.fold(own, u32::saturating_add));
            wanted.eligible &= u64::from(wanted.window_observed_s) >= self.config.observation_min_s;
            if (wanted.observed_s, wanted.eligible) == (row.observed_s, row.eligible) {
                continue;
            }
            let Some(closed) = epochs.get_mut(place) else { break };
            let adjustment = self
                .adjusted(actor, observation, reason, closed, (wanted, quality, &known))
                .await?;
            closed.row = adjustment.after.clone();
            made.push(adjustment);
        }
        Ok(made)
    }

    /// The closed epochs in a range in which a node was scored, in order.
    async fn closed_of(&self, node: NodeId, range: Interval) -> Result<Vec<Closed>, ServiceError> {
        let mut closed = Vec::new();
        for epoch in self.epochs_in(range).await? {
            let Some(view) = self.parts.scores.score(epoch.start_s, node).await? else { continue };
            let adjustments = self
                .parts
                .adjustments
                .adjustments(Some(node), epoch.start_s, epoch.start_s + 1)
                .await?;
            let count = adjustments.iter().map(|adjustment| adjustment.number).max().unwrap_or(0);
            closed.push(Closed {
                epoch,
                row: effective(view.row.clone(), &adjustments),
                view,
                adjustments: count,
            });
        }
        Ok(closed)
    }

    /// Credited seconds, sessions that count, and their quality, of what is accepted now.
    async fn observed_without_voided(
        &self,
        node: NodeId,
        epoch: Period,
    ) -> Result<(u32, u32, Option<i64>), ServiceError> {
        let observed = self.parts.reports.observed(&[node], epoch.interval()).await?;
        let Some(observed) = observed.first() else { return Ok((0, 0, None)) };
        let credit = self.credit(epoch, observed);
        let credited_s = u32::try_from(credit.credited_s).unwrap_or(u32::MAX);
        let sessions = u32::try_from(credit.sessions).unwrap_or(u32::MAX);
        Ok((credited_s, sessions, credit.quality.map(|quality| i64::from(quality.0))))
    }

    /// Scores a node once more, from the frame with the facts that are wanted, and keeps what comes
    /// out.
    async fn adjusted(
        &self,
        actor: &Actor,
        observation: &Observation,
        reason: &str,
        closed: &Closed,
        (wanted, quality, known): (ScoreRow, Option<i64>, &Known),
    ) -> Result<Adjustment, ServiceError> {
        let (node, epoch, header) = (observation.node, closed.epoch, &closed.view.header);
        let (frame, stored) = self.receipt_of(epoch.start_s, header.index).await?;
        let policy = self.policy_of(header, known).await?;
        let place =
            frame.nodes.iter().position(|other| *other == node).ok_or(ServiceError::no("score"))?;
        let mut facts = vec![
            (Fact::ObservedS, i64::from(wanted.observed_s)),
            (Fact::WindowObservedS, i64::from(wanted.window_observed_s)),
            (Fact::Sessions, i64::from(wanted.sessions)),
            (Fact::Eligible, i64::from(wanted.eligible)),
        ];
        facts.extend(quality.map(|quality| (Fact::QualityPpm, quality)));
        let again = score_with_factors(policy.as_ref(), &alone(&frame, place, &facts)).await?;
        let after = again.rows.into_iter().next().ok_or(ServiceError::no("score"))?;
        let adjustment = Adjustment {
            node,
            epoch_start_s: epoch.start_s,
            number: closed.adjustments + 1,
            session: observation.session,
            at: self.parts.clock.now(),
            actor: actor.subject.clone(),
            reason: reason.to_owned(),
            chunk_root: stored.root(),
            before: closed.row.clone(),
            after,
        };
        let detail = format!(
            "epoch {epoch}: {} s, score {} → {} s, score {}",
            closed.row.observed_s,
            closed.row.score,
            adjustment.after.observed_s,
            adjustment.after.score
        );
        let audit =
            self.parts.audit.entry(actor, "score.adjust", node, detail).creating(&adjustment);
        if !self.parts.adjustments.add_adjustment(adjustment.clone(), audit).await? {
            return Err(ServiceError::Changed { what: "score" });
        }
        Ok(adjustment)
    }

    /// What each node earned in a period, pool by pool, with what was adjusted before the period's
    /// last epoch was closed.
    pub async fn earned_in(
        &self,
        period: Period,
    ) -> Result<BTreeMap<PoolScope, Vec<NodeTotals>>, ServiceError> {
        let cutoff = self.cutoff(period).await?;
        let mut totals = self.parts.scores.totals(period.start_s, period.end_s()).await?;
        let adjusted =
            self.parts.adjustments.adjustments(None, period.start_s, period.end_s()).await?;
        let mut nodes: Vec<_> = adjusted
            .iter()
            .filter(|adjustment| adjustment.at < cutoff)
            .map(|adjustment| adjustment.node)
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        for node in nodes {
            let Some(now) = self.node_totals(period, node, Some(cutoff)).await? else { continue };
            totals.iter_mut().filter(|of| of.node == node).for_each(|of| *of = now.clone());
        }
        let mut pools: BTreeMap<PoolScope, Vec<NodeTotals>> = BTreeMap::new();
        totals.into_iter().for_each(|of| pools.entry(of.pool).or_default().push(of));
        Ok(pools)
    }

    /// When the last epoch of a period was closed.
    pub async fn cutoff(&self, period: Period) -> Result<TimeMs, ServiceError> {
        let filter = EpochFilter { from_s: Some(period.start_s), to_s: Some(period.end_s()) };
        let newest = PageRequest { page: 1, limit: 1, sort: (), order: Order::Descending };
        let last = self.parts.epoch_records.epochs(filter, newest).await?.items.pop();
        Ok(last.map_or(period.end(), |record| record.closed_at))
    }

    /// What a node earned in a period, with what was adjusted until a moment, or until now.
    pub async fn node_totals(
        &self,
        period: Period,
        node: NodeId,
        until: Option<TimeMs>,
    ) -> Result<Option<NodeTotals>, ServiceError> {
        let mut adjustments =
            self.parts.adjustments.adjustments(Some(node), period.start_s, period.end_s()).await?;
        adjustments.retain(|adjustment| until.is_none_or(|until| adjustment.at < until));
        let mut sum: Option<NodeTotals> = None;
        for epoch in self.epochs_in(period.interval()).await? {
            let Some(view) = self.parts.scores.score(epoch.start_s, node).await? else { continue };
            let own: Vec<_> = adjustments
                .iter()
                .filter(|adjustment| adjustment.epoch_start_s == epoch.start_s)
                .cloned()
                .collect();
            let row = effective(view.row, &own);
            let pool = view.header.pool;
            let sum = sum.get_or_insert(NodeTotals {
                node,
                pool,
                eligible: false,
                observed_s: 0,
                score_seconds: 0,
                raw_sum_centi: 0,
                epochs: 0,
            });
            (sum.pool, sum.epochs) = (pool, sum.epochs + 1);
            if row.eligible {
                sum.eligible = true;
                sum.observed_s += u64::from(row.observed_s);
                sum.score_seconds = sum
                    .score_seconds
                    .saturating_add(u64::from(row.raw.0).saturating_mul(u64::from(row.observed_s)));
                sum.raw_sum_centi += u64::from(row.raw.0);
            }
        }
        Ok(sum)
    }

    /// Credited seconds that were taken back of epochs in a range, of each node that has any.
    pub(crate) async fn taken_back_s(
        &self,
        from_s: i64,
        to_s: i64,
    ) -> Result<BTreeMap<NodeId, u64>, ServiceError> {
        let mut taken: BTreeMap<NodeId, u64> = BTreeMap::new();
        for adjustment in self.parts.adjustments.adjustments(None, from_s, to_s).await? {
            *taken.entry(adjustment.node).or_default() +=
                u64::from(adjustment.before.observed_s.saturating_sub(adjustment.after.observed_s));
        }
        Ok(taken)
    }
}

/// A frame of one node alone, some of its facts replaced. What a policy is told of all nodes stays
/// what it was.
fn alone(frame: &FrameChunk, place: usize, facts: &[(Fact, i64)]) -> FrameChunk {
    let column = |column: &FactColumn| {
        let replaced =
            facts.iter().find(|(fact, _)| fact.info().name == column.name).map(|(_, value)| *value);
        let value = replaced.or_else(|| column.values.get(place).copied()).unwrap_or(0);
        FactColumn {
            name: column.name.clone(),
            total: column.total,
            values: [value].into_iter().collect(),
        }
    };
    let nodes = frame.nodes.get(place).copied().into_iter().collect();
    FrameChunk { nodes, columns: frame.columns.iter().map(column).collect(), ..frame.clone() }
}
