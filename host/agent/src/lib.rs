//! The worker: measures this machine and reports it, signed.
