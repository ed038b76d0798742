use std::{path::Path, sync::Arc};

use anyhow::{Result, anyhow};
use lucid_engine::{EngineConfig, LoadedPolicy, PolicyEngine, read_bundle};
use lucid_model::policies::{Batch, CallContext};
use tempfile::TempDir;

use super::Peer;
use crate::rows::Column;

const BUNDLE: &str = "policies/observation-weighted/1.0.0";
const EPOCH_START_S: i64 = 1_760_000_400;
const PERIOD_S: u32 = 3_600;

/// The built-in policy as the service calls it: a fresh instance, fuel, a deadline, every answer
/// checked.
pub struct Wasm {
    policy: LoadedPolicy,
    _engine: Arc<PolicyEngine>,
    _cache: TempDir,
}

impl Wasm {
    pub fn new(root: &Path) -> Result<Self> {
        let cache = tempfile::tempdir()?;
        let engine = PolicyEngine::new(EngineConfig::new(cache.path().join("policies")))?;
        let policy = engine
            .try_out(&read_bundle(&root.join(BUNDLE))?)
            .map_err(|problem| anyhow!(problem))?;
        Ok(Self { policy, _engine: engine, _cache: cache })
    }
}

impl Peer for Wasm {
    fn name(&self) -> &'static str {
        "Lucid (WebAssembly)"
    }

    fn score(&mut self, columns: &[Column]) -> Result<Vec<u32>> {
        let count = u32::try_from(columns.first().map_or(0, |column| column.len()))?;
        let totals = columns.iter().map(|column| column.iter().sum()).collect();
        let context =
            CallContext { epoch_start_s: EPOCH_START_S, period_s: PERIOD_S, seed: 1, totals };
        // The engine takes its columns as they are gathered from a frame: owned.
        let scores = self.policy.score(&context, &Batch { count, columns: columns.to_vec() })?;
        Ok(scores.multipliers.into_iter().map(|ppm| ppm.0).collect())
    }
}
