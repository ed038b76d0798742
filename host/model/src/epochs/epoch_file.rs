//! A closed epoch as a file that anyone can verify: its record, the policies, and each chunk's
//! frame and receipt as the very bytes that are hashed. Sections follow each other, each behind its
//! kind, its length and its digest, so that a byte that was changed is found and named before
//! anything is computed.

use sha2::{Digest as _, Sha256};

use crate::{
    canonical::{Canonical, CanonicalReader},
    epochs::{
        epoch::{EpochRecord, Period, PeriodLength},
        frame::FrameChunk,
        receipt::{ChunkHeader, ScoreRow, ScoredChunk},
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    id::{Digest, NodeId, PoolId, PoolScope},
    policies::{ParamValues, PolicyRef, Revision},
    time::TimeMs,
};

/// What a file begins with.
pub const MAGIC: &[u8] = b"lucid/v1/epoch-file\0";
/// Bytes before the content of a section: kind, length, digest.
pub const SECTION_HEAD_BYTES: usize = 1 + 4 + 32;
/// Longest content of a section.
pub const SECTION_BYTES_MAX: usize = 64 << 20;

/// A policy that an epoch was scored with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePolicy {
    /// Text of its manifest.
    pub manifest: String,
    /// Its component.
    pub component: Vec<u8>,
    /// Its params, where they are not at their defaults.
    pub params: ParamValues,
}

/// One section of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    /// The first: the epoch's record, and how many chunks follow.
    Epoch {
        /// Without its block, which the link does not cover.
        record: EpochRecord,
        /// Chunks of the epoch.
        chunks: u32,
    },
    /// A policy; all of them come before the chunks.
    Policy(FilePolicy),
    /// A chunk's frame.
    Frame(FrameChunk),
    /// The same chunk's receipt, right after it; without what is not hashed.
    Scored(ScoredChunk),
    /// The last: how many sections came before it.
    End { sections: u32 },
}

/// Bytes that are no section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASection {
    /// The content is not what its digest says.
    #[error("its {length} bytes have another digest than it says: a byte was changed")]
    Changed {
        /// Length of the content.
        length: usize,
    },
    /// The content is longer than any may be.
    #[error(
        "it says that it has {length} bytes, and may have {SECTION_BYTES_MAX}: its head was changed"
    )]
    TooLong {
        /// What it says.
        length: usize,
    },
    /// There is no such kind.
    #[error("it is of kind {kind}, which there is none of: its head was changed")]
    UnknownKind {
        /// What it says.
        kind: u8,
    },
    /// The content cannot be read.
    #[error("its content cannot be read as a {what}")]
    Unreadable {
        /// What it should be.
        what: &'static str,
    },
}

/// What is said of a section before its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionHead {
    kind: u8,
    /// Bytes of the content.
    pub length: usize,
    digest: Digest,
}

impl SectionHead {
    /// Reads a head.
    ///
    /// # Errors
    /// [`NotASection`] for a length or a kind that cannot be.
    pub fn parse(bytes: &[u8; SECTION_HEAD_BYTES]) -> Result<Self, NotASection> {
        let mut reader = CanonicalReader(bytes);
        let unreadable = NotASection::Unreadable { what: "head" };
        let [kind] = reader.fixed::<1>().ok_or_else(|| unreadable.clone())?;
        let length = reader.u32().ok_or_else(|| unreadable.clone())?;
        let digest = Digest(reader.fixed().ok_or(unreadable)?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > SECTION_BYTES_MAX {
            return Err(NotASection::TooLong { length });
        }
        if !(1..=5).contains(&kind) {
            return Err(NotASection::UnknownKind { kind });
        }
        Ok(Self { kind, length, digest })
    }

    /// Reads the content, after checking its digest.
    ///
    /// # Errors
    /// [`NotASection`].
    pub fn read(self, content: &[u8]) -> Result<Section, NotASection> {
        if content.len() != self.length || digest_of(self.kind, content) != self.digest {
            return Err(NotASection::Changed { length: content.len() });
        }
        let unreadable = |what| move || NotASection::Unreadable { what };
        let mut reader = CanonicalReader(content);
        match self.kind {
            1 => read_epoch(&mut reader).ok_or_else(unreadable("record")),
            2 => read_policy(&mut reader).map(Section::Policy).ok_or_else(unreadable("policy")),
            3 => FrameChunk::from_bytes(content)
                .map(Section::Frame)
                .map_err(|_| NotASection::Unreadable { what: "frame" }),
            4 => read_scored(&mut reader).map(Section::Scored).ok_or_else(unreadable("receipt")),
            _ => {
                reader.u32().map(|sections| Section::End { sections }).ok_or_else(unreadable("end"))
            }
        }
    }
}

/// The kind is covered too: a section never passes for another.
fn digest_of(kind: u8, content: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([kind]).chain_update(content).finalize().into())
}

