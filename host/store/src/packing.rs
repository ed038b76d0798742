//! Samples as they are stored: each a fixed number of bytes, sorted by time as bytes; many of them
//! packed together.

mod columns;
mod distributions;
mod frames;
mod rollups;
mod rows;

use lucid_model::{
    epochs::score::Ppm,
    id::NodeId,
    telemetry::metric::{NetworkCounters, Sample, Usage},
    time::TimeMs,
};

pub use self::{
    distributions::{pack as pack_distribution, unpack as unpack_distribution},
    frames::{pack as pack_frame, part as frame_part, unpack as unpack_frame},
    rollups::{pack as pack_rollups, unpack as unpack_rollups},
    rows::{pack as pack_rows, unpack as unpack_rows},
};

/// Two times, four numbers of 32 bits, five counters of 64.
const SAMPLE_BYTES: usize = 72;
/// Neighbouring samples differ little; 3 costs the least time.
const LEVEL: i32 = 3;
/// Samples that are packed together at most.
pub const PACKED_SAMPLES_MAX: usize = 8_000;
/// More than those have: the buffer they are unpacked into.
const PACKED_BYTES_MAX: usize = 1 << 20;

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

/// A sample as bytes that sort by its time. Of two of one instant the one that arrived first sorts
/// last, so that the server's `$max` keeps the one that counts.
pub fn to_bytes(sample: &Sample) -> Vec<u8> {
    let (usage, network) = (&sample.usage, &sample.usage.network);
    let mut bytes = Vec::with_capacity(SAMPLE_BYTES);
    bytes.extend((sample.at.0 ^ i64::MIN).to_be_bytes());
    bytes.extend((!(sample.arrived_at.0 ^ i64::MIN)).to_be_bytes());
    for number in [usage.cpu.0, usage.memory.0, usage.disk.0, sample.active_sessions] {
        bytes.extend(number.to_be_bytes());
    }
    for counter in [
        network.bytes_sent,
        network.bytes_received,
        network.packets_sent,
        network.packets_received,
        sample.uptime_s,
    ] {
        bytes.extend(counter.to_be_bytes());
    }
    bytes
}

/// What [`to_bytes`] made.
pub fn from_bytes(node: NodeId, bytes: &[u8]) -> Result<Sample, Unreadable> {
    let mut rest = Rest { bytes };
    let at = TimeMs(i64::from_be_bytes(rest.take()?) ^ i64::MIN);
    let arrived_at = TimeMs(!i64::from_be_bytes(rest.take()?) ^ i64::MIN);
    let mut number = || rest.take().map(u32::from_be_bytes);
    let (cpu, memory, disk, active_sessions) =
        (Ppm(number()?), Ppm(number()?), Ppm(number()?), number()?);
    let mut counter = || rest.take().map(u64::from_be_bytes);
    let network = NetworkCounters {
        bytes_sent: counter()?,
        bytes_received: counter()?,
        packets_sent: counter()?,
        packets_received: counter()?,
    };
    let uptime_s = counter()?;
    if !rest.bytes.is_empty() {
        return Err(Unreadable(format!("a sample of {} bytes", bytes.len())));
    }
    Ok(Sample {
        node,
        at,
        arrived_at,
        usage: Usage { cpu, memory, disk, network },
        active_sessions,
        uptime_s,
    })
}

struct Rest<'b> {
    bytes: &'b [u8],
}

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (first, rest) = self
            .bytes
            .split_first_chunk()
            .ok_or_else(|| Unreadable("a sample is cut off".to_owned()))?;
        self.bytes = rest;
        Ok(*first)
    }
}

/// Packs samples: first all their first bytes, then all their second ones, and so on, since it is
/// the same byte of the next sample that is alike.
pub fn pack(samples: &[Vec<u8>]) -> Result<Vec<u8>, Unreadable> {
    let columns: Vec<u8> = (0..SAMPLE_BYTES)
        .flat_map(|place| samples.iter().filter_map(move |sample| sample.get(place).copied()))
        .collect();
    zstd::bulk::compress(&columns, LEVEL)
        .map_err(|error| Unreadable(format!("packed samples: {error}")))
}

/// What [`pack`] packed.
pub fn unpack(node: NodeId, packed: &[u8]) -> Result<Vec<Sample>, Unreadable> {
    let columns = zstd::bulk::decompress(packed, PACKED_BYTES_MAX)
        .map_err(|error| Unreadable(format!("packed samples: {error}")))?;
    let count = columns.len() / SAMPLE_BYTES;
    let sample =
        |place| columns.iter().skip(place).step_by(count.max(1)).copied().collect::<Vec<u8>>();
    (0..count).map(|place| from_bytes(node, &sample(place))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lucid_store_conformance::examples::{node_id, sample};

    #[test]
    fn samples_sort_by_time_as_bytes_and_are_read_as_they_were_packed() {
        let samples = [sample(1, -5, 0), sample(1, 0, 7), sample(1, 9, u64::MAX)];
        let stored: Vec<_> = samples.iter().map(to_bytes).collect();
        assert!(stored.is_sorted());
        assert!(stored.iter().all(|bytes| bytes.len() == SAMPLE_BYTES));
        let again = Sample { arrived_at: TimeMs(500), ..samples[2] };
        assert!(
            to_bytes(&again) < stored[2],
            "what was sent again does not replace what arrived first"
        );
        assert_eq!(unpack(node_id(1), &pack(&stored).unwrap()).unwrap(), samples);
    }
}
