pub(crate) mod adjustments;
pub(crate) mod closing;
pub(crate) mod frames;
pub(crate) mod scores;
pub(crate) mod totals;

use async_trait::async_trait;
use lucid_model::{
    consensus::{BlockRef, Vote},
    epochs::{
        epoch::{EpochRecord, Period},
        frame::FrameChunk,
        receipt::{OnDemandReceipt, ScoredChunk},
        score::{Ppm, ScoreCenti},
    },
    id::NodeId,
    policies::Revision,
    time::TimeMs,
};
use lucid_ports::{
    Attempt, EpochFilter, EpochStore, FrameChunks, FramePart, FrameStore, NodeTotals, Page,
    PageRequest, ScoreFilter, ScoreSort, ScoreStore, ScoreView, Staged, StoreError,
};
use lucid_store::packing;
use rusqlite::{Connection, params, types::Value};

use crate::{
    SqliteStore,
    columns::{Columns, stored},
    consensus,
    epochs::closing::Standing,
    fault::Fault,
    query::{Conditions, List, Source, execute, first},
};

pub(crate) const COLUMNS: &str = "start_s, length_s, closed_at, revision, rules, nodes, eligible, held, root, previous_link, completeness, \
                                  block_id, block_hash";

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
        completeness: columns.take::<Option<u32>>()?.map(Ppm),
        block: consensus::read_block(columns)?,
    })
}

/// Adds the record of a closed epoch, with the attempt whose chunks count; `false` if it is there.
pub(crate) fn insert(
    connection: &Connection,
    record: &EpochRecord,
    attempt: Attempt,
) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO epochs ({COLUMNS}, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
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
        record.completeness.map(|share| share.0),
        record.block.as_ref().map(|block| block.id.as_str()),
        record.block.as_ref().map(|block| block.hash.as_str()),
        attempt.bytes(),
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn pin(connection: &Connection, epoch_start_s: i64, block: &BlockRef) -> Result<(), Fault> {
    let sql = "UPDATE epochs SET block_id = ?, block_hash = ? WHERE start_s = ? AND block_id IS NULL AND settled IS NULL";
    if execute(connection, sql, params![block.id, block.hash, epoch_start_s])? == 1 {
        consensus::pin(connection, epoch_start_s, block)?;
    }
    Ok(())
}

pub(crate) fn list(filter: EpochFilter, page: PageRequest<()>) -> List {
    let conditions = Conditions::of("settled IS NULL")
        .and("start_s >= ?", filter.from_s.map(Value::Integer))
        .and("start_s < ?", filter.to_s.map(Value::Integer));
    List::new(
        &Source { columns: COLUMNS, table: "epochs", joins: "" },
        conditions,
        &["start_s"],
        &page,
    )
}

/// Packing takes a processor for a while: tasks that wait for answers go on meanwhile.
async fn off_the_tasks<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(StoreError::from),
        Err(_) => Err(StoreError::Unavailable { detail: "packing was stopped".to_owned() }),
    }
}

