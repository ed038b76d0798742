use lucid_ports::{Order, Page, PageRequest};
use mongodb::{
    Collection, Cursor,
    bson::{Bson, Document, RawDocumentBuf},
};

use crate::{fault::Fault, fields::Fields};

/// Documents of a batch where many are read: a first batch is of 101 otherwise.
pub(crate) const BATCH: u32 = 2_000;

/// All documents of a cursor.
pub(crate) async fn collect<T>(
    mut cursor: Cursor<Document>,
    read: impl Fn(Fields<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut found = Vec::new();
    while cursor.advance().await? {
        found.push(read(Fields::of(&cursor.deserialize_current()?))?);
    }
    Ok(found)
}

/// The same as they came, to be read by [`read_each`]: beside what is asked next.
pub(crate) async fn collect_raw(
    mut cursor: Cursor<Document>,
) -> Result<Vec<RawDocumentBuf>, Fault> {
    let mut found = Vec::new();
    while cursor.advance().await? {
        found.push(cursor.current().to_owned());
    }
    Ok(found)
}

/// Documents as they came, read.
pub(crate) fn read_each<T>(
    raw: &[RawDocumentBuf],
    read: impl Fn(Fields<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    raw.iter()
        .map(|raw| {
            read(Fields::of(
                &Document::try_from(raw.as_ref()).map_err(|error| Fault::Bad(error.to_string()))?,
            ))
        })
        .collect()
}

/// Sorted by `keys`, the last of which tells documents apart, all in the same direction.
pub(crate) fn sorted(keys: &[&str], order: Order) -> Document {
    let direction = match order {
        Order::Ascending => 1,
        Order::Descending => -1,
    };
    keys.iter().map(|key| ((*key).to_owned(), Bson::Int32(direction))).collect()
}

/// One page of a list, and the count of the whole. The two are read one after the other: what is
/// added between them is in one of the two.
pub(crate) async fn page<S, T>(
    collection: &Collection<Document>,
    filter: Document,
    keys: &[&str],
    page: &PageRequest<S>,
    read: impl Fn(Fields<'_>) -> Result<T, Fault>,
) -> Result<Page<T>, Fault> {
    let total = collection.count_documents(filter.clone()).await?;
    // The server takes 63 bits; nothing is that far.
    let offset = page.offset();
    if offset >= total {
        return Ok(Page { items: Vec::new(), total });
    }
    let cursor = collection
        .find(filter)
        .sort(sorted(keys, page.order))
        .skip(offset)
        .limit(i64::from(page.limit))
        .await?;
    Ok(Page { items: collect(cursor, read).await?, total })
}
