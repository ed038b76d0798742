//! The engine with the built-in policies and with hostile ones.

mod bundles;
mod cache;
mod calls;
mod gate;
mod publish;
mod support;
