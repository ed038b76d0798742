//! One epoch, scored by all replicas: chunks are its shards. Whoever closes it takes them in the
//! order of the frame, others from elsewhere, and everybody leaves out what is stored by now.
//!
//! Nobody claims a shard. What two score at once is the same to the byte, and stored once; who is
//! killed in the middle has nothing that somebody has to wait for, because whoever closes scores
//! what is missing.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::{epoch::Period, receipt::ScoredChunk, score::RULES_VERSION},
    policies::Scope,
};
use lucid_ports::{Attempt, PolicySnapshot, Staged, StagedChunk};
use parking_lot::Mutex;

use super::scoring::{PoolPart, policy_failure};
use crate::Epochs;

/// Between two looks at what others have stored, milliseconds.
const LOOK_MS: i64 = 250;

/// What all who score an epoch share.
pub(super) struct Shards {
    epoch: Period,
    pub(super) attempt: Attempt,
    /// What is known to be stored, by its place in the frame.
    stored: Mutex<BTreeMap<u32, StagedChunk>>,
    looked_ms: AtomicI64,
}

impl Shards {
    pub(super) fn new(epoch: Period, Staged { attempt, chunks }: Staged) -> Self {
        let stored = chunks.into_iter().map(|chunk| (chunk.header.index, chunk)).collect();
        Self { epoch, attempt, stored: Mutex::new(stored), looked_ms: AtomicI64::new(i64::MIN) }
    }

    pub(super) fn epoch(&self) -> Period {
        self.epoch
    }

    pub(super) fn stored(&self, index: u32) -> Option<StagedChunk> {
        self.stored.lock().get(&index).cloned()
    }
}

impl Epochs {
    /// A chunk that somebody has stored by now. What others did is looked at every so often; `None`
    /// if they gave up this attempt, too.
    pub(super) async fn stored_by_now(
        &self,
        shards: &Shards,
        index: u32,
    ) -> Result<Option<StagedChunk>, ServiceError> {
        let (now, last) =
            (self.parts.clock.monotonic_ms(), shards.looked_ms.load(Ordering::Relaxed));
        let is_old = last == i64::MIN || now - last >= LOOK_MS;
        if is_old
            && shards
                .looked_ms
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let staged = self
                .parts
                .epoch_records
                .staged(shards.epoch.start_s)
                .await?
                .filter(|staged| staged.attempt == shards.attempt);
            let chunks = staged.into_iter().flat_map(|staged| staged.chunks);
            shards.stored.lock().extend(chunks.map(|chunk| (chunk.header.index, chunk)));
        }
        Ok(shards.stored(index))
    }

    pub(super) async fn store_shard(
        &self,
        shards: &Shards,
        chunk: ScoredChunk,
        role: &'static str,
    ) -> Result<StagedChunk, ServiceError> {
        let staged = StagedChunk::of(&chunk);
        self.parts.epoch_records.stage_chunks(shards.epoch, shards.attempt, vec![chunk]).await?;
        metrics::counter!("lucid_epoch_chunks_total", "role" => role).increment(1);
        shards.stored.lock().insert(staged.header.index, staged.clone());
        Ok(staged)
    }

    /// Scores chunks of the epoch that another replica is closing, if there is one and both have
    /// the same policies active: from the end, and from somewhere else on each replica. What a
    /// policy fails for is left to whoever closes. Answers how many.
    ///
    /// # Errors
    /// [`ServiceError`] if something is missing now: nobody waits for it.
    pub async fn help_close(&self) -> Result<u32, ServiceError> {
        if !self.config.replicas
            || self.closing().is_some()
            || self.parts.clock.sure_now().is_none_or(|now| now < *self.no_help_before.lock())
        {
            return Ok(0);
        }
        let last = self.parts.epoch_records.last_epoch().await?;
        let Some(epoch) = self.next_epoch(last.as_ref()).await? else { return Ok(0) };
        let due = epoch.end().plus_ms(self.config.epoch_close_delay_ms);
        *self.no_help_before.lock() = due;
        if self.parts.clock.now() < due {
            return Ok(0);
        }
        // Until something of it is stored nobody can tell by which attempt it is scored.
        let Some(staged) = self
            .parts
            .epoch_records
            .staged(epoch.start_s)
            .await?
            .filter(|staged| staged.attempt.is_shared())
        else {
            return Ok(0);
        };
        let Some(parts) = self.parts.frames.frame_parts(epoch.start_s).await? else { return Ok(0) };
        let (snapshot, frame) =
            (self.parts.runtime.snapshot(), self.parts.frames.frame_chunk(epoch.start_s, 0).await?);
        if frame.is_none_or(|chunk| {
            chunk.revision != snapshot.revision() || chunk.rules != RULES_VERSION
        }) {
            return Ok(0);
        }
        let pools = PoolPart::all(epoch, &parts);
        let shards = Shards::new(epoch, staged);
        let mut places: Vec<(&PoolPart, u32)> = pools
            .iter()
            .flat_map(|pool| pool.chunks.clone().map(move |index| (pool, index)))
            .collect();
        places.reverse();
        let first = usize::from(*self.parts.ids.uuid_v7().as_bytes().last().unwrap_or(&0))
            * places.len()
            / 2
            / 256;
        places.rotate_left(first);
        let chunks: Vec<_> = places
            .into_iter()
            .map(|(pool, index)| self.help_with(&shards, snapshot.as_ref(), pool, index).boxed())
            .collect();
        let mut chunks = stream::iter(chunks).buffer_unordered(self.config.chunks_at_once.max(1));
        let mut scored = 0;
        while let Some(helped) = chunks.try_next().await? {
            scored += u32::from(helped);
        }
        if scored > 0 {
            tracing::info!(%epoch, chunks = scored, "helped to close an epoch");
        }
        Ok(scored)
    }

    async fn help_with(
        &self,
        shards: &Shards,
        snapshot: &dyn PolicySnapshot,
        pool: &PoolPart,
        index: u32,
    ) -> Result<bool, ServiceError> {
        if self.stored_by_now(shards, index).await?.is_some() {
            return Ok(false);
        }
        let Some(policy) = snapshot.scoring(Scope::of(pool.pool), pool.epoch.start_s) else {
            return Ok(false);
        };
        match self.chunk_scored(policy.as_ref(), pool.epoch, index, 0).await {
            Ok((chunk, None)) => self.store_shard(shards, chunk, "helper").await.map(|_| true),
            Ok((_, Some(_))) => Ok(false),
            Err(error) => policy_failure(error).map(|_| false),
        }
    }
}
