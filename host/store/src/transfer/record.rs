use std::fmt;

use lucid_model::{
    audit::{
        chain::{ChainedEntry, Link},
        request::{RequestKey, StoredAnswer},
        seal::Seal,
    },
    consensus::Vote,
    epochs::{
        adjustment::Adjustment,
        epoch::{EpochRecord, Period},
        receipt::{OnDemandReceipt, ScoredChunk},
        score::ScoreCenti,
    },
    fleet::{
        alert::Alert,
        enrolment::Enrolment,
        node::Node,
        pool::{Pool, health::Standing},
    },
    id::{Digest, IntendedId, NodeId, PoolId, UserId},
    money::{
        ledger::Entry,
        payout::{Mismatch, Payout, Proposal},
        run::Run,
        settlement::SettlementRecord,
    },
    notifications::webhook::{Delivery, Webhook},
    policies::{Activation, PolicyReport, Shadow, ShadowResult},
    telemetry::{credit::Interval, metric::Sample, observation::Observation},
    time::TimeMs,
};
use lucid_ports::{ImportRecord, StoredBundle};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Samples of one block: four hours at a report each half minute. Blocks are counted from a node's
/// first sample, so that every store has the same.
const BLOCK_SAMPLES: usize = 480;

/// A request with its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    pub key: RequestKey,
    pub fingerprint: Digest,
    pub creates: IntendedId,
    /// 0 for one without an answer: who carried it out is gone.
    pub lease_until: TimeMs,
    pub expires_at: TimeMs,
    pub answer: Option<StoredAnswer>,
}

/// Which score of a node is its latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestRecord {
    pub node: NodeId,
    pub epoch_start_s: i64,
    pub calculated_at: TimeMs,
    pub score: ScoreCenti,
    pub pool: Option<PoolId>,
}

/// What is newest of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRecord {
    pub node: NodeId,
    pub last_seen: TimeMs,
    pub newest: Option<Sample>,
    /// The number and the digest of its last report.
    pub sequence: Option<(u64, Digest)>,
}

/// What is kept of an hour of a node when its samples are gone, as it was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupsRecord {
    pub node: NodeId,
    pub hour: TimeMs,
    pub of_hour: Vec<u8>,
    /// None once those of five minutes are forgotten.
    pub of_fives: Option<Vec<u8>>,
}

/// A record as no store in particular has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Pool(Pool),
    Enrolment(Enrolment),
    Node(Box<Node>),
    Policy(Box<StoredBundle>),
    Activation(Activation),
    PoolStanding(Standing),
    PolicyReport(PolicyReport),
    Import(ImportRecord),
    Request(RequestRecord),
    Frame(Period),
    FrameChunk { epoch_start_s: i64, index: u32, zstd: Vec<u8> },
    Epoch(Box<EpochRecord>),
    Scores { closed_at: TimeMs, chunk: ScoredChunk },
    Latest(LatestRecord),
    OnDemand(Box<OnDemandReceipt>),
    Vote { owner: Option<UserId>, vote: Vote },
    Ledger(Entry),
    Adjustment(Box<Adjustment>),
    Shadow(Box<Shadow>),
    ShadowResult(Box<ShadowResult>),
    Settlement(SettlementRecord),
    Run(Run),
    Payout(Box<Payout>),
    Proposal(Box<Proposal>),
    Mismatch(Box<Mismatch>),
    Alert(Alert),
    Webhook(Box<Webhook>),
    Delivery(Box<Delivery>),
    Audit(Box<ChainedEntry>),
    AuditLink(Link),
    AuditSeal(Seal),
    Live(Box<LiveRecord>),
    Presence { node: NodeId, span: Interval },
    Session(Box<Observation>),
    Samples { node: NodeId, samples: Vec<Sample> },
    Rollups(Box<RollupsRecord>),
}

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    Number(i64),
    Bytes(Vec<u8>),
    Text(String),
}

/// What tells the records of a kind apart, and the order in which every store gives them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(pub Vec<Part>);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("/")?;
            }
            match part {
                Part::Number(number) => write!(f, "{number}")?,
                Part::Text(text) => f.write_str(text)?,
                Part::Bytes(bytes) => {
                    match (Uuid::from_slice(bytes), <[u8; 32]>::try_from(bytes.as_slice())) {
                        (Ok(id), _) => write!(f, "{id}")?,
                        (_, Ok(digest)) => write!(f, "{}", Digest(digest))?,
                        _ => write!(f, "{bytes:02x?}")?,
                    }
                }
            }
        }
        Ok(())
    }
}

fn id(id: Uuid) -> Part {
    Part::Bytes(id.as_bytes().to_vec())
}
fn number(number: u64) -> Part {
    Part::Number(number.cast_signed())
}

