//! Nodes, within what the caller may see.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::node::{Node, NodeStatus, PayoutHold},
    id::NodeId,
};
use lucid_ports::{LiveState, NodeFilter, NodeSort, Page, PageRequest};

use crate::Fleet;

/// A node with what changes with every report.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The record.
    pub node: Node,
    /// Its last report, if it ever made one.
    pub live: Option<LiveState>,
    /// Why it is not paid now, whatever it has.
    pub hold: Option<PayoutHold>,
}

impl Fleet {
    /// A node that was not deregistered.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if there is none.
    pub async fn live_node(&self, id: NodeId) -> Result<Node, ServiceError> {
        let node = self.parts.nodes.node(id).await?.filter(Node::is_live);
        node.ok_or(ServiceError::no("node"))
    }

    /// The node that a text names: by its id, or by what an older client calls it. Ids that are
    /// made here are UUIDv7; whether there is such a node is asked with what is done with it.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if it names none.
    pub async fn find_node(&self, name: &str) -> Result<NodeId, ServiceError> {
        let id = name.parse::<NodeId>().ok();
        if let Some(id) = id.filter(|id| id.0.get_version_num() == 7) {
            return Ok(id);
        }
        let known = self.parts.nodes.node_by_external_id(name).await?.map(|node| node.id);
        known.or(id).ok_or(ServiceError::no("node"))
    }

    /// A node that the caller may see.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], or [`ServiceError::Forbidden`] if it is another's.
    pub async fn node(&self, actor: &Actor, id: NodeId) -> Result<NodeView, ServiceError> {
        let node = self.live_node(id).await?;
        if !actor.sees(node.owner, node.id) {
            return Err(ServiceError::Forbidden { why: "the node is another's" });
        }
        self.with_live(vec![node]).await?.pop().ok_or(ServiceError::no("node"))
    }

    /// A page of the nodes the caller may see.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn nodes(
        &self,
        actor: &Actor,
        mut filter: NodeFilter,
        page: PageRequest<NodeSort>,
    ) -> Result<Page<NodeView>, ServiceError> {
        if !actor.sees_all() {
            filter.owner = Some(actor.user);
        }
        let Page { items, total } = self.parts.nodes.nodes(&filter, page).await?;
        Ok(Page { items: self.with_live(items).await?, total })
    }

    pub(crate) async fn with_live(&self, nodes: Vec<Node>) -> Result<Vec<NodeView>, ServiceError> {
        let ids: Vec<_> = nodes.iter().map(|n| n.id).collect();
        let live = self.parts.reports.live_states(&ids).await?;
        Ok(nodes
            .into_iter()
            .zip(live)
            .map(|(node, live)| NodeView { hold: self.payout_hold(&node), node, live })
            .collect())
    }

    /// A node that the caller sees.
    ///
    /// # Errors
    /// [`ServiceError`] if it is unknown or another's.
    pub async fn seen_node(&self, actor: &Actor, id: NodeId) -> Result<Node, ServiceError> {
        let node = self.parts.nodes.node(id).await?.ok_or(ServiceError::no("node"))?;
        if actor.sees(node.owner, id) {
            Ok(node)
        } else {
            Err(ServiceError::Forbidden { why: "the node is another's" })
        }
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn ready(&self) -> Result<(), ServiceError> {
        self.parts.nodes.count_by_status().await.map(|_| ()).map_err(ServiceError::from)
    }

    /// Nodes by status.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn count_by_status(&self) -> Result<Vec<(NodeStatus, u64)>, ServiceError> {
        Ok(self.parts.nodes.count_by_status().await?)
    }
}
