use lucid_model::{
    epoch::EpochRecord,
    id::{NodeId, OnDemandId},
    policy::PolicyRef,
    receipt::{ChunkHeader, OnDemandReceipt, ScoreRow, ScoredChunk},
    score::{Factors, Ppm, RawCenti, ScoreCenti},
    time::TimeMs,
};
use lucid_ports::{PageRequest, ScoreFilter, ScoreSort, ScoreView};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::{
    columns::{Columns, blob, json},
    fault::Fault,
    query::{Conditions, List, Source, execute, first, rows},
};

const ROW: &str = "s.node, s.observed_s, s.window_observed_s, s.eligible, s.multiplier, s.raw, s.score, s.sessions, s.factor_observation, \
                   s.factor_quality, s.factor_uptime, s.factor_resources, s.factor_network, s.reason, s.held";
pub(crate) const HEADER: &str = "c.epoch_start_s, c.length_s, c.pool, c.idx, c.row_count, c.frame, c.policy_name, c.policy_version, c.policy_digest, \
                      c.params, c.abi, c.rules";
const VIEW: &str = "s.calculated_at, s.node, s.observed_s, s.window_observed_s, s.eligible, s.multiplier, s.raw, s.score, s.sessions, \
                    s.factor_observation, s.factor_quality, s.factor_uptime, s.factor_resources, s.factor_network, s.reason, s.held, \
                    c.epoch_start_s, c.length_s, c.pool, c.idx, c.row_count, c.frame, c.policy_name, c.policy_version, c.policy_digest, \
                    c.params, c.abi, c.rules";
/// CROSS keeps the order of the joins: the first table is walked in the order of its index.
const CHUNK: &str = " CROSS JOIN chunks c ON c.epoch_start_s = s.epoch_start_s AND c.idx = s.chunk";

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

pub(crate) fn read_header(columns: &mut Columns<'_>) -> Result<ChunkHeader, Fault> {
    Ok(ChunkHeader {
        period: columns.period()?,
        pool: columns.scope()?,
        index: columns.take()?,
        rows: columns.take()?,
        frame: columns.digest()?,
        policy: columns.policy()?,
        params: columns.digest()?,
        abi: columns.take()?,
        rules: columns.take()?,
    })
}

pub(crate) fn read_view(columns: &mut Columns<'_>) -> Result<ScoreView, Fault> {
    let calculated_at = columns.time()?;
    Ok(ScoreView { row: read_row(columns)?, header: read_header(columns)?, calculated_at })
}

/// Adds a chunk's header and rows, and what the rows change of their nodes.
pub(crate) fn add_chunk(connection: &Connection, record: &EpochRecord, chunk: &ScoredChunk) -> Result<(), Fault> {
    let header = &chunk.header;
    if header.period != record.epoch {
        return Err(Fault::Bad(format!("chunk {} of epoch {} in epoch {}", header.index, header.period, record.epoch)));
    }
    if !insert_chunk(connection, record.closed_at, chunk)? {
        return Err(Fault::Bad(format!("chunk {} of epoch {} is there already", header.index, record.epoch)));
    }
    chunk.rows.iter().try_for_each(|row| settle_node(connection, record, header, row))
}

/// Adds a chunk's header and rows; `false` if the header is there.
pub(crate) fn insert_chunk(connection: &Connection, closed_at: TimeMs, chunk: &ScoredChunk) -> Result<bool, Fault> {
    let header = &chunk.header;
    let sql = "INSERT INTO chunks (epoch_start_s, idx, length_s, pool, row_count, frame, policy_name, policy_version, policy_digest, params, \
               abi, rules) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let values = params![
        header.period.start_s,
        header.index,
        header.period.length.seconds(),
        header.pool.pool().map(|pool| pool.0.into_bytes()),
        header.rows,
        header.frame.0,
        header.policy.name,
        header.policy.version.to_string(),
        header.policy.digest.0,
        header.params.0,
        header.abi,
        header.rules,
    ];
    let added = execute(connection, sql, values)? == 1;
    if added {
        (0_u32..).zip(&chunk.rows).try_for_each(|(place, row)| add_row(connection, closed_at, header, place, row))?;
    }
    Ok(added)
}

