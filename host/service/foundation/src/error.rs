use std::borrow::Cow;

use lucid_model::{
    epochs::epoch::{NotADivisorOfTheDay, Period},
    fleet::node::{CapReached, WrongNodeStatus},
    id::{NodeId, ShadowId},
    money::{
        MoneyError, ledger::LedgerError, payout::WrongPayoutState, run::WrongRunState,
        settlement::SettlementError,
    },
    policies::PolicyRef,
};
use lucid_ports::{
    CallError, ChainError, Fence, PublishError, RegisterConflict, SealError, StoreError,
};

/// Why a use case did not do what was asked. The first group is the caller's to mend, the second
/// ours.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no such thing.
    #[error("there is no such {what}")]
    NotFound {
        /// `node`, `pool`, `payout`, …
        what: &'static str,
    },
    /// The caller may not.
    #[error("not allowed: {why}")]
    Forbidden {
        /// What is missing.
        why: &'static str,
    },
    /// Who the caller is could not be proven.
    #[error("not proven: {why}")]
    Unproven {
        /// What is wrong with the proof.
        why: &'static str,
    },
    /// The epoch is over and its receipts are being made.
    #[error(
        "the observation is voided; epoch {epoch}, which it is in, is being closed: void it again when that is done"
    )]
    EpochClosing { epoch: Period },
    /// As many shadows run as may.
    #[error("{running} shadows run, which is the most: end one first")]
    TooManyShadows { running: usize },
    /// It runs beside what is active already.
    #[error("{policy} runs as a shadow there already, with these params: {shadow}")]
    IsShadow {
        policy: PolicyRef,
        /// Its shadow.
        shadow: ShadowId,
    },
    /// A field is wrong.
    #[error("{field}: {problem}")]
    Invalid {
        field: Cow<'static, str>,
        /// What is wrong, with the limit.
        problem: String,
    },
    /// The validation policy refuses.
    #[error("the validation policy refuses: {reason}")]
    Refused {
        /// In the policy's words.
        reason: String,
    },
    /// The node's status does not allow it.
    #[error(transparent)]
    WrongNodeStatus(#[from] WrongNodeStatus),
    /// The payout's state does not allow it.
    #[error(transparent)]
    WrongPayoutState(#[from] WrongPayoutState),
    /// It was paid, or is not over yet.
    #[error("it is {state}: only what failed or was cancelled, and is closed, is tried again")]
    NotGivenBack {
        /// Where it is.
        state: &'static str,
    },
    /// The run's state does not allow it.
    #[error(transparent)]
    WrongRunState(#[from] WrongRunState),
    /// Nothing is there that may be paid yet.
    #[error("no settlement period is mature yet: there is nothing to pay")]
    NothingMature,
    /// Resolutions of a batch do not stand: none is proposed or carried out.
    #[error("{}", unresolvable(.problems))]
    Unresolvable {
        /// Each.
        problems: Vec<Unresolvable>,
    },
    /// An account has not so much.
    #[error("there is not so much {account}")]
    NotEnough {
        /// `available`, `held`, …
        account: &'static str,
    },
    /// The store was restored, and nobody compared it with the payment service.
    #[error(
        "the store was restored or copied: have payouts compared with the payment service first (POST /payouts/reconcile)"
    )]
    NotReconciled,
    /// What was asked needs the time, and the wall clock is in doubt.
    #[error(
        "the wall clock of the service is in doubt: ask again when it is right (GET /clock says why)"
    )]
    ClockDoubted,
    /// There is nothing to accept.
    #[error("the wall clock is not in doubt: there is nothing to accept")]
    ClockNotDoubted,
    /// A webhook's secret cannot be sealed or opened.
    #[error("webhook secret {0}")]
    Seal(#[from] SealError),
    /// No payment service is configured.
    #[error("no payment service is configured (RAIL): nothing can be paid")]
    NoRail,
    /// A live node is registered with the same.
    #[error("a live node is already registered with this {}", conflict_name(.conflict))]
    AlreadyRegistered {
        /// With the same what.
        conflict: RegisterConflict,
        /// Which node, if it is the caller's own and has this key: an answer was lost, most likely.
        own: Option<NodeId>,
    },
    /// A pool has this name.
    #[error("a pool with this name exists")]
    PoolExists,
    /// The pool has no room.
    #[error("the pool is full")]
    PoolFull,
    /// The record changed meanwhile.
    #[error("the {what} was changed meanwhile: read it again")]
    Changed {
        /// Which record.
        what: &'static str,
    },
    /// The report's number was used for another report.
    #[error("sequence number taken: the highest stored is {highest}")]
    SequenceTaken {
        /// The highest number stored.
        highest: u64,
    },
    /// A cap is reached.
    #[error("{}: the limit of {} is reached", .0.what, .0.limit)]
    CapReached(CapReached),
    /// More reports wait for the store than may.
    #[error("{waiting_max} reports wait for the store already: send it again a little later")]
    Busy { waiting_max: usize },
    /// The validation policy refuses the hardware.
    #[error("the hardware cannot be: {reason}")]
    HardwareRefused {
        /// In the policy's words.
        reason: String,
    },
    /// What the caller read is not what is there now.
    #[error("the {what} is at version {version} by now")]
    PreconditionFailed {
        /// Which record.
        what: &'static str,
        version: u64,
    },
    /// The idempotency key names another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The same request is being carried out.
    #[error("the same request is being carried out: try again in a moment")]
    InProgress,
    /// The version is needed where it is.
    #[error("{reason}")]
    VersionInUse {
        /// Where, and what to do first.
        reason: String,
    },
    /// The version was withdrawn.
    #[error("{policy} is retired: {reason}")]
    Retired { policy: Box<PolicyRef>, reason: String },
    /// The version is kept and cannot be loaded here, perhaps because nobody trusts its signatures
    /// any more.
    #[error(transparent)]
    NotLoadable(PublishError),
    /// A bundle did not pass the gate.
    #[error("the bundle was refused: {reason}")]
    BundleRefused {
        /// The failed check and its reason.
        reason: String,
    },

    /// No policy is active where one is needed.
    #[error("no {kind} policy is active")]
    NoPolicy { kind: &'static str },
    /// A policy gave no result.
    #[error(transparent)]
    Call(Box<CallError>),
    /// A policy could not be loaded.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain gave no usable answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// An amount is not representable.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// An entry cannot be booked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A period cannot be settled.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
    /// A length is impossible.
    #[error(transparent)]
    Length(#[from] NotADivisorOfTheDay),
    /// A later payer has begun, or the lease is over: this one sends nothing any more.
    #[error("this payer's time is over{}", .by.map_or_else(String::new, |by| format!(": the store has seen fence {by}")))]
    PayerReplaced {
        /// The later payer's fence, if the store has seen one.
        by: Option<Fence>,
    },
    /// Something that cannot be.
    #[error("internal: {detail}")]
    Internal {
        /// For the log.
        detail: String,
    },
}

/// Why one resolution of a batch does not stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolvable {
    /// Its place in the batch.
    pub place: usize,
    /// What of it is wrong: `payout_id`, `transaction_id`.
    pub field: &'static str,
    pub problem: String,
}

fn unresolvable(problems: &[Unresolvable]) -> String {
    let Some(Unresolvable { place, field, problem }) = problems.first() else {
        return String::new();
    };
    let more = if problems.len() > 1 {
        format!(" (and {} problems more)", problems.len() - 1)
    } else {
        String::new()
    };
    format!("resolutions[{place}].{field}: {problem}{more}")
}

fn conflict_name(conflict: &RegisterConflict) -> &'static str {
    match conflict {
        RegisterConflict::PublicKey => "public key",
        RegisterConflict::Address => "ip_address and port",
        RegisterConflict::ExternalId => "external id",
    }
}

impl From<CallError> for ServiceError {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

impl ServiceError {
    /// A field is wrong.
    pub fn invalid(field: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }

    /// There is no such thing.
    pub fn no(what: &'static str) -> Self {
        Self::NotFound { what }
    }
}
