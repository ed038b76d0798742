//! Requests with idempotency keys: carried out once, answered again.

use lucid_foundation::ServiceError;
use lucid_model::{
    audit::request::{RequestKey, StoredAnswer},
    id::{Digest, IntendedId},
};
use lucid_ports::{Begun, NewRequest};

use crate::Audit;

/// Records forgotten in one go.
const FORGOTTEN_MAX: u32 = 500;

impl Audit {
    /// Claims a request.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn begin_request(
        &self,
        key: RequestKey,
        fingerprint: Digest,
    ) -> Result<Begun, ServiceError> {
        let at = self.parts.clock.now();
        let request = NewRequest {
            key,
            fingerprint,
            creates: IntendedId(self.parts.ids.uuid_v7()),
            at,
            lease_until: at.plus_ms(self.config.request_lease_ms),
            expires_at: at.plus_ms(self.config.request_kept_ms),
        };
        Ok(self.parts.requests.begin_request(request).await?)
    }

    /// Keeps the answer of a request, or gives the claim up if there is none worth keeping.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn end_request(
        &self,
        key: RequestKey,
        answer: Option<StoredAnswer>,
    ) -> Result<(), ServiceError> {
        match answer {
            Some(answer) => self.parts.requests.answer_request(key, answer).await?,
            None => self.parts.requests.release_request(key).await?,
        }
        Ok(())
    }

    /// Forgets answers that were kept long enough; whether there may be more.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn forget_requests(&self) -> Result<bool, ServiceError> {
        let Some(now) = self.parts.clock.sure_now() else { return Ok(false) };
        Ok(self.parts.requests.forget_requests(now, FORGOTTEN_MAX).await?
            >= u64::from(FORGOTTEN_MAX))
    }
}
