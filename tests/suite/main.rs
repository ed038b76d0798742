//! The integration tests: one binary, a module an area, the real `lucid` process wherever one can
//! run.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops and says where"
)]

mod access;
mod agent;
mod alerts;
mod api;
mod architecture;
mod attacks;
mod audit;
mod authoring;
mod bad_input;
mod bulk;
mod caps;
mod chains;
mod chaos;
mod cheats;
mod clock;
mod command_line;
mod consensus;
mod coordination;
mod crash_points;
mod doctor;
mod egress;
mod environment;
mod epochs;
mod events;
mod failures;
mod faults;
mod files;
mod gateway;
mod history;
mod identity;
mod kill;
mod letter;
mod limits;
mod liveness;
mod machines;
mod main_path;
mod memory;
mod monitoring;
mod openapi;
mod payer_faults;
mod payer_storm;
mod payers;
mod payments;
mod policies;
mod policy_diff;
mod policy_life;
mod pools;
mod presence;
mod proxied;
mod rails;
mod rates;
mod recorded;
mod repeats;
mod replicas;
mod restore;
mod runs;
mod shadows;
mod shards;
mod signatures;
mod simulation;
mod store;
mod support;
mod telemetry;
mod traces;
mod unclaimed;
mod up;
mod upgrade;
mod voids;
mod webhooks;

use lucid_testkit::fleet;
