//! Versions that are asked beside the active ones, and what they said: a document each.

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::ShadowId,
    policies::{PolicyKind, Shadow, ShadowEnd, ShadowResult},
};
use lucid_ports::{Page, PageRequest, ShadowStore, StoreError};
use lucid_store::documents;
use mongodb::bson::{Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, id},
    index::{Index, Partial},
    once,
    page::{collect, page},
    policies::{params, policy, read_params},
};

pub(crate) const SHADOWS: &str = "shadows";
pub(crate) const RESULTS: &str = "shadow_results";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: SHADOWS,
        name: "running",
        keys: &[("_id", 1)],
        unique: false,
        partial: Some(Partial::Where(|| doc! { "running": true })),
        why: "shadows that were not ended",
    },
    Index {
        collection: RESULTS,
        name: "period",
        keys: &[("shadow", 1), ("period_start_s", 1)],
        unique: false,
        partial: None,
        why: "what a shadow said, by period",
    },
];

fn end_fields(end: &ShadowEnd) -> Document {
    doc! { "ended": { "at": end.at.0, "by": &end.by, "reason": &end.reason } }
}

pub(crate) fn document(shadow: &Shadow) -> Document {
    let mut document = doc! {
        "_id": id(shadow.id.0), "v": 1, "kind": shadow.kind.name(), "policy": policy(&shadow.policy), "params": params(&shadow.params),
        "pool": shadow.pool.map(|pool| pool.to_string()), "from_s": shadow.from_s, "started_at": shadow.started_at.0, "actor": &shadow.actor,
        "reason": &shadow.reason,
    };
    match &shadow.ended {
        Some(end) => document.extend(end_fields(end)),
        None => document.extend(doc! { "running": true }),
    }
    document
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Shadow, Fault> {
    let end = |end: Fields<'_>| {
        Ok::<_, Fault>(ShadowEnd {
            at: end.time("at")?,
            by: end.text("by")?,
            reason: end.text("reason")?,
        })
    };
    Ok(Shadow {
        id: fields.id("_id", ShadowId)?,
        kind: fields.word("kind", PolicyKind::from_name)?,
        policy: fields.policy("policy")?,
        params: read_params(fields)?,
        pool: fields.word_or_none("pool", |word| word.parse().ok())?,
        from_s: fields.number("from_s")?,
        started_at: fields.time("started_at")?,
        actor: fields.text("actor")?,
        reason: fields.text("reason")?,
        ended: fields.document_or_none("ended")?.map(end).transpose()?,
    })
}

pub(crate) fn result_document(result: &ShadowResult) -> Result<Document, Fault> {
    Ok(doc! {
        "_id": id(result.id().0), "v": 1, "shadow": id(result.shadow.0), "period_start_s": result.period.start_s,
        "length_s": result.period.length.seconds(), "at": result.at.0, "findings": documents::findings(result.findings.clone())?,
    })
}

pub(crate) fn read_result(fields: Fields<'_>) -> Result<ShadowResult, Fault> {
    Ok(ShadowResult {
        shadow: fields.id("shadow", ShadowId)?,
        period: fields.period("period_start_s", "length_s")?,
        at: fields.time("at")?,
        findings: documents::read_findings(&fields.text("findings")?)?,
    })
}

#[async_trait]
impl ShadowStore for MongoStore {
    async fn add_shadow(&self, shadow: Shadow, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(self.insert_audited(SHADOWS, document(&shadow), &[audit]).await?)
    }
    async fn end_shadow(
        &self,
        shadow: ShadowId,
        end: ShadowEnd,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let running = doc! { "_id": id(shadow.0), "running": true };
        let ended = doc! { "$set": end_fields(&end), "$unset": { "running": "" } };
        Ok(self.update_audited(SHADOWS, running, ended, &[audit]).await?)
    }
    async fn shadow(&self, shadow: ShadowId) -> Result<Option<Shadow>, StoreError> {
        let found = self
            .collection(SHADOWS)
            .find_one(doc! { "_id": id(shadow.0) })
            .await
            .map_err(Fault::from)?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?)
    }
    async fn running_shadows(&self) -> Result<Vec<Shadow>, StoreError> {
        let found = self
            .collection(SHADOWS)
            .find(doc! { "running": true })
            .sort(doc! { "_id": 1 })
            .await
            .map_err(Fault::from)?;
        Ok(collect(found, read).await?)
    }
    async fn shadows(&self, request: PageRequest<()>) -> Result<Page<Shadow>, StoreError> {
        Ok(page(&self.collection(SHADOWS), doc! {}, &["_id"], &request, read).await?)
    }
    async fn add_shadow_result(&self, result: ShadowResult) -> Result<bool, StoreError> {
        Ok(once::insert(&self.collection(RESULTS), result_document(&result)?).await?)
    }
    async fn shadow_results(
        &self,
        shadow: ShadowId,
        request: PageRequest<()>,
    ) -> Result<Page<ShadowResult>, StoreError> {
        Ok(page(
            &self.collection(RESULTS),
            doc! { "shadow": id(shadow.0) },
            &["period_start_s"],
            &request,
            read_result,
        )
        .await?)
    }
}
