use anyhow::{Context as _, Result, anyhow};
use regorus::{Engine, Value, languages::rego::compiler::Compiler, rvm::vm::RegoVM};

use super::Peer;
use crate::rows::{Column, NAMES, rows};

const ENTRY: &str = "data.lucid.multiplier";
/// Division gives fractions: every one is rounded down.
const FORMULA: &str = "
package lucid
import rego.v1
share(part, whole) := 1000000 if part >= whole
share(part, whole) := floor((part * 1000000) / whole) if part < whole
load := floor(((input.cpu + input.memory) + input.disk) / 3)
efficiency := 1000000 if load <= 800000
efficiency := share(1000000 - load, 200000) if load > 800000
multiplier := ((((floor((400000 * share(input.observed, input.period)) / 1000000)
    + floor((200000 * input.quality) / 1000000))
    + floor((200000 * input.uptime) / 1000000))
    + floor((100000 * efficiency) / 1000000))
    + floor((100000 * share(input.network, 1000000000)) / 1000000))
";

/// Rego by regorus, compiled for its virtual machine once.
pub struct Rego {
    machine: RegoVM,
}

impl Rego {
    pub fn new() -> Result<Self> {
        let mut engine = Engine::new();
        engine.add_policy("lucid.rego".to_owned(), FORMULA.to_owned())?;
        let policy = engine.compile_with_entrypoint(&ENTRY.into())?;
        let program = Compiler::compile_from_policy(&policy, &[ENTRY])
            .map_err(|error| anyhow!("{error:?}"))?;
        let mut machine = RegoVM::new();
        machine.load_program(program);
        Ok(Self { machine })
    }
}

impl Peer for Rego {
    fn name(&self) -> &'static str {
        "Rego (regorus)"
    }

    fn score(&mut self, columns: &[Column]) -> Result<Vec<u32>> {
        let one = |row: [i64; 8]| {
            let mut input = Value::new_object();
            let fields = input.as_object_mut()?;
            for (name, value) in NAMES.into_iter().zip(row) {
                fields.insert(Value::from(name), Value::from(value));
            }
            self.machine.set_input(input);
            let answer = self.machine.execute().map_err(|error| anyhow!("{error:?}"))?;
            Ok(u32::try_from(
                answer.as_i64().ok().with_context(|| format!("{answer:?} is no whole number"))?,
            )?)
        };
        rows(columns).map(one).collect()
    }
}
