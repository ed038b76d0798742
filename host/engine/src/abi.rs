//! The interfaces between host and policy, a file a major version. Nothing of WIT leaves this
//! module: each version converts straight to what the model knows.

use lucid_model::{
    epochs::score::Ppm,
    policies::{CallContext, Explanation, ParamSpec, PolicyKind, PolicyVerdict, Scores, Weights},
};
use wasmtime::{
    Store,
    component::{Component, Instance},
};

use crate::guest::GuestState;

#[cfg(test)]
mod next;
pub mod v1;

/// A major version of the interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// `lucid:policy@1`.
    V1,
    /// `wit/next`.
    #[cfg(test)]
    Next,
}

impl Abi {
    const SERVED: &[Self] = &[
        Self::V1,
        #[cfg(test)]
        Self::Next,
    ];

    /// The version that an interface's name stands for, if it is served for this kind.
    pub fn of(interface: &str, kind: PolicyKind) -> Option<Self> {
        Self::SERVED.iter().copied().find(|abi| abi.interface(kind) == interface)
    }

    /// What a policy of a kind exports.
    pub fn interface(self, kind: PolicyKind) -> &'static str {
        match (self, kind) {
            (Self::V1, PolicyKind::Scoring) => "lucid:policy/scoring@1.0.0",
            (Self::V1, PolicyKind::Validation) => "lucid:policy/validation@1.0.0",
            (Self::V1, PolicyKind::Payout) => "lucid:policy/payout@1.0.0",
            #[cfg(test)]
            (Self::Next, PolicyKind::Scoring) => "lucid:policy/scoring@2.0.0",
            #[cfg(test)]
            (Self::Next, PolicyKind::Validation | PolicyKind::Payout) => {
                "lucid:policy/not-there@2.0.0"
            }
        }
    }

    /// Interfaces with functions that a policy may import.
    pub fn imports(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &[v1::LOG],
            #[cfg(test)]
            Self::Next => &[],
        }
    }
}

/// Where a component's functions are, by the version it speaks.
pub enum Functions {
    /// `lucid:policy@1`.
    V1(v1::Functions),
    /// `wit/next`.
    #[cfg(test)]
    Next(next::Functions),
}

impl Functions {
    /// Finds a kind's functions.
    ///
    /// # Errors
    /// What the component does not export.
    pub fn find(abi: Abi, component: &Component, kind: PolicyKind) -> Result<Self, String> {
        match abi {
            Abi::V1 => v1::Functions::find(component, kind).map(Self::V1),
            #[cfg(test)]
            Abi::Next => next::Functions::find(component, kind).map(Self::Next),
        }
    }
}

/// One instance, about to be called.
pub struct Guest<'a> {
    /// Of which functions.
    pub functions: &'a Functions,
    /// Its store.
    pub store: &'a mut Store<GuestState>,
    pub instance: &'a Instance,
}

/// The call in the version that the component speaks, and in the version's own words where it has
/// no such call.
macro_rules! by_version {
    ($guest:ident, $call:ident($($argument:expr),*), next: $next:tt) => {
        match $guest.functions {
            Functions::V1(functions) => v1::Guest { functions, store: $guest.store, instance: $guest.instance }.$call($($argument),*),
            #[cfg(test)]
            Functions::Next(functions) => by_version!(@next $guest, functions, $call($($argument),*), $next),
        }
    };
    (@next $guest:ident, $functions:ident, $call:ident($($argument:expr),*), called) => {
        next::Guest { functions: $functions, store: $guest.store, instance: $guest.instance }.$call($($argument),*)
    };
    (@next $guest:ident, $functions:ident, $call:ident($($argument:expr),*), none) => {{
        let _ = $functions;
        Err(Failure::Wrong(concat!("this version has no ", stringify!($call)).to_owned()))
    }};
}

impl Guest<'_> {
    /// Asks what the policy reads, and tries that all its functions have the interface's types.
    pub fn describe(self) -> Result<Description, Failure> {
        by_version!(self, describe(), next: called)
    }

    /// One multiplier a row.
    pub fn score(
        self,
        about: Circumstances<'_>,
        rows: Rows<'_>,
        multiplier_max: Ppm,
    ) -> Result<Scores, Failure> {
        by_version!(self, score(about, rows, multiplier_max), next: called)
    }

    /// What multipliers are made of.
    pub fn explain(self, about: Circumstances<'_>, rows: Rows<'_>) -> Result<Explanation, Failure> {
        by_version!(self, explain(about, rows), next: none)
    }

    /// One weight a row.
    pub fn weigh(self, about: Circumstances<'_>, rows: Rows<'_>) -> Result<Weights, Failure> {
        by_version!(self, weigh(about, rows), next: none)
    }

    /// One registration.
    pub fn judge_registration(
        self,
        about: Circumstances<'_>,
        facts: &[i64],
        texts: &[Option<&str>],
    ) -> Result<PolicyVerdict, Failure> {
        by_version!(self, judge_registration(about, facts, texts), next: none)
    }

    /// One verdict a row.
    pub fn judge_observations(
        self,
        about: Circumstances<'_>,
        rows: Rows<'_>,
    ) -> Result<Vec<PolicyVerdict>, Failure> {
        by_version!(self, judge_observations(about, rows), next: none)
    }

    /// One verdict a row.
    pub fn judge_score_claims(
        self,
        about: Circumstances<'_>,
        rows: Rows<'_>,
    ) -> Result<Vec<PolicyVerdict>, Failure> {
        by_version!(self, judge_score_claims(about, rows), next: none)
    }
}

/// What a call is about.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// Epoch, seed and totals.
    pub context: &'a CallContext,
    /// Params in declared order.
    pub params: &'a [i64],
}

/// Rows, a column a fact. Borrowed, so that lowering a column is one copy into the guest's memory.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub count: u32,
    /// Each `count` long.
    pub columns: &'a [&'a [i64]],
}

/// What a policy says it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Names of facts.
    pub facts: FactNames,
    /// What an operator may set.
    pub params: Vec<ParamSpec>,
}

/// Names of facts, by what they are facts of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactNames {
    /// Of nodes.
    Nodes(Vec<String>),
    /// Of claims.
    Claims {
        /// Whole numbers of a registration.
        registration: Vec<String>,
        /// Texts of a registration.
        texts: Vec<String>,
        /// Of an observation session.
        observation: Vec<String>,
        /// Of a score claim.
        score_claim: Vec<String>,
    },
}

/// Why a call gave no result, before it is known whose fault that is.
#[derive(Debug)]
pub enum Failure {
    /// Wasmtime ended it.
    Ended(wasmtime::Error),
    /// The policy answered that it cannot.
    Refused {
        /// Its number for the fault.
        code: u32,
        /// Its sentence.
        message: String,
    },
    /// The policy answered what it must not.
    Wrong(String),
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Ended(error)
    }
}
