//! Enrolment tokens. A use is a number in the node that was registered with it, unique for the
//! token: it is used up by the insert of the node, and how many are used is counted. A token that
//! was copied says how many were used before: no node here has their numbers.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    fleet::{
        enrolment::{Enrolment, EnrolmentScope},
        node::Node,
    },
    id::{Digest, EnrolmentId, PoolId, UserId},
    time::TimeMs,
};
use lucid_ports::{EnrolmentFilter, EnrolmentStore, Page, PageRequest, StoreError};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields},
    fleet::nodes::{NODES, free_place},
    index::Index,
    page::{collect, page},
};

pub(crate) const ENROLMENTS: &str = "enrolments";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: ENROLMENTS,
        name: "digest",
        keys: &[("digest", 1)],
        unique: true,
        partial: None,
        why: "one enrolment a token",
    },
    Index {
        collection: ENROLMENTS,
        name: "created",
        keys: &[("created_at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "enrolments by creation",
    },
    Index {
        collection: ENROLMENTS,
        name: "owner",
        keys: &[("owner", 1), ("created_at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "an owner's enrolments by creation",
    },
];

pub(crate) fn document(enrolment: &Enrolment) -> Document {
    let mut document = doc! {
        "_id": fields::id(enrolment.id.0), "v": 1, "digest": fields::digest(enrolment.digest), "owner": fields::id(enrolment.owner.0),
        "name": &enrolment.name, "scope": enrolment.scope.name(), "uses_max": i64::from(enrolment.uses_max),
        "expires_at": enrolment.expires_at.0, "created_at": enrolment.created_at.0, "created_by": &enrolment.created_by,
    };
    if let Some(pool) = enrolment.pool {
        document.insert("pool", fields::id(pool.0));
    }
    if let Some(at) = enrolment.revoked_at {
        document.insert("revoked_at", at.0);
    }
    if enrolment.uses > 0 {
        document.insert("used_before", i64::from(enrolment.uses));
    }
    document
}

/// A token with the uses from before it was copied here; those since are counted.
pub(crate) fn read(fields: Fields<'_>) -> Result<Enrolment, Fault> {
    Ok(Enrolment {
        id: fields.id("_id", EnrolmentId)?,
        digest: fields.digest("digest")?,
        owner: fields.id("owner", UserId)?,
        name: fields.text("name")?,
        scope: fields.word("scope", EnrolmentScope::from_name)?,
        pool: fields.id_or_none("pool", PoolId)?,
        uses_max: fields.number("uses_max")?,
        uses: fields.number_or_none("used_before")?.unwrap_or(0),
        expires_at: fields.time("expires_at")?,
        revoked_at: fields.time_or_none("revoked_at")?,
        created_at: fields.time("created_at")?,
        created_by: fields.text("created_by")?,
    })
}

impl MongoStore {
    async fn uses(&self, tokens: &[EnrolmentId]) -> Result<HashMap<EnrolmentId, u32>, Fault> {
        let tokens: Vec<_> = tokens.iter().map(|token| fields::id(token.0)).collect();
        let used = doc! { "enrolment": { "$in": tokens }, "enrolment_use": { "$exists": true } };
        self.count_nodes_by(used, "enrolment", |fields| fields.id("_id", EnrolmentId)).await
    }

    /// Adds the uses since to those from before.
    pub(crate) async fn with_uses(&self, tokens: Vec<Enrolment>) -> Result<Vec<Enrolment>, Fault> {
        let uses = self.uses(&tokens.iter().map(|token| token.id).collect::<Vec<_>>()).await?;
        let used = |token: Enrolment| Enrolment {
            uses: token.uses.saturating_add(uses.get(&token.id).copied().unwrap_or(0)),
            ..token
        };
        Ok(tokens.into_iter().map(used).collect())
    }

    async fn find_enrolment(&self, filter: Document) -> Result<Option<Enrolment>, Fault> {
        let Some(document) = self.collection(ENROLMENTS).find_one(filter).await? else {
            return Ok(None);
        };
        let enrolment = read(Fields::of(&document))?;
        let mut counted = self.with_uses(vec![enrolment]).await?;
        Ok(counted.pop())
    }

    /// A use of a token that is good for the node's registration; `None` if there is none.
    pub(crate) async fn free_use(
        &self,
        id: EnrolmentId,
        node: &Node,
    ) -> Result<Option<u32>, Fault> {
        let Some(token) = self
            .find_enrolment(doc! { "_id": fields::id(id.0) })
            .await?
            .filter(|token| token.is_good(node.created_at))
        else {
            return Ok(None);
        };
        let nodes = self.collection(NODES);
        let used = nodes
            .find(doc! { "enrolment": fields::id(id.0), "enrolment_use": { "$exists": true } });
        let used = collect(used.projection(doc! { "enrolment_use": 1 }).await?, |fields| {
            fields.number("enrolment_use")
        })
        .await?;
        let mut used: HashSet<u32> = used.into_iter().collect();
        // As many numbers, from the first on, as were used before the token was copied here.
        let before = token.uses.saturating_sub(u32::try_from(used.len()).unwrap_or(u32::MAX));
        used.extend(0..before);
        Ok(free_place(&used, token.uses_max, node))
    }

    /// A token that is over is not good again: what is found is still over when it is removed.
    async fn forget_over(&self, before: TimeMs, limit: u32) -> Result<u64, Fault> {
        let tokens = self.collection(ENROLMENTS);
        let over = doc! { "$or": [{ "expires_at": { "$lt": before.0 } }, { "revoked_at": { "$lt": before.0 } }] };
        let found = tokens.find(over).limit(i64::from(limit)).projection(doc! { "_id": 1 }).await?;
        let ids =
            collect(found, |fields| Ok(fields.get("_id").cloned().unwrap_or(Bson::Null))).await?;
        Ok(tokens.delete_many(doc! { "_id": { "$in": ids } }).await?.deleted_count)
    }

    async fn list_enrolments(
        &self,
        filter: EnrolmentFilter,
        request: &PageRequest<()>,
    ) -> Result<Page<Enrolment>, Fault> {
        let mut conditions = doc! {};
        if let Some(owner) = filter.owner {
            conditions.insert("owner", fields::id(owner.0));
        }
        let page =
            page(&self.collection(ENROLMENTS), conditions, &["created_at", "_id"], request, read)
                .await?;
        Ok(Page { items: self.with_uses(page.items).await?, total: page.total })
    }
}

#[async_trait]
impl EnrolmentStore for MongoStore {
    async fn create_enrolment(
        &self,
        enrolment: Enrolment,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        Ok(self.insert_audited(ENROLMENTS, document(&enrolment), &[audit]).await?)
    }
    async fn enrolment(&self, id: EnrolmentId) -> Result<Option<Enrolment>, StoreError> {
        Ok(self.find_enrolment(doc! { "_id": fields::id(id.0) }).await?)
    }
    async fn enrolment_by_digest(&self, digest: Digest) -> Result<Option<Enrolment>, StoreError> {
        Ok(self.find_enrolment(doc! { "digest": fields::digest(digest) }).await?)
    }
    async fn enrolments(
        &self,
        filter: EnrolmentFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Enrolment>, StoreError> {
        Ok(self.list_enrolments(filter, &page).await?)
    }
    async fn forget_enrolments(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        Ok(self.forget_over(before, limit).await?)
    }
    async fn revoke_enrolment(
        &self,
        id: EnrolmentId,
        at: TimeMs,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let good = doc! { "_id": fields::id(id.0), "revoked_at": { "$exists": false } };
        Ok(self
            .update_audited(ENROLMENTS, good, doc! { "$set": { "revoked_at": at.0 } }, &[audit])
            .await?)
    }
}
