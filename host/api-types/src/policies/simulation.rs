//! How a version would have scored epochs that are over.

use std::collections::BTreeMap;

use lucid_model::{
    id::PoolScope,
    policies::{ParamValues, PolicyIdentity},
    review::simulation::{Change, Compared as _, Of, Side, Simulation},
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    epochs::poot::PolicyRefBody,
    fields::{FieldError, Fields, Request},
    number::ExactNumber,
    schema,
};

/// Nodes that gain or lose most, of each.
pub(super) const EXTREMES_MAX: usize = 20;

/// Which epochs a version is asked about, and with what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SimulatePolicyRequest {
    /// Params to set; the others have the policy's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, schema::ParamValue>>)]
    pub params: BTreeMap<String, i64>,
    /// Closed epochs that begin at this time or later; the day before `to`, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub from: Option<String>,
    /// Closed epochs that begin before this time; now, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub to: Option<String>,
    /// Only this pool's nodes; `unassigned`: those in no pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PoolScope>)]
    pub pool_id: Option<String>,
}

/// A checked simulation to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSimulation {
    /// Params.
    pub params: ParamValues,
    /// Epochs from here on.
    pub from: Option<TimeMs>,
    /// And before this.
    pub to: Option<TimeMs>,
    /// Of these nodes.
    pub pool: Option<PoolScope>,
}

impl Request for SimulatePolicyRequest {
    type Valid = NewSimulation;
    fn read(fields: &Fields<'_>) -> Result<NewSimulation, FieldError> {
        let (from, to) = (fields.parsed("from")?, fields.parsed("to")?);
        if from.zip(to).is_some_and(|(from, to): (TimeMs, TimeMs)| from >= to) {
            return Err(FieldError::new("to", "must be after from"));
        }
        Ok(NewSimulation {
            params: super::life::params(fields)?,
            from,
            to,
            pool: fields.parsed("pool_id")?,
        })
    }
}

/// One side: as it was, or as it would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SimulatedSideBody {
    /// Mean score.
    #[schema(value_type = schema::Score)]
    pub mean_score: ExactNumber,
    /// Unclamped scores (hundredths) × credited seconds, of eligible nodes: what pools share by.
    pub score_seconds: u64,
    /// Scores that would have been more than 100.
    pub clamped: u64,
    /// Scores that are held because the policy failed for the node.
    pub held: u64,
}

impl SimulatedSideBody {
    pub(super) fn of(change: &Change, side: &Side) -> Self {
        Self {
            mean_score: change.mean(side).into(),
            score_seconds: side.score_seconds,
            clamped: side.clamped,
            held: side.held,
        }
    }
}

/// A node on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SimulatedNodeBody {
    /// The node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// The pool that it was in last, or `unassigned`.
    pub pool_id: String,
    /// Epochs that it was scored in.
    pub epochs: u64,
    /// As it was.
    pub before: SimulatedSideBody,
    /// As it would have been.
    pub after: SimulatedSideBody,
    /// Score-seconds more, or less.
    pub difference: i64,
}

impl SimulatedNodeBody {
    pub(super) fn of((node, pool, change): &Of<Change>) -> Self {
        Self {
            node_id: node.to_string(),
            pool_id: pool.to_string(),
            epochs: change.epochs,
            before: SimulatedSideBody::of(change, &change.before),
            after: SimulatedSideBody::of(change, &change.after),
            difference: narrow(change.difference()),
        }
    }
}

pub(super) fn narrow(difference: i128) -> i64 {
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

/// How a version would have scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SimulationBody {
    /// The version.
    pub policy: PolicyRefBody,
    /// The params that it had, all of them.
    pub params: BTreeMap<String, i64>,
    /// Epochs that it was asked about.
    pub epochs: u64,
    /// Nodes.
    pub nodes: u64,
    /// Nodes of which anything would have been another.
    pub nodes_changed: u64,
    /// Scores.
    pub scores: u64,
    /// All of them as they were.
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

impl SimulationBody {
    /// What came out.
    pub fn new(identity: &PolicyIdentity, simulation: &Simulation<Change>) -> Self {
        let total = simulation.total();
        let [winners, losers] = simulation.extremes(EXTREMES_MAX);
        Self {
            policy: (&identity.policy).into(),
            params: identity.params.iter().map(|(name, value)| (name.clone(), *value)).collect(),
            epochs: simulation.periods,
            nodes: simulation.nodes.len() as u64,
            nodes_changed: simulation.changed(),
            scores: total.epochs,
            before: SimulatedSideBody::of(&total, &total.before),
            after: SimulatedSideBody::of(&total, &total.after),
            difference: narrow(total.difference()),
            winners: winners.iter().map(SimulatedNodeBody::of).collect(),
            losers: losers.iter().map(SimulatedNodeBody::of).collect(),
        }
    }
}
