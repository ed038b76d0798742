use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lucid_ports::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{
    fault::Fault,
    health::Condition,
    memory::{Pause, Shared},
};

/// Jobs that wait for the writer; a caller beyond waits for room.
const QUEUE: usize = 1024;
/// Jobs of one transaction.
const BATCH_JOBS_MAX: usize = 512;
/// Jobs that are worth a transaction however soon it follows the one before.
const BATCH_JOBS_ENOUGH: usize = 32;

/// When transactions begin and end.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// After this a transaction takes no further job.
    pub(crate) time_max: Duration,
    /// Transactions of few jobs begin at least so far apart: a sync costs a processor as much as
    /// ten jobs do.
    pub(crate) apart: Duration,
    /// Memory for pages, KiB.
    pub(crate) cache_kib: i64,
}

impl Pace {
    /// A job waits for nothing but the transaction before it.
    pub(crate) const AT_ONCE: Self =
        Self { time_max: Duration::from_millis(20), apart: Duration::ZERO, cache_kib: 16_384 };
    /// For jobs that come all the time from everywhere, none of which anybody waits for in a row.
    pub(crate) const GATHERED: Self = Self { apart: Duration::from_millis(5), ..Self::AT_ONCE };

    /// The same with so much memory for pages.
    pub(crate) fn with_cache(self, mib: u32) -> Self {
        Self { cache_kib: i64::from(mib) * 1_024, ..self }
    }
}

/// Tells a caller what became of its job, once the transaction is over.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A job; says whether its changes stay.
pub(crate) type Job = Box<dyn FnOnce(&Connection) -> (Kept, Answer) + Send>;
/// Ends every transaction, after its jobs: what it says of them is committed with them, or nothing
/// is.
pub(crate) type BeforeCommit = fn(&Connection) -> Result<(), Fault>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    No,
}

/// What writes a database.
pub(crate) enum Writer {
    /// The one thread that writes a file. Jobs that arrive together share a transaction and thereby
    /// one sync.
    Thread {
        /// Where jobs wait; none once it shall end.
        jobs: Option<mpsc::Sender<Job>>,
        /// Waited for at the end.
        thread: Option<JoinHandle<()>>,
        /// Knows why a job was not begun.
        condition: Arc<Condition>,
    },
    /// Each caller, one at a time.
    Here {
        /// What is written.
        shared: Arc<Shared>,
        /// What each write waits for first.
        pause: Option<Pause>,
    },
}

impl Writer {
    pub(crate) fn start(
        file: &'static str,
        connection: Connection,
        pace: Pace,
        before_commit: Option<BeforeCommit>,
        condition: Arc<Condition>,
    ) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        let batch =
            Batch { file, connection, pace, before_commit, condition: Arc::clone(&condition) };
        let thread = thread::Builder::new().name(format!("store-{file}")).spawn(move || {
            // Whoever waits for an answer of the transaction that was cut off hears that there is
            // none.
            while catch_unwind(AssertUnwindSafe(|| work(&batch, &mut queue))).is_err() {
                tracing::error!(file, "the store's writer panicked and goes on with the next job");
                metrics::counter!("lucid_store_writer_panics_total", "file" => file).increment(1);
                end_transaction(&batch);
            }
        })?;
        Ok(Self::Thread { jobs: Some(jobs), thread: Some(thread), condition })
    }

    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (jobs, condition) = match self {
            Self::Thread { jobs, condition, .. } => (jobs, condition),
            Self::Here { shared, pause } => {
                if let Some(pause) = pause {
                    pause().await;
                }
                return shared.write(job);
            }
        };
        let gone = |detail: &str| StoreError::Unavailable { detail: detail.to_owned() };
        let (sender, receiver) = oneshot::channel();
        let boxed: Job = Box::new(move |connection| {
            let result = catch_unwind(AssertUnwindSafe(|| job(connection)))
                .unwrap_or_else(|_| Err(Fault::Bad("a job panicked".to_owned())));
            let kept = if result.is_ok() { Kept::Yes } else { Kept::No };
            let answer: Answer = Box::new(move |committed| {
                // A caller that went away does not want the answer; the write stands all the same.
                let _ = sender.send(
                    result.map_err(StoreError::from).and_then(|value| committed.map(|()| value)),
                );
            });
            (kept, answer)
        });
        jobs.as_ref()
            .ok_or_else(|| gone("the writer has stopped"))?
            .send(boxed)
            .await
            .map_err(|_| gone("the writer has stopped"))?;
        receiver.await.map_err(|_| {
            condition.refusal().unwrap_or_else(|| gone("no transaction could be begun"))
        })?
    }
}

