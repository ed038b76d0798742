//! An epoch's file, verified from its first byte to its last: what is not as its digest says is
//! named by its place.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result};
use lucid_model::{
    epochs::{
        epoch::EpochRecord,
        epoch_file::{FilePolicy, MAGIC, SECTION_HEAD_BYTES, Section, SectionHead},
        frame::FrameChunk,
        receipt::{ChunkHeader, ScoredChunk},
    },
    id::Digest,
    money::merkle,
    policies::{Bundle, ParamValues, PolicyKind, PolicyVersion, VersionState},
    time::TimeMs,
};
use lucid_ports::{PolicyRuntime, ScoringPolicy, StoredBundle};
use lucid_service::{Replay, replay_chunk};
use tokio::task::JoinSet;

use super::{Bar, verdict};
use crate::cli::{out, policies::scratch_engine, runtime};

/// What makes a file unfit to be computed.
fn damaged(section: u32, offset: u64, problem: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("section {section}, which begins at byte {offset}: {problem}")
}

/// A file, read section by section.
struct Sections<R> {
    from: R,
    /// Of the next section.
    offset: u64,
    count: u32,
}

impl<R: Read> Sections<R> {
    fn open(mut from: R) -> Result<Self> {
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic).context("it is no epoch's file: too short")?;
        anyhow::ensure!(magic == MAGIC, "it is no epoch's file: its first bytes are others");
        Ok(Self { from, offset: MAGIC.len() as u64, count: 0 })
    }

    fn next(&mut self) -> Result<Section> {
        let (section, offset) = (self.count, self.offset);
        let cut = |_| damaged(section, offset, "the file ends in it");
        let mut head = [0; SECTION_HEAD_BYTES];
        self.from.read_exact(&mut head).map_err(cut)?;
        let head =
            SectionHead::parse(&head).map_err(|problem| damaged(section, offset, problem))?;
        let mut content = vec![0; head.length];
        self.from.read_exact(&mut content).map_err(cut)?;
        let read = head.read(&content).map_err(|problem| damaged(section, offset, problem))?;
        self.offset += (SECTION_HEAD_BYTES + content.len()) as u64;
        self.count += 1;
        Ok(read)
    }

    fn unexpected<T>(&self, found: &Section, wanted: &str) -> Result<T> {
        Err(damaged(
            self.count.saturating_sub(1),
            self.offset,
            format!("a {} is where a {wanted} should be", found.name()),
        ))
    }
}

/// Policies by component and params.
type Loaded = BTreeMap<(Digest, Digest), Arc<dyn ScoringPolicy>>;