fn add_row(connection: &Connection, closed_at: TimeMs, header: &ChunkHeader, place: u32, row: &ScoreRow) -> Result<(), Fault> {
    let sql = "INSERT INTO scores (epoch_start_s, node, chunk, place, calculated_at, observed_s, window_observed_s, eligible, multiplier, raw, \
               score, sessions, factor_observation, factor_quality, factor_uptime, factor_resources, factor_network, reason, held) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        header.period.start_s,
        row.node.0.as_bytes(),
        header.index,
        place,
        closed_at.0,
        row.observed_s,
        row.window_observed_s,
        row.eligible,
        row.multiplier.0,
        row.raw.0,
        row.score.0,
        row.sessions,
        row.factors.observation_time.0,
        row.factors.session_quality.0,
        row.factors.uptime.0,
        row.factors.resource_efficiency.0,
        row.factors.network_performance.0,
        row.reason,
        row.held,
    ];
    execute(connection, sql, values)?;
    Ok(())
}

/// The node's own score, lifetime and place among the latest scores. A node that is held has no score this
/// epoch: its last one stands.
fn settle_node(connection: &Connection, record: &EpochRecord, header: &ChunkHeader, row: &ScoreRow) -> Result<(), Fault> {
    let sql = "UPDATE nodes SET score = CASE WHEN ?1 THEN score ELSE ?2 END, observed_s = observed_s + ?3 WHERE id = ?4";
    execute(connection, sql, params![row.held, row.score.0, row.observed_s, row.node.0.as_bytes()])?;
    if row.held {
        return Ok(());
    }
    let sql = "INSERT INTO latest_scores (node, epoch_start_s, calculated_at, score, pool, owner) \
               VALUES (?1, ?2, ?3, ?4, ?5, (SELECT owner FROM nodes WHERE id = ?1)) ON CONFLICT (node) DO UPDATE SET \
               epoch_start_s = excluded.epoch_start_s, calculated_at = excluded.calculated_at, score = excluded.score, \
               pool = excluded.pool, owner = excluded.owner WHERE excluded.epoch_start_s > epoch_start_s";
    let pool = header.pool.pool().map(|pool| pool.0.into_bytes());
    execute(connection, sql, params![row.node.0.as_bytes(), header.period.start_s, record.closed_at.0, row.score.0, pool])?;
    Ok(())
}

/// The scored chunks of an epoch, with their rows in the order they were hashed.
pub(crate) fn chunks(connection: &Connection, epoch_start_s: i64) -> Result<Vec<ScoredChunk>, Fault> {
    let headers = format!("SELECT {HEADER} FROM chunks c WHERE c.epoch_start_s = ? ORDER BY c.idx");
    with_rows(connection, epoch_start_s, rows(connection, &headers, [epoch_start_s], read_header)?)
}

/// Chunks of an epoch, by their headers in order, with their rows.
pub(crate) fn with_rows(connection: &Connection, epoch_start_s: i64, headers: Vec<ChunkHeader>) -> Result<Vec<ScoredChunk>, Fault> {
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return Ok(Vec::new()) };
    // The rows lie by node: an epoch is gone through once for all chunks.
    let scores = format!("SELECT s.chunk, {ROW} FROM scores s WHERE s.epoch_start_s = ? AND s.chunk >= ? AND s.chunk <= ? ORDER BY s.chunk, s.place");
    let scores = rows(connection, &scores, params![epoch_start_s, first.index, last.index], |c| Ok((c.take::<u32>()?, read_row(c)?)))?;
    let mut scores = scores.into_iter().peekable();
    let mut chunks = Vec::with_capacity(headers.len());
    for header in headers {
        let mut rows = Vec::new();
        while let Some((_, row)) = scores.next_if(|(chunk, _)| *chunk == header.index) {
            rows.push(row);
        }
        chunks.push(ScoredChunk { header, rows });
    }
    Ok(chunks)
}

pub(crate) fn one(connection: &Connection, epoch_start_s: i64, node: NodeId) -> Result<Option<ScoreView>, Fault> {
    let sql = format!("SELECT {VIEW} FROM scores s{CHUNK} WHERE s.epoch_start_s = ? AND s.node = ?");
    first(connection, &sql, params![epoch_start_s, node.0.as_bytes()], read_view)
}

