//! Samples on disk, in segments: the oldest segment is what is sent next, and what gives way when there are too many.

use std::{
    collections::VecDeque,
    fs,
    io::{self, Write},
    path::PathBuf,
};

use lucid_wire::report::{SAMPLES_MAX, SampleRequest};

use crate::{
    AgentError,
    disk::{failed, remove},
};

/// Samples of a segment, and so of a report made from one.
const SEGMENT_SAMPLES_MAX: usize = 250;
const _: () = assert!(SEGMENT_SAMPLES_MAX <= SAMPLES_MAX, "a segment becomes one report");

#[derive(Debug)]
struct Segment {
    id: u64,
    samples: usize,
}

/// The spool.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    segments: VecDeque<Segment>,
    samples_max: usize,
    segment_max: usize,
    next_id: u64,
    /// The segment that is added to, made by this run: an earlier run's last line may be cut off.
    growing: Option<u64>,
}

impl Spool {
    pub(crate) fn open(dir: PathBuf, samples_max: usize) -> Result<Self, AgentError> {
        fs::create_dir_all(&dir).map_err(|error| failed(&dir, error))?;
        let mut ids = Vec::new();
        for entry in fs::read_dir(&dir).map_err(|error| failed(&dir, error))? {
            let name = entry.map_err(|error| failed(&dir, error))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse::<u64>().ok()));
        }
        ids.sort_unstable();
        let samples_max = samples_max.max(1);
        let segment_max = (samples_max / 8).clamp(1, SEGMENT_SAMPLES_MAX);
        let next_id = ids.last().map_or(1, |last| last + 1);
        let mut spool = Self { dir, segments: VecDeque::new(), samples_max, segment_max, next_id, growing: None };
        for id in ids {
            let samples = spool.read(id)?.len();
            spool.segments.push_back(Segment { id, samples });
        }
        spool.make_room()?;
        Ok(spool)
    }

    /// Samples kept.
    pub(crate) fn len(&self) -> u64 {
        self.segments.iter().map(|segment| u64::try_from(segment.samples).unwrap_or(u64::MAX)).sum()
    }

    /// Adds one, durably.
    pub(crate) fn append(&mut self, sample: &SampleRequest) -> Result<(), AgentError> {
        let id = match self.segments.back() {
            Some(last) if last.samples < self.segment_max && self.growing == Some(last.id) => last.id,
            _ => {
                let id = self.next_id;
                self.next_id += 1;
                self.growing = Some(id);
                self.segments.push_back(Segment { id, samples: 0 });
                id
            }
        };
        let path = self.path(id);
        let mut line = serde_json::to_vec(sample).map_err(|error| failed(&path, error))?;
        line.push(b'\n');
        let written = fs::OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
            file.write_all(&line)?;
            file.sync_data()
        });
        written.map_err(|error| failed(&path, error))?;
        if let Some(last) = self.segments.back_mut() {
            last.samples += 1;
        }
        self.make_room()
    }

    /// The oldest segment and what can be read of it.
    pub(crate) fn oldest(&self) -> Result<Option<(u64, Vec<SampleRequest>)>, AgentError> {
        self.segments.front().map(|segment| Ok((segment.id, self.read(segment.id)?))).transpose()
    }

    /// Removes a segment.
    pub(crate) fn remove(&mut self, id: u64) -> Result<(), AgentError> {
        remove(&self.path(id))?;
        self.segments.retain(|segment| segment.id != id);
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), AgentError> {
        let most = u64::try_from(self.samples_max).unwrap_or(u64::MAX);
        while self.len() > most {
            let Some(oldest) = self.segments.front().map(|segment| segment.id) else { break };
            self.remove(oldest)?;
        }
        Ok(())
    }

    fn path(&self, id: u64) -> PathBuf {
        self.dir.join(format!("{id:020}.jsonl"))
    }

    /// What can be read of a segment: a line that a crash cut off is lost.
    fn read(&self, id: u64) -> Result<Vec<SampleRequest>, AgentError> {
        let path = self.path(id);
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(&path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(uptime: u64) -> SampleRequest {
        SampleRequest { uptime: Some(uptime), ..SampleRequest::default() }
    }

    fn drain(spool: &mut Spool) -> Vec<u64> {
        let mut uptimes = Vec::new();
        while let Some((id, samples)) = spool.oldest().unwrap() {
            uptimes.extend(samples.into_iter().filter_map(|s| s.uptime));
            spool.remove(id).unwrap();
        }
        uptimes
    }

    #[test]
    fn the_newest_samples_survive_a_restart_and_the_oldest_give_way() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path().to_owned(), 16).unwrap();
        (1..=21).for_each(|uptime| spool.append(&sample(uptime)).unwrap());
        assert_eq!(spool.len(), 15);
        drop(spool);
        let mut spool = Spool::open(dir.path().to_owned(), 16).unwrap();
        spool.append(&sample(22)).unwrap();
        assert_eq!(drain(&mut spool), (7..=22).collect::<Vec<_>>());
        assert_eq!(spool.len(), 0);
    }

    #[test]
    fn a_line_that_a_crash_cut_off_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path().to_owned(), 100).unwrap();
        spool.append(&sample(1)).unwrap();
        let path = spool.path(1);
        drop(spool);
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"{\"cpu_us").unwrap();
        let mut spool = Spool::open(dir.path().to_owned(), 100).unwrap();
        spool.append(&sample(2)).unwrap();
        assert_eq!(drain(&mut spool), [1, 2]);
    }
}
