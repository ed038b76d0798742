//! The one place where wasmtime is set up.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures,
};

use crate::{EngineError, config::EngineConfig, guest};

/// Calls besides those of the guest threads: a gate's, a load's, and direct ones.
const OTHER_CALLS_MAX: usize = 16;
/// Bytes of a component's run-time tables; those of interpreters are large.
const INSTANCE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Makes the engine: whatever could differ between two machines is fixed, whatever a guest could
/// take is bounded.
pub fn engine(config: &EngineConfig) -> Result<Engine, EngineError> {
    usable(config)?;
    let mut settings = Config::new();
    settings
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)))
        .memory_init_cow(true)
        // Bounds are checked by the guest's code: with guard pages, a call that grows its memory
        // moves page protections twice, and two threads of one process wait for each other's (1.2
        // times one thread's rate, without them 1.7 to 1.9).
        .signals_based_traps(false)
        .memory_guard_size(0)
        .memory_reservation(u64::try_from(config.memory_bytes_max).unwrap_or(u64::MAX))
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_features(
            WasmFeatures::THREADS
                | WasmFeatures::SHARED_EVERYTHING_THREADS
                | WasmFeatures::CM_ASYNC,
            false,
        )
        .max_wasm_stack(config.stack_bytes_max)
        .consume_fuel(true)
        .epoch_interruption(true)
        // A component is compiled on the thread of its gate: in the pool that all compilations of a
        // process would share, a small one begins only when a large one has no function left to
        // hand out, and a large one takes every core from the guests.
        .parallel_compilation(false)
        // A guest's back-trace is of no use to whoever reads an outcome, and collecting it costs on
        // every trap.
        .wasm_backtrace_max_frames(None);
    Engine::new(&settings).map_err(|source| EngineError::Settings { source })
}

fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    let calls =
        u32::try_from(config.guest_threads.saturating_add(OTHER_CALLS_MAX)).unwrap_or(u32::MAX);
    let (instances, memories, tables) = guest::slots_max();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(instances))
        // A component of one language has one memory and two tables or so; only a few may have the
        // most.
        .total_memories(calls.saturating_mul(2))
        .total_tables(calls.saturating_mul(4))
        .max_core_instances_per_component(instances)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(config.memory_bytes_max)
        .table_elements(config.table_elements_max)
        .linear_memory_keep_resident(config.resident_bytes)
        .table_keep_resident(config.table_elements_max.saturating_mul(size_of::<usize>()))
        // A microsecond more for one row, a third less for a thousand: after a call only the pages
        // it touched are zeroed.
        .pagemap_scan(Enabled::Auto);
    pool
}

fn usable(config: &EngineConfig) -> Result<(), EngineError> {
    let positive = [
        ("guest_threads", config.guest_threads),
        ("gates_max", config.gates_max),
        ("queued_calls_max", config.queued_calls_max),
        ("queued_calls_per_policy_max", config.queued_calls_per_policy_max),
        ("memory_bytes_max", config.memory_bytes_max),
        ("stack_bytes_max", config.stack_bytes_max),
        ("answer_bytes_max", config.answer_bytes_max),
        ("bundle_bytes_max", config.bundle_bytes_max),
    ];
    match positive.iter().find(|(_, value)| *value == 0) {
        Some((limit, _)) => Err(EngineError::Limit { limit, value: 0 }),
        None if config.deadline.is_zero() => {
            Err(EngineError::Limit { limit: "deadline", value: 0 })
        }
        None => Ok(()),
    }
}
