//! What reads several features and decides nothing.

pub(crate) mod performance;
pub(crate) mod queries;
pub(crate) mod shadows;
pub(crate) mod standing;
