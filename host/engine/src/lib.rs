//! Runs policies: WebAssembly components behind the WIT interfaces.
//!
//! A call never sees another call: each has a store and an instance of its own, made from a
//! component that is compiled once. What a policy does wrong is [`CallError::Policy`] and says the
//! same everywhere; what the host could not do is [`CallError::Host`] and is tried again.
//!
//! [`CallError::Policy`]: lucid_ports::CallError::Policy
//! [`CallError::Host`]: lucid_ports::CallError::Host

#![expect(
    clippy::result_large_err,
    reason = "`CallError` belongs to the ports, and no result of it is made in a loop"
)]

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use lucid_model::{
    id::Digest,
    policies::{
        Activation, Bundle, ParamValues, PolicyKind, PolicyProfile, Revision, Scope,
        SignatureError, Signers,
    },
};
use lucid_ports::{
    GateReport, PayoutPolicy, PolicyRuntime, PolicySnapshot, PublishError, ScoringPolicy,
    StoredBundle, ValidationPolicy,
};

mod abi;
mod active;
mod answer;
mod bench;
mod bundle;
mod case;
mod compiled;
mod config;
mod deadline;
mod description;
mod error;
mod gate;
mod golden;
mod guest;
mod load;
mod loaded;
mod manifest;
mod passed;
mod problem;
mod program;
mod registry;
mod signatures;
mod table;
mod threads;
mod wasi;
mod wasm;
mod workbench;

use self::{
    active::ActivePolicy, load::Programs, passed::Passed, program::Host, registry::Snapshot,
    threads::GuestThreads,
};
pub use self::{
    bench::Figure,
    bundle::{
        MANIFEST_FILE, NotAnArchive, pack, put as put_file, read_bundle, unpack,
        write as write_bundle, write_signatures,
    },
    case::Case,
    compiled::LoadCounts,
    config::EngineConfig,
    error::{BundleError, EngineError},
    golden::Answer,
    loaded::{EXPLAINED_ROWS_MAX, LoadedPolicy, ROWS_MAX},
    manifest::{Limits, Manifest, NotAManifest, abi_of, is_kebab},
    signatures::write as signatures_text,
    workbench::Surface,
};

/// Runs policies in this process.
pub struct PolicyEngine {
    programs: Arc<Programs>,
    threads: Arc<GuestThreads>,
    snapshot: ArcSwap<Snapshot>,
    /// Who may compile and try a bundle now; the others wait in the order they came.
    turns: Arc<tokio::sync::Semaphore>,
    /// Two publications must not overtake each other.
    publishing: tokio::sync::Mutex<()>,
    passed: Passed,
}

impl PolicyEngine {
    /// An engine with nothing in force.
    ///
    /// # Errors
    /// [`EngineError`] if the host cannot run WebAssembly so, or the cache directory is not ours
    /// alone.
    pub fn new(config: EngineConfig) -> Result<Arc<Self>, EngineError> {
        let threads = Arc::new(GuestThreads::start(&config)?);
        let turns = Arc::new(tokio::sync::Semaphore::new(config.gates_max));
        let programs = Arc::new(Programs::new(Host::new(config)?));
        let (publishing, passed) = (tokio::sync::Mutex::default(), Passed::default());
        Ok(Arc::new(Self {
            programs,
            threads,
            snapshot: ArcSwap::default(),
            turns,
            publishing,
            passed,
        }))
    }

    /// The policy in force for a period that starts at `at_s`, for calls on the caller's own
    /// thread. A guest may use up to [`EngineConfig::stack_bytes_max`] of that thread's stack.
    pub fn direct(&self, kind: PolicyKind, scope: Scope, at_s: i64) -> Option<Arc<LoadedPolicy>> {
        self.snapshot.load().find(kind, scope, at_s).map(|active| Arc::clone(&active.policy))
    }

    /// How components came to be loaded so far.
    pub fn load_counts(&self) -> LoadCounts {
        self.programs.host.compiled.counts()
    }

    /// Components in memory.
    pub fn loaded_components(&self) -> usize {
        self.programs.count()
    }

