//! Requests with idempotency keys: one document each, whose claim changes hands by compare-and-set
//! on the claim's id.

use async_trait::async_trait;
use lucid_model::{
    audit::request::{RequestKey, StoredAnswer},
    id::{Digest, IntendedId},
    time::TimeMs,
};
use lucid_ports::{Begun, NewRequest, RequestStore, StoreError};
use mongodb::bson::{Bson, Document, doc};
use uuid::Uuid;

use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields},
    index::Index,
    page::collect,
};

pub(crate) const REQUESTS: &str = "requests";
/// Looks at one request. Each that fails lost its claim to another caller, whose claim the next
/// look sees.
const TRIES_MAX: u32 = 64;

pub(crate) const INDICES: &[Index] = &[Index {
    collection: REQUESTS,
    name: "expiry",
    keys: &[("expires_at", 1)],
    unique: false,
    partial: None,
    why: "requests that may be forgotten",
}];

pub(crate) struct Record {
    claim: Uuid,
    pub(crate) fingerprint: Digest,
    pub(crate) creates: IntendedId,
    pub(crate) lease_until: TimeMs,
    pub(crate) expires_at: TimeMs,
    pub(crate) answer: Option<StoredAnswer>,
}

pub(crate) fn id_of(key: &RequestKey) -> Bson {
    Bson::Document(doc! { "subject": &key.subject, "key": &key.key })
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Record, Fault> {
    Ok(Record {
        claim: fields.id("claim", |id| id)?,
        fingerprint: fields.digest("fingerprint")?,
        creates: fields.id("creates", IntendedId)?,
        lease_until: fields.time("lease_until")?,
        expires_at: fields.time("expires_at")?,
        answer: fields.document_or_none("answer")?.map(read_answer).transpose()?,
    })
}

fn read_answer(fields: Fields<'_>) -> Result<StoredAnswer, Fault> {
    let headers = fields
        .documents("headers")?
        .into_iter()
        .map(|header| Ok((header.text("name")?, header.text("value")?)));
    Ok(StoredAnswer {
        status: fields.number("status")?,
        headers: headers.collect::<Result<_, Fault>>()?,
        body: fields.bytes("body")?,
    })
}

pub(crate) fn answered(answer: &StoredAnswer) -> Document {
    let headers: Vec<_> =
        answer.headers.iter().map(|(name, value)| doc! { "name": name, "value": value }).collect();
    doc! { "status": i32::from(answer.status), "headers": headers, "body": fields::bytes(&answer.body) }
}

impl MongoStore {
    async fn begin(&self, request: &NewRequest) -> Result<Begun, Fault> {
        let claim = Uuid::new_v4();
        for _ in 0..TRIES_MAX {
            if let Some(begun) = self.try_begin(request, claim).await? {
                return Ok(begun);
            }
        }
        Err(Fault::Contended(format!("the claim of a request was lost {TRIES_MAX} times")))
    }

    /// `None`: the record changed, perhaps by us; whose it is says its claim.
    async fn try_begin(&self, request: &NewRequest, claim: Uuid) -> Result<Option<Begun>, Fault> {
        let requests = self.collection(REQUESTS);
        let NewRequest { key, fingerprint, creates, at, lease_until, expires_at } = request;
        let id = id_of(key);
        let found = requests
            .find_one(doc! { "_id": &id })
            .await?
            .map(|document| read(Fields::of(&document)))
            .transpose()?;
        let fresh = doc! {
            "_id": &id, "v": 1, "claim": fields::id(claim), "fingerprint": fields::digest(*fingerprint), "creates": fields::id(creates.0),
            "lease_until": lease_until.0, "expires_at": expires_at.0,
        };
        let written = match found {
            None => requests.insert_one(fresh).await.map(|_| true),
            Some(record) if record.claim == claim => return Ok(Some(Begun::Run(record.creates))),
            Some(record) if record.expires_at <= *at => requests
                .replace_one(doc! { "_id": &id, "claim": fields::id(record.claim) }, fresh)
                .await
                .map(|result| result.matched_count == 1),
            Some(record) if record.fingerprint != *fingerprint => {
                return Ok(Some(Begun::OtherRequest));
            }
            Some(Record { answer: Some(answer), .. }) => return Ok(Some(Begun::Answered(answer))),
            Some(record) if record.lease_until > *at => return Ok(Some(Begun::InProgress)),
            Some(record) => {
                let left = doc! { "_id": &id, "claim": fields::id(record.claim), "answer": { "$exists": false } };
                let taken =
                    doc! { "$set": { "claim": fields::id(claim), "lease_until": lease_until.0 } };
                requests.update_one(left, taken).await.map(|result| result.matched_count == 1)
            }
        };
        match written.map_err(Fault::from) {
            // Refused, or the answer was lost: the next look says whose the claim is.
            Err(fault) if !fault.is_duplicate() && !fault.is_ambiguous() => Err(fault),
            _ => Ok(None),
        }
    }

    async fn forget(&self, now: TimeMs, limit: u32) -> Result<u64, Fault> {
        let requests = self.collection(REQUESTS);
        let expired = doc! { "expires_at": { "$lte": now.0 } };
        let found = requests
            .find(expired.clone())
            .sort(doc! { "expires_at": 1 })
            .limit(i64::from(limit))
            .projection(doc! { "_id": 1 })
            .await?;
        let ids =
            collect(found, |fields| Ok(fields.get("_id").cloned().unwrap_or(Bson::Null))).await?;
        // One that was begun anew in the meantime is not expired any more.
        let gone = requests
            .delete_many(doc! { "_id": { "$in": ids }, "expires_at": { "$lte": now.0 } })
            .await?;
        Ok(gone.deleted_count)
    }
}

#[async_trait]
impl RequestStore for MongoStore {
    async fn begin_request(&self, request: NewRequest) -> Result<Begun, StoreError> {
        Ok(self.begin(&request).await?)
    }
    async fn answer_request(
        &self,
        key: RequestKey,
        answer: StoredAnswer,
    ) -> Result<(), StoreError> {
        let requests = self.collection(REQUESTS);
        let set = requests.update_one(
            doc! { "_id": id_of(&key) },
            doc! { "$set": { "answer": answered(&answer) } },
        );
        set.await.map_err(Fault::from)?;
        Ok(())
    }
    async fn release_request(&self, key: RequestKey) -> Result<(), StoreError> {
        let requests = self.collection(REQUESTS);
        let open = doc! { "_id": id_of(&key), "answer": { "$exists": false } };
        requests
            .update_one(open, doc! { "$set": { "lease_until": 0_i64 } })
            .await
            .map_err(Fault::from)?;
        Ok(())
    }
    async fn forget_requests(&self, now: TimeMs, limit: u32) -> Result<u64, StoreError> {
        Ok(self.forget(now, limit).await?)
    }
}
