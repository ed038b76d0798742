//! What every feature of the service stands on: who acts, what time it is, new ids, how tasks and
//! store do, and errors.

mod actor;
mod clock;
mod error;
mod ids;
mod rules;
mod vitals;

pub use actor::{Actor, Expected, Role};
pub use clock::{ClockStatus, ServiceClock};
pub use error::{ServiceError, Unresolvable};
pub use ids::Ids;
pub use rules::Rules;
pub use vitals::{Pulse, STORE, STORE_DAMAGED, TASKS, TaskState, Trouble, Vitals};

/// Tries of a compare-and-set before the caller is told.
pub const CAS_TRIES: u32 = 5;
