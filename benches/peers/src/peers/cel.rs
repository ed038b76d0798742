use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use cel::{Context, Env, Program, Value};

use super::Peer;
use crate::rows::{Column, NAMES, rows};

const FORMULA: &str = "
    400000 * (observed >= period ? 1000000 : observed * 1000000 / period) / 1000000
    + 200000 * quality / 1000000
    + 200000 * uptime / 1000000
    + 100000 * ((cpu + memory + disk) / 3 <= 800000 ? 1000000 : (1000000 - (cpu + memory + disk) / 3) * 1000000 / 200000) / 1000000
    + 100000 * (network >= 1000000000 ? 1000000 : network * 1000000 / 1000000000) / 1000000";

/// CEL, compiled once.
pub struct Cel {
    env: Arc<Env>,
    program: Program,
}

impl Cel {
    pub fn new() -> Result<Self> {
        let env = Arc::new(Env::stdlib());
        let program = env.compile(FORMULA).map_err(|error| anyhow!("{error:?}"))?;
        Ok(Self { env, program })
    }
}

impl Peer for Cel {
    fn name(&self) -> &'static str {
        "CEL"
    }

    fn score(&mut self, columns: &[Column]) -> Result<Vec<u32>> {
        let one = |row: [i64; 8]| {
            let mut context = Context::with_env(Arc::clone(&self.env));
            for (name, value) in NAMES.into_iter().zip(row) {
                context.add_variable_from_value(name, value);
            }
            match self.program.execute(&context) {
                Ok(Value::Int(value)) => Ok(u32::try_from(value)?),
                other => bail!("{other:?}"),
            }
        };
        rows(columns).map(one).collect()
    }
}
