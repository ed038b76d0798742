//! Reports of many nodes that came in one request.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use lucid_foundation::{Actor, ServiceError};
use lucid_model::{id::NodeId, telemetry::commands::NewSample};

use crate::{ReportProof, Reported, Telemetry};

/// Nodes whose reports are taken at once: their writes share commits.
const NODES_AT_ONCE: usize = 64;

/// A report of a node that somebody else brought.
#[derive(Debug, Clone)]
pub struct RelayedReport {
    pub node: NodeId,
    /// Its signature, if it has one.
    pub proof: Option<ReportProof>,
    /// What it measured.
    pub samples: Vec<NewSample>,
}

impl Telemetry {
    /// Takes reports as if each had come by itself; one outcome a report, in their order. Those of
    /// one node are taken one after another, as their numbers rise.
    pub async fn report_carried(
        &self,
        actor: &Actor,
        reports: Vec<RelayedReport>,
    ) -> Vec<Result<Reported, ServiceError>> {
        let mut by_node: BTreeMap<NodeId, Vec<(usize, RelayedReport)>> = BTreeMap::new();
        for (place, report) in reports.into_iter().enumerate() {
            by_node.entry(report.node).or_default().push((place, report));
        }
        let of_node = |(node, reports): (NodeId, Vec<(usize, RelayedReport)>)| async move {
            let mut outcomes = Vec::with_capacity(reports.len());
            for (place, RelayedReport { proof, samples, .. }) in reports {
                outcomes.push((place, self.report(actor, node, proof, samples).await));
            }
            outcomes
        };
        let taken: Vec<Vec<_>> =
            stream::iter(by_node).map(of_node).buffer_unordered(NODES_AT_ONCE).collect().await;
        let mut outcomes: Vec<_> = taken.into_iter().flatten().collect();
        outcomes.sort_by_key(|(place, _)| *place);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}
