//! The gate: what a bundle must show before it may be activated.

use lucid_model::policies::{Bundle, ParamValues};
use lucid_ports::GateReport;

use crate::{
    golden,
    load::{Checks, Programs},
    loaded::LoadedPolicy,
};

mod properties;
mod sample;

pub use self::{
    properties::context as sample_context,
    sample::{Call, EPOCH_S},
};

/// Checks a bundle as it would be activated with these params, on this thread.
pub fn check(programs: &Programs, bundle: &Bundle, params: &ParamValues) -> GateReport {
    let mut checks = Checks::default();
    let mut report = GateReport::default();
    if let Some(manifest) = programs.manifest(bundle, &mut checks) {
        report.policy = Some(manifest.policy.clone());
        report.kind = Some(manifest.kind);
        report.abi.clone_from(&manifest.abi);
        let signers = programs.signers(bundle, &mut checks);
        if let Some(signers) = &signers {
            report.signed_by.clone_from(&signers.trusted);
            report.notes.extend(
                signers
                    .unknown
                    .iter()
                    .map(|key| format!("key {key} signed it too, and is not trusted here")),
            );
        }
        if signers.is_some()
            && let Some(policy) = programs.load(bundle, manifest, &mut checks)
        {
            let _all_held = behaviour(&policy, bundle, params, &mut checks);
        }
    }
    (report.checks, report.costs) = (checks.findings, checks.costs);
    report
}

fn behaviour(
    policy: &LoadedPolicy,
    bundle: &Bundle,
    params: &ParamValues,
    checks: &mut Checks,
) -> Option<()> {
    // The cases first: they say what the author meant, whatever params this activation has.
    checks.step("golden", || golden::check(policy, bundle))?;
    let policy = checks.step("activation params", || {
        policy.with_params(params).map_err(|error| error.to_string())
    })?;
    properties::check(&policy, checks)
}
