use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use lucid_ports::{CoordinationError, FirstUse, UsedOnce};

use super::link::Link;
use crate::LocalUsedOnce;

/// What was used by any replica; what was used here is known also while Redis is away.
pub struct RedisUsedOnce {
    link: Arc<Link>,
    namespace: String,
    here: LocalUsedOnce,
}

impl RedisUsedOnce {
    pub(super) fn new(link: Arc<Link>, namespace: String) -> Self {
        Self { link, namespace, here: LocalUsedOnce::default() }
    }

    async fn anywhere(&self, word: &str, ttl: Duration) -> Result<FirstUse, CoordinationError> {
        let mut set = redis::cmd("SET");
        set.arg(format!("{}:used:{word}", self.namespace))
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(ttl.as_millis().max(1).to_string());
        let mut connection = self.link.connection();
        let done: Option<String> = self.link.timed(set.query_async(&mut connection)).await?;
        Ok(if done.is_some() { FirstUse::Yes } else { FirstUse::No })
    }
}

#[async_trait]
impl UsedOnce for RedisUsedOnce {
    async fn use_up(&self, word: &str, ttl: Duration) -> FirstUse {
        let here = self.here.use_up(word, ttl).await;
        if here != FirstUse::Yes || self.link.is_believed_down() {
            return here;
        }
        self.anywhere(word, ttl).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "only this process knows what was used");
            here
        })
    }
}
