use async_trait::async_trait;
use lucid_model::{
    epoch::{EpochRecord, Period},
    frame::FrameChunk,
    id::NodeId,
    policy::Revision,
    receipt::{OnDemandReceipt, ScoredChunk},
    score::ScoreCenti,
    time::TimeMs,
    vote::{BlockRef, Vote},
};
use lucid_ports::{EpochFilter, EpochStore, NodeTotals, Page, PageRequest, ScoreFilter, ScoreSort, ScoreView, StoreError, VoteFilter};
use rusqlite::{Connection, params, types::Value};

use super::{
    SqliteStore,
    columns::{Columns, stored},
    fault::Fault,
    frames,
    query::{Conditions, List, Source, execute, first},
    scores, totals, votes,
};

pub(crate) const COLUMNS: &str = "start_s, length_s, closed_at, revision, rules, nodes, eligible, held, root, previous_link, block_id, block_hash";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<EpochRecord, Fault> {
    Ok(EpochRecord {
        epoch: columns.period()?,
        closed_at: columns.time()?,
        policy_revision: Revision(columns.unsigned()?),
        rules: columns.take()?,
        nodes: columns.take()?,
        eligible: columns.take()?,
        held: columns.take()?,
        root: columns.digest()?,
        previous_link: columns.digest()?,
        block: votes::read_block(columns)?,
    })
}

/// Adds an epoch's record; `false` if it is there.
pub(crate) fn insert(connection: &Connection, record: &EpochRecord) -> Result<bool, Fault> {
    let sql = format!("INSERT INTO epochs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
    let values = params![
        record.epoch.start_s,
        record.epoch.length.seconds(),
        record.closed_at.0,
        stored(record.policy_revision.0)?,
        record.rules,
        record.nodes,
        record.eligible,
        record.held,
        record.root.0,
        record.previous_link.0,
        record.block.as_ref().map(|block| block.id.as_str()),
        record.block.as_ref().map(|block| block.hash.as_str()),
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

/// Record, scores and votes in one transaction: an epoch is closed or it is not.
fn commit(connection: &Connection, record: &EpochRecord, chunks: &[ScoredChunk], votes: &[Vote]) -> Result<bool, Fault> {
    if !insert(connection, record)? {
        return Ok(false);
    }
    chunks.iter().try_for_each(|chunk| scores::add_chunk(connection, record, chunk))?;
    votes.iter().try_for_each(|vote| votes::add(connection, vote))?;
    Ok(true)
}

fn pin(connection: &Connection, epoch_start_s: i64, block: &BlockRef) -> Result<(), Fault> {
    let sql = "UPDATE epochs SET block_id = ?, block_hash = ? WHERE start_s = ? AND block_id IS NULL";
    if execute(connection, sql, params![block.id, block.hash, epoch_start_s])? == 1 {
        votes::pin(connection, epoch_start_s, block)?;
    }
    Ok(())
}

pub(crate) fn list(filter: EpochFilter, page: PageRequest<()>) -> List {
    let conditions = Conditions::default().and("start_s >= ?", filter.from_s.map(Value::Integer)).and("start_s < ?", filter.to_s.map(Value::Integer));
    List::new(&Source { columns: COLUMNS, table: "epochs", joins: "" }, conditions, &["start_s"], &page)
}

#[async_trait]
impl EpochStore for SqliteStore {
    async fn write_frame(&self, period: Period, chunks: Vec<FrameChunk>) -> Result<Vec<FrameChunk>, StoreError> {
        self.core.write(move |connection| frames::write(connection, period, &chunks)).await
    }
    async fn commit_epoch(&self, record: EpochRecord, chunks: Vec<ScoredChunk>, votes: Vec<Vote>) -> Result<Option<EpochRecord>, StoreError> {
        self.core.write(move |connection| Ok(commit(connection, &record, &chunks, &votes)?.then_some(record))).await
    }
    async fn last_epoch(&self) -> Result<Option<EpochRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM epochs ORDER BY start_s DESC LIMIT 1");
        self.core.read(move |connection| first(connection, &sql, [], read)).await
    }
    async fn epochs(&self, filter: EpochFilter, page: PageRequest<()>) -> Result<Page<EpochRecord>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn pin_block(&self, epoch_start_s: i64, block: BlockRef) -> Result<(), StoreError> {
        self.core.write(move |connection| pin(connection, epoch_start_s, &block)).await
    }
    async fn frame(&self, epoch_start_s: i64) -> Result<Vec<FrameChunk>, StoreError> {
        self.core.read(move |connection| frames::read(connection, epoch_start_s)).await
    }
    async fn scored(&self, epoch_start_s: i64) -> Result<Vec<ScoredChunk>, StoreError> {
        self.core.read(move |connection| scores::chunks(connection, epoch_start_s)).await
    }
    async fn scores(&self, filter: &ScoreFilter, page: PageRequest<ScoreSort>) -> Result<Page<ScoreView>, StoreError> {
        let list = scores::list(filter, page);
        self.core.read(move |connection| list.run(connection, scores::read_view)).await
    }
    async fn score(&self, epoch_start_s: i64, node: NodeId) -> Result<Option<ScoreView>, StoreError> {
        self.core.read(move |connection| scores::one(connection, epoch_start_s, node)).await
    }
    async fn scores_computed_at(&self, node: NodeId, at: TimeMs) -> Result<Vec<ScoreCenti>, StoreError> {
        self.core.read(move |connection| scores::computed_at(connection, node, at)).await
    }
    async fn observed_seconds(&self, from_s: i64, to_s: i64) -> Result<Vec<(NodeId, u64)>, StoreError> {
        self.core.read(move |connection| totals::observed_seconds(connection, from_s, to_s)).await
    }
    async fn totals(&self, from_s: i64, to_s: i64) -> Result<Vec<NodeTotals>, StoreError> {
        self.core.read(move |connection| totals::totals(connection, from_s, to_s)).await
    }
    async fn add_on_demand(&self, receipt: OnDemandReceipt) -> Result<(), StoreError> {
        self.core.write(move |connection| scores::add_on_demand(connection, &receipt).map(drop)).await
    }
    async fn due_votes(&self, now: TimeMs, limit: u32) -> Result<Vec<Vote>, StoreError> {
        self.core.read(move |connection| votes::due(connection, now, limit)).await
    }
    async fn epochs_without_block(&self) -> Result<Vec<i64>, StoreError> {
        self.core.read(votes::epochs_without_block).await
    }
    async fn update_votes(&self, votes: Vec<Vote>) -> Result<(), StoreError> {
        self.core.write(move |connection| votes.iter().try_for_each(|vote| votes::update(connection, vote))).await
    }
    async fn votes(&self, filter: &VoteFilter, page: PageRequest<()>) -> Result<Page<Vote>, StoreError> {
        let list = votes::list(filter, page);
        self.core.read(move |connection| list.run(connection, votes::read)).await
    }
}