pub(super) fn run(path: &Path, policy: Option<&Path>) -> Result<ExitCode> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let scratch_engine = scratch_engine::ScratchEngine::open()?;
    let given = policy.map(scratch_engine::bundle).transpose()?;
    let started = Instant::now();
    let (record, replay) = runtime(0)?
        .block_on(verify(BufReader::new(file), &scratch_engine, given))
        .with_context(|| format!("{} is not as it was written", path.display()))?;
    super::tell(&format!("epoch {}", record.epoch), &body(&replay))?;
    let per_second = u128::from(replay.rows) * 1000 / started.elapsed().as_millis().max(1);
    out::say(format_args!(
        "epoch {}: {} rows of {} chunks computed again, {per_second} a second: {}",
        record.epoch,
        replay.rows,
        replay.chunks,
        verdict(replay.differences_total)
    ))?;
    out::out().lines(format_args!(
        "root {}\nlink {}\nprevious link {}",
        record.root,
        record.link(),
        record.previous_link
    ))?;
    Ok(if replay.is_same() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn body(replay: &Replay) -> lucid_api_types::epochs::poot::replay::ReplayBody {
    let difference =
        |d: &lucid_service::Difference| lucid_api_types::epochs::poot::replay::DifferenceBody {
            node_id: d.node.map(|node| node.to_string()),
            chunk: d.chunk,
            field: d.field.into(),
            stored: d.stored.clone(),
            computed: d.computed.clone(),
        };
    lucid_api_types::epochs::poot::replay::ReplayBody {
        same: replay.is_same(),
        chunks: replay.chunks,
        rows: replay.rows,
        differences_total: replay.differences_total,
        differences: replay.differences.iter().map(difference).collect(),
    }
}

async fn verify(
    file: impl Read,
    scratch_engine: &scratch_engine::ScratchEngine,
    given: Option<Bundle>,
) -> Result<(EpochRecord, Replay)> {
    let mut sections = Sections::open(file)?;
    let (record, chunks) = match sections.next()? {
        Section::Epoch { record, chunks } => (record, chunks),
        other => return sections.unexpected(&other, "record"),
    };
    let mut policies = Vec::new();
    let mut next = sections.next()?;
    while let Section::Policy(policy) = next {
        policies.push(policy);
        next = sections.next()?;
    }
    if let Some(given) = given {
        policies.iter_mut().for_each(|policy| {
            (policy.manifest, policy.component) = (given.manifest.clone(), given.component.clone())
        });
    }
    let mut loaded = Loaded::new();
    let mut bar = Bar::new("chunks", u64::from(chunks));
    let (mut replay, mut roots, mut running) = (Replay::default(), Vec::new(), JoinSet::new());
    let at_once = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    for index in 0..chunks {
        let frame = match next {
            Section::Frame(frame) => frame,
            other => return sections.unexpected(&other, "frame"),
        };
        let stored = match sections.next()? {
            Section::Scored(stored) => stored,
            other => return sections.unexpected(&other, "receipt"),
        };
        replay.compare(None, Some(index), "index", stored.header.index, index);
        replay.compare(
            None,
            Some(index),
            "epoch",
            stored.header.period.start_s,
            record.epoch.start_s,
        );
        roots.push(stored.root());
        let policy = policy_of(&stored.header, &policies, &mut loaded, scratch_engine).await?;
        if running.len() >= at_once {
            collect(&mut running, &mut replay).await?;
        }
        running.spawn(again(policy, frame, stored));
        bar.show(u64::from(index));
        next = sections.next()?;
    }
    while !running.is_empty() {
        collect(&mut running, &mut replay).await?;
    }
    bar.end();
    match next {
        Section::End { sections: said } if said == sections.count - 1 => {}
        Section::End { sections: said } => {
            anyhow::bail!("it has {} sections, and says that it has {said}", sections.count - 1)
        }
        other => return sections.unexpected(&other, "end"),
    }
    replay.compare(None, None, "root", record.root, merkle::root(&roots));
    replay.compare(None, None, "nodes", record.nodes, replay.rows);
    Ok((record, replay))
}

async fn again(
    policy: Arc<dyn ScoringPolicy>,
    frame: FrameChunk,
    stored: ScoredChunk,
) -> Result<Replay> {
    Ok(replay_chunk(policy.as_ref(), &frame, &stored).await?)
}

async fn collect(running: &mut JoinSet<Result<Replay>>, replay: &mut Replay) -> Result<()> {
    if let Some(done) = running.join_next().await {
        replay.add(done??);
    }
    Ok(())
}

/// The version that a receipt names, of those in the file.
async fn policy_of(
    header: &ChunkHeader,
    policies: &[FilePolicy],
    loaded: &mut Loaded,
    scratch_engine: &scratch_engine::ScratchEngine,
) -> Result<Arc<dyn ScoringPolicy>> {
    let key = (header.policy.digest, header.params);
    if let Some(policy) = loaded.get(&key) {
        return Ok(Arc::clone(policy));
    }
    for policy in
        policies.iter().filter(|policy| Digest::of(&policy.component) == header.policy.digest)
    {
        let version = PolicyVersion {
            policy: header.policy.clone(),
            kind: PolicyKind::Scoring,
            abi: header.abi.clone(),
            state: VersionState::Checked,
            reason: None,
            uploaded_at: TimeMs(0),
            uploaded_by: "file".into(),
            signed_by: Vec::new(),
        };
        let bundle = Bundle {
            manifest: policy.manifest.clone(),
            component: policy.component.clone(),
            golden: Vec::new(),
            signatures: Vec::new(),
        };
        let params: ParamValues = policy.params.clone();
        let found = scratch_engine
            .engine
            .load_scoring(Arc::new(StoredBundle { version, bundle }), params)
            .await?;
        if found.identity().params_digest() == header.params {
            loaded.insert(key, Arc::clone(&found));
            return Ok(found);
        }
    }
    anyhow::bail!(
        "chunk {} was scored by {}, which is not in the file with its params: give it with --policy",
        header.index,
        header.policy
    )
}
