use std::collections::{BTreeMap, btree_map::Entry};

use lucid_model::{
    epochs::{
        epoch::EpochRecord,
        receipt::{ChunkHeader, OnDemandReceipt, ScoreRow, ScoredChunk},
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    id::{NodeId, OnDemandId, PoolScope},
    policies::PolicyRef,
    time::TimeMs,
};
use lucid_ports::{
    Attempt, Order, Page, PageRequest, ScoreFilter, ScoreSort, ScoreView, Staged, StagedChunk,
};
use lucid_store::packing;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::{
    columns::{Columns, blob, json},
    fault::Fault,
    query::{Conditions, List, Source, execute, exists, first, rows},
    telemetry::stretches::{self, Between, History},
};

pub(crate) const HEADER: &str = "c.epoch_start_s, c.length_s, c.pool, c.idx, c.row_count, c.frame, c.policy_name, c.policy_version, c.policy_digest, \
                      c.params, c.abi, c.rules";
/// The rows of a chunk.
pub(crate) const PACKED: &str = " JOIN scored_rows r ON r.epoch_start_s = c.epoch_start_s AND r.attempt = c.attempt AND r.idx = c.idx";
/// Whose chunks count.
const COUNTS: &str = " JOIN epochs e ON e.start_s = c.epoch_start_s AND e.attempt = c.attempt";

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

/// A header, then its rows.
pub(crate) fn read_chunk(columns: &mut Columns<'_>) -> Result<ScoredChunk, Fault> {
    let header = read_header(columns)?;
    Ok(ScoredChunk { header, rows: packing::unpack_rows(&columns.take::<Vec<u8>>()?)? })
}

/// A chunk as it is stored.
pub(crate) struct PackedChunk {
    staged: StagedChunk,
    nodes: Option<(NodeId, NodeId)>,
    rows: Vec<u8>,
}

/// Packs a chunk; of two thousand rows it takes a millisecond or two.
pub(crate) fn pack(chunk: &ScoredChunk) -> Result<PackedChunk, Fault> {
    let nodes = || chunk.rows.iter().map(|row| row.node);
    Ok(PackedChunk {
        staged: StagedChunk::of(chunk),
        nodes: nodes().min().zip(nodes().max()),
        rows: packing::pack_rows(&chunk.rows)?,
    })
}

/// Adds a chunk under the name of an attempt; `false` if it is there.
pub(crate) fn insert_chunk(
    connection: &Connection,
    attempt: Attempt,
    chunk: &PackedChunk,
) -> Result<bool, Fault> {
    let StagedChunk { header, root, eligible, held } = &chunk.staged;
    let sql = "INSERT INTO scored (epoch_start_s, attempt, idx, length_s, pool, row_count, frame, policy_name, policy_version, policy_digest, params, \
               abi, rules, root, eligible, held, node_min, node_max) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT DO NOTHING";
    let values = params![
        header.period.start_s,
        attempt.bytes(),
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
        root.0,
        eligible,
        held,
        chunk.nodes.map(|(min, _)| min.0.into_bytes()),
        chunk.nodes.map(|(_, max)| max.0.into_bytes()),
    ];
    let added = execute(connection, sql, values)? == 1;
    if added {
        let sql =
            "INSERT INTO scored_rows (epoch_start_s, attempt, idx, packed) VALUES (?, ?, ?, ?)";
        execute(
            connection,
            sql,
            params![header.period.start_s, attempt.bytes(), header.index, chunk.rows],
        )?;
    }
    Ok(added)
}

/// What a chunk of an epoch changes of its nodes.
pub(crate) fn settle(
    connection: &Connection,
    record: &EpochRecord,
    chunk: &ScoredChunk,
) -> Result<(), Fault> {
    let between = Between::of(connection, record.epoch.start_s)?;
    chunk.rows.iter().try_for_each(|row| {
        stretches::add(connection, row.node, chunk.header.pool, between)?;
        apply_to_node(connection, record, &chunk.header, row)
    })
}

/// The node's own score, lifetime and place among the latest scores. A node that is held has no
/// score this epoch: its last one stands.
fn apply_to_node(
    connection: &Connection,
    record: &EpochRecord,
    header: &ChunkHeader,
    row: &ScoreRow,
) -> Result<(), Fault> {
    let node = row.node.0.as_bytes();
    // Three indices have the score: where it is as it was, none is touched.
    let same =
        "UPDATE nodes SET observed_s = observed_s + ?1 WHERE id = ?2 AND (?3 OR score IS ?4)";
    if execute(connection, same, params![row.observed_s, node, row.held, row.score.0])? == 0 {
        let sql = "UPDATE nodes SET score = ?1, observed_s = observed_s + ?2 WHERE id = ?3";
        execute(connection, sql, params![row.score.0, row.observed_s, node])?;
    }
    if row.held {
        return Ok(());
    }
    // Owner and pool have indices of their own, which are rewritten whenever they are set: of
    // almost all nodes both are as they were.
    let pool = header.pool.pool().map(|pool| pool.0.into_bytes());
    let there = "UPDATE latest_scores SET epoch_start_s = ?1, calculated_at = ?2, score = ?3 WHERE node = ?4 AND epoch_start_s < ?1 AND pool IS ?5";
    if execute(
        connection,
        there,
        params![header.period.start_s, record.closed_at.0, row.score.0, node, pool],
    )? == 1
    {
        return Ok(());
    }
    let sql = "INSERT INTO latest_scores (node, epoch_start_s, calculated_at, score, pool, owner) \
               VALUES (?1, ?2, ?3, ?4, ?5, (SELECT owner FROM nodes WHERE id = ?1)) ON CONFLICT (node) DO UPDATE SET \
               epoch_start_s = excluded.epoch_start_s, calculated_at = excluded.calculated_at, score = excluded.score, \
               pool = excluded.pool, owner = excluded.owner WHERE excluded.epoch_start_s > epoch_start_s";
    execute(
        connection,
        sql,
        params![node, header.period.start_s, record.closed_at.0, row.score.0, pool],
    )?;
    Ok(())
}

/// The scored chunks of a closed epoch, with their rows in the order they were hashed.
pub(crate) fn chunks(
    connection: &Connection,
    epoch_start_s: i64,
) -> Result<Vec<ScoredChunk>, Fault> {
    let sql = format!(
        "SELECT {HEADER}, r.packed FROM scored c{COUNTS}{PACKED} WHERE c.epoch_start_s = ? AND e.settled IS NULL ORDER BY c.idx"
    );
    rows(connection, &sql, [epoch_start_s], read_chunk)
}

/// One of them.
pub(crate) fn chunk(
    connection: &Connection,
    epoch_start_s: i64,
    index: u32,
) -> Result<Option<ScoredChunk>, Fault> {
    let sql = format!(
        "SELECT {HEADER}, r.packed FROM scored c{COUNTS}{PACKED} WHERE c.epoch_start_s = ? AND c.idx = ? AND e.settled IS NULL"
    );
    first(connection, &sql, params![epoch_start_s, index], read_chunk)
}

/// The newest attempt at an epoch that has stored something.
pub(crate) fn staged(connection: &Connection, epoch_start_s: i64) -> Result<Option<Staged>, Fault> {
    let newest = "SELECT max(attempt) FROM scored WHERE epoch_start_s = ?1 AND NOT EXISTS (SELECT 1 FROM epochs WHERE start_s = ?1)";
    let Some(attempt) =
        first(connection, newest, [epoch_start_s], |c| c.take::<Option<[u8; 12]>>())?.flatten()
    else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {HEADER}, c.root, c.eligible, c.held FROM scored c WHERE c.epoch_start_s = ? AND c.attempt = ? ORDER BY c.idx"
    );
    let chunk = |c: &mut Columns<'_>| {
        Ok(StagedChunk {
            header: read_header(c)?,
            root: c.digest()?,
            eligible: c.take()?,
            held: c.take()?,
        })
    };
    Ok(Some(Staged {
        attempt: Attempt::from_bytes(attempt),
        chunks: rows(connection, &sql, params![epoch_start_s, attempt], chunk)?,
    }))
}

