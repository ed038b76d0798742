use async_trait::async_trait;
use lucid_model::{
    consensus::{BlockRef, Vote, VoteChoice, VoteState, VoteTally},
    epochs::score::ScoreCenti,
    id::{NodeId, UserId},
    time::TimeMs,
};
use lucid_ports::{MadeVotes, Page, PageRequest, StoreError, VoteFilter, VoteStore};
use lucid_store::sums;
use rusqlite::{Connection, params, types::Value};

use crate::{
    SqliteStore,
    columns::{Columns, blob},
    epochs::closing,
    fault::Fault,
    query::{Conditions, List, Source, execute, exists, first, rows},
};

pub(crate) const COLUMNS: &str = "node, epoch_start_s, score, block_id, block_hash, choice, at, merkle_root, state, vote_id, answer, attempts, next_attempt_at";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Vote, Fault> {
    Ok(Vote {
        node: columns.id(NodeId)?,
        epoch_start_s: columns.take()?,
        score: ScoreCenti(columns.take()?),
        block: read_block(columns)?,
        choice: columns.word(VoteChoice::from_name)?,
        timestamp: columns.time()?,
        merkle_root: columns.digest()?,
        state: columns.word(VoteState::from_name)?,
        vote_id: columns.take()?,
        answer: columns.take()?,
        attempts: columns.take()?,
        next_attempt_at: columns.time()?,
    })
}

pub(crate) fn read_block(columns: &mut Columns<'_>) -> Result<Option<BlockRef>, Fault> {
    let (id, hash): (Option<String>, Option<String>) = (columns.take()?, columns.take()?);
    Ok(id.zip(hash).map(|(id, hash)| BlockRef { id, hash }))
}

/// Adds a vote of a node that has its owner now; `false` if the node has one in the epoch.
pub(crate) fn add(connection: &Connection, vote: &Vote) -> Result<bool, Fault> {
    let owner = first(
        connection,
        "SELECT owner FROM nodes WHERE id = ?",
        [vote.node.0.as_bytes()],
        |columns| columns.id(UserId),
    )?;
    insert(connection, owner, vote)
}

/// Adds a vote; `false` if it is there.
pub(crate) fn insert(
    connection: &Connection,
    owner: Option<UserId>,
    vote: &Vote,
) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO votes (owner, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        owner.map(|owner| owner.0.into_bytes()),
        vote.node.0.as_bytes(),
        vote.epoch_start_s,
        vote.score.0,
        vote.block.as_ref().map(|block| block.id.as_str()),
        vote.block.as_ref().map(|block| block.hash.as_str()),
        vote.choice.name(),
        vote.timestamp.0,
        vote.merkle_root.0,
        vote.state.name(),
        vote.vote_id,
        vote.answer,
        vote.attempts,
        vote.next_attempt_at.0,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

/// Keeps what became of a vote; what it says is never changed.
pub(crate) fn update(connection: &Connection, vote: &Vote) -> Result<(), Fault> {
    let sql = "UPDATE votes SET state = ?, vote_id = ?, answer = ?, attempts = ?, next_attempt_at = ? WHERE epoch_start_s = ? AND node = ?";
    let key = (vote.epoch_start_s, vote.node.0.as_bytes());
    execute(
        connection,
        sql,
        params![
            vote.state.name(),
            vote.vote_id,
            vote.answer,
            vote.attempts,
            vote.next_attempt_at.0,
            key.0,
            key.1
        ],
    )?;
    Ok(())
}

/// Gives an epoch's votes their block.
pub(crate) fn pin(
    connection: &Connection,
    epoch_start_s: i64,
    block: &BlockRef,
) -> Result<(), Fault> {
    let sql = "UPDATE votes SET block_id = ?, block_hash = ? WHERE epoch_start_s = ? AND block_id IS NULL";
    execute(connection, sql, params![block.id, block.hash, epoch_start_s])?;
    Ok(())
}

pub(crate) fn due(connection: &Connection, now: TimeMs, limit: u32) -> Result<Vec<Vote>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM votes AS due INDEXED BY votes_due WHERE state = 'pending' AND block_id IS NOT NULL AND next_attempt_at <= ? \
         AND NOT EXISTS (SELECT 1 FROM votes AS earlier INDEXED BY votes_unsent WHERE earlier.state = 'pending' AND earlier.vote_id IS NULL \
         AND earlier.node = due.node AND earlier.epoch_start_s < due.epoch_start_s) ORDER BY epoch_start_s, node LIMIT ?"
    );
    rows(connection, &sql, params![now.0, limit], read)
}

/// The vote of a node in an epoch.
pub(crate) fn one(
    connection: &Connection,
    epoch_start_s: i64,
    node: NodeId,
) -> Result<Option<Vote>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM votes WHERE epoch_start_s = ? AND node = ?");
    first(connection, &sql, params![epoch_start_s, node.0.as_bytes()], read)
}

