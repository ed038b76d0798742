use lucid_model::{epoch::Period, frame::FrameChunk};
use rusqlite::{Connection, params};

use super::{
    columns::Columns,
    fault::Fault,
    query::{execute, rows},
};

/// Columns of small numbers shrink to a tenth at any level; 3 costs the least time.
const LEVEL: i32 = 3;
/// More than ten times what a chunk of all today's facts takes: the buffer it is unpacked into.
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// Adds a frame without chunks; `false` if it is there.
pub(crate) fn insert(connection: &Connection, period: Period) -> Result<bool, Fault> {
    let sql = "INSERT INTO frames (epoch_start_s, length_s) VALUES (?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![period.start_s, period.length.seconds()])? == 1)
}

/// Adds a chunk that is packed; `false` if it is there.
pub(crate) fn insert_chunk(connection: &Connection, epoch_start_s: i64, index: u32, packed: &[u8]) -> Result<bool, Fault> {
    let sql = "INSERT INTO frame_chunks (epoch_start_s, idx, zstd) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![epoch_start_s, index, packed])? == 1)
}

/// Writes a frame unless the epoch has one; answers the one that is stored.
pub(crate) fn write(connection: &Connection, period: Period, chunks: &[FrameChunk]) -> Result<Vec<FrameChunk>, Fault> {
    if !insert(connection, period)? {
        return read(connection, period.start_s);
    }
    for chunk in chunks {
        let packed = zstd::bulk::compress(&chunk.to_bytes(), LEVEL).map_err(|error| Fault::Bad(format!("frame chunk {}: {error}", chunk.index)))?;
        insert_chunk(connection, period.start_s, chunk.index, &packed)?;
    }
    read(connection, period.start_s)
}

/// The stored frame, in the order of its chunks.
pub(crate) fn read(connection: &Connection, epoch_start_s: i64) -> Result<Vec<FrameChunk>, Fault> {
    rows(connection, "SELECT zstd FROM frame_chunks WHERE epoch_start_s = ? ORDER BY idx", [epoch_start_s], unpack)
}

fn unpack(columns: &mut Columns<'_>) -> Result<FrameChunk, Fault> {
    let packed: Vec<u8> = columns.take()?;
    let bytes = zstd::bulk::decompress(&packed, CHUNK_BYTES_MAX).map_err(|error| Fault::Bad(format!("frame chunk: {error}")))?;
    FrameChunk::from_bytes(&bytes).map_err(|error| Fault::Bad(error.to_string()))
}
