use async_trait::async_trait;
use lucid_model::id::FamilyId;
use lucid_ports::{Environment, Stamp, StampStore, StoreError};
use mongodb::{
    Collection,
    bson::{Document, doc},
};

use super::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields},
    schema::META,
};

fn environment(word: &str) -> Option<Environment> {
    [Environment::Sandbox, Environment::Live].into_iter().find(|environment| environment.name() == word)
}

fn read(fields: Fields<'_>) -> Result<Stamp, Fault> {
    Ok(Stamp {
        environment: fields.word("environment", environment)?,
        network: fields.text("network")?,
        rail: fields.text("rail")?,
        family: fields.id("family", FamilyId)?,
    })
}

/// The stamp, if the database has one.
pub(super) async fn find(meta: &Collection<Document>) -> Result<Option<Stamp>, Fault> {
    meta.find_one(doc! { "_id": "stamp" }).await?.map(|document| read(Fields::of(&document))).transpose()
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
        find(&meta).await?.ok_or_else(|| Fault::Bad("the stamp is missing".to_owned()))
    }
}

#[async_trait]
impl StampStore for MongoStore {
    async fn stamp_or(&self, fresh: Stamp) -> Result<Stamp, StoreError> {
        Ok(self.stamp(&fresh).await?)
    }
}
