//! The sandbox seen over HTTP, as its clients see it.

mod durability;
mod faults;
mod payouts;
mod shapes;
mod support;
mod votes;
