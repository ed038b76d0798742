//! Bytes that nobody vouches for: manifests, components, golden cases, archives, and what a guest
//! answers.
//!
//! Each target first replays its corpus (`tests/corpus/<target>`), then tries mutations of it and
//! of what is good, from a seed that is printed. `make fuzz TARGET=component SECONDS=600` goes on
//! for longer; what makes a target fail is written to its corpus, where every later run replays it.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_engine::{EngineConfig, LoadedPolicy, Manifest, PolicyEngine, pack, unpack};
use lucid_model::{
    id::Digest,
    policies::{ARCHIVE_BYTES_MAX, Batch, Bundle, PolicyKind, Scope},
};
use lucid_ports::{CallError, PolicyRuntime};

use crate::{
    archives,
    support::{BUILT_IN, built_in, context, hostile, hostile_names, params_of, publish, rig},
    wat::{Wat, bundle_of},
};

/// Mutations of an ordinary run.
const TRIES: u64 = 200;
/// Numbers at which sums and lengths go wrong.
const EDGES: [u64; 12] =
    [0, 1, 4, 8, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX];

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// A few changes, of the kinds that find most: bits, numbers at edges, pieces doubled, dropped,
    /// or of another input.
    fn mutated(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let (from, length) = (self.below(bytes.len()), 1 + self.below(16));
            let to = (from + length).min(bytes.len());
            match self.below(7) {
                0 if !bytes.is_empty() => bytes[from] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[from] = u8::try_from(self.below(256)).unwrap(),
                2 => {
                    let edge = EDGES[self.below(EDGES.len())].to_le_bytes();
                    bytes
                        .iter_mut()
                        .skip(from)
                        .zip(edge)
                        .take(1 << self.below(4))
                        .for_each(|(byte, edge)| *byte = edge);
                }
                3 => drop(bytes.drain(from..to)),
                4 => {
                    let piece = bytes[from..to].to_vec();
                    bytes.splice(from..from, piece);
                }
                5 => bytes.truncate(from),
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let start = self.below(other.len());
                    let piece = other[start..(start + length * 8).min(other.len())].to_vec();
                    bytes.splice(from..to, piece);
                }
            }
        }
        bytes
    }
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target)
}

/// Runs a target over its corpus and over mutations; `seeds` is what it should make something of.
fn hammer(target: &str, mut seeds: Vec<Vec<u8>>, judge: impl Fn(&[u8])) {
    let kept =
        fs::read_dir(corpus(target)).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    seeds.extend(kept);
    seeds.iter().for_each(|seed| judge(seed));
    let said = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seconds = said("FUZZ_SECONDS");
    let seed = said("FUZZ_SEED").unwrap_or_else(|| if seconds.is_some() { uuid_seed() } else { 1 });
    let (mut chance, started, mut tries) = (Chance(seed), Instant::now(), 0_u64);
    while seconds.map_or(tries < TRIES, |seconds| started.elapsed() < Duration::from_secs(seconds))
    {
        let input = chance.mutated(&seeds);
        if catch_unwind(AssertUnwindSafe(|| judge(&input))).is_err() {
            let path = corpus(target).join(&Digest::of(&input).to_string()[..16]);
            fs::write(&path, &input).unwrap();
            panic!("target {target}, seed {seed}, try {tries}: see {}", path.display());
        }
        tries += 1;
    }
    println!(
        "fuzz {target}: {} inputs of the corpus, {tries} mutations from seed {seed} in {:?}",
        seeds.len(),
        started.elapsed()
    );
}

/// Another one each time; the run prints it.
fn uuid_seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos()
        .into()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The gate finds something, and not that the host itself went wrong.
fn gate(engine: &PolicyEngine, bundle: Bundle) {
    let report = runtime().block_on(engine.check(Arc::new(bundle), params_of(&[])));
    let words = report.rejection().unwrap_or_default();
    assert!(!words.starts_with("host: ") && !words.contains("panicked"), "{words}");
}

#[test]
fn manifest() {
    let config = EngineConfig::new("cache");
    let mut seeds: Vec<_> =
        BUILT_IN.iter().map(|name| built_in(name).manifest.into_bytes()).collect();
    seeds.push(b"[limits]\nfuel_base = 18446744073709551616\n".to_vec());
    hammer("manifest", seeds, |input| {
        let text = String::from_utf8_lossy(input);
        match Manifest::parse(&text, &config) {
            Ok(found) => assert!(
                found.limits.memory_bytes_max <= config.memory_bytes_max
                    && found.limits.fuel_base <= config.fuel_base_max
            ),
            Err(reason) => assert!(!reason.to_string().is_empty()),
        }
    });
}

#[test]
fn component() {
    let rig = rig();
    let mut seeds: Vec<_> = hostile_names().iter().map(|name| hostile(name).component).collect();
    seeds.push(Wat::default().component());
    // Small ones, where a change is more likely to hit what holds it together.
    for text in [
        "(component)",
        "(module (memory 1))",
        r#"(component (import "a" (func)) (export "b" (func 0)))"#,
        r#"(component (type $r (record (field "a" (list string)))) (import "t" (type (eq $r))))"#,
        "(component (component (component (core module (table 1 funcref) (memory 1)))))",
    ] {
        seeds.push(wat::parse_str(text).unwrap());
    }
    hammer("component", seeds, |input| gate(&rig.engine, bundle_of("fuzzed", input.to_vec())));
}

