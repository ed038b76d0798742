//! What a node's machine became after its registration: another address, other hardware.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::{
        commands::{MachinePatch, NewNode},
        node::{Hardware, Node, NodeAddress},
    },
    id::NodeId,
};
use lucid_ports::{Newcomer, RegisterConflict};

use crate::{Fleet, NodeView, nodes::Change};

/// The address of a node that had another one, or none.
fn address(
    machine: &MachinePatch,
    before: Option<NodeAddress>,
) -> Result<Option<NodeAddress>, ServiceError> {
    let ip = machine.ip.or(before.map(|before| before.ip));
    match (ip, machine.port.or(before.map(|before| before.port))) {
        (Some(ip), Some(port)) => Ok(Some(NodeAddress { ip, port })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(ServiceError::invalid("port", "is required: the node has no address yet"))
        }
        (None, Some(_)) => {
            Err(ServiceError::invalid("ip_address", "is required: the node has no address yet"))
        }
    }
}

impl Fleet {
    /// Takes a changed machine, if a node could register with it: the same caps and the same policy
    /// judge it.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, another node is at the address, a cap is reached or
    /// the policy refuses.
    pub async fn change_machine(
        &self,
        actor: &Actor,
        id: NodeId,
        machine: MachinePatch,
    ) -> Result<NodeView, ServiceError> {
        let before = self.live_node(id).await?;
        if !actor.speaks_for(&before) {
            return Err(ServiceError::Forbidden {
                why: "the node is another's, or the role may not change nodes",
            });
        }
        actor.expects("node", before.version)?;
        let becomes = |node: &Node| -> Result<_, ServiceError> {
            Ok((address(&machine, node.address)?, machine.hardware.or(node.hardware)))
        };
        let (address, hardware) = becomes(&before)?;
        if (address, hardware) == (before.address, before.hardware) {
            return self.with_live(vec![before]).await?.pop().ok_or(ServiceError::no("node"));
        }
        self.judge_machine(&before, address, hardware).await?;
        let owner = actor.as_owner_of(&before);
        let changed = self
            .change_node(&owner, id, Change::of("node.machine"), |node, now| {
                (node.address, node.hardware) = becomes(node)?;
                node.updated_at = now;
                Ok(())
            })
            .await;
        match changed {
            // Nobody changed the node: what was in the way is another one at the address.
            Err(ServiceError::Changed { .. })
                if self
                    .parts
                    .nodes
                    .node(id)
                    .await?
                    .is_some_and(|node| node.version == before.version) =>
            {
                Err(ServiceError::AlreadyRegistered {
                    conflict: RegisterConflict::Address,
                    own: None,
                })
            }
            other => other.map(|(_, view)| view),
        }
    }

    async fn judge_machine(
        &self,
        node: &Node,
        address: Option<NodeAddress>,
        hardware: Option<Hardware>,
    ) -> Result<(), ServiceError> {
        let ip = address.map(|address| address.ip);
        let newcomer =
            Newcomer { owner: node.owner, ip, wallet: node.wallet.map(|wallet| wallet.address) };
        let siblings = self.parts.nodes.count_siblings(newcomer, Some(node.id)).await?;
        if let Some(cap) = self
            .config
            .caps
            .reached(ip, &siblings)
            .filter(|_| ip != node.address.map(|address| address.ip))
        {
            return Err(ServiceError::CapReached(cap));
        }
        let claim = NewNode {
            name: node.name.clone(),
            description: None,
            address,
            config: node.config,
            public_key: node.public_key,
            wallet: newcomer.wallet,
            hardware,
            external_id: None,
        };
        self.judge_registration(&claim, siblings).await
    }
}
