//! The audit log: reading it, and sealing the ends of its chains.

mod verify;

use lucid_model::{
    audit::{
        chain::{ChainHead, ChainedEntry},
        seal::{Seal, SealStatement},
    },
    id::Digest,
};
use lucid_ports::{AuditFilter, Page, PageRequest};

pub use self::verify::{AuditProgress, AuditVerified, verify_audit};
use crate::{Actor, Service, ServiceError};

fn reader(actor: &Actor) -> Result<(), ServiceError> {
    if actor.sees_all() { Ok(()) } else { Err(ServiceError::Forbidden { why: "the audit log is about everybody" }) }
}

impl Service {
    /// A page of the audit log.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], [`ServiceError::Store`].
    pub async fn audit(&self, actor: &Actor, filter: AuditFilter, page: PageRequest<()>) -> Result<Page<ChainedEntry>, ServiceError> {
        reader(actor)?;
        Ok(self.store().audit(&filter, page).await?)
    }

    /// The ends of all chains, and the newest seal.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], [`ServiceError::Store`].
    pub async fn audit_heads(&self, actor: &Actor) -> Result<(Vec<ChainHead>, Option<Seal>), ServiceError> {
        reader(actor)?;
        // The seal first: what it names is then among the heads, or before them.
        let seal = self.store().last_audit_seal().await?;
        Ok((self.store().audit_heads().await?, seal))
    }

    /// Signs the ends of all chains, if one has moved since the last seal. `false` if none has, or another replica
    /// was first.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn seal_audit(&self) -> Result<bool, ServiceError> {
        let last = self.store().last_audit_seal().await?;
        let heads = self.store().audit_heads().await?;
        if last.as_ref().map_or(heads.is_empty(), |seal| seal.statement.heads == heads) {
            return Ok(false);
        }
        let statement = SealStatement {
            family: self.family,
            seq: last.as_ref().map_or(0, |seal| seal.statement.seq) + 1,
            previous: last.as_ref().map_or(Digest::default(), Seal::digest),
            at: self.now(),
            key: self.public_key(),
            heads,
        };
        let signature = self.ports.signer.sign(&statement.bytes());
        Ok(self.store().add_audit_seal(Seal { statement, signature }).await?)
    }
}
