//! What checks found of pools: a document a pool, with the pool's id.

use lucid_model::{
    fleet::pool::health::{Health, Members, Replaced, Standing},
    id::{NodeId, PoolId},
};
use mongodb::bson::{Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields, stored},
    once,
    page::collect,
};

pub(crate) const STANDINGS: &str = "pool_standings";

fn fields_of(standing: &Standing) -> Document {
    let replaced: Vec<_> = standing
        .replaced
        .iter()
        .map(|r| doc! { "node": fields::id(r.node.0), "at": r.at.0 })
        .collect();
    doc! {
        "v": 1, "health": standing.health.name(), "since": standing.since.0, "better": standing.better.map(Health::name),
        "checked_at": standing.checked_at.0, "working": i64::from(standing.members.working), "failed": i64::from(standing.members.failed),
        "replaced": replaced,
    }
}

/// A standing of a pool that had none.
pub(crate) fn document(standing: &Standing) -> Result<Document, Fault> {
    let mut document = fields_of(standing);
    document
        .extend(doc! { "_id": fields::id(standing.pool.0), "version": stored(standing.version)? });
    Ok(document)
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Standing, Fault> {
    let replaced = |fields: Fields<'_>| {
        Ok(Replaced { node: fields.id("node", NodeId)?, at: fields.time("at")? })
    };
    Ok(Standing {
        pool: fields.id("_id", PoolId)?,
        health: fields.word("health", Health::from_name)?,
        since: fields.time("since")?,
        better: fields.word_or_none("better", Health::from_name)?,
        checked_at: fields.time("checked_at")?,
        members: Members { working: fields.number("working")?, failed: fields.number("failed")? },
        replaced: fields
            .documents("replaced")?
            .into_iter()
            .map(replaced)
            .collect::<Result<_, Fault>>()?,
        version: fields.number("version")?,
    })
}

impl MongoStore {
    pub(crate) async fn standings(&self) -> Result<Vec<Standing>, Fault> {
        collect(self.collection(STANDINGS).find(doc! {}).sort(doc! { "_id": 1 }).await?, read).await
    }

    pub(crate) async fn standing(&self, pool: PoolId) -> Result<Option<Standing>, Fault> {
        let found = self.collection(STANDINGS).find_one(doc! { "_id": fields::id(pool.0) }).await?;
        found.map(|document| read(Fields::of(&document))).transpose()
    }

    pub(crate) async fn keep(&self, standing: &Standing) -> Result<bool, Fault> {
        if self.live_pool(standing.pool).await?.is_none() {
            return Ok(false);
        }
        let standings = self.collection(STANDINGS);
        let kept = if standing.version == 1 {
            once::insert(&standings, document(standing)?).await?
        } else {
            once::change(
                &standings,
                fields::id(standing.pool.0),
                stored(standing.version)?,
                doc! {},
                fields_of(standing),
                &[],
            )
            .await?
        };
        // Whoever removed the pool meanwhile may have looked before this was there.
        if self.live_pool(standing.pool).await?.is_none() {
            self.forget_standing(standing.pool).await?;
            return Ok(false);
        }
        Ok(kept)
    }

    pub(crate) async fn forget_standing(&self, pool: PoolId) -> Result<(), Fault> {
        self.collection(STANDINGS).delete_one(doc! { "_id": fields::id(pool.0) }).await?;
        Ok(())
    }
}
