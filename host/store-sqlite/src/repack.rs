//! Packs the scores of older stores, which had a row for each.

use lucid_model::{
    epochs::{
        receipt::{ScoreRow, ScoredChunk},
        score::{Factors, RawCenti, ScoreCenti},
    },
    id::{NodeId, PoolScope},
};
use rusqlite::{Connection, params};

use crate::{
    columns::Columns,
    epochs::{
        closing::AT_ONCE,
        scores::{self, HEADER},
    },
    fault::Fault,
    query::{execute, rows},
    telemetry::stretches::{self, Between},
};

const ROW: &str = "s.node, s.observed_s, s.window_observed_s, s.eligible, s.multiplier, s.raw, s.score, s.sessions, s.factor_observation, \
                   s.factor_quality, s.factor_uptime, s.factor_resources, s.factor_network, s.reason, s.held";

fn read_row(columns: &mut Columns<'_>) -> Result<ScoreRow, Fault> {
    Ok(ScoreRow {
        node: columns.id(NodeId)?,
        observed_s: columns.take()?,
        window_observed_s: columns.take()?,
        eligible: columns.take()?,
        multiplier: columns.ppm()?,
        raw: RawCenti(columns.take()?),
        score: ScoreCenti(columns.take()?),
        sessions: columns.take()?,
        factors: Factors {
            observation_time: columns.ppm()?,
            session_quality: columns.ppm()?,
            uptime: columns.ppm()?,
            resource_efficiency: columns.ppm()?,
            network_performance: columns.ppm()?,
        },
        reason: columns.take()?,
        held: columns.take()?,
    })
}

/// Packs what is not packed, an epoch a transaction: what a crash leaves, the next start goes on
/// with.
pub(crate) fn old_scores(connection: &Connection) -> Result<(), Fault> {
    for start_s in rows(
        connection,
        "SELECT DISTINCT epoch_start_s FROM chunks ORDER BY epoch_start_s",
        [],
        |c| c.take::<i64>(),
    )? {
        let transaction = connection.unchecked_transaction()?;
        epoch(&transaction, start_s)?;
        transaction.commit()?;
        tracing::info!(epoch = start_s, "the scores of an epoch are packed");
    }
    Ok(())
}

fn epoch(connection: &Connection, start_s: i64) -> Result<(), Fault> {
    let between = Between::of(connection, start_s)?;
    let headers = format!("SELECT {HEADER} FROM chunks c WHERE c.epoch_start_s = ? ORDER BY c.idx");
    for header in rows(connection, &headers, [start_s], scores::read_header)? {
        let sql = format!(
            "SELECT {ROW} FROM scores s WHERE s.epoch_start_s = ? AND s.chunk = ? ORDER BY s.place"
        );
        let chunk = ScoredChunk {
            rows: rows(connection, &sql, params![start_s, header.index], read_row)?,
            header,
        };
        scores::insert_chunk(connection, AT_ONCE, &scores::pack(&chunk)?)?;
        let pool: PoolScope = chunk.header.pool;
        chunk
            .rows
            .iter()
            .try_for_each(|row| stretches::add(connection, row.node, pool, between))?;
    }
    execute(
        connection,
        "UPDATE epochs SET attempt = ? WHERE start_s = ?",
        params![AT_ONCE.bytes(), start_s],
    )?;
    execute(connection, "DELETE FROM scores WHERE epoch_start_s = ?", [start_s])?;
    execute(connection, "DELETE FROM chunks WHERE epoch_start_s = ?", [start_s])?;
    Ok(())
}
