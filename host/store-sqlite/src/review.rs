//! Shadows, and how pools stand.

pub(crate) mod shadows;
pub(crate) mod standings;
