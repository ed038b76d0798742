//! What the service needs from outside: the traits, and their errors.
//!
//! Ports are operations of the domain, not create-read-update-delete. Each needs only the atomicity
//! of one document and unique keys, so that every backend can offer it.

/// The target of spans that make up traces: whoever writes logs leaves them out.
pub const TRACE: &str = "lucid_trace";

mod audit;
mod consensus;
mod coordination;
mod epochs;
mod fleet;
mod gateway;
mod limits;
mod money;
mod notifications;
mod page;
mod policies;
mod review;
mod runtime;
mod seal;
mod store;
mod telemetry;

pub use audit::requests::{Begun, NewRequest, RequestStore};
pub use audit::{AuditFilter, AuditLog, AuditStore};
pub use consensus::{Chain, ChainError, MadeVotes, VoteAnswer, VoteFilter, VoteStore};
pub use coordination::{
    CLOCK_OFF_MAX, Checked, CoordinationError, Coordinator, Fence, FirstUse, Heard, HeldLease,
    Lease, Listener, Topic, UsedOnce,
};
pub use epochs::{
    Attempt, EpochFilter, EpochStore, FrameChunks, FramePart, FrameStore, NodeTotals, ScoreFilter,
    ScoreSort, ScoreStore, ScoreView, Staged, StagedChunk,
};
pub use fleet::alerts::AlertStore;
pub use fleet::enrolments::{EnrolmentFilter, EnrolmentStore};
pub use fleet::nodes::{
    Assigned, Newcomer, NodeBatches, NodeFilter, NodeSort, NodeStore, PoolFilter, PoolSort,
    PoolStore, RegisterConflict, Registered, Registration, RoomOrder,
};
pub use gateway::{GatewayError, GatewayKey, GatewayKeys, KeyMaterial};
pub use limits::{Admission, Allowance, LimitClass, Party, RateLimiter};
pub use money::books::Books;
pub use money::decisions::DecisionStore;
pub use money::rail::PaymentRail;
pub use money::runs::RunStore;
pub use money::{
    Booked, Due, LedgerStore, MismatchStore, PayoutFilter, PayoutSort, PayoutStore, PayoutUpdate,
    SettlementStore,
};
pub use notifications::webhooks::{DeliveryFilter, WebhookError, WebhookSender, WebhookStore};
pub use page::{Order, Page, PageRequest};
pub use policies::{Activated, ImportRecord, PolicyStore, REPORTS_KEPT, StoredBundle};
pub use review::shadows::{AdjustmentStore, ShadowStore};
pub use runtime::{
    CallError, CheckCost, Clock, Entropy, GateReport, PayoutPolicy, PolicyRuntime, PolicySnapshot,
    PublishError, ScoringPolicy, Signer, ValidationPolicy,
};
pub use seal::{Seal, SealError, SealNonce, Sealer};
pub use store::{Environment, HealthStore, Origin, Stamp, StampStore, Store, StoreError};
pub use telemetry::{
    LiveState, NodeObserved, Report, ReportOutcome, SeriesKept, SeriesStore, SessionOutcome,
    TelemetryStore, Walked,
};
