//! Merkle trees as in RFC 9162 (section 2.1): `leaf = sha256(0x00 ‖ data)`, `node = sha256(0x01 ‖
//! left ‖ right)`.

use sha2::{Digest as _, Sha256};

use crate::id::Digest;

/// The hash of one leaf's data.
pub fn leaf(data: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0]).chain_update(data).finalize().into())
}

/// The hash of two subtrees.
pub fn node(left: Digest, right: Digest) -> Digest {
    Digest(
        Sha256::new()
            .chain_update([1])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

/// The root over leaf hashes; of none it is the hash of the empty string, as the RFC says.
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(&[]),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(split_point(many.len()));
            node(root(left), root(right))
        }
    }
}

/// The largest power of two below `count` (which is at least 2).
fn split_point(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// The audit path of leaf `index`, from the leaf upwards; empty if `index` is out of range.
pub fn proof(leaves: &[Digest], index: usize) -> Vec<Digest> {
    if leaves.len() < 2 || index >= leaves.len() {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split_point(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (proof(left, index), root(right))
    } else {
        (proof(right, index - left.len()), root(left))
    };
    path.push(sibling);
    path
}

/// Whether `path` leads from `leaf` at `index` of `count` to `expected` (RFC 9162, 2.1.3.2).
pub fn verify(leaf: Digest, index: usize, count: usize, path: &[Digest], expected: Digest) -> bool {
    if index >= count {
        return false;
    }
    let (mut fnode, mut snode, mut hash) = (index, count - 1, leaf);
    for sibling in path {
        if snode == 0 {
            return false;
        }
        if fnode % 2 == 1 || fnode == snode {
            hash = node(*sibling, hash);
            while fnode.is_multiple_of(2) && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            hash = node(hash, *sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && hash == expected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn roots_are_those_of_the_certificate_transparency_test_vectors() {
        let data = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let leaves: Vec<_> = data.iter().map(|hex| leaf(&hex::decode(hex).unwrap())).collect();
        assert_eq!(
            root(&leaves[..1]).to_string(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            root(&leaves[..3]).to_string(),
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
        );
        assert_eq!(
            root(&leaves).to_string(),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
    }

    proptest! {
        #[test]
        fn a_proof_proves_its_leaf_and_no_other(count in 1_usize..70, pick in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
            let leaves: Vec<_> = (0..count).map(|i| leaf(&i.to_le_bytes())).collect();
            let (index, other) = (pick.index(count), other.index(count));
            let (path, root) = (proof(&leaves, index), root(&leaves));
            prop_assert!(verify(leaves[index], index, count, &path, root));
            prop_assert_eq!(verify(leaves[other], index, count, &path, root), other == index);
        }
    }
}
