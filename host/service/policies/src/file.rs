//! `active.toml`: each entry is applied once for each thing it says, whichever replica reads it
//! first.

mod record;

use std::collections::{BTreeMap, BTreeSet};

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    id::Digest,
    policies::{Activation, ParamValues, PolicyKind, PolicyVersion, Revision, Scope},
};
use lucid_ports::ImportRecord;

use self::record::{Record, Seen, Step, decide, meaning};
use super::{ActivationRequest, Start};
use crate::Policies;

/// How long replicas may disagree before it is told: files reach machines one after the other.
const DISAGREEMENT_MS: i64 = 120_000;
/// What the alert about a payout policy that waits for a second person is about.
const PAYOUT_POLICY: &str = "payout-policy";
/// What the alert is about.
const DISAGREEMENT: &str = "active-toml";

/// An activation as `active.toml` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedActivation {
    pub kind: PolicyKind,
    /// Name of the policy.
    pub name: String,
    pub version: String,
    pub scope: Scope,
    pub params: ParamValues,
    /// From when on.
    pub start: Start,
}

/// What an entry is about, the kind by its name; the file has one entry for each.
type Target = (&'static str, Scope);

/// One replica's `active.toml`, as it was when it was looked at last.
#[derive(Debug)]
pub struct ActiveFile {
    /// Host and folder: a file of another origin belongs to another replica.
    origin: String,
    /// None before the first look.
    seen: Option<BTreeMap<Target, Digest>>,
    disagreements: Disagreements,
}

impl ActiveFile {
    /// The file of an origin (host and folder) before its first look.
    pub fn of(origin: String) -> Self {
        Self { origin, seen: None, disagreements: Disagreements::default() }
    }

    /// Applies what the file says anew: a later change by the API stays until the entry itself
    /// changes. Payout policies need a second person where four eyes are asked for, except the very
    /// first one, if it is `trusted` (built in), and those that two trusted keys have signed.
    ///
    /// # Errors
    /// [`ServiceError`] if a version is not there or is refused, or two entries are about the same:
    /// nothing of the file is applied then.
    pub async fn apply(
        &mut self,
        service: &Policies,
        content: Digest,
        wanted: Vec<NamedActivation>,
        trusted: &[Digest],
    ) -> Result<Option<Revision>, ServiceError> {
        let mut entries = BTreeMap::new();
        for entry in wanted {
            let (kind, scope) = (entry.kind.name(), entry.scope);
            if entries.insert((kind, scope), entry).is_some() {
                return Err(ServiceError::BundleRefused {
                    reason: format!("active.toml: two entries for kind {kind}, scope {scope}"),
                });
            }
        }
        let now: BTreeMap<Target, Digest> =
            entries.iter().map(|(target, entry)| (*target, meaning(entry))).collect();
        let (was_applied, (_, active)) =
            (service.applied_whole(content).await?, service.applicable().await?);
        let in_force = |target: Target| {
            in_force(&active, target).map_or(0, |activation| activation.revision.0)
        };
        let mut steps = BTreeMap::new();
        for target in self.targets(&now) {
            let record = service.record_of(target).await?;
            let seen = self
                .seen
                .as_ref()
                .map_or(Seen::NotYet, |seen| Seen::Said(seen.get(&target).copied()));
            let step = match (
                decide(
                    now.get(&target).copied(),
                    seen,
                    record.as_ref(),
                    in_force(target),
                    &self.origin,
                ),
                &record,
            ) {
                (Step::Apply, None) if was_applied => Step::Note,
                (step, _) => step,
            };
            steps.insert(target, (step, record));
        }
        let applied: BTreeSet<_> = steps
            .iter()
            .filter(|(_, (step, _))| *step == Step::Apply)
            .map(|(target, _)| *target)
            .collect();
        entries.retain(|target, _| applied.contains(target));
        let (revision, waiting) =
            service.activate_named(&active, entries.into_values().collect(), trusted).await?;
        if waiting.is_empty() {
            service.parts.notifications.clear_alert(PAYOUT_POLICY);
        }
        self.alert_of_disagreements(service, &steps);
        for (target, (step, record)) in steps {
            if matches!(step, Step::Apply | Step::Note) {
                let waits = waiting.contains(&target).then(|| in_force(target));
                let after =
                    Record::after(record.clone(), now.get(&target).copied(), waits, &self.origin);
                // One that goes on waiting is looked at every time.
                if record != Some(after.clone()) {
                    service.keep_record(target, &after).await?;
                }
            }
        }
        self.seen = Some(now);
        Ok(revision)
    }

    /// What is in the file, and what was in it; at a start also what may have been.
    fn targets(&self, now: &BTreeMap<Target, Digest>) -> BTreeSet<Target> {
        let earlier = self.seen.iter().flat_map(BTreeMap::keys).copied();
        let defaults = PolicyKind::ALL
            .iter()
            .map(|kind| (kind.name(), Scope::Default))
            .filter(|_| self.seen.is_none());
        now.keys().copied().chain(earlier).chain(defaults).collect()
    }

    /// Raises the alert for disagreements that last, and clears it for those that are over.
    fn alert_of_disagreements(
        &mut self,
        service: &Policies,
        steps: &BTreeMap<Target, (Step, Option<Record>)>,
    ) {
        let contradicted = steps.iter().filter(|(_, (step, _))| *step == Step::Disagree);
        let contradicted: BTreeMap<Target, &str> = contradicted
            .filter_map(|(target, (_, record))| Some((*target, record.as_ref()?.origin.as_str())))
            .collect();
        let now_ms = service.parts.clock.monotonic_ms();
        let lasting = self.disagreements.lasting(contradicted.keys().copied().collect(), now_ms);
        let subject = |(kind, scope): Target| format!("{kind} {scope}");
        for (target, origin) in contradicted.iter().filter(|(target, _)| lasting.contains(target)) {
            let subject = subject(*target);
            let message = format!(
                "the entry for {subject} differs from the one at {origin}, which was applied later and stays: make the files of all replicas the same"
            );
            service.parts.notifications.alert_of(DISAGREEMENT, subject, message);
        }
        let lasting: BTreeSet<_> = lasting.into_iter().map(subject).collect();
        let raised = service.parts.notifications.alerts_about(DISAGREEMENT).into_iter();
        for subject in raised.filter(|subject| !lasting.contains(subject)) {
            service.parts.notifications.clear_alert_of(DISAGREEMENT, &subject);
        }
    }
}

/// Entries that another replica's file contradicts, and since when on the monotonic clock.
#[derive(Debug, Default)]
struct Disagreements(BTreeMap<Target, i64>);

impl Disagreements {
    /// Of the entries that are contradicted now, those that have been for long enough to alert.
    fn lasting(&mut self, contradicted: BTreeSet<Target>, now_ms: i64) -> BTreeSet<Target> {
        self.0.retain(|target, _| contradicted.contains(target));
        contradicted.iter().for_each(|target| {
            self.0.entry(*target).or_insert(now_ms);
        });
        let since = self.0.iter().filter(|(_, since_ms)| now_ms - **since_ms >= DISAGREEMENT_MS);
        since.map(|(target, _)| *target).collect()
    }
}

impl Policies {
    /// Activates what is built in, for a service that has nothing active.
    ///
    /// # Errors
    /// As [`ActiveFile::apply`].
    pub async fn activate_built_in(
        &self,
        wanted: Vec<NamedActivation>,
        trusted: &[Digest],
    ) -> Result<Option<Revision>, ServiceError> {
        let (_, active) = self.applicable().await?;
        Ok(self.activate_named(&active, wanted, trusted).await?.0)
    }

    /// Whether an earlier version, which took the file as a whole, applied it with this content.
    async fn applied_whole(&self, content: Digest) -> Result<bool, ServiceError> {
        Ok(self
            .parts
            .versions
            .import(Digest::of(b"active.toml"))
            .await?
            .is_some_and(|last| last.outcome == content.to_string()))
    }

    async fn record_of(&self, target: Target) -> Result<Option<Record>, ServiceError> {
        Ok(self
            .parts
            .versions
            .import(record_name(target))
            .await?
            .and_then(|kept| Record::read(&kept.outcome)))
    }

    async fn keep_record(&self, target: Target, record: &Record) -> Result<(), ServiceError> {
        Ok(self
            .parts
            .versions
            .record_import(ImportRecord { digest: record_name(target), outcome: record.text() })
            .await?)
    }

    /// Activates what is named and not active yet; also returns what waits for a second person.
    async fn activate_named(
        &self,
        active: &[Activation],
        wanted: Vec<NamedActivation>,
        trusted: &[Digest],
    ) -> Result<(Option<Revision>, BTreeSet<Target>), ServiceError> {
        if wanted.is_empty() {
            return Ok((None, BTreeSet::new()));
        }
        let versions = self.parts.versions.versions().await?;
        let (mut requests, mut waiting) = (Vec::new(), BTreeSet::new());
        for entry in wanted {
            let named = |v: &&PolicyVersion| {
                v.kind == entry.kind
                    && v.policy.name == entry.name
                    && v.policy.version.to_string() == entry.version
            };
            let version =
                versions.iter().find(named).ok_or_else(|| ServiceError::BundleRefused {
                    reason: format!(
                        "active.toml: no checked bundle {}@{} of kind {}",
                        entry.name,
                        entry.version,
                        entry.kind.name()
                    ),
                })?;
            let target = (entry.kind.name(), entry.scope);
            let current = in_force(active, target);
            if current.is_some_and(|a| a.policy == version.policy && a.params == entry.params) {
                continue;
            }
            if !self.may_activate(version, current.is_none(), trusted).await? {
                waiting.insert(target);
                continue;
            }
            let (scope, digest, params) = (entry.scope, version.policy.digest, entry.params);
            let request = ActivationRequest {
                scope,
                digest,
                params,
                start: entry.start,
                reason: "active.toml".into(),
            };
            requests.push((version.clone(), request));
        }
        let revision = if requests.is_empty() {
            None
        } else {
            Some(self.activate_all(&Actor::file(), requests).await?)
        };
        Ok((revision, waiting))
    }

    /// Whether no person is needed for it; that one is is told.
    async fn may_activate(
        &self,
        version: &PolicyVersion,
        is_first: bool,
        trusted: &[Digest],
    ) -> Result<bool, ServiceError> {
        let is_trusted = is_first && trusted.contains(&version.policy.digest);
        let may = version.kind != PolicyKind::Payout
            || !self.parts.rules.four_eyes
            || is_trusted
            || self.two_signed(version).await?;
        if !may {
            let text =
                "it needs a person to activate it, or the signatures of two whose keys are trusted";
            self.parts.notifications.alert(
                PAYOUT_POLICY,
                format!("active.toml names payout policy {}: {text}", version.policy),
            );
        }
        Ok(may)
    }

    /// Whether two people stand for a version, by the keys that are trusted now.
    async fn two_signed(&self, version: &PolicyVersion) -> Result<bool, ServiceError> {
        let Some(stored) = self.parts.versions.bundle(version.policy.digest).await? else {
            return Ok(false);
        };
        Ok(self
            .parts
            .runtime
            .signers(&stored.bundle)
            .is_ok_and(|signers| signers.trusted.len() >= 2))
    }
}

/// The newest activation for a target.
fn in_force(active: &[Activation], (kind, scope): Target) -> Option<&Activation> {
    active
        .iter()
        .rev()
        .find(|activation| (activation.kind.name(), activation.scope) == (kind, scope))
}

/// Under which name the record of an entry is kept.
fn record_name((kind, scope): Target) -> Digest {
    Digest::of(format!("active.toml/{kind}/{scope}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disagreement_is_told_once_it_lasts_and_begins_anew_after_an_agreement() {
        let scoring = || BTreeSet::from([("scoring", Scope::Default)]);
        let mut disagreements = Disagreements::default();
        assert!(disagreements.lasting(scoring(), 0).is_empty());
        assert!(disagreements.lasting(scoring(), DISAGREEMENT_MS - 1).is_empty());
        assert_eq!(disagreements.lasting(scoring(), DISAGREEMENT_MS), scoring());
        assert!(disagreements.lasting(BTreeSet::new(), DISAGREEMENT_MS + 1).is_empty());
        assert!(disagreements.lasting(scoring(), 2 * DISAGREEMENT_MS).is_empty());
    }
}
