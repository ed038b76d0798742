//! Identifiers derived by SHA-256, so that the same input has the same identifier everywhere.

use sha2::{Digest as _, Sha256};

const SHORT_ID_CHARS: usize = 32;

/// SHA-256 as 64 lower-case hex digits.
pub(crate) fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The transaction id of a payout's transfer; a second transfer for the same payout has another
/// one.
pub(crate) fn transaction_id(payout_id: &str, copy: i64) -> String {
    let digest =
        if copy == 0 { sha256_hex(payout_id) } else { sha256_hex(format!("{payout_id}#{copy}")) };
    format!("sandbox-{digest}")
}

/// The identifier the service itself gives a transfer.
pub(crate) fn external_id(payout_id: &str, copy: i64) -> String {
    format!("sbx-{}", short(&format!("transfer {copy} {payout_id}")))
}

/// The identifier the service gives a vote.
pub(crate) fn vote_id(node_id: &str, block_id: &str, copy: i64) -> String {
    format!("vote-{}", short(&format!("vote {copy} {}:{node_id} {block_id}", node_id.len())))
}

fn short(text: &str) -> String {
    sha256_hex(text).chars().take(SHORT_ID_CHARS).collect()
}