/// Chunks that were unpacked already: nodes of a page are often of few.
#[derive(Default)]
struct Unpacked(BTreeMap<(i64, u32), ScoredChunk>);

impl Unpacked {
    /// The row of a node that was scored in an epoch in a pool.
    fn view(
        &mut self,
        connection: &Connection,
        epoch_start_s: i64,
        pool: PoolScope,
        node: NodeId,
    ) -> Result<Option<ScoreView>, Fault> {
        let of_pool = |pool: PoolScope| pool.pool().map(|pool| pool.0.into_bytes());
        let sql = format!(
            "SELECT e.closed_at, c.idx FROM scored c{COUNTS} WHERE c.epoch_start_s = ?1 AND c.pool IS ?2 AND c.node_min <= ?3 AND c.node_max >= ?3"
        );
        let candidates = rows(
            connection,
            &sql,
            params![epoch_start_s, of_pool(pool), node.0.as_bytes()],
            |c| Ok((c.time()?, c.take::<u32>()?)),
        )?;
        for (calculated_at, index) in candidates {
            let chunk = match self.0.entry((epoch_start_s, index)) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(place) => {
                    let sql = format!(
                        "SELECT {HEADER}, r.packed FROM scored c{COUNTS}{PACKED} WHERE c.epoch_start_s = ? AND c.idx = ?"
                    );
                    let chunk = first(connection, &sql, params![epoch_start_s, index], read_chunk)?;
                    place.insert(chunk.ok_or_else(|| {
                        Fault::Bad(format!("chunk {index} of epoch {epoch_start_s} has no rows"))
                    })?)
                }
            };
            if let Some(row) = chunk.rows.iter().find(|row| row.node == node) {
                return Ok(Some(ScoreView {
                    row: row.clone(),
                    header: chunk.header.clone(),
                    calculated_at,
                }));
            }
        }
        Ok(None)
    }

    fn must_view(
        &mut self,
        connection: &Connection,
        epoch_start_s: i64,
        pool: PoolScope,
        node: NodeId,
    ) -> Result<ScoreView, Fault> {
        let view = self.view(connection, epoch_start_s, pool, node)?;
        view.ok_or_else(|| Fault::Bad(format!("node {node} has no row in epoch {epoch_start_s}")))
    }
}

