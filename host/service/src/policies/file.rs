//! `active.toml`: each entry is applied once for each thing it says, whichever replica reads it
//! first.

mod record;

use std::collections::{BTreeMap, BTreeSet};

use lucid_model::{
    id::Digest,
    policy::{Activation, ParamValues, PolicyKind, PolicyVersion, Revision, Scope},
    time::TimeMs,
};
use lucid_ports::ImportRecord;

use self::record::{Record, Seen, Step, decide, meaning};
use super::{ActivationRequest, Start};
use crate::{Actor, Service, ServiceError};

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
    /// Which folder on which machine: a file of another place is another replica's.
    place: String,
    /// None before the first look.
    seen: Option<BTreeMap<Target, Digest>>,
    /// Entries that another replica's file contradicts, and since when.
    disagreeing: BTreeMap<Target, TimeMs>,
}

impl ActiveFile {
    /// The file of a place, which was not looked at yet.
    pub fn of(place: String) -> Self {
        Self { place, seen: None, disagreeing: BTreeMap::new() }
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
        service: &Service,
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
                    &self.place,
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
            service.clear_alert(PAYOUT_POLICY);
        }
        self.watch_disagreement(service, &steps);
        for (target, (step, record)) in steps {
            if matches!(step, Step::Apply | Step::Note) {
                let waits = waiting.contains(&target).then(|| in_force(target));
                let after =
                    Record::after(record.clone(), now.get(&target).copied(), waits, &self.place);
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

    /// Tells of a disagreement that lasts, and clears what is over.
    fn watch_disagreement(
        &mut self,
        service: &Service,
        steps: &BTreeMap<Target, (Step, Option<Record>)>,
    ) {
        let now = service.now();
        let contradicted = steps.iter().filter(|(_, (step, _))| *step == Step::Disagree);
        let contradicted: BTreeMap<Target, &str> = contradicted
            .filter_map(|(target, (_, record))| Some((*target, record.as_ref()?.place.as_str())))
            .collect();
        self.disagreeing.retain(|target, _| contradicted.contains_key(target));
        let mut lasting = BTreeSet::new();
        for (target, place) in contradicted {
            let since = *self.disagreeing.entry(target).or_insert(now);
            if now.ms_since(since) >= DISAGREEMENT_MS {
                let subject = format!("{} {}", target.0, target.1);
                let text = "was applied later and stays; make the files of all replicas the same";
                service.alert_of(
                    DISAGREEMENT,
                    subject.clone(),
                    format!(
                        "the entry for {subject} differs from the one at {place}, which {text}"
                    ),
                );
                lasting.insert(subject);
            }
        }
        let told = service.alerts_about(DISAGREEMENT);
        told.iter()
            .filter(|subject| !lasting.contains(*subject))
            .for_each(|subject| service.clear_alert_of(DISAGREEMENT, subject));
    }
}

impl Service {
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
            .store()
            .import(Digest::of(b"active.toml"))
            .await?
            .is_some_and(|last| last.outcome == content.to_string()))
    }

    async fn record_of(&self, target: Target) -> Result<Option<Record>, ServiceError> {
        Ok(self
            .store()
            .import(record_name(target))
            .await?
            .and_then(|kept| Record::read(&kept.outcome)))
    }

    async fn keep_record(&self, target: Target, record: &Record) -> Result<(), ServiceError> {
        Ok(self
            .store()
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
        let versions = self.store().versions().await?;
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
            || !self.config.four_eyes
            || is_trusted
            || self.two_signed(version).await?;
        if !may {
            let text =
                "it needs a person to activate it, or the signatures of two whose keys are trusted";
            self.alert(
                PAYOUT_POLICY,
                format!("active.toml names payout policy {}: {text}", version.policy),
            );
        }
        Ok(may)
    }

    /// Whether two people stand for a version, by the keys that are trusted now.
    async fn two_signed(&self, version: &PolicyVersion) -> Result<bool, ServiceError> {
        let Some(stored) = self.store().bundle(version.policy.digest).await? else {
            return Ok(false);
        };
        Ok(self
            .ports
            .policies
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
