//! From a bundle to a policy that can be called, step by step: the gate reports the steps, a load
//! only their failure.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Instant,
};

use lucid_model::{
    id::Digest,
    policies::{Bundle, PolicyKind, Signers},
};
use lucid_ports::CheckCost;
use parking_lot::Mutex;
use wasmtime::component::Component;

use crate::{
    abi::Description,
    description::{self, Reads},
    loaded::LoadedPolicy,
    manifest::Manifest,
    program::{Budget, Host, Program, check_exports, check_imports, fuel_of_this_thread},
    wasi::Moment,
};

/// Checks in their order; the first failure is the last.
#[derive(Debug, Default)]
pub struct Checks {
    /// Each check with its finding.
    pub findings: Vec<(String, Result<(), String>)>,
    /// What each took.
    pub costs: Vec<CheckCost>,
}

impl Checks {
    /// Makes a check and notes its finding.
    pub fn step<T>(&mut self, name: &str, check: impl FnOnce() -> Result<T, String>) -> Option<T> {
        let (started, fuel_before) = (Instant::now(), fuel_of_this_thread());
        let (finding, value) = match check() {
            Ok(value) => (Ok(()), Some(value)),
            Err(reason) => (Err(reason), None),
        };
        self.findings.push((name.to_owned(), finding));
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.costs
            .push(CheckCost { micros, fuel: fuel_of_this_thread().saturating_sub(fuel_before) });
        value
    }

    /// The failure: `check: reason`.
    pub fn failure(&self) -> String {
        let failed = |(name, finding): &(String, Result<(), String>)| {
            finding.as_ref().err().map(|reason| format!("{name}: {reason}"))
        };
        self.findings.iter().find_map(failed).unwrap_or_default()
    }
}

/// Components in memory, by digest, for as long as somebody uses them.
pub struct Programs {
    /// What they share.
    pub host: Arc<Host>,
    loaded: Mutex<HashMap<(Digest, PolicyKind), Weak<Program>>>,
}

impl Programs {
    /// None yet.
    pub fn new(host: Arc<Host>) -> Self {
        Self { host, loaded: Mutex::default() }
    }

    fn loaded(&self, manifest: &Manifest) -> Option<Arc<Program>> {
        self.loaded.lock().get(&(manifest.policy.digest, manifest.kind)).and_then(Weak::upgrade)
    }

    /// How many components are in memory.
    pub fn count(&self) -> usize {
        self.loaded.lock().values().filter(|program| program.strong_count() > 0).count()
    }

    fn keep(&self, manifest: &Manifest, program: Program) -> Arc<Program> {
        let mut loaded = self.loaded.lock();
        loaded.retain(|_, program| program.strong_count() > 0);
        let key = (manifest.policy.digest, manifest.kind);
        // Somebody else may have been quicker; two programs of one component would have two shares
        // of the threads.
        if let Some(program) = loaded.get(&key).and_then(Weak::upgrade) {
            return program;
        }
        let program = Arc::new(program);
        loaded.insert(key, Arc::downgrade(&program));
        program
    }

    /// Who stands for a bundle; nothing of it is compiled before that is settled.
    pub fn signers(&self, bundle: &Bundle, checks: &mut Checks) -> Option<Signers> {
        checks.step("signature", || {
            self.host.config.trust.judge(bundle).map_err(|error| error.to_string())
        })
    }

    /// Loads a bundle with all params at their defaults; `None` if a check failed.
    pub fn load(
        &self,
        bundle: &Bundle,
        manifest: Manifest,
        checks: &mut Checks,
    ) -> Option<LoadedPolicy> {
        checks.step("digest", || digest(bundle, &manifest))?;
        let program = match self.loaded(&manifest) {
            // The same bytes passed the same checks before.
            Some(program) => ["component", "interface", "imports"]
                .iter()
                .try_fold(program, |program, name| checks.step(name, || Ok(program)))?,
            None => self.link(bundle, &manifest, checks)?,
        };
        let described = checks.step("describe", || describe(&program, &manifest))?;
        checks.step("params", || {
            let specs = description::params(&described.0, &manifest.params)?;
            LoadedPolicy::new(program, manifest, described.1, specs)
                .map_err(|error| error.to_string())
        })
    }

    fn link(
        &self,
        bundle: &Bundle,
        manifest: &Manifest,
        checks: &mut Checks,
    ) -> Option<Arc<Program>> {
        let engine = &self.host.engine;
        let component: Component = checks.step("component", || {
            let compiled =
                self.host.compiled.component(engine, manifest.policy.digest, &bundle.component);
            compiled.map_err(|error| format!("policy.wasm: {error:#}"))
        })?;
        checks.step("interface", || {
            check_exports(engine, &component, manifest.interface, manifest.kind)
        })?;
        checks.step("imports", || {
            check_imports(engine, &component, manifest.interface)?;
            let program = Program::new(
                Arc::clone(&self.host),
                &component,
                manifest.interface,
                manifest.kind,
                &manifest.policy,
            )?;
            Ok(self.keep(manifest, program))
        })
    }

    /// Reads a bundle's manifest, after its size.
    pub fn manifest(&self, bundle: &Bundle, checks: &mut Checks) -> Option<Manifest> {
        checks.step("manifest", || {
            let bytes_max = self.host.config.bundle_bytes_max;
            let golden: usize = bundle
                .golden
                .iter()
                .map(|(name, text)| name.len().saturating_add(text.len()))
                .sum();
            let bytes =
                bundle.manifest.len().saturating_add(bundle.component.len()).saturating_add(golden);
            if bytes > bytes_max {
                return Err(format!("the bundle has {bytes} bytes, more than {bytes_max}"));
            }
            Manifest::parse(&bundle.manifest, &self.host.config).map_err(|error| error.to_string())
        })
    }
}

fn digest(bundle: &Bundle, manifest: &Manifest) -> Result<(), String> {
    let found = Digest::of(&bundle.component);
    if found == manifest.policy.digest {
        Ok(())
    } else {
        Err(format!("policy.wasm has sha256 {found}, the manifest says {}", manifest.policy.digest))
    }
}

/// What a policy says of itself; it says so within the fuel of a call without rows.
pub fn describe(program: &Program, manifest: &Manifest) -> Result<(Description, Reads), String> {
    let budget = Budget {
        fuel: manifest.limits.fuel(0),
        memory_bytes_max: manifest.limits.memory_bytes_max,
    };
    let described = program
        .run(budget, Moment::default(), |guest| guest.describe())
        .result
        .map_err(|fault| fault.to_string())?;
    let reads = Reads::of(described.facts.clone(), manifest.kind)?;
    Ok((described, reads))
}
