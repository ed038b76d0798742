//! The engines, a file each. Each is given columns and hands back one multiplier a node, as an
//! operator would use it: what can be prepared once is; ours makes a fresh instance for every call
//! and counts fuel, the others reuse theirs and count nothing.

mod cel;
mod lua;
mod native;
mod rego;
mod rhai;
mod wasm;

use std::path::Path;

use crate::rows::Column;
use anyhow::Result;

/// Something that can score.
pub trait Peer {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// One multiplier a row, in parts of a million.
    fn score(&mut self, columns: &[Column]) -> Result<Vec<u32>>;
}

/// All of them, plain Rust first.
pub fn all(root: &Path) -> Result<Vec<Box<dyn Peer>>> {
    Ok(vec![
        Box::new(native::Native),
        Box::new(wasm::Wasm::new(root)?),
        Box::new(lua::Batch::new()?),
        Box::new(lua::RowByRow::new()?),
        Box::new(cel::Cel::new()?),
        Box::new(rhai::Rhai::new()?),
        Box::new(rego::Rego::new()?),
    ])
}
