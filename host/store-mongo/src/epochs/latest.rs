use lucid_model::{epochs::receipt::ScoredChunk, id::NodeId};
use lucid_ports::{Page, PageRequest, ScoreFilter, ScoreSort, ScoreView};
use mongodb::bson::{Document, doc};

use super::{record::Claim, scores};
use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, id},
    fleet::nodes::NODES,
    index::Index,
    once::{self, Statement},
    page::{collect, page},
};

pub(crate) const LATEST: &str = "latest_scores";

const fn by(name: &'static str, keys: &'static [(&'static str, i32)], why: &'static str) -> Index {
    Index { collection: LATEST, name, keys, unique: false, partial: None, why }
}

pub(crate) const INDICES: &[Index] = &[
    by("latest_score", &[("score", 1), ("_id", 1)], "latest scores by score"),
    by("latest_calculated", &[("calculated_at", 1), ("_id", 1)], "latest scores by time"),
    by("latest_pool", &[("pool", 1), ("_id", 1)], "latest scores of a pool"),
];

impl MongoStore {
    /// Says of each node which of its scores is the latest: never an older one than is said
    /// already.
    pub(super) async fn move_latest(
        &self,
        claim: &Claim,
        chunk: &ScoredChunk,
    ) -> Result<(), Fault> {
        let start_s = claim.record.epoch.start_s;
        let statements = chunk.rows.iter().filter(|row| !row.held).map(|row| {
            let latest = doc! {
                "v": 1,
                "epoch_start_s": start_s,
                "calculated_at": claim.record.closed_at.0,
                "score": row.score.0,
                "pool": chunk.header.pool.pool().map(|pool| id(pool.0)),
            };
            Statement {
                filter: doc! { "_id": id(row.node.0), "epoch_start_s": { "$lt": start_s } },
                update: doc! { "$set": latest },
                upsert: true,
            }
        });
        once::update_each(self, LATEST, statements.collect()).await
    }

    /// The latest score of each node. Whose a node is, only the node says: a score goes with it.
    pub(super) async fn latest_scores(
        &self,
        filter: &ScoreFilter,
        request: &PageRequest<ScoreSort>,
    ) -> Result<Page<ScoreView>, Fault> {
        let mut conditions = Document::new();
        if let Some(owner) = filter.owner {
            let own = self
                .collection(NODES)
                .find(doc! { "owner": id(owner.0) })
                .projection(doc! { "_id": 1 })
                .await?;
            let own = collect(own, |fields| fields.id("_id", id)).await?;
            conditions.insert("_id", doc! { "$in": own });
        }
        if let Some(pool) = filter.pool {
            conditions.insert("pool", id(pool.0));
        }
        let keys: &[&str] = match request.sort {
            ScoreSort::Score => &["score", "_id"],
            ScoreSort::CalculatedAt => &["calculated_at", "_id"],
            ScoreSort::NodeId => &["_id"],
        };
        let latest = |fields: Fields<'_>| {
            Ok(scores::key(fields.number("epoch_start_s")?, fields.id("_id", NodeId)?))
        };
        let found = page(&self.collection(LATEST), conditions, keys, request, latest).await?;
        Ok(Page { items: self.views_of(&found.items).await?, total: found.total })
    }
}
