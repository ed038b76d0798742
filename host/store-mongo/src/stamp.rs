use async_trait::async_trait;
use lucid_model::id::FamilyId;
use lucid_ports::{Environment, Origin, Stamp, StampStore, StoreError};
use mongodb::{Database, bson::doc};

use crate::{
    MongoStore, durable,
    fault::Fault,
    fields::{self, Fields},
    money::ledger::LEDGER,
    schema::META,
};

fn environment(word: &str) -> Option<Environment> {
    [Environment::Sandbox, Environment::Live]
        .into_iter()
        .find(|environment| environment.name() == word)
}

fn read(fields: Fields<'_>) -> Result<Stamp, Fault> {
    Ok(Stamp {
        environment: fields.word("environment", environment)?,
        network: fields.text("network")?,
        rail: fields.text("rail")?,
        family: fields.id("family", FamilyId)?,
    })
}

impl MongoStore {
    async fn stamp(&self, fresh: &Stamp) -> Result<Stamp, Fault> {
        let meta = self.collection(META);
        let document = doc! {
            "_id": "stamp", "v": 1, "environment": fresh.environment.name(), "network": &fresh.network, "rail": &fresh.rail,
            "family": fields::id(fresh.family.0),
        };
        match meta.insert_one(document).await.map_err(Fault::from) {
            Ok(_) => {}
            // What is there by now counts, whoever wrote it.
            Err(fault) if fault.is_duplicate() || fault.is_ambiguous() => {}
            Err(fault) => return Err(fault),
        }
        find(&self.database).await?.ok_or_else(|| Fault::Bad("the stamp is missing".to_owned()))
    }
}

/// What a database that was copied into says in place of a number.
const COPIED: &[u8] = b"copied";
/// The `_id` of what says which collection the ledger was in at the last start.
const BOOT: &str = "boot";

impl MongoStore {
    /// Whoever starts on a database that was copied into is told that it comes from elsewhere.
    pub(super) async fn mark_copied(&self) -> Result<(), Fault> {
        self.write_boot(COPIED).await
    }

    async fn write_boot(&self, collection: &[u8]) -> Result<(), Fault> {
        let set = doc! { "$set": { "collection": fields::bytes(collection) }, "$setOnInsert": { "v": 1 } };
        match self
            .collection(META)
            .update_one(doc! { "_id": BOOT }, set)
            .upsert(true)
            .await
            .map_err(Fault::from)
        {
            // Another replica did the same.
            Err(fault) if fault.is_duplicate() => Ok(()),
            written => written.map(|_| ()),
        }
    }
}

/// The server's own number of the ledger's collection: a backup that was put back is another
/// collection. None where a server has no such numbers.
async fn collection_number(database: &Database) -> Result<Option<Vec<u8>>, Fault> {
    let mut found = database.list_collections().filter(doc! { "name": LEDGER }).await?;
    Ok(if found.advance().await? {
        found.deserialize_current()?.info.uuid.map(|uuid| uuid.bytes)
    } else {
        None
    })
}

/// The stamp, if the database has one.
pub(super) async fn find(database: &Database) -> Result<Option<Stamp>, Fault> {
    let stamp = durable(database, META).find_one(doc! { "_id": "stamp" }).await?;
    stamp.map(|stamp| read(Fields::of(&stamp))).transpose()
}

#[async_trait]
impl StampStore for MongoStore {
    async fn known_stamp(&self) -> Result<Option<Stamp>, StoreError> {
        Ok(find(&self.database).await?)
    }
    async fn stamp_or(&self, fresh: Stamp) -> Result<Stamp, StoreError> {
        Ok(self.stamp(&fresh).await?)
    }
    async fn origin(&self) -> Result<Origin, StoreError> {
        let known =
            self.collection(META).find_one(doc! { "_id": BOOT }).await.map_err(Fault::from)?;
        let Some(known) = known.map(|known| Fields::of(&known).bytes("collection")).transpose()?
        else {
            return Ok(Origin::Here);
        };
        let now = collection_number(&self.database).await?;
        let here = known != COPIED && now.is_none_or(|now| now == known);
        Ok(if here { Origin::Here } else { Origin::Elsewhere })
    }
    async fn take_possession(&self) -> Result<(), StoreError> {
        let number = collection_number(&self.database).await?;
        Ok(self.write_boot(&number.unwrap_or_else(|| b"no number".to_vec())).await?)
    }
}