/// Whether votes that wait are of an epoch that was closed before a moment: asked each second,
/// where nothing is to be written.
pub(crate) fn has_old(connection: &Connection, closed_before: TimeMs) -> Result<bool, Fault> {
    exists(
        connection,
        "SELECT 1 FROM votes INDEXED BY votes_state WHERE state = 'pending' AND at < ?",
        [closed_before.0],
    )
}

pub(crate) fn expire(
    connection: &Connection,
    closed_before: TimeMs,
    limit: u32,
) -> Result<u64, Fault> {
    let sql = "UPDATE votes SET state = 'expired' WHERE (epoch_start_s, node) IN \
               (SELECT epoch_start_s, node FROM votes INDEXED BY votes_state WHERE state = 'pending' AND at < ? LIMIT ?)";
    Ok(execute(connection, sql, params![closed_before.0, limit])? as u64)
}

pub(crate) fn tally(
    connection: &Connection,
    (from_s, to_s): (i64, i64),
    node: Option<NodeId>,
) -> Result<Vec<(i64, VoteTally)>, Fault> {
    let (of, group) = (
        "SELECT epoch_start_s, state, count(*) FROM votes WHERE epoch_start_s >= ? AND epoch_start_s < ?",
        "GROUP BY 1, 2 ORDER BY 1",
    );
    let read = |c: &mut Columns<'_>| {
        Ok((c.take::<i64>()?, c.word(VoteState::from_name)?, c.take::<i64>()?.unsigned_abs()))
    };
    let counted = match node {
        None => rows(connection, &format!("{of} {group}"), params![from_s, to_s], read)?,
        Some(node) => rows(
            connection,
            &format!("{of} AND node = ? {group}"),
            params![from_s, to_s, node.0.as_bytes()],
            read,
        )?,
    };
    Ok(sums::tallies(counted))
}

pub(crate) fn epochs_without_block(connection: &Connection) -> Result<Vec<i64>, Fault> {
    let sql = "SELECT start_s FROM epochs WHERE block_id IS NULL AND settled IS NULL AND (votes_from IS NOT NULL OR EXISTS \
               (SELECT 1 FROM votes WHERE epoch_start_s = start_s AND state = 'pending' AND votes.block_id IS NULL)) ORDER BY start_s";
    rows(connection, sql, [], |c| c.take())
}

pub(crate) fn list(filter: &VoteFilter, page: PageRequest<()>) -> List {
    let conditions = Conditions::default()
        .and("node = ?", filter.node.map(|node| blob(node.0)))
        .and("owner = ?", filter.owner.map(|owner| blob(owner.0)))
        .and("state = ?", filter.state.map(|state| Value::Text(state.name().to_owned())));
    List::new(
        &Source { columns: COLUMNS, table: "votes", joins: "" },
        conditions,
        &["epoch_start_s", "node"],
        &page,
    )
}

#[async_trait]
impl VoteStore for SqliteStore {
    async fn make_votes(&self, closed_from: TimeMs) -> Result<MadeVotes, StoreError> {
        let to_do = "SELECT 1 FROM epochs WHERE votes_from IS NOT NULL AND settled IS NULL";
        if !self.core.lookup(|connection| exists(connection, to_do, [])).await? {
            return Ok(MadeVotes::default());
        }
        self.core.write(move |connection| closing::make_votes(connection, closed_from)).await
    }
    async fn due_votes(&self, now: TimeMs, limit: u32) -> Result<Vec<Vote>, StoreError> {
        self.core.read(move |connection| due(connection, now, limit)).await
    }
    async fn epochs_without_block(&self) -> Result<Vec<i64>, StoreError> {
        self.core.read(epochs_without_block).await
    }
    async fn newest_block(&self) -> Result<Option<BlockRef>, StoreError> {
        let sql = "SELECT block_id, block_hash FROM epochs WHERE block_id IS NOT NULL AND settled IS NULL ORDER BY start_s DESC LIMIT 1";
        Ok(self
            .core
            .read(move |connection| first(connection, sql, [], read_block))
            .await?
            .flatten())
    }
    async fn expire_votes(&self, closed_before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        if !self.core.lookup(move |connection| has_old(connection, closed_before)).await? {
            return Ok(0);
        }
        self.core.write(move |connection| expire(connection, closed_before, limit)).await
    }
    async fn tally_votes(
        &self,
        from_s: i64,
        to_s: i64,
        node: Option<NodeId>,
    ) -> Result<Vec<(i64, VoteTally)>, StoreError> {
        self.core.read(move |connection| tally(connection, (from_s, to_s), node)).await
    }
    async fn update_votes(&self, votes: Vec<Vote>) -> Result<(), StoreError> {
        self.core
            .write(move |connection| votes.iter().try_for_each(|vote| update(connection, vote)))
            .await
    }
    async fn votes(
        &self,
        filter: &VoteFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Vote>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
}
