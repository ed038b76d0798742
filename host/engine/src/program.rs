//! A component that is ready to be called: each call has a store and an instance of its own.

use std::{cell::Cell, sync::Arc};

use lucid_model::policies::{PolicyKind, PolicyRef};
use lucid_ports::CallError;
use wasmtime::{
    Engine, OutOfMemory, PoolConcurrencyLimitError, Store, Trap,
    component::{Component, InstancePre, Linker, types::ComponentItem},
};

use crate::{
    EngineError,
    abi::{Abi, Failure, Functions, Guest, v1},
    compiled::CompiledCache,
    config::EngineConfig,
    deadline::Deadline,
    guest::{GuestState, NoHostMemory},
    threads::Bulkhead,
    wasi::{self, Moment},
    wasm,
};

/// Everything that programs of one process share.
pub struct Host {
    /// Limits.
    pub config: EngineConfig,
    /// Wasmtime.
    pub engine: Engine,
    /// Compiled components on disk.
    pub compiled: CompiledCache,
    linker: Linker<GuestState>,
    deadline: Deadline,
}

impl Host {
    /// Sets wasmtime up.
    pub fn new(config: EngineConfig) -> Result<Arc<Self>, EngineError> {
        let engine = wasm::engine(&config)?;
        let mut linker = Linker::new(&engine);
        v1::add_to_linker(&mut linker).map_err(|source| EngineError::Settings { source })?;
        let compiled = CompiledCache::open(&config.cache_dir, &engine);
        let deadline = Deadline::start(&engine, config.deadline)?;
        Ok(Arc::new(Self { config, engine, compiled, linker, deadline }))
    }
}

/// How much a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Instructions, roughly.
    pub fuel: u64,
    /// Linear memory.
    pub memory_bytes_max: usize,
}

/// Why a call gave no result, and whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The policy answered that it cannot.
    Refused {
        /// Its number.
        code: u32,
        /// Its sentence.
        message: String,
    },
    /// The policy broke a rule.
    Policy(String),
    /// The host could not.
    Host(String),
}

impl Fault {
    /// As callers see it.
    pub fn of(self, policy: &PolicyRef) -> CallError {
        let policy = policy.clone();
        match self {
            Self::Host(detail) => CallError::Host { policy, detail },
            by_policy => CallError::Policy { policy, detail: by_policy.to_string() },
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { code, message } => write!(f, "error {code}: {message}"),
            Self::Policy(detail) | Self::Host(detail) => f.write_str(detail),
        }
    }
}

/// A result and the fuel it took.
pub struct Spent<T> {
    /// What came out.
    pub result: Result<T, Fault>,
    /// What it took.
    pub fuel: u64,
}

thread_local! {
    /// What this thread's calls took so far.
    static FUEL: Cell<u64> = const { Cell::new(0) };
}

/// What this thread's calls took so far, for whoever compares before and after.
pub fn fuel_of_this_thread() -> u64 {
    FUEL.get()
}

/// A component that is ready to be called.
pub struct Program {
    host: Arc<Host>,
    name: Arc<str>,
    pre: InstancePre<GuestState>,
    functions: Functions,
    /// What it needs, by name.
    pub imports: Vec<String>,
    /// Its share of the guest threads.
    pub share: Bulkhead,
}

impl Program {
    /// Links a component whose imports and exports were checked.
    ///
    /// # Errors
    /// What the component lacks or asks for.
    pub fn new(
        host: Arc<Host>,
        component: &Component,
        abi: Abi,
        kind: PolicyKind,
        policy: &PolicyRef,
    ) -> Result<Self, String> {
        let functions = Functions::find(abi, component, kind)?;
        let linked = wasi::linker_for(&host.linker, component)
            .and_then(|linker| linker.instantiate_pre(component));
        let pre = linked.map_err(|error| format!("{error:#}"))?;
        let share =
            Bulkhead::new(host.config.guest_threads, host.config.queued_calls_per_policy_max);
        let imports = imports(&host.engine, component);
        Ok(Self { host, name: policy.to_string().into(), pre, functions, imports, share })
    }