impl Drop for Writer {
    /// What was accepted is written before the directory's lock is given up.
    fn drop(&mut self) {
        if let Self::Thread { jobs, thread, .. } = self {
            drop(jobs.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

/// What every transaction of a writer has in common.
struct Batch {
    file: &'static str,
    connection: Connection,
    pace: Pace,
    before_commit: Option<BeforeCommit>,
    condition: Arc<Condition>,
}

fn work(batch: &Batch, queue: &mut mpsc::Receiver<Job>) {
    let Batch { file, condition, .. } = batch;
    let mut begun: Option<Instant> = None;
    while let Some(first) = queue.blocking_recv() {
        if let Some(begun) = begun
            && queue.len() < BATCH_JOBS_ENOUGH
        {
            thread::sleep(batch.pace.apart.saturating_sub(begun.elapsed()));
        }
        begun = Some(Instant::now());
        let (mut first, mut answers) = (Some(first), Vec::new());
        // A commit into files that somebody removed or replaced is durable for nobody.
        let committed = transaction(batch, &mut first, queue, &mut answers)
            .and_then(|()| condition.is_in_place());
        if let Err(error) = &committed {
            tracing::error!(file, %error, jobs = answers.len(), "a transaction was not committed");
        }
        end_transaction(batch);
        metrics::counter!("lucid_store_jobs_total", "file" => *file)
            .increment(u64::try_from(answers.len()).unwrap_or(0));
        let outcome = committed.map_err(|fault| fault.of_commit(file));
        condition.committed(&outcome);
        // One that was not begun hears why from the condition.
        drop(first);
        answers.into_iter().for_each(|answer| answer(outcome.clone()));
    }
}

/// Takes back what was not committed.
fn end_transaction(Batch { file, connection, .. }: &Batch) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(file, %error, "a transaction could not be rolled back");
    }
}

/// Runs jobs until none waits or the transaction is full, then commits. Every job that ran has its
/// answer in `answers`; one that did not run drops its sender, which its caller hears.
fn transaction(
    batch: &Batch,
    first: &mut Option<Job>,
    queue: &mut mpsc::Receiver<Job>,
    answers: &mut Vec<Answer>,
) -> Result<(), Fault> {
    let Batch { file, connection, pace, before_commit, .. } = batch;
    statement(connection, "BEGIN IMMEDIATE")?;
    let started = Instant::now();
    let mut next = first.take();
    while let Some(job) = next {
        statement(connection, "SAVEPOINT job")?;
        let (kept, answer) = job(connection);
        answers.push(answer);
        // A full disk makes SQLite roll back everything at once; then this fails, and with it the
        // whole batch.
        if kept == Kept::No {
            statement(connection, "ROLLBACK TO job")?;
        }
        statement(connection, "RELEASE job")?;
        let room = answers.len() < BATCH_JOBS_MAX && started.elapsed() < pace.time_max;
        next = if room { queue.try_recv().ok() } else { None };
    }
    if let Some(before_commit) = before_commit {
        before_commit(connection)?;
    }
    let committing = Instant::now();
    statement(connection, "COMMIT")?;
    metrics::histogram!("lucid_store_commit_seconds", "file" => *file).record(committing.elapsed());
    metrics::counter!("lucid_store_commits_total", "file" => *file).increment(1);
    Ok(())
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
