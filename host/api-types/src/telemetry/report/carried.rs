//! Reports that a gateway carries for nodes: each as its node made it, so that its signature stays
//! good.

use lucid_model::{id::NodeId, telemetry::commands::NewSample};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MetricsRequest, ReportBody};
use crate::{
    error::ItemErrorBody,
    fields::{FieldError, Fields, Request, parse},
    fleet::auth::ReportSignature,
    schema,
};

/// Reports of one request.
pub const REPORTS_MAX: usize = 1_000;
/// Bytes of one of them.
pub const REPORT_BYTES_MAX: usize = 64 * 1024;

/// A report of samples, carried for its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CarriedReportRequest {
    /// Whose.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// The body that the node would have sent to `/nodes/{id}/metrics`, byte for byte.
    #[schema(min_length = 1, max_length = 65536)]
    pub report: String,
    /// Its place in the node's sequence; with `signature`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_u64)]
    pub sequence: Option<u64>,
    /// The node's signature, base64; without it the samples are history and never presence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 88, max_length = 88)]
    pub signature: Option<String>,
}

/// A checked report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedReport {
    /// Whose.
    pub node: NodeId,
    /// As the node made it.
    pub report: String,
    /// What it says.
    pub samples: Vec<NewSample>,
    /// Its signature, if it has one.
    pub signature: Option<ReportSignature>,
}

impl Request for CarriedReportRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = CarriedReport;
    fn read(fields: &Fields<'_>) -> Result<CarriedReport, FieldError> {
        let node = fields.require("node_id", fields.parsed("node_id")?)?;
        let report = fields.require("report", fields.string("report")?)?;
        if report.len() > REPORT_BYTES_MAX {
            return Err(fields.error(
                "report",
                format!("must have at most {REPORT_BYTES_MAX} bytes, has {}", report.len()),
            ));
        }
        let samples = parse::<MetricsRequest>(report.as_bytes())
            .map_err(|error| fields.error("report", format!("is no report: {error}")))?;
        let signature = fields.base64("signature", 64..=64)?;
        let sequence = fields.integer("sequence", 1..=i64::MAX.unsigned_abs())?;
        let signature = match (sequence, signature) {
            (Some(sequence), Some(signature)) => Some(ReportSignature { sequence, signature }),
            (None, None) => None,
            (None, Some(_)) => return Err(fields.error("sequence", "is required with signature")),
            (Some(_), None) => return Err(fields.error("signature", "is required with sequence")),
        };
        Ok(CarriedReport { node, report: report.to_owned(), samples, signature })
    }
}

/// Reports of many nodes; each succeeds or fails by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CarriedReportsRequest {
    /// The reports; those of one node in the order of their sequence.
    #[schema(min_items = 1, max_items = 1000)]
    pub reports: Vec<CarriedReportRequest>,
}

impl Request for CarriedReportsRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = Vec<Result<CarriedReport, FieldError>>;
    fn read(fields: &Fields<'_>) -> Result<Self::Valid, FieldError> {
        fields.items::<CarriedReportRequest>("reports", 1..=REPORTS_MAX)
    }
}

/// What became of one report of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CarriedResultBody {
    /// What its node would have been told, if it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportBody>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ItemErrorBody>,
}

/// What became of a batch, in the order of its reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CarriedResultsBody {
    /// Reports that were taken, those that had been taken before among them.
    pub accepted: u32,
    /// Those that were not.
    pub rejected: u32,
    /// One result a report.
    pub results: Vec<CarriedResultBody>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "0192f0c1-2b3c-7d4e-8f90-123456789abc";

    fn read(extra: &str) -> Vec<Result<CarriedReport, FieldError>> {
        let body = format!(
            r#"{{"reports":[{{"node_id":"{NODE}","report":"{{\"cpu_usage\":1}}"{extra}}},{{"node_id":"{NODE}","report":"[]"}},{{}}]}}"#
        );
        parse::<CarriedReportsRequest>(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_report_of_a_batch_fails_by_itself() {
        let refusal =
            |result: &Result<CarriedReport, FieldError>| result.as_ref().unwrap_err().to_string();
        let read_plain = read("");
        let taken = read_plain[0].as_ref().unwrap();
        assert_eq!(
            (taken.report.as_str(), taken.samples.len(), taken.signature.as_ref()),
            (r#"{"cpu_usage":1}"#, 1, None)
        );
        assert!(
            refusal(&read_plain[1]).starts_with("reports[1].report: is no report: "),
            "{}",
            refusal(&read_plain[1])
        );
        assert_eq!(refusal(&read_plain[2]), "reports[2].node_id: is required");
        assert_eq!(
            refusal(&read(r#","sequence":7"#)[0]),
            "reports[0].signature: is required with sequence"
        );
        let signature = "A".repeat(86);
        assert_eq!(
            refusal(&read(&format!(r#","signature":"{signature}==""#))[0]),
            "reports[0].sequence: is required with signature"
        );
        let signed = read(&format!(r#","sequence":7,"signature":"{signature}==""#));
        assert_eq!(signed[0].as_ref().unwrap().signature.as_ref().unwrap().sequence, 7);
    }
}
