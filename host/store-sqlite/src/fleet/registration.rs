//! Registering a node: identity, caps, enrolment and pool are decided in the one transaction that
//! writes it.

use lucid_model::{
    audit::AuditEntry,
    fleet::node::{Node, NodeCaps, NodeStatus, network_of},
};
use lucid_ports::{Newcomer, RegisterConflict, Registered, Registration};
use rusqlite::{Connection, params};

use crate::{
    audit,
    columns::{json, stored},
    fault::Fault,
    fleet::{
        enrolments,
        node_doc::NodeDoc,
        nodes::{COLUMNS, by_id, has_room, live_external, one, siblings},
    },
    query::{execute, exists},
};

/// How long a registration that nobody approved holds its address.
const PENDING_HOLDS_MS: i64 = 15 * 60 * 1000;

/// Adds a node as it is; `false` if something that is its own alone is there.
pub(crate) fn insert(connection: &Connection, node: &Node) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO nodes ({COLUMNS}, network, wallet) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        node.id.0.as_bytes(),
        node.owner.0.as_bytes(),
        node.external_id,
        node.name,
        node.status.name(),
        node.pool.map(|pool| pool.0.into_bytes()),
        node.address.map(|a| a.ip.to_string()),
        node.address.map(|a| a.port),
        node.created_at.0,
        node.updated_at.0,
        node.score.map(|score| score.0),
        stored(node.observed_s)?,
        node.public_key.map(|key| key.0),
        stored(node.version)?,
        json(&NodeDoc::of(node))?,
        node.address.map(|a| network_of(a.ip)),
        node.wallet.map(|w| w.address.to_string()),
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

/// A registration that nobody approved gives way once it is old, or at once to a newcomer that
/// proves a key where the holder has none: nobody can squat on another's address.
fn gives_way(holder: &Node, newcomer: &Node) -> bool {
    let expired = newcomer.created_at.ms_since(holder.created_at) > PENDING_HOLDS_MS;
    holder.status == NodeStatus::Pending
        && (expired || (newcomer.public_key.is_some() && holder.public_key.is_none()))
}

/// One live node of a key, one at an address, one of an external id; who gives way leaves.
fn make_way(
    connection: &Connection,
    node: &Node,
    entry: &AuditEntry,
) -> Result<Option<RegisterConflict>, Fault> {
    let live_key = "SELECT 1 FROM nodes WHERE public_key = ? AND status <> 'deregistered'";
    if let Some(key) = node.public_key
        && exists(connection, live_key, [key.0])?
    {
        return Ok(Some(RegisterConflict::PublicKey));
    }
    let holder = match node.address {
        Some(at) => one(
            connection,
            "ip = ? AND port = ? AND status <> 'deregistered'",
            params![at.ip.to_string(), at.port],
        )?,
        None => None,
    };
    if holder.as_ref().is_some_and(|holder| !gives_way(holder, node)) {
        return Ok(Some(RegisterConflict::Address));
    }
    if let Some(external_id) = &node.external_id
        && let Some(namesake) = live_external(connection, external_id)?
        && holder.as_ref().is_none_or(|holder| holder.id != namesake.id)
    {
        return Ok(Some(RegisterConflict::ExternalId));
    }
    if let Some(holder) = holder {
        let sql = "UPDATE nodes SET status = 'deregistered', pool = NULL, updated_at = ?, version = version + 1 WHERE id = ?";
        execute(connection, sql, params![node.created_at.0, holder.id.0.as_bytes()])?;
        let gone = Node { status: NodeStatus::Deregistered, pool: None, ..holder.clone() };
        let following =
            entry.following("node.deregister", holder.id, format!("gave way to node {}", node.id));
        audit::add(connection, &following.changing(&holder, &gone))?;
    }
    Ok(None)
}

/// What is not [`Registered::Done`] has to be undone: something may have been written already.
fn write(connection: &Connection, registration: Registration) -> Result<Registered, Fault> {
    let Registration { mut node, caps, enrolment, audit, assign_audit } = registration;
    if let Some(conflict) = make_way(connection, &node, &audit)? {
        return Ok(Registered::Conflict(conflict));
    }
    if caps != NodeCaps::default() {
        let siblings = siblings(connection, &Newcomer::of(&node), None)?;
        if let Some(cap) = caps.reached(node.address.map(|a| a.ip), &siblings) {
            return Ok(Registered::CapReached(cap));
        }
    }
    if let Some(id) = enrolment
        && !enrolments::use_up(connection, id, node.created_at)?
    {
        return Ok(Registered::EnrolmentSpent);
    }
    if let Some(pool) = node.pool
        && has_room(connection, pool)? != Some(true)
    {
        node.pool = None;
    }
    if !insert(connection, &node)? {
        return Err(Fault::Bad(format!("node {} has what another node has", node.id)));
    }
    // The registration is told without the pool, whatever becomes of that.
    audit::add(connection, &audit)?;
    if let (Some(_), Some(entry)) = (node.pool, &assign_audit) {
        audit::add(connection, entry)?;
    }
    Ok(Registered::Done(Box::new(node)))
}

/// Registers, or changes nothing.
pub(crate) fn register(
    connection: &Connection,
    registration: Registration,
) -> Result<Registered, Fault> {
    if let Some(known) = by_id(connection, registration.node.id)? {
        return Ok(Registered::Repeated(Box::new(known)));
    }
    execute(connection, "SAVEPOINT registration", [])?;
    let outcome = write(connection, registration)?;
    if !matches!(outcome, Registered::Done(_)) {
        execute(connection, "ROLLBACK TO registration", [])?;
    }
    execute(connection, "RELEASE registration", [])?;
    Ok(outcome)
}
