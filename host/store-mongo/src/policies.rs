//! Policy versions, their components and activations.
//!
//! A component may be larger than a document, and so may golden cases: they are kept in chunks that
//! are named by their digest and written before the version, which is what makes them visible.
//! Chunks that a crash left alone are the same at the next try.
//!
//! Activations of one call are one document, named by the revision it is based on: of two that are
//! based on the same one only one can be.

pub(crate) mod gate_reports;

use std::collections::BTreeMap;

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    canonical::{Canonical, CanonicalReader},
    id::Digest,
    policies::{
        Activation, Bundle, BundleSignature, KeyId, ParamValues, PolicyKind, PolicyRef,
        PolicyReport, PolicyVersion, Revision, Scope, VersionState,
    },
};
use lucid_ports::{Activated, ImportRecord, PolicyStore, StoreError, StoredBundle};
use mongodb::{
    Database,
    bson::{Bson, Document, doc},
};
use uuid::Uuid;

use crate::{
    MongoStore,
    audit::intents,
    durable,
    fault::Fault,
    fields::{self, Fields, stored},
    index::Index,
    page::collect,
};

pub(crate) const VERSIONS: &str = "policy_versions";
const CHUNKS: &str = "policy_chunks";
pub(crate) const ACTIVATIONS: &str = "activations";
pub(crate) const IMPORTS: &str = "imports";
/// Bytes of a component in one document.
const CHUNK_BYTES_MAX: usize = 8 << 20;
/// Bytes of golden cases that stay in the version's own document, which may have 16 MiB.
const GOLDEN_BYTES_MAX: usize = 4 << 20;

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: VERSIONS,
        name: "name_version",
        keys: &[("policy.name", 1), ("policy.version", 1)],
        unique: true,
        partial: None,
        why: "one bundle a name and version",
    },
    Index {
        collection: VERSIONS,
        name: "uploaded",
        keys: &[("uploaded_at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "versions by upload",
    },
    Index {
        collection: ACTIVATIONS,
        name: "last",
        keys: &[("last", 1)],
        unique: true,
        partial: None,
        why: "one call a revision; the newest revision",
    },
];

pub(crate) fn policy(policy: &PolicyRef) -> Document {
    doc! { "name": &policy.name, "version": policy.version.to_string(), "digest": fields::digest(policy.digest) }
}

fn signatures(signatures: &[BundleSignature]) -> Vec<Document> {
    signatures.iter().map(|signed| doc! { "key": fields::bytes(&signed.key.0), "signature": fields::bytes(&signed.signature) }).collect()
}

/// Golden cases as bytes, if they have no place in the version's document.
fn large_golden(bundle: &Bundle) -> Option<Vec<u8>> {
    let bytes: usize = bundle.golden.iter().map(|(name, text)| name.len() + text.len()).sum();
    let whole = || {
        bundle
            .golden
            .iter()
            .fold(Canonical::default(), |bytes, (name, text)| bytes.text(name).text(text))
            .finish()
    };
    (bytes > GOLDEN_BYTES_MAX).then(whole)
}

fn read_large_golden(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let (mut reader, mut golden) = (CanonicalReader(bytes), Vec::new());
    while !reader.0.is_empty() {
        golden.push((reader.text()?.to_owned(), reader.text()?.to_owned()));
    }
    Some(golden)
}

/// A version and what of it is in chunks.
pub(crate) fn version_document(stored: &StoredBundle) -> Document {
    let StoredBundle { version, bundle } = stored;
    let mut document = doc! {
        "_id": fields::digest(version.policy.digest), "v": 1, "policy": policy(&version.policy), "kind": version.kind.name(), "abi": &version.abi,
        "state": version.state.name(), "reason": &version.reason, "uploaded_at": version.uploaded_at.0, "uploaded_by": &version.uploaded_by,
        "signed_by": &version.signed_by, "signatures": signatures(&bundle.signatures), "manifest": &bundle.manifest,
        "component_bytes": length(&bundle.component),
    };
    match large_golden(bundle) {
        Some(bytes) => document.insert(
            "golden_chunks",
            doc! { "digest": fields::digest(Digest::of(&bytes)), "bytes": length(&bytes) },
        ),
        None => document.insert(
            "golden",
            bundle
                .golden
                .iter()
                .map(|(name, text)| doc! { "name": name, "text": text })
                .collect::<Vec<_>>(),
        ),
    };
    document
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

pub(crate) fn read_version(fields: Fields<'_>) -> Result<PolicyVersion, Fault> {
    Ok(PolicyVersion {
        policy: fields.policy("policy")?,
        kind: fields.word("kind", PolicyKind::from_name)?,
        abi: fields.text("abi")?,
        state: fields.word("state", VersionState::from_name)?,
        reason: fields.text_or_none("reason")?,
        uploaded_at: fields.time("uploaded_at")?,
        uploaded_by: fields.text("uploaded_by")?,
        signed_by: fields.texts("signed_by")?,
    })
}

/// As a list: a parameter's name may have a dot in it.
pub(crate) fn params(params: &ParamValues) -> Vec<Document> {
    params.iter().map(|(name, value)| doc! { "name": name, "value": *value }).collect()
}

pub(crate) fn read_params(fields: Fields<'_>) -> Result<ParamValues, Fault> {
    fields
        .documents("params")?
        .into_iter()
        .map(|param| Ok((param.text("name")?, param.number("value")?)))
        .collect()
}

pub(crate) fn activation_document(activation: &Activation) -> Document {
    doc! {
        "kind": activation.kind.name(), "scope": activation.scope.to_string(), "policy": policy(&activation.policy), "params": params(&activation.params),
        "from_s": activation.from_s, "at": activation.at.0, "actor": &activation.actor, "reason": &activation.reason,
    }
}

fn read_activation(fields: Fields<'_>, revision: u64) -> Result<Activation, Fault> {
    Ok(Activation {
        revision: Revision(revision),
        kind: fields.word("kind", PolicyKind::from_name)?,
        scope: fields.word("scope", |word| word.parse().ok())?,
        policy: fields.policy("policy")?,
        params: read_params(fields)?,
        // There was none before there were activations for a later period.
        from_s: fields.number_or_none("from_s")?.unwrap_or(0),
        at: fields.time("at")?,
        actor: fields.text("actor")?,
        reason: fields.text("reason")?,
    })
}

/// The activations of one call, in order.
pub(crate) fn read_activations(fields: Fields<'_>) -> Result<Vec<Activation>, Fault> {
    let based_on: u64 = fields.number("_id")?;
    (based_on + 1..)
        .zip(fields.documents("activations")?)
        .map(|(revision, activation)| read_activation(activation, revision))
        .collect()
}

fn chunk_id(digest: Digest, place: i64) -> Bson {
    Bson::Document(doc! { "digest": fields::digest(digest), "place": place })
}

/// What is active: of each kind and scope the newest activation that applies at once, and what was
/// scheduled after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct InForce {
    pub(crate) last: Revision,
    timelines: BTreeMap<(&'static str, Scope), Vec<Activation>>,
}

impl InForce {
    /// By revision.
    pub(crate) fn activations(self) -> Vec<Activation> {
        let mut in_force: Vec<_> = self.timelines.into_values().flatten().collect();
        in_force.sort_unstable_by_key(|activation| activation.revision);
        in_force
    }
}

/// What is active, if `known` was up to its revision.
pub(crate) async fn read_in_force(
    database: &Database,
    mut known: InForce,
) -> Result<InForce, Fault> {
    let newer = doc! { "_id": { "$gte": stored(known.last.0)? } };
    let calls = durable(database, ACTIVATIONS).find(newer).sort(doc! { "_id": 1 }).await?;
    for activation in collect(calls, read_activations).await?.into_iter().flatten() {
        known.last = activation.revision;
        let timeline =
            known.timelines.entry((activation.kind.name(), activation.scope)).or_default();
        if activation.from_s == 0 {
            timeline.clear();
        }
        timeline.push(activation);
    }
    Ok(known)
}

/// What is kept in chunks under a digest, put together again.
async fn whole(database: &Database, digest: Digest, bytes: i64) -> Result<Vec<u8>, Fault> {
    let (bytes, mut whole) = (usize::try_from(bytes).unwrap_or(usize::MAX), Vec::new());
    for place in 0_i64.. {
        if whole.len() >= bytes {
            break;
        }
        let chunk =
            durable(database, CHUNKS).find_one(doc! { "_id": chunk_id(digest, place) }).await?;
        let chunk = chunk.ok_or_else(|| {
            Fault::Bad(format!("chunk {place} of what has the digest {digest} is missing"))
        })?;
        whole.extend(Fields::of(&chunk).bytes("bytes")?);
    }
    Ok(whole)
}

/// The bundle of a digest, its component put together again.
pub(crate) async fn kept_bundle(
    database: &Database,
    digest: Digest,
) -> Result<Option<StoredBundle>, Fault> {
    let Some(document) =
        durable(database, VERSIONS).find_one(doc! { "_id": fields::digest(digest) }).await?
    else {
        return Ok(None);
    };
    let fields = Fields::of(&document);
    let golden = if fields.has("golden_chunks") {
        let kept = fields.document("golden_chunks")?;
        let bytes = whole(database, kept.digest("digest")?, kept.number("bytes")?).await?;
        read_large_golden(&bytes).ok_or_else(|| {
            Fault::Bad(format!("golden cases of component {digest} cannot be read"))
        })?
    } else {
        let cases = fields
            .documents("golden")?
            .into_iter()
            .map(|case| Ok((case.text("name")?, case.text("text")?)));
        cases.collect::<Result<_, Fault>>()?
    };
    let component = whole(database, digest, fields.number("component_bytes")?).await?;
    let signed = |one: Fields<'_>| {
        Ok(BundleSignature { key: KeyId(one.array("key")?), signature: one.array("signature")? })
    };
    let signatures =
        fields.documents("signatures")?.into_iter().map(signed).collect::<Result<_, Fault>>()?;
    let bundle = Bundle { manifest: fields.text("manifest")?, component, golden, signatures };
    Ok(Some(StoredBundle { version: read_version(fields)?, bundle }))
}

impl MongoStore {
    async fn keep_version(&self, stored: &StoredBundle, entry: &AuditEntry) -> Result<bool, Fault> {
        let digest = stored.version.policy.digest;
        if self
            .collection(VERSIONS)
            .find_one(doc! { "_id": fields::digest(digest) })
            .await?
            .is_some()
        {
            return Ok(false);
        }
        self.keep_chunks(stored).await?;
        self.insert_audited(VERSIONS, version_document(stored), std::slice::from_ref(entry)).await
    }

    /// Writes what of a version is in chunks; those that are there are the same.
    pub(crate) async fn keep_chunks(&self, stored: &StoredBundle) -> Result<(), Fault> {
        if let Some(golden) = large_golden(&stored.bundle) {
            self.keep_whole(Digest::of(&golden), &golden).await?;
        }
        self.keep_whole(stored.version.policy.digest, &stored.bundle.component).await
    }

    async fn keep_whole(&self, digest: Digest, bytes: &[u8]) -> Result<(), Fault> {
        for (place, chunk) in (0_i64..).zip(bytes.chunks(CHUNK_BYTES_MAX)) {
            let set = doc! { "$set": { "v": 1, "bytes": fields::bytes(chunk) } };
            match self
                .collection(CHUNKS)
                .update_one(doc! { "_id": chunk_id(digest, place) }, set)
                .upsert(true)
                .await
                .map_err(Fault::from)
            {
                Err(fault) if !fault.is_duplicate() => return Err(fault),
                _ => {}
            }
        }
        Ok(())
    }

    /// What has been activated since `known` was read is read; all else is known. Activations are
    /// never changed.
    async fn in_force(&self) -> Result<InForce, Fault> {
        let known = self.in_force.lock().clone();
        let now = read_in_force(&self.database, known).await?;
        let mut known = self.in_force.lock();
        if now.last > known.last {
            known.clone_from(&now);
        }
        Ok(now)
    }

    pub(super) async fn last_revision(&self) -> Result<Revision, Fault> {
        let last = self
            .collection(ACTIVATIONS)
            .find_one(doc! {})
            .sort(doc! { "last": -1 })
            .projection(doc! { "last": 1 })
            .await?;
        Ok(Revision(
            last.map(|document| Fields::of(&document).number("last")).transpose()?.unwrap_or(0),
        ))
    }

    async fn append(
        &self,
        based_on: Revision,
        activations: &[Activation],
        entries: &[AuditEntry],
    ) -> Result<Activated, Fault> {
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
        self.drain.left(ACTIVATIONS, &Bson::Int64(id), entries);
        Ok(Activated::Done(last))
    }

    async fn retire(
        &self,
        digest: Digest,
        reason: &str,
        entry: &AuditEntry,
    ) -> Result<bool, Fault> {
        let state = VersionState::Retired.name();
        let filter = doc! { "_id": fields::digest(digest), "state": { "$ne": state } };
        self.update_audited(
            VERSIONS,
            filter,
            doc! { "$set": { "state": state, "reason": reason } },
            std::slice::from_ref(entry),
        )
        .await
    }

    async fn newest_activations(&self, limit: u32) -> Result<Vec<Activation>, Fault> {
        // Each call has at least one.
        let calls = self
            .collection(ACTIVATIONS)
            .find(doc! {})
            .sort(doc! { "_id": -1 })
            .limit(i64::from(limit))
            .await?;
        let calls = collect(calls, read_activations).await?;
        let newest = calls.into_iter().flat_map(|call| call.into_iter().rev());
        Ok(newest.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }
}

#[async_trait]
impl PolicyStore for MongoStore {
    async fn add_version(
        &self,
        stored: StoredBundle,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
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
        Ok(self
            .update_audited(VERSIONS, doc! { "_id": fields::digest(digest) }, set, &[audit])
            .await?)
    }
    async fn versions(&self) -> Result<Vec<PolicyVersion>, StoreError> {
        let versions = self.collection(VERSIONS);
        let found = versions
            .find(doc! {})
            .sort(doc! { "uploaded_at": -1, "_id": -1 })
            .projection(doc! { "manifest": 0, "golden": 0, "golden_chunks": 0, "signatures": 0 });
        Ok(collect(found.await.map_err(Fault::from)?, read_version).await?)
    }
    async fn bundle(&self, digest: Digest) -> Result<Option<StoredBundle>, StoreError> {
        Ok(kept_bundle(&self.database, digest).await?)
    }
    async fn retire_version(
        &self,
        digest: Digest,
        reason: String,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        Ok(self.retire(digest, &reason, &audit).await?)
    }
    async fn add_report(&self, report: PolicyReport) -> Result<(), StoreError> {
        Ok(self.keep_gate_report(&report).await?)
    }
    async fn reports(
        &self,
        digest: Option<Digest>,
        limit: u32,
    ) -> Result<Vec<PolicyReport>, StoreError> {
        Ok(self.newest_gate_reports(digest, limit).await?)
    }
    async fn active(&self) -> Result<(Revision, Vec<Activation>), StoreError> {
        let now = self.in_force().await?;
        Ok((now.last, now.activations()))
    }
    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError> {
        Ok(self.newest_activations(limit).await?)
    }
    async fn activate(
        &self,
        based_on: Revision,
        activations: Vec<Activation>,
        audit: Vec<AuditEntry>,
    ) -> Result<Activated, StoreError> {
        Ok(self.append(based_on, &activations, &audit).await?)
    }
    async fn import(&self, digest: Digest) -> Result<Option<ImportRecord>, StoreError> {
        let found = self
            .collection(IMPORTS)
            .find_one(doc! { "_id": fields::digest(digest) })
            .await
            .map_err(Fault::from)?;
        let record = found.map(|document| {
            Ok::<_, Fault>(ImportRecord { digest, outcome: Fields::of(&document).text("outcome")? })
        });
        Ok(record.transpose()?)
    }
    async fn record_import(&self, record: ImportRecord) -> Result<(), StoreError> {
        let imports = self.collection(IMPORTS);
        let set = doc! { "$set": { "v": 1, "outcome": &record.outcome } };
        match imports
            .update_one(doc! { "_id": fields::digest(record.digest) }, set)
            .upsert(true)
            .await
            .map_err(Fault::from)
        {
            // Two at once record the same file: one of the two stays.
            Err(fault) if !fault.is_duplicate() => Err(fault.into()),
            _ => Ok(()),
        }
    }
}
