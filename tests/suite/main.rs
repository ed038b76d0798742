//! The integration tests: one binary, a module an area, the real `lucid` process wherever one can run.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on stops and says where")]

mod access;
mod agent;
mod alerts;
mod api;
mod architecture;
mod attacks;
mod audit;
mod authoring;
mod bad_input;
mod cheats;
mod consensus;
mod coordination;
mod doctor;
mod epochs;
mod events;
mod failures;
#[path = "../../benches/load/fleet.rs"]
mod fleet;
mod gateway;
mod history;
mod identity;
mod kill;
mod limits;
mod liveness;
mod main_path;
mod memory;
mod openapi;
mod payers;
mod policies;
mod policy_diff;
mod policy_life;
mod pools;
mod rails;
mod rates;
mod recorded;
mod repeats;
mod replicas;
mod signatures;
mod simulation;
mod store;
mod support;
mod telemetry;
mod up;
mod webhooks;
