//! Shadows and simulation: they compare, and decide nothing.

pub(crate) mod recorded;
pub(crate) mod shadows;
