//! What clients ask of nodes.

use std::net::IpAddr;

use lucid_model::{
    fleet::{
        commands::{MachinePatch, NewNode, NewSuspension, NodePatch},
        node::{NodeAddress, NodeConfig},
    },
    id::NodeId,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    HardwareBody,
    configuration::{NodeConfigRequest, configuration},
    identity::{hardware, public_key},
};
use crate::{
    fields::{FieldError, Fields, Request},
    schema,
};

/// Characters of a name.
pub const NAME_LENGTH: std::ops::RangeInclusive<usize> = 1..=255;
/// Characters of a description.
pub const DESCRIPTION_LENGTH: std::ops::RangeInclusive<usize> = 0..=1000;
/// What stands in a path where a node's name would.
const RESERVED_NAMES: [&str; 2] = ["register", "available"];
/// Ports a node may listen on.
pub const PORTS: std::ops::RangeInclusive<u16> = 1024..=65_535;

/// A registration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct RegisterNodeRequest {
    /// For people.
    #[schema(value_type = schema::Name)]
    pub name: String,
    /// Where the node is reached: IPv4 or IPv6.
    #[schema(value_type = schema::IpAddress)]
    pub ip_address: String,
    /// On which port.
    #[schema(minimum = 1024, maximum = 65535)]
    pub port: u16,
    /// About it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Description>)]
    pub description: Option<String>,
    /// How it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<NodeConfigRequest>,
    /// Its Ed25519 key, base64 of 32 bytes; the request is signed with it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PublicKey>)]
    pub public_key: Option<String>,
    /// Where its earnings go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::GivenTronAddress>)]
    pub wallet_address: Option<String>,
    /// What it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareBody>,
}

/// What both forms of a registration have.
fn registration(
    fields: &Fields<'_>,
    name: String,
    external_id: Option<String>,
    address: Option<NodeAddress>,
) -> Result<NewNode, FieldError> {
    Ok(NewNode {
        name,
        external_id,
        address,
        description: fields.text("description", DESCRIPTION_LENGTH)?,
        config: configuration(fields)?.unwrap_or_default().apply(NodeConfig::default()),
        public_key: public_key(fields, "public_key")?,
        wallet: fields.parsed("wallet_address")?,
        hardware: hardware(fields)?,
    })
}

impl Request for RegisterNodeRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = NewNode;
    fn read(fields: &Fields<'_>) -> Result<NewNode, FieldError> {
        let name = fields.require("name", fields.text("name", NAME_LENGTH)?)?;
        let ip = fields.require("ip_address", ip_address(fields)?)?;
        let port = fields.require("port", fields.integer("port", PORTS)?)?;
        registration(fields, name, None, Some(NodeAddress { ip, port }))
    }
}

/// The registration of older clients; one of `node_id`, `name` and `operator_id` is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct LegacyRegisterRequest {
    /// What the client calls the node; a host name, often.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::OwnName>)]
    pub node_id: Option<String>,
    /// For people; without it the node is named by `node_id`, or else by `operator_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Name>)]
    pub name: Option<String>,
    /// Who operates it, as the Electron client says; whose it is says the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Name>)]
    pub operator_id: Option<String>,
    /// Where the node is reached; with `port`, or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::IpAddress>)]
    pub ip_address: Option<String>,
    /// On which port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1024, maximum = 65535)]
    pub port: Option<u16>,
    /// About it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Description>)]
    pub description: Option<String>,
    /// How it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<NodeConfigRequest>,
    /// Its Ed25519 key, base64 of 32 bytes; the request is signed with it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PublicKey>)]
    pub public_key: Option<String>,
    /// Where its earnings go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::GivenTronAddress>)]
    pub wallet_address: Option<String>,
    /// What it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareBody>,
}

impl Request for LegacyRegisterRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = NewNode;
    fn read(fields: &Fields<'_>) -> Result<NewNode, FieldError> {
        let external_id = fields.text("node_id", NAME_LENGTH)?;
        if external_id.as_deref().is_some_and(|id| {
            id.contains('/') || id.parse::<NodeId>().is_ok_and(|id| id.0.get_version_num() == 7)
        }) {
            return Err(fields.error("node_id", "must be the client's own name for the node, without a slash: ids (UUIDv7) are made here"));
        }
        // Paths of the API: a node of this name could not be asked for.
        if external_id.as_deref().is_some_and(|id| RESERVED_NAMES.contains(&id)) {
            return Err(fields
                .error("node_id", format!("must not be one of {}", RESERVED_NAMES.join(", "))));
        }
        let operator = fields.text("operator_id", NAME_LENGTH)?;
        let name = fields.text("name", NAME_LENGTH)?.or_else(|| external_id.clone()).or(operator);
        let name = fields.require("name", name)?;
        registration(fields, name, external_id, address(fields)?)
    }
}

/// A change of a node; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct UpdateNodeRequest {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Name>)]
    pub name: Option<String>,
    /// About it; an empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Description>)]
    pub description: Option<String>,
    /// How it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<NodeConfigRequest>,
}

impl Request for UpdateNodeRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = NodePatch;
    fn read(fields: &Fields<'_>) -> Result<NodePatch, FieldError> {
        Ok(NodePatch {
            name: fields.text("name", NAME_LENGTH)?,
            description: fields.text("description", DESCRIPTION_LENGTH)?,
            config: configuration(fields)?,
        })
    }
}

/// What a node's machine became; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangeMachineRequest {
    /// Where the node is reached: IPv4 or IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::IpAddress>)]
    pub ip_address: Option<String>,
    /// On which port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1024, maximum = 65535)]
    pub port: Option<u16>,
    /// What it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareBody>,
}

impl Request for ChangeMachineRequest {
    // An agent may be newer than the service.
    const IGNORES_UNKNOWN: bool = true;
    type Valid = MachinePatch;
    fn read(fields: &Fields<'_>) -> Result<MachinePatch, FieldError> {
        Ok(MachinePatch {
            ip: ip_address(fields)?,
            port: fields.integer("port", PORTS)?,
            hardware: hardware(fields)?,
        })
    }
}

/// A suspension.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SuspendNodeRequest {
    /// Why.
    #[schema(value_type = schema::Reason)]
    pub reason: String,
    /// For how long; absent: until it is lifted.
    #[schema(minimum = 1, maximum = 8760)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_hours: Option<u32>,
    /// Whether the owner is told.
    #[schema(default = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_user: Option<bool>,
}

impl Request for SuspendNodeRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = NewSuspension;
    fn read(fields: &Fields<'_>) -> Result<NewSuspension, FieldError> {
        Ok(NewSuspension {
            reason: fields.require("reason", fields.text("reason", 1..=500)?)?,
            hours: fields.integer("duration_hours", 1..=8760)?,
            notify_owner: fields.flag("notify_user")?.unwrap_or(true),
        })
    }
}

/// Both of address and port, or none.
fn address(fields: &Fields<'_>) -> Result<Option<NodeAddress>, FieldError> {
    match (ip_address(fields)?, fields.integer("port", PORTS)?) {
        (Some(ip), Some(port)) => Ok(Some(NodeAddress { ip, port })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(fields.error("port", "is required with ip_address")),
        (None, Some(_)) => Err(fields.error("ip_address", "is required with port")),
    }
}

fn ip_address(fields: &Fields<'_>) -> Result<Option<IpAddr>, FieldError> {
    let Some(text) = fields.string("ip_address")? else { return Ok(None) };
    text.parse()
        .map(Some)
        .map_err(|_| fields.error("ip_address", "must be an IPv4 or IPv6 address"))
}

#[cfg(test)]
mod tests;
