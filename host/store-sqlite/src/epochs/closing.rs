//! Closing an epoch. With scores that are all at hand in one transaction; with what an attempt
//! stored in parts:
//!
//! 1. The epoch's row is added with the attempt's name, if its chunks have the record's root: from here on the result
//!    is fixed. Readers of epochs and scores do not see it, because `settled` is not null.
//! 2. Nodes, latest scores and stretches follow from the chunks, a part a transaction; `settled` moves with them.
//! 3. `settled` becomes null: the epoch is closed. What other attempts stored goes.
//!
//! Votes follow from the chunks too, when there is somebody to send them.
//!
//! After a crash in 2 whoever closes the epoch again goes on there, with the record that is fixed.

use lucid_model::{
    consensus::Vote,
    epochs::{epoch::EpochRecord, receipt::ScoredChunk},
    money::merkle,
    time::TimeMs,
};
use lucid_ports::{Attempt, MadeVotes, StoreError};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, consensus,
    epochs::{
        self,
        scores::{self, HEADER, PACKED, PackedChunk},
    },
    fault::Fault,
    query::{execute, first, rows},
};

/// The attempt of epochs that are closed in one transaction.
pub(crate) const AT_ONCE: Attempt = Attempt::from_bytes([0; 12]);
/// After so many rows a part ends: others write between two parts.
const PART_ROWS: usize = 2_000;
/// Rows of a part at most.
const PART_ROWS_MAX: usize = 16_000;
/// Parts of a large epoch: each writes every page of the score's indices that it touches, which is
/// soon all of them.
const PARTS: usize = 64;

/// Votes of epochs that were closed so long before the newest one are not sent any more.
const SENT_WITHIN_MS: i64 = 172_800_000;

/// How far an epoch is.
pub(crate) enum Standing {
    /// Nobody closes it.
    Open,
    /// Its result is fixed.
    Closing,
    /// Nothing is left to do.
    Closed,
}

pub(crate) fn standing(connection: &Connection, epoch_start_s: i64) -> Result<Standing, Fault> {
    let settled =
        first(connection, "SELECT settled FROM epochs WHERE start_s = ?", [epoch_start_s], |c| {
            c.take::<Option<i64>>()
        })?;
    Ok(match settled {
        None => Standing::Open,
        Some(Some(_)) => Standing::Closing,
        Some(None) => Standing::Closed,
    })
}

/// Record, scores and votes in one transaction, if nobody closes the epoch; where it stood before.
pub(crate) fn at_once(
    connection: &Connection,
    record: &EpochRecord,
    chunks: &[(ScoredChunk, PackedChunk)],
    votes: &[Vote],
) -> Result<Standing, Fault> {
    let standing = standing(connection, record.epoch.start_s)?;
    if !matches!(standing, Standing::Open) {
        return Ok(standing);
    }
    epochs::insert(connection, record, AT_ONCE)?;
    for (chunk, packed) in chunks {
        let header = &chunk.header;
        if header.period != record.epoch {
            return Err(Fault::Bad(format!(
                "chunk {} of epoch {} in epoch {}",
                header.index, header.period, record.epoch
            )));
        }
        if !scores::insert_chunk(connection, AT_ONCE, packed)? {
            return Err(Fault::Bad(format!(
                "chunk {} of epoch {} is there already",
                header.index, record.epoch
            )));
        }
        scores::settle(connection, record, chunk)?;
    }
    for vote in votes {
        if !consensus::add(connection, vote)? {
            return Err(Fault::Bad(format!(
                "the vote of node {} in epoch {} is there already",
                vote.node, vote.epoch_start_s
            )));
        }
    }
    Ok(standing)
}

/// Fixes what an epoch's result is, unless it is fixed.
fn fix(connection: &Connection, record: &EpochRecord, attempt: Attempt) -> Result<(), Fault> {
    let start_s = record.epoch.start_s;
    if !matches!(standing(connection, start_s)?, Standing::Open) {
        return Ok(());
    }
    let sql = "SELECT root FROM scored WHERE epoch_start_s = ? AND attempt = ? ORDER BY idx";
    let roots = rows(connection, sql, params![start_s, attempt.bytes()], |c| c.digest())?;
    if merkle::root(&roots) != record.root {
        return Err(Fault::Bad(format!(
            "the chunks that are stored for epoch {start_s} have another root than its record"
        )));
    }
    epochs::insert(connection, record, attempt)?;
    execute(
        connection,
        "UPDATE epochs SET settled = 0, votes_from = 0 WHERE start_s = ?",
        [start_s],
    )?;
    Ok(())
}

/// What became of a part.
enum Part {
    /// There may be another.
    Done,
    /// There was none, and this call closed the epoch.
    Closed(Box<EpochRecord>),
    /// Another call closed it.
    WasClosed,
}

fn apply_part(connection: &Connection, epoch_start_s: i64) -> Result<Part, Fault> {
    let sql = format!("SELECT {}, settled, attempt FROM epochs WHERE start_s = ?", epochs::COLUMNS);
    let found = first(connection, &sql, [epoch_start_s], |c| {
        Ok((epochs::read(c)?, c.take::<Option<i64>>()?, c.take::<Option<[u8; 12]>>()?))
    })?;
    let Some((record, Some(mut settled), Some(attempt))) = found else {
        return Ok(Part::WasClosed);
    };
    let part_rows = (usize::try_from(record.nodes).unwrap_or(usize::MAX) / PARTS)
        .clamp(PART_ROWS, PART_ROWS_MAX);
    let mut count = 0;
    while count < part_rows {
        let Some(chunk) = chunk_from(connection, epoch_start_s, attempt, settled)? else { break };
        scores::settle(connection, &record, &chunk)?;
        settled = i64::from(chunk.header.index) + 1;
        // A chunk without rows is work too.
        count += chunk.rows.len().max(1);
    }
    if count > 0 {
        execute(
            connection,
            "UPDATE epochs SET settled = ? WHERE start_s = ?",
            [settled, epoch_start_s],
        )?;
        return Ok(Part::Done);
    }
    execute(connection, "UPDATE epochs SET settled = NULL WHERE start_s = ?", [epoch_start_s])?;
    // Pages that were held for a fleet's indices are nobody's until the next close.
    connection.execute_batch("PRAGMA shrink_memory")?;
    for table in ["scored_rows", "scored"] {
        execute(
            connection,
            &format!("DELETE FROM {table} WHERE epoch_start_s = ? AND attempt <> ?"),
            params![epoch_start_s, attempt],
        )?;
    }
    Ok(Part::Closed(Box::new(record)))
}

