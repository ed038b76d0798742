//! What calls of a policy cost, for its author.

use std::time::{Duration, Instant};

use crate::{
    gate::{Call, sample_context},
    loaded::LoadedPolicy,
    program::Budget,
    wasi::Moment,
};

/// How long each number of rows is measured, and at least how often.
const MEASURED: Duration = Duration::from_millis(300);
const RUNS_MIN: usize = 5;
const RUNS_MAX: usize = 2_000;

/// What calls with some number of rows cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Which function.
    pub call: &'static str,
    /// Rows of a call.
    pub rows: usize,
    /// Median time of a call on this machine, in nanoseconds.
    pub call_ns: u64,
    /// Fuel of a call; the same everywhere.
    pub fuel: u64,
    /// What the manifest promises for it.
    pub promised: u64,
    /// Calls that were measured.
    pub runs: usize,
}

/// Measures every function with made-up rows, each call on a fresh instance.
///
/// # Errors
/// What went wrong in a call.
pub fn calls(policy: &LoadedPolicy, counts: &[usize]) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    for call in Call::of(policy.identity().kind) {
        for count in counts {
            // A registration is judged alone.
            if *call == Call::Registration && *count > 1 {
                continue;
            }
            let rows = call.rows(policy, *count);
            let context = sample_context(policy, *call, &rows);
            let mut fuel = 0;
            let (call_ns, runs) = median(|| {
                fuel = call
                    .ask(policy, &context, &rows)
                    .map_err(|fault| format!("{}: {fault}", call.name()))?
                    .1;
                Ok(())
            })?;
            let promised = policy.manifest.limits.fuel(u32::try_from(*count).unwrap_or(u32::MAX));
            figures.push(Figure { call: call.name(), rows: *count, call_ns, fuel, promised, runs });
        }
    }
    Ok(figures)
}

/// Median time to make an instance and throw it away, in nanoseconds.
///
/// # Errors
/// Why there is none.
pub fn instance(policy: &LoadedPolicy) -> Result<u64, String> {
    let limits = policy.manifest.limits;
    let budget = Budget { fuel: limits.fuel(0), memory_bytes_max: limits.memory_bytes_max };
    let (ns, _) = median(|| {
        policy
            .program
            .run(budget, Moment::default(), |_| Ok(()))
            .result
            .map_err(|fault| fault.to_string())
    })?;
    Ok(ns)
}

fn median(mut run: impl FnMut() -> Result<(), String>) -> Result<(u64, usize), String> {
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < RUNS_MIN || (begun.elapsed() < MEASURED && times.len() < RUNS_MAX) {
        let started = Instant::now();
        run()?;
        times.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    times.sort_unstable();
    Ok((times.get(times.len() / 2).copied().unwrap_or_default(), times.len()))
}
