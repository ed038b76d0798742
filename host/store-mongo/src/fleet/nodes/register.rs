//! Registering a node. What has to be unique, within a cap, or used up is in the one document that
//! is inserted: its key, address and external id, its places under caps, its use of an enrolment
//! token, its slot in a pool. An insert that is refused is looked into again from the start.

use lucid_model::{
    audit::AuditEntry,
    fleet::node::{Node, NodeStatus},
    id::EnrolmentId,
};
use lucid_ports::{Newcomer, RegisterConflict, Registered, Registration};
use mongodb::bson::{Bson, Document, doc};

use super::{NODES, at_ip, document};
use crate::{
    MongoStore,
    audit::intents,
    fault::Fault,
    fields::{self, stored},
    fleet::pools::Slot,
};

/// How long a registration that nobody approved holds its address.
const PENDING_HOLDS_MS: i64 = 15 * 60 * 1000;
/// Looks at one registration. Each that fails lost a place to somebody else, who is in by then.
const TRIES_MAX: u32 = 256;

/// A registration that nobody approved gives way once it is old, or at once to a newcomer that
/// proves a key where the holder has none: nobody can squat on another's address.
fn gives_way(holder: &Node, newcomer: &Node) -> bool {
    let expired = newcomer.created_at.ms_since(holder.created_at) > PENDING_HOLDS_MS;
    holder.status == NodeStatus::Pending
        && (expired || (newcomer.public_key.is_some() && holder.public_key.is_none()))
}

/// Who has what a newcomer claims.
enum Holder {
    Nobody,
    GivesWay(Box<Node>),
    Stays(RegisterConflict),
}

impl MongoStore {
    /// Registers, or changes nothing.
    pub(super) async fn register(&self, registration: Registration) -> Result<Registered, Fault> {
        if let Some(node) = self.register_at_once(&registration).await? {
            return Ok(Registered::Done(Box::new(node)));
        }
        for _ in 0..TRIES_MAX {
            if let Some(outcome) = self.try_register(&registration).await? {
                return Ok(outcome);
            }
        }
        Err(Fault::Contended(format!(
            "node {} lost its place to others {TRIES_MAX} times",
            registration.node.id
        )))
    }

    /// `None`: somebody else took what was free a moment ago.
    async fn try_register(&self, registration: &Registration) -> Result<Option<Registered>, Fault> {
        let Registration { node, caps, enrolment, audit, assign_audit } = registration;
        if let Some(known) = self.node_by_id(node.id).await? {
            return Ok(Some(Registered::Repeated(Box::new(known))));
        }
        let holder = match self.holder(node).await? {
            Holder::Nobody => None,
            Holder::GivesWay(holder) => Some(*holder),
            Holder::Stays(conflict) => return Ok(Some(Registered::Conflict(conflict))),
        };
        let siblings =
            self.siblings(&Newcomer::of(node), holder.as_ref().map(|holder| holder.id)).await?;
        if let Some(cap) = caps.reached(node.address.map(|at| at.ip), &siblings) {
            return Ok(Some(Registered::CapReached(cap)));
        }
        let Some(places) =
            self.free_places(node, caps, holder.as_ref().map(|holder| holder.id)).await?
        else {
            return Ok(None);
        };
        let mut node = node.clone();
        let slot = match node.pool {
            Some(pool) => self.free_slot(pool, &node).await?.unwrap_or_default(),
            None => None,
        };
        let Some(document) = self.document_of(&mut node, places, slot, *enrolment).await? else {
            return Ok(Some(Registered::EnrolmentSpent));
        };
        if let Some(holder) = holder
            && !self.give_way(&holder, &node, audit).await?
        {
            return Ok(None);
        }
        Ok(self
            .insert_node(&node, document, audit, assign_audit.as_ref())
            .await?
            .then(|| Registered::Done(Box::new(node))))
    }

    /// The way of nearly all: nobody is asked who is in the way, since the unique indices tell.
    /// `None`: somebody is, or there is no room where it was wanted, and it has to be looked into;
    /// nothing changed.
    async fn register_at_once(&self, registration: &Registration) -> Result<Option<Node>, Fault> {
        let Registration { node, caps, enrolment, audit, assign_audit } = registration;
        let Some(places) = self.free_places(node, caps, None).await? else { return Ok(None) };
        let mut node = node.clone();
        let slot = match node.pool {
            Some(pool) => match self.recently_free_slot(pool).await? {
                Some(slot) => Some(slot),
                None => return Ok(None),
            },
            None => None,
        };
        let Some(document) = self.document_of(&mut node, places, slot, *enrolment).await? else {
            return Ok(None);
        };
        let done = self.insert_node(&node, document, audit, assign_audit.as_ref()).await?;
        if let (false, Some(pool)) = (done, node.pool) {
            self.room.forget_slots(pool);
        }
        Ok(done.then_some(node))
    }

