//! What nodes report: taken in, judged, kept and read again.

pub(crate) mod carried;
pub(crate) mod history;
pub(crate) mod observations;
pub(crate) mod reports;
pub(crate) mod samples;