pub(crate) fn one(
    connection: &Connection,
    epoch_start_s: i64,
    node: NodeId,
) -> Result<Option<ScoreView>, Fault> {
    if !exists(
        connection,
        "SELECT 1 FROM epochs WHERE start_s = ? AND settled IS NULL",
        [epoch_start_s],
    )? {
        return Ok(None);
    }
    match stretches::pool_at(connection, node, epoch_start_s)? {
        Some(pool) => Unpacked::default().view(connection, epoch_start_s, pool, node),
        None => Ok(None),
    }
}

/// Of each node: which score is its latest.
pub(crate) fn latest_list(filter: &ScoreFilter, page: &PageRequest<ScoreSort>) -> List {
    let (pool, owner) =
        (filter.pool.map(|pool| blob(pool.0)), filter.owner.map(|owner| blob(owner.0)));
    let conditions = Conditions::default().and("l.owner = ?", owner).and("l.pool = ?", pool);
    let keys: &[&str] = match page.sort {
        ScoreSort::Score => &["l.score", "l.node"],
        ScoreSort::CalculatedAt => &["l.calculated_at", "l.node"],
        ScoreSort::NodeId => &["l.node"],
    };
    List::new(
        &Source { columns: "l.epoch_start_s, l.pool, l.node", table: "latest_scores l", joins: "" },
        conditions,
        keys,
        page,
    )
}

pub(crate) fn page(
    connection: &Connection,
    filter: &ScoreFilter,
    page: &PageRequest<ScoreSort>,
) -> Result<Page<ScoreView>, Fault> {
    let mut unpacked = Unpacked::default();
    if let Some(node) = filter.node {
        return history(connection, node, filter, page);
    }
    let found = latest_list(filter, page)
        .run(connection, |c| Ok((c.take::<i64>()?, c.scope()?, c.id(NodeId)?)))?;
    let view = |(start_s, pool, node)| unpacked.must_view(connection, start_s, pool, node);
    Ok(Page {
        items: found.items.into_iter().map(view).collect::<Result<_, _>>()?,
        total: found.total,
    })
}

