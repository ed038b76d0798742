use std::collections::HashMap;

use lucid_model::{
    epochs::{
        receipt::{ChunkHeader, OnDemandReceipt, ScoreRow, ScoredChunk},
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    id::{NodeId, OnDemandId},
    time::TimeMs,
};
use lucid_ports::{Page, PageRequest, ScoreFilter, ScoreSort, ScoreView};
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use super::{
    chunks::{self, CHUNKS, read_row, row_document},
    record::Claim,
};
use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, digest, id},
    fleet::nodes::NODES,
    index::Index,
    once,
    page::{collect, page},
};

pub(crate) const SCORES: &str = "scores";
pub(crate) const ON_DEMAND: &str = "on_demand";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: SCORES,
        name: "scores_history",
        keys: &[("node", 1), ("calculated_at", 1), ("epoch_start_s", 1)],
        unique: false,
        partial: None,
        why: "a node's scores by time",
    },
    Index {
        collection: ON_DEMAND,
        name: "on_demand_history",
        keys: &[("node", 1), ("calculated_at", 1)],
        unique: false,
        partial: None,
        why: "a node's scores on demand by time",
    },
];

/// A row as it is found by its node; the chunk's header is looked up by `chunk`.
pub(super) struct Found {
    pub(super) key: String,
    row: ScoreRow,
    calculated_at: TimeMs,
    chunk: String,
}

/// The `_id` of a score.
pub(crate) fn key(epoch_start_s: i64, node: NodeId) -> String {
    format!("{epoch_start_s}-{node}")
}

fn read(fields: Fields<'_>) -> Result<Found, Fault> {
    Ok(Found {
        key: fields.text("_id")?,
        row: read_row(fields)?,
        calculated_at: fields.time("calculated_at")?,
        chunk: fields.text("chunk")?,
    })
}

/// The documents of a chunk's rows.
pub(crate) fn row_documents(
    closed_at: TimeMs,
    staged: ObjectId,
    chunk: &ScoredChunk,
) -> Vec<Document> {
    let start_s = chunk.header.period.start_s;
    let rows = chunk.rows.iter().map(|row| {
        let mut document = doc! {
            "_id": key(start_s, row.node),
            "v": 1,
            "epoch_start_s": start_s,
            "calculated_at": closed_at.0,
            "chunk": chunks::key(staged, chunk.header.index),
            "pool": chunk.header.pool.pool().map(|pool| id(pool.0)),
        };
        document.extend(row_document(row));
        document
    });
    rows.collect()
}

impl MongoStore {
    /// The rows of a chunk, each as a document: a node's history is read by node.
    pub(crate) async fn add_scores(&self, claim: &Claim, chunk: &ScoredChunk) -> Result<(), Fault> {
        once::insert_each(
            &self.collection(SCORES),
            &row_documents(claim.record.closed_at, claim.staged, chunk),
        )
        .await
        .map(drop)
    }

    /// Rows with their chunks' headers, in the order given.
    async fn views(&self, found: Vec<Found>) -> Result<Vec<ScoreView>, Fault> {
        let keys: Vec<_> = found.iter().map(|score| score.chunk.as_str()).collect();
        let chunks = self
            .collection(CHUNKS)
            .find(doc! { "_id": { "$in": keys } })
            .projection(doc! { "rows": 0, "packed": 0 })
            .await?;
        let headers: HashMap<String, ChunkHeader> =
            collect(chunks, |fields| Ok((fields.text("_id")?, chunks::read_header(fields)?)))
                .await?
                .into_iter()
                .collect();
        let view = |score: Found| {
            let header = headers
                .get(&score.chunk)
                .cloned()
                .ok_or_else(|| Fault::Bad(format!("score {} has no chunk", score.key)))?;
            Ok(ScoreView { row: score.row, header, calculated_at: score.calculated_at })
        };
        found.into_iter().map(view).collect()
    }

    /// The scores of these keys, in their order.
    pub(super) async fn views_of(&self, keys: &[String]) -> Result<Vec<ScoreView>, Fault> {
        let found =
            collect(self.collection(SCORES).find(doc! { "_id": { "$in": keys } }).await?, read)
                .await?;
        let mut found: HashMap<_, _> =
            found.into_iter().map(|score| (score.key.clone(), score)).collect();
        self.views(keys.iter().filter_map(|key| found.remove(key)).collect()).await
    }

