//! Payout runs: what is planned, for whom, and who is left out.

use std::fmt::Write as _;

use lucid_model::{
    fleet::{node::PublicKey, statement},
    id::{Digest, NodeId},
    money::{
        MicroUsdt, merkle,
        payout::{PayoutState, Receipt, run_statement},
        run::{Run, RunPart, RunStage},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    csv::cell,
    fields::{FieldError, Fields, Request},
    money::payout::PayoutBody,
    schema,
};

/// Nodes of one run that are chosen.
const CHOSEN_MAX: usize = 1_000;

/// A payout run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub run_id: String,
    /// Start of the settlement period in which it was planned, Unix seconds.
    pub cycle: i64,
    /// `planned`, `approved`, `done`, `cancelled`.
    #[schema(value_type = schema::RunState)]
    pub state: String,
    /// Who planned it.
    pub planner: String,
    /// Who approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// Who let its payouts go; nothing is sent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Whether it is being planned: its payouts are not all there yet.
    pub planning: bool,
    /// For how many chosen nodes; left out: everybody who can be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_nodes: Option<u64>,
    /// Its payouts, counted.
    pub payout_count: u32,
    /// Their sum, a decimal string.
    #[schema(value_type = schema::Usdt)]
    pub total_usdt: String,
    /// Why it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Planned.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: String,
    /// Last change.
    #[schema(value_type = schema::Timestamp)]
    pub updated_at: String,
}

impl From<&Run> for RunBody {
    fn from(run: &Run) -> Self {
        Self {
            run_id: run.id.to_string(),
            cycle: run.cycle,
            state: run.state.name().into(),
            planner: run.planner.clone(),
            approver: run.approver.clone(),
            executor: run.executor.clone(),
            planning: run.stage() == RunStage::Planning,
            chosen_nodes: Some(run.nodes.len() as u64).filter(|nodes| *nodes > 0),
            payout_count: run.count,
            total_usdt: run.total.to_string(),
            reason: run.reason.clone(),
            created_at: run.created_at.to_string(),
            updated_at: run.updated_at.to_string(),
        }
    }
}

/// Who is to be paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlanRunRequest {
    /// These nodes, at most 1,000; left out: everybody who can be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<schema::Id>>, min_items = 1, max_items = 1000)]
    pub node_ids: Option<Vec<String>>,
}

impl Request for PlanRunRequest {
    type Valid = Vec<NodeId>;
    fn read(fields: &Fields<'_>) -> Result<Vec<NodeId>, FieldError> {
        let texts = fields.texts("node_ids", 1..=CHOSEN_MAX, 1..=36)?.unwrap_or_default();
        let node = |(place, text): (usize, &String)| {
            text.parse().map_err(|_| fields.error(&format!("node_ids[{place}]"), "must be a UUID"))
        };
        texts.iter().enumerate().map(node).collect()
    }
}

/// Payouts of a run in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunPartBody {
    /// The state.
    #[schema(value_type = schema::PayoutState)]
    pub state: String,
    /// How many.
    pub count: u64,
    /// Their sum.
    #[schema(value_type = schema::Usdt)]
    pub total_usdt: String,
}

/// A payout with the proof that its run says so of it: hashes and signature can be checked by
/// anybody (`lucid payout verify`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayoutProofBody {
    /// The payout.
    pub payout: PayoutBody,
    /// Its place among the run's receipts, which are in the order of their payouts' ids.
    pub index: u32,
    /// How many receipts the run has.
    pub receipts: u32,
    /// The hashes beside the way to the root (RFC 9162), from the leaf upwards, hex.
    pub path: Vec<String>,
    /// The root, hex.
    #[schema(value_type = schema::Digest)]
    pub root: String,
    /// The service's Ed25519 key, hex; the one of GET /api/v1/audit/heads.
    pub public_key: String,
    /// Its signature of run, number of receipts and root, hex.
    pub signature: String,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A field is not what it should be.
    #[error("{0} is not readable")]
    Unreadable(&'static str),
    /// The hashes do not lead from the payout to the root.
    #[error(
        "the hashes do not lead from this payout to the run's root: it is not one of its receipts"
    )]
    NotAReceipt,
    /// The signature is not the key's.
    #[error("the signature of the run's root is not by the key {0}")]
    NotSigned(String),
}

impl PayoutProofBody {
    /// A payout at a place among so many receipts, with its way to the root, and who signed that.
    pub fn new(
        payout: PayoutBody,
        (index, receipts): (u32, u32),
        (path, root): (&[Digest], Digest),
        (key, signature): (PublicKey, &[u8]),
    ) -> Self {
        let path = path.iter().map(ToString::to_string).collect();
        Self {
            payout,
            index,
            receipts,
            path,
            root: root.to_string(),
            public_key: hex::encode(key.0),
            signature: hex::encode(signature),
        }
    }

