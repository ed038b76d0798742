use std::sync::Arc;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    canonical::Canonical,
    fleet::node::CapReached,
    id::Digest,
    notifications::event::EventKind,
    policies::{Bundle, ParamValues, PolicyRef, PolicyVersion, ReportCause, VersionState},
};
use lucid_ports::{GateReport, ImportRecord, StoredBundle, TRACE};

use super::needs_author;
use crate::Policies;

/// Versions that are kept; whoever uploads one reads them all.
const VERSIONS_MAX: usize = 2_000;

/// A bundle that went through the gate.
#[derive(Debug, Clone)]
pub struct Staged {
    /// What the gate found.
    pub report: GateReport,
    /// The version, if it passed.
    pub version: Option<PolicyVersion>,
}

impl Policies {
    /// Checks a bundle and keeps what passes. A refused one is reported, and changes nothing.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or another version has its name and number.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.stage_policy", skip_all)]
    pub async fn stage(
        &self,
        actor: &Actor,
        bundle: Bundle,
        origin: &str,
    ) -> Result<Staged, ServiceError> {
        needs_author(actor)?;
        let bundle = Arc::new(bundle);
        let report = self
            .examine(actor, Arc::clone(&bundle), &ParamValues::new(), (ReportCause::Upload, origin))
            .await?;
        if let Some(reason) = report.rejection() {
            let name =
                report.policy.as_ref().map_or_else(|| origin.to_owned(), ToString::to_string);
            tracing::warn!(bundle = origin, reason, "policy bundle refused");
            self.parts
                .audit
                .add(self.parts.audit.entry(actor, "policy.reject", &name, reason.clone()))
                .await?;
            self.parts.notifications.emit(EventKind::PolicyRejected { bundle: name, reason });
            return Ok(Staged { report, version: None });
        }
        let (Some(policy), Some(kind)) = (report.policy.clone(), report.kind) else {
            return Err(ServiceError::Internal {
                detail: "a bundle passed the gate without a name".into(),
            });
        };
        let versions = self.parts.versions.versions().await?;
        if let Some(known) = self.known(&versions, &policy, &bundle).await? {
            let version = self.add_signatures(actor, known, &bundle).await?;
            return Ok(Staged { report, version: Some(version) });
        }
        let version = PolicyVersion {
            policy: policy.clone(),
            kind,
            abi: report.abi.clone(),
            state: VersionState::Checked,
            reason: None,
            uploaded_at: self.parts.clock.now(),
            uploaded_by: actor.subject.clone(),
            signed_by: report.signed_by.clone(),
        };
        if versions.len() >= VERSIONS_MAX {
            return Err(ServiceError::CapReached(CapReached {
                what: "policy versions",
                limit: u64::try_from(VERSIONS_MAX).unwrap_or(u64::MAX),
            }));
        }
        let stored = StoredBundle { version: version.clone(), bundle: bundle.as_ref().clone() };
        let audit =
            self.parts.audit.entry(actor, "policy.upload", &policy, origin).creating(&version);
        self.parts.versions.add_version(stored, audit).await?;
        Ok(Staged { report, version: Some(version) })
    }

    /// A version that is known already gets the signatures it is handed in with on top of those it
    /// has, if the whole bundle is the same.
    async fn add_signatures(
        &self,
        actor: &Actor,
        known: StoredBundle,
        bundle: &Bundle,
    ) -> Result<PolicyVersion, ServiceError> {
        let StoredBundle { version, bundle: mut kept } = known;
        let before = kept.signatures.clone();
        if kept.content_digest() == bundle.content_digest() {
            kept.add_signatures(&bundle.signatures);
        }
        if kept.signatures == before {
            return Ok(version);
        }
        let signers = self
            .parts
            .runtime
            .signers(&kept)
            .map_err(|error| ServiceError::BundleRefused { reason: error.to_string() })?;
        let signed = PolicyVersion { signed_by: signers.trusted, ..version.clone() };
        let audit = self
            .parts
            .audit
            .entry(actor, "policy.sign", &version.policy, signed.signed_by.join(", "))
            .changing(&version, &signed);
        self.parts
            .versions
            .sign_version(version.policy.digest, kept.signatures, signed.signed_by.clone(), audit)
            .await?;
        Ok(signed)
    }

    /// The version that this bundle is, if it was handed in before. A version's content never
    /// changes, and a component is one version's: two names for what decides alike would hide that
    /// it does.
    async fn known(
        &self,
        versions: &[PolicyVersion],
        policy: &PolicyRef,
        bundle: &Bundle,
    ) -> Result<Option<StoredBundle>, ServiceError> {
        let refused = |reason| Err(ServiceError::BundleRefused { reason });
        if let Some(known) = versions
            .iter()
            .find(|v| v.policy.name == policy.name && v.policy.version == policy.version)
        {
            let stored = self.parts.versions.bundle(known.policy.digest).await?;
            // Golden cases are evidence, not behaviour: others may be shown for the same version.
            let same = |stored: &StoredBundle| {
                (&stored.bundle.manifest, &stored.bundle.component)
                    == (&bundle.manifest, &bundle.component)
            };
            return match stored.filter(same) {
                Some(stored) => Ok(Some(stored)),
                None => refused(format!(
                    "version: {policy} exists with another content; give it a new version"
                )),
            };
        }
        match versions.iter().find(|v| v.policy.digest == policy.digest) {
            Some(same) => refused(format!(
                "version: policy.wasm is that of {}; params are set when it is activated",
                same.policy
            )),
            None => Ok(None),
        }
    }

    /// Takes a bundle in that was found in a file: once for each content, refused ones too, so that
    /// they are not checked again at every start. None if it was taken in before.
    ///
    /// # Errors
    /// As [`Policies::stage`].
    pub async fn stage_file(
        &self,
        bundle: Bundle,
        origin: &str,
    ) -> Result<Option<Staged>, ServiceError> {
        // With its signatures: what was refused without them is looked at again once it has them.
        let start = Canonical::tagged("lucid/v1/bundle-file").fixed(&bundle.content_digest().0);
        let content = Digest::of(
            &bundle
                .signatures
                .iter()
                .fold(start, |bytes, signed| bytes.fixed(&signed.key.0).fixed(&signed.signature))
                .finish(),
        );
        if self.parts.versions.import(content).await?.is_some() {
            return Ok(None);
        }
        let staged = self.stage(&Actor::file(), bundle, origin).await;
        let outcome = match &staged {
            Ok(Staged { version: Some(version), .. }) => version.policy.to_string(),
            Ok(Staged { report, .. }) => {
                format!("refused: {}", report.rejection().unwrap_or_default())
            }
            Err(ServiceError::BundleRefused { reason }) => format!("refused: {reason}"),
            Err(_) => return staged.map(Some),
        };
        self.parts.versions.record_import(ImportRecord { digest: content, outcome }).await?;
        staged.map(Some)
    }
}
