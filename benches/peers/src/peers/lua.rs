use anyhow::{Result, anyhow};
use mlua::{Function, Lua};

use super::Peer;
use crate::rows::{Column, rows};

/// Numbers are doubles in LuaJIT: every product here is below 2^53, so that rounding down is exact.
const FORMULA: &str = "
local floor = math.floor
local function share(part, whole)
    if part >= whole then return 1000000 end
    return floor(part * 1000000 / whole)
end
local function multiplier(observed, period, quality, uptime, cpu, memory, disk, network)
    local load = floor((cpu + memory + disk) / 3)
    local efficiency = 1000000
    if load > 800000 then efficiency = share(1000000 - load, 200000) end
    return floor(400000 * share(observed, period) / 1000000)
        + floor(200000 * quality / 1000000)
        + floor(200000 * uptime / 1000000)
        + floor(100000 * efficiency / 1000000)
        + floor(100000 * share(network, 1000000000) / 1000000)
end
";
const ROW_BY_ROW: &str = "return multiplier";
const BATCH: &str = "
return function(a, b, c, d, e, f, g, h)
    local found = {}
    for i = 1, #a do found[i] = multiplier(a[i], b[i], c[i], d[i], e[i], f[i], g[i], h[i]) end
    return found
end";

fn load(lua: &Lua, last: &str) -> Result<Function> {
    lua.load(format!("{FORMULA}{last}")).eval().map_err(told)
}

/// Lua's errors stay on the thread that they were made on.
fn told(error: mlua::Error) -> anyhow::Error {
    anyhow!("{error}")
}

/// LuaJIT, all nodes in one call: columns go in as tables, a table comes out.
pub struct Batch {
    lua: Lua,
    function: Function,
}

impl Batch {
    pub fn new() -> Result<Self> {
        let lua = Lua::new();
        Ok(Self { function: load(&lua, BATCH)?, lua })
    }
}

impl Peer for Batch {
    fn name(&self) -> &'static str {
        "LuaJIT, one call"
    }

    fn score(&mut self, columns: &[Column]) -> Result<Vec<u32>> {
        let mut tables = mlua::Variadic::new();
        for column in columns {
            tables.push(self.lua.create_sequence_from(column.iter().copied()).map_err(told)?);
        }
        self.function.call::<Vec<u32>>(tables).map_err(told)
    }
}

/// LuaJIT, a call a node.
pub struct RowByRow {
    function: Function,
    _lua: Lua,
}

impl RowByRow {
    pub fn new() -> Result<Self> {
        let lua = Lua::new();
        Ok(Self { function: load(&lua, ROW_BY_ROW)?, _lua: lua })
    }
}

impl Peer for RowByRow {
    fn name(&self) -> &'static str {
        "LuaJIT, a call a node"
    }

    fn score(&mut self, columns: &[Column]) -> Result<Vec<u32>> {
        let call = |[a, b, c, d, e, f, g, h]: [i64; 8]| {
            self.function.call::<u32>((a, b, c, d, e, f, g, h)).map_err(told)
        };
        rows(columns).map(call).collect()
    }
}
