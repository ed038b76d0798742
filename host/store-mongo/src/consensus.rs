use std::collections::HashMap;

use async_trait::async_trait;
use lucid_model::{
    consensus::{BlockRef, Vote, VoteChoice, VoteState, VoteTally},
    epochs::score::ScoreCenti,
    id::NodeId,
    time::TimeMs,
};
use lucid_ports::{MadeVotes, Page, PageRequest, StoreError, VoteFilter, VoteStore};
use lucid_store::sums;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use crate::{
    MongoStore,
    epochs::{
        record::{CLOSED, EPOCHS, block_document, read_block, read_claim},
        scores,
    },
    fault::Fault,
    fields::{Fields, digest, id},
    fleet::nodes::NODES,
    index::Index,
    once::{self, Statement},
    page::{collect, page},
};

pub(crate) const VOTES: &str = "votes";
pub(crate) const VOTE_LISTS: &str = "vote_lists";
/// Votes of one staged list.
const LIST_VOTES_MAX: usize = 2_000;

const fn by(name: &'static str, keys: &'static [(&'static str, i32)], why: &'static str) -> Index {
    Index { collection: VOTES, name, keys, unique: false, partial: None, why }
}

pub(crate) const INDICES: &[Index] = &[
    by("votes_epoch", &[("epoch_start_s", 1), ("node", 1)], "votes of an epoch"),
    by("votes_node", &[("node", 1), ("epoch_start_s", 1)], "a node's votes"),
    by("votes_owner", &[("owner", 1), ("epoch_start_s", 1), ("node", 1)], "an owner's votes"),
    by(
        "votes_state",
        &[("state", 1), ("epoch_start_s", 1), ("node", 1)],
        "votes of a state; those that are due",
    ),
    Index {
        collection: VOTE_LISTS,
        name: "vote_lists_epoch",
        keys: &[("epoch_start_s", 1), ("staged", 1)],
        unique: false,
        partial: None,
        why: "staged votes of an epoch",
    },
];

pub(crate) fn document(vote: &Vote) -> Document {
    let mut document = doc! {
        "_id": scores::key(vote.epoch_start_s, vote.node),
        "v": 1,
        "node": id(vote.node.0),
        "epoch_start_s": vote.epoch_start_s,
        "score": vote.score.0,
        "block": vote.block.as_ref().map(block_document),
        "choice": vote.choice.name(),
        "at": vote.timestamp.0,
        "merkle_root": digest(vote.merkle_root),
    };
    document.extend(course(vote));
    document
}

/// What becomes of a vote; what it says is never changed.
fn course(vote: &Vote) -> Document {
    doc! {
        "state": vote.state.name(),
        "vote_id": vote.vote_id.as_deref(),
        "answer": vote.answer.as_deref(),
        "attempts": vote.attempts,
        "next_attempt_at": vote.next_attempt_at.0,
    }
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Vote, Fault> {
    Ok(Vote {
        node: fields.id("node", NodeId)?,
        epoch_start_s: fields.number("epoch_start_s")?,
        score: ScoreCenti(fields.number("score")?),
        block: read_block(fields)?,
        choice: fields.word("choice", VoteChoice::from_name)?,
        timestamp: fields.time("at")?,
        merkle_root: fields.digest("merkle_root")?,
        state: fields.word("state", VoteState::from_name)?,
        vote_id: fields.text_or_none("vote_id")?,
        answer: fields.text_or_none("answer")?,
        attempts: fields.number("attempts")?,
        next_attempt_at: fields.time("next_attempt_at")?,
    })
}

/// A vote that has no block of its own has its epoch's.
pub(crate) fn give_blocks(votes: &mut [Vote], blocks: &HashMap<i64, BlockRef>) {
    for vote in votes.iter_mut().filter(|vote| vote.block.is_none()) {
        vote.block = blocks.get(&vote.epoch_start_s).cloned();
    }
}

impl MongoStore {
    pub(crate) async fn stage_votes(
        &self,
        epoch_start_s: i64,
        staged: ObjectId,
        votes: &[Vote],
    ) -> Result<(), Fault> {
        for (place, votes) in votes.chunks(LIST_VOTES_MAX).enumerate() {
            let votes: Vec<_> = votes.iter().map(document).collect();
            let list = doc! { "_id": format!("{staged}/{place}"), "v": 1, "epoch_start_s": epoch_start_s, "staged": staged, "votes": votes };
            once::insert_each(&self.collection(VOTE_LISTS), &[list]).await?;
        }
        Ok(())
    }

    /// Adds the staged votes, with their nodes' owners of now.
    pub(crate) async fn add_votes(
        &self,
        epoch_start_s: i64,
        staged: ObjectId,
    ) -> Result<(), Fault> {
        let mut lists = self
            .collection(VOTE_LISTS)
            .find(doc! { "epoch_start_s": epoch_start_s, "staged": staged })
            .await?;
        while lists.advance().await? {
            let list = lists.deserialize_current()?;
            let votes = list
                .get_array("votes")
                .into_iter()
                .flatten()
                .filter_map(Bson::as_document)
                .cloned()
                .collect();
            self.add_vote_documents(votes).await?;
        }
        Ok(())
    }

    /// Adds votes, with their nodes' owners of now. `false`: some were there.
    pub(crate) async fn add_vote_documents(&self, mut votes: Vec<Document>) -> Result<bool, Fault> {
        let nodes: Vec<_> = votes.iter().filter_map(|vote| vote.get("node").cloned()).collect();
        let nodes = self
            .collection(NODES)
            .find(doc! { "_id": { "$in": nodes } })
            .projection(doc! { "owner": 1 })
            .await?;
        let owners =
            collect(nodes, |fields| Ok((fields.id("_id", NodeId)?, fields.get("owner").cloned())))
                .await?;
        let owners: HashMap<_, _> = owners.into_iter().collect();
        for vote in &mut votes {
            let node = Fields::of(vote).id("node", NodeId)?;
            vote.insert("owner", owners.get(&node).cloned().flatten());
        }
        once::insert_each(&self.collection(VOTES), &votes).await
    }

    /// Takes away the staged votes of an epoch that is closed: all, since each vote is a document
    /// now.
    pub(crate) async fn unstage_votes(&self, epoch_start_s: i64) -> Result<(), Fault> {
        self.collection(VOTE_LISTS).delete_many(doc! { "epoch_start_s": epoch_start_s }).await?;
        Ok(())
    }

    /// Makes the votes of a chunk of the oldest epoch that lacks some. Whoever else does the same
    /// makes the same.
    pub(crate) async fn make_some_votes(&self, closed_from: TimeMs) -> Result<MadeVotes, Fault> {
        let lacking = doc! { "votes_from": { "$gte": 0_i64 }, "state": CLOSED };
        let Some(found) = self.collection(EPOCHS).find_one(lacking).sort(doc! { "_id": 1 }).await?
        else {
            return Ok(MadeVotes::default());
        };
        let (claim, from): (_, i64) =
            (read_claim(Fields::of(&found))?, Fields::of(&found).number("votes_from")?);
        let start_s = claim.record.epoch.start_s;
        let chunk = if claim.record.closed_at < closed_from {
            None
        } else {
            self.staged_from(start_s, claim.staged, from).await?
        };
        let (mut next, mut made) =
            (Bson::Null, MadeVotes { worked: true, contradicted: Vec::new() });
        if let Some(chunk) = chunk {
            let votes: Vec<_> =
                chunk.rows.iter().filter_map(|row| Vote::of_score(&claim.record, row)).collect();
            // The block is the epoch's, whenever it is pinned.
            let documents =
                votes.iter().map(|vote| document(&Vote { block: None, ..vote.clone() })).collect();
            if !self.add_vote_documents(documents).await? {
                made.contradicted = self.contradicted(votes).await?;
            }
            next = Bson::Int64(i64::from(chunk.header.index) + 1);
        }
        self.collection(EPOCHS)
            .update_one(
                doc! { "_id": start_s, "votes_from": from },
                doc! { "$set": { "votes_from": next } },
            )
            .await?;
        Ok(made)
    }

    /// Those that say something else than the one that is there.
    async fn contradicted(&self, votes: Vec<Vote>) -> Result<Vec<Vote>, Fault> {
        let keys: Vec<_> =
            votes.iter().map(|vote| scores::key(vote.epoch_start_s, vote.node)).collect();
        let there =
            collect(self.collection(VOTES).find(doc! { "_id": { "$in": keys } }).await?, read)
                .await?;
        let there: HashMap<_, _> = there.into_iter().map(|vote| (vote.node, vote)).collect();
        Ok(votes
            .into_iter()
            .filter(|vote| there.get(&vote.node).is_some_and(|there| !there.says_the_same(vote)))
            .collect())
    }

    async fn pending_starts(&self, filter: Document) -> Result<Vec<Bson>, Fault> {
        let mut pending = doc! { "state": VoteState::Pending.name() };
        pending.extend(filter);
        Ok(self.collection(VOTES).distinct("epoch_start_s", pending).await?)
    }

    pub(crate) async fn votes_due(&self, now: TimeMs, limit: u32) -> Result<Vec<Vote>, Fault> {
        let due = doc! { "next_attempt_at": { "$lte": now.0 } };
        let closed = self.closed_of(self.pending_starts(due.clone()).await?).await?;
        let all: Vec<_> = closed.iter().map(|record| record.epoch.start_s).collect();
        let blocks: HashMap<_, _> = closed
            .into_iter()
            .filter_map(|record| Some((record.epoch.start_s, record.block?)))
            .collect();
        let pinned: Vec<_> =
            all.iter().copied().filter(|start_s| blocks.contains_key(start_s)).collect();
        let mut filter =
            doc! { "state": VoteState::Pending.name(), "epoch_start_s": { "$in": all } };
        filter.extend(due);
        filter.insert(
            "$or",
            vec![
                doc! { "epoch_start_s": { "$in": pinned } },
                doc! { "block": { "$ne": Bson::Null } },
            ],
        );
        let mut found = self
            .collection(VOTES)
            .find(filter)
            .sort(doc! { "epoch_start_s": 1, "node": 1 })
            .batch_size(limit)
            .await?;
        let (mut votes, mut some, limit) = (Vec::new(), Vec::new(), limit as usize);
        while votes.len() < limit && found.advance().await? {
            some.push(read(Fields::of(&found.deserialize_current()?))?);
            if some.len() == limit {
                votes.extend(self.first_of_their_nodes(std::mem::take(&mut some)).await?);
            }
        }
        if votes.len() < limit {
            votes.extend(self.first_of_their_nodes(some).await?);
        }
        votes.truncate(limit);
        give_blocks(&mut votes, &blocks);
        Ok(votes)
    }

    /// Without those of nodes of which an earlier one waits that the chain does not have.
    async fn first_of_their_nodes(&self, mut votes: Vec<Vote>) -> Result<Vec<Vote>, Fault> {
        let Some(last_s) = votes.iter().map(|vote| vote.epoch_start_s).max() else {
            return Ok(votes);
        };
        let nodes: Vec<_> = votes.iter().map(|vote| id(vote.node.0)).collect();
        let unsent = doc! { "state": VoteState::Pending.name(), "epoch_start_s": { "$lt": last_s }, "node": { "$in": nodes }, "vote_id": Bson::Null };
        let unsent = self
            .collection(VOTES)
            .find(unsent)
            .projection(doc! { "_id": 0, "node": 1, "epoch_start_s": 1 })
            .await?;
        let unsent = collect(unsent, |fields| {
            Ok((fields.id("node", NodeId)?, fields.number::<i64>("epoch_start_s")?))
        })
        .await?;
        let mut first: HashMap<NodeId, i64> = HashMap::new();
        for (node, start_s) in unsent {
            first.entry(node).and_modify(|known| *known = start_s.min(*known)).or_insert(start_s);
        }
        votes.retain(|vote| {
            first.get(&vote.node).is_none_or(|first_s| *first_s >= vote.epoch_start_s)
        });
        Ok(votes)
    }

    pub(crate) async fn newest_pinned(&self) -> Result<Option<BlockRef>, Fault> {
        let pinned = doc! { "state": CLOSED, "block": { "$ne": Bson::Null } };
        let found = self.collection(EPOCHS).find_one(pinned).sort(doc! { "_id": -1 }).await?;
        Ok(found.map(|found| read_block(Fields::of(&found))).transpose()?.flatten())
    }

    pub(crate) async fn expire(&self, closed_before: TimeMs, limit: u32) -> Result<u64, Fault> {
        let votes = self.collection(VOTES);
        let old = doc! { "state": VoteState::Pending.name(), "at": { "$lt": closed_before.0 } };
        let old = votes.find(old).projection(doc! { "_id": 1 }).limit(i64::from(limit)).await?;
        let old = collect(old, |fields| Ok(fields.get("_id").cloned())).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let pending = doc! { "_id": { "$in": old }, "state": VoteState::Pending.name() };
        Ok(votes
            .update_many(pending, doc! { "$set": { "state": VoteState::Expired.name() } })
            .await?
            .modified_count)
    }

    pub(crate) async fn tally(
        &self,
        from_s: i64,
        to_s: i64,
        node: Option<NodeId>,
    ) -> Result<Vec<(i64, VoteTally)>, Fault> {
        let mut of = doc! { "epoch_start_s": { "$gte": from_s, "$lt": to_s } };
        of.extend(node.map(|node| ("node".to_owned(), id(node.0))));
        let group = doc! { "_id": { "epoch": "$epoch_start_s", "state": "$state" }, "count": { "$sum": 1_i64 } };
        let stages =
            vec![doc! { "$match": of }, doc! { "$group": group }, doc! { "$sort": { "_id": 1 } }];
        let read = |fields: Fields<'_>| {
            let of = fields.document("_id")?;
            Ok((
                of.number::<i64>("epoch")?,
                of.word("state", VoteState::from_name)?,
                fields.number::<u64>("count")?,
            ))
        };
        Ok(sums::tallies(collect(self.collection(VOTES).aggregate(stages).await?, read).await?))
    }

    pub(crate) async fn starts_without_block(&self) -> Result<Vec<i64>, Fault> {
        let mut starts = self.pending_starts(doc! { "block": Bson::Null }).await?;
        starts.extend(
            self.collection(EPOCHS)
                .distinct("_id", doc! { "votes_from": { "$gte": 0_i64 } })
                .await?,
        );
        let closed = self.closed_of(starts).await?;
        Ok(closed
            .into_iter()
            .filter(|record| record.block.is_none())
            .map(|record| record.epoch.start_s)
            .collect())
    }

    pub(crate) async fn keep_answers(&self, votes: &[Vote]) -> Result<(), Fault> {
        let statements = votes.iter().map(|vote| Statement {
            filter: doc! { "_id": scores::key(vote.epoch_start_s, vote.node) },
            update: doc! { "$set": course(vote) },
            upsert: false,
        });
        once::update_each(self, VOTES, statements.collect()).await
    }

    pub(crate) async fn list_votes(
        &self,
        filter: &VoteFilter,
        request: &PageRequest<()>,
    ) -> Result<Page<Vote>, Fault> {
        let mut conditions = doc! { "epoch_start_s": self.seen_epochs().await? };
        let ids = [
            ("node", filter.node.map(|node| node.0)),
            ("owner", filter.owner.map(|owner| owner.0)),
        ];
        conditions.extend(
            ids.into_iter().filter_map(|(name, value)| Some((name.to_owned(), id(value?)))),
        );
        if let Some(state) = filter.state {
            conditions.insert("state", state.name());
        }
        let mut votes =
            page(&self.collection(VOTES), conditions, &["epoch_start_s", "node"], request, read)
                .await?;
        let starts = votes.items.iter().map(|vote| Bson::Int64(vote.epoch_start_s)).collect();
        let blocks = self
            .closed_of(starts)
            .await?
            .into_iter()
            .filter_map(|record| Some((record.epoch.start_s, record.block?)));
        give_blocks(&mut votes.items, &blocks.collect());
        Ok(votes)
    }
}

#[async_trait]
impl VoteStore for MongoStore {
    async fn make_votes(&self, closed_from: TimeMs) -> Result<MadeVotes, StoreError> {
        Ok(self.make_some_votes(closed_from).await?)
    }
    async fn due_votes(&self, now: TimeMs, limit: u32) -> Result<Vec<Vote>, StoreError> {
        Ok(self.votes_due(now, limit).await?)
    }
    async fn epochs_without_block(&self) -> Result<Vec<i64>, StoreError> {
        Ok(self.starts_without_block().await?)
    }
    async fn newest_block(&self) -> Result<Option<BlockRef>, StoreError> {
        Ok(self.newest_pinned().await?)
    }
    async fn expire_votes(&self, closed_before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        Ok(self.expire(closed_before, limit).await?)
    }
    async fn tally_votes(
        &self,
        from_s: i64,
        to_s: i64,
        node: Option<NodeId>,
    ) -> Result<Vec<(i64, VoteTally)>, StoreError> {
        Ok(self.tally(from_s, to_s, node).await?)
    }
    async fn update_votes(&self, votes: Vec<Vote>) -> Result<(), StoreError> {
        Ok(self.keep_answers(&votes).await?)
    }
    async fn votes(
        &self,
        filter: &VoteFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Vote>, StoreError> {
        Ok(self.list_votes(filter, &page).await?)
    }
}
