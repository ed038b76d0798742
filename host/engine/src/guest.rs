//! What a guest holds while it runs: its memory allowance and its log.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, StoreContextMut, Trap};

use crate::wasi::{Moment, Random};

/// Lines of a call that are kept.
const LOG_LINES_MAX: u32 = 100;
/// Bytes of a line that are kept.
const LOG_LINE_BYTES_MAX: usize = 1_000;
/// Fuel of a line, besides one a byte: the copy into the host is no instruction of the guest's.
const LOG_LINE_FUEL: u64 = 100;
/// Core instances a component may consist of.
const INSTANCES_MAX: usize = 64;
/// Memories it may have.
const MEMORIES_MAX: usize = 4;
/// Tables it may have.
const TABLES_MAX: usize = 32;

/// State of one call's store.
pub struct GuestState {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements_max: usize,
    /// Whether the allowance was exceeded before the guest ran at all.
    pub denied: bool,
    policy: Arc<str>,
    log_lines: u32,
    /// What a clock shows.
    pub moment: Moment,
    /// What randomness a guest gets.
    pub random: Random,
}

/// How loud a guest's line is.
#[derive(Debug, Clone, Copy)]
pub enum LogLevel {
    /// For the author.
    Debug,
    /// For the operator.
    Info,
    /// For the operator, soon.
    Warn,
}

/// Growth that was allowed and that the system then refused: the host's fault, so the call is tried
/// again.
#[derive(Debug, thiserror::Error)]
#[error("the host has no memory for the guest")]
pub struct NoHostMemory;

impl GuestState {
    /// For a call of `policy`.
    pub fn new(
        policy: Arc<str>,
        memory_bytes_max: usize,
        table_elements_max: usize,
        moment: Moment,
    ) -> Self {
        let random = Random(moment.seed);
        Self {
            memory_bytes: 0,
            memory_bytes_max,
            table_elements_max,
            denied: false,
            policy,
            log_lines: 0,
            moment,
            random,
        }
    }

    /// Takes fuel for what the host does in the guest's place.
    pub fn charge(store: &mut StoreContextMut<'_, Self>, cost: u64) -> wasmtime::Result<()> {
        let Some(fuel) = store.get_fuel()?.checked_sub(cost) else {
            store.set_fuel(0)?;
            return Err(Trap::OutOfFuel.into());
        };
        store.set_fuel(fuel)
    }

    /// Takes a line, for fuel, so that logging in a loop ends as any other loop does.
    pub fn write_log(
        mut store: StoreContextMut<'_, Self>,
        level: LogLevel,
        message: &str,
    ) -> wasmtime::Result<()> {
        Self::charge(
            &mut store,
            LOG_LINE_FUEL.saturating_add(u64::try_from(message.len()).unwrap_or(u64::MAX)),
        )?;
        let state = store.data_mut();
        if state.log_lines < LOG_LINES_MAX {
            let line =
                message.get(..message.floor_char_boundary(LOG_LINE_BYTES_MAX)).unwrap_or_default();
            tracing::debug!(policy = %state.policy, ?level, line, "policy log");
        }
        state.log_lines = state.log_lines.saturating_add(1);
        Ok(())
    }
}

impl Drop for GuestState {
    fn drop(&mut self) {
        let dropped = self.log_lines.saturating_sub(LOG_LINES_MAX);
        if dropped > 0 {
            tracing::debug!(policy = %self.policy, dropped, "policy log cut short");
        }
    }
}

impl ResourceLimiter for GuestState {
    /// One allowance for all memories together.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        let allowed =
            total <= self.memory_bytes_max && maximum.is_none_or(|maximum| desired <= maximum);
        if allowed {
            self.memory_bytes = total;
        }
        self.denied |= !allowed;
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Growth beyond what the memory's type can hold fails before `memory_growing` is asked,
        // everywhere alike.
        if error.to_string().contains("exceeds memory type's limits") {
            Ok(())
        } else {
            Err(NoHostMemory.into())
        }
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed =
            desired <= self.table_elements_max && maximum.is_none_or(|maximum| desired <= maximum);
        self.denied |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }
}

/// Pool slots that one component may take.
pub fn slots_max() -> (u32, u32, u32) {
    let count = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    (count(INSTANCES_MAX), count(MEMORIES_MAX), count(TABLES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_share_one_allowance() {
        let mut state = GuestState::new("policy".into(), 100, 10, Moment::default());
        assert!(state.memory_growing(0, 60, None).unwrap());
        assert!(!state.memory_growing(0, 50, None).unwrap(), "a second memory");
        assert!(!state.memory_growing(60, 90, Some(80)).unwrap(), "beyond its own maximum");
        assert!(state.memory_growing(60, 100, None).unwrap());
        assert!(
            state.table_growing(0, 10, None).unwrap()
                && !state.table_growing(10, 11, None).unwrap()
        );
    }

    #[test]
    fn memory_that_the_system_refuses_is_the_hosts_failure() {
        let mut state = GuestState::new("policy".into(), 100, 10, Moment::default());
        let failed =
            state.memory_grow_failed(std::io::Error::from(std::io::ErrorKind::OutOfMemory).into());
        assert!(failed.unwrap_err().is::<NoHostMemory>());
        assert!(
            state
                .memory_grow_failed(wasmtime::format_err!(
                    "memory growth exceeds memory type's limits"
                ))
                .is_ok()
        );
    }
}
