//! Shadows.

pub mod shadows;
