use lucid_model::{
    audit::{AuditEntry, chain::ChainedEntry},
    id::{AuditId, AuditWriterId},
};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    fault::Fault,
    fields::{self, Fields, stored},
};

/// An entry as it travels in another document.
pub(crate) fn intent(entry: &AuditEntry) -> Document {
    let AuditEntry { id, at, actor, action, subject, detail, request_id, before, after } = entry;
    let mut document = doc! { "id": fields::id(id.0), "at": at.0, "actor": actor, "action": action, "subject": subject, "detail": detail };
    let maybe = [
        ("request_id", request_id.clone().map(Bson::String)),
        ("before", before.map(fields::digest)),
        ("after", after.map(fields::digest)),
    ];
    document.extend(maybe.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    document
}

/// What [`intent`] wrote; in the list the id is the document's own.
pub(crate) fn read(fields: Fields<'_>, id: &str) -> Result<AuditEntry, Fault> {
    Ok(AuditEntry {
        id: fields.id(id, AuditId)?,
        at: fields.time("at")?,
        actor: fields.text("actor")?,
        action: fields.text("action")?,
        subject: fields.text("subject")?,
        detail: fields.text("detail")?,
        request_id: fields.text_or_none("request_id")?,
        before: fields.digest_or_none("before")?,
        after: fields.digest_or_none("after")?,
    })
}

/// An entry as the list has it.
pub(crate) fn listed(chained: &ChainedEntry) -> Result<Document, Fault> {
    let ChainedEntry { entry, writer, link, place } = chained;
    let mut document = intent(entry);
    document.remove("id");
    let place = doc! { "_id": fields::id(entry.id.0), "v": 1, "writer": fields::id(writer.0), "link": stored(*link)?, "place": stored(*place)? };
    Ok(place.into_iter().chain(document).collect())
}

pub(crate) fn read_listed(fields: Fields<'_>) -> Result<ChainedEntry, Fault> {
    Ok(ChainedEntry {
        entry: read(fields, "_id")?,
        writer: fields.id("writer", AuditWriterId)?,
        // Numbers that only a hand can have written still have to be readable, so that the walk can
        // name them.
        link: fields.number::<i64>("link")?.cast_unsigned(),
        place: fields.number::<i64>("place")?.cast_unsigned(),
    })
}
