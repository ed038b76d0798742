//! The domain: pure types, arithmetic and state machines, without I/O, clock or randomness.
//!
//! No float touches money or a score. Everything that is hashed or signed has one canonical
//! little-endian encoding ([`canonical`]); everything that is expensive to change later lives here.

pub mod adjustment;
pub mod alert;
pub mod audit;
pub mod canonical;
pub mod challenge;
pub mod clock;
pub mod credit;
pub mod enrolment;
pub mod epoch;
pub mod epoch_file;
pub mod event;
pub mod facts;
pub mod frame;
pub mod id;
pub mod ledger;
pub mod merkle;
pub mod metric;
pub mod money;
pub mod node;
pub mod observation;
pub mod payout;
pub mod policy;
pub mod pool;
pub mod receipt;
pub mod request;
pub mod score;
pub mod settlement;
pub mod shared_clock;
pub mod simulation;
pub mod split;
pub mod statement;
pub mod time;
pub mod tron;
pub mod vote;
pub mod webhook;
