use std::fmt;

use lucid_model::id::Digest;
use serde::{Deserialize, Serialize};

/// How many records, and the sum of their digests modulo 2²⁵⁶: the same for the same records in any
/// order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Records; of samples each sample, of scores each row.
    pub count: u64,
    limbs: [u64; 4],
}

impl Sum {
    pub fn add(&mut self, digest: Digest, weight: u64) {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(digest.0.as_chunks().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        self.merge(&Self { count: weight, limbs });
    }

    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        let mut carry = false;
        for (limb, more) in self.limbs.iter_mut().zip(other.limbs) {
            let (sum, first) = limb.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first || second);
        }
    }
}

impl fmt::Display for Sum {
    /// The digest, the most significant digit first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limbs.iter().rev().try_for_each(|limb| write!(f, "{limb:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_the_same_in_any_order_and_carries() {
        let digests = [Digest([0xff; 32]), Digest::of(b"a"), Digest::of(b"b")];
        let sum = |order: [usize; 3]| {
            let mut sum = Sum::default();
            order.into_iter().for_each(|place| sum.add(digests[place], 1));
            sum
        };
        assert_eq!(sum([0, 1, 2]), sum([2, 0, 1]));
        assert_ne!(sum([0, 1, 2]), sum([0, 1, 1]));
        let (mut carried, mut one) = (Sum::default(), [0; 32]);
        one[0] = 1;
        carried.add(digests[0], 1);
        carried.add(Digest(one), 1);
        assert_eq!(carried.to_string(), "0".repeat(64), "2²⁵⁶ − 1 and 1");
    }
}
