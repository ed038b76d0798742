//! Reading the audit log, and sealing the ends of its chains.

use std::collections::BTreeMap;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    audit::{
        AuditEntry,
        chain::{ChainHead, ChainedEntry},
        seal::{Seal, SealStatement},
    },
    id::{AuditId, AuditWriterId, Digest},
    time::TimeMs,
};
use lucid_ports::{AuditFilter, Order, Page, PageRequest};

use crate::Audit;

/// Every so many seals one names all chains, so that no more than these have to be read at a start.
const SEALS_BETWEEN: u64 = 1_024;
/// Seals read at once.
const SEALS_AT_ONCE: u32 = 256;

/// Whether a seal names the chains that did not move as well.
fn names_all(seq: u64) -> bool {
    seq % SEALS_BETWEEN == 1
}

/// What the seals up to one of them name: the newest end of each chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealed {
    seq: u64,
    heads: BTreeMap<AuditWriterId, ChainHead>,
}

fn reader(actor: &Actor) -> Result<(), ServiceError> {
    if actor.sees_all() {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "the audit log is about everybody" })
    }
}

impl Audit {
    /// An entry about what is done now; whoever changes a record stores it with the change.
    pub fn entry(
        &self,
        actor: &Actor,
        action: &str,
        subject: impl ToString,
        detail: impl Into<String>,
    ) -> AuditEntry {
        AuditEntry {
            id: AuditId(self.parts.ids.uuid_v7()),
            at: self.parts.clock.now(),
            actor: actor.subject.clone(),
            action: action.to_owned(),
            subject: subject.to_string(),
            detail: detail.into(),
            request_id: actor.request_id.clone(),
            before: None,
            after: None,
        }
    }

    /// Stores an entry by itself.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn add(&self, entry: AuditEntry) -> Result<(), ServiceError> {
        Ok(self.parts.log.add_audit(entry).await?)
    }

    /// When the newest entry or seal was made.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn newest_record(&self) -> Result<Option<TimeMs>, ServiceError> {
        let seal = self.parts.log.last_audit_seal().await?.map(|seal| seal.statement.at);
        let newest = PageRequest { page: 1, limit: 1, sort: (), order: Order::Descending };
        let entry = self
            .parts
            .log
            .audit(&AuditFilter::default(), newest)
            .await?
            .items
            .pop()
            .map(|chained| chained.entry.at);
        Ok(seal.max(entry))
    }

    /// A page of the audit log.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], [`ServiceError::Store`].
    pub async fn audit(
        &self,
        actor: &Actor,
        filter: AuditFilter,
        page: PageRequest<()>,
    ) -> Result<Page<ChainedEntry>, ServiceError> {
        reader(actor)?;
        Ok(self.parts.log.audit(&filter, page).await?)
    }

    /// The ends of all chains, and the newest seal.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], [`ServiceError::Store`].
    pub async fn audit_heads(
        &self,
        actor: &Actor,
    ) -> Result<(Vec<ChainHead>, Option<Seal>), ServiceError> {
        reader(actor)?;
        // The seal first: what it names is then among the heads, or before them.
        let seal = self.parts.log.last_audit_seal().await?;
        Ok((self.parts.log.audit_heads().await?, seal))
    }

    /// Signs the ends of the chains that moved since the last seal. `false` if none has, or another
    /// replica was first. What earlier seals name stays sealed: each seal has the digest of the one
    /// before.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn seal_audit(&self) -> Result<bool, ServiceError> {
        let last = self.parts.log.last_audit_seal().await?;
        let seq = last.as_ref().map_or(0, |seal| seal.statement.seq) + 1;
        let sealed = self.sealed_heads(seq - 1).await?;
        let heads = self.parts.log.audit_heads().await?;
        let mut named = heads.clone();
        named.retain(|head| sealed.get(&head.writer) != Some(head));
        if named.is_empty() {
            return Ok(false);
        }
        let statement = SealStatement {
            family: self.parts.family,
            seq,
            previous: last.as_ref().map_or(Digest::default(), Seal::digest),
            at: self.parts.clock.now(),
            key: self.parts.signer.public_key(),
            heads: if names_all(seq) { heads } else { named },
        };
        let signature = self.parts.signer.sign(&statement.bytes());
        Ok(self.parts.log.add_audit_seal(Seal { statement, signature }).await?)
    }

    /// The ends of chains as the seals up to `last` have them. What was read before is remembered.
    async fn sealed_heads(
        &self,
        last: u64,
    ) -> Result<BTreeMap<AuditWriterId, ChainHead>, ServiceError> {
        let mut sealed = self.sealed.lock().clone();
        let all_named = last.saturating_sub(1) / SEALS_BETWEEN * SEALS_BETWEEN;
        if sealed.seq < all_named || sealed.seq > last {
            sealed = Sealed { seq: all_named, heads: BTreeMap::new() };
        }
        while sealed.seq < last {
            let seals = self.parts.log.audit_seals(sealed.seq, SEALS_AT_ONCE).await?;
            let Some(newest) = seals.last() else { break };
            sealed.seq = newest.statement.seq;
            sealed.heads.extend(
                seals
                    .iter()
                    .flat_map(|seal| &seal.statement.heads)
                    .map(|head| (head.writer, *head)),
            );
        }
        self.sealed.lock().clone_from(&sealed);
        Ok(sealed.heads)
    }
}