#[async_trait]
impl EpochStore for SqliteStore {
    async fn staged(&self, epoch_start_s: i64) -> Result<Option<Staged>, StoreError> {
        self.core.read(move |connection| scores::staged(connection, epoch_start_s)).await
    }
    async fn stage_chunks(
        &self,
        period: Period,
        attempt: Attempt,
        chunks: Vec<ScoredChunk>,
    ) -> Result<(), StoreError> {
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.header.period != period) {
            return Err(Fault::Bad(format!(
                "chunk {} of epoch {} in epoch {period}",
                chunk.header.index, chunk.header.period
            ))
            .into());
        }
        let packed =
            off_the_tasks(move || chunks.iter().map(scores::pack).collect::<Result<Vec<_>, _>>())
                .await?;
        self.core
            .write(move |connection| match closing::standing(connection, period.start_s)? {
                Standing::Open => packed.iter().try_for_each(|chunk| {
                    scores::insert_chunk(connection, attempt, chunk).map(drop)
                }),
                Standing::Closing | Standing::Closed => Ok(()),
            })
            .await
    }
    async fn close_staged(
        &self,
        record: EpochRecord,
        attempt: Attempt,
    ) -> Result<Option<EpochRecord>, StoreError> {
        self.close_attempt(record, attempt).await
    }
    async fn commit_epoch(
        &self,
        record: EpochRecord,
        chunks: Vec<ScoredChunk>,
        votes: Vec<Vote>,
    ) -> Result<Option<EpochRecord>, StoreError> {
        self.close(record, chunks, votes).await
    }
    async fn last_epoch(&self) -> Result<Option<EpochRecord>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM epochs WHERE settled IS NULL ORDER BY start_s DESC LIMIT 1"
        );
        self.core.read(move |connection| first(connection, &sql, [], read)).await
    }
    async fn epochs(
        &self,
        filter: EpochFilter,
        page: PageRequest<()>,
    ) -> Result<Page<EpochRecord>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn pin_block(&self, epoch_start_s: i64, block: BlockRef) -> Result<(), StoreError> {
        self.core.write(move |connection| pin(connection, epoch_start_s, &block)).await
    }
    async fn scored_chunk(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<Option<ScoredChunk>, StoreError> {
        self.core.read(move |connection| scores::chunk(connection, epoch_start_s, index)).await
    }
    async fn scored(&self, epoch_start_s: i64) -> Result<Vec<ScoredChunk>, StoreError> {
        self.core.read(move |connection| scores::chunks(connection, epoch_start_s)).await
    }
    async fn apply_scores(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

#[async_trait]
impl FrameStore for SqliteStore {
    async fn write_frame(&self, period: Period, chunks: FrameChunks) -> Result<(), StoreError> {
        if self.core.lookup(|connection| frames::is_there(connection, period.start_s)).await? {
            return Ok(());
        }
        let packed = off_the_tasks(move || {
            chunks
                .map(|chunk| Ok((chunk.index, packing::pack_frame(&chunk)?)))
                .collect::<Result<Vec<_>, Fault>>()
        })
        .await?;
        self.core.write(move |connection| frames::write(connection, period, &packed)).await
    }
    async fn frame_parts(&self, epoch_start_s: i64) -> Result<Option<Vec<FramePart>>, StoreError> {
        self.core.read(move |connection| frames::parts(connection, epoch_start_s)).await
    }
    async fn frame_chunk(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<Option<FrameChunk>, StoreError> {
        self.core.read(move |connection| frames::one(connection, epoch_start_s, index)).await
    }
    async fn frame(&self, epoch_start_s: i64) -> Result<Vec<FrameChunk>, StoreError> {
        self.core.read(move |connection| frames::read(connection, epoch_start_s)).await
    }
}

#[async_trait]
impl ScoreStore for SqliteStore {
    async fn scores(
        &self,
        filter: &ScoreFilter,
        page: PageRequest<ScoreSort>,
    ) -> Result<Page<ScoreView>, StoreError> {
        let filter = filter.clone();
        self.core.read(move |connection| scores::page(connection, &filter, &page)).await
    }
    async fn score(
        &self,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<Option<ScoreView>, StoreError> {
        self.core.read(move |connection| scores::one(connection, epoch_start_s, node)).await
    }
    async fn scores_computed_at(
        &self,
        node: NodeId,
        at: TimeMs,
    ) -> Result<Vec<ScoreCenti>, StoreError> {
        self.core.read(move |connection| scores::computed_at(connection, node, at)).await
    }
    async fn observed_seconds(
        &self,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<(NodeId, u64)>, StoreError> {
        self.core.read(move |connection| totals::observed_seconds(connection, from_s, to_s)).await
    }
    async fn totals(&self, from_s: i64, to_s: i64) -> Result<Vec<NodeTotals>, StoreError> {
        self.core.read(move |connection| totals::totals(connection, from_s, to_s)).await
    }
    async fn add_on_demand(&self, receipt: OnDemandReceipt) -> Result<(), StoreError> {
        self.core
            .write(move |connection| scores::add_on_demand(connection, &receipt).map(drop))
            .await
    }
    async fn forget_on_demand(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        self.core
            .write(move |connection| {
                // By id, which begins with the time: no index by time is needed.
                let old = "SELECT id FROM on_demand WHERE id < ? AND calculated_at < ? ORDER BY id LIMIT ?";
                let values = params![before.first_uuid().into_bytes(), before.0, limit];
                Ok(execute(connection, &format!("DELETE FROM on_demand WHERE id IN ({old})"), values)? as u64)
            })
            .await
    }
}
