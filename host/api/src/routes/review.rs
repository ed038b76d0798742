//! Shadows.

pub(super) mod shadows;
