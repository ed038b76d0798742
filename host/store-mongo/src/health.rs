//! Whether the database can be written. Its pages are the server's own.

use async_trait::async_trait;
use lucid_ports::{HealthStore, StoreError};
use mongodb::bson::{DateTime, doc};

use crate::{MongoStore, fault::Fault, schema::META};

/// The `_id` of what every replica writes to see that writing works.
const PROBE: &str = "probe";

#[async_trait]
impl HealthStore for MongoStore {
    async fn probe(&self) -> Result<Option<u64>, StoreError> {
        let set = doc! { "$set": { "at": DateTime::now() }, "$setOnInsert": { "v": 1 } };
        match self
            .collection(META)
            .update_one(doc! { "_id": PROBE }, set)
            .upsert(true)
            .await
            .map_err(Fault::from)
        {
            // Another replica made it at the same moment: that one was written.
            Err(fault) if fault.is_duplicate() => Ok(None),
            written => Ok(written.map(|_| None)?),
        }
    }

    async fn check_pages(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn damage(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}
