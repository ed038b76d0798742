//! What the service needs from outside: the traits, and their errors.
//!
//! Ports are operations of the domain, not create-read-update-delete. Each needs only the atomicity of one
//! document and unique keys, so that every backend can offer it.

mod audit;
mod chain;
mod epochs;
mod money;
mod nodes;
mod page;
mod policies;
mod runtime;
mod store;
mod telemetry;

pub use audit::{AuditFilter, AuditLog, AuditStore};
pub use chain::{Chain, ChainError, PaymentRail, Signer, VoteAnswer};
pub use epochs::{EpochFilter, EpochStore, NodeTotals, ScoreFilter, ScoreSort, ScoreView, VoteFilter};
pub use money::{Booked, LedgerStore, PayoutFilter, PayoutSort, PayoutStore, SettlementStore};
pub use nodes::{Assigned, NodeFilter, NodeSort, NodeStore, PoolFilter, PoolSort, PoolStore, RegisterConflict, Registered, SiblingCounts};
pub use page::{Order, Page, PageRequest};
pub use policies::{Activated, ImportRecord, PolicyStore, StoredBundle};
pub use runtime::{
    CallError, Clock, Entropy, GateReport, PayoutPolicy, PolicyRuntime, PolicySnapshot, PublishError, ScoringPolicy, ValidationPolicy,
};
pub use store::{Environment, Stamp, StampStore, Store, StoreError};
pub use telemetry::{LiveState, NodeObserved, Report, ReportOutcome, SessionOutcome, TelemetryStore};
