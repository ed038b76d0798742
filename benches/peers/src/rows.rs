//! What is scored.

use std::sync::Arc;

/// One fact of all nodes, shared with the batches that are made of it.
pub type Column = Arc<[i64]>;

/// The facts that the formula reads, in the order of the policy's columns.
pub const NAMES: [&str; 8] =
    ["observed", "period", "quality", "uptime", "cpu", "memory", "disk", "network"];

/// One column a fact, each `nodes` long; the same at every run.
pub fn columns(nodes: usize) -> Vec<Column> {
    // The second factor spreads a row's values, the third keeps each in its range.
    let of = |times: u64, modulus: u64| {
        let value = move |node: u64| {
            (node.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44).wrapping_mul(times) % modulus
        };
        (0..nodes as u64).map(|node| i64::try_from(value(node)).unwrap_or_default()).collect()
    };
    vec![
        of(1, 3_601),
        vec![3_600; nodes].into(),
        of(1, 1_000_001),
        of(7, 1_000_001),
        of(11, 1_000_001),
        of(13, 1_000_001),
        of(17, 1_000_001),
        of(1_000_003, 2_000_000_000),
    ]
}

/// Row after row of columns.
pub fn rows(columns: &[Column]) -> impl Iterator<Item = [i64; 8]> + '_ {
    let count = columns.first().map_or(0, |column| column.len());
    (0..count).map(move |row| {
        std::array::from_fn(|column| {
            columns.get(column).and_then(|values| values.get(row)).copied().unwrap_or_default()
        })
    })
}