    /// Shared by all programs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Runs `call` on a fresh instance, on this thread.
    pub fn run<T>(
        &self,
        budget: Budget,
        moment: Moment,
        call: impl FnOnce(Guest<'_>) -> Result<T, Failure>,
    ) -> Spent<T> {
        let config = &self.host.config;
        let state = GuestState::new(
            Arc::clone(&self.name),
            budget.memory_bytes_max,
            config.table_elements_max,
            moment,
        );
        let mut store = Store::new(&self.host.engine, state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(config.answer_bytes_max);
        store.set_epoch_deadline(self.host.deadline.ticks);
        if let Err(error) = store.set_fuel(budget.fuel) {
            return Spent { result: Err(Fault::Host(format!("{error:#}"))), fuel: 0 };
        }
        let result = match self.pre.instantiate(&mut store) {
            Err(error) => Err(self.unstarted(&error, store.data().denied, budget)),
            Ok(instance) => {
                let guest =
                    Guest { functions: &self.functions, store: &mut store, instance: &instance };
                call(guest).map_err(|failure| self.fault(failure, budget))
            }
        };
        let fuel = budget.fuel.saturating_sub(store.get_fuel().unwrap_or_default());
        FUEL.set(FUEL.get().saturating_add(fuel));
        Spent { result, fuel }
    }

    /// A component that was instantiated when it was checked does not fail to be later, but for the
    /// host.
    fn unstarted(&self, error: &wasmtime::Error, denied: bool, budget: Budget) -> Fault {
        match error.downcast_ref::<Trap>() {
            Some(trap) => self.trapped(*trap, budget),
            None if denied => Fault::Policy(format!(
                "needs more memory than the {} bytes it promises",
                budget.memory_bytes_max
            )),
            None => Fault::Host(format!("{error:#}")),
        }
    }

    fn fault(&self, failure: Failure, budget: Budget) -> Fault {
        let error = match failure {
            Failure::Refused { code, message } => return Fault::Refused { code, message },
            Failure::Wrong(detail) => return Fault::Policy(detail),
            Failure::Ended(error) => error,
        };
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return self.trapped(*trap, budget);
        }
        if error.is::<NoHostMemory>()
            || error.is::<OutOfMemory>()
            || error.is::<PoolConcurrencyLimitError>()
            || error.is::<std::io::Error>()
        {
            return Fault::Host(format!("{error:#}"));
        }
        // What is left is an answer that cannot be read: an address outside the memory, a text that
        // is no UTF-8, too many bytes.
        Fault::Policy(format!("{:#}", error.root_cause()))
    }

    fn trapped(&self, trap: Trap, budget: Budget) -> Fault {
        match trap {
            Trap::Interrupt => Fault::Host(format!(
                "did not answer within {} ms",
                self.host.config.deadline.as_millis()
            )),
            // How deep a guest gets depends on how its code was compiled.
            Trap::StackOverflow => Fault::Host(format!(
                "used up its native stack of {} bytes",
                self.host.config.stack_bytes_max
            )),
            Trap::OutOfFuel => Fault::Policy(format!("used up its fuel of {}", budget.fuel)),
            other => Fault::Policy(other.to_string()),
        }
    }
}

/// That a component exports its kind's interface and no other.
///
/// # Errors
/// What it lacks, or what it has too much.
pub fn check_exports(
    engine: &Engine,
    component: &Component,
    abi: Abi,
    kind: PolicyKind,
) -> Result<(), String> {
    let interface = abi.interface(kind);
    let component_type = component.component_type();
    let mut found = false;
    for (name, item) in component_type.exports(engine) {
        match item.ty {
            ComponentItem::ComponentInstance(_) if name == interface => found = true,
            // What belongs to no package is a tool's own, which nobody calls.
            ComponentItem::ComponentInstance(_) if !name.contains(':') => {}
            ComponentItem::Type(_) => {}
            _ => return Err(format!("the component exports {name}, which is not {interface}")),
        }
    }
    if found { Ok(()) } else { Err(format!("the component does not export {interface}")) }
}

/// What a component needs, by name.
pub fn imports(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// That a component imports only what is offered; interfaces of nothing but types are no imports.
///
/// # Errors
/// The first import that is not offered.
pub fn check_imports(engine: &Engine, component: &Component, abi: Abi) -> Result<(), String> {
    for (name, item) in component.component_type().imports(engine) {
        let offered = match &item.ty {
            ComponentItem::ComponentInstance(instance) => {
                abi.imports().contains(&name)
                    || wasi::is_offered(name)
                    || instance
                        .exports(engine)
                        .all(|(_, item)| matches!(item.ty, ComponentItem::Type(_)))
            }
            ComponentItem::Type(_) => true,
            _ => false,
        };
        if !offered {
            return Err(format!(
                "the component imports {name}, which no host offers; a policy may import {} and {}",
                abi.imports().join(", "),
                wasi::OFFERED
            ));
        }
    }
    Ok(())
}
