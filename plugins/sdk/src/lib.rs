//! Write Lucid policies as pure functions over typed rows.
//!
//! A policy is a WebAssembly component that exports one interface of `wit/v1`. Facts of nodes cross that
//! boundary as columns of whole numbers; this crate turns them into rows whose fields know their unit, and one
//! macro call exports the policy. Everything but the export compiles natively, so tests need no WebAssembly.
//!
//! ```
//! use lucid_policy_sdk::prelude::*;
//!
//! facts! {
//!     pub struct Node {
//!         uptime: Ppm = "uptime-ppm",
//!         nodes_same_ip: Count = "nodes-same-ip",
//!     }
//! }
//!
//! params! {
//!     pub struct Settings {
//!         /// Nodes at one address beyond which each gets nothing.
//!         nodes_per_ip_max: Count = "nodes-per-ip-max", default 4, in 1..=1_000;
//!     }
//! }
//!
//! pub struct Crowding;
//!
//! impl Scoring for Crowding {
//!     type Node = Node;
//!     type Params = Settings;
//!
//!     fn score(ctx: &Context<Settings, Node>, node: &Node) -> Result<Score, PolicyError> {
//!         if node.nodes_same_ip > ctx.params.nodes_per_ip_max {
//!             return Ok(Score::new(Ppm::ZERO).because("too many nodes at one address"));
//!         }
//!         Ok(Score::new(node.uptime))
//!     }
//! }
//!
//! lucid_policy_sdk::scoring!(Crowding);
//!
//! // A test:
//! let scores = native::Call::new()
//!     .column("uptime-ppm", [900_000, 900_000])
//!     .column("nodes-same-ip", [1, 5])
//!     .score::<Crowding>()?;
//! assert_eq!(scores.multipliers, [900_000, 0]);
//! assert_eq!(scores.reasons, [0, 1]);
//! # Ok::<(), native::CallError>(())
//! ```

pub mod abi;
mod context;
mod error;
mod facts;
pub mod log;
mod params;
pub mod payout;
mod reason;
pub mod scoring;
mod unit;
pub mod validation;

#[cfg(target_family = "wasm")]
mod arena;
#[cfg(target_family = "wasm")]
pub mod glue;

#[cfg(not(target_family = "wasm"))]
pub mod golden;
#[cfg(not(target_family = "wasm"))]
pub mod native;

pub use context::Context;
pub use error::PolicyError;
#[doc(hidden)]
pub use facts::wrong_shape;
pub use facts::{Facts, Texts};
pub use params::Params;
pub use payout::{Payout, Weight};
pub use reason::Reason;
pub use scoring::{Contribution, Score, Scoring, factor};
pub use unit::{Bytes, Centi, CentiSeconds, Count, MicroUsdt, Millis, Ppm, Seconds, Unit};
pub use validation::{Validation, Verdict};

/// What a policy's source usually needs.
pub mod prelude {
    pub use crate::{
        Bytes, Centi, CentiSeconds, Context, Contribution, Count, Facts, MicroUsdt, Millis, Params, Payout, PolicyError, Ppm, Reason, Score, Scoring,
        Seconds, Texts, Unit, Validation, Verdict, Weight, factor, facts, params, texts,
    };
    #[cfg(not(target_family = "wasm"))]
    pub use crate::{golden, native};
}
