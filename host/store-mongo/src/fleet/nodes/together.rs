//! Inserts of nodes that wait at the same time go with one command: it waits once for a majority's
//! journals.

use std::{collections::HashSet, panic::AssertUnwindSafe};

use futures::FutureExt as _;
use lucid_model::id::PoolId;
use mongodb::{
    Collection,
    bson::{Document, doc},
    error::{Error, ErrorKind},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    fault::{DUPLICATE_KEY, Fault},
    fields,
    page::collect,
};

/// Inserts that wait for the task.
const QUEUE: usize = 1_024;
/// Documents of one command; a node is a few kilobytes at most.
const DOCUMENTS_MAX: usize = 256;

/// What became of an insert.
pub(super) struct Inserted {
    /// `false`: a unique key is taken.
    pub(super) done: bool,
    /// Whether the pool that it names was removed by the time it was in.
    pub(super) pool_is_removed: bool,
}

struct Job {
    document: Document,
    pool: Option<PoolId>,
    done: oneshot::Sender<Result<Inserted, Fault>>,
}

/// Hands inserts to the task.
pub(crate) struct Together {
    jobs: mpsc::Sender<Job>,
}

impl Together {
    /// Starts the task, which ends with the store.
    pub(crate) fn start(nodes: Collection<Document>, pools: Collection<Document>) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut queue = queue;
            // Whoever waits for the command that was cut off hears that there is no answer.
            while AssertUnwindSafe(work(&nodes, &pools, &mut queue)).catch_unwind().await.is_err() {
                tracing::error!("the task that inserts nodes panicked and goes on with what waits");
            }
        });
        Self { jobs }
    }

    /// Inserts a node that may be in a pool.
    pub(super) async fn insert(
        &self,
        document: Document,
        pool: Option<PoolId>,
    ) -> Result<Inserted, Fault> {
        let gone = || Fault::from(Error::custom("the task that inserts nodes has ended"));
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job { document, pool, done }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn work(
    nodes: &Collection<Document>,
    pools: &Collection<Document>,
    queue: &mut mpsc::Receiver<Job>,
) {
    let mut jobs = Vec::with_capacity(DOCUMENTS_MAX);
    while queue.recv_many(&mut jobs, DOCUMENTS_MAX).await > 0 {
        let (documents, waiting): (Vec<_>, Vec<_>) =
            jobs.drain(..).map(|job| (job.document, (job.pool, job.done))).unzip();
        let outcomes = insert(nodes, &documents).await;
        let removed = removed(pools, waiting.iter().filter_map(|(pool, _)| *pool).collect()).await;
        for ((pool, done), outcome) in waiting.into_iter().zip(outcomes) {
            let outcome = match (outcome, &removed) {
                (Ok(inserted), Ok(removed)) => Ok(Inserted {
                    done: inserted,
                    pool_is_removed: pool.is_some_and(|pool| removed.contains(&pool)),
                }),
                // It has to be looked at: whoever asked does so.
                (Ok(inserted), Err(_)) => {
                    Ok(Inserted { done: inserted, pool_is_removed: pool.is_some() })
                }
                (Err(fault), _) => Err(fault),
            };
            // Who does not wait any more finds it when it comes again.
            let _ = done.send(outcome);
        }
    }
}

/// One outcome a document: `false`, one of its unique keys is taken.
async fn insert(nodes: &Collection<Document>, documents: &[Document]) -> Vec<Result<bool, Fault>> {
    let Err(error) = nodes.insert_many(documents).ordered(false).await else {
        return documents.iter().map(|_| Ok(true)).collect();
    };
    let refused = match error.kind.as_ref() {
        ErrorKind::InsertMany(many) if many.write_concern_error.is_none() => {
            many.write_errors.as_deref()
        }
        _ => None,
    };
    let Some(refused) = refused else {
        return documents.iter().map(|_| Err(Fault::from(error.clone()))).collect();
    };
    let outcome = |place| match refused.iter().find(|refused| refused.index == place) {
        None => Ok(true),
        Some(refused) if refused.code == DUPLICATE_KEY => Ok(false),
        Some(refused) => {
            Err(Fault::from(Error::custom(format!("a node was refused: {}", refused.message))))
        }
    };
    (0..documents.len()).map(outcome).collect()
}

/// Which of the pools were removed.
async fn removed(
    pools: &Collection<Document>,
    named: HashSet<PoolId>,
) -> Result<HashSet<PoolId>, Fault> {
    if named.is_empty() {
        return Ok(named);
    }
    let ids: Vec<_> = named.iter().map(|pool| fields::id(pool.0)).collect();
    let found = pools
        .find(doc! { "_id": { "$in": ids }, "removal": { "$exists": true } })
        .projection(doc! { "_id": 1 })
        .await?;
    Ok(collect(found, |fields| fields.id("_id", PoolId)).await?.into_iter().collect())
}
