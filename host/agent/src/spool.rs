//! Samples on disk, in segments: the oldest segment is what is sent next, and what gives way when
//! there are too many.
//!
//! While nothing can be written samples stay in memory, and are written when that works again. What
//! had to be dropped is counted.

use std::{
    collections::VecDeque,
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use lucid_api_types::telemetry::report::{SAMPLES_MAX, SampleRequest};
use lucid_model::time::TimeMs;
use tokio::time::Instant;

use crate::{
    AgentError,
    clock::{ClockReading, ms},
    disk::{failed, remove},
};

/// Samples of a segment, and so of a report made from one.
const SEGMENT_SAMPLES_MAX: usize = 250;
const _: () = assert!(SEGMENT_SAMPLES_MAX <= SAMPLES_MAX, "a segment becomes one report");
/// A segment is at most this part of the spool, so that what gives way is little.
const SEGMENT_PARTS: u64 = 8;
/// Samples in memory while nothing can be written: two hours at the default interval.
const UNWRITTEN_MAX: usize = SEGMENT_SAMPLES_MAX;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpoolLimits {
    pub(crate) bytes_max: u64,
    pub(crate) age_max: Duration,
}

#[derive(Debug, Default)]
struct Segment {
    id: u64,
    samples: usize,
    bytes: u64,
    oldest: Option<TimeMs>,
    /// When its newest sample came, in milliseconds since the spool was opened; negative for what
    /// an earlier run left.
    newest_ms: i64,
}

impl Segment {
    fn grow(&mut self, sample: &SampleRequest, bytes: usize) {
        self.samples += 1;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.oldest = self.oldest.or_else(|| time_of(sample));
    }
}

/// The spool.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    segments: VecDeque<Segment>,
    limits: SpoolLimits,
    /// Ages are counted from here: the wall clock may be set, and only what an earlier run left has
    /// no other.
    opened: Instant,
    next_id: u64,
    /// The segment that is added to, made by this run: an earlier run's last line may be cut off.
    growing: Option<u64>,
    /// Newer than everything on disk.
    unwritten: VecDeque<SampleRequest>,
    /// A write that failed may have left a part of a line.
    torn: bool,
    dropped: u64,
    trouble: Option<String>,
}

