use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    time::Duration,
};

use wasmtime::Engine;

use crate::EngineError;

/// How exact a deadline is.
const TICK: Duration = Duration::from_millis(10);
const THREAD: &str = "policy-deadline";

/// Moves the engine's tick on, so that a guest that runs too long is ended; stops when dropped.
pub struct Deadline {
    /// Ticks until a call that starts now is ended.
    pub ticks: u64,
    _running: Sender<()>,
}

impl Deadline {
    /// Starts ticking.
    pub fn start(engine: &Engine, deadline: Duration) -> Result<Self, EngineError> {
        let (running, stopped) = channel();
        let engine = engine.weak();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        };
        std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(tick)
            .map_err(|source| EngineError::Thread { name: THREAD.to_owned(), source })?;
        // One more, since the first tick may come at once.
        let ticks = deadline.as_millis().div_ceil(TICK.as_millis()).saturating_add(1);
        Ok(Self { ticks: u64::try_from(ticks).unwrap_or(u64::MAX), _running: running })
    }
}
