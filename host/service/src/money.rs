//! Settling, planning, paying, and whether the books and the payment service agree.

pub(crate) mod books;
pub(crate) mod decisions;
pub(crate) mod mismatches;
pub(crate) mod payer;
pub(crate) mod reconciliation;
pub(crate) mod resolutions;
pub(crate) mod runs;
pub(crate) mod runway;
pub(crate) mod settle;
pub(crate) mod statements;
