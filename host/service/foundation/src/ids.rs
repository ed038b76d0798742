use std::sync::Arc;

use lucid_ports::Entropy;
use uuid::Uuid;

use crate::{Actor, ServiceClock};

/// Makes ids: UUIDs of version 7, from the service's time and randomness.
#[derive(Clone)]
pub struct Ids {
    pub clock: Arc<ServiceClock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Ids {
    /// A new id.
    pub fn uuid_v7(&self) -> Uuid {
        let ms = u64::try_from(self.clock.now().0).unwrap_or_default();
        let random = self.entropy.random_16();
        let (head, _) = random.split_at(10);
        let mut ten = [0; 10];
        ten.copy_from_slice(head);
        uuid::Builder::from_unix_timestamp_millis(ms, &ten).into_uuid()
    }

    /// The id of what a request creates: the one that was kept for it, if it carries an idempotency
    /// key.
    pub fn new_id(&self, actor: &Actor) -> Uuid {
        actor.creates.map_or_else(|| self.uuid_v7(), |id| id.0)
    }
}
