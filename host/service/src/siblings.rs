use std::{collections::HashMap, net::IpAddr};

use lucid_model::{
    facts::{Fact, FactRow},
    id::UserId,
    node::{Node, network_of},
};

/// How many live nodes share an owner, an address, a network, a wallet.
#[derive(Default)]
pub(crate) struct Siblings {
    owners: HashMap<UserId, u64>,
    addresses: HashMap<IpAddr, u64>,
    networks: HashMap<String, u64>,
    wallets: HashMap<String, u64>,
}

impl Siblings {
    pub(crate) fn count(fleet: &[Node]) -> Self {
        let mut counts = Self::default();
        for node in fleet {
            *counts.owners.entry(node.owner).or_default() += 1;
            if let Some(address) = node.address {
                *counts.addresses.entry(address.ip.to_canonical()).or_default() += 1;
                *counts.networks.entry(network_of(address.ip)).or_default() += 1;
            }
            if let Some(wallet) = &node.wallet {
                *counts.wallets.entry(wallet.address.to_string()).or_default() += 1;
            }
        }
        counts
    }

    /// Each counts the node itself; one that says no address or has no wallet is alone.
    pub(crate) fn facts(&self, node: &Node, row: &mut FactRow) {
        let ip = node.address.map(|address| address.ip);
        let found = [
            (Fact::NodesSameOwner, self.owners.get(&node.owner)),
            (Fact::NodesSameIp, ip.and_then(|ip| self.addresses.get(&ip.to_canonical()))),
            (Fact::NodesSameSubnet, ip.and_then(|ip| self.networks.get(&network_of(ip)))),
            (Fact::NodesSameWallet, node.wallet.as_ref().and_then(|wallet| self.wallets.get(&wallet.address.to_string()))),
        ];
        for (fact, count) in found {
            row.set_u64(fact, count.copied().unwrap_or(1));
        }
    }
}
