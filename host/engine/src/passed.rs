use std::collections::VecDeque;

use lucid_model::{
    canonical::Canonical,
    id::Digest,
    policies::{Bundle, ParamValues},
};
use lucid_ports::GateReport;
use parking_lot::Mutex;

/// Reports that are remembered.
const REPORTS_MAX: usize = 256;

/// What passed the gate lately. The gate is a function of what it is given, so that going back and
/// forth between two versions need not try their properties each time; a failure may be the host's
/// and is never remembered.
#[derive(Default)]
pub struct Passed(Mutex<VecDeque<(Digest, GateReport)>>);

impl Passed {
    /// The name of everything the gate looks at.
    pub fn key(bundle: &Bundle, params: &ParamValues) -> Digest {
        let start = Canonical::tagged("lucid/v1/gate")
            .fixed(&bundle.content_digest().0)
            .u64(bundle.signatures.len() as u64);
        let signed = bundle
            .signatures
            .iter()
            .fold(start, |bytes, signed| bytes.fixed(&signed.key.0).fixed(&signed.signature));
        Digest::of(
            &params
                .iter()
                .fold(signed, |bytes, (name, value)| bytes.text(name).i64(*value))
                .finish(),
        )
    }

    /// The report, if it is remembered.
    pub fn find(&self, key: Digest) -> Option<GateReport> {
        self.0.lock().iter().find(|(known, _)| *known == key).map(|(_, report)| report.clone())
    }

    /// Remembers a report, if everything passed.
    pub fn keep(&self, key: Digest, report: &GateReport) {
        let mut reports = self.0.lock();
        if report.rejection().is_some() || reports.iter().any(|(known, _)| *known == key) {
            return;
        }
        if reports.len() == REPORTS_MAX {
            reports.pop_front();
        }
        reports.push_back((key, report.clone()));
    }
}
