//! Receipts of scores, and the versions that they name.

use std::sync::Arc;

use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::{
        epoch::EpochRecord,
        frame::FrameChunk,
        receipt::{ChunkHeader, ScoredChunk},
    },
    policies::{ParamValues, PolicyIdentity, PolicyKind},
};
use lucid_ports::{ScoringPolicy, StoredBundle};
use parking_lot::Mutex;

use crate::{Epochs, replay::ACTIVATIONS_MAX};

/// An epoch to be handed to somebody who verifies it.
#[derive(Debug, Clone)]
pub struct EpochParts {
    /// Its record.
    pub record: EpochRecord,
    /// How many chunks it has.
    pub chunks: u32,
    /// The versions it was scored with, and their params.
    pub policies: Vec<(Arc<StoredBundle>, ParamValues, PolicyIdentity)>,
}

/// A version that was loaded.
struct KnownPolicy {
    stored: Arc<StoredBundle>,
    params: ParamValues,
    policy: Arc<dyn ScoringPolicy>,
}

/// Versions that were loaded: an epoch is scored by few.
#[derive(Default)]
pub(crate) struct Known(Mutex<Vec<KnownPolicy>>);

impl Known {
    fn find(&self, header: &ChunkHeader) -> Option<Arc<dyn ScoringPolicy>> {
        let is = |identity: &PolicyIdentity| {
            identity.policy.digest == header.policy.digest
                && identity.params_digest() == header.params
        };
        self.0
            .lock()
            .iter()
            .find(|known| is(known.policy.identity()))
            .map(|known| Arc::clone(&known.policy))
    }
}

impl Epochs {
    /// What somebody needs to verify an epoch without this store; its chunks are had one by one.
    ///
    /// # Errors
    /// [`ServiceError`] if there is no such epoch, or a version cannot be loaded any more.
    pub async fn epoch_parts(&self, epoch_start_s: i64) -> Result<EpochParts, ServiceError> {
        let record = self.epoch(epoch_start_s).await?;
        let known = Known::default();
        let mut chunks = 0;
        while let Some(chunk) = self.parts.epoch_records.scored_chunk(epoch_start_s, chunks).await?
        {
            self.policy_of(&chunk.header, &known).await?;
            chunks += 1;
        }
        let policies = known
            .0
            .into_inner()
            .into_iter()
            .map(|known| (known.stored, known.params, known.policy.identity().clone()))
            .collect();
        Ok(EpochParts { record, chunks, policies })
    }

    /// Frame and receipt of a chunk of a closed epoch.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if there is none.
    pub async fn receipt_of(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<(FrameChunk, ScoredChunk), ServiceError> {
        let frame = self
            .parts
            .frames
            .frame_chunk(epoch_start_s, index)
            .await?
            .ok_or(ServiceError::no("frame"))?;
        let stored = self
            .parts
            .epoch_records
            .scored_chunk(epoch_start_s, index)
            .await?
            .ok_or(ServiceError::no("score"))?;
        Ok((frame, stored))
    }

    /// The version that a receipt names, with the params that it names.
    pub(crate) async fn policy_of(
        &self,
        header: &ChunkHeader,
        known: &Known,
    ) -> Result<Arc<dyn ScoringPolicy>, ServiceError> {
        if let Some(policy) = known.find(header) {
            return Ok(policy);
        }
        let stored = Arc::new(
            self.parts
                .versions
                .bundle(header.policy.digest)
                .await?
                .ok_or(ServiceError::no("policy version"))?,
        );
        let of_version = |a: &lucid_model::policies::Activation| {
            a.kind == PolicyKind::Scoring && a.policy.digest == header.policy.digest
        };
        let activated = self
            .parts
            .versions
            .activations(ACTIVATIONS_MAX)
            .await?
            .into_iter()
            .filter(of_version)
            .map(|activation| activation.params);
        let mut tried: Vec<ParamValues> = Vec::new();
        for params in activated.chain([ParamValues::new()]) {
            if tried.contains(&params) {
                continue;
            }
            let policy =
                self.parts.runtime.load_scoring(Arc::clone(&stored), params.clone()).await?;
            if policy.identity().params_digest() == header.params {
                known.0.lock().push(KnownPolicy { stored, params, policy: Arc::clone(&policy) });
                return Ok(policy);
            }
            tried.push(params);
        }
        Err(ServiceError::no("activation with these params"))
    }
}
