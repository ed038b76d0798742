//! Versions that run beside the active ones, and what they said.

use std::{collections::BTreeMap, fmt::Write as _};

use lucid_model::{
    id::PoolScope,
    money::MicroUsdt,
    policies::{Findings, ParamValues, PolicyIdentity, Shadow, ShadowResult},
    review::simulation::{Compared as _, Earned, Of, Simulation, Summary},
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::simulation::{
    EXTREMES_MAX, SimulatedNodeBody, SimulatedSideBody, SimulationBody, narrow,
};
use crate::{
    epochs::poot::PolicyRefBody,
    fields::{FieldError, Fields, Request},
    page::Pagination,
    schema,
};

/// A version to run beside the active one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BeginShadowRequest {
    /// Params to set; the others have the policy's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, schema::ParamValue>>)]
    pub params: BTreeMap<String, i64>,
    /// Only this pool's nodes; `unassigned`: those in no pool. All nodes, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PoolScope>)]
    pub pool_id: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::OptionalReason>)]
    pub reason: Option<String>,
}

/// A checked shadow to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginShadow {
    /// Params.
    pub params: ParamValues,
    /// Of these nodes.
    pub pool: Option<PoolScope>,
    /// Why.
    pub reason: String,
}

impl Request for BeginShadowRequest {
    type Valid = BeginShadow;
    fn read(fields: &Fields<'_>) -> Result<BeginShadow, FieldError> {
        let reason = fields.text("reason", 0..=500)?.unwrap_or_default();
        Ok(BeginShadow {
            params: super::life::params(fields)?,
            pool: fields.parsed("pool_id")?,
            reason,
        })
    }
}

/// A version that runs beside the active one, or did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub shadow_id: String,
    /// What it would decide.
    #[schema(value_type = schema::PolicyKind)]
    pub kind: String,
    /// The version.
    pub policy: PolicyRefBody,
    /// Params that were set.
    pub params: BTreeMap<String, i64>,
    /// The pool whose nodes it is asked about, or `unassigned`; absent: all nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_id: Option<String>,
    /// `running`, or `ended`.
    #[schema(value_type = schema::ShadowState)]
    pub state: String,
    /// It is asked about periods that begin at this time or later.
    #[schema(value_type = schema::Timestamp)]
    pub from: String,
    /// When it was begun.
    #[schema(value_type = schema::Timestamp)]
    pub started_at: String,
    /// By whom.
    pub started_by: String,
    /// Why.
    pub reason: String,
    /// When it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub ended_at: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
}

impl From<&Shadow> for ShadowBody {
    fn from(shadow: &Shadow) -> Self {
        let end = shadow.ended.as_ref();
        Self {
            shadow_id: shadow.id.to_string(),
            kind: shadow.kind.name().into(),
            policy: (&shadow.policy).into(),
            params: shadow.params.clone().into_iter().collect(),
            pool_id: shadow.pool.map(|pool| pool.to_string()),
            state: if end.is_some() { "ended" } else { "running" }.into(),
            from: TimeMs::from_unix_s(shadow.from_s).to_string(),
            started_at: shadow.started_at.to_string(),
            started_by: shadow.actor.clone(),
            reason: shadow.reason.clone(),
            ended_at: end.map(|end| end.at.to_string()),
            ended_by: end.map(|end| end.by.clone()),
            end_reason: end.map(|end| end.reason.clone()),
        }
    }
}

/// What a scoring policy would have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScoresComparedBody {
    /// All scores as they were.
    pub before: SimulatedSideBody,
    /// As they would have been.
    pub after: SimulatedSideBody,
    /// Score-seconds more, or less.
    pub difference: i64,
    /// Nodes that would have gained most.
    #[schema(max_items = 20)]
    pub winners: Vec<SimulatedNodeBody>,
    /// Nodes that would have lost most.
    #[schema(max_items = 20)]
    pub losers: Vec<SimulatedNodeBody>,
}

/// A node's earnings on both sides, USDT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarningNodeBody {
    /// The node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// The pool that it was in last, or `unassigned`.
    pub pool_id: String,
    /// As it was booked.
    #[schema(value_type = schema::Usdt)]
    pub before: String,
    /// As it would have been.
    #[schema(value_type = schema::Usdt)]
    pub after: String,
    /// More, or less.
    #[schema(value_type = schema::Usdt)]
    pub difference: String,
}

/// What a payout policy would have changed, USDT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoneyComparedBody {
    /// All that was booked.
    #[schema(value_type = schema::Usdt)]
    pub before: String,
    /// All that would have been.
    #[schema(value_type = schema::Usdt)]
    pub after: String,
    /// More, or less.
    #[schema(value_type = schema::Usdt)]
    pub difference: String,
    /// Nodes that would have gained most.
    #[schema(max_items = 20)]
    pub winners: Vec<EarningNodeBody>,
    /// Nodes that would have lost most.
    #[schema(max_items = 20)]
    pub losers: Vec<EarningNodeBody>,
}

fn difference(earned: &Earned) -> String {
    MicroUsdt(narrow(earned.difference())).to_string()
}