impl Spool {
    /// Opens the spool of a directory, from which `dropped` samples were dropped before.
    pub(crate) fn open(
        dir: PathBuf,
        limits: SpoolLimits,
        dropped: u64,
        now: ClockReading,
    ) -> Result<Self, AgentError> {
        fs::create_dir_all(&dir).map_err(|error| failed(&dir, error))?;
        let mut ids = Vec::new();
        for entry in fs::read_dir(&dir).map_err(|error| failed(&dir, error))? {
            let name = entry.map_err(|error| failed(&dir, error))?.file_name();
            ids.extend(
                name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse::<u64>().ok()),
            );
        }
        ids.sort_unstable();
        let next_id = ids.last().map_or(1, |last| last + 1);
        let (segments, growing, unwritten, torn, trouble) = Default::default();
        let mut spool = Self {
            dir,
            segments,
            limits,
            opened: now.steady,
            next_id,
            growing,
            unwritten,
            torn,
            dropped,
            trouble,
        };
        let mut newest_ms = 0;
        for id in ids.into_iter().rev() {
            let samples = spool.read(id)?;
            // A clock may have been ahead: nothing is newer than what came after it.
            newest_ms = samples
                .iter()
                .rev()
                .find_map(|(sample, _)| time_of(sample))
                .map_or(newest_ms, |at| newest_ms.min(at.ms_since(now.wall)));
            let mut segment = Segment { id, newest_ms, ..Segment::default() };
            samples.iter().for_each(|(sample, bytes)| segment.grow(sample, *bytes));
            match segment.samples {
                0 => spool.remove(id),
                _ => spool.segments.push_front(segment),
            }
        }
        spool.make_room(now.steady);
        Ok(spool)
    }

    /// Samples kept.
    pub(crate) fn len(&self) -> u64 {
        let written: usize = self.segments.iter().map(|segment| segment.samples).sum();
        u64::try_from(written + self.unwritten.len()).unwrap_or(u64::MAX)
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// When the oldest sample was taken.
    pub(crate) fn oldest_at(&self) -> Option<TimeMs> {
        self.segments
            .front()
            .and_then(|segment| segment.oldest)
            .or_else(|| self.unwritten.front().and_then(time_of))
    }

    /// Samples that gave way, ever.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Why nothing can be written, if that is so.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Adds one: durably, if anything can be.
    pub(crate) fn append(&mut self, sample: SampleRequest, now: Instant) {
        self.unwritten.push_back(sample);
        self.flush(now);
        while self.unwritten.len() > UNWRITTEN_MAX {
            // The room of the oldest segment may be what is missing.
            if self.drop_oldest() {
                self.flush(now);
            } else {
                self.unwritten.pop_front();
                self.dropped = self.dropped.saturating_add(1);
            }
        }
        self.make_room(now);
    }

    fn flush(&mut self, now: Instant) {
        while let Some(sample) = self.unwritten.pop_front() {
            match self.write(&sample, now) {
                Ok(()) => self.trouble = None,
                Err(error) => {
                    self.trouble = Some(error.to_string());
                    self.torn = true;
                    self.unwritten.push_front(sample);
                    return;
                }
            }
        }
    }

    fn write(&mut self, sample: &SampleRequest, now: Instant) -> Result<(), AgentError> {
        let bytes_max = self.limits.bytes_max / SEGMENT_PARTS;
        let has_room =
            |last: &Segment| last.samples < SEGMENT_SAMPLES_MAX && last.bytes < bytes_max;
        let growing = self
            .segments
            .back()
            .filter(|last| self.growing == Some(last.id) && has_room(last))
            .map(|last| last.id);
        let id = growing.unwrap_or(self.next_id);
        let path = self.path(id);
        let mut line = if self.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, sample).map_err(|error| failed(&path, error))?;
        line.push(b'\n');
        let written =
            fs::OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
                file.write_all(&line)?;
                file.sync_data()
            });
        written.map_err(|error| failed(&path, error))?;
        self.torn = false;
        if growing.is_none() {
            self.segments.push_back(Segment { id, ..Segment::default() });
            self.growing = Some(id);
            self.next_id += 1;
        }
        let newest_ms = self.age_ms(now);
        if let Some(last) = self.segments.back_mut() {
            last.grow(sample, line.len());
            last.newest_ms = newest_ms;
        }
        Ok(())
    }

    /// The oldest samples, as many as make one report, and the segment that they are in; none if
    /// they are in memory alone, which they leave with this.
    pub(crate) fn take_oldest(&mut self) -> Option<(Option<u64>, Vec<SampleRequest>)> {
        while let Some(id) = self.segments.front().map(|segment| segment.id) {
            // What comes now is not of the report any more.
            self.growing = self.growing.filter(|growing| *growing != id);
            match self.read(id) {
                Ok(samples) if !samples.is_empty() => {
                    return Some((
                        Some(id),
                        samples.into_iter().map(|(sample, _)| sample).collect(),
                    ));
                }
                Ok(_) => self.remove(id),
                Err(error) => {
                    self.drop_oldest();
                    self.trouble = Some(error.to_string());
                }
            }
        }
        let count = self.unwritten.len().min(SEGMENT_SAMPLES_MAX);
        (count > 0).then(|| (None, self.unwritten.drain(..count).collect()))
    }

    /// Removes a segment. Power that fails at once may bring it back: its samples are then sent
    /// again.
    pub(crate) fn remove(&mut self, id: u64) {
        if let Err(error) = remove(&self.path(id)) {
            self.trouble = Some(error.to_string());
        }
        self.segments.retain(|segment| segment.id != id);
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((id, samples)) =
            self.segments.front().map(|segment| (segment.id, segment.samples))
        else {
            return false;
        };
        self.remove(id);
        self.dropped = self.dropped.saturating_add(u64::try_from(samples).unwrap_or(u64::MAX));
        true
    }

    /// Milliseconds since the spool was opened.
    fn age_ms(&self, now: Instant) -> i64 {
        ms(now.saturating_duration_since(self.opened))
    }

    fn make_room(&mut self, now: Instant) {
        let (age_ms, age_max_ms) = (self.age_ms(now), ms(self.limits.age_max));
        let too_old = |segment: &Segment| age_ms.saturating_sub(segment.newest_ms) > age_max_ms;
        while self.bytes() > self.limits.bytes_max || self.segments.front().is_some_and(too_old) {
            self.drop_oldest();
        }
    }

    fn path(&self, id: u64) -> PathBuf {
        self.dir.join(format!("{id:020}.jsonl"))
    }

    /// What can be read of a segment, with the bytes of each: a line that a crash cut off is lost.
    fn read(&self, id: u64) -> Result<Vec<(SampleRequest, usize)>, AgentError> {
        let path = self.path(id);
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes
                .split(|byte| *byte == b'\n')
                .filter_map(|line| Some((serde_json::from_slice(line).ok()?, line.len() + 1)))
                .collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(&path, error)),
        }
    }
}

fn time_of(sample: &SampleRequest) -> Option<TimeMs> {
    sample.timestamp.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests;
