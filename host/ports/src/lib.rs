//! What the service needs from outside: the traits, and their errors.
//!
//! Ports are operations of the domain, not create-read-update-delete. Each needs only the atomicity
//! of one document and unique keys, so that every backend can offer it.

/// The target of spans that make up traces: whoever writes logs leaves them out.
pub const TRACE: &str = "lucid_trace";

mod alerts;
mod audit;
mod books;
mod chain;
mod coordination;
mod decisions;
mod enrolments;
mod epochs;
mod gateway;
mod limits;
mod money;
mod nodes;
mod page;
mod policies;
mod requests;
mod runtime;
mod seal;
mod shadows;
mod store;
mod telemetry;
mod webhooks;

pub use alerts::AlertStore;
pub use audit::{AuditFilter, AuditLog, AuditStore};
pub use books::Books;
pub use chain::{Chain, ChainError, PaymentRail, Signer, VoteAnswer};
pub use coordination::{
    CLOCK_OFF_MAX, Checked, CoordinationError, Coordinator, Fence, FirstUse, Heard, Lease,
    Listener, Tenure, Topic, UsedOnce,
};
pub use decisions::DecisionStore;
pub use enrolments::{EnrolmentFilter, EnrolmentStore};
pub use epochs::{
    Attempt, EpochFilter, EpochStore, FrameChunks, FramePart, MadeVotes, NodeTotals, ScoreFilter,
    ScoreSort, ScoreView, Staged, StagedChunk, VoteFilter,
};
pub use gateway::{GatewayError, GatewayKey, GatewayKeys, KeyMaterial};
pub use limits::{Admission, Allowance, LimitClass, Party, RateLimiter};
pub use money::{
    Booked, Due, LedgerStore, MismatchStore, PayoutFilter, PayoutSort, PayoutStore, PayoutUpdate,
    SettlementStore,
};
pub use nodes::{
    Assigned, Newcomer, NodeBatches, NodeFilter, NodeSort, NodeStore, PoolFilter, PoolSort,
    PoolStore, RegisterConflict, Registered, Registration, RoomOrder,
};
pub use page::{Order, Page, PageRequest};
pub use policies::{Activated, ImportRecord, PolicyStore, REPORTS_KEPT, StoredBundle};
pub use requests::{Begun, NewRequest, RequestStore};
pub use runtime::{
    CallError, CheckCost, Clock, Entropy, GateReport, PayoutPolicy, PolicyRuntime, PolicySnapshot,
    PublishError, ScoringPolicy, ValidationPolicy,
};
pub use seal::{Seal, SealError, SealNonce, Sealer};
pub use shadows::{AdjustmentStore, ShadowStore};
pub use store::{Environment, HealthStore, Origin, Stamp, StampStore, Store, StoreError};
pub use telemetry::{
    LiveState, NodeObserved, Report, ReportOutcome, SeriesKept, SessionOutcome, TelemetryStore,
    Walked,
};
pub use webhooks::{DeliveryFilter, WebhookError, WebhookSender, WebhookStore};
