use lucid_model::{
    epochs::{
        receipt::{ChunkHeader, ScoreRow, ScoredChunk},
        score::{Factors, RawCenti, ScoreCenti},
    },
    id::NodeId,
};
use lucid_ports::{Attempt, Staged, StagedChunk};
use lucid_store::packing;
use mongodb::{
    Cursor,
    bson::{Bson, Document, doc, oid::ObjectId},
};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, bytes, digest, id},
    index::Index,
    once,
    page::collect,
};

pub(crate) const CHUNKS: &str = "chunks";

pub(crate) const INDICES: &[Index] = &[Index {
    collection: CHUNKS,
    name: "chunks_staged",
    keys: &[("epoch_start_s", 1), ("staged", 1), ("idx", 1)],
    unique: true,
    partial: None,
    why: "one chunk a place of an attempt at an epoch",
}];

/// The `_id` of a chunk.
pub(crate) fn key(staged: ObjectId, index: u32) -> String {
    format!("{staged}/{index}")
}

/// A chunk with its rows in the order they were hashed, packed.
pub(crate) fn document(staged: ObjectId, chunk: &ScoredChunk) -> Result<Document, Fault> {
    let StagedChunk { header, root, eligible, held } = StagedChunk::of(chunk);
    let bound = |node: Option<NodeId>| node.map(|node| id(node.0));
    Ok(doc! {
        "_id": key(staged, header.index),
        "v": 2,
        "epoch_start_s": header.period.start_s,
        "staged": staged,
        "idx": header.index,
        "length_s": header.period.length.seconds(),
        "pool": header.pool.pool().map(|pool| id(pool.0)),
        "row_count": header.rows,
        "frame": digest(header.frame),
        "policy": {
            "name": &header.policy.name,
            "version": header.policy.version.to_string(),
            "digest": digest(header.policy.digest),
        },
        "params": digest(header.params),
        "abi": &header.abi,
        "rules": header.rules,
        "root": digest(root),
        "eligible": eligible,
        "held": held,
        "node_min": bound(chunk.rows.iter().map(|row| row.node).min()),
        "node_max": bound(chunk.rows.iter().map(|row| row.node).max()),
        "packed": bytes(&packing::pack_rows(&chunk.rows)?),
    })
}

pub(super) fn row_document(row: &ScoreRow) -> Document {
    let factors = &row.factors;
    doc! {
        "node": id(row.node.0),
        "observed_s": row.observed_s,
        "window_observed_s": row.window_observed_s,
        "eligible": row.eligible,
        "multiplier": row.multiplier.0,
        "raw": row.raw.0,
        "score": row.score.0,
        "sessions": row.sessions,
        "factors": {
            "observation": factors.observation_time.0,
            "quality": factors.session_quality.0,
            "uptime": factors.uptime.0,
            "resources": factors.resource_efficiency.0,
            "network": factors.network_performance.0,
        },
        "reason": row.reason.as_deref(),
        "held": row.held,
    }
}

pub(super) fn read_row(fields: Fields<'_>) -> Result<ScoreRow, Fault> {
    let factors = fields.document("factors")?;
    Ok(ScoreRow {
        node: fields.id("node", NodeId)?,
        observed_s: fields.number("observed_s")?,
        window_observed_s: fields.number("window_observed_s")?,
        eligible: fields.truth("eligible")?,
        multiplier: fields.ppm("multiplier")?,
        raw: RawCenti(fields.number("raw")?),
        score: ScoreCenti(fields.number("score")?),
        sessions: fields.number("sessions")?,
        factors: Factors {
            observation_time: factors.ppm("observation")?,
            session_quality: factors.ppm("quality")?,
            uptime: factors.ppm("uptime")?,
            resource_efficiency: factors.ppm("resources")?,
            network_performance: factors.ppm("network")?,
        },
        reason: fields.text_or_none("reason")?,
        held: fields.truth("held")?,
    })
}

pub(super) fn read_header(fields: Fields<'_>) -> Result<ChunkHeader, Fault> {
    Ok(ChunkHeader {
        period: fields.period("epoch_start_s", "length_s")?,
        pool: fields.scope("pool")?,
        index: fields.number("idx")?,
        rows: fields.number("row_count")?,
        frame: fields.digest("frame")?,
        policy: fields.policy("policy")?,
        params: fields.digest("params")?,
        abi: fields.text("abi")?,
        rules: fields.number("rules")?,
    })
}

pub(crate) fn read(fields: Fields<'_>) -> Result<ScoredChunk, Fault> {
    let rows = match fields.bytes_or_none("packed")? {
        Some(packed) => packing::unpack_rows(&packed)?,
        // A document each, as older versions wrote them.
        None => fields.documents("rows")?.into_iter().map(read_row).collect::<Result<_, _>>()?,
    };
    Ok(ScoredChunk { header: read_header(fields)?, rows })
}