    /// The document of a node that is new; without a slot it is in no pool. `None`: the enrolment
    /// token is spent.
    async fn document_of(
        &self,
        node: &mut Node,
        places: Vec<String>,
        slot: Option<Slot>,
        enrolment: Option<EnrolmentId>,
    ) -> Result<Option<Document>, Fault> {
        let mut document = document::new(node)?;
        if !places.is_empty() {
            document.insert("places", places);
        }
        if let Some(enrolment) = enrolment {
            let Some(place) = self.free_use(enrolment, node).await? else { return Ok(None) };
            document.extend(
                doc! { "enrolment": fields::id(enrolment.0), "enrolment_use": i64::from(place) },
            );
        }
        match (node.pool, slot) {
            (Some(pool), Some(slot)) => {
                document.extend(doc! { "pool": fields::id(pool.0), "slot": i64::from(slot) })
            }
            _ => node.pool = None,
        }
        Ok(Some(document))
    }

    /// The insert, with those of others. The registration is told without the pool, whatever
    /// becomes of that.
    async fn insert_node(
        &self,
        node: &Node,
        mut document: Document,
        audit: &AuditEntry,
        assigned: Option<&AuditEntry>,
    ) -> Result<bool, Fault> {
        let mut entries = vec![audit.clone()];
        entries.extend(assigned.cloned().filter(|_| node.pool.is_some()));
        document.insert("audit", intents(&entries));
        let written = self.together.insert(document, node.pool).await;
        let look = written.as_ref().map_or(true, |inserted| inserted.pool_is_removed);
        let done = self
            .conclude(
                NODES,
                &fields::id(node.id.0),
                &entries,
                written.map(|inserted| inserted.done),
            )
            .await?;
        if let (true, Some(pool)) = (done, node.pool) {
            self.room.add_member(pool);
            if look {
                self.leave_if_removed(pool).await?;
            }
        }
        Ok(done)
    }

    /// Who has what the newcomer claims.
    async fn holder(&self, node: &Node) -> Result<Holder, Fault> {
        if let Some(key) = node.public_key
            && self
                .find_node(doc! { "live": true, "public_key": fields::bytes(&key.0) })
                .await?
                .is_some()
        {
            return Ok(Holder::Stays(RegisterConflict::PublicKey));
        }
        let holder = match node.address {
            Some(at) => {
                let mut there = at_ip(at.ip);
                there.extend(doc! { "live": true, "port": i32::from(at.port) });
                self.find_node(there).await?
            }
            None => None,
        };
        if holder.as_ref().is_some_and(|holder| !gives_way(holder, node)) {
            return Ok(Holder::Stays(RegisterConflict::Address));
        }
        if let Some(external_id) = &node.external_id
            && let Some(namesake) =
                self.find_node(doc! { "live": true, "external_id": external_id }).await?
            && holder.as_ref().is_none_or(|holder| holder.id != namesake.id)
        {
            return Ok(Holder::Stays(RegisterConflict::ExternalId));
        }
        Ok(holder.map_or(Holder::Nobody, |holder| Holder::GivesWay(Box::new(holder))))
    }

    /// The last thing before the insert, after everything that could refuse the newcomer. If the
    /// process ends between the two, a registration that nobody approved is gone and its owner
    /// registers again; so does the newcomer.
    async fn give_way(
        &self,
        holder: &Node,
        newcomer: &Node,
        entry: &AuditEntry,
    ) -> Result<bool, Fault> {
        let gone = Node { status: NodeStatus::Deregistered, pool: None, ..holder.clone() };
        let following = entry
            .following("node.deregister", holder.id, format!("gave way to node {}", newcomer.id))
            .changing(holder, &gone);
        let filter = doc! { "_id": fields::id(holder.id.0), "version": stored(holder.version)? };
        let update = doc! {
            "$set": { "status": gone.status.name(), "updated_at": newcomer.created_at.0, "version": stored(holder.version + 1)? },
            "$unset": { "live": Bson::Int32(1), "pool": 1, "slot": 1 },
        };
        let gone = self.update_audited(NODES, filter, update, &[following]).await;
        self.room.forget();
        gone
    }
}
