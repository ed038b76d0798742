//! Votes, and who took part.

pub(crate) mod participation;
pub(crate) mod votes;
