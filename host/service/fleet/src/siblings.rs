use std::{collections::HashMap, net::IpAddr};

use lucid_model::{
    epochs::facts::{Fact, FactRow},
    fleet::node::{Node, network_of},
    id::UserId,
    money::tron::TronAddress,
};

/// What a node may share with others.
#[derive(Debug, Clone, Copy)]
pub struct SharedTraits {
    owner: UserId,
    ip: Option<IpAddr>,
    wallet: Option<TronAddress>,
}

impl SharedTraits {
    pub fn of(node: &Node) -> Self {
        Self {
            owner: node.owner,
            ip: node.address.map(|address| address.ip),
            wallet: node.wallet.as_ref().map(|wallet| wallet.address),
        }
    }
}

/// How many live nodes share an owner, an address, a network, a wallet.
#[derive(Default)]
pub struct Siblings {
    owners: HashMap<UserId, u64>,
    addresses: HashMap<IpAddr, u64>,
    networks: HashMap<String, u64>,
    wallets: HashMap<TronAddress, u64>,
}

impl Siblings {
    pub fn count(fleet: &[Node]) -> Self {
        let mut counts = Self::default();
        fleet.iter().for_each(|node| counts.add(&SharedTraits::of(node)));
        counts
    }

    pub fn add(&mut self, traits: &SharedTraits) {
        *self.owners.entry(traits.owner).or_default() += 1;
        if let Some(ip) = traits.ip {
            *self.addresses.entry(ip.to_canonical()).or_default() += 1;
            *self.networks.entry(network_of(ip)).or_default() += 1;
        }
        if let Some(wallet) = traits.wallet {
            *self.wallets.entry(wallet).or_default() += 1;
        }
    }

    /// Each counts the node itself; one that says no address or has no wallet is alone.
    pub fn facts(&self, traits: &SharedTraits, row: &mut FactRow) {
        let found = [
            (Fact::NodesSameOwner, self.owners.get(&traits.owner)),
            (Fact::NodesSameIp, traits.ip.and_then(|ip| self.addresses.get(&ip.to_canonical()))),
            (Fact::NodesSameSubnet, traits.ip.and_then(|ip| self.networks.get(&network_of(ip)))),
            (Fact::NodesSameWallet, traits.wallet.and_then(|wallet| self.wallets.get(&wallet))),
        ];
        for (fact, count) in found {
            row.set_u64(fact, count.copied().unwrap_or(1));
        }
    }
}