    pub(super) async fn one_score(
        &self,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<Option<ScoreView>, Fault> {
        match self.claim_of(epoch_start_s).await? {
            Some(claim) if claim.closed => {
                match self.views_of(&[key(epoch_start_s, node)]).await?.pop() {
                    None if claim.settled_from.is_some() => {
                        self.score_in_chunks(&claim, node).await
                    }
                    found => Ok(found),
                }
            }
            _ => Ok(None),
        }
    }

    /// A score of an epoch whose nodes do not all have theirs.
    async fn score_in_chunks(
        &self,
        claim: &Claim,
        node: NodeId,
    ) -> Result<Option<ScoreView>, Fault> {
        let Some(chunk) = self.staged_with(claim.record.epoch.start_s, claim.staged, node).await?
        else {
            return Ok(None);
        };
        let row = chunk.rows.into_iter().find(|row| row.node == node);
        Ok(row.map(|row| ScoreView {
            row,
            header: chunk.header,
            calculated_at: claim.record.closed_at,
        }))
    }

    pub(super) async fn score_history(
        &self,
        node: NodeId,
        filter: &ScoreFilter,
        request: &PageRequest<ScoreSort>,
    ) -> Result<Page<ScoreView>, Fault> {
        if let Some(owner) = filter.owner
            && self
                .collection(NODES)
                .find_one(doc! { "_id": id(node.0), "owner": id(owner.0) })
                .await?
                .is_none()
        {
            return Ok(Page { items: Vec::new(), total: 0 });
        }
        let mut conditions =
            doc! { "node": id(node.0), "epoch_start_s": self.seen_epochs().await? };
        if let Some(pool) = filter.pool {
            conditions.insert("pool", id(pool.0));
        }
        let keys: &[&str] = match request.sort {
            ScoreSort::Score => &["score", "epoch_start_s"],
            ScoreSort::CalculatedAt | ScoreSort::NodeId => &["calculated_at", "epoch_start_s"],
        };
        let found = page(&self.collection(SCORES), conditions, keys, request, read).await?;
        Ok(Page { items: self.views(found.items).await?, total: found.total })
    }

    pub(super) async fn scores_of_second(
        &self,
        node: NodeId,
        at: TimeMs,
    ) -> Result<Vec<ScoreCenti>, Fault> {
        let second = TimeMs::from_unix_s(at.unix_s_floor());
        let of_second = doc! { "node": id(node.0), "calculated_at": { "$gte": second.0, "$lt": second.plus_ms(1000).0 } };
        let mut of_epochs = of_second.clone();
        of_epochs.insert("held", false);
        of_epochs.insert("epoch_start_s", self.seen_epochs().await?);
        let score = |fields: Fields<'_>| Ok(ScoreCenti(fields.number("score")?));
        let mut scores = collect(self.collection(SCORES).find(of_epochs).await?, score).await?;
        scores.extend(collect(self.collection(ON_DEMAND).find(of_second).await?, score).await?);
        Ok(scores)
    }

    /// By id, which begins with the time: no index by time is needed.
    pub(super) async fn forget_on_demand_before(
        &self,
        before: TimeMs,
        limit: u32,
    ) -> Result<u64, Fault> {
        let receipts = self.collection(ON_DEMAND);
        let old = doc! { "_id": { "$lt": id(before.first_uuid()) }, "calculated_at": { "$lt": before.0 } };
        let found = receipts
            .find(old)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(limit))
            .projection(doc! { "_id": 1 })
            .await?;
        let ids =
            collect(found, |fields| Ok(fields.get("_id").cloned().unwrap_or(Bson::Null))).await?;
        Ok(receipts.delete_many(doc! { "_id": { "$in": ids } }).await?.deleted_count)
    }

    /// One that is there already is the same.
    pub(super) async fn keep_on_demand(&self, receipt: &OnDemandReceipt) -> Result<(), Fault> {
        once::insert_each(&self.collection(ON_DEMAND), &[on_demand_document(receipt)])
            .await
            .map(drop)
    }
}

/// What [`read_on_demand`] reads.
pub(crate) fn on_demand_document(receipt: &OnDemandReceipt) -> Document {
    let factors = &receipt.factors;
    let factors = [
        factors.observation_time.0,
        factors.session_quality.0,
        factors.uptime.0,
        factors.resource_efficiency.0,
        factors.network_performance.0,
    ];
    doc! {
        "_id": id(receipt.id.0),
        "v": 1,
        "node": id(receipt.node.0),
        "calculated_at": receipt.calculated_at.0,
        "score": receipt.score.0,
        "period_s": receipt.period_s,
        "observations": receipt.observations,
        "observed_s": receipt.observed_s,
        "raw": receipt.raw.0,
        "multiplier": receipt.multiplier.0,
        "factors": factors.map(|factor| Bson::Int64(i64::from(factor))).to_vec(),
        "policy": {
            "name": &receipt.policy.name,
            "version": receipt.policy.version.to_string(),
            "digest": digest(receipt.policy.digest),
        },
        "params": digest(receipt.params),
        "rules": receipt.rules,
        "facts": digest(receipt.facts),
    }
}

pub(crate) fn read_on_demand(fields: Fields<'_>) -> Result<OnDemandReceipt, Fault> {
    let bad = || Fault::Bad("field factors of an on-demand receipt".to_owned());
    let factors: Vec<_> = fields
        .get("factors")
        .and_then(Bson::as_array)
        .ok_or_else(bad)?
        .iter()
        .filter_map(Bson::as_i64)
        .collect();
    let factors: Vec<_> =
        factors.into_iter().filter_map(|factor| u32::try_from(factor).ok()).map(Ppm).collect();
    let [observation_time, session_quality, uptime, resource_efficiency, network_performance] =
        factors.try_into().map_err(|_| bad())?;
    Ok(OnDemandReceipt {
        id: fields.id("_id", OnDemandId)?,
        node: fields.id("node", NodeId)?,
        calculated_at: fields.time("calculated_at")?,
        period_s: fields.number("period_s")?,
        observations: fields.number("observations")?,
        observed_s: fields.number("observed_s")?,
        score: ScoreCenti(fields.number("score")?),
        raw: RawCenti(fields.number("raw")?),
        multiplier: fields.ppm("multiplier")?,
        factors: Factors {
            observation_time,
            session_quality,
            uptime,
            resource_efficiency,
            network_performance,
        },
        policy: fields.policy("policy")?,
        params: fields.digest("params")?,
        rules: fields.number("rules")?,
        facts: fields.digest("facts")?,
    })
}
