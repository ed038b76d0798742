//! What became of a score when an observation was voided after its epoch was closed: a receipt
//! beside the epoch's, which stays as it is.

use uuid::Uuid;

use crate::{
    canonical::Canonical,
    epochs::receipt::ScoreRow,
    id::{AdjustmentId, DERIVED_ID_NAMESPACE, Digest, NodeId, SessionId},
    time::TimeMs,
};

/// An adjusting receipt: what counts of a node in an epoch from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    pub node: NodeId,
    /// The epoch, by its start.
    pub epoch_start_s: i64,
    /// Counts the adjustments of this node in this epoch, from 1.
    pub number: u32,
    /// The session that was voided.
    pub session: SessionId,
    pub at: TimeMs,
    pub actor: String,
    pub reason: String,
    /// Root of the scored chunk that the row is in.
    pub chunk_root: Digest,
    /// What counted before: the epoch's row, or that of the adjustment before this one.
    pub before: ScoreRow,
    /// What counts now.
    pub after: ScoreRow,
}

impl Adjustment {
    /// Its id, which follows from node, epoch and number: two of them are one.
    pub fn id(&self) -> AdjustmentId {
        let name = Canonical::tagged("lucid/v1/adjustment-id")
            .i64(self.epoch_start_s)
            .fixed(self.node.0.as_bytes())
            .u32(self.number)
            .finish();
        AdjustmentId(Uuid::new_v5(&DERIVED_ID_NAMESPACE, &name))
    }

    /// SHA-256 over everything that it says.
    pub fn digest(&self) -> Digest {
        let bytes = Canonical::tagged("lucid/v1/adjustment")
            .fixed(self.node.0.as_bytes())
            .i64(self.epoch_start_s)
            .u32(self.number)
            .fixed(self.session.0.as_bytes())
            .i64(self.at.0)
            .text(&self.actor)
            .text(&self.reason)
            .fixed(&self.chunk_root.0)
            .fixed(&self.before.leaf().0)
            .fixed(&self.after.leaf().0);
        Digest::of(&bytes.finish())
    }
}

/// The row that counts of those that were adjusted, newest last.
pub fn effective(row: ScoreRow, adjustments: &[Adjustment]) -> ScoreRow {
    let newest = adjustments.iter().max_by_key(|adjustment| adjustment.number);
    newest.map_or(row, |adjustment| adjustment.after.clone())
}
