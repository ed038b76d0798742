use lucid_model::{
    epochs::{epoch::PeriodLength, score::Ppm},
    fleet::node::NodeCaps,
    id::Digest,
    money::{
        MicroUsdt,
        payout::{Deadlines, Pace},
    },
};

use crate::{SampleLimits, SeriesAges, WebhookSettings};

/// Who lets a pending node become active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// The validation policy alone: the node's first signed report, or its owner, activates it.
    Auto,
    /// An operator.
    Manual,
}

/// Whose sessions count as observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A node's own, within what the service witnessed.
    Witnessed,
    /// Only those of a principal with role `observer`.
    Attested,
}

/// What bounds the time in which a request that was decided on may be on its way, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayerLimits {
    /// From the decision to send to the send: as long as a lease lasts.
    pub decided_ms_max: i64,
    /// From the send to its answer, or to its being given up.
    pub timeout_ms: i64,
}

/// How the service works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// `POOT_SCORE_MULTIPLIER`.
    pub score_multiplier: Ppm,
    /// `POOT_MIN_OBSERVATION_TIME`: credited seconds within the window that make a node eligible.
    pub observation_min_s: u64,
    /// `POOT_ELIGIBILITY_WINDOW_S`.
    pub eligibility_window_s: i64,
    /// `OBSERVATION_TRUST`.
    pub trust: Trust,
    /// Length of an epoch.
    pub epoch: PeriodLength,
    /// How long after its end an epoch is closed: reports on their way still count.
    pub epoch_close_delay_ms: i64,
    /// Share of the expected reports at which an epoch is closed without waiting for more.
    pub epoch_completeness_min: Ppm,
    /// How long after its end an epoch is closed whatever has arrived; never before the delay is
    /// over.
    pub epoch_deadline_ms: i64,
    /// Chunks, and pools, that are scored side by side. What comes out does not depend on it.
    pub chunks_at_once: usize,
    /// Other replicas may work on this store, and help to close an epoch.
    pub replicas: bool,
    /// Length of a settlement period.
    pub settlement: PeriodLength,
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
    /// Who plans may not approve, who uploads a payout policy may not activate it.
    pub four_eyes: bool,
    /// How long a changed wallet is not paid; a first one is paid at once.
    pub wallet_cooldown_ms: i64,
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
    /// `REGISTRATION_APPROVAL`.
    pub approval: Approval,
    /// Silence after which an active node is in error.
    pub silence_ms: i64,
    /// Percent of the fleet beyond which silence at once is no node's fault; 0 = every node is
    /// judged by itself.
    pub mass_outage_percent: u32,
    /// Caps on registrations.
    pub caps: NodeCaps,
    /// How long a challenge is good for.
    pub challenge_ms: i64,
    /// How far a signed registration's time may be from ours.
    pub registration_skew_ms: i64,
    /// How long a request with an idempotency key has for itself before it is tried again: longer
    /// than any request may take.
    pub request_lease_ms: i64,
    /// How long its answer is kept.
    pub request_kept_ms: i64,
    /// Age at which a vote is not sent any more.
    pub votes_age_max_ms: i64,
    /// First wait before a vote is sent again; doubles.
    pub vote_retry_first_ms: i64,
    /// Votes on their way at once.
    pub votes_in_flight_max: usize,
    /// Events that a listener in this process may be behind before it loses the oldest.
    pub events_buffered_max: usize,
    /// Reports that may wait for the store at once; who comes beyond is asked to come again.
    pub reports_waiting_max: usize,
    /// Samples that a node may send in a day.
    pub sample_limits: SampleLimits,
    /// Enrolment tokens that are kept for one owner; 0 = no cap.
    pub enrolments_per_owner_max: u64,
    /// How webhooks are sent.
    pub webhooks: WebhookSettings,
    /// How long an alert about a node is kept once it is over.
    pub alerts_kept_ms: i64,
    /// How long what nodes measured is kept.
    pub series: SeriesAges,
    /// Components that come with the binary, the first of a kind being the one to trust when
    /// everything else fails.
    pub built_in: Vec<Digest>,
}
