//! The one writer: it gathers what is waiting, commits it with one sync, and only then answers.

use std::thread;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::{
    RecordError,
    row::{NewTransfer, NewVote, TRANSFER_COLUMNS, Transfer, VOTE_COLUMNS, Vote},
};
use crate::{
    SandboxError,
    clock::now_ms,
    digest::{external_id, transaction_id, vote_id},
    fault::Effect,
};

pub(super) const QUEUE_JOBS_MAX: usize = 4_096;
const BATCH_JOBS_MAX: usize = 512;

type Answer<T> = oneshot::Sender<Outcome<T>>;

/// What recording came to.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    /// It is on disk, now or since an earlier request.
    Recorded(T),
    /// Something else is on disk under the same identity.
    Conflict,
}

pub(super) enum Job {
    Transfer { new: Box<NewTransfer>, effect: Effect, answer: Answer<Transfer> },
    Vote { new: Box<NewVote>, effect: Effect, answer: Answer<Vote> },
    Stop,
}

/// Asks the writer thread to record things.
#[derive(Debug, Clone)]
pub(crate) struct Writer(mpsc::Sender<Job>);

impl Writer {
    pub(super) fn new(sender: mpsc::Sender<Job>) -> Self {
        Self(sender)
    }

    /// Returns once the transfer is on disk.
    pub(crate) async fn transfer(
        &self,
        new: NewTransfer,
        effect: Effect,
    ) -> Result<Outcome<Transfer>, RecordError> {
        let (answer, outcome) = oneshot::channel();
        self.send(Job::Transfer { new: Box::new(new), effect, answer }).await?;
        outcome.await.map_err(|_| RecordError::NotWritten)
    }

    /// Returns once the vote is on disk.
    pub(crate) async fn vote(
        &self,
        new: NewVote,
        effect: Effect,
    ) -> Result<Outcome<Vote>, RecordError> {
        let (answer, outcome) = oneshot::channel();
        self.send(Job::Vote { new: Box::new(new), effect, answer }).await?;
        outcome.await.map_err(|_| RecordError::NotWritten)
    }

    /// The writer finishes what was queued before and ends.
    pub(crate) async fn stop(&self) {
        if self.send(Job::Stop).await.is_err() {
            tracing::debug!("the sandbox writer had already stopped");
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.0.is_closed()
    }

    async fn send(&self, job: Job) -> Result<(), RecordError> {
        self.0.send(job).await.map_err(|_| RecordError::NotWritten)
    }
}

/// The thread behind a [`Writer`].
#[derive(Debug)]
pub(crate) struct WriterThread(thread::JoinHandle<()>);

impl WriterThread {
    /// Waits for the thread's end.
    pub(crate) async fn join(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the sandbox writer did not end in order");
        }
    }
}

pub(super) fn spawn(
    connection: Connection,
    jobs: mpsc::Receiver<Job>,
    confirm_delay_ms: i64,
) -> Result<WriterThread, SandboxError> {
    thread::Builder::new()
        .name("sandbox-writer".to_owned())
        .spawn(move || run(connection, jobs, confirm_delay_ms))
        .map(WriterThread)
        .map_err(|source| SandboxError::WriterThread { source })
}

fn run(mut connection: Connection, mut jobs: mpsc::Receiver<Job>, confirm_delay_ms: i64) {
    let mut stopping = false;
    while !stopping {
        let Some(first) = jobs.blocking_recv() else {
            return;
        };
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next.take() {
            if matches!(job, Job::Stop) {
                stopping = true;
                break;
            }
            batch.push(job);
            if batch.len() < BATCH_JOBS_MAX {
                next = jobs.try_recv().ok();
            }
        }
        // A failed batch drops its jobs, and with them the channels that the requests wait on.
        if let Err(error) = commit(&mut connection, batch, confirm_delay_ms) {
            tracing::error!(%error, "a batch of the sandbox record was not written");
        }
    }
}

enum Applied {
    Transfer(Answer<Transfer>, Outcome<Transfer>),
    Vote(Answer<Vote>, Outcome<Vote>),
}

fn commit(
    connection: &mut Connection,
    batch: Vec<Job>,
    confirm_delay_ms: i64,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut applied = Vec::with_capacity(batch.len());
    for job in batch {
        match job {
            Job::Transfer { new, effect, answer } => {
                let outcome = record_transfer(&transaction, &new, effect, confirm_delay_ms)?;
                applied.push(Applied::Transfer(answer, outcome));
            }
            Job::Vote { new, effect, answer } => {
                applied.push(Applied::Vote(answer, record_vote(&transaction, &new, effect)?));
            }
            Job::Stop => {}
        }
    }
    transaction.commit()?;
    for answered in applied {
        // Whoever hung up meanwhile finds the record by asking again.
        let _gone = match answered {
            Applied::Transfer(answer, outcome) => answer.send(outcome).is_err(),
            Applied::Vote(answer, outcome) => answer.send(outcome).is_err(),
        };
    }
    Ok(())
}

