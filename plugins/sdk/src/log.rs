//! Lines for the host's log; they never influence a result.
//!
//! The host keeps 100 lines of 1000 bytes a call and counts the rest. A component that never logs does not
//! import the log. Natively the lines go to standard error, for tests.

macro_rules! level {
    ($(#[$doc:meta])* $name:ident, $wit:ident) => {
        $(#[$doc])*
        pub fn $name(message: &str) {
            #[cfg(target_family = "wasm")]
            crate::glue::log::write(crate::glue::log::Level::$wit, message);
            #[cfg(not(target_family = "wasm"))]
            eprintln!("{}: {message}", stringify!($name));
        }
    };
}

level!(
    /// For the author.
    debug, Debug
);
level!(
    /// For the operator.
    info, Info
);
level!(
    /// For the operator, soon.
    warn, Warn
);
