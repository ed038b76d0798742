pub(crate) mod gate_reports;

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::Digest,
    policies::{
        Activation, Bundle, BundleSignature, PolicyKind, PolicyReport, PolicyVersion, Revision,
        VersionState,
    },
};
use lucid_ports::{Activated, ImportRecord, PolicyStore, StoreError, StoredBundle};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, audit,
    columns::{Columns, json, stored},
    fault::Fault,
    query::{count, execute, first, rows},
};

pub(crate) const VERSION: &str = "v.name, v.version, v.digest, v.kind, v.abi, v.state, v.reason, v.uploaded_at, v.uploaded_by, v.signed_by";
pub(crate) const ACTIVATION: &str =
    "revision, kind, scope, name, version, digest, params, from_s, at, actor, reason";

fn read_version(columns: &mut Columns<'_>) -> Result<PolicyVersion, Fault> {
    Ok(PolicyVersion {
        policy: columns.policy()?,
        kind: columns.word(PolicyKind::from_name)?,
        abi: columns.take()?,
        state: columns.word(VersionState::from_name)?,
        reason: columns.take()?,
        uploaded_at: columns.time()?,
        uploaded_by: columns.take()?,
        signed_by: columns.json()?,
    })
}

/// Signatures as they are kept: a list of key and signature, in hex.
fn signatures_text(signatures: &[BundleSignature]) -> Result<String, Fault> {
    json(
        &signatures
            .iter()
            .map(|signed| (signed.key.to_string(), hex::encode(signed.signature)))
            .collect::<Vec<_>>(),
    )
}

fn signatures(text: &str) -> Option<Vec<BundleSignature>> {
    let read = |(key, text): (String, String)| {
        let mut signature = [0; 64];
        hex::decode_to_slice(text, &mut signature).ok()?;
        Some(BundleSignature { key: key.parse().ok()?, signature })
    };
    serde_json::from_str::<Vec<(String, String)>>(text).ok()?.into_iter().map(read).collect()
}

pub(crate) fn read_bundle(columns: &mut Columns<'_>) -> Result<StoredBundle, Fault> {
    let version = read_version(columns)?;
    let (manifest, component, golden) = (columns.take()?, columns.take()?, columns.json()?);
    let bundle = Bundle { manifest, component, golden, signatures: columns.word(signatures)? };
    Ok(StoredBundle { version, bundle })
}

pub(crate) fn read_activation(columns: &mut Columns<'_>) -> Result<Activation, Fault> {
    Ok(Activation {
        revision: Revision(columns.unsigned()?),
        kind: columns.word(PolicyKind::from_name)?,
        scope: columns.word(|word| word.parse().ok())?,
        policy: columns.policy()?,
        params: columns.json()?,
        from_s: columns.take()?,
        at: columns.time()?,
        actor: columns.take()?,
        reason: columns.take()?,
    })
}

/// A version with its bundle.
pub(crate) fn kept_bundle(
    connection: &Connection,
    digest: Digest,
) -> Result<Option<StoredBundle>, Fault> {
    let sql = format!(
        "SELECT {VERSION}, b.manifest, b.component, b.golden, b.signatures FROM policy_versions v JOIN policy_bundles b USING (digest) WHERE v.digest = ?"
    );
    first(connection, &sql, [digest.0], read_bundle)
}

/// Of each kind and scope the newest activation that applies at once, and what was scheduled after
/// it, by revision.
pub(crate) fn in_force(connection: &Connection) -> Result<Vec<Activation>, Fault> {
    let sql = format!(
        "WITH at_once AS (SELECT kind, scope, max(revision) FILTER (WHERE from_s = 0) AS last FROM activations GROUP BY kind, scope) \
         SELECT {ACTIVATION} FROM activations JOIN at_once USING (kind, scope) WHERE revision >= coalesce(last, 0) ORDER BY revision"
    );
    rows(connection, &sql, [], read_activation)
}

/// Adds a version with its bundle; `false` if it is there.
pub(crate) fn insert_version(
    connection: &Connection,
    stored: &StoredBundle,
) -> Result<bool, Fault> {
    let (version, bundle) = (&stored.version, &stored.bundle);
    let sql = "INSERT INTO policy_versions (name, version, digest, kind, abi, state, reason, uploaded_at, uploaded_by, signed_by) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let values = params![
        version.policy.name,
        version.policy.version.to_string(),
        version.policy.digest.0,
        version.kind.name(),
        version.abi,
        version.state.name(),
        version.reason,
        version.uploaded_at.0,
        version.uploaded_by,
        json(&version.signed_by)?,
    ];
    if execute(connection, sql, values)? == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO policy_bundles (digest, manifest, component, golden, signatures) VALUES (?, ?, ?, ?, ?)";
    let values = params![
        version.policy.digest.0,
        bundle.manifest,
        bundle.component,
        json(&bundle.golden)?,
        signatures_text(&bundle.signatures)?
    ];
    execute(connection, sql, values)?;
    Ok(true)
}

fn add_version(
    connection: &Connection,
    stored: &StoredBundle,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    let added = insert_version(connection, stored)?;
    if added {
        audit::add(connection, entry)?;
    }
    Ok(added)
}

