//! A frame's chunk as it is stored. What is hashed are its canonical bytes, which are made of it
//! again; older stores hold those bytes themselves, compressed.

use lucid_model::{
    canonical::{Canonical, CanonicalReader},
    epochs::{
        epoch::{Period, PeriodLength},
        frame::{FactColumn, FrameChunk},
        score::Ppm,
    },
    id::{PoolId, PoolScope},
    policies::Revision,
};
use lucid_ports::FramePart;
use uuid::Uuid;

use super::{Unreadable, columns};

const TAG: &str = "lucid/packed/1/frame";

pub fn pack(chunk: &FrameChunk) -> Result<Vec<u8>, Unreadable> {
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut bytes = Canonical::tagged(TAG)
        .fixed(&chunk.pool.bytes())
        .u32(count(chunk.nodes.len()))
        .i64(chunk.period.start_s)
        .u32(chunk.period.length.seconds())
        .u32(chunk.index)
        .u64(chunk.revision.0)
        .u32(chunk.rules)
        .u32(chunk.score_multiplier.0)
        .u32(count(chunk.columns.len()));
    bytes = columns::put_ids(bytes, chunk.nodes.iter().copied())?;
    for column in &chunk.columns {
        bytes = columns::put(bytes.text(&column.name).i64(column.total), &column.values)?;
    }
    columns::compress(&bytes.finish())
}

/// What is behind the tag; `None` for bytes of an older store.
fn body(bytes: &[u8]) -> Option<CanonicalReader<'_>> {
    bytes.strip_prefix(TAG.as_bytes())?.strip_prefix(&[0]).map(CanonicalReader)
}

fn older(bytes: &[u8]) -> Result<FrameChunk, Unreadable> {
    FrameChunk::from_bytes(bytes).map_err(|error| Unreadable::new(error.to_string()))
}

fn cut() -> Unreadable {
    Unreadable::new("a frame chunk is cut off")
}

fn head(reader: &mut CanonicalReader<'_>) -> Option<FramePart> {
    let pool = Uuid::from_bytes(reader.fixed()?);
    Some(FramePart {
        pool: if pool.is_nil() { PoolScope::Unassigned } else { PoolScope::Pool(PoolId(pool)) },
        nodes: reader.u32()?,
    })
}

/// Pool and number of nodes, without unpacking the columns.
pub fn part(packed: &[u8]) -> Result<FramePart, Unreadable> {
    let bytes = columns::decompress(packed)?;
    match body(&bytes) {
        Some(mut reader) => head(&mut reader).ok_or_else(cut),
        None => older(&bytes).map(|chunk| FramePart {
            pool: chunk.pool,
            nodes: u32::try_from(chunk.nodes.len()).unwrap_or(u32::MAX),
        }),
    }
}

pub fn unpack(packed: &[u8]) -> Result<FrameChunk, Unreadable> {
    let bytes = columns::decompress(packed)?;
    let Some(mut reader) = body(&bytes) else { return older(&bytes) };
    let FramePart { pool, nodes } = head(&mut reader).ok_or_else(cut)?;
    let count = usize::try_from(nodes).map_err(|_| cut())?;
    let start_s = reader.i64().ok_or_else(cut)?;
    let length = PeriodLength::new(reader.u32().ok_or_else(cut)?)
        .map_err(|error| Unreadable::new(error.to_string()))?;
    let index = reader.u32().ok_or_else(cut)?;
    let revision = Revision(reader.u64().ok_or_else(cut)?);
    let rules = reader.u32().ok_or_else(cut)?;
    let score_multiplier = Ppm(reader.u32().ok_or_else(cut)?);
    let facts = reader.u32().ok_or_else(cut)?;
    let nodes = columns::take_ids(&mut reader, count)?;
    let mut found = Vec::new();
    for _ in 0..facts {
        let (name, total) =
            (reader.text().ok_or_else(cut)?.to_owned(), reader.i64().ok_or_else(cut)?);
        found.push(FactColumn { name, total, values: columns::take(&mut reader, count)?.into() });
    }
    Ok(FrameChunk {
        period: Period { start_s, length },
        pool,
        index,
        revision,
        rules,
        score_multiplier,
        nodes,
        columns: found,
    })
}

#[cfg(test)]
mod tests {
    use lucid_model::epochs::facts::Fact;

    use super::*;
    use lucid_store_conformance::epochs::frame;

    #[test]
    fn a_frame_keeps_its_digest_however_it_was_stored() {
        for mut chunk in frame(10) {
            for (place, value) in
                std::sync::Arc::get_mut(&mut chunk.columns[Fact::UptimePpm as usize].values)
                    .unwrap()
                    .iter_mut()
                    .enumerate()
            {
                *value = i64::try_from(place * 7_919 % 1_000_003).unwrap()
                    * if place % 9 == 0 { -1 } else { 1 };
            }
            let old = zstd::bulk::compress(&chunk.to_bytes(), 3).unwrap();
            let new = pack(&chunk).unwrap();
            for packed in [&old, &new] {
                assert_eq!(unpack(packed).unwrap(), chunk);
                assert_eq!(unpack(packed).unwrap().digest(), chunk.digest());
                assert_eq!(
                    part(packed).unwrap(),
                    FramePart {
                        pool: chunk.pool,
                        nodes: u32::try_from(chunk.nodes.len()).unwrap()
                    }
                );
            }
            assert!(new.len() < chunk.to_bytes().len() / 8, "{} bytes", new.len());
        }
    }

    #[test]
    fn a_packed_frame_that_is_cut_or_changed_is_refused_or_another() {
        let chunk = frame(10).remove(1);
        let bytes = columns::decompress(&pack(&chunk).unwrap()).unwrap();
        for length in 0..bytes.len() {
            assert!(
                unpack(&columns::compress(&bytes[..length]).unwrap()).is_err(),
                "{length} bytes"
            );
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            // What can still be read is another chunk: its digest says so.
            if let Ok(read) = unpack(&columns::compress(&changed).unwrap()) {
                assert!(read == chunk || read.digest() != chunk.digest(), "byte {place}");
            }
        }
    }
}