pub(crate) fn list(filter: &ScoreFilter, page: PageRequest<ScoreSort>) -> List {
    let (pool, owner) = (filter.pool.map(|pool| blob(pool.0)), filter.owner.map(|owner| blob(owner.0)));
    if let Some(node) = filter.node {
        let in_pool = "EXISTS (SELECT 1 FROM chunks p WHERE p.epoch_start_s = s.epoch_start_s AND p.idx = s.chunk AND p.pool = ?)";
        let of_owner = "EXISTS (SELECT 1 FROM nodes n WHERE n.id = s.node AND n.owner = ?)";
        let conditions = Conditions::default().and("s.node = ?", Some(blob(node.0))).and(in_pool, pool).and(of_owner, owner);
        let keys: &[&str] = match page.sort {
            ScoreSort::Score => &["s.score", "s.epoch_start_s"],
            ScoreSort::CalculatedAt | ScoreSort::NodeId => &["s.calculated_at", "s.epoch_start_s"],
        };
        return List::new(&Source { columns: VIEW, table: "scores s", joins: CHUNK }, conditions, keys, &page);
    }
    let conditions = Conditions::default().and("l.owner = ?", owner).and("l.pool = ?", pool);
    let keys: &[&str] = match page.sort {
        ScoreSort::Score => &["l.score", "l.node"],
        ScoreSort::CalculatedAt => &["l.calculated_at", "l.node"],
        ScoreSort::NodeId => &["l.node"],
    };
    let joins = format!(" CROSS JOIN scores s ON s.epoch_start_s = l.epoch_start_s AND s.node = l.node{CHUNK}");
    List::new(&Source { columns: VIEW, table: "latest_scores l", joins: &joins }, conditions, keys, &page)
}

pub(crate) fn computed_at(connection: &Connection, node: NodeId, at: TimeMs) -> Result<Vec<ScoreCenti>, Fault> {
    let sql = "SELECT score FROM scores WHERE node = ?1 AND calculated_at >= ?2 AND calculated_at < ?3 AND NOT held \
               UNION ALL SELECT score FROM on_demand WHERE node = ?1 AND calculated_at >= ?2 AND calculated_at < ?3";
    let second = TimeMs::from_unix_s(at.unix_s_floor());
    rows(connection, sql, params![node.0.as_bytes(), second.0, second.plus_ms(1000).0], |c| Ok(ScoreCenti(c.take()?)))
}

/// What of an on-demand receipt is only ever shown.
#[derive(Serialize, Deserialize)]
pub(crate) struct OnDemandDoc {
    v: u8,
    period_s: u32,
    observations: u32,
    observed_s: u32,
    raw_centi: u32,
    multiplier_ppm: u32,
    factors_ppm: [u32; 5],
    policy: String,
    policy_version: String,
    policy_digest: String,
    params: String,
    rules: u32,
    facts: String,
}

impl OnDemandDoc {
    /// The receipt that was stored with these columns.
    pub(crate) fn receipt(self, id: OnDemandId, node: NodeId, calculated_at: TimeMs, score: ScoreCenti) -> Result<OnDemandReceipt, Fault> {
        let bad = |what: &str| Fault::Bad(format!("on-demand receipt {id} holds no {what}"));
        let digest = |text: &str, what: &str| text.parse().map_err(|_| bad(what));
        let [observation_time, session_quality, uptime, resource_efficiency, network_performance] = self.factors_ppm.map(Ppm);
        Ok(OnDemandReceipt {
            id,
            node,
            calculated_at,
            period_s: self.period_s,
            observations: self.observations,
            observed_s: self.observed_s,
            score,
            raw: RawCenti(self.raw_centi),
            multiplier: Ppm(self.multiplier_ppm),
            factors: Factors { observation_time, session_quality, uptime, resource_efficiency, network_performance },
            policy: PolicyRef {
                name: self.policy,
                version: self.policy_version.parse().map_err(|_| bad("version"))?,
                digest: digest(&self.policy_digest, "digest of a policy")?,
            },
            params: digest(&self.params, "digest of parameters")?,
            rules: self.rules,
            facts: digest(&self.facts, "digest of facts")?,
        })
    }
}

/// Adds a receipt; `false` if it is there.
pub(crate) fn add_on_demand(connection: &Connection, receipt: &OnDemandReceipt) -> Result<bool, Fault> {
    let factors = &receipt.factors;
    let doc = OnDemandDoc {
        v: 1,
        period_s: receipt.period_s,
        observations: receipt.observations,
        observed_s: receipt.observed_s,
        raw_centi: receipt.raw.0,
        multiplier_ppm: receipt.multiplier.0,
        factors_ppm: [
            factors.observation_time.0,
            factors.session_quality.0,
            factors.uptime.0,
            factors.resource_efficiency.0,
            factors.network_performance.0,
        ],
        policy: receipt.policy.name.clone(),
        policy_version: receipt.policy.version.to_string(),
        policy_digest: receipt.policy.digest.to_string(),
        params: receipt.params.to_string(),
        rules: receipt.rules,
        facts: receipt.facts.to_string(),
    };
    let sql = "INSERT INTO on_demand (id, node, calculated_at, score, doc) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let values = params![receipt.id.0.as_bytes(), receipt.node.0.as_bytes(), receipt.calculated_at.0, receipt.score.0, json(&doc)?];
    Ok(execute(connection, sql, values)? == 1)
}
