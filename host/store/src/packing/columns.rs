//! Columns of whole numbers and ids as they are stored: a column of one value as that value, others
//! by pco.

use lucid_model::{
    canonical::{Canonical, CanonicalReader},
    id::NodeId,
};
use pco::{
    ChunkConfig, DeltaSpec, ModeSpec,
    standalone::{simple_compress, simple_decompress},
};
use uuid::Uuid;

use super::Unreadable;

/// What pco left of the names and heads, which repeat: 3 costs the least time.
const LEVEL: i32 = 3;
/// More than a chunk of all today's facts takes unpacked: the buffer it is unpacked into.
const BYTES_MAX: usize = 8 << 20;

/// All rows have the value that follows.
const CONSTANT: u8 = 0;
/// pco's bytes follow.
const PACKED: u8 = 1;
/// The values follow: few rows, of which pco makes more.
const PLAIN: u8 = 2;

fn config(delta: DeltaSpec) -> ChunkConfig {
    ChunkConfig::default()
        .with_compression_level(6)
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(delta)
}

fn refused(error: impl std::fmt::Display) -> Unreadable {
    Unreadable::new(format!("a column: {error}"))
}

/// The last step of packing.
pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    zstd::bulk::compress(bytes, LEVEL).map_err(refused)
}

/// The first step of unpacking.
pub(super) fn decompress(packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    zstd::bulk::decompress(packed, BYTES_MAX).map_err(refused)
}

/// Appends a column.
pub(super) fn put(bytes: Canonical, values: &[i64]) -> Result<Canonical, Unreadable> {
    let first = values.first().copied().unwrap_or_default();
    if values.iter().all(|value| *value == first) {
        return Ok(bytes.u8(CONSTANT).i64(first));
    }
    let packed = simple_compress(values, &config(DeltaSpec::NoOp)).map_err(refused)?;
    if packed.len() < values.len() * 8 {
        return Ok(bytes.u8(PACKED).bytes(&packed));
    }
    Ok(values.iter().fold(bytes.u8(PLAIN), |bytes, value| bytes.i64(*value)))
}

/// Reads a column of so many values.
pub(super) fn take(reader: &mut CanonicalReader<'_>, count: usize) -> Result<Vec<i64>, Unreadable> {
    let cut = || Unreadable::new("a column is cut off");
    match reader.fixed::<1>().ok_or_else(cut)? {
        [CONSTANT] => Ok(vec![reader.i64().ok_or_else(cut)?; count]),
        [PACKED] => {
            let values = simple_decompress(reader.bytes().ok_or_else(cut)?).map_err(refused)?;
            if values.len() == count {
                Ok(values)
            } else {
                Err(Unreadable::new(format!("a column of {} values, not {count}", values.len())))
            }
        }
        [PLAIN] => (0..count).map(|_| reader.i64().ok_or_else(cut)).collect(),
        [other] => Err(Unreadable::new(format!("a column of kind {other}"))),
    }
}

/// Appends ids: their first halves, which begin with a time and grow, and their second ones, which
/// are chance.
pub(super) fn put_ids(
    bytes: Canonical,
    ids: impl Iterator<Item = NodeId> + Clone,
) -> Result<Canonical, Unreadable> {
    let heads: Vec<u64> = ids.clone().map(|node| node.0.as_u64_pair().0).collect();
    let packed = simple_compress(&heads, &config(DeltaSpec::TryConsecutive(1))).map_err(refused)?;
    Ok(ids.fold(bytes.bytes(&packed), |bytes, node| bytes.u64(node.0.as_u64_pair().1)))
}

/// Reads so many ids.
pub(super) fn take_ids(
    reader: &mut CanonicalReader<'_>,
    count: usize,
) -> Result<Vec<NodeId>, Unreadable> {
    let cut = || Unreadable::new("ids are cut off");
    let heads: Vec<u64> = simple_decompress(reader.bytes().ok_or_else(cut)?).map_err(refused)?;
    if heads.len() != count {
        return Err(Unreadable::new(format!("{} ids, not {count}", heads.len())));
    }
    heads
        .into_iter()
        .map(|head| Ok(NodeId(Uuid::from_u64_pair(head, reader.u64().ok_or_else(cut)?))))
        .collect()
}