fn sign_version(
    connection: &Connection,
    digest: Digest,
    signatures: &[BundleSignature],
    signed_by: &[String],
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    if execute(
        connection,
        "UPDATE policy_versions SET signed_by = ? WHERE digest = ?",
        params![json(&signed_by)?, digest.0],
    )? == 0
    {
        return Ok(false);
    }
    execute(
        connection,
        "UPDATE policy_bundles SET signatures = ? WHERE digest = ?",
        params![signatures_text(signatures)?, digest.0],
    )?;
    audit::add(connection, entry)?;
    Ok(true)
}

fn retire(
    connection: &Connection,
    digest: Digest,
    reason: &str,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    let sql = "UPDATE policy_versions SET state = ?, reason = ? WHERE digest = ? AND state <> ?1";
    if execute(connection, sql, params![VersionState::Retired.name(), reason, digest.0])? == 0 {
        return Ok(false);
    }
    audit::add(connection, entry)?;
    Ok(true)
}

fn last_revision(connection: &Connection) -> Result<Revision, Fault> {
    count(connection, "SELECT coalesce(max(revision), 0) FROM activations", []).map(Revision)
}

/// Adds an activation as this revision; `false` if that is there.
pub(crate) fn insert_activation(
    connection: &Connection,
    revision: Revision,
    activation: &Activation,
) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO activations ({ACTIVATION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        stored(revision.0)?,
        activation.kind.name(),
        activation.scope.to_string(),
        activation.policy.name,
        activation.policy.version.to_string(),
        activation.policy.digest.0,
        json(&activation.params)?,
        activation.from_s,
        activation.at.0,
        activation.actor,
        activation.reason,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn activate(
    connection: &Connection,
    based_on: Revision,
    activations: &[Activation],
    entries: &[AuditEntry],
) -> Result<Activated, Fault> {
    if last_revision(connection)? != based_on {
        return Ok(Activated::Conflict);
    }
    let mut revision = based_on;
    for activation in activations {
        revision = Revision(revision.0 + 1);
        if !insert_activation(connection, revision, activation)? {
            return Err(Fault::Bad(format!("revision {} is there already", revision.0)));
        }
    }
    entries.iter().try_for_each(|entry| audit::add(connection, entry))?;
    Ok(Activated::Done(revision))
}

#[async_trait]
impl PolicyStore for SqliteStore {
    async fn add_version(
        &self,
        stored: StoredBundle,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core.write(move |connection| add_version(connection, &stored, &audit)).await
    }
    async fn sign_version(
        &self,
        digest: Digest,
        signatures: Vec<BundleSignature>,
        signed_by: Vec<String>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                sign_version(connection, digest, &signatures, &signed_by, &audit)
            })
            .await
    }
    async fn versions(&self) -> Result<Vec<PolicyVersion>, StoreError> {
        let sql = format!(
            "SELECT {VERSION} FROM policy_versions v ORDER BY v.uploaded_at DESC, v.digest DESC"
        );
        self.core.read(move |connection| rows(connection, &sql, [], read_version)).await
    }
    async fn bundle(&self, digest: Digest) -> Result<Option<StoredBundle>, StoreError> {
        self.core.read(move |connection| kept_bundle(connection, digest)).await
    }
    async fn retire_version(
        &self,
        digest: Digest,
        reason: String,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core.write(move |connection| retire(connection, digest, &reason, &audit)).await
    }
    async fn add_report(&self, report: PolicyReport) -> Result<(), StoreError> {
        self.core.write(move |connection| gate_reports::add(connection, &report)).await
    }
    async fn reports(
        &self,
        digest: Option<Digest>,
        limit: u32,
    ) -> Result<Vec<PolicyReport>, StoreError> {
        self.core.read(move |connection| gate_reports::newest(connection, digest, limit)).await
    }
    async fn active(&self) -> Result<(Revision, Vec<Activation>), StoreError> {
        self.core.read(|connection| Ok((last_revision(connection)?, in_force(connection)?))).await
    }
    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError> {
        let sql = format!("SELECT {ACTIVATION} FROM activations ORDER BY revision DESC LIMIT ?");
        self.core.read(move |connection| rows(connection, &sql, [limit], read_activation)).await
    }
    async fn activate(
        &self,
        based_on: Revision,
        activations: Vec<Activation>,
        audit: Vec<AuditEntry>,
    ) -> Result<Activated, StoreError> {
        self.core
            .write(move |connection| activate(connection, based_on, &activations, &audit))
            .await
    }
    async fn import(&self, digest: Digest) -> Result<Option<ImportRecord>, StoreError> {
        let sql = "SELECT digest, outcome FROM imports WHERE digest = ?";
        let read =
            |c: &mut Columns<'_>| Ok(ImportRecord { digest: c.digest()?, outcome: c.take()? });
        self.core.read(move |connection| first(connection, sql, [digest.0], read)).await
    }
    async fn record_import(&self, record: ImportRecord) -> Result<(), StoreError> {
        let sql = "INSERT INTO imports (digest, outcome) VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET outcome = excluded.outcome";
        self.core
            .write(move |connection| {
                execute(connection, sql, params![record.digest.0, record.outcome]).map(|_| ())
            })
            .await
    }
}
