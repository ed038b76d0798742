use std::{path::PathBuf, time::Duration};

use lucid_model::{epochs::score::Ppm, policies::TrustList};

/// Limits and places of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Where compiled components are kept; made if it is not there, and refused if somebody else
    /// may write to it.
    pub cache_dir: PathBuf,
    /// Threads that run policies.
    pub guest_threads: usize,
    /// Calls that may wait for a thread, over all policies.
    pub queued_calls_max: usize,
    /// Calls of one policy that may wait for its share of the threads.
    pub queued_calls_per_policy_max: usize,
    /// Bundles that are compiled and tried at a time, each on one thread; the others wait.
    pub gates_max: usize,
    /// Longest a call may take.
    pub deadline: Duration,
    /// Most linear memory a policy may promise itself.
    pub memory_bytes_max: usize,
    /// Memory of a slot that stays mapped between calls, zeroed instead of given back to the
    /// system.
    pub resident_bytes: usize,
    /// Deepest native stack of a guest.
    pub stack_bytes_max: usize,
    /// Elements of a guest's function tables.
    pub table_elements_max: usize,
    /// Bytes that one call may hand back to the host.
    pub answer_bytes_max: usize,
    /// Largest `fuel_base` a manifest may ask for.
    pub fuel_base_max: u64,
    /// Largest `fuel_per_node` a manifest may ask for.
    pub fuel_per_node_max: u64,
    /// Largest multiplier a scoring policy may answer with.
    pub multiplier_max: Ppm,
    /// Bytes of manifest, component and golden cases together.
    pub bundle_bytes_max: usize,
    /// Whose bundles are taken.
    pub trust: TrustList,
}

impl EngineConfig {
    /// The usual limits, with a thread a core; unsigned bundles are taken.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            guest_threads: std::thread::available_parallelism().map_or(1, usize::from),
            queued_calls_max: 4_096,
            queued_calls_per_policy_max: 1_024,
            gates_max: std::thread::available_parallelism()
                .map_or(GATES_MIN, usize::from)
                .clamp(GATES_MIN, GATES_MOST),
            deadline: Duration::from_secs(2),
            memory_bytes_max: 64 * MIB,
            resident_bytes: 2 * MIB,
            stack_bytes_max: MIB / 2,
            table_elements_max: 20_000,
            answer_bytes_max: 4 * MIB,
            fuel_base_max: 10_000_000_000,
            fuel_per_node_max: 10_000_000,
            multiplier_max: Ppm(10_000_000),
            bundle_bytes_max: 32 * MIB,
            trust: TrustList::default(),
        }
    }
}

/// Two, so that one that compiles slowly holds nobody up.
const GATES_MIN: usize = 2;
/// A compilation takes a core, and many times the memory of its component.
const GATES_MOST: usize = 4;
const MIB: usize = 1024 * 1024;
