//! What decides, and whose signatures it stands on.

use std::collections::BTreeSet;

use lucid_model::policies::{PolicyKind, Scope};
use lucid_store::ActiveBundle;

use super::Finding;
use crate::{
    config::Config,
    trust::{self, Counted},
};

/// Whose signatures count, before any store is looked at.
pub fn trusted(config: &Config) -> Finding {
    let policies = &config.policies;
    let Counted { configured, in_file } = match trust::count(policies) {
        Ok(counted) => counted,
        Err(error) => {
            return Finding::fail(
                "trust list",
                error.to_string(),
                "mend the key that is named, or take it off the list",
            );
        }
    };
    let file = match &policies.trusted_keys_file {
        Some(file) => format!("{in_file} in {}", file.display()),
        None => format!("no file (it would be {} beside the configuration file)", trust::FILE),
    };
    let told = format!(
        "{} trusted: {configured} in the configuration, {file}",
        keys(configured.saturating_add(in_file))
    );
    match (policies.require_signed, configured.saturating_add(in_file)) {
        (true, 0) => {
            let todo = format!(
                "name keys in policies.trusted_keys or {}, as `lucid policy keygen` shows them",
                trust::FILE
            );
            Finding::warn(
                "trust list",
                format!("{told}; REQUIRE_SIGNED is on: only what comes with the binary is taken"),
                todo,
            )
        }
        (true, _) => Finding::ok("trust list", format!("{told}; unsigned policies are refused")),
        (false, _) => {
            let todo = "leave REQUIRE_SIGNED away where money is paid: it is on by default";
            Finding::warn(
                "trust list",
                format!("{told}; REQUIRE_SIGNED is off: unsigned policies are taken"),
                todo,
            )
        }
    }
}

fn keys(count: usize) -> String {
    format!("{count} key{}", if count == 1 { "" } else { "s" })
}

/// What is active in a store.
pub fn examine(config: &Config, active: &[ActiveBundle]) -> Vec<Finding> {
    vec![everywhere(active), bundles(active), signatures(config, active)]
}

fn everywhere(active: &[ActiveBundle]) -> Finding {
    let kinds: BTreeSet<_> = active
        .iter()
        .filter(|active| active.scope == Scope::Default)
        .map(|active| active.kind.name())
        .collect();
    let missing: Vec<_> = PolicyKind::ALL
        .iter()
        .map(|kind| kind.name())
        .filter(|kind| !kinds.contains(kind))
        .collect();
    if missing.is_empty() {
        return Finding::ok(
            "policies",
            format!("active everywhere: {}", kinds.into_iter().collect::<Vec<_>>().join(", ")),
        );
    }
    let todo = "start the service once: it activates what is built in; else POST /api/v1/policies/…/activate";
    Finding::fail("policies", format!("no policy of kind {} is active", missing.join(", ")), todo)
}

fn bundles(active: &[ActiveBundle]) -> Finding {
    let flawed: Vec<_> = active
        .iter()
        .filter_map(|active| Some(format!("{}: {}", active.policy, active.bundle.as_ref().err()?)))
        .collect();
    if flawed.is_empty() {
        return Finding::ok(
            "bundles",
            format!("{} active, each with the component that was activated", active.len()),
        );
    }
    let todo = "somebody changed the store by hand: restore the last backup, or activate another version; the next start fails with this one";
    Finding::fail("bundles", flawed.join("; "), todo)
}

/// Whether what is active would be loaded once more.
fn signatures(config: &Config, active: &[ActiveBundle]) -> Finding {
    let Ok(list) = trust::list(&config.policies) else {
        return Finding::warn(
            "signatures",
            "not looked at: the trust list cannot be read",
            "mend the trust list first",
        );
    };
    let refused = |active: &ActiveBundle| {
        let error = list.judge(active.bundle.as_ref().ok()?).err()?;
        Some(format!("{} ({}, {}): {error}", active.policy, active.kind.name(), active.scope))
    };
    let refused: Vec<_> = active.iter().filter_map(refused).collect();
    if refused.is_empty() {
        return Finding::ok("signatures", "what is active would be taken again at the next start");
    }
    let todo = "the next `lucid serve` does not start so: put the key back on the trust list, or, while a service still runs, activate another \
                version or hand the same bundle in with the signature of somebody who is trusted";
    Finding::fail("signatures", refused.join("; "), todo)
}
