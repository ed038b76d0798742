//! Frames: written chunk by chunk under a name of their own, then claimed by one document per
//! epoch, which decides between two. Chunks that nobody claimed are never read; whoever loses takes
//! its own away.

use lucid_model::epochs::{epoch::Period, frame::FrameChunk};
use lucid_ports::{FrameChunks, FramePart};
use lucid_store::packing;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, bytes},
    index::Index,
    once,
    page::collect,
};

pub(crate) const FRAMES: &str = "frames";
pub(crate) const FRAME_CHUNKS: &str = "frame_chunks";

pub(crate) const INDICES: &[Index] = &[Index {
    collection: FRAME_CHUNKS,
    name: "frame_chunks_staged",
    keys: &[("staged", 1), ("idx", 1)],
    unique: true,
    partial: None,
    why: "one chunk a place of a frame",
}];

fn document(staged: ObjectId, chunk: &FrameChunk) -> Result<Document, Fault> {
    let packed = packing::pack_frame(chunk)?;
    Ok(
        doc! { "_id": format!("{staged}/{}", chunk.index), "v": 2, "staged": staged, "idx": chunk.index, "zstd": bytes(&packed) },
    )
}

fn unpack(fields: Fields<'_>) -> Result<FrameChunk, Fault> {
    Ok(packing::unpack_frame(&fields.bytes("zstd")?)?)
}

impl MongoStore {
    /// Writes a frame unless the epoch has one.
    pub(crate) async fn keep_frame(
        &self,
        period: Period,
        chunks: FrameChunks,
    ) -> Result<(), Fault> {
        if self.frame_name(period.start_s).await?.is_some() {
            return Ok(());
        }
        let staged = ObjectId::new();
        // One at a time: a chunk may take most of what one message should hold.
        for chunk in chunks {
            let document = document(staged, &chunk)?;
            once::insert_each(&self.collection(FRAME_CHUNKS), &[document]).await?;
        }
        let frame = doc! { "_id": period.start_s, "v": 1, "length_s": period.length.seconds(), "staged": staged };
        if !once::insert(&self.collection(FRAMES), frame).await? {
            self.collection(FRAME_CHUNKS).delete_many(doc! { "staged": staged }).await?;
        }
        Ok(())
    }

    /// The name that an epoch's frame gave its chunks.
    async fn frame_name(&self, epoch_start_s: i64) -> Result<Option<ObjectId>, Fault> {
        let Some(frame) = self.collection(FRAMES).find_one(doc! { "_id": epoch_start_s }).await?
        else {
            return Ok(None);
        };
        let staged = frame.get("staged").and_then(Bson::as_object_id);
        staged.map(Some).ok_or_else(|| {
            Fault::Bad(format!("the frame of epoch {epoch_start_s} has no chunks' name"))
        })
    }

    async fn of_frame<T>(
        &self,
        epoch_start_s: i64,
        read: fn(Fields<'_>) -> Result<T, Fault>,
    ) -> Result<Option<Vec<T>>, Fault> {
        let Some(staged) = self.frame_name(epoch_start_s).await? else { return Ok(None) };
        let chunks = self
            .collection(FRAME_CHUNKS)
            .find(doc! { "staged": staged })
            .sort(doc! { "idx": 1 })
            .await?;
        Ok(Some(collect(chunks, read).await?))
    }

    /// The stored frame, in the order of its chunks.
    pub(crate) async fn stored_frame(
        &self,
        epoch_start_s: i64,
    ) -> Result<Option<Vec<FrameChunk>>, Fault> {
        self.of_frame(epoch_start_s, unpack).await
    }

    pub(crate) async fn stored_parts(
        &self,
        epoch_start_s: i64,
    ) -> Result<Option<Vec<FramePart>>, Fault> {
        self.of_frame(epoch_start_s, |fields| Ok(packing::frame_part(&fields.bytes("zstd")?)?))
            .await
    }

    pub(crate) async fn stored_frame_chunk(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<Option<FrameChunk>, Fault> {
        let Some(staged) = self.frame_name(epoch_start_s).await? else { return Ok(None) };
        let found =
            self.collection(FRAME_CHUNKS).find_one(doc! { "staged": staged, "idx": index }).await?;
        found.map(|found| unpack(Fields::of(&found))).transpose()
    }
}
