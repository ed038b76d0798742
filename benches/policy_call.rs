//! What a call of a policy costs: gathering columns from a frame, a fresh instance, the call, the
//! checked answer. Beside it the same formula in plain Rust; in other engines it is measured by
//! `peers`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot be set up stops and says why"
)]

use std::{hint::black_box, path::Path, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lucid_engine::{EngineConfig, LoadedPolicy, PolicyEngine, read_bundle};
use lucid_model::{
    epochs::{
        epoch::PeriodLength,
        facts::{Fact, FactRow, total_saturating},
        frame::{FactColumn, FrameChunk, FrameHead},
        score::Ppm,
    },
    id::{NodeId, PoolScope},
    policies::{
        Activation, CallContext, ParamValues, PolicyKind, PolicyVersion, Revision, Scope,
        VersionState,
    },
    time::TimeMs,
};
use lucid_ports::{PolicyRuntime as _, StoredBundle};

const EPOCH_START_S: i64 = 1_760_000_400;
const PERIOD_S: u32 = 3_600;
const BUNDLE: &str = "policies/observation-weighted/1.0.0";

/// The default policy's formula with its default params.
fn native(facts: &[i64; 8]) -> u32 {
    let [observed, period, quality, uptime, cpu, memory, disk, network] = *facts;
    let share =
        |part: i64, whole: i64| if part >= whole { 1_000_000 } else { part * 1_000_000 / whole };
    let load = (cpu + memory + disk) / 3;
    let efficiency = if load <= 800_000 { 1_000_000 } else { share(1_000_000 - load, 200_000) };
    let weighted = |weight: i64, value: i64| weight * value / 1_000_000;
    let sum = weighted(400_000, share(observed, period))
        + weighted(200_000, quality)
        + weighted(200_000, uptime)
        + weighted(100_000, efficiency)
        + weighted(100_000, share(network, 1_000_000_000));
    u32::try_from(sum).unwrap_or(u32::MAX)
}

/// One chunk of any size, which a real frame would cut.
fn chunk(nodes: u32) -> FrameChunk {
    let row = |node: u32| {
        let (mut row, spread) =
            (FactRow::default(), u64::from(node).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44);
        row.set_u64(Fact::ObservedS, spread % 3_601);
        row.set_u64(Fact::PeriodS, u64::from(PERIOD_S));
        row.set_u64(Fact::QualityPpm, spread % 1_000_001);
        row.set_u64(Fact::UptimePpm, spread.wrapping_mul(7) % 1_000_001);
        row.set_u64(Fact::CpuPpm, spread.wrapping_mul(11) % 1_000_001);
        row.set_u64(Fact::MemoryPpm, spread.wrapping_mul(13) % 1_000_001);
        row.set_u64(Fact::DiskPpm, spread.wrapping_mul(17) % 1_000_001);
        row.set_u64(Fact::NetworkBytes, spread.wrapping_mul(1_000_003) % 2_000_000_000);
        row
    };
    let rows: Vec<_> = (0..nodes).map(row).collect();
    let column = |fact: &Fact| {
        let values: Vec<_> = rows.iter().map(|row| row.get(*fact)).collect();
        FactColumn {
            name: fact.info().name.to_owned(),
            total: total_saturating(&values),
            values: values.into(),
        }
    };
    let period = PeriodLength::new(PERIOD_S)
        .expect("an hour is a period")
        .period_at(TimeMs::from_unix_s(EPOCH_START_S));
    let head = FrameHead { period, revision: Revision(1), score_multiplier: Ppm(1_000_000) };
    let id: NodeId = "00000000-0000-7000-8000-000000000000".parse().expect("an id");
    let mut chunk = head.chunks(PoolScope::Unassigned, vec![(id, FactRow::default())], 0).remove(0);
    chunk.nodes = vec![id; rows.len()];
    chunk.columns = Fact::ALL.iter().map(column).collect();
    chunk
}

fn policy(cache: &Path) -> Arc<LoadedPolicy> {
    let engine = PolicyEngine::new(EngineConfig::new(cache.join("policies"))).expect("an engine");
    let bundle = read_bundle(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(BUNDLE))
        .expect("the built-in bundle");
    let report = blocking(engine.check(Arc::new(bundle.clone()), ParamValues::new()));
    assert_eq!(report.rejection(), None);
    let policy = report.policy.expect("a policy");
    let at = TimeMs::from_unix_s(EPOCH_START_S);
    let kind = PolicyKind::Scoring;
    let version = PolicyVersion {
        policy: policy.clone(),
        kind,
        abi: report.abi,
        state: VersionState::Checked,
        reason: None,
        uploaded_at: at,
        uploaded_by: "bench".into(),
        signed_by: Vec::new(),
    };
    let (digest, revision) = (policy.digest, Revision(1));
    let (actor, reason) = ("bench".into(), String::new());
    let activation = Activation {
        revision,
        kind,
        scope: Scope::Default,
        policy,
        params: ParamValues::new(),
        from_s: 0,
        at,
        actor,
        reason,
    };
    let stored = Arc::new(StoredBundle { version, bundle });
    blocking(engine.publish(revision, vec![activation], vec![(digest, stored)]))
        .expect("the policy loads");
    engine.direct(kind, Scope::Default, 0).expect("the policy is in force")
}

fn blocking<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn score(policy: &LoadedPolicy, chunk: &FrameChunk) -> Vec<Ppm> {
    let (batch, totals) = chunk.project(&policy.identity().facts);
    let context = CallContext { epoch_start_s: EPOCH_START_S, period_s: PERIOD_S, seed: 1, totals };
    policy.score(&context, &batch).expect("scores").multipliers
}

fn rows(policy: &LoadedPolicy, chunk: &FrameChunk) -> Vec<[i64; 8]> {
    let facts = &policy.identity().facts;
    let row = |row| std::array::from_fn(|column| chunk.fact(row, facts[column]));
    (0..chunk.nodes.len()).map(row).collect()
}

fn native_columns(chunk: &FrameChunk, facts: &[Fact]) -> Vec<Ppm> {
    let (batch, _) = chunk.project(facts);
    let [a, b, c, d, e, f, g, h] = batch.columns.as_slice() else { unreachable!("eight facts") };
    let values = a.iter().zip(&**b).zip(&**c).zip(&**d).zip(&**e).zip(&**f).zip(&**g).zip(&**h);
    values
        .map(|(((((((a, b), c), d), e), f), g), h)| Ppm(native(&[*a, *b, *c, *d, *e, *f, *g, *h])))
        .collect()
}

fn calls(criterion: &mut Criterion) {
    let cache = tempfile::tempdir().expect("a directory");
    let policy = policy(cache.path());
    for nodes in [1, 1_000, 10_000] {
        let chunk = chunk(nodes);
        let rows = rows(&policy, &chunk);
        let expected: Vec<_> = rows.iter().map(|row| Ppm(native(row))).collect();
        assert_eq!(score(&policy, &chunk), expected, "the formulas are the same");
        let mut group = criterion.benchmark_group(format!("policy_call/{nodes}"));
        group.throughput(Throughput::Elements(nodes.into()));
        group.bench_function("wasm", |bencher| bencher.iter(|| score(&policy, black_box(&chunk))));
        group.bench_function("native", |bencher| {
            bencher.iter(|| native_columns(black_box(&chunk), &policy.identity().facts))
        });
        group.throughput(Throughput::Elements(2 * u64::from(nodes)));
        group.bench_function("wasm on two cores", |bencher| {
            bencher.iter_custom(|calls| on_two_cores(&policy, &chunk, calls))
        });
        group.finish();
    }
}

/// How long two threads take that make as many calls each.
fn on_two_cores(policy: &LoadedPolicy, chunk: &FrameChunk, calls: u64) -> std::time::Duration {
    let work = || (0..calls).for_each(|_| drop(black_box(score(policy, black_box(chunk)))));
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    started.elapsed()
}

criterion_group!(benches, calls);
criterion_main!(benches);
