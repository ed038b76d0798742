//! Scoring a pool of an epoch, by one version and no other.
//!
//! A chunk the policy fails for is asked about node by node, and nodes it fails for alone are held
//! with the reason. If they are more than one in a hundred of the pool, all of the pool is scored
//! again by the last good version: no epoch of a pool mixes versions.
//!
//! Pools, and the chunks of a pool, are scored side by side. What comes out depends on none of
//! that: each chunk by itself, the held ones counted in the order of the frame. Where one replica
//! works alone, a pool is stored when all of it is scored; where others help, each chunk is. What
//! is stored is not scored again, whoever goes on after a crash.

use std::ops::Range;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::{epoch::Period, receipt::ScoredChunk, score::PPM},
    id::PoolScope,
    policies::{PolicyIdentity, PolicyRef, Revision, Scope},
};
use lucid_ports::{
    Attempt, CallError, FramePart, PolicySnapshot, ScoringPolicy, Staged, StagedChunk, TRACE,
};

use super::{closing::Stage, shards::Shards};
use crate::{
    Epochs,
    rows::{ScoredBy, score_chunk},
};

/// Part of a pool's nodes that a policy may fail for and still be the pool's.
const HELD_MAX_PPM: u64 = 10_000;

/// An epoch, scored and stored, not yet closed.
pub(super) struct Scored {
    pub(super) attempt: Attempt,
    /// In the order of the frame.
    pub(super) chunks: Vec<StagedChunk>,
    /// Pools that the active version failed for.
    pub(super) replaced: Vec<Replaced>,
}

/// A version that took the place of the active one.
pub(super) struct Replaced {
    /// In which pool.
    pub(super) pool: PoolScope,
    /// What was active.
    pub(super) failed: PolicyRef,
    /// What was used.
    pub(super) by: PolicyRef,
    /// How the active one failed.
    pub(super) reason: String,
}

/// How the policy failed for more nodes than may be held.
///
/// # Errors
/// The error itself, if the fault is not the policy's.
pub(super) fn policy_failure(error: ServiceError) -> Result<CallError, ServiceError> {
    match error {
        ServiceError::Call(error) if matches!(*error, CallError::Policy { .. }) => Ok(*error),
        error => Err(error),
    }
}

/// One pool of a frame.
pub(super) struct PoolPart {
    pub(super) epoch: Period,
    pub(super) pool: PoolScope,
    /// Its chunks.
    pub(super) chunks: Range<u32>,
    nodes: u64,
}

/// A pool that is scored and stored, and what took the active version's place. None, if chunks are
/// stored that cannot stay: the active version failed for others of the pool.
type PoolScored = Option<(Vec<StagedChunk>, Option<Replaced>)>;

impl PoolPart {
    pub(super) fn all(epoch: Period, parts: &[FramePart]) -> Vec<Self> {
        let mut next = 0;
        let pool = |parts: &[FramePart]| {
            let first = next;
            next += u32::try_from(parts.len()).unwrap_or(u32::MAX);
            let nodes = parts.iter().map(|part| u64::from(part.nodes)).sum();
            parts.first().map(|part| Self { epoch, pool: part.pool, chunks: first..next, nodes })
        };
        parts.chunk_by(|a, b| a.pool == b.pool).filter_map(pool).collect()
    }

    fn held_max(&self) -> u64 {
        self.nodes.saturating_mul(HELD_MAX_PPM) / u64::from(PPM)
    }

    /// What is stored of it.
    fn stored<'s>(&self, staged: &'s [StagedChunk]) -> &'s [StagedChunk] {
        let place = |index: u32| staged.partition_point(|chunk| chunk.header.index < index);
        staged.get(place(self.chunks.start)..place(self.chunks.end)).unwrap_or_default()
    }
}

/// What may be kept of what an attempt before this one stored. Of one that others may have helped
/// with: what was scored by the active versions. Of another: pools that are all there, of one
/// version each, since that may have taken the place of one that failed. None, if anything else is
/// there, or the activations are not those of the frame any more: then it is begun anew.
fn kept(
    staged: Option<Staged>,
    pools: &[PoolPart],
    frame: Option<Revision>,
    snapshot: &dyn PolicySnapshot,
) -> Option<Staged> {
    let staged = staged.filter(|_| frame == Some(snapshot.revision()))?;
    let may_stay = if staged.attempt.is_shared() {
        are_by_active(&staged.chunks, pools, snapshot)
    } else {
        let version = |chunk: &StagedChunk| (chunk.header.policy.digest, chunk.header.params);
        let of_one = |chunks: &[StagedChunk]| {
            chunks.windows(2).all(|two| matches!(two, [a, b] if version(a) == version(b)))
        };
        let whole = |pool: &PoolPart| {
            Some(pool.stored(&staged.chunks))
                .filter(|chunks| chunks.len() == pool.chunks.len() && of_one(chunks))
        };
        pools.iter().filter_map(whole).map(<[StagedChunk]>::len).sum::<usize>()
            == staged.chunks.len()
    };
    may_stay.then_some(staged)
}

