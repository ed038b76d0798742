//! What people decide about payments, and how it stands with money.

use lucid_model::{
    money::{
        MicroUsdt,
        payout::{About, Correction, Outcome, PaymentsSwitch, Proposal},
    },
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    money::{
        payout::{PayoutBody, amount},
        resolution::{ResolutionBody, outcome_name},
    },
    schema,
};

/// Whether payments are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentsSwitchBody {
    /// `active`; `freezing`: nothing more is sent, and what was may still be on its way; `frozen`:
    /// nothing is on its way.
    #[schema(value_type = schema::FreezeState)]
    pub state: String,
    /// Nothing is sent, and nothing is on its way; what was sent is looked after.
    pub frozen: bool,
    /// Requests that may be on their way while payments are freezing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// How much they are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usdt>)]
    pub in_flight_usdt: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub frozen_at: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was noticed that the store was restored from a backup, or copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub restored_at: Option<String>,
    /// When the newest record of the restored store was written: payouts have to be compared from
    /// then on, at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub backup_at: Option<String>,
    /// Since when payouts are compared with the payment service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub reconciling_since: Option<String>,
    /// When that was done: payments of a restored store are let go only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub reconciled_at: Option<String>,
}

/// Since when payouts are to be compared with the payment service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReconcileRequest {
    /// Payouts that changed last at this time or later: for a restored store, when the backup was
    /// made.
    #[schema(value_type = schema::Timestamp)]
    pub since: String,
}

impl Request for ReconcileRequest {
    type Valid = TimeMs;
    fn read(fields: &Fields<'_>) -> Result<TimeMs, FieldError> {
        fields.require("since", fields.time("since")?)
    }
}

impl PaymentsSwitchBody {
    /// The switch, and what may be on its way: how many requests, about how much.
    pub fn new(switch: &PaymentsSwitch, (count, total): (u64, MicroUsdt)) -> Self {
        let frozen = switch.frozen.as_ref();
        let freezing = frozen.is_some_and(|freeze| freeze.still_at.is_none());
        Self {
            state: switch.state().into(),
            frozen: frozen.is_some() && !freezing,
            in_flight: freezing.then_some(count),
            in_flight_usdt: freezing.then(|| total.to_string()),
            backup_at: switch.backup_at.map(|at| at.to_string()),
            frozen_at: frozen.map(|f| f.at.to_string()),
            frozen_by: frozen.map(|f| f.by.clone()),
            reason: frozen.map(|f| f.reason.clone()),
            restored_at: switch.restored_at.map(|at| at.to_string()),
            reconciling_since: switch.reconciliation.map(|asked| asked.since.to_string()),
            reconciled_at: switch
                .reconciliation
                .and_then(|asked| asked.done_at)
                .map(|at| at.to_string()),
        }
    }
}

/// A payout was paid, though the payment service does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PaidRequest {
    /// The transaction that paid it.
    #[schema(value_type = schema::TransactionId)]
    pub transaction_id: String,
    /// How that is known: an extract, a ticket, a letter of the payment service.
    #[schema(value_type = schema::Reason)]
    pub evidence: String,
}

/// A payout was not paid, and never will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotPaidRequest {
    /// How that is known: an extract, a ticket, a letter of the payment service.
    #[schema(value_type = schema::Reason)]
    pub evidence: String,
}

/// A checked word about a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvePayout {
    /// What became of it.
    pub outcome: Outcome,
    /// How that is known.
    pub evidence: String,
}

fn evidence(fields: &Fields<'_>) -> Result<String, FieldError> {
    fields.require("evidence", fields.text("evidence", 1..=500)?)
}

impl Request for PaidRequest {
    type Valid = ResolvePayout;
    fn read(fields: &Fields<'_>) -> Result<ResolvePayout, FieldError> {
        let txid = fields.require("transaction_id", fields.text("transaction_id", 1..=128)?)?;
        Ok(ResolvePayout { outcome: Outcome::Paid { txid }, evidence: evidence(fields)? })
    }
}

impl Request for NotPaidRequest {
    type Valid = ResolvePayout;
    fn read(fields: &Fields<'_>) -> Result<ResolvePayout, FieldError> {
        Ok(ResolvePayout { outcome: Outcome::NotPaid, evidence: evidence(fields)? })
    }
}

