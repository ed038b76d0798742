//! Simulation: it compares and explains, and decides nothing.

pub mod simulation;
