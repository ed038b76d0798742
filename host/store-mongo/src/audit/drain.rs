//! One task a process drains: entries that wait together share a link.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use lucid_model::audit::AuditEntry;
use lucid_ports::StoreError;
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};
use tokio::sync::{mpsc, oneshot};

use super::{AUDITED, chain::Chain, entry, undrained};
use crate::{fault::Fault, fields, page::collect};

/// Jobs that wait for the task.
const QUEUE: usize = 1024;
/// Entries of one link; a document has room for 16 MiB.
const LINK_ENTRIES_MAX: usize = 256;
/// Bytes of the texts of one link's entries, for the same reason.
const LINK_TEXT_BYTES_MAX: usize = 4 << 20;
/// Documents that are swept at once.
const SWEEP_DOCUMENTS_MAX: i64 = 256;

type Done = oneshot::Sender<Result<(), StoreError>>;

/// A document that carries entries: its collection and its id.
type Carrier = (&'static str, Bson);

enum Job {
    /// Entries that are durable in the document of an id.
    Left(Carrier, Vec<AuditEntry>),
    /// An entry that is in no document.
    Alone(Box<AuditEntry>, Done),
    /// Everything that any process left in its documents.
    Sweep(Done),
}

/// Hands entries to the task.
pub(crate) struct Drain {
    jobs: mpsc::Sender<Job>,
}

impl Drain {
    /// Starts the task, which ends with the store.
    pub(crate) fn start(chain: Chain, audited: [Collection<Document>; AUDITED.len()]) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let (mut task, mut queue) = (Task { chain, audited }, queue);
            // Whoever waits for the link that was cut off hears that there is none; what is in
            // documents is swept later.
            while AssertUnwindSafe(work(&mut task, &mut queue)).catch_unwind().await.is_err() {
                tracing::error!("the audit log's task panicked and goes on with what waits");
            }
        });
        Self { jobs }
    }

    /// Entries that a write just left in a document. If the queue is full they stay there until
    /// they are swept.
    pub(crate) fn left(&self, collection: &'static str, document: &Bson, entries: &[AuditEntry]) {
        let _ = self.jobs.try_send(Job::Left((collection, document.clone()), entries.to_vec()));
    }
    /// Adds an entry that belongs to no other write.
    pub(crate) async fn alone(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.ask(|done| Job::Alone(Box::new(entry), done)).await
    }
    /// Drains what is left in documents, whoever left it.
    pub(crate) async fn sweep(&self) -> Result<(), StoreError> {
        self.ask(Job::Sweep).await
    }

    async fn ask(&self, job: impl FnOnce(Done) -> Job) -> Result<(), StoreError> {
        let gone =
            || StoreError::Unavailable { detail: "the audit log's task has ended".to_owned() };
        let (done, answer) = oneshot::channel();
        self.jobs.send(job(done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Task {
    chain: Chain,
    audited: [Collection<Document>; AUDITED.len()],
}

/// Jobs that are done with one link.
#[derive(Default)]
struct Batch {
    entries: Vec<AuditEntry>,
    text_bytes: usize,
    carriers: Vec<Carrier>,
    alone: Vec<Done>,
    sweeps: Vec<Done>,
}

impl Batch {
    fn take(&mut self, job: Job) {
        match job {
            Job::Left(carrier, entries) => {
                self.carriers.push(carrier);
                entries.into_iter().for_each(|entry| self.add(entry));
            }
            Job::Alone(entry, done) => {
                self.add(*entry);
                self.alone.push(done);
            }
            Job::Sweep(done) => self.sweeps.push(done),
        }
    }
    fn add(&mut self, entry: AuditEntry) {
        self.text_bytes +=
            entry.actor.len() + entry.action.len() + entry.subject.len() + entry.detail.len();
        self.entries.push(entry);
    }
    fn has_room(&self) -> bool {
        self.entries.len() < LINK_ENTRIES_MAX && self.text_bytes < LINK_TEXT_BYTES_MAX
    }
}

async fn work(task: &mut Task, queue: &mut mpsc::Receiver<Job>) {
    while let Some(first) = queue.recv().await {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(job) = next {
            batch.take(job);
            next = if batch.has_room() { queue.try_recv().ok() } else { None };
        }
        let Batch { entries, carriers, alone, sweeps, .. } = batch;
        let linked = task.link(entries, &carriers).await;
        if let Err(error) = &linked {
            tracing::warn!(%error, "audit entries stay in their documents until the next sweep");
        }
        alone.into_iter().for_each(|done| drop(done.send(linked.clone())));
        if !sweeps.is_empty() {
            let swept = task.sweep().await;
            sweeps.into_iter().for_each(|done| drop(done.send(swept.clone())));
        }
    }
}

impl Task {
    /// Links entries, then takes them out of the documents that carry them.
    async fn link(
        &mut self,
        entries: Vec<AuditEntry>,
        carriers: &[Carrier],
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = entries.iter().map(|entry| fields::id(entry.id.0)).collect();
        self.chain.add(entries).await?;
        for collection in &self.audited {
            let documents: Vec<_> = carriers
                .iter()
                .filter(|(name, _)| *name == collection.name())
                .map(|(_, id)| id.clone())
                .collect();
            if !documents.is_empty() {
                let (carrying, taken) = (
                    doc! { "_id": { "$in": documents } },
                    doc! { "$pull": { "audit": { "id": { "$in": &ids } } } },
                );
                collection.update_many(carrying, taken).await.map_err(Fault::from)?;
            }
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        for carrier in self.audited.clone() {
            let Some(name) = AUDITED.into_iter().find(|name| *name == carrier.name()) else {
                continue;
            };
            loop {
                let left = carrier
                    .find(undrained())
                    .projection(doc! { "audit": 1 })
                    .limit(SWEEP_DOCUMENTS_MAX)
                    .await
                    .map_err(Fault::from)?;
                let left = collect(left, |fields| {
                    let entries = fields
                        .documents("audit")?
                        .into_iter()
                        .map(|intent| entry::read(intent, "id"))
                        .collect::<Result<Vec<_>, _>>()?;
                    Ok((fields.get("_id").cloned().unwrap_or(Bson::Null), entries))
                });
                let left = left.await?;
                if left.is_empty() {
                    break;
                }
                let carriers: Vec<Carrier> =
                    left.iter().map(|(id, _)| (name, id.clone())).collect();
                let entries: Vec<_> = left.into_iter().flat_map(|(_, entries)| entries).collect();
                for entries in entries.chunks(LINK_ENTRIES_MAX) {
                    self.link(entries.to_vec(), &carriers).await?;
                }
            }
        }
        Ok(())
    }
}