/// The first chunk of an attempt from a place on.
fn chunk_from(
    connection: &Connection,
    epoch_start_s: i64,
    attempt: [u8; 12],
    from: i64,
) -> Result<Option<ScoredChunk>, Fault> {
    let next = format!(
        "SELECT {HEADER}, r.packed FROM scored c{PACKED} WHERE c.epoch_start_s = ? AND c.attempt = ? AND c.idx >= ? ORDER BY c.idx LIMIT 1"
    );
    first(connection, &next, params![epoch_start_s, attempt, from], scores::read_chunk)
}

/// Makes the votes of a chunk.
pub(crate) fn make_votes(connection: &Connection, closed_from: TimeMs) -> Result<MadeVotes, Fault> {
    let sql = format!(
        "SELECT {}, votes_from, attempt FROM epochs WHERE votes_from IS NOT NULL AND settled IS NULL ORDER BY start_s LIMIT 1",
        epochs::COLUMNS
    );
    let found = first(connection, &sql, [], |c| {
        Ok((epochs::read(c)?, c.take::<i64>()?, c.take::<[u8; 12]>()?))
    })?;
    let Some((record, from, attempt)) = found else { return Ok(MadeVotes::default()) };
    let start_s = record.epoch.start_s;
    let chunk = if record.closed_at < closed_from {
        None
    } else {
        chunk_from(connection, start_s, attempt, from)?
    };
    let next = chunk.as_ref().map(|chunk| i64::from(chunk.header.index) + 1);
    let mut made = MadeVotes { worked: true, contradicted: Vec::new() };
    for vote in
        chunk.iter().flat_map(|chunk| &chunk.rows).filter_map(|row| Vote::of_score(&record, row))
    {
        let there = if consensus::add(connection, &vote)? {
            None
        } else {
            consensus::one(connection, start_s, vote.node)?
        };
        made.contradicted
            .extend(there.is_some_and(|there| !there.says_the_same(&vote)).then_some(vote));
    }
    execute(
        connection,
        "UPDATE epochs SET votes_from = ? WHERE start_s = ?",
        params![next, start_s],
    )?;
    Ok(made)
}

impl SqliteStore {
    pub(crate) async fn close(
        &self,
        record: EpochRecord,
        chunks: Vec<ScoredChunk>,
        votes: Vec<Vote>,
    ) -> Result<Option<EpochRecord>, StoreError> {
        let start_s = record.epoch.start_s;
        let standing = self.core.write(move |connection| {
            let chunks = chunks
                .into_iter()
                .map(|chunk| scores::pack(&chunk).map(|packed| (chunk, packed)))
                .collect::<Result<Vec<_>, _>>()?;
            at_once(connection, &record, &chunks, &votes).map(|standing| (standing, record))
        });
        match standing.await? {
            (Standing::Open, record) => Ok(Some(record)),
            (Standing::Closing, _) => self.settle(start_s).await,
            (Standing::Closed, _) => Ok(None),
        }
    }

    pub(crate) async fn close_attempt(
        &self,
        record: EpochRecord,
        attempt: Attempt,
    ) -> Result<Option<EpochRecord>, StoreError> {
        let start_s = record.epoch.start_s;
        self.core.write(move |connection| fix(connection, &record, attempt)).await?;
        self.settle(start_s).await
    }

    /// Closes the epochs whose results are fixed, and takes away what attempts at others stored.
    pub(crate) async fn close_what_is_fixed(&self) -> Result<(), StoreError> {
        let closing = "SELECT start_s FROM epochs WHERE settled IS NOT NULL ORDER BY start_s";
        for start_s in
            self.core.read(move |connection| rows(connection, closing, [], |c| c.take())).await?
        {
            self.settle(start_s).await?;
        }
        // Votes that somebody may still send: two days are longer than any is sent.
        let newest = "SELECT max(closed_at) FROM epochs WHERE settled IS NULL";
        let newest = self
            .core
            .read(move |connection| first(connection, newest, [], |c| c.time_or_none()))
            .await?
            .flatten();
        if let Some(newest) = newest {
            while self
                .core
                .write(move |connection| make_votes(connection, newest.plus_ms(-SENT_WITHIN_MS)))
                .await?
                .worked
            {}
        }
        let forget = |connection: &Connection| {
            for table in ["scored_rows", "scored"] {
                execute(
                    connection,
                    &format!(
                        "DELETE FROM {table} WHERE epoch_start_s NOT IN (SELECT start_s FROM epochs)"
                    ),
                    [],
                )?;
            }
            Ok(())
        };
        self.core.write(forget).await
    }

    async fn settle(&self, epoch_start_s: i64) -> Result<Option<EpochRecord>, StoreError> {
        loop {
            match self.core.write(move |connection| apply_part(connection, epoch_start_s)).await? {
                Part::Done => {}
                Part::Closed(record) => return Ok(Some(*record)),
                Part::WasClosed => return Ok(None),
            }
        }
    }
}
