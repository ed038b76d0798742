//! The side of a copy that is a MongoDB database.

mod pages;
mod puts;
mod ranks;
mod telemetry;
mod walk;

use async_trait::async_trait;
use lucid_model::money::{payout::PaymentsSwitch, settlement::Distribution};
use lucid_ports::{Stamp, StoreError};
use lucid_store::{
    OpenError,
    transfer::{Expected, Key, Kind, Record, Transfer},
};
use mongodb::{
    Database,
    bson::{Document, doc},
};

pub(crate) use self::ranks::Ranks;
use crate::{
    MongoStore,
    audit::{self, requests::REQUESTS},
    connect,
    consensus::VOTES,
    durable,
    epochs::{
        adjustments::ADJUSTMENTS,
        chunks::CHUNKS,
        frames::{FRAME_CHUNKS, FRAMES},
        latest::LATEST,
        record::{CLOSED, EPOCHS},
        scores::{ON_DEMAND, SCORES},
    },
    fault::Fault,
    fields::Fields,
    fleet::{alerts::ALERTS, enrolments::ENROLMENTS, nodes::NODES, pools::POOLS},
    money::{
        decisions::PROPOSALS, ledger::LEDGER, mismatches::MISMATCHES, payouts::PAYOUTS, runs::RUNS,
        settlements::SETTLEMENTS,
    },
    notifications::webhooks::{DELIVERIES, WEBHOOKS},
    policies::{ACTIVATIONS, IMPORTS, VERSIONS, gate_reports::REPORTS},
    review::{
        shadows::{RESULTS, SHADOWS},
        standings::STANDINGS,
    },
    schema::{self, META},
    stamp,
    telemetry::{
        buckets::{BUCKETS, PRESENCE},
        live::LIVE,
        rolling::ROLLUPS,
        sessions::SESSIONS,
    },
    unusable_by,
};

/// The `_id` of the mark.
const MARK: &str = "copying";

/// The collection that a kind is read from.
fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::Pools => POOLS,
        Kind::PoolStandings => STANDINGS,
        Kind::Enrolments => ENROLMENTS,
        Kind::Nodes => NODES,
        Kind::Policies => VERSIONS,
        Kind::Activations => ACTIVATIONS,
        Kind::PolicyReports => REPORTS,
        Kind::Imports => IMPORTS,
        Kind::Requests => REQUESTS,
        Kind::Frames => FRAMES,
        Kind::FrameChunks => FRAME_CHUNKS,
        Kind::Epochs => EPOCHS,
        Kind::Scores => CHUNKS,
        Kind::LatestScores => LATEST,
        Kind::OnDemand => ON_DEMAND,
        Kind::Votes => VOTES,
        Kind::Ledger => LEDGER,
        Kind::Adjustments => ADJUSTMENTS,
        Kind::Shadows => SHADOWS,
        Kind::ShadowResults => RESULTS,
        Kind::Settlements => SETTLEMENTS,
        Kind::Runs => RUNS,
        Kind::Payouts => PAYOUTS,
        Kind::Proposals => PROPOSALS,
        Kind::Mismatches => MISMATCHES,
        Kind::Alerts => ALERTS,
        Kind::Webhooks => WEBHOOKS,
        Kind::Deliveries => DELIVERIES,
        Kind::Audit => audit::ENTRIES,
        Kind::AuditLinks => audit::LINKS,
        Kind::AuditSeals => audit::SEALS,
        Kind::Live => LIVE,
        Kind::Presence => PRESENCE,
        Kind::Sessions => SESSIONS,
        Kind::Samples => BUCKETS,
        Kind::Rollups => ROLLUPS,
    }
}

/// What of it counts; what is not counted is not copied.
fn counted(kind: Kind) -> Document {
    match kind {
        // A removed pool is kept for nodes that are still to leave it; none is.
        Kind::Pools | Kind::Webhooks => doc! { "live": true },
        // Slots that are blocked for a pool that gets smaller.
        Kind::Nodes => doc! { "blocks": { "$exists": false } },
        Kind::Epochs => doc! { "state": CLOSED },
        _ => doc! {},
    }
}

/// Votes of epochs that were closed so long before the newest one are not sent any more.
const SENT_WITHIN_MS: i64 = 172_800_000;

/// Something that is in the database: a collection that has a document. The number of the schema
/// does not count.
pub(crate) async fn occupied(url: &str) -> Result<Option<String>, OpenError> {
    let database = connect(url).await?;
    schema::check_only(&database).await?;
    let found = async {
        let mut names = database.list_collection_names().await?;
        names.sort_unstable();
        for name in names {
            let any = if name == META {
                doc! { "_id": { "$ne": "schema" } }
            } else {
                doc! {}
            };
            if durable(&database, &name).find_one(any).await?.is_some() {
                return Ok(Some(name));
            }
        }
        Ok::<_, Fault>(None)
    };
    found.await.map_err(|fault| unusable_by(&database, fault))
}

/// Whether the database has the mark of a copy.
pub(crate) async fn is_marked(url: &str) -> Result<bool, OpenError> {
    let database = connect(url).await?;
    Ok(mark(&database).await.map_err(|fault| unusable_by(&database, fault))?.is_some())
}

