use anyhow::{Result, anyhow};
use rhai::{AST, Engine, Scope};

use super::Peer;
use crate::rows::{Column, rows};

const FORMULA: &str = "
fn share(part, whole) { if part >= whole { 1000000 } else { part * 1000000 / whole } }
fn multiplier(observed, period, quality, uptime, cpu, memory, disk, network) {
    let load = (cpu + memory + disk) / 3;
    let efficiency = if load <= 800000 { 1000000 } else { share(1000000 - load, 200000) };
    400000 * share(observed, period) / 1000000
        + 200000 * quality / 1000000
        + 200000 * uptime / 1000000
        + 100000 * efficiency / 1000000
        + 100000 * share(network, 1000000000) / 1000000
}";

/// Rhai, compiled to its tree once.
pub struct Rhai {
    engine: Engine,
    script: AST,
}

impl Rhai {
    pub fn new() -> Result<Self> {
        let engine = Engine::new();
        Ok(Self { script: engine.compile(FORMULA)?, engine })
    }
}

impl Peer for Rhai {
    fn name(&self) -> &'static str {
        "Rhai"
    }

    fn score(&mut self, columns: &[Column]) -> Result<Vec<u32>> {
        let mut scope = Scope::new();
        let one = |[a, b, c, d, e, f, g, h]: [i64; 8]| {
            let answer = self.engine.call_fn::<i64>(
                &mut scope,
                &self.script,
                "multiplier",
                (a, b, c, d, e, f, g, h),
            );
            Ok(u32::try_from(answer.map_err(|error| anyhow!("{error}"))?)?)
        };
        rows(columns).map(one).collect()
    }
}