fn history(
    connection: &Connection,
    node: NodeId,
    filter: &ScoreFilter,
    page: &PageRequest<ScoreSort>,
) -> Result<Page<ScoreView>, Fault> {
    if let Some(owner) = filter.owner
        && !exists(
            connection,
            "SELECT 1 FROM nodes WHERE id = ? AND owner = ?",
            params![node.0.as_bytes(), owner.0.as_bytes()],
        )?
    {
        return Ok(Page { items: Vec::new(), total: 0 });
    }
    let history = History::of(node, filter.pool);
    let total = history.count(connection)?;
    let (limit, offset) = (i64::from(page.limit), i64::try_from(page.offset()).unwrap_or(i64::MAX));
    let direction = if page.order == Order::Ascending { "ASC" } else { "DESC" };
    let views = |starts: Vec<(i64, PoolScope)>| {
        // Each epoch has its own chunk: none is kept.
        let view = |(start_s, pool)| Unpacked::default().must_view(connection, start_s, pool, node);
        starts.into_iter().map(view).collect::<Result<Vec<_>, _>>()
    };
    if page.sort != ScoreSort::Score {
        return Ok(Page {
            items: views(history.starts(connection, direction, limit, offset)?)?,
            total,
        });
    }
    let mut all = views(history.starts(connection, direction, -1, 0)?)?;
    all.sort_by_key(|view| (view.row.score, view.header.period.start_s));
    if page.order == Order::Descending {
        all.reverse();
    }
    let (skip, take) = (
        usize::try_from(page.offset()).unwrap_or(usize::MAX),
        usize::try_from(page.limit).unwrap_or(usize::MAX),
    );
    Ok(Page { items: all.into_iter().skip(skip).take(take).collect(), total })
}

pub(crate) fn computed_at(
    connection: &Connection,
    node: NodeId,
    at: TimeMs,
) -> Result<Vec<ScoreCenti>, Fault> {
    let second = TimeMs::from_unix_s(at.unix_s_floor());
    let of_second = (second.0, second.plus_ms(1000).0);
    let closed = "SELECT start_s FROM epochs WHERE closed_at >= ? AND closed_at < ?";
    let mut found = Vec::new();
    for start_s in rows(connection, closed, of_second, |c| c.take::<i64>())? {
        found.extend(
            one(connection, start_s, node)?
                .filter(|view| !view.row.held)
                .map(|view| view.row.score),
        );
    }
    let sql = "SELECT score FROM on_demand WHERE node = ?1 AND calculated_at >= ?2 AND calculated_at < ?3";
    found.extend(rows(
        connection,
        sql,
        params![node.0.as_bytes(), of_second.0, of_second.1],
        |c| Ok(ScoreCenti(c.take()?)),
    )?);
    Ok(found)
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
    pub(crate) fn receipt(
        self,
        id: OnDemandId,
        node: NodeId,
        calculated_at: TimeMs,
        score: ScoreCenti,
    ) -> Result<OnDemandReceipt, Fault> {
        let bad = |what: &str| Fault::Bad(format!("on-demand receipt {id} holds no {what}"));
        let digest = |text: &str, what: &str| text.parse().map_err(|_| bad(what));
        let [observation_time, session_quality, uptime, resource_efficiency, network_performance] =
            self.factors_ppm.map(Ppm);
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
            factors: Factors {
                observation_time,
                session_quality,
                uptime,
                resource_efficiency,
                network_performance,
            },
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
pub(crate) fn add_on_demand(
    connection: &Connection,
    receipt: &OnDemandReceipt,
) -> Result<bool, Fault> {
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
    let values = params![
        receipt.id.0.as_bytes(),
        receipt.node.0.as_bytes(),
        receipt.calculated_at.0,
        receipt.score.0,
        json(&doc)?
    ];
    Ok(execute(connection, sql, values)? == 1)
}
