//! The engine with the built-in policies and with hostile ones.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail where they cannot go on"
)]

mod archives;
mod bundles;
mod cache;
mod calls;
mod gate;
mod hostile;
mod log;
mod publish;
mod signatures;
mod support;
mod untrusted;
mod wasi;
mod wat;
