use lucid_model::{
    id::Digest,
    policies::{Activation, Bundle, PolicyKind, PolicyRef, Scope},
};
use lucid_ports::StoredBundle;

/// A policy that is active.
#[derive(Debug, Clone)]
pub struct ActiveBundle {
    /// For what.
    pub kind: PolicyKind,
    pub scope: Scope,
    pub policy: PolicyRef,
    /// What the store keeps of it, or what is wrong with that.
    pub bundle: Result<Bundle, String>,
}

impl ActiveBundle {
    /// An activation with what is kept of its version.
    pub fn new(activation: Activation, kept: Result<Option<StoredBundle>, String>) -> Self {
        let Activation { kind, scope, policy, .. } = activation;
        let bundle = match kept {
            Err(detail) => Err(detail),
            Ok(None) => Err("it is not in the store".to_owned()),
            Ok(Some(stored)) => {
                let found = Digest::of(&stored.bundle.component);
                if found == policy.digest {
                    Ok(stored.bundle)
                } else {
                    Err(format!("its component has digest {found}, not {}", policy.digest))
                }
            }
        };
        Self { kind, scope, policy, bundle }
    }
}

/// A copy that was begun and not ended; both places are without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedCopy {
    /// Where it is copied from.
    pub from: String,
    /// Where it is copied to: the store that was looked at.
    pub to: String,
}