impl EarningNodeBody {
    fn of((node, pool, earned): &Of<Earned>) -> Self {
        Self {
            node_id: node.to_string(),
            pool_id: pool.to_string(),
            before: earned.before.to_string(),
            after: earned.after.to_string(),
            difference: difference(earned),
        }
    }
}

impl MoneyComparedBody {
    fn of(found: &Summary<Earned>) -> Self {
        Self {
            before: found.total.before.to_string(),
            after: found.total.after.to_string(),
            difference: difference(&found.total),
            winners: found.winners.iter().map(EarningNodeBody::of).collect(),
            losers: found.losers.iter().map(EarningNodeBody::of).collect(),
        }
    }
}

/// How a payout policy would have shared what is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayoutSimulationBody {
    /// The version.
    pub policy: PolicyRefBody,
    /// The params that it had, all of them.
    pub params: BTreeMap<String, i64>,
    /// Settlement periods that it was asked about.
    pub periods: u64,
    /// Nodes.
    pub nodes: u64,
    /// Nodes that would have had another amount.
    pub nodes_changed: u64,
    /// What would have been another.
    pub usdt: MoneyComparedBody,
}

impl PayoutSimulationBody {
    /// What came out.
    pub fn new(identity: &PolicyIdentity, simulation: &Simulation<Earned>) -> Self {
        let found = simulation.summary(EXTREMES_MAX);
        Self {
            policy: (&identity.policy).into(),
            params: identity.params.iter().map(|(name, value)| (name.clone(), *value)).collect(),
            periods: simulation.periods,
            nodes: found.nodes,
            nodes_changed: found.changed,
            usdt: MoneyComparedBody::of(&found),
        }
    }
}

/// What a version would have decided: scores, or money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum SimulatedBody {
    /// Of a scoring policy.
    Scores(SimulationBody),
    /// Of a payout policy.
    Money(PayoutSimulationBody),
}

/// What a shadow said about a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowResultBody {
    /// Start of the epoch or settlement period, Unix seconds.
    pub period: i64,
    /// Its length in seconds.
    pub period_seconds: u32,
    /// When it was asked.
    #[schema(value_type = schema::Timestamp)]
    pub asked_at: String,
    /// Nodes that it was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u64>,
    /// Nodes of which anything would have been another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_changed: Option<u64>,
    /// Of a scoring policy: what would have been another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<ScoresComparedBody>,
    /// Of a payout policy: what would have been another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usdt: Option<MoneyComparedBody>,
    /// Why it has no answer: it failed, or cannot be loaded here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl From<&ShadowResult> for ShadowResultBody {
    fn from(result: &ShadowResult) -> Self {
        let mut body = Self {
            period: result.period.start_s,
            period_seconds: result.period.length.seconds(),
            asked_at: result.at.to_string(),
            nodes: None,
            nodes_changed: None,
            scores: None,
            usdt: None,
            failure: None,
        };
        match &result.findings {
            Findings::Scores(found) => {
                (body.nodes, body.nodes_changed) = (Some(found.nodes), Some(found.changed));
                body.scores = Some(ScoresComparedBody {
                    before: SimulatedSideBody::of(&found.total, &found.total.before),
                    after: SimulatedSideBody::of(&found.total, &found.total.after),
                    difference: narrow(found.total.difference()),
                    winners: found.winners.iter().map(SimulatedNodeBody::of).collect(),
                    losers: found.losers.iter().map(SimulatedNodeBody::of).collect(),
                });
            }
            Findings::Money(found) => {
                (body.nodes, body.nodes_changed) = (Some(found.nodes), Some(found.changed));
                body.usdt = Some(MoneyComparedBody::of(found));
            }
            Findings::Failed(reason) => body.failure = Some(reason.clone()),
        }
        body
    }
}

/// A shadow, and a page of what it said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowResultList {
    /// The shadow.
    pub shadow: ShadowBody,
    /// What it said, a period each.
    pub results: Vec<ShadowResultBody>,
    /// Where the page is in the list.
    pub pagination: Pagination,
}

/// Results as lines of comma-separated values, below one with the names. Differences are
/// score-seconds or USDT.
pub fn results_csv(results: &[ShadowResult]) -> String {
    let mut csv = String::from("period,nodes,nodes_changed,before,after,difference,failure\n");
    for result in results {
        let start = TimeMs::from_unix_s(result.period.start_s);
        // Writing into a text does not fail.
        let _ = match &result.findings {
            Findings::Scores(Summary { nodes, changed, total, .. }) => {
                let (before, after) = (total.before.score_seconds, total.after.score_seconds);
                writeln!(csv, "{start},{nodes},{changed},{before},{after},{},", total.difference())
            }
            Findings::Money(Summary { nodes, changed, total, .. }) => {
                writeln!(
                    csv,
                    "{start},{nodes},{changed},{},{},{},",
                    total.before,
                    total.after,
                    difference(total)
                )
            }
            Findings::Failed(_) => writeln!(csv, "{start},,,,,,failed"),
        };
    }
    csv
}