/// The mark of a copy.
pub(super) async fn mark(database: &Database) -> Result<Option<String>, Fault> {
    let found = durable(database, META).find_one(doc! { "_id": MARK }).await?;
    found.map(|found| Fields::of(&found).text("doc")).transpose()
}

impl MongoStore {
    /// Epochs whose close a crash cut off are closed: their results are fixed already.
    async fn close_claimed(&self) -> Result<(), Fault> {
        let claimed = self
            .collection(EPOCHS)
            .find(doc! { "state": { "$ne": CLOSED } })
            .sort(doc! { "_id": 1 })
            .await?;
        for start_s in crate::page::collect(claimed, |fields| fields.number("_id")).await? {
            if let Some(claim) = self.claim_of(start_s).await? {
                self.settle(claim).await?;
            }
        }
        if let Some(newest) = self.last_closed().await? {
            while self.make_some_votes(newest.closed_at.plus_ms(-SENT_WITHIN_MS)).await?.worked {}
        }
        // What attempts at epochs stored that nobody closes.
        let known = self.collection(EPOCHS).distinct("_id", doc! {}).await?;
        self.collection(CHUNKS).delete_many(doc! { "epoch_start_s": { "$nin": known } }).await?;
        Ok(())
    }

    async fn write_or_remove_mark(&self, mark: Option<String>) -> Result<(), Fault> {
        let meta = self.collection(META);
        match mark {
            Some(text) => {
                meta.update_one(doc! { "_id": MARK }, doc! { "$set": { "v": 1, "doc": text } })
                    .upsert(true)
                    .await?;
            }
            None => {
                meta.delete_one(doc! { "_id": MARK }).await?;
            }
        }
        Ok(())
    }

    async fn count_documents(&self, name: &'static str, filter: Document) -> Result<u64, Fault> {
        Ok(self.collection(name).count_documents(filter).await?)
    }

    /// Each activation is counted by its revision: those of one call are one document.
    async fn count_kind(&self, kind: Kind) -> Result<u64, Fault> {
        match kind {
            Kind::Activations => Ok(self.last_revision().await?.0),
            _ => self.count_documents(collection(kind), counted(kind)).await,
        }
    }
}

#[async_trait]
impl Transfer for MongoStore {
    async fn finish_writing(&self) -> Result<(), StoreError> {
        self.close_claimed().await?;
        while self.apply_some().await? {}
        self.fold_claims(None).await?;
        self.complete_audit().await
    }
    async fn read_stamp(&self) -> Result<Option<Stamp>, StoreError> {
        Ok(stamp::find(&self.database).await?)
    }
    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        Ok(self.count_kind(kind).await?)
    }
    async fn page(
        &self,
        kind: Kind,
        after: Option<Key>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        Ok(self.page_of(kind, after.as_ref(), limit).await?)
    }
    async fn put(&self, kind: Kind, records: Vec<Record>) -> Result<u64, StoreError> {
        Ok(self.put_all(kind, &records).await?)
    }
    async fn misfits(&self, expected: &Expected) -> Result<Vec<String>, StoreError> {
        let rows = self.count_documents(SCORES, doc! {}).await?;
        Ok(if rows == expected.score_rows {
            Vec::new()
        } else {
            vec![format!("rows of scores: {rows}, not {}", expected.score_rows)]
        })
    }
    async fn read_mark(&self) -> Result<Option<String>, StoreError> {
        Ok(mark(&self.database).await?)
    }
    async fn open_distribution(&self) -> Result<Option<Distribution>, StoreError> {
        Ok(self.newest_distribution(doc! { "open": true }).await?)
    }
    async fn carry_switch(&self, switch: PaymentsSwitch) -> Result<(), StoreError> {
        self.mark_copied().await?;
        Ok(self.put_switch(&switch).await?)
    }
    async fn write_mark(&self, mark: Option<String>) -> Result<(), StoreError> {
        Ok(self.write_or_remove_mark(mark).await?)
    }
}

#[cfg(test)]
mod tests {
    use lucid_store_conformance::{filled, mongo_server};

    use super::*;
    use crate::{
        consensus::VOTE_LISTS,
        money::{
            decisions::SWITCH,
            settlements::{DISTRIBUTIONS, PIECES},
        },
    };

    /// Collections that no kind is read from, and why.
    const DERIVED: [(&str, &str); 7] = [
        (DISTRIBUTIONS, "that of a settlement in the middle is carried over when a copy ends"),
        (PIECES, "carried over with it"),
        (SWITCH, "carried over when a copy ends"),
        (META, "the schema's number, the stamp, the mark of a copy"),
        (SCORES, "the rows of chunks, each by itself, made with them"),
        (VOTE_LISTS, "votes of an epoch that is being closed: none is"),
        ("policy_chunks", "the components of policies, read and made with their versions"),
    ];

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_collection_is_copied_or_named_as_derived() {
        let Some(url) = mongo_server::fresh() else { return };
        let store = MongoStore::open(&url).await.unwrap();
        filled::fill(&store).await;
        let named: Vec<_> = Kind::ALL
            .into_iter()
            .map(collection)
            .chain(DERIVED.iter().map(|(name, _)| *name))
            .collect();
        let mut found = store.database.list_collection_names().await.unwrap();
        assert!(found.len() > 30, "{found:?}");
        found.retain(|name| !named.contains(&name.as_str()));
        assert_eq!(found, Vec::<String>::new(), "nobody would copy them");
    }
}
