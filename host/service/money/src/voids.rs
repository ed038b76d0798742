//! Taking an observation back after it counted: what it brought goes back.
//!
//! Periods that are settled later count what was adjusted before their last epoch was closed;
//! whatever is adjusted after that is a reversal, of this node alone.

use lucid_foundation::{Actor, Role, ServiceError};
use lucid_model::{
    epochs::{adjustment::Adjustment, epoch::Period},
    id::{NodeId, SessionId},
    money::{
        MicroUsdt,
        ledger::{Account, Draft, Entry, Stream},
    },
    notifications::event::EventKind,
    telemetry::observation::{Observation, Verdict},
};

use crate::Money;

/// An observation that was taken back.
#[derive(Debug, Clone)]
pub struct Voided {
    pub observation: Observation,
    /// Scores that were adjusted.
    pub adjustments: Vec<Adjustment>,
    /// What was reversed of what the node had accrued.
    pub reversed: MicroUsdt,
}

impl Money {
    /// Takes an observation back: it does not count any more, in no epoch. Doing it again goes on
    /// where the first ended.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, there is no such session of the node, an epoch that
    /// it is in is being closed (it is voided by then: asking again once the epoch is closed does
    /// the rest), or a version that scored it cannot be loaded any more.
    pub async fn void_observation(
        &self,
        actor: &Actor,
        node: NodeId,
        session: SessionId,
        reason: String,
    ) -> Result<Voided, ServiceError> {
        if !actor.is(Role::Operator) {
            return Err(ServiceError::Forbidden { why: "this needs role operator" });
        }
        let found = self.parts.reports.session(session).await?.filter(|found| found.node == node);
        let mut observation = found.ok_or(ServiceError::no("observation"))?;
        if !matches!(observation.verdict, Verdict::Voided(_)) {
            self.parts
                .audit
                .add(self.parts.audit.entry(
                    actor,
                    "observation.void",
                    session,
                    format!("of node {node}: {reason}"),
                ))
                .await?;
            observation.verdict = Verdict::Voided(reason.clone());
            self.parts.reports.set_verdicts(vec![observation.clone()]).await?;
            self.parts.notifications.emit(EventKind::ObservationStored {
                node,
                accepted: false,
                reason: Some(format!("voided: {reason}")),
            });
        }
        if let Some(epoch) = self
            .parts
            .epochs
            .next_epoch(self.parts.epoch_records.last_epoch().await?.as_ref())
            .await?
            && epoch.end() <= self.parts.clock.now()
            && observation.span.clip(epoch.interval()).length_ms() > 0
        {
            return Err(ServiceError::EpochClosing { epoch });
        }
        let _not_settling = self.adjusting.lock().await;
        let adjustments = self.parts.epochs.adjust(actor, &observation, &reason).await?;
        let reversed = self.reverse_for(node, &observation).await?;
        Ok(Voided { observation, adjustments, reversed })
    }

    /// Reverses what the node accrued too much in settled periods that the session is in, or whose
    /// eligibility it made.
    async fn reverse_for(
        &self,
        node: NodeId,
        observation: &Observation,
    ) -> Result<MicroUsdt, ServiceError> {
        // A session may claim millennia: only what can be settled is looked at.
        let Some(first) = self.parts.epochs.first_epoch().await? else {
            return Ok(MicroUsdt::ZERO);
        };
        let mut period =
            self.parts.rules.settlement.period_at(observation.span.from.max(first.start()));
        let end =
            observation.span.to.plus_ms(self.parts.epochs.config().eligibility_window_s * 1000);
        let end = end.min(self.parts.clock.now());
        let mut reversed = MicroUsdt::ZERO;
        while period.start() < end {
            if self.parts.settlements.settlement(period.start_s).await?.is_some() {
                reversed = reversed.checked_add(self.reverse_node(period, node).await?)?;
            }
            period = period.next();
        }
        Ok(reversed)
    }

    /// Reverses what was adjusted too late for a period's accruals.
    pub(crate) async fn reverse_adjusted(&self, period: Period) -> Result<(), ServiceError> {
        let mut nodes: Vec<_> = self
            .parts
            .adjustments
            .adjustments(None, period.start_s, period.end_s())
            .await?
            .iter()
            .map(|a| a.node)
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        for node in nodes {
            self.reverse_node(period, node).await?;
        }
        Ok(())
    }

    /// Takes back the part of an accrual that rests on score-seconds which are gone: rounded down,
    /// in favour of the node.
    async fn reverse_node(&self, period: Period, node: NodeId) -> Result<MicroUsdt, ServiceError> {
        let accrual = format!("acc:{}:{node}", period.start_s);
        let Some(entry) = self.parts.ledger.entry(&accrual).await? else {
            return Ok(MicroUsdt::ZERO);
        };
        let cutoff = self.parts.epochs.cutoff(period).await?;
        let (then, now) = (
            self.parts.epochs.node_totals(period, node, Some(cutoff)).await?,
            self.parts.epochs.node_totals(period, node, None).await?,
        );
        let (then, now) = (then.map_or(0, |t| t.score_seconds), now.map_or(0, |t| t.score_seconds));
        let gone = u128::from(then.saturating_sub(now));
        let owed = u128::from(accrued(&entry, node).0.unsigned_abs())
            .saturating_mul(gone)
            .checked_div(u128::from(then))
            .unwrap_or(0);
        let wanted = MicroUsdt(i64::try_from(owed).unwrap_or(i64::MAX));
        let (mut before, mut number) = (MicroUsdt::ZERO, 1);
        while let Some(earlier) =
            self.parts.ledger.entry(&Draft::reversal_id(&accrual, number)).await?
        {
            before = before.checked_add(reversed_by(&earlier, node)?)?;
            // Whoever booked it may have ended before this.
            self.take_back_from_node(earlier.draft).await?;
            number += 1;
        }
        let amount = wanted.checked_sub(before)?;
        if amount <= MicroUsdt::ZERO {
            return Ok(MicroUsdt::ZERO);
        }
        let head = self.parts.ledger.head(Stream::Node(node)).await?;
        let cause =
            format!("{gone} of {then} score-seconds of period {} were voided", period.start_s);
        self.take_back_from_node(Draft::reverse(
            &accrual,
            number,
            node,
            amount,
            &head.balances,
            cause,
        )?)
        .await?;
        Ok(amount)
    }
}

/// What an accrual brought a node.
pub(crate) fn accrued(entry: &Entry, node: NodeId) -> MicroUsdt {
    let own =
        |account: Account| account == Account::Available(node) || account == Account::Held(node);
    MicroUsdt(entry.draft.legs.iter().filter(|leg| own(leg.account)).map(|leg| leg.amount.0).sum())
}

/// What a reversal took back, or made the node owe.
fn reversed_by(entry: &Entry, node: NodeId) -> Result<MicroUsdt, ServiceError> {
    let legs = entry.draft.legs.iter().filter(|leg| {
        leg.account == Account::Reversals || leg.account == Account::Receivable(node)
    });
    Ok(MicroUsdt::checked_sum(legs.map(|leg| leg.amount))?)
}