/// A node's balances are put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CorrectionRequest {
    /// `release_hold`, `forfeit_hold`, `credit` (from the treasury), `debit` (to the treasury).
    #[schema(value_type = schema::Correction)]
    pub correction: String,
    /// USDT, a decimal string above zero.
    #[schema(value_type = schema::UsdtAmount)]
    pub amount_usdt: String,
    /// Why; it is in the ledger.
    #[schema(value_type = schema::Reason)]
    pub reason: String,
}

/// A checked correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidCorrection {
    /// What is done.
    pub correction: Correction,
    /// With how much.
    pub amount: MicroUsdt,
    /// Why.
    pub reason: String,
}

impl Request for CorrectionRequest {
    type Valid = ValidCorrection;
    fn read(fields: &Fields<'_>) -> Result<ValidCorrection, FieldError> {
        Ok(ValidCorrection {
            correction: fields.require(
                "correction",
                fields.word("correction", Correction::ALL, Correction::name)?,
            )?,
            amount: fields.require("amount_usdt", amount(fields)?)?,
            reason: fields.require("reason", fields.text("reason", 1..=500)?)?,
        })
    }
}

/// What one treasurer says, for another one to confirm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub proposal_id: String,
    /// About which payout, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub payout_id: Option<String>,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PayoutOutcome>)]
    pub outcome: Option<String>,
    /// The transaction that paid it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// About how many payouts, if it is about several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payouts: Option<u64>,
    /// What became of each of them; only where one proposal is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolutions: Option<Vec<ResolutionBody>>,
    /// About which node's balances, if it is about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub node_id: Option<String>,
    /// What is done with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Correction>)]
    pub correction: Option<String>,
    /// With how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usdt>)]
    pub amount_usdt: Option<String>,
    /// About which mismatch, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub mismatch_id: Option<String>,
    /// What is done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Remedy>)]
    pub remedy: Option<String>,
    /// How that is known, or why.
    pub evidence: String,
    /// Who says so.
    pub proposed_by: String,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub proposed_at: String,
    /// `open`, `accepted`, `refused`.
    #[schema(value_type = schema::ProposalState)]
    pub state: String,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub decided_at: Option<String>,
}

impl From<&Proposal> for ProposalBody {
    fn from(proposal: &Proposal) -> Self {
        let (said, several, balance) = match &proposal.about {
            About::Payout { payout, outcome } => (Some((payout, outcome)), None, None),
            About::Payouts(resolutions) => (None, Some(resolutions), None),
            About::Balance { node, correction, amount } => {
                (None, None, Some((node, correction, amount)))
            }
            About::Mismatch { .. } => (None, None, None),
        };
        let mismatch = if let About::Mismatch { mismatch, remedy } = &proposal.about {
            Some((mismatch, remedy))
        } else {
            None
        };
        let decision = proposal.decided.as_ref();
        let state = decision
            .map_or("open", |decision| if decision.accepted { "accepted" } else { "refused" });
        Self {
            proposal_id: proposal.id.to_string(),
            payout_id: said.map(|(payout, _)| payout.to_string()),
            outcome: said.map(|(_, outcome)| outcome_name(outcome).into()),
            transaction_id: said.and_then(|(_, outcome)| outcome.txid().map(str::to_owned)),
            payouts: several.map(|resolutions| resolutions.len() as u64),
            resolutions: None,
            node_id: balance.map(|(node, ..)| node.to_string()),
            correction: balance.map(|(_, correction, _)| correction.name().into()),
            amount_usdt: balance.map(|(_, _, amount)| amount.to_string()),
            mismatch_id: mismatch.map(|(mismatch, _)| mismatch.to_string()),
            remedy: mismatch.map(|(_, remedy)| remedy.name().into()),
            evidence: proposal.evidence.clone(),
            proposed_by: proposal.by.clone(),
            proposed_at: proposal.at.to_string(),
            state: state.into(),
            decided_by: decision.map(|decision| decision.by.clone()),
            decided_at: decision.map(|decision| decision.at.to_string()),
        }
    }
}

