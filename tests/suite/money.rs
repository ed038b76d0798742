//! Settling, planning and paying, whatever goes wrong.

pub(crate) mod bulk;
pub(crate) mod crash_points;
pub(crate) mod payer_faults;
pub(crate) mod payer_storm;
pub(crate) mod payers;
pub(crate) mod payments;
pub(crate) mod rails;
pub(crate) mod restore;
pub(crate) mod runs;
pub(crate) mod simulation;
pub(crate) mod unclaimed;
