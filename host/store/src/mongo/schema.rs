//! Which documents the database may hold: a number that grows when older binaries could misread what is written.

use mongodb::bson::doc;

use super::{MongoStore, fault::Fault, fields::Fields};
use crate::OpenError;

/// The schema this binary reads and writes.
const SCHEMA: i64 = 1;
const META: &str = "meta";

impl MongoStore {
    /// Writes the schema's number into a new database; refuses one that is newer.
    pub(super) async fn check_schema(&self) -> Result<(), OpenError> {
        let found = self.schema().await.map_err(|fault| self.unusable(fault))?;
        if found > SCHEMA {
            return Err(OpenError::MongoNewerSchema { database: self.database.name().to_owned(), found, known: SCHEMA });
        }
        Ok(())
    }

    async fn schema(&self) -> Result<i64, Fault> {
        let meta = self.collection(META);
        // Replicas may start at once: the number is written once, whoever is first.
        let written = meta.update_one(doc! { "_id": "schema" }, doc! { "$setOnInsert": { "v": 1, "schema": SCHEMA } }).upsert(true).await;
        match written.map_err(Fault::from) {
            Ok(_) => {}
            Err(fault) if fault.is_duplicate() => {}
            Err(fault) => return Err(fault),
        }
        let document = meta.find_one(doc! { "_id": "schema" }).await?;
        let document = document.ok_or_else(|| Fault::Bad("the schema document is missing".to_owned()))?;
        Fields::of(&document).number("schema")
    }
}
