//! The interfaces between host and policy, a file a major version. Nothing of WIT leaves this module: each
//! version converts straight to what the model knows.

use lucid_model::policy::{CallContext, ParamSpec, PolicyKind};

pub mod v1;

/// A major version of the interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// `lucid:policy@1`.
    V1,
}

impl Abi {
    /// The version that an interface's name stands for, if it is served for this kind.
    pub fn of(interface: &str, kind: PolicyKind) -> Option<Self> {
        (interface == Self::V1.interface(kind)).then_some(Self::V1)
    }

    /// What a policy of a kind exports.
    pub fn interface(self, kind: PolicyKind) -> &'static str {
        match (self, kind) {
            (Self::V1, PolicyKind::Scoring) => "lucid:policy/scoring@1.0.0",
            (Self::V1, PolicyKind::Validation) => "lucid:policy/validation@1.0.0",
            (Self::V1, PolicyKind::Payout) => "lucid:policy/payout@1.0.0",
        }
    }

    /// Interfaces with functions that a policy may import.
    pub fn imports(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &[v1::LOG],
        }
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
    /// How many.
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