    async fn load(
        &self,
        kind: PolicyKind,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<ActivePolicy>, PublishError> {
        let wanted = stored.version.policy.clone();
        let (programs, threads) = (Arc::clone(&self.programs), Arc::clone(&self.threads));
        let load = move || registry::load_stored(&programs, &threads, kind, &stored, &params);
        let loaded = threads::run_apart("policy-load", self.stack_bytes_max(), load).await;
        Ok(Arc::new(loaded.map_err(|detail| PublishError { policy: Box::new(wanted), detail })??))
    }

    /// Runs long work on a thread of its own when it is its turn. The turn lasts as long as the
    /// work: a compilation cannot be stopped, and whoever asks for one and goes away must not make
    /// room for the next.
    async fn in_turn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let turn =
            Arc::clone(&self.turns).acquire_owned().await.map_err(|error| error.to_string())?;
        let work = move || {
            let _turn = turn;
            work()
        };
        threads::run_apart(name, self.stack_bytes_max(), work).await
    }

    fn stack_bytes_max(&self) -> usize {
        self.programs.host.config.stack_bytes_max
    }
}

#[async_trait]
impl PolicyRuntime for PolicyEngine {
    fn snapshot(&self) -> Arc<dyn PolicySnapshot> {
        self.snapshot.load_full()
    }

    async fn check(&self, bundle: Arc<Bundle>, params: ParamValues) -> GateReport {
        let key = Passed::key(&bundle, &params);
        if let Some(report) = self.passed.find(key) {
            return report;
        }
        let programs = Arc::clone(&self.programs);
        let report =
            self.in_turn("policy-gate", move || gate::check(&programs, &bundle, &params)).await;
        report.inspect(|report| self.passed.keep(key, report)).unwrap_or_else(|problem| {
            GateReport { checks: vec![("host".to_owned(), Err(problem))], ..GateReport::default() }
        })
    }

    fn unpack(&self, archive: &[u8]) -> Result<Bundle, String> {
        unpack(archive).map_err(|error| error.to_string())
    }

    fn signers(&self, bundle: &Bundle) -> Result<Signers, SignatureError> {
        self.programs.host.config.trust.judge(bundle)
    }

    async fn profile(&self, stored: Arc<StoredBundle>) -> Result<PolicyProfile, PublishError> {
        let (wanted, programs) = (stored.version.policy.clone(), Arc::clone(&self.programs));
        let read = move || {
            let policy = registry::load_version(
                &programs,
                stored.version.kind,
                &stored,
                &ParamValues::new(),
            )?;
            Ok(policy.profile(&stored.bundle))
        };
        self.in_turn("policy-load", read)
            .await
            .map_err(|detail| PublishError { policy: Box::new(wanted), detail })?
    }

    async fn publish(
        &self,
        revision: Revision,
        activations: Vec<Activation>,
        bundles: Vec<(Digest, Arc<StoredBundle>)>,
    ) -> Result<(), PublishError> {
        let Some(first) = activations.first().map(|activation| activation.policy.clone()) else {
            let _turn = self.publishing.lock().await;
            self.snapshot.store(Arc::new(Snapshot::empty(revision)));
            return Ok(());
        };
        let (programs, threads) = (Arc::clone(&self.programs), Arc::clone(&self.threads));
        let _turn = self.publishing.lock().await;
        let load = move || registry::load(&programs, &threads, revision, activations, &bundles);
        let loaded = threads::run_apart("policy-load", self.stack_bytes_max(), load).await;
        let snapshot =
            loaded.map_err(|detail| PublishError { policy: Box::new(first), detail })??;
        self.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    async fn load_scoring(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn ScoringPolicy>, PublishError> {
        Ok(self.load(PolicyKind::Scoring, stored, params).await?)
    }

    async fn load_payout(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn PayoutPolicy>, PublishError> {
        Ok(self.load(PolicyKind::Payout, stored, params).await?)
    }

    async fn load_validation(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn ValidationPolicy>, PublishError> {
        Ok(self.load(PolicyKind::Validation, stored, params).await?)
    }
}
