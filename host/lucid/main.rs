//! `lucid`: the service, the worker's agent, the policy author's toolkit and the operator's command
//! line.
//!
//! Arguments → configuration → composition → run. Exit codes: 0 done, 1 failed, 2 the arguments,
//! the configuration or a bundle are wrong.
#![deny(clippy::print_stderr)]

#[macro_use]
mod logs;

mod announcements;
mod builtin;
mod callers;
mod cli;
mod clients;
mod clock;
mod compose;
mod config;
mod doctor;
mod family;
mod import;
mod leases;
mod local;
mod measurements;
mod open_files;
mod ports;
mod printable;
mod private;
mod replicas;
mod secrets;
mod stamp;
mod stores;
mod tasks;
mod traces;
mod trust;
mod up;
mod watchdog;
mod webhooks;

use std::process::ExitCode;

/// A report allocates a hundred times on one thread and frees on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
