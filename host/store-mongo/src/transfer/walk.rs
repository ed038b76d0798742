use lucid_store::transfer::{Key, Part};
use mongodb::{
    Collection,
    bson::{Binary, Bson, Document, doc, spec::BinarySubtype},
};

use crate::{
    fault::Fault,
    fields::{Fields, bytes},
    page::collect,
};

/// A part of a key as documents have it: what has 16 bytes is an id.
pub(super) fn bson(part: &Part) -> Bson {
    match part {
        Part::Number(number) => Bson::Int64(*number),
        Part::Text(text) => Bson::String(text.clone()),
        Part::Bytes(id) if id.len() == 16 => {
            Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: id.clone() })
        }
        Part::Bytes(other) => bytes(other),
    }
}

/// The only part of a key.
pub(super) fn one(after: Option<&Key>) -> Option<Bson> {
    after.and_then(|key| key.0.first()).map(bson)
}

/// Both parts of a key.
pub(super) fn two(after: Option<&Key>) -> Option<(Bson, Bson)> {
    match after.map(|key| key.0.as_slice()) {
        Some([first, second]) => Some((bson(first), bson(second))),
        _ => None,
    }
}

/// The next documents by `_id`.
pub(super) async fn by_id<T>(
    collection: &Collection<Document>,
    mut filter: Document,
    after: Option<Bson>,
    limit: u32,
    read: impl Fn(Fields<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    if let Some(after) = after {
        filter.insert("_id", doc! { "$gt": after });
    }
    let found =
        collection.find(filter).sort(doc! { "_id": 1 }).limit(i64::from(limit)).batch_size(limit);
    collect(found.await?, read).await
}

/// The next documents by two fields that an index has: first the rest of those with the first
/// field's value, then those beyond, so that either is one range of the index.
pub(super) async fn by_two<T>(
    collection: &Collection<Document>,
    (first, second): (&str, &str),
    after: Option<(Bson, Bson)>,
    limit: u32,
    read: impl Fn(Fields<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let sort = doc! { first: 1, second: 1 };
    let mut found = Vec::new();
    let mut beyond = Document::new();
    if let Some((one, other)) = after {
        let rest = collection
            .find(doc! { first: &one, second: { "$gt": other } })
            .sort(sort.clone())
            .limit(i64::from(limit))
            .batch_size(limit);
        found = collect(rest.await?, &read).await?;
        beyond = doc! { first: { "$gt": one } };
    }
    let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
    if left > 0 {
        let more = collection.find(beyond).sort(sort).limit(i64::from(left)).batch_size(left);
        found.extend(collect(more.await?, &read).await?);
    }
    Ok(found)
}
