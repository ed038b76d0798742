//! Shared by the suite and the measurements: a running service whose binary is named, fleets in a
//! store, nodes that sign, connections that ask. Nothing of it is part of the product.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test or a measurement that cannot go on stops and says where"
)]

use std::path::{Path, PathBuf};

pub mod cpu;
pub mod fleet;
pub mod large;
pub mod listeners;
pub mod mongo;
pub mod rate;
pub mod sandbox;
pub mod service;
pub mod signed;
mod stores;
pub mod wire;

pub use stores::STORES;

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
