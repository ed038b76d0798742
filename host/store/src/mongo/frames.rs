//! Frames: written chunk by chunk under a name of their own, then claimed by one document per epoch, which decides
//! between two. Chunks that nobody claimed are never read; whoever loses takes its own away.

use lucid_model::{epoch::Period, frame::FrameChunk};
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use super::{
    MongoStore,
    fault::Fault,
    fields::{Fields, bytes},
    index::Index,
    once,
    page::collect,
};

pub(crate) const FRAMES: &str = "frames";
pub(crate) const FRAME_CHUNKS: &str = "frame_chunks";
/// Columns of small numbers shrink to a tenth at any level; 3 costs the least time.
const LEVEL: i32 = 3;
/// More than ten times what a chunk of all today's facts takes: the buffer it is unpacked into.
const CHUNK_BYTES_MAX: usize = 4 << 20;

pub(crate) const INDICES: &[Index] = &[Index {
    collection: FRAME_CHUNKS,
    name: "frame_chunks_staged",
    keys: &[("staged", 1), ("idx", 1)],
    unique: true,
    partial: None,
    why: "one chunk a place of a frame",
}];

fn document(staged: ObjectId, chunk: &FrameChunk) -> Result<Document, Fault> {
    let packed = zstd::bulk::compress(&chunk.to_bytes(), LEVEL).map_err(|error| Fault::Bad(format!("frame chunk {}: {error}", chunk.index)))?;
    Ok(doc! { "_id": format!("{staged}/{}", chunk.index), "v": 1, "staged": staged, "idx": chunk.index, "zstd": bytes(&packed) })
}

fn unpack(fields: Fields<'_>) -> Result<FrameChunk, Fault> {
    let bytes = zstd::bulk::decompress(&fields.bytes("zstd")?, CHUNK_BYTES_MAX).map_err(|error| Fault::Bad(format!("frame chunk: {error}")))?;
    FrameChunk::from_bytes(&bytes).map_err(|error| Fault::Bad(error.to_string()))
}

impl MongoStore {
    /// Writes a frame unless the epoch has one; answers the one that is stored.
    pub(crate) async fn keep_frame(&self, period: Period, chunks: &[FrameChunk]) -> Result<Vec<FrameChunk>, Fault> {
        if let Some(stored) = self.stored_frame(period.start_s).await? {
            return Ok(stored);
        }
        let staged = ObjectId::new();
        // One at a time: a chunk may take most of what one message should hold.
        for chunk in chunks {
            once::insert_each(&self.collection(FRAME_CHUNKS), &[document(staged, chunk)?]).await?;
        }
        let frame = doc! { "_id": period.start_s, "v": 1, "length_s": period.length.seconds(), "staged": staged };
        if !once::insert(&self.collection(FRAMES), frame).await? {
            self.collection(FRAME_CHUNKS).delete_many(doc! { "staged": staged }).await?;
        }
        let stored = self.stored_frame(period.start_s).await?;
        stored.ok_or_else(|| Fault::Bad(format!("the frame of epoch {period} is missing")))
    }

    /// The stored frame, in the order of its chunks.
    pub(crate) async fn stored_frame(&self, epoch_start_s: i64) -> Result<Option<Vec<FrameChunk>>, Fault> {
        let Some(frame) = self.collection(FRAMES).find_one(doc! { "_id": epoch_start_s }).await? else { return Ok(None) };
        let staged = frame.get("staged").and_then(Bson::as_object_id);
        let staged = staged.ok_or_else(|| Fault::Bad(format!("the frame of epoch {epoch_start_s} has no chunks' name")))?;
        let chunks = self.collection(FRAME_CHUNKS).find(doc! { "staged": staged }).sort(doc! { "idx": 1 }).await?;
        Ok(Some(collect(chunks, unpack).await?))
    }
}
