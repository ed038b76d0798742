use async_trait::async_trait;
use lucid_model::id::FamilyId;

use crate::{
    AdjustmentStore, AlertStore, AuditStore, Books, DecisionStore, EnrolmentStore, EpochStore,
    FrameStore, LedgerStore, MismatchStore, NodeStore, PayoutStore, PolicyStore, PoolStore,
    RequestStore, RunStore, ScoreStore, SeriesStore, SettlementStore, ShadowStore, TelemetryStore,
    VoteStore, WebhookStore,
};

/// Why a store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, or cannot write: try again later.
    #[error("the store is unavailable: {detail}")]
    Unavailable {
        /// For the log.
        detail: String,
    },
    /// Its disk is full.
    #[error("the store has no space left: {detail}")]
    NoSpace {
        /// For the log.
        detail: String,
    },
    /// The service's user may not read or write it.
    #[error("no permission to use the store: {detail}")]
    NotPermitted {
        /// For the log.
        detail: String,
    },
    /// A file of it is damaged: what it answers is not to be relied on.
    #[error("the store is damaged: {detail}")]
    Damaged {
        /// For the log.
        detail: String,
    },
    /// It answered with something that cannot be: a fault of ours.
    #[error("the store is inconsistent: {detail}")]
    Inconsistent {
        /// For the log.
        detail: String,
    },
}

/// Whether money is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Payments go to the sandbox.
    Sandbox,
    /// Payments are real.
    Live,
}

impl Environment {
    /// `sandbox` or `live`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Live => "live",
        }
    }
}

/// What a store was made for; written at its creation, compared at every start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Real money or not.
    pub environment: Environment,
    /// Which chain's network: `sandbox`, `mainnet`, …
    pub network: String,
    /// Which rail: its profile's name.
    pub rail: String,
    /// The store and all its copies.
    pub family: FamilyId,
}

/// Where what is in a store comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was written here, or the store cannot tell.
    Here,
    /// It was put here from elsewhere, or from an earlier time.
    Elsewhere,
}

/// The stamp, and where the store belongs.
#[async_trait]
pub trait StampStore: Send + Sync {
    /// The store's stamp; none: no service ever ran on it.
    async fn known_stamp(&self) -> Result<Option<Stamp>, StoreError>;
    /// The store's stamp; written now if it has none.
    async fn stamp_or(&self, fresh: Stamp) -> Result<Stamp, StoreError>;
    /// Whether what is in the store is what was last written where it is: a backup that was put
    /// back, or a copy of files, is not.
    async fn origin(&self) -> Result<Origin, StoreError>;
    /// Makes the store the one that belongs where it is. Done at each start, after
    /// [`StampStore::origin`].
    async fn take_possession(&self) -> Result<(), StoreError>;
}

/// Whether the store can be relied on.
#[async_trait]
pub trait HealthStore: Send + Sync {
    /// Proves that a write is durable where the store was opened; answers the bytes left on its
    /// disk, where they are known.
    async fn probe(&self) -> Result<Option<u64>, StoreError>;
    /// Reads every page, which takes long for a large store; answers the first damage.
    async fn check_pages(&self) -> Result<Option<String>, StoreError>;
    /// The damage that any call has met since the store was opened.
    async fn damage(&self) -> Result<Option<String>, StoreError>;
}

macro_rules! store {
    ($first:ident $(+ $more:ident)*) => {
        /// Everything a backend offers.
        pub trait Store: $first $(+ $more)* {}
        impl<T> Store for T where T: $first $(+ $more)* {}
    };
}

store! {
    StampStore + HealthStore
        + NodeStore + PoolStore + EnrolmentStore + AlertStore
        + TelemetryStore + SeriesStore
        + EpochStore + FrameStore + ScoreStore + AdjustmentStore
        + VoteStore
        + LedgerStore + SettlementStore + RunStore + PayoutStore + Books + DecisionStore + MismatchStore
        + PolicyStore
        + WebhookStore
        + AuditStore + RequestStore
        + ShadowStore
}
