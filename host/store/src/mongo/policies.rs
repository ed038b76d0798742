//! Policy versions, their components and activations.
//!
//! A component may be larger than a document: it is kept in chunks that are named by its digest and written before
//! the version, which is what makes them visible. Chunks that a crash left alone are the same at the next try.
//!
//! Activations of one call are one document, named by the revision it is based on: of two that are based on the same
//! one only one can be.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::Digest,
    policy::{Activation, Bundle, BundleSignature, KeyId, PolicyKind, PolicyRef, PolicyVersion, Revision, VersionState},
};
use lucid_ports::{Activated, ImportRecord, PolicyStore, StoreError, StoredBundle};
use mongodb::bson::{Bson, Document, doc};
use uuid::Uuid;

use super::{
    MongoStore,
    audit::intents,
    fault::Fault,
    fields::{self, Fields, stored},
    index::Index,
    page::collect,
};

const VERSIONS: &str = "policy_versions";
const CHUNKS: &str = "policy_chunks";
const ACTIVATIONS: &str = "activations";
const IMPORTS: &str = "imports";
/// Bytes of a component in one document.
const CHUNK_BYTES_MAX: usize = 8 << 20;

pub(crate) const INDICES: &[Index] = &[
    Index { collection: VERSIONS, name: "name_version", keys: &[("policy.name", 1), ("policy.version", 1)], unique: true, partial: None },
    Index { collection: VERSIONS, name: "uploaded", keys: &[("uploaded_at", 1), ("_id", 1)], unique: false, partial: None },
    Index { collection: ACTIVATIONS, name: "last", keys: &[("last", 1)], unique: true, partial: None },
];

fn state_word(state: VersionState) -> &'static str {
    match state {
        VersionState::Checked => "checked",
        VersionState::Rejected => "rejected",
    }
}

fn policy(policy: &PolicyRef) -> Document {
    doc! { "name": &policy.name, "version": policy.version.to_string(), "digest": fields::digest(policy.digest) }
}

fn signatures(signatures: &[BundleSignature]) -> Vec<Document> {
    signatures.iter().map(|signed| doc! { "key": fields::bytes(&signed.key.0), "signature": fields::bytes(&signed.signature) }).collect()
}

fn version_document(stored: &StoredBundle) -> Document {
    let StoredBundle { version, bundle } = stored;
    let golden: Vec<_> = bundle.golden.iter().map(|(name, text)| doc! { "name": name, "text": text }).collect();
    doc! {
        "_id": fields::digest(version.policy.digest), "v": 1, "policy": policy(&version.policy), "kind": version.kind.name(), "abi": &version.abi,
        "state": state_word(version.state), "reason": &version.reason, "uploaded_at": version.uploaded_at.0, "uploaded_by": &version.uploaded_by,
        "signed_by": &version.signed_by, "signatures": signatures(&bundle.signatures), "manifest": &bundle.manifest, "golden": golden,
        "component_bytes": i64::try_from(bundle.component.len()).unwrap_or(i64::MAX),
    }
}

fn read_version(fields: Fields<'_>) -> Result<PolicyVersion, Fault> {
    Ok(PolicyVersion {
        policy: fields.policy("policy")?,
        kind: fields.word("kind", PolicyKind::from_name)?,
        abi: fields.text("abi")?,
        state: fields.word("state", |word| [VersionState::Checked, VersionState::Rejected].into_iter().find(|state| state_word(*state) == word))?,
        reason: fields.text_or_none("reason")?,
        uploaded_at: fields.time("uploaded_at")?,
        uploaded_by: fields.text("uploaded_by")?,
        signed_by: fields.texts("signed_by")?,
    })
}

fn activation_document(activation: &Activation) -> Document {
    // As a list: a parameter's name may have a dot in it.
    let params: Vec<_> = activation.params.iter().map(|(name, value)| doc! { "name": name, "value": *value }).collect();
    doc! {
        "kind": activation.kind.name(), "scope": activation.scope.to_string(), "policy": policy(&activation.policy), "params": params,
        "at": activation.at.0, "actor": &activation.actor, "reason": &activation.reason,
    }
}