    /// Checks that the payout is one of the receipts whose root the key signed.
    ///
    /// # Errors
    /// [`ProofError`]: the first thing that is wrong.
    pub fn check(&self) -> Result<(), ProofError> {
        use ProofError::Unreadable;
        let of = &self.payout;
        let amount = of.amount.to_string().parse().map_err(|_| Unreadable("payout.amount"))?;
        let receipt = Receipt {
            payout: of.payout_id.parse().map_err(|_| Unreadable("payout.payout_id"))?,
            run: of.run_id.parse().map_err(|_| Unreadable("payout.run_id"))?,
            node: of.node_id.parse().map_err(|_| Unreadable("payout.node_id"))?,
            owner: of.user_id.parse().map_err(|_| Unreadable("payout.user_id"))?,
            attempt: of.attempt,
            amount,
            address: of.wallet_address.parse().map_err(|_| Unreadable("payout.wallet_address"))?,
            state: PayoutState::from_name(&of.state).ok_or(Unreadable("payout.state"))?,
            txid: of.transaction_id.clone(),
        };
        let path: Result<Vec<Digest>, _> = self.path.iter().map(|hash| hash.parse()).collect();
        let path = path.map_err(|_| Unreadable("path"))?;
        let root: Digest = self.root.parse().map_err(|_| Unreadable("root"))?;
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        if !merkle::verify(receipt.leaf(), place(self.index), place(self.receipts), &path, root) {
            return Err(ProofError::NotAReceipt);
        }
        let (mut key, mut signature) = ([0; 32], [0; 64]);
        hex::decode_to_slice(&self.public_key, &mut key).map_err(|_| Unreadable("public_key"))?;
        hex::decode_to_slice(&self.signature, &mut signature)
            .map_err(|_| Unreadable("signature"))?;
        let said = run_statement(receipt.run, self.receipts, root);
        if statement::verify(PublicKey(key), &said, &signature) {
            Ok(())
        } else {
            Err(ProofError::NotSigned(self.public_key.clone()))
        }
    }
}

/// Nodes that have something and are not paid by a run, and why; as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOutBody {
    /// `below_minimum` (carried over), `not_mature`, `no_wallet`, `wallet_cooling_down`,
    /// `suspended`, `open_payout`, `not_planned`.
    #[schema(value_type = schema::LeftOut)]
    pub reason: String,
    /// How many nodes.
    pub nodes: u64,
    /// What they have available, in sum.
    #[schema(value_type = schema::Usdt)]
    pub available_usdt: String,
}

/// A run against the one before it that was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SinceBody {
    /// That run.
    #[schema(value_type = schema::Id)]
    pub run_id: String,
    /// Payouts more, or less.
    pub payouts: i64,
    /// USDT more, or less.
    #[schema(value_type = schema::Usdt)]
    pub total_usdt: String,
}

/// What is in a run, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunReportBody {
    /// The run.
    pub run: RunBody,
    /// Its payouts, by state.
    pub payouts: Vec<RunPartBody>,
    /// Who has something and is not paid by it.
    pub left_out: Vec<LeftOutBody>,
    /// What is different from the run before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_previous: Option<SinceBody>,
}

impl RunReportBody {
    /// Of a run, its payouts, who is left out (why, nodes, available), and the run before.
    pub fn new(
        run: &Run,
        parts: &[RunPart],
        left_out: Vec<(&str, u64, MicroUsdt)>,
        previous: Option<&Run>,
    ) -> Self {
        let mut payouts: Vec<RunPartBody> = Vec::new();
        for part in parts {
            // Of another planning, or not closed yet, is no difference here.
            let before = payouts.iter().position(|other| other.state == part.state.name());
            let earlier = before.map(|place| payouts.remove(place));
            let total = earlier
                .as_ref()
                .and_then(|earlier| earlier.total_usdt.parse().ok())
                .unwrap_or(MicroUsdt::ZERO);
            payouts.push(RunPartBody {
                state: part.state.name().into(),
                count: earlier.map_or(0, |earlier| earlier.count) + u64::from(part.count),
                total_usdt: MicroUsdt(total.0.saturating_add(part.total.0)).to_string(),
            });
        }
        let since = |previous: &Run| SinceBody {
            run_id: previous.id.to_string(),
            payouts: i64::from(run.count) - i64::from(previous.count),
            total_usdt: MicroUsdt(run.total.0.saturating_sub(previous.total.0)).to_string(),
        };
        let left_out = left_out.into_iter();
        Self {
            run: run.into(),
            payouts,
            left_out: left_out
                .map(|(reason, nodes, available)| LeftOutBody {
                    reason: reason.into(),
                    nodes,
                    available_usdt: available.to_string(),
                })
                .collect(),
            since_previous: previous.map(since),
        }
    }
}

/// A run's report as comma-separated values.
#[derive(Debug)]
pub struct RunCsv(String);

impl Default for RunCsv {
    fn default() -> Self {
        Self("node_id,user_id,state,amount,left_out,available,previous,wallet_address,transaction_id,payout_id\n".into())
    }
}

impl RunCsv {
    /// Adds a node that is paid; `previous`: what it got in the run before.
    pub fn paid(&mut self, payout: &PayoutBody, previous: Option<MicroUsdt>) {
        let previous = previous.map(|amount| amount.to_string()).unwrap_or_default();
        let txid = payout.transaction_id.as_deref().unwrap_or_default();
        let (node, owner, state) = (&payout.node_id, &payout.user_id, &payout.state);
        // Writing into a text does not fail.
        let _ = writeln!(
            self.0,
            "{node},{owner},{state},{},,,{previous},{},{},{}",
            payout.amount,
            payout.wallet_address,
            cell(txid),
            payout.payout_id
        );
    }

    /// Adds a node that is left out.
    pub fn left_out(
        &mut self,
        (node, owner): (&str, &str),
        why: &str,
        available: MicroUsdt,
        previous: Option<MicroUsdt>,
    ) {
        let previous = previous.map(|amount| amount.to_string()).unwrap_or_default();
        let _ = writeln!(self.0, "{node},{owner},,,{why},{available},{previous},,,");
    }

    /// The text.
    pub fn finish(self) -> String {
        self.0
    }
}