#[test]
fn golden() {
    let rig = rig();
    let bundle = built_in("observation-only");
    let seeds = bundle.golden.iter().map(|(_, case)| case.clone().into_bytes()).collect();
    hammer("golden", seeds, |input| {
        let case = ("case.json".to_owned(), String::from_utf8_lossy(input).into_owned());
        gate(&rig.engine, Bundle { golden: vec![case], ..bundle.clone() });
    });
}

/// Bytes of a tar's block, and where its header keeps what is looked at here.
const BLOCK: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const MAGIC: std::ops::Range<usize> = 257..262;

/// With the right checksum in every header: without it hardly a change of one would get past the
/// first look.
fn with_checksums(archive: &[u8]) -> Vec<u8> {
    let mut bytes = archive.to_vec();
    for header in bytes.chunks_exact_mut(BLOCK).filter(|block| &block[MAGIC] == b"ustar") {
        header[CHECKSUM].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

/// What is taken is a bundle as it is packed here, whatever form it came in.
fn unpacked(archive: &[u8]) {
    match unpack(archive) {
        Ok(bundle) => {
            assert!(
                bundle
                    .golden
                    .iter()
                    .all(|(name, _)| !name.contains(['/', '\0']) && name.ends_with(".json")),
                "{:?}",
                bundle.golden
            );
            let again = pack(&bundle).unwrap();
            assert!(again.len() <= ARCHIVE_BYTES_MAX);
            let back = unpack(&again).unwrap();
            assert_eq!(
                (back.content_digest(), &back.signatures),
                (bundle.content_digest(), &bundle.signatures)
            );
        }
        Err(reason) => assert!(!reason.to_string().is_empty()),
    }
}

#[test]
fn archive() {
    let dir = tempfile::tempdir().unwrap();
    let mut seeds =
        vec![pack(&archives::small()).unwrap(), pack(&built_in("observation-only")).unwrap()];
    lucid_engine::write_bundle(&archives::small(), &dir.path().join("bundle")).unwrap();
    for format in ["gnu", "ustar", "posix"] {
        let file = dir.path().join(format!("{format}.tar"));
        let mut tar = std::process::Command::new("tar");
        tar.arg(format!("--format={format}"))
            .arg("-cf")
            .arg(&file)
            .arg("-C")
            .arg(dir.path().join("bundle"))
            .arg(".");
        assert!(tar.status().unwrap().success());
        seeds.push(fs::read(&file).unwrap());
    }
    use tar::EntryType as Kind;
    for (kind, content) in [
        (Kind::XHeader, b"30 path=policy.toml\n".as_slice()),
        (Kind::GNULongName, b"policy.wasm\0"),
        (Kind::GNUSparse, b""),
        (Kind::Symlink, b""),
    ] {
        seeds.push(archives::archive(&[
            ("entry", kind, content, content.len() as u64),
            ("policy.toml", Kind::Regular, b"name = 1", 8),
        ]));
    }
    hammer("archive", seeds, |input| {
        unpacked(input);
        unpacked(&with_checksums(input));
    });
}

/// A policy whose answer is whatever its first column says, byte by byte: pointers, lengths and
/// all.
fn parrot() -> (crate::support::Rig, Arc<LoadedPolicy>) {
    let rig = rig();
    let parrot =
        Wat { score: "(i32.load (local.get $columns))".into(), ..Wat::default() }.bundle("parrot");
    runtime().block_on(publish(&rig.engine, 1, &[(&parrot, Scope::Default)])).unwrap();
    let policy = rig.engine.direct(PolicyKind::Scoring, Scope::Default, 0).unwrap();
    (rig, policy)
}

#[test]
fn answer() {
    let (rig, policy) = parrot();
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let seeds = vec![
        // One multiplier at its own beginning, and an error of no words.
        words(&[0, 4096, 1, 0, 0, 0, 0, 0]),
        words(&[1, 7, 4096, 4, 0, 0, 0, 0]),
        words(&[0, 4096, 2, 4100, 2, 4112, 1, 1024, 10, 0]),
        words(&[0, 1024, 4, 0, 0, 1040, 2, 1024, 8, 1024, 10, 0, 0, 0, 0, 0]),
    ];
    hammer("answer", seeds, |input| {
        let column: Vec<i64> = input
            .chunks_exact(8)
            .take(512)
            .map(|eight| i64::from_le_bytes(eight.try_into().unwrap()))
            .collect();
        let batch =
            Batch { count: u32::try_from(column.len()).unwrap(), columns: vec![column.into()] };
        match policy.score(&context(vec![0]), &batch) {
            Ok(scores) => {
                assert_eq!(
                    (scores.multipliers.len(), scores.reasons.len()),
                    (batch.count as usize, batch.count as usize)
                );
                assert!(
                    scores
                        .multipliers
                        .iter()
                        .all(|multiplier| *multiplier <= rig.config.multiplier_max)
                );
                assert!(scores.reasons.iter().flatten().all(|reason| reason.len() <= 200));
            }
            Err(error) => assert!(matches!(&error, CallError::Policy { .. }), "{error}"),
        }
    });
}
