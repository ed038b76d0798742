//! The chain as a function of time: a height, and identifiers derived from it.
//!
//! Nothing here is stored, so every instance names the same block for the same height.

use serde::Serialize;

use crate::digest::sha256_hex;

const BLOCK_ID_PREFIX: &str = "sandbox-";
const BLOCK_ID_DIGEST_CHARS: usize = 16;

/// One block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Block {
    pub(crate) block_id: String,
    pub(crate) block_hash: String,
    pub(crate) height: u64,
}

/// The block at a height.
pub(crate) fn block_at(height: u64) -> Block {
    let digest: String =
        sha256_hex(format!("block id {height}")).chars().take(BLOCK_ID_DIGEST_CHARS).collect();
    Block {
        block_id: format!("{BLOCK_ID_PREFIX}{height}-{digest}"),
        block_hash: sha256_hex(format!("block hash {height}")),
        height,
    }
}

/// The height at a moment: whole block intervals since the Unix epoch.
pub(crate) fn height_at(now_ms: i64, block_interval_ms: i64) -> u64 {
    u64::try_from(now_ms / block_interval_ms.max(1)).unwrap_or(0)
}

/// The block that a block id names, if it is one of this chain's.
pub(crate) fn block_named(block_id: &str) -> Option<Block> {
    let (height, _) = block_id.strip_prefix(BLOCK_ID_PREFIX)?.split_once('-')?;
    let block = block_at(height.parse().ok()?);
    (block.block_id == block_id).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::{block_at, block_named, height_at};

    #[test]
    fn a_height_always_has_the_same_block() {
        assert_eq!(block_at(7), block_at(7));
        assert_ne!(block_at(7).block_id, block_at(8).block_id);
        assert_eq!(block_at(7).block_hash.len(), 64);
    }

    #[test]
    fn height_grows_by_one_per_interval() {
        assert_eq!(height_at(2_999, 3_000), 0);
        assert_eq!(height_at(3_000, 3_000), 1);
        assert_eq!(height_at(-1, 3_000), 0);
    }

    #[test]
    fn only_a_block_id_of_this_chain_names_a_block() {
        let block = block_at(42);
        assert_eq!(block_named(&block.block_id), Some(block));
        assert_eq!(block_named("sandbox-42-0000000000000000"), None);
        assert_eq!(block_named("42"), None);
    }
}