fn read_activation(fields: Fields<'_>, revision: u64) -> Result<Activation, Fault> {
    let params = fields.documents("params")?.into_iter().map(|param| Ok((param.text("name")?, param.number("value")?)));
    Ok(Activation {
        revision: Revision(revision),
        kind: fields.word("kind", PolicyKind::from_name)?,
        scope: fields.word("scope", |word| word.parse().ok())?,
        policy: fields.policy("policy")?,
        params: params.collect::<Result<_, Fault>>()?,
        at: fields.time("at")?,
        actor: fields.text("actor")?,
        reason: fields.text("reason")?,
    })
}

/// The activations of one call, in order.
fn read_activations(fields: Fields<'_>) -> Result<Vec<Activation>, Fault> {
    let based_on: u64 = fields.number("_id")?;
    (based_on + 1..).zip(fields.documents("activations")?).map(|(revision, activation)| read_activation(activation, revision)).collect()
}

fn chunk_id(digest: Digest, place: i64) -> Bson {
    Bson::Document(doc! { "digest": fields::digest(digest), "place": place })
}

impl MongoStore {
    async fn keep_version(&self, stored: &StoredBundle, entry: &AuditEntry) -> Result<bool, Fault> {
        let digest = stored.version.policy.digest;
        if self.collection(VERSIONS).find_one(doc! { "_id": fields::digest(digest) }).await?.is_some() {
            return Ok(false);
        }
        for (place, chunk) in (0_i64..).zip(stored.bundle.component.chunks(CHUNK_BYTES_MAX)) {
            let set = doc! { "$set": { "v": 1, "bytes": fields::bytes(chunk) } };
            match self.collection(CHUNKS).update_one(doc! { "_id": chunk_id(digest, place) }, set).upsert(true).await.map_err(Fault::from) {
                Err(fault) if !fault.is_duplicate() => return Err(fault),
                _ => {}
            }
        }
        self.insert_audited(VERSIONS, version_document(stored), std::slice::from_ref(entry)).await
    }

    async fn kept_bundle(&self, digest: Digest) -> Result<Option<StoredBundle>, Fault> {
        let Some(document) = self.collection(VERSIONS).find_one(doc! { "_id": fields::digest(digest) }).await? else { return Ok(None) };
        let fields = Fields::of(&document);
        let golden = fields.documents("golden")?.into_iter().map(|case| Ok((case.text("name")?, case.text("text")?)));
        let golden = golden.collect::<Result<_, Fault>>()?;
        let (bytes, mut component): (usize, _) = (fields.number::<i64>("component_bytes")?.try_into().unwrap_or(usize::MAX), Vec::new());
        for place in 0_i64.. {
            if component.len() >= bytes {
                break;
            }
            let chunk = self.collection(CHUNKS).find_one(doc! { "_id": chunk_id(digest, place) }).await?;
            let chunk = chunk.ok_or_else(|| Fault::Bad(format!("chunk {place} of component {digest} is missing")))?;
            component.extend(Fields::of(&chunk).bytes("bytes")?);
        }
        let signed = |one: Fields<'_>| Ok(BundleSignature { key: KeyId(one.array("key")?), signature: one.array("signature")? });
        let signatures = fields.documents("signatures")?.into_iter().map(signed).collect::<Result<_, Fault>>()?;
        let bundle = Bundle { manifest: fields.text("manifest")?, component, golden, signatures };
        Ok(Some(StoredBundle { version: read_version(fields)?, bundle }))
    }

    async fn last_revision(&self) -> Result<Revision, Fault> {
        let last = self.collection(ACTIVATIONS).find_one(doc! {}).sort(doc! { "last": -1 }).projection(doc! { "last": 1 }).await?;
        Ok(Revision(last.map(|document| Fields::of(&document).number("last")).transpose()?.unwrap_or(0)))
    }

    async fn append(&self, based_on: Revision, activations: &[Activation], entries: &[AuditEntry]) -> Result<Activated, Fault> {
        if self.last_revision().await? != based_on {
            return Ok(Activated::Conflict);
        }
        let last = Revision(based_on.0 + activations.len() as u64);
        if last == based_on {
            return Ok(Activated::Done(based_on));
        }
        let (id, write) = (stored(based_on.0)?, fields::id(Uuid::new_v4()));
        let document = doc! {
            "_id": id, "v": 1, "write": &write, "last": stored(last.0)?,
            "activations": activations.iter().map(activation_document).collect::<Vec<_>>(), "audit": intents(entries),
        };
        match self.collection(ACTIVATIONS).insert_one(document).await.map_err(Fault::from) {
            Ok(_) => {}
            Err(fault) if fault.is_duplicate() || fault.is_ambiguous() => {
                // Somebody else's, or our own, whose answer was lost.
                match self.collection(ACTIVATIONS).find_one(doc! { "_id": id }).await? {
                    Some(found) if found.get("write") == Some(&write) => {}
                    Some(_) => return Ok(Activated::Conflict),
                    None => return Err(fault),
                }
            }
            Err(fault) => return Err(fault),
        }
        self.drain.left(ACTIVATIONS, entries);
        Ok(Activated::Done(last))
    }

