use mongodb::{
    Database, IndexModel,
    bson::{Bson, Document},
    options::IndexOptions,
};

use crate::{
    audit::{self, requests},
    consensus,
    epochs::{self, adjustments, frames},
    fault::Fault,
    fleet::{alerts, enrolments, nodes, pools},
    money::{ledger, payouts, runs, settlements},
    notifications::webhooks,
    policies::{self, gate_reports},
    review::shadows,
    telemetry::{buckets, live, rolling, sessions},
};

/// An index that has to be there before anything is written: the unique ones are what keeps records
/// apart.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    pub(crate) collection: &'static str,
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [(&'static str, i32)],
    pub(crate) unique: bool,
    /// Which documents it has; all if none.
    pub(crate) partial: Option<Partial>,
    /// What it keeps apart, or which reading it serves.
    pub(crate) why: &'static str,
}

/// Which documents an index has, if not all.
#[derive(Clone, Copy)]
pub(crate) enum Partial {
    /// Those that match.
    Where(fn() -> Document),
    /// Those that have its key: what asks for them by `$exists` is answered by it, on servers that
    /// plan nothing else by an index, too.
    Sparse,
}

/// Indices of earlier versions that serve nothing any more: collection and name.
const RETIRED: &[(&str, &str)] = &[(live::LIVE, "live_claims")];

/// The indices of all files but those that every audited collection has.
const ALL: &[&[Index]] = &[
    adjustments::INDICES,
    alerts::INDICES,
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
    consensus::INDICES,
    frames::INDICES,
    ledger::INDICES,
    live::INDICES,
    payouts::INDICES,
    rolling::INDICES,
    runs::INDICES,
    sessions::INDICES,
    settlements::INDICES,
    shadows::INDICES,
    webhooks::INDICES,
];

/// Every index there has to be: what is created at the start, what `lucid doctor` looks for, what
/// is documented.
pub(crate) fn all() -> impl Iterator<Item = Index> {
    ALL.iter().copied().flatten().copied().chain(audit::AUDITED.into_iter().map(audit::carried_by))
}

/// Creates what is missing, a collection at a time. One that is there with other keys is an error
/// of the server's.
pub(crate) async fn create(database: &Database) -> Result<(), Fault> {
    let mut collections: Vec<&'static str> = all().map(|index| index.collection).collect();
    collections.sort_unstable();
    collections.dedup();
    for collection in collections {
        let models: Vec<_> = all()
            .filter(|index| index.collection == collection)
            .map(|index| index.model())
            .collect();
        database.collection::<Document>(collection).create_indexes(models).await?;
    }
    for (collection, name) in RETIRED {
        match database
            .collection::<Document>(collection)
            .drop_index(*name)
            .await
            .map_err(Fault::from)
        {
            Err(fault) if !fault.is_of_no_index() => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

impl Index {
    /// Keys as the server is told them.
    pub(crate) fn key_document(&self) -> Document {
        self.keys
            .iter()
            .map(|(key, direction)| ((*key).to_owned(), Bson::Int32(*direction)))
            .collect()
    }

    /// What its documents match, if not all are in it.
    pub(crate) fn filter(&self) -> Option<Document> {
        match self.partial {
            Some(Partial::Where(filter)) => Some(filter()),
            Some(Partial::Sparse) | None => None,
        }
    }

    pub(crate) fn is_sparse(&self) -> bool {
        matches!(self.partial, Some(Partial::Sparse))
    }

    fn model(&self) -> IndexModel {
        let options = IndexOptions::builder()
            .name(self.name.to_owned())
            .unique(self.unique.then_some(true))
            .partial_filter_expression(self.filter())
            .sparse(self.is_sparse().then_some(true))
            .build();
        IndexModel::builder().keys(self.key_document()).options(options).build()
    }
}
