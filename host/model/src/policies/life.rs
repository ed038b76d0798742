//! The life of a version: checked, activated from some moment on, replaced, retired.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{ParamValues, PolicyKind, PolicyRef, Revision, Scope};
use crate::{named_enum::named_enum, time::TimeMs};

/// A decision to use one version with one set of params, from one revision on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The revision it made.
    pub revision: Revision,
    /// For which kind of calculation.
    pub kind: PolicyKind,
    pub scope: Scope,
    pub policy: PolicyRef,
    /// With which params.
    pub params: ParamValues,
    /// It applies to periods that start then or later, Unix seconds; 0: to every calculation that
    /// begins from now on.
    pub from_s: i64,
    pub at: TimeMs,
    /// Who: a subject, or `file` for the watched directory.
    pub actor: String,
    /// Why, or what it came from.
    pub reason: String,
}

/// The activations that may still decide about a period that starts at `oldest_s` or later, by
/// revision: of each kind and scope a later decision replaces an earlier one for all periods it
/// applies to.
pub fn applicable(activations: Vec<Activation>, oldest_s: i64) -> Vec<Activation> {
    let mut newest_first = activations;
    newest_first.sort_by_key(|activation| std::cmp::Reverse(activation.revision));
    // From where on each kind and scope is decided by what was seen so far.
    let mut decided_from: BTreeMap<(&str, Scope), i64> = BTreeMap::new();
    newest_first.retain(|activation| {
        let decided =
            decided_from.entry((activation.kind.name(), activation.scope)).or_insert(i64::MAX);
        let applies = activation.from_s < *decided && *decided > oldest_s;
        if applies {
            *decided = activation.from_s;
        }
        applies
    });
    newest_first.reverse();
    newest_first
}

named_enum! {
    /// What was decided about a version.
    VersionState {
        /// Passed the gate: it may be activated.
        Checked = "checked",
        /// Withdrawn: it is kept for replays, and never activated again.
        Retired = "retired",
    }
}

named_enum! {
    /// Where a version stands now.
    Standing {
        /// Passed the gate, in force nowhere.
        Checked = "checked",
        /// In force nowhere, and asked beside what is.
        Shadow = "shadow",
        /// Will be in force from a later period on.
        Scheduled = "scheduled",
        /// In force somewhere.
        Active = "active",
        /// Withdrawn.
        Retired = "retired",
    }
}

/// A version the store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    pub policy: PolicyRef,
    /// What it decides.
    pub kind: PolicyKind,
    /// The interface it exports.
    pub abi: String,
    /// Whether it may be activated.
    pub state: VersionState,
    /// Why it was retired, if it was.
    pub reason: Option<String>,
    /// When it was handed in.
    pub uploaded_at: TimeMs,
    pub uploaded_by: String,
    /// Names of the trusted keys that had signed it when it was last handed in.
    pub signed_by: Vec<String>,
}

impl PolicyVersion {
    /// Where it stands at `now_s`, given what is applicable, and whether it is asked beside that.
    pub fn standing(&self, applicable: &[Activation], is_shadow: bool, now_s: i64) -> Standing {
        let mut standing = match self.state {
            VersionState::Retired => Standing::Retired,
            VersionState::Checked if is_shadow => Standing::Shadow,
            VersionState::Checked => Standing::Checked,
        };
        for activation in applicable.iter().filter(|activation| {
            activation.policy.digest == self.policy.digest && activation.kind == self.kind
        }) {
            if activation.from_s <= now_s {
                return Standing::Active;
            }
            standing = Standing::Scheduled;
        }
        standing
    }
}

named_enum! {
    /// Why a version was put through the gate.
    ReportCause {
        /// It was handed in.
        Upload = "upload",
        /// Somebody asked.
        Check = "check",
        /// It was to be activated.
        Activation = "activation",
    }
}

/// One check and its finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedCheck {
    /// What was checked.
    pub name: String,
    /// Why it failed; none if it passed.
    pub failure: Option<String>,
}