impl ProposalBody {
    /// With what became of each payout of a batch.
    pub fn whole(proposal: &Proposal) -> Self {
        let resolutions = match &proposal.about {
            About::Payouts(resolutions) => Some(resolutions.iter().map(Into::into).collect()),
            About::Payout { .. } | About::Balance { .. } | About::Mismatch { .. } => None,
        };
        Self { resolutions, ..proposal.into() }
    }
}

/// What came of a treasurer's word about a payout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResolvedBody {
    /// The payout, if it is resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout: Option<PayoutBody>,
    /// What another treasurer has to confirm, or what was decided about several payouts or a
    /// balance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<ProposalBody>,
}

/// Open payouts in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenPayoutsBody {
    /// The state.
    #[schema(value_type = schema::PayoutState)]
    pub state: String,
    /// How many.
    pub count: u64,
    /// How much.
    #[schema(value_type = schema::Usdt)]
    pub total_usdt: String,
    /// When the oldest was planned.
    #[schema(value_type = schema::Timestamp)]
    pub oldest_at: String,
}

impl OpenPayoutsBody {
    /// Payouts in a state.
    pub fn new(state: &str, count: u64, total: MicroUsdt, oldest: TimeMs) -> Self {
        Self {
            state: state.into(),
            count,
            total_usdt: total.to_string(),
            oldest_at: oldest.to_string(),
        }
    }
}

/// What the last verification of all books found; each replica that verifies tells of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BooksVerifiedBody {
    /// When it ended.
    #[schema(value_type = schema::Timestamp)]
    pub verified_at: String,
    /// Whether everything adds up.
    pub in_order: bool,
    /// The first thing that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flaw: Option<String>,
    /// Entries that were recomputed.
    pub entries: u64,
    /// Payouts that were compared.
    pub payouts: u64,
}

/// A payout that has to be looked up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComparedAgainBody {
    /// The payout.
    #[schema(value_type = schema::Id)]
    pub payout_id: String,
    /// What the payment service said the last time.
    pub said: String,
    /// How often it said nothing that tells.
    pub looks: u32,
}

/// How it stands with money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandingBody {
    /// `safe`, `attention` (nothing is lost, a person should look), `stopped` (nothing is paid, or
    /// the books are not in order).
    #[schema(value_type = schema::Safety)]
    pub safety: String,
    /// Why it is no better, what stops payments first.
    pub reasons: Vec<String>,
    /// When this was.
    #[schema(value_type = schema::Timestamp)]
    pub at: String,
    /// Whether payments are sent.
    pub payments: PaymentsSwitchBody,
    /// The payment service; absent: nothing is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rail: Option<String>,
    /// It refuses us until then at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub rail_paused_until: Option<String>,
    /// Payouts that are not over, by state.
    pub open_payouts: Vec<OpenPayoutsBody>,
    /// Proposals that wait for another treasurer.
    pub proposals_open: u64,
    /// Payouts that the payment service contradicts, and that nobody ended.
    pub mismatches_open: u64,
    /// Payouts that have to be looked up again before it is known whether the payment service says
    /// the same, at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub compared_again: Vec<ComparedAgainBody>,
    /// What is not promised to anybody.
    #[schema(value_type = schema::Usdt)]
    pub treasury_usdt: String,
    /// What nodes left behind and nobody claimed within 365 days: kept apart.
    #[schema(value_type = schema::Usdt)]
    pub unclaimed_usdt: String,
    /// The last verification of the books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub books: Option<BooksVerifiedBody>,
    /// Start of the last epoch that was closed, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_epoch: Option<i64>,
    /// How long after its end it was closed, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_epoch_lateness_seconds: Option<i64>,
    /// Start of the last period that was settled, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_period: Option<i64>,
    /// The store.
    pub store: StoreBody,
    /// Tasks of the replica that answers.
    pub tasks: Vec<TaskBody>,
}

/// Which store the service uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreBody {
    /// The same for all copies of a store; the setting `store.family` takes it.
    pub family: String,
    /// When the family's first store was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub created_at: Option<String>,
    /// What is damaged in it: nothing is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// What a replica does by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskBody {
    /// Its name.
    pub name: String,
    /// Seconds since it succeeded last; absent while another replica does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_age_seconds: Option<u64>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
