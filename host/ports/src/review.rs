//! Keeping what shadows found.

pub(crate) mod shadows;