impl Section {
    /// What it is, for a person.
    pub fn name(&self) -> String {
        match self {
            Self::Epoch { record, .. } => format!("record of epoch {}", record.epoch),
            Self::Policy(_) => "policy".into(),
            Self::Frame(frame) => format!("frame of chunk {}", frame.index),
            Self::Scored(chunk) => format!("receipt of chunk {}", chunk.header.index),
            Self::End { .. } => "end".into(),
        }
    }

    /// Head and content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Epoch { record, chunks } => (1, epoch_bytes(record, *chunks)),
            Self::Policy(policy) => (2, policy_bytes(policy)),
            Self::Frame(frame) => (3, frame.to_bytes()),
            Self::Scored(chunk) => (4, scored_bytes(chunk)),
            Self::End { sections } => (5, Canonical::default().u32(*sections).finish()),
        };
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        Canonical::default()
            .u8(kind)
            .u32(length)
            .fixed(&digest_of(kind, &content).0)
            .fixed(&content)
            .finish()
    }
}

fn epoch_bytes(record: &EpochRecord, chunks: u32) -> Vec<u8> {
    Canonical::default()
        .i64(record.epoch.start_s)
        .u32(record.epoch.length.seconds())
        .i64(record.closed_at.0)
        .u64(record.policy_revision.0)
        .u32(record.rules)
        .u32(record.nodes)
        .u32(record.eligible)
        .u32(record.held)
        .fixed(&record.root.0)
        .fixed(&record.previous_link.0)
        .maybe(record.completeness, |bytes, share| bytes.u32(share.0))
        .u32(chunks)
        .finish()
}

fn period(reader: &mut CanonicalReader<'_>) -> Option<Period> {
    let start_s = reader.i64()?;
    Some(Period { start_s, length: PeriodLength::new(reader.u32()?).ok()? })
}