/// Whether each of these chunks was scored by the version that is active for its pool. A replica
/// that had not heard yet of what is active would have scored by another one.
fn are_by_active(
    staged: &[StagedChunk],
    pools: &[PoolPart],
    snapshot: &dyn PolicySnapshot,
) -> bool {
    pools.iter().all(|pool| {
        let chunks = pool.stored(staged);
        let active = snapshot.scoring(Scope::of(pool.pool), pool.epoch.start_s);
        let is_by = |chunk: &StagedChunk, active: &PolicyIdentity| {
            (chunk.header.policy.digest, chunk.header.params)
                == (active.policy.digest, active.params_digest())
        };
        chunks.is_empty()
            || active
                .is_some_and(|active| chunks.iter().all(|chunk| is_by(chunk, active.identity())))
    })
}

impl Epochs {
    /// Scores the stored frame of an epoch, and stores what comes out.
    pub(super) async fn score_frame(
        &self,
        snapshot: &dyn PolicySnapshot,
        epoch: Period,
    ) -> Result<Scored, ServiceError> {
        let parts =
            self.parts.frames.frame_parts(epoch.start_s).await?.ok_or(ServiceError::no("frame"))?;
        let pools = PoolPart::all(epoch, &parts);
        let framed =
            self.parts.frames.frame_chunk(epoch.start_s, 0).await?.map(|chunk| chunk.revision);
        let mut staged =
            kept(self.parts.epoch_records.staged(epoch.start_s).await?, &pools, framed, snapshot);
        if let Some(Staged { chunks, .. }) = &staged {
            tracing::info!(%epoch, chunks = chunks.len(), "going on with an epoch that was being closed");
        }
        let mut shared = self.config.replicas;
        loop {
            let begun = staged.take().unwrap_or_else(|| Staged {
                attempt: self.new_attempt(shared),
                chunks: Vec::new(),
            });
            if let Some(scored) =
                self.score_attempt(snapshot, &pools, &Shards::new(epoch, begun)).await?
            {
                return Ok(scored);
            }
            tracing::warn!(%epoch, "chunks of a pool are stored that cannot stay: the epoch is scored anew, by this replica alone");
            shared = false;
        }
    }

    /// None if chunks are stored that cannot stay.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.score_epoch", skip_all)]
    async fn score_attempt(
        &self,
        snapshot: &dyn PolicySnapshot,
        pools: &[PoolPart],
        shards: &Shards,
    ) -> Result<Option<Scored>, ServiceError> {
        let (epoch, nodes) = (shards.epoch(), pools.iter().map(|pool| pool.nodes).sum());
        let mut scored =
            Scored { attempt: shards.attempt, chunks: Vec::new(), replaced: Vec::new() };
        let mut done = 0;
        self.progressed(epoch, Stage::Scoring, done, Some(nodes));
        // Boxed: the compiler cannot see that a closure's futures may be sent to another thread.
        let parts: Vec<_> =
            pools.iter().map(|pool| self.score_pool(snapshot, pool, shards).boxed()).collect();
        let mut parts = stream::iter(parts)
            .buffered(self.config.chunks_at_once.max(1))
            .zip(stream::iter(pools));
        while let Some((part, pool)) = parts.next().await {
            let Some((chunks, replaced)) = part? else { return Ok(None) };
            scored.chunks.extend(chunks);
            scored.replaced.extend(replaced);
            done += pool.nodes;
            self.progressed(epoch, Stage::Scoring, done, Some(nodes));
        }
        if shards.attempt.is_shared() {
            // Of two who scored a chunk it is the first one's that stays.
            let staged = self
                .parts
                .epoch_records
                .staged(epoch.start_s)
                .await?
                .filter(|staged| staged.attempt == shards.attempt);
            let chunks = staged.map(|staged| staged.chunks).unwrap_or_default();
            if chunks.len() != scored.chunks.len() || !are_by_active(&chunks, pools, snapshot) {
                return Ok(None);
            }
            scored.chunks = chunks;
        }
        Ok(Some(scored))
    }

    /// Later ones are greater.
    fn new_attempt(&self, is_shared: bool) -> Attempt {
        let mut name = [0; 12];
        name.iter_mut().zip(self.parts.ids.uuid_v7().as_bytes()).for_each(|(to, from)| *to = *from);
        Attempt::new(name, is_shared)
    }