fn record_transfer(
    transaction: &Transaction<'_>,
    new: &NewTransfer,
    effect: Effect,
    confirm_delay_ms: i64,
) -> Result<Outcome<Transfer>, rusqlite::Error> {
    let sql = format!(
        "SELECT {TRANSFER_COLUMNS} FROM transfers WHERE idempotency_key = ?1 AND deduped = 1"
    );
    let known = transaction
        .prepare_cached(&sql)?
        .query_row(params![new.idempotency_key], Transfer::from_row)
        .optional()?;
    let now_ms = now_ms();
    let insert = |accepted_at_ms: i64, deduped: bool| {
        let settled_at_ms = accepted_at_ms.saturating_add(confirm_delay_ms);
        let fails = effect == Effect::Fails;
        insert_transfer(transaction, new, Timing { accepted_at_ms, settled_at_ms }, deduped, fails)
    };
    match (effect, known) {
        (Effect::None, _) => Ok(Outcome::Recorded(Transfer::pretended(new.clone(), now_ms))),
        (Effect::Twice, known) => {
            let first = insert(now_ms, known.is_none())?;
            insert(now_ms, false)?;
            Ok(Outcome::Recorded(first))
        }
        (_, Some(known)) if known.new.body_sha256 == new.body_sha256 => {
            Ok(Outcome::Recorded(known))
        }
        (_, Some(_)) => Ok(Outcome::Conflict),
        (Effect::Late { ms }, None) => {
            Ok(Outcome::Recorded(insert(now_ms.saturating_add(i64::from(ms)), true)?))
        }
        (Effect::Once | Effect::Fails, None) => Ok(Outcome::Recorded(insert(now_ms, true)?)),
    }
}

struct Timing {
    accepted_at_ms: i64,
    settled_at_ms: i64,
}

fn insert_transfer(
    transaction: &Transaction<'_>,
    new: &NewTransfer,
    timing: Timing,
    deduped: bool,
    fails: bool,
) -> Result<Transfer, rusqlite::Error> {
    let copy: i64 = transaction
        .prepare_cached("SELECT count(*) FROM transfers WHERE payout_id = ?1")?
        .query_row(params![new.payout_id], |row| row.get(0))?;
    let sql = format!(
        "INSERT INTO transfers (idempotency_key, body_sha256, payout_id, reference, node_id, user_id, \
         recipient_address, amount_micro_usdt, currency, external_id, transaction_id, accepted_at_ms, \
         settled_at_ms, fails, copy, deduped) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
         RETURNING {TRANSFER_COLUMNS}"
    );
    transaction.prepare_cached(&sql)?.query_row(
        params![
            new.idempotency_key,
            new.body_sha256,
            new.payout_id,
            new.reference,
            new.node_id,
            new.user_id,
            new.recipient_address,
            new.amount.micro(),
            new.currency,
            external_id(&new.payout_id, copy),
            transaction_id(&new.payout_id, copy),
            timing.accepted_at_ms,
            timing.settled_at_ms,
            fails,
            copy,
            deduped,
        ],
        Transfer::from_row,
    )
}

fn record_vote(
    transaction: &Transaction<'_>,
    new: &NewVote,
    effect: Effect,
) -> Result<Outcome<Vote>, rusqlite::Error> {
    let sql = format!(
        "SELECT {VOTE_COLUMNS} FROM votes WHERE node_id = ?1 AND block_id = ?2 ORDER BY seq LIMIT 1"
    );
    let known = transaction
        .prepare_cached(&sql)?
        .query_row(params![new.node_id, new.block_id], Vote::from_row)
        .optional()?;
    let now_ms = now_ms();
    match (effect, known) {
        (Effect::None, _) => Ok(Outcome::Recorded(Vote::pretended(new.clone(), now_ms))),
        (Effect::Twice, _) => {
            let first = insert_vote(transaction, new, now_ms)?;
            insert_vote(transaction, new, now_ms)?;
            Ok(Outcome::Recorded(first))
        }
        (_, Some(known)) if known.says(new) => Ok(Outcome::Recorded(known)),
        (_, Some(_)) => Ok(Outcome::Conflict),
        (Effect::Late { ms }, None) => {
            let accepted_at_ms = now_ms.saturating_add(i64::from(ms));
            Ok(Outcome::Recorded(insert_vote(transaction, new, accepted_at_ms)?))
        }
        (Effect::Once | Effect::Fails, None) => {
            Ok(Outcome::Recorded(insert_vote(transaction, new, now_ms)?))
        }
    }
}

fn insert_vote(
    transaction: &Transaction<'_>,
    new: &NewVote,
    accepted_at_ms: i64,
) -> Result<Vote, rusqlite::Error> {
    let copy: i64 = transaction
        .prepare_cached("SELECT count(*) FROM votes WHERE node_id = ?1 AND block_id = ?2")?
        .query_row(params![new.node_id, new.block_id], |row| row.get(0))?;
    let sql = format!(
        "INSERT INTO votes (node_id, block_id, block_hash, score, vote, merkle_root, signature, \
         voted_at, vote_id, accepted_at_ms, copy) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING {VOTE_COLUMNS}"
    );
    transaction.prepare_cached(&sql)?.query_row(
        params![
            new.node_id,
            new.block_id,
            new.block_hash,
            new.score,
            new.vote,
            new.merkle_root,
            new.signature,
            new.voted_at,
            vote_id(&new.node_id, &new.block_id, copy),
            accepted_at_ms,
            copy,
        ],
        Vote::from_row,
    )
}