fn truth(reader: &mut CanonicalReader<'_>) -> Option<bool> {
    match reader.fixed()? {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

fn read_epoch(reader: &mut CanonicalReader<'_>) -> Option<Section> {
    let record = EpochRecord {
        epoch: period(reader)?,
        closed_at: TimeMs(reader.i64()?),
        policy_revision: Revision(reader.u64()?),
        rules: reader.u32()?,
        nodes: reader.u32()?,
        eligible: reader.u32()?,
        held: reader.u32()?,
        root: Digest(reader.fixed()?),
        previous_link: Digest(reader.fixed()?),
        block: None,
        completeness: if truth(reader)? { Some(Ppm(reader.u32()?)) } else { None },
    };
    Some(Section::Epoch { record, chunks: reader.u32()? })
}

fn policy_bytes(policy: &FilePolicy) -> Vec<u8> {
    let count = u32::try_from(policy.params.len()).unwrap_or(u32::MAX);
    let bytes = Canonical::default().text(&policy.manifest).bytes(&policy.component).u32(count);
    policy.params.iter().fold(bytes, |bytes, (name, value)| bytes.text(name).i64(*value)).finish()
}

fn read_policy(reader: &mut CanonicalReader<'_>) -> Option<FilePolicy> {
    let (manifest, component) = (reader.text()?.to_owned(), reader.bytes()?.to_vec());
    let params = (0..reader.u32()?)
        .map(|_| Some((reader.text()?.to_owned(), reader.i64()?)))
        .collect::<Option<_>>()?;
    Some(FilePolicy { manifest, component, params })
}

fn scored_bytes(chunk: &ScoredChunk) -> Vec<u8> {
    let header = &chunk.header;
    let bytes = Canonical::default()
        .i64(header.period.start_s)
        .u32(header.period.length.seconds())
        .fixed(&header.pool.bytes())
        .u32(header.index)
        .u32(header.rows)
        .fixed(&header.frame.0)
        .text(&header.policy.name)
        .text(&header.policy.version.to_string())
        .fixed(&header.policy.digest.0)
        .fixed(&header.params.0)
        .text(&header.abi)
        .u32(header.rules)
        .u32(u32::try_from(chunk.rows.len()).unwrap_or(u32::MAX));
    chunk.rows.iter().fold(bytes, |bytes, row| bytes.fixed(&row.canonical())).finish()
}

fn read_scored(reader: &mut CanonicalReader<'_>) -> Option<ScoredChunk> {
    let period = period(reader)?;
    let pool = uuid::Uuid::from_bytes(reader.fixed()?);
    let header = ChunkHeader {
        period,
        pool: if pool.is_nil() { PoolScope::Unassigned } else { PoolScope::Pool(PoolId(pool)) },
        index: reader.u32()?,
        rows: reader.u32()?,
        frame: Digest(reader.fixed()?),
        policy: PolicyRef {
            name: reader.text()?.to_owned(),
            version: reader.text()?.parse().ok()?,
            digest: Digest(reader.fixed()?),
        },
        params: Digest(reader.fixed()?),
        abi: reader.text()?.to_owned(),
        rules: reader.u32()?,
    };
    let rows = (0..reader.u32()?).map(|_| read_row(reader)).collect::<Option<_>>()?;
    Some(ScoredChunk { header, rows })
}

fn read_row(reader: &mut CanonicalReader<'_>) -> Option<ScoreRow> {
    Some(ScoreRow {
        node: NodeId(uuid::Uuid::from_bytes(reader.fixed()?)),
        observed_s: reader.u32()?,
        window_observed_s: reader.u32()?,
        eligible: truth(reader)?,
        held: truth(reader)?,
        multiplier: Ppm(reader.u32()?),
        raw: RawCenti(reader.u32()?),
        score: ScoreCenti(reader.u32()?),
        sessions: reader.u32()?,
        factors: Factors::default(),
        reason: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> EpochRecord {
        EpochRecord {
            epoch: PeriodLength::new(3600).unwrap().period_at(TimeMs::from_unix_s(1_760_000_400)),
            closed_at: TimeMs(5),
            policy_revision: Revision(3),
            rules: 1,
            nodes: 2,
            eligible: 2,
            held: 0,
            root: Digest::of(b"root"),
            previous_link: Digest::of(b"link"),
            block: None,
            completeness: Some(Ppm(987_654)),
        }
    }

    fn sections() -> Vec<Section> {
        let policy = FilePolicy {
            manifest: "name = 'p'".into(),
            component: vec![0, 1, 2],
            params: ParamValues::from([("a".into(), -1)]),
        };
        let frame = crate::epochs::frame::example(2);
        let scored = crate::epochs::receipt::example(&frame);
        vec![
            Section::Epoch { record: record(), chunks: 1 },
            Section::Policy(policy),
            Section::Frame(frame),
            Section::Scored(scored),
            Section::End { sections: 4 },
        ]
    }

    fn read(bytes: &[u8]) -> Result<Section, NotASection> {
        let (head, content) = bytes.split_first_chunk().unwrap();
        SectionHead::parse(head)?.read(content)
    }

    #[test]
    fn sections_are_read_as_they_were_written() {
        for section in sections() {
            let bytes = section.to_bytes();
            assert_eq!(read(&bytes), Ok(section));
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        for section in sections() {
            let bytes = section.to_bytes();
            for place in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[place] ^= 1;
                assert!(read(&changed).is_err(), "{} byte {place}", section.name());
            }
        }
    }
}
