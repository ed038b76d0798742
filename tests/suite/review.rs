//! What compares and decides nothing.

pub(crate) mod recorded;
pub(crate) mod shadows;
