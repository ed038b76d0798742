//! The integration tests: one binary, a module an area, the real `lucid` process wherever one can
//! run.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops and says where"
)]

mod access;
mod api;
mod architecture;
mod attacks;
mod audit;
mod bad_input;
mod caps;
mod chaos;
mod clock;
mod command_line;
mod consensus;
mod coordination;
mod doctor;
mod egress;
mod environment;
mod epochs;
mod faults;
mod files;
mod fleet;
mod gateway;
mod kill;
mod letter;
mod limits;
mod main_path;
mod memory;
mod money;
mod monitoring;
mod notifications;
mod openapi;
mod policies;
mod rates;
mod replicas;
mod review;
mod store;
mod support;
mod telemetry;
mod traces;
mod up;
mod upgrade;
