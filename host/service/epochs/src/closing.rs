//! How far the close of an epoch is, for whoever asks.

use lucid_model::{
    epochs::{epoch::Period, score::Ppm},
    notifications::event::EventKind,
};

use crate::Epochs;

/// What is being done for an epoch that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reports are still expected: it waits until enough have arrived, or for its deadline.
    Waiting,
    /// The facts of the nodes are gathered.
    Gathering,
    /// Nodes are scored.
    Scoring,
    /// Receipts, votes and the nodes' own scores are stored.
    Storing,
}

impl Stage {
    /// Its name in answers and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Gathering => "gathering",
            Self::Scoring => "scoring",
            Self::Storing => "storing",
        }
    }
}

/// How far the close of an epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    pub epoch: Period,
    /// What is being done.
    pub stage: Stage,
    /// Nodes it is done for.
    pub done: u64,
    /// Of so many, if that is known.
    pub nodes: Option<u64>,
    /// Share of the expected reports that had arrived when it was last looked.
    pub completeness: Option<Ppm>,
}

impl Epochs {
    /// The epoch that is being closed by this replica, and how far it is.
    pub fn closing(&self) -> Option<Closing> {
        *self.closing.lock()
    }

    /// Whoever listens is told of each stage, and of each tenth of one.
    pub(super) fn progressed(&self, epoch: Period, stage: Stage, done: u64, nodes: Option<u64>) {
        let mut closing = self.closing.lock();
        let before = closing.filter(|before| before.epoch == epoch);
        let of_stage = before.filter(|before| before.stage == stage);
        *closing = Some(Closing {
            epoch,
            stage,
            done,
            nodes,
            completeness: before.and_then(|before| before.completeness),
        });
        drop(closing);
        if of_stage.is_none() {
            tracing::info!(%epoch, stage = stage.name(), "closing an epoch");
        }
        let tenths = |done: u64| nodes.map_or(0, |nodes| done.saturating_mul(10) / nodes.max(1));
        if of_stage.is_none_or(|before| tenths(before.done) < tenths(done)) {
            self.parts.notifications.emit(EventKind::EpochClosing {
                epoch,
                stage: stage.name(),
                done,
                nodes,
            });
        }
    }

    pub(super) fn is_complete_by(&self, completeness: Ppm) {
        if let Some(closing) = self.closing.lock().as_mut() {
            closing.completeness = Some(completeness);
        }
    }

    pub(super) fn closing_ended(&self) {
        *self.closing.lock() = None;
    }
}
