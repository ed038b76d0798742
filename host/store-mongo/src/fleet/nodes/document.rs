use lucid_model::{
    epochs::score::ScoreCenti,
    fleet::node::{
        Hardware, Node, NodeAddress, NodeConfig, NodeStatus, PublicKey, Suspension, Wallet,
        WalletWish, network_of,
    },
    id::{NodeId, PoolId, UserId},
    money::tron::TronAddress,
};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    fault::Fault,
    fields::{self, Fields, stored, wide},
};

fn config(config: &NodeConfig) -> Document {
    doc! {
        "max_sessions": i64::from(config.max_sessions), "max_cpu_ppm": i64::from(config.max_cpu.0), "max_memory_ppm": i64::from(config.max_memory.0),
        "max_disk_ppm": i64::from(config.max_disk.0), "max_network_bandwidth": wide(config.max_network_bandwidth),
        "auto_scaling": config.auto_scaling, "monitoring_enabled": config.monitoring_enabled,
    }
}

fn suspension(suspension: &Suspension) -> Document {
    let mut document = doc! { "reason": &suspension.reason, "earlier": suspension.earlier.name() };
    if let Some(until) = suspension.until {
        document.insert("until", until.0);
    }
    document
}

/// What an update replaces: what is set, and the names of what is not there. Score and credited
/// seconds are the epochs' to write, pool and slot the assignment's: a record that was read before
/// must not take them back.
pub(super) fn replacing(node: &Node) -> Result<(Document, Document), Fault> {
    let mut set = doc! {
        "v": 1, "owner": fields::id(node.owner.0), "name": &node.name, "status": node.status.name(), "created_at": node.created_at.0,
        "updated_at": node.updated_at.0, "config": config(&node.config), "approved": node.approved, "version": stored(node.version)?,
    };
    let text = |text: &Option<String>| text.clone().map(Bson::String);
    let maybe = [
        ("live", node.is_live().then_some(Bson::Boolean(true))),
        ("external_id", text(&node.external_id)),
        ("description", text(&node.description)),
        ("error_reason", text(&node.error_reason)),
        ("ip", node.address.map(|at| Bson::String(at.ip.to_string()))),
        ("port", node.address.map(|at| Bson::Int32(i32::from(at.port)))),
        ("network", node.address.map(|at| Bson::String(network_of(at.ip)))),
        ("activated_at", node.activated_at.map(|at| Bson::Int64(at.0))),
        ("status_since", node.status_since.map(|at| Bson::Int64(at.0))),
        ("public_key", node.public_key.map(|key| fields::bytes(&key.0))),
        // Beside the wallet itself, to be counted by.
        ("wallet_address", node.wallet.map(|wallet| Bson::String(wallet.address.to_string()))),
        ("wallet", node.wallet.map(|w| doc! { "address": w.address.to_string(), "version": i64::from(w.version), "since": w.since.0 }.into())),
        ("wallet_wish", node.wallet_wish.as_ref().map(|w| doc! { "address": w.address.to_string(), "at": w.at.0, "by": &w.by }.into())),
        (
            "hardware",
            node.hardware.map(|h| {
                doc! { "cpu_cores": i64::from(h.cpu_cores), "memory_bytes": wide(h.memory_bytes), "storage_bytes": wide(h.storage_bytes) }.into()
            }),
        ),
        ("suspension", node.suspension.as_ref().map(|s| suspension(s).into())),
    ];
    let mut unset = Document::new();
    for (name, value) in maybe {
        match value {
            Some(value) => set.insert(name, value),
            None => unset.insert(name, ""),
        };
    }
    if node.pool.is_none() {
        unset.extend(doc! { "pool": "", "slot": "" });
    }
    Ok((set, unset))
}

/// A node that was not there, in no pool yet.
pub(crate) fn new(node: &Node) -> Result<Document, Fault> {
    let (mut document, _) = replacing(node)?;
    document.extend(doc! { "_id": fields::id(node.id.0), "observed_s": stored(node.observed_s)? });
    if let Some(score) = node.score {
        document.insert("score", i64::from(score.0));
    }
    Ok(document)
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Node, Fault> {
    Ok(Node {
        id: fields.id("_id", NodeId)?,
        owner: fields.id("owner", UserId)?,
        external_id: fields.text_or_none("external_id")?,
        name: fields.text("name")?,
        description: fields.text_or_none("description")?,
        status: fields.word("status", NodeStatus::from_name)?,
        error_reason: fields.text_or_none("error_reason")?,
        pool: fields.id_or_none("pool", PoolId)?,
        address: read_address(fields)?,
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
        activated_at: fields.time_or_none("activated_at")?,
        status_since: fields.time_or_none("status_since")?,
        score: fields.number_or_none("score")?.map(ScoreCenti),
        observed_s: fields.number("observed_s")?,
        config: read_config(fields.document("config")?)?,
        public_key: fields.array_or_none("public_key")?.map(PublicKey),
        wallet: fields.document_or_none("wallet")?.map(read_wallet).transpose()?,
        wallet_wish: fields.document_or_none("wallet_wish")?.map(read_wish).transpose()?,
        hardware: fields.document_or_none("hardware")?.map(read_hardware).transpose()?,
        suspension: fields.document_or_none("suspension")?.map(read_suspension).transpose()?,
        approved: fields.truth("approved")?,
        version: fields.number("version")?,
    })
}

fn read_address(fields: Fields<'_>) -> Result<Option<NodeAddress>, Fault> {
    let (ip, port) =
        (fields.word_or_none("ip", |text| text.parse().ok())?, fields.number_or_none("port")?);
    Ok(ip.zip(port).map(|(ip, port)| NodeAddress { ip, port }))
}

fn read_config(fields: Fields<'_>) -> Result<NodeConfig, Fault> {
    Ok(NodeConfig {
        max_sessions: fields.number("max_sessions")?,
        max_cpu: fields.ppm("max_cpu_ppm")?,
        max_memory: fields.ppm("max_memory_ppm")?,
        max_disk: fields.ppm("max_disk_ppm")?,
        max_network_bandwidth: fields.wide("max_network_bandwidth")?,
        auto_scaling: fields.truth("auto_scaling")?,
        monitoring_enabled: fields.truth("monitoring_enabled")?,
    })
}

fn read_wallet(fields: Fields<'_>) -> Result<Wallet, Fault> {
    Ok(Wallet {
        address: fields.word("address", |text| TronAddress::from_record(text).ok())?,
        version: fields.number("version")?,
        since: fields.time("since")?,
    })
}

fn read_wish(fields: Fields<'_>) -> Result<WalletWish, Fault> {
    Ok(WalletWish {
        address: fields.word("address", |text| TronAddress::from_record(text).ok())?,
        at: fields.time("at")?,
        by: fields.text("by")?,
    })
}

fn read_hardware(fields: Fields<'_>) -> Result<Hardware, Fault> {
    Ok(Hardware {
        cpu_cores: fields.number("cpu_cores")?,
        memory_bytes: fields.wide("memory_bytes")?,
        storage_bytes: fields.wide("storage_bytes")?,
    })
}

fn read_suspension(fields: Fields<'_>) -> Result<Suspension, Fault> {
    Ok(Suspension {
        reason: fields.text("reason")?,
        until: fields.time_or_none("until")?,
        earlier: fields.word("earlier", NodeStatus::from_name)?,
    })
}
