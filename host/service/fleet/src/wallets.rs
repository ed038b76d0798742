//! Where a node's earnings go, and who may change it: whoever holds the node's key, or an owner and
//! a treasurer together.

use lucid_foundation::{Actor, Role, ServiceError};
use lucid_model::{
    fleet::{
        node::{Node, PayoutHold, Wallet, WalletWish},
        statement,
    },
    id::NodeId,
    money::tron::TronAddress,
    notifications::event::EventKind,
    time::TimeMs,
};
use lucid_ports::Newcomer;

use crate::{Fleet, NodeView, nodes::Change};

fn replaces(node: &Node) -> u32 {
    node.wallet.map_or(0, |wallet| wallet.version)
}

fn set(node: &mut Node, address: TronAddress, now: TimeMs) {
    node.wallet = Some(Wallet { address, version: replaces(node) + 1, since: now });
    node.wallet_wish = None;
    node.updated_at = now;
}

impl Fleet {
    /// Changes the wallet of a node: at once if the node's key signed it ([`statement::wallet`]),
    /// else it waits for a treasurer.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller is not the owner, the signature is wrong, or too many nodes
    /// have the wallet.
    pub async fn set_wallet(
        &self,
        actor: &Actor,
        id: NodeId,
        address: TronAddress,
        signature: Option<&[u8]>,
    ) -> Result<NodeView, ServiceError> {
        let node = self.live_node(id).await?;
        if actor.node.is_some() || node.owner != actor.user || !actor.is(Role::Owner) {
            return Err(ServiceError::Forbidden {
                why: "only the node's owner says where its earnings go",
            });
        }
        actor.expects("node", node.version)?;
        if node.wallet.is_some_and(|w| w.address == address) {
            return self.with_live(vec![node]).await?.pop().ok_or(ServiceError::no("node"));
        }
        self.check_wallet_cap(&node, address).await?;
        let version = replaces(&node);
        let Some(signature) = signature else {
            return self.wish_wallet(actor, id, address).await;
        };
        let key = node
            .public_key
            .ok_or(ServiceError::Unproven { why: "the node has no key that could sign" })?;
        if !statement::verify(key, &statement::wallet(id, &address, version), signature) {
            return Err(ServiceError::Unproven {
                why: "the change is not signed by the node's key for the wallet's present version",
            });
        }
        let told = Change {
            detail: format!("to {address}, signed by the node's key"),
            ..Change::of("node.set_wallet")
        };
        let (_, view) = self
            .change_node(actor, id, told, |node, now| {
                if replaces(node) != version || node.public_key != Some(key) {
                    return Err(ServiceError::Changed { what: "node's wallet or key" });
                }
                set(node, address, now);
                Ok(())
            })
            .await?;
        self.publish_wallet(&view.node);
        Ok(view)
    }

    async fn wish_wallet(
        &self,
        actor: &Actor,
        id: NodeId,
        address: TronAddress,
    ) -> Result<NodeView, ServiceError> {
        let told = Change {
            detail: format!("to {address}: waits for a treasurer"),
            ..Change::of("node.wish_wallet")
        };
        let (_, view) = self
            .change_node(actor, id, told, |node, now| {
                node.wallet_wish = Some(WalletWish { address, at: now, by: actor.subject.clone() });
                node.updated_at = now;
                Ok(())
            })
            .await?;
        Ok(view)
    }

    /// Lets a wallet that was asked for take effect; the approver names it, so that nothing else is
    /// approved.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller is no treasurer, or asked for it itself, or another address
    /// or none waits.
    pub async fn approve_wallet(
        &self,
        actor: &Actor,
        id: NodeId,
        address: TronAddress,
    ) -> Result<NodeView, ServiceError> {
        if !actor.is(Role::Treasurer) {
            return Err(ServiceError::Forbidden { why: "this needs role treasurer" });
        }
        let node = self.live_node(id).await?;
        self.check_wallet_cap(&node, address).await?;
        // The treasurer acts on a record that only its owner or an operator may change otherwise.
        let hand = Actor { roles: vec![Role::Operator], ..actor.clone() };
        let told = Change {
            detail: format!("to {address}, approved"),
            ..Change::of("node.approve_wallet")
        };
        let (_, view) = self
            .change_node(&hand, id, told, |node, now| {
                let wish = node
                    .wallet_wish
                    .as_ref()
                    .filter(|wish| wish.address == address)
                    .ok_or(ServiceError::Changed { what: "wallet asked for" })?;
                if self.parts.rules.four_eyes && wish.by == actor.subject {
                    return Err(ServiceError::Forbidden {
                        why: "who asked for a wallet cannot approve it",
                    });
                }
                set(node, address, now);
                Ok(())
            })
            .await?;
        self.publish_wallet(&view.node);
        Ok(view)
    }

    async fn check_wallet_cap(
        &self,
        node: &Node,
        address: TronAddress,
    ) -> Result<(), ServiceError> {
        let newcomer = Newcomer { wallet: Some(address), ip: None, ..Newcomer::of(node) };
        let siblings = self.parts.nodes.count_siblings(newcomer, Some(node.id)).await?;
        let only_wallet = lucid_model::fleet::node::NodeCaps {
            per_wallet: self.config.caps.per_wallet,
            ..Default::default()
        };
        only_wallet
            .reached(None, &siblings)
            .map_or(Ok(()), |cap| Err(ServiceError::CapReached(cap)))
    }

    fn publish_wallet(&self, node: &Node) {
        if let Some(wallet) = node.wallet {
            self.parts.notifications.emit(EventKind::WalletChanged {
                node: node.id,
                address: wallet.address.to_string(),
                version: wallet.version,
            });
        }
    }

    /// Why a node is not paid now, whatever it has.
    pub fn payout_hold(&self, node: &Node) -> Option<PayoutHold> {
        node.payout_hold(self.parts.clock.now(), self.config.wallet_cooldown_ms)
    }
}