    /// The newest of each kind and scope, by revision.
    async fn in_force(&self) -> Result<(Revision, Vec<Activation>), Fault> {
        let calls = self.collection(ACTIVATIONS).find(doc! {}).sort(doc! { "_id": 1 }).await?;
        let all: Vec<_> = collect(calls, read_activations).await?.into_iter().flatten().collect();
        let last = all.last().map_or(Revision(0), |activation| activation.revision);
        let newest: BTreeMap<_, _> = all.into_iter().map(|activation| ((activation.kind.name(), activation.scope), activation)).collect();
        let mut in_force: Vec<_> = newest.into_values().collect();
        in_force.sort_unstable_by_key(|activation| activation.revision);
        Ok((last, in_force))
    }

    async fn newest_activations(&self, limit: u32) -> Result<Vec<Activation>, Fault> {
        // Each call has at least one.
        let calls = self.collection(ACTIVATIONS).find(doc! {}).sort(doc! { "_id": -1 }).limit(i64::from(limit)).await?;
        let calls = collect(calls, read_activations).await?;
        let newest = calls.into_iter().flat_map(|call| call.into_iter().rev());
        Ok(newest.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }
}

#[async_trait]
impl PolicyStore for MongoStore {
    async fn add_version(&self, stored: StoredBundle, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(self.keep_version(&stored, &audit).await?)
    }
    async fn sign_version(
        &self,
        digest: Digest,
        signed: Vec<BundleSignature>,
        signed_by: Vec<String>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let set = doc! { "$set": { "signatures": signatures(&signed), "signed_by": signed_by } };
        Ok(self.update_audited(VERSIONS, doc! { "_id": fields::digest(digest) }, set, &[audit]).await?)
    }
    async fn versions(&self) -> Result<Vec<PolicyVersion>, StoreError> {
        let versions = self.collection(VERSIONS);
        let found =
            versions.find(doc! {}).sort(doc! { "uploaded_at": -1, "_id": -1 }).projection(doc! { "manifest": 0, "golden": 0, "signatures": 0 });
        Ok(collect(found.await.map_err(Fault::from)?, read_version).await?)
    }
    async fn bundle(&self, digest: Digest) -> Result<Option<StoredBundle>, StoreError> {
        Ok(self.kept_bundle(digest).await?)
    }
    async fn active(&self) -> Result<(Revision, Vec<Activation>), StoreError> {
        Ok(self.in_force().await?)
    }
    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError> {
        Ok(self.newest_activations(limit).await?)
    }
    async fn activate(&self, based_on: Revision, activations: Vec<Activation>, audit: Vec<AuditEntry>) -> Result<Activated, StoreError> {
        Ok(self.append(based_on, &activations, &audit).await?)
    }
    async fn import(&self, digest: Digest) -> Result<Option<ImportRecord>, StoreError> {
        let found = self.collection(IMPORTS).find_one(doc! { "_id": fields::digest(digest) }).await.map_err(Fault::from)?;
        let record = found.map(|document| Ok::<_, Fault>(ImportRecord { digest, outcome: Fields::of(&document).text("outcome")? }));
        Ok(record.transpose()?)
    }
    async fn record_import(&self, record: ImportRecord) -> Result<(), StoreError> {
        let imports = self.collection(IMPORTS);
        let set = doc! { "$set": { "v": 1, "outcome": &record.outcome } };
        match imports.update_one(doc! { "_id": fields::digest(record.digest) }, set).upsert(true).await.map_err(Fault::from) {
            // Two at once record the same file: one of the two stays.
            Err(fault) if !fault.is_duplicate() => Err(fault.into()),
            _ => Ok(()),
        }
    }
}
