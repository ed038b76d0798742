//! Votes, and who took part.

mod participation;
mod votes;

use std::sync::Arc;

use lucid_fleet::Fleet;
use lucid_foundation::ServiceClock;
use lucid_notifications::Notifications;
use lucid_ports::{Chain, EpochStore, ScoreStore, Signer, VoteStore};
use parking_lot::Mutex;

pub use self::participation::Participation;

/// What it is built on.
pub struct Parts {
    pub chain: Option<Arc<dyn Chain>>,
    pub clock: Arc<ServiceClock>,
    pub epoch_records: Arc<dyn EpochStore>,
    pub fleet: Arc<Fleet>,
    pub notifications: Arc<Notifications>,
    pub scores: Arc<dyn ScoreStore>,
    pub signer: Arc<dyn Signer>,
    pub votes: Arc<dyn VoteStore>,
}

/// How it works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct ConsensusConfig {
    /// Age at which a vote is not sent any more.
    pub votes_age_max_ms: i64,
    /// First wait before a vote is sent again; doubles.
    pub vote_retry_first_ms: i64,
    /// Votes on their way at once.
    pub votes_in_flight_max: usize,
}

/// Votes with the scores of closed epochs.
pub struct Consensus {
    parts: Parts,
    config: ConsensusConfig,
    chain_pace: Mutex<votes::ChainPace>,
}

impl Consensus {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts, config: ConsensusConfig) -> Arc<Self> {
        Arc::new(Self { parts, config, chain_pace: Mutex::default() })
    }

    /// How it is set up.
    pub fn config(&self) -> &ConsensusConfig {
        &self.config
    }
}
