use mongodb::{
    Database, IndexModel,
    bson::{Bson, Document},
    options::IndexOptions,
};

use super::{
    audit, buckets, enrolments, epochs, fault::Fault, frames, gate_reports, ledger, live, nodes, payouts, policies, pools, requests, runs, sessions,
};

/// An index that has to be there before anything is written: the unique ones are what keeps records apart.
pub(crate) struct Index {
    pub(crate) collection: &'static str,
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [(&'static str, i32)],
    pub(crate) unique: bool,
    /// Which documents it has; all if none.
    pub(crate) partial: Option<fn() -> Document>,
}

/// The indices of all files.
const ALL: &[&[Index]] = &[
    audit::INDICES,
    nodes::INDICES,
    pools::INDICES,
    enrolments::INDICES,
    requests::INDICES,
    policies::INDICES,
    gate_reports::INDICES,
    buckets::INDICES,
    epochs::RECORDS,
    epochs::CHUNKS,
    epochs::SCORES,
    epochs::LATEST,
    epochs::VOTES,
    frames::INDICES,
    ledger::INDICES,
    live::INDICES,
    payouts::INDICES,
    runs::INDICES,
    sessions::INDICES,
];

fn all() -> impl Iterator<Item = &'static Index> {
    ALL.iter().copied().flatten()
}

/// Creates what is missing, a collection at a time. One that is there with other keys is an error of the server's.
pub(crate) async fn create(database: &Database) -> Result<(), Fault> {
    let mut collections: Vec<&'static str> = all().map(|index| index.collection).collect();
    collections.sort_unstable();
    collections.dedup();
    for collection in collections {
        let models: Vec<_> = all().filter(|index| index.collection == collection).map(model).collect();
        database.collection::<Document>(collection).create_indexes(models).await?;
    }
    for collection in audit::AUDITED {
        let undrained = Index { collection, name: "undrained", keys: &[("audit.id", 1)], unique: false, partial: Some(audit::undrained) };
        database.collection::<Document>(collection).create_index(model(&undrained)).await?;
    }
    Ok(())
}

fn model(index: &Index) -> IndexModel {
    let keys = index.keys.iter().map(|(key, direction)| ((*key).to_owned(), Bson::Int32(*direction))).collect::<Document>();
    let options = IndexOptions::builder()
        .name(index.name.to_owned())
        .unique(index.unique.then_some(true))
        .partial_filter_expression(index.partial.map(|filter| filter()))
        .build();
    IndexModel::builder().keys(keys).options(options).build()
}