    /// A pool's scored chunks, and what took the active version's place.
    async fn score_pool(
        &self,
        snapshot: &dyn PolicySnapshot,
        pool: &PoolPart,
        shards: &Shards,
    ) -> Result<PoolScored, ServiceError> {
        let stored: Option<Vec<_>> =
            pool.chunks.clone().map(|index| shards.stored(index)).collect();
        if let Some(stored) = stored {
            return Ok(Some((stored, None)));
        }
        let scope = Scope::of(pool.pool);
        let active = snapshot
            .scoring(scope, pool.epoch.start_s)
            .ok_or(ServiceError::NoPolicy { kind: "scoring" })?;
        if shards.attempt.is_shared() {
            return self.score_shards(active.as_ref(), pool, shards).await;
        }
        let attempt = shards.attempt;
        let failure = match self.try_policy(active.as_ref(), pool).await {
            Ok(chunks) => return Ok(Some((self.keep(pool, attempt, chunks).await?, None))),
            Err(error) => policy_failure(error)?,
        };
        tracing::warn!(pool = %pool.pool, epoch = %pool.epoch, error = %failure, "the policy failed: its pool is scored by the last good version");
        let mut last_good =
            self.parts.policies.last_good(active.identity(), scope, snapshot.revision()).await?;
        while let Some(policy) = last_good.scoring().await? {
            let by = policy.identity().policy.clone();
            match self.try_policy(policy.as_ref(), pool).await {
                Ok(chunks) => {
                    metrics::counter!("lucid_policy_replaced_total", "kind" => "scoring")
                        .increment(1);
                    let failed = active.identity().policy.clone();
                    let replaced =
                        Replaced { pool: pool.pool, failed, by, reason: failure.to_string() };
                    return Ok(Some((self.keep(pool, attempt, chunks).await?, Some(replaced))));
                }
                Err(error) => {
                    let error = policy_failure(error)?;
                    tracing::warn!(pool = %pool.pool, epoch = %pool.epoch, %error, "a version before it fails too")
                }
            }
        }
        Err(failure.into())
    }

    /// Scores and stores the chunks of a pool that nobody else did, each by itself.
    async fn score_shards(
        &self,
        active: &dyn ScoringPolicy,
        pool: &PoolPart,
        shards: &Shards,
    ) -> Result<PoolScored, ServiceError> {
        let held_max = pool.held_max();
        let chunks: Vec<_> = pool
            .chunks
            .clone()
            .map(|index| self.shard(active, (pool, index, held_max), shards).boxed())
            .collect();
        let mut results = stream::iter(chunks).buffered(self.config.chunks_at_once.max(1));
        let (mut chunks, mut held) = (Vec::with_capacity(pool.chunks.len()), 0);
        while let Some(result) = results.try_next().await? {
            let Some(chunk) = result else { return Ok(None) };
            held += u64::from(chunk.held);
            chunks.push(chunk);
        }
        Ok((held <= held_max).then_some((chunks, None)))
    }

    /// One chunk; none if the policy fails for it.
    async fn shard(
        &self,
        active: &dyn ScoringPolicy,
        (pool, index, held_max): (&PoolPart, u32, u64),
        shards: &Shards,
    ) -> Result<Option<StagedChunk>, ServiceError> {
        if let Some(stored) = self.stored_by_now(shards, index).await? {
            return Ok(Some(stored));
        }
        match self.chunk_scored(active, pool.epoch, index, held_max).await {
            Ok((chunk, _)) => self.store_shard(shards, chunk, "closer").await.map(Some),
            Err(error) => {
                let error = policy_failure(error)?;
                tracing::warn!(pool = %pool.pool, epoch = %pool.epoch, %error, "the policy fails for a chunk");
                Ok(None)
            }
        }
    }

    async fn keep(
        &self,
        pool: &PoolPart,
        attempt: Attempt,
        chunks: Vec<ScoredChunk>,
    ) -> Result<Vec<StagedChunk>, ServiceError> {
        let staged = chunks.iter().map(StagedChunk::of).collect();
        self.parts.epoch_records.stage_chunks(pool.epoch, attempt, chunks).await?;
        Ok(staged)
    }

    pub(super) async fn chunk_scored(
        &self,
        policy: &dyn ScoringPolicy,
        epoch: Period,
        index: u32,
        held_max: u64,
    ) -> Result<ScoredBy, ServiceError> {
        let frame = self
            .parts
            .frames
            .frame_chunk(epoch.start_s, index)
            .await?
            .ok_or(ServiceError::no("frame"))?;
        Ok(score_chunk(policy, &frame, held_max).await?)
    }

    /// Scores all chunks of a pool with one version; fails as the policy did, if it held more nodes
    /// than may be.
    async fn try_policy(
        &self,
        policy: &dyn ScoringPolicy,
        pool: &PoolPart,
    ) -> Result<Vec<ScoredChunk>, ServiceError> {
        let held_max = pool.held_max();
        let chunks: Vec<_> = pool
            .chunks
            .clone()
            .map(|index| self.chunk_scored(policy, pool.epoch, index, held_max).boxed())
            .collect();
        let mut results = stream::iter(chunks).buffered(self.config.chunks_at_once.max(1));
        let (mut chunks, mut held) = (Vec::with_capacity(pool.chunks.len()), 0);
        while let Some((chunk, last)) = results.try_next().await? {
            held += chunk.rows.iter().filter(|row| row.held).count() as u64;
            if let Some(last) = last.filter(|_| held > held_max) {
                return Err(last.into());
            }
            chunks.push(chunk);
        }
        Ok(chunks)
    }
}
