//! Epochs and scores, within what the caller may see.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    epochs::{
        adjustment::{Adjustment, effective},
        epoch::{EpochRecord, Period},
        receipt::ScoreRow,
    },
    id::NodeId,
    telemetry::credit::Interval,
    time::TimeMs,
};
use lucid_ports::{EpochFilter, Order, Page, PageRequest, ScoreFilter, ScoreSort, ScoreView};

use crate::Epochs;

/// Most epochs that one answer tells of.
pub const EPOCHS_MAX: u32 = 2_500;

/// A score as it is seen: its receipt, and what adjusted it since.
#[derive(Debug, Clone)]
pub struct ScoreSeen {
    /// As it was computed when its epoch was closed.
    pub view: ScoreView,
    /// In the order they were made.
    pub adjustments: Vec<Adjustment>,
}

impl ScoreSeen {
    /// What counts.
    pub fn counts(&self) -> ScoreRow {
        effective(self.view.row.clone(), &self.adjustments)
    }
}

impl Epochs {
    /// A page of scores.
    ///
    /// # Errors
    /// [`ServiceError`] if a node is named that is unknown or another's.
    pub async fn scores(
        &self,
        actor: &Actor,
        mut filter: ScoreFilter,
        page: PageRequest<ScoreSort>,
    ) -> Result<Page<ScoreView>, ServiceError> {
        if let Some(node) = filter.node {
            self.parts.fleet.seen_node(actor, node).await?;
        }
        actor.narrow(&mut filter.owner, &mut filter.node);
        Ok(self.parts.scores.scores(&filter, page).await?)
    }

    /// One score.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, or it is another's.
    pub async fn score(
        &self,
        actor: &Actor,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<ScoreView, ServiceError> {
        self.parts.fleet.seen_node(actor, node).await?;
        self.parts.scores.score(epoch_start_s, node).await?.ok_or(ServiceError::no("score"))
    }

    /// A page of closed epochs.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn epochs(&self, page: PageRequest<()>) -> Result<Page<EpochRecord>, ServiceError> {
        Ok(self.parts.epoch_records.epochs(EpochFilter::default(), page).await?)
    }

    /// A page of scores, with what adjusted them.
    ///
    /// # Errors
    /// As [`Epochs::scores`].
    pub async fn scores_seen(
        &self,
        actor: &Actor,
        filter: ScoreFilter,
        page: PageRequest<ScoreSort>,
    ) -> Result<Page<ScoreSeen>, ServiceError> {
        let found = self.scores(actor, filter, page).await?;
        let starts = || found.items.iter().map(|view| view.header.period.start_s);
        let (Some(first), Some(last)) = (starts().min(), starts().max()) else {
            return Ok(Page { items: Vec::new(), total: found.total });
        };
        let node = found
            .items
            .first()
            .map(|view| view.row.node)
            .filter(|node| found.items.iter().all(|view| view.row.node == *node));
        let adjustments = self.parts.adjustments.adjustments(node, first, last + 1).await?;
        let seen = |view: ScoreView| {
            let own = |a: &&Adjustment| {
                (a.node, a.epoch_start_s) == (view.row.node, view.header.period.start_s)
            };
            ScoreSeen { adjustments: adjustments.iter().filter(own).cloned().collect(), view }
        };
        Ok(Page { total: found.total, items: found.items.into_iter().map(seen).collect() })
    }

    /// One score, with what adjusted it.
    ///
    /// # Errors
    /// As [`Epochs::score`].
    pub async fn score_seen(
        &self,
        actor: &Actor,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<ScoreSeen, ServiceError> {
        let view = self.score(actor, epoch_start_s, node).await?;
        let adjustments = self
            .parts
            .adjustments
            .adjustments(Some(node), epoch_start_s, epoch_start_s.saturating_add(1))
            .await?;
        Ok(ScoreSeen { view, adjustments })
    }

    /// Closed epochs that begin in a range, at most [`EPOCHS_MAX`].
    pub async fn epochs_in(&self, range: Interval) -> Result<Vec<Period>, ServiceError> {
        let ceil_s = |at: TimeMs| at.0.div_euclid(1_000) + i64::from(at.0.rem_euclid(1_000) > 0);
        let filter = EpochFilter { from_s: Some(ceil_s(range.from)), to_s: Some(ceil_s(range.to)) };
        let all = PageRequest { page: 1, limit: EPOCHS_MAX, sort: (), order: Order::Ascending };
        let found = self.parts.epoch_records.epochs(filter, all).await?;
        if found.total > u64::from(EPOCHS_MAX) {
            return Err(ServiceError::invalid(
                "from",
                format!(
                    "the range has {} epochs, more than {EPOCHS_MAX}, which is the most",
                    found.total
                ),
            ));
        }
        Ok(found.items.into_iter().map(|record| record.epoch).collect())
    }

    /// The first epoch that was closed.
    pub async fn first_epoch(&self) -> Result<Option<Period>, ServiceError> {
        let first = PageRequest { page: 1, limit: 1, sort: (), order: Order::Ascending };
        Ok(self
            .parts
            .epoch_records
            .epochs(EpochFilter::default(), first)
            .await?
            .items
            .pop()
            .map(|record| record.epoch))
    }

    /// The last epoch that was closed.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn last_epoch(&self) -> Result<Option<EpochRecord>, ServiceError> {
        Ok(self.parts.epoch_records.last_epoch().await?)
    }

    /// The newest instant that the store knows: an epoch's, an audit entry's or a seal's.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn newest_record(&self) -> Result<Option<TimeMs>, ServiceError> {
        let epoch = self.last_epoch().await?.map(|last| last.closed_at.max(last.epoch.end()));
        Ok(epoch.max(self.parts.audit.newest_record().await?))
    }

    /// The oldest epoch that is not closed; none before the first node.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn open_epoch(&self) -> Result<Option<Period>, ServiceError> {
        self.next_epoch(self.last_epoch().await?.as_ref()).await
    }

    /// A closed epoch.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if there is none.
    pub async fn epoch(&self, epoch_start_s: i64) -> Result<EpochRecord, ServiceError> {
        let filter = EpochFilter {
            from_s: Some(epoch_start_s),
            to_s: Some(epoch_start_s.saturating_add(1)),
        };
        let one = PageRequest { page: 1, limit: 1, sort: (), order: Order::Ascending };
        self.parts
            .epoch_records
            .epochs(filter, one)
            .await?
            .items
            .pop()
            .ok_or(ServiceError::no("epoch"))
    }

    /// The nodes of an epoch that have no score, because the policy failed for them: at most so
    /// many.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn held_nodes(
        &self,
        record: &EpochRecord,
        limit: usize,
    ) -> Result<Vec<(NodeId, String)>, ServiceError> {
        let mut held = Vec::new();
        let mut index = 0;
        while held.len() < limit.min(usize::try_from(record.held).unwrap_or(usize::MAX)) {
            let Some(chunk) =
                self.parts.epoch_records.scored_chunk(record.epoch.start_s, index).await?
            else {
                break;
            };
            held.extend(
                chunk
                    .rows
                    .into_iter()
                    .filter(|row| row.held)
                    .map(|row| (row.node, row.reason.unwrap_or_default())),
            );
            index += 1;
        }
        held.truncate(limit);
        Ok(held)
    }
}