impl MongoStore {
    /// Writes an attempt's chunks, one at a time: one is as much as a message should hold.
    pub(super) async fn stage_chunks_as(
        &self,
        staged: ObjectId,
        chunks: &[ScoredChunk],
    ) -> Result<(), Fault> {
        for chunk in chunks {
            once::insert_each(&self.collection(CHUNKS), &[document(staged, chunk)?]).await?;
        }
        Ok(())
    }

    /// The newest attempt at an epoch that has stored something, if nobody closes the epoch.
    pub(super) async fn staged_by_newest(
        &self,
        epoch_start_s: i64,
    ) -> Result<Option<Staged>, Fault> {
        if self.claim_of(epoch_start_s).await?.is_some() {
            return Ok(None);
        }
        // Older versions left none that could be gone on with.
        let any = doc! { "epoch_start_s": epoch_start_s, "root": { "$exists": true } };
        let newest = self
            .collection(CHUNKS)
            .find_one(any)
            .projection(doc! { "staged": 1 })
            .sort(doc! { "epoch_start_s": -1, "staged": -1 })
            .await?;
        let Some(name) =
            newest.as_ref().and_then(|chunk| chunk.get("staged")).and_then(Bson::as_object_id)
        else {
            return Ok(None);
        };
        Ok(Some(Staged {
            attempt: Attempt::from_bytes(name.bytes()),
            chunks: self.staged_heads(epoch_start_s, name).await?,
        }))
    }

    /// What is remembered of the chunks that are staged under a name, in order.
    pub(super) async fn staged_heads(
        &self,
        epoch_start_s: i64,
        staged: ObjectId,
    ) -> Result<Vec<StagedChunk>, Fault> {
        let filter = doc! { "epoch_start_s": epoch_start_s, "staged": staged };
        let heads = self
            .collection(CHUNKS)
            .find(filter)
            .projection(doc! { "packed": 0 })
            .sort(doc! { "idx": 1 })
            .await?;
        let head = |fields: Fields<'_>| {
            let (root, eligible, held) =
                (fields.digest("root")?, fields.number("eligible")?, fields.number("held")?);
            Ok(StagedChunk { header: read_header(fields)?, root, eligible, held })
        };
        collect(heads, head).await
    }

    pub(super) async fn one_scored_chunk(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<Option<ScoredChunk>, Fault> {
        let Some(claim) = self.claim_of(epoch_start_s).await?.filter(|claim| claim.closed) else {
            return Ok(None);
        };
        let found = self
            .collection(CHUNKS)
            .find_one(doc! { "epoch_start_s": epoch_start_s, "staged": claim.staged, "idx": index })
            .await?;
        found.map(|found| read(Fields::of(&found))).transpose()
    }

    /// The chunks that are staged under a name, in order.
    pub(crate) async fn staged_chunks(
        &self,
        epoch_start_s: i64,
        staged: ObjectId,
    ) -> Result<Cursor<Document>, Fault> {
        let filter = doc! { "epoch_start_s": epoch_start_s, "staged": staged };
        Ok(self.collection(CHUNKS).find(filter).sort(doc! { "idx": 1 }).await?)
    }

    /// The chunk with a node that is staged under a name, among those that may have it: as a rule
    /// one a pool.
    pub(super) async fn staged_with(
        &self,
        epoch_start_s: i64,
        staged: ObjectId,
        node: NodeId,
    ) -> Result<Option<ScoredChunk>, Fault> {
        let node_id = id(node.0);
        // Older versions did not say between which nodes a chunk is.
        let filter = doc! { "epoch_start_s": epoch_start_s, "staged": staged, "node_min": { "$not": { "$gt": &node_id } }, "node_max": { "$not": { "$lt": node_id } } };
        let mut chunks = self.collection(CHUNKS).find(filter).sort(doc! { "idx": 1 }).await?;
        while chunks.advance().await? {
            let chunk = read(Fields::of(&chunks.deserialize_current()?))?;
            if chunk.rows.iter().any(|row| row.node == node) {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// The first chunk from a place on that is staged under a name.
    pub(crate) async fn staged_from(
        &self,
        epoch_start_s: i64,
        staged: ObjectId,
        place: i64,
    ) -> Result<Option<ScoredChunk>, Fault> {
        let next =
            doc! { "epoch_start_s": epoch_start_s, "staged": staged, "idx": { "$gte": place } };
        let found = self
            .collection(CHUNKS)
            .find_one(next)
            .sort(doc! { "epoch_start_s": 1, "staged": 1, "idx": 1 })
            .await?;
        found.map(|found| read(Fields::of(&found))).transpose()
    }

    /// The scored chunks of an epoch, with their rows in the order they were hashed.
    pub(super) async fn scored_chunks(
        &self,
        epoch_start_s: i64,
    ) -> Result<Vec<ScoredChunk>, Fault> {
        match self.claim_of(epoch_start_s).await? {
            Some(claim) if claim.closed => {
                collect(self.staged_chunks(epoch_start_s, claim.staged).await?, read).await
            }
            _ => Ok(Vec::new()),
        }
    }
}
