use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// A secret that its owner may replace while clients use it; each request takes the one that counts
/// then.
#[derive(Clone)]
pub struct SharedSecret(Arc<RwLock<String>>);

impl SharedSecret {
    /// The secret as it is now.
    pub fn get(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another one from now on, for every clone.
    pub fn set(&self, secret: String) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = secret;
    }
}

impl From<String> for SharedSecret {
    fn from(secret: String) -> Self {
        Self(Arc::new(RwLock::new(secret)))
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret")
    }
}
