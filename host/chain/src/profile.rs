//! What differs between the blockchain services of the network.

use lucid_model::consensus::BlockRef;
use serde::Deserialize;

/// A blockchain service's manners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainProfile {
    /// As in the configuration.
    pub name: &'static str,
    /// Which field of a block has its hash.
    pub hash: HashField,
    /// Where blocks are listed, newest first, if there may be no route for the newest one.
    pub list: Option<&'static str>,
    /// Whether it can be asked what became of a vote; if not, its answer to the vote is all that it
    /// says.
    pub polls: bool,
    /// Whether it takes abstentions; if not, who does not vote abstains.
    pub abstentions: bool,
}

/// Which field of a block has its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashField {
    /// `block_hash`
    BlockHash,
    /// `hash`
    Hash,
}

#[derive(Deserialize)]
struct Block {
    #[serde(default)]
    block_id: String,
    block_hash: Option<String>,
    hash: Option<String>,
}

#[derive(Deserialize)]
struct Blocks {
    blocks: Vec<Block>,
}

/// One block, or a list of them with the newest first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Newest {
    Listed(Blocks),
    Alone(Block),
}

impl ChainProfile {
    /// The default: a block has `block_hash`, votes are polled, `abstain` is a vote.
    pub const LUCID: Self = Self {
        name: "lucid",
        hash: HashField::BlockHash,
        list: None,
        polls: true,
        abstentions: true,
    };

    /// The network's own blockchain service: a block has `hash`; a vote approves or rejects, is
    /// answered once, and its id is not unique. Its route for the newest block is hidden behind the
    /// one for a block by id, so that the list is asked.
    pub const BLOCKCHAIN_CORE: Self = Self {
        name: "blockchain-core",
        hash: HashField::Hash,
        list: Some("/api/v1/blocks/?page=1&limit=1&sort=height_desc"),
        polls: false,
        abstentions: false,
    };

    pub const ALL: [Self; 2] = [Self::LUCID, Self::BLOCKCHAIN_CORE];

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The block that an answer names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn block(&self, body: &[u8]) -> Result<BlockRef, String> {
        let newest = serde_json::from_slice(body)
            .map_err(|_| "the answer is neither a block nor a list of blocks".to_owned())?;
        let block = match newest {
            Newest::Alone(block) => block,
            Newest::Listed(Blocks { blocks }) => {
                blocks.into_iter().next().ok_or("the chain has no block")?
            }
        };
        let (name, hash, other) = match self.hash {
            HashField::BlockHash => ("block_hash", block.block_hash, block.hash),
            HashField::Hash => ("hash", block.hash, block.block_hash),
        };
        let hash = hash.filter(|hash| !hash.is_empty());
        match (hash, other) {
            (Some(hash), _) if !block.block_id.is_empty() => {
                Ok(BlockRef { id: block.block_id, hash })
            }
            (Some(_), _) => Err("the block has no block_id".into()),
            (None, Some(_)) => Err(format!(
                "the block has no {name}, as profile {} wants it: set BLOCKCHAIN_PROFILE to the service's",
                self.name
            )),
            (None, None) => Err(format!("the block has no {name}")),
        }
    }
}
