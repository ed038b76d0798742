//! How many of those who could vote did.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{consensus::VoteTally, epochs::epoch::EpochRecord, id::NodeId};
use lucid_ports::{EpochFilter, Page, PageRequest};

use crate::Consensus;

/// Who could vote in an epoch, and what became of their votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participation {
    pub record: EpochRecord,
    /// Nodes that were eligible: of all, or 1 or 0 of one node.
    pub eligible: u64,
    /// What became of their votes. Those that are missing are still to be made, were too old to be
    /// made, or are of held nodes.
    pub votes: VoteTally,
}

impl Consensus {
    /// Participation in closed epochs: of all nodes, or of one.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is unknown or another's.
    pub async fn participation(
        &self,
        actor: &Actor,
        node: Option<NodeId>,
        page: PageRequest<()>,
    ) -> Result<Page<Participation>, ServiceError> {
        if let Some(node) = node {
            self.parts.fleet.seen_node(actor, node).await?;
        }
        let epochs = self.parts.epoch_records.epochs(EpochFilter::default(), page).await?;
        let starts = epochs.items.iter().map(|record| record.epoch.start_s);
        let range = starts.clone().min().zip(starts.max());
        let tallies = match range {
            Some((first_s, last_s)) => {
                self.parts.votes.tally_votes(first_s, last_s.saturating_add(1), node).await?
            }
            None => Vec::new(),
        };
        let mut items = Vec::with_capacity(epochs.items.len());
        for record in epochs.items {
            let start_s = record.epoch.start_s;
            let eligible = match node {
                None => u64::from(record.eligible),
                Some(node) => {
                    let score = self.parts.scores.score(start_s, node).await?;
                    u64::from(score.is_some_and(|score| score.row.eligible))
                }
            };
            let votes = tallies
                .iter()
                .find(|(epoch_s, _)| *epoch_s == start_s)
                .map(|(_, tally)| *tally)
                .unwrap_or_default();
            items.push(Participation { record, eligible, votes });
        }
        Ok(Page { items, total: epochs.total })
    }
}