impl Record {
    pub fn key(&self) -> Key {
        Key(match self {
            Self::Pool(pool) => vec![id(pool.id.0)],
            Self::PoolStanding(standing) => vec![id(standing.pool.0)],
            Self::Enrolment(enrolment) => vec![id(enrolment.id.0)],
            Self::Node(node) => vec![id(node.id.0)],
            Self::Policy(stored) => vec![Part::Bytes(stored.version.policy.digest.0.to_vec())],
            Self::Activation(activation) => vec![number(activation.revision.0)],
            Self::PolicyReport(report) => vec![id(report.id)],
            Self::Import(import) => vec![Part::Bytes(import.digest.0.to_vec())],
            Self::Request(request) => {
                vec![Part::Text(request.key.subject.clone()), Part::Text(request.key.key.clone())]
            }
            Self::Frame(period) => vec![Part::Number(period.start_s)],
            Self::FrameChunk { epoch_start_s, index, .. } => {
                vec![Part::Number(*epoch_start_s), Part::Number(i64::from(*index))]
            }
            Self::Epoch(record) => vec![Part::Number(record.epoch.start_s)],
            Self::Scores { chunk, .. } => vec![
                Part::Number(chunk.header.period.start_s),
                Part::Number(i64::from(chunk.header.index)),
            ],
            Self::Latest(latest) => vec![id(latest.node.0)],
            Self::OnDemand(receipt) => vec![id(receipt.id.0)],
            Self::Vote { vote, .. } => vec![Part::Number(vote.epoch_start_s), id(vote.node.0)],
            Self::Ledger(entry) => vec![Part::Text(entry.draft.id.clone())],
            Self::Adjustment(adjustment) => vec![id(adjustment.id().0)],
            Self::Shadow(shadow) => vec![id(shadow.id.0)],
            Self::ShadowResult(result) => vec![id(result.id().0)],
            Self::Settlement(record) => vec![Part::Number(record.period.start_s)],
            Self::Run(run) => vec![id(run.id.0)],
            Self::Payout(payout) => vec![id(payout.id.0)],
            Self::Proposal(proposal) => vec![id(proposal.id.0)],
            Self::Mismatch(mismatch) => vec![id(mismatch.id.0)],
            Self::Alert(alert) => vec![id(alert.id.0)],
            Self::Webhook(webhook) => vec![id(webhook.id.0)],
            Self::Delivery(delivery) => vec![id(delivery.id.0)],
            Self::Audit(entry) => vec![id(entry.writer.0), number(entry.place)],
            Self::AuditLink(link) => vec![id(link.writer.0), number(link.seq)],
            Self::AuditSeal(seal) => vec![number(seal.statement.seq)],
            Self::Live(live) => vec![id(live.node.0)],
            Self::Presence { node, span } => vec![id(node.0), Part::Number(span.from.0)],
            Self::Session(session) => vec![id(session.session.0)],
            Self::Rollups(rollups) => vec![id(rollups.node.0), Part::Number(rollups.hour.0)],
            // The last one's time: the next block begins after it.
            Self::Samples { node, samples } => vec![
                id(node.0),
                Part::Number(samples.last().map_or(i64::MIN, |sample| sample.at.0)),
            ],
        })
    }

    /// SHA-256 of everything that the record says. The encoding is of this binary, and never stored
    /// beyond a copy.
    pub fn digest(&self, buffer: &mut Vec<u8>) -> Digest {
        use std::io::Write;
        buffer.clear();
        // Writing into a buffer does not fail.
        let _ = match self {
            // What is long and of bytes is hashed as it is.
            Self::Policy(stored) => {
                let StoredBundle { version, bundle } = stored.as_ref();
                write!(
                    buffer,
                    "{version:?} {:?} {:?} {:?} {}",
                    bundle.manifest,
                    bundle.golden,
                    bundle.signatures,
                    Digest::of(&bundle.component)
                )
            }
            Self::FrameChunk { epoch_start_s, index, zstd } => {
                let head = write!(buffer, "{epoch_start_s}/{index} ");
                buffer.extend_from_slice(zstd);
                head
            }
            Self::Samples { node, samples } => {
                buffer.extend_from_slice(node.0.as_bytes());
                samples.iter().for_each(|sample| encode(sample, buffer));
                Ok(())
            }
            other => write!(buffer, "{other:?}"),
        };
        Digest::of(buffer)
    }

    /// What it counts as: blocks say how many samples they have, chunks how many rows.
    pub fn weight(&self) -> u64 {
        let many = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        match self {
            Self::Samples { samples, .. } => many(samples.len()),
            Self::Scores { chunk, .. } => many(chunk.rows.len()),
            _ => 1,
        }
    }
}

fn encode(sample: &Sample, buffer: &mut Vec<u8>) {
    let Sample { node: _, at, arrived_at, usage, active_sessions, uptime_s } = sample;
    for time in [at.0, arrived_at.0] {
        buffer.extend_from_slice(&time.to_le_bytes());
    }
    for number in [usage.cpu.0, usage.memory.0, usage.disk.0, *active_sessions] {
        buffer.extend_from_slice(&number.to_le_bytes());
    }
    let network = &usage.network;
    for counter in [
        network.bytes_sent,
        network.bytes_received,
        network.packets_sent,
        network.packets_received,
        *uptime_s,
    ] {
        buffer.extend_from_slice(&counter.to_le_bytes());
    }
}

/// Blocks of one node's samples, which are in order.
pub fn blocks(node: NodeId, samples: &[Sample]) -> impl Iterator<Item = Record> {
    samples
        .chunks(BLOCK_SAMPLES)
        .map(move |samples| Record::Samples { node, samples: samples.to_vec() })
}
