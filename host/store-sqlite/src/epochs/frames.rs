use lucid_model::epochs::{epoch::Period, frame::FrameChunk};
use lucid_ports::FramePart;
use lucid_store::packing;
use rusqlite::{Connection, params};

use crate::{
    columns::Columns,
    fault::Fault,
    query::{execute, exists, first, rows},
};

/// Adds a frame without chunks; `false` if it is there.
pub(crate) fn insert(connection: &Connection, period: Period) -> Result<bool, Fault> {
    let sql = "INSERT INTO frames (epoch_start_s, length_s) VALUES (?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![period.start_s, period.length.seconds()])? == 1)
}

/// Adds a chunk that is packed; `false` if it is there.
pub(crate) fn insert_chunk(
    connection: &Connection,
    epoch_start_s: i64,
    index: u32,
    packed: &[u8],
) -> Result<bool, Fault> {
    let sql = "INSERT INTO frame_chunks (epoch_start_s, idx, zstd) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![epoch_start_s, index, packed])? == 1)
}

pub(crate) fn is_there(connection: &Connection, epoch_start_s: i64) -> Result<bool, Fault> {
    exists(connection, "SELECT 1 FROM frames WHERE epoch_start_s = ?", [epoch_start_s])
}

/// Writes a frame unless the epoch has one.
pub(crate) fn write(
    connection: &Connection,
    period: Period,
    chunks: &[(u32, Vec<u8>)],
) -> Result<(), Fault> {
    if insert(connection, period)? {
        for (index, packed) in chunks {
            insert_chunk(connection, period.start_s, *index, packed)?;
        }
    }
    Ok(())
}

/// The stored frame, in the order of its chunks.
pub(crate) fn read(connection: &Connection, epoch_start_s: i64) -> Result<Vec<FrameChunk>, Fault> {
    rows(
        connection,
        "SELECT zstd FROM frame_chunks WHERE epoch_start_s = ? ORDER BY idx",
        [epoch_start_s],
        unpack,
    )
}

pub(crate) fn one(
    connection: &Connection,
    epoch_start_s: i64,
    index: u32,
) -> Result<Option<FrameChunk>, Fault> {
    first(
        connection,
        "SELECT zstd FROM frame_chunks WHERE epoch_start_s = ? AND idx = ?",
        params![epoch_start_s, index],
        unpack,
    )
}

pub(crate) fn parts(
    connection: &Connection,
    epoch_start_s: i64,
) -> Result<Option<Vec<FramePart>>, Fault> {
    if !is_there(connection, epoch_start_s)? {
        return Ok(None);
    }
    let part = |columns: &mut Columns<'_>| Ok(packing::frame_part(&columns.take::<Vec<u8>>()?)?);
    rows(
        connection,
        "SELECT zstd FROM frame_chunks WHERE epoch_start_s = ? ORDER BY idx",
        [epoch_start_s],
        part,
    )
    .map(Some)
}

fn unpack(columns: &mut Columns<'_>) -> Result<FrameChunk, Fault> {
    Ok(packing::unpack_frame(&columns.take::<Vec<u8>>()?)?)
}
