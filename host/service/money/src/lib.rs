//! Settling, planning, paying, and whether the books and the payment service agree.

mod alerts;
mod booking;
mod books;
mod decisions;
mod mismatches;
mod payer;
mod queries;
mod reconciliation;
mod remedies;
mod resolutions;
mod restored;
mod runs;
mod runway;
mod settle;
mod statements;
mod switch;
mod voids;

use std::{collections::BTreeMap, sync::Arc};

use lucid_audit::Audit;
use lucid_epochs::Epochs;
use lucid_fleet::Fleet;
use lucid_foundation::{Ids, Rules, ServiceClock, Vitals};
use lucid_model::{
    epochs::score::Ppm,
    id::{FamilyId, PayoutId},
    money::{
        MicroUsdt,
        payout::{Deadlines, Pace},
    },
    time::TimeMs,
};
use lucid_notifications::Notifications;
use lucid_ports::{
    AdjustmentStore, Books, DecisionStore, EpochStore, LedgerStore, MismatchStore, NodeStore,
    PaymentRail, PayoutStore, PolicyRuntime, RunStore, SettlementStore, Signer, StampStore,
    TelemetryStore,
};
use parking_lot::Mutex;

pub use self::{
    books::{BooksProgress, BooksVerified, verify_books},
    decisions::Resolved,
    mismatches::Suspected,
    payer::{InFlight, PAYER},
    queries::Earnings,
    reconciliation::LastVerified,
    runs::{
        Balance, LeftOut, NotPaid, PayoutProof, RunLine, RunReport, Unpaid, UnpaidFilter,
        UnpaidLine, UnpaidReport,
    },
    runway::usdt,
    statements::{Statement, StatementLine},
    voids::Voided,
};

/// What bounds the time in which a request that was decided on may be on its way, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayerLimits {
    /// From the decision to send to the send: as long as a lease lasts.
    pub decided_ms_max: i64,
    /// From the send to its answer, or to its being given up.
    pub timeout_ms: i64,
}

/// What it is built on.
pub struct Parts {
    pub adjustments: Arc<dyn AdjustmentStore>,
    pub audit: Arc<Audit>,
    pub books: Arc<dyn Books>,
    pub clock: Arc<ServiceClock>,
    pub decisions: Arc<dyn DecisionStore>,
    pub epoch_records: Arc<dyn EpochStore>,
    pub epochs: Arc<Epochs>,
    pub family: FamilyId,
    pub fleet: Arc<Fleet>,
    pub ids: Ids,
    pub ledger: Arc<dyn LedgerStore>,
    pub mismatches: Arc<dyn MismatchStore>,
    pub nodes: Arc<dyn NodeStore>,
    pub notifications: Arc<Notifications>,
    pub payouts: Arc<dyn PayoutStore>,
    pub rail: Option<Arc<dyn PaymentRail>>,
    pub reports: Arc<dyn TelemetryStore>,
    pub rules: Rules,
    pub runs: Arc<dyn RunStore>,
    pub runtime: Arc<dyn PolicyRuntime>,
    pub settlements: Arc<dyn SettlementStore>,
    pub signer: Arc<dyn Signer>,
    pub stamp: Arc<dyn StampStore>,
    pub vitals: Arc<Vitals>,
}

/// How it works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct MoneyConfig {
    /// How long after its end a settled period may be paid.
    pub maturity_ms: i64,
    /// `REWARD_BUDGET_USDT`: all pools, one settlement period; none = nothing accrues.
    pub budget: Option<MicroUsdt>,
    /// `PAYEE_SHARE_MAX_PPM`.
    pub share_max: Ppm,
    /// `PAYOUT_MIN_AMOUNT_USDT`.
    pub payout_min: MicroUsdt,
    /// `PAYOUT_FINAL_MIN_USDT`: the least that a deregistered node is paid.
    pub payout_final_min: MicroUsdt,
    /// How long less than that can be claimed after the node left and nothing moved any more,
    /// milliseconds.
    pub claimable_ms: i64,
    /// How many times its usual accrual a payee may get before a scheduled run waits for a person;
    /// none: it does not matter.
    pub auto_approve_jump_max: Option<u32>,
    /// Largest run that a schedule may approve by itself; 0 = none.
    pub auto_approve_max: MicroUsdt,
    /// Largest sum that one cycle may pay; none = no payout leaves.
    pub cycle_cap: Option<MicroUsdt>,
    /// Nothing more is sent while so much is in doubt, or waits for a person to say what became of
    /// it; none: it does not matter.
    pub unknown_max: Option<MicroUsdt>,
    /// When a payout is handed to a person.
    pub deadlines: Deadlines,
    /// How often a payout is sent and looked up.
    pub pace: Pace,
    /// How long sending stops at least after the rail refused us.
    pub rail_pause_ms: i64,
    /// What bounds a request that may be on its way.
    pub payer_limits: PayerLimits,
    /// Between the look-up that contradicts the books and the one that confirms it.
    pub second_look_ms: i64,
    /// Payouts on their way at once.
    pub payouts_in_flight_max: usize,
}

/// Settles periods, plans runs and pays them; owns the ledger.
pub struct Money {
    parts: Parts,
    config: MoneyConfig,
    /// How far payouts were compared with the payment service.
    compared: Mutex<reconciliation::Progress>,
    /// What look-ups said of payouts that ended, and have to say again.
    suspicions: Mutex<BTreeMap<PayoutId, mismatches::Suspicion>>,
    /// What the last verification of the books found.
    last_verified: Mutex<Option<LastVerified>>,
    /// Held while scores are adjusted, and while a period is settled: neither happens in the middle
    /// of the other.
    adjusting: futures::lock::Mutex<()>,
    /// Reservations that nobody made a payout of are not looked for before this instant.
    no_money_sweep_before: Mutex<TimeMs>,
    /// What nodes have earned that did not accrue yet, as somebody asked last.
    estimates: Mutex<Arc<settle::Estimates>>,
    /// Of the run that was asked about last.
    receipts: Mutex<Arc<runs::Receipts>>,
    /// What this process's payer knows besides the store.
    payer: Mutex<payer::PayerState>,
}

impl Money {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts, config: MoneyConfig) -> Arc<Self> {
        Arc::new(Self {
            parts,
            config,
            compared: Mutex::default(),
            suspicions: Mutex::default(),
            last_verified: Mutex::default(),
            adjusting: futures::lock::Mutex::default(),
            no_money_sweep_before: Mutex::default(),
            estimates: Mutex::default(),
            receipts: Mutex::default(),
            payer: Mutex::default(),
        })
    }

    /// How it is set up.
    pub fn config(&self) -> &MoneyConfig {
        &self.config
    }
}