/// What the gate found, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReport {
    /// Grows with time (UUID version 7).
    pub id: Uuid,
    pub at: TimeMs,
    /// For whom.
    pub actor: String,
    pub cause: ReportCause,
    /// Where the bundle came from: a file, `upload`.
    pub origin: String,
    /// Which version, if its manifest could be read.
    pub policy: Option<PolicyRef>,
    /// What it decides, likewise.
    pub kind: Option<PolicyKind>,
    /// With which params.
    pub params: ParamValues,
    /// The checks; the first failure ends the list.
    pub checks: Vec<ReportedCheck>,
}

impl PolicyReport {
    /// Whether all checks passed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.failure.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;

    fn activation(revision: u64, from_s: i64) -> Activation {
        Activation {
            revision: Revision(revision),
            kind: PolicyKind::Scoring,
            scope: Scope::Default,
            policy: PolicyRef {
                name: format!("p{revision}"),
                version: semver::Version::new(1, 0, 0),
                digest: Digest::of(&revision.to_le_bytes()),
            },
            params: ParamValues::new(),
            from_s,
            at: TimeMs(0),
            actor: "alice".into(),
            reason: String::new(),
        }
    }

    fn revisions(activations: &[(u64, i64)], oldest_s: i64) -> Vec<u64> {
        let all =
            activations.iter().map(|(revision, from_s)| activation(*revision, *from_s)).collect();
        applicable(all, oldest_s).into_iter().map(|activation| activation.revision.0).collect()
    }

    #[test]
    fn what_applies_at_once_replaces_everything_before_it() {
        assert_eq!(revisions(&[(1, 0), (2, 0)], 0), [2]);
        assert_eq!(revisions(&[(1, 0), (2, 3_600), (3, 0)], 0), [3], "what was scheduled, too");
    }

    #[test]
    fn what_is_scheduled_stands_beside_what_is_in_force_until_then() {
        let all = [(1, 0), (2, 3_600), (3, 7_200)];
        assert_eq!(revisions(&all, 0), [1, 2, 3]);
        assert_eq!(revisions(&all, 3_599), [1, 2, 3]);
        assert_eq!(revisions(&all, 3_600), [2, 3], "no period that begins before is left");
        assert_eq!(revisions(&all, 7_200), [3]);
    }

    #[test]
    fn a_later_decision_for_an_earlier_moment_takes_the_scheduled_one_back() {
        assert_eq!(revisions(&[(1, 0), (2, 7_200), (3, 3_600)], 0), [1, 3]);
        assert_eq!(revisions(&[(1, 0), (2, 3_600), (3, 3_600)], 0), [1, 3]);
    }

    #[test]
    fn a_version_stands_where_its_activations_put_it() {
        let (now, later) = (activation(1, 0), activation(2, 3_600));
        let version = |activation: &Activation, state| PolicyVersion {
            policy: activation.policy.clone(),
            kind: activation.kind,
            abi: String::new(),
            state,
            reason: None,
            uploaded_at: TimeMs(0),
            uploaded_by: "alice".into(),
            signed_by: Vec::new(),
        };
        let active = [now.clone(), later.clone()];
        assert_eq!(
            version(&now, VersionState::Checked).standing(&active, false, 100),
            Standing::Active
        );
        assert_eq!(
            version(&later, VersionState::Checked).standing(&active, false, 100),
            Standing::Scheduled
        );
        assert_eq!(
            version(&later, VersionState::Checked).standing(&active, false, 3_600),
            Standing::Active
        );
        assert_eq!(
            version(&activation(3, 0), VersionState::Checked).standing(&active, false, 100),
            Standing::Checked
        );
        assert_eq!(
            version(&activation(3, 0), VersionState::Checked).standing(&active, true, 100),
            Standing::Shadow
        );
        assert_eq!(
            version(&now, VersionState::Checked).standing(&active, true, 100),
            Standing::Active,
            "whatever else it is"
        );
        assert_eq!(
            version(&activation(3, 0), VersionState::Retired).standing(&active, true, 100),
            Standing::Retired
        );
        assert_eq!(
            version(&activation(3, 0), VersionState::Retired).standing(&active, false, 100),
            Standing::Retired
        );
    }
}
