//! Stateless login challenges, authenticated with an HMAC. The service stores none, so nobody can
//! fill its memory with them, and every replica with the key accepts a challenge that another
//! replica issued.

use std::fmt;

use crate::{
    canonical::Canonical,
    id::NodeId,
    notifications::webhook::{hmac_sha256, is_same},
    time::TimeMs,
};

/// Bytes of expiry, randomness and code.
const EXPIRY_BYTES: usize = 8;
const RANDOM_BYTES: usize = 16;
const CODE_BYTES: usize = 16;

/// What challenges are sealed with; all replicas of a store have the same.
#[derive(Clone)]
pub struct ChallengeKey([u8; 32]);

impl fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeKey")
    }
}

impl ChallengeKey {
    /// The key that follows from the secret that node tokens are signed with: who has one has the
    /// other.
    pub fn of_secret(secret: &str) -> Self {
        Self(hmac_sha256(secret.as_bytes(), b"lucid/v1/challenge-key"))
    }

    /// A challenge for a node, good until an instant: hex of expiry, randomness and code.
    pub fn seal(&self, node: NodeId, expires_at: TimeMs, random: [u8; RANDOM_BYTES]) -> String {
        let expiry = expires_at.0.to_be_bytes();
        let code = self.code(node, expiry, random);
        hex::encode([&expiry[..], &random[..], &code[..]].concat())
    }

    /// Until when a challenge is good; none if this key did not seal it, or sealed it for another
    /// node.
    pub fn open(&self, node: NodeId, challenge: &str) -> Option<TimeMs> {
        let mut bytes = [0; EXPIRY_BYTES + RANDOM_BYTES + CODE_BYTES];
        hex::decode_to_slice(challenge, &mut bytes).ok()?;
        let (expiry, rest) = bytes.split_first_chunk::<EXPIRY_BYTES>()?;
        let (random, code) = rest.split_first_chunk::<RANDOM_BYTES>()?;
        is_same(&self.code(node, *expiry, *random), code)
            .then(|| TimeMs(i64::from_be_bytes(*expiry)))
    }

    fn code(
        &self,
        node: NodeId,
        expiry: [u8; EXPIRY_BYTES],
        random: [u8; RANDOM_BYTES],
    ) -> [u8; CODE_BYTES] {
        let sealed = Canonical::tagged("lucid/v1/challenge-seal")
            .fixed(node.0.as_bytes())
            .fixed(&expiry)
            .fixed(&random)
            .finish();
        let mut code = [0; CODE_BYTES];
        code.iter_mut().zip(hmac_sha256(&self.0, &sealed)).for_each(|(to, from)| *to = from);
        code
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NODE: NodeId = NodeId(Uuid::from_u128(7));

    #[test]
    fn a_challenge_opens_for_its_node_with_its_key_and_says_when_it_ends() {
        let key = ChallengeKey::of_secret("secret");
        let challenge = key.seal(NODE, TimeMs(1_790_000_000_000), [3; 16]);
        assert_eq!(key.open(NODE, &challenge), Some(TimeMs(1_790_000_000_000)));
        assert_eq!(
            ChallengeKey::of_secret("secret").open(NODE, &challenge),
            Some(TimeMs(1_790_000_000_000)),
            "on another replica"
        );
        assert_eq!(key.open(NodeId(Uuid::from_u128(8)), &challenge), None);
        assert_eq!(ChallengeKey::of_secret("another").open(NODE, &challenge), None);
    }

    #[test]
    fn a_challenge_with_any_digit_changed_does_not_open() {
        let key = ChallengeKey::of_secret("secret");
        let challenge = key.seal(NODE, TimeMs(1_790_000_000_000), [3; 16]);
        for at in 0..challenge.len() {
            let mut changed = challenge.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(key.open(NODE, std::str::from_utf8(&changed).unwrap()), None, "digit {at}");
        }
        assert_eq!(key.open(NODE, &challenge[1..]), None);
        assert_eq!(key.open(NODE, ""), None);
    }
}
