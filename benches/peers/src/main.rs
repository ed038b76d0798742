//! What the default scoring policy's formula costs in other engines. The same rows for all, in the
//! same process and in turns; each has to answer what plain Rust answers, or nothing is measured.

mod measure;
mod peers;
mod plot;
mod rows;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::json;

use measure::{Figure, measure};

/// What a call is asked about: one node, and a whole chunk. Not the other way round: memory that a
/// chunk's call touched is kept and zeroed for every call after it (Lucid's takes 10 µs more then),
/// and a Lua heap is larger.
const NODES: [usize; 2] = [1, 10_000];

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut peers = peers::all(&root)?;
    let mut tables = Vec::new();
    for nodes in NODES {
        let figures = measure(&mut peers, &rows::columns(nodes))?;
        show(nodes, &figures);
        tables.push((nodes, figures));
    }
    let docs = root.join("docs");
    fs::create_dir_all(&docs)?;
    let figure = |figure: &Figure| json!({ "engine": figure.name, "node_ns": tenths(figure.node_ns), "times_native": tenths(figure.ratio) });
    let tables_json: Vec<_> =
        tables.iter().map(|(nodes, figures)| json!({ "nodes": nodes, "engines": figures.iter().map(figure).collect::<Vec<_>>() })).collect();
    fs::write(docs.join("peers.json"), format!("{:#}\n", json!(tables_json)))
        .context("docs/peers.json")?;
    plot::write(&docs.join("peers.svg"), &tables)
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn show(nodes: usize, figures: &[Figure]) {
    println!("{nodes} node{} in a call", if nodes == 1 { "" } else { "s" });
    for Figure { name, node_ns, ratio } in figures {
        println!("  {name:<24} {node_ns:>10.1} ns a node {ratio:>9.1} × plain Rust");
    }
}
