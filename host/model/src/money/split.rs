//! Sharing a budget: largest remainder in u128, then caps, then what the caps cut off is shared
//! again.
//!
//! Invariant I13: the shares and the remainder add up to the budget, exactly.

use crate::{
    canonical::Canonical,
    epochs::score::Ppm,
    id::{Digest, NodeId, PoolScope},
    money::MicroUsdt,
};

/// What may claim a part of a budget: a node, or a pool.
pub trait Claimant: Copy {
    /// What ties are broken by.
    fn bytes(self) -> [u8; 16];
}

impl Claimant for NodeId {
    fn bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl Claimant for PoolScope {
    fn bytes(self) -> [u8; 16] {
        PoolScope::bytes(self)
    }
}

/// A claim on a part of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<C> {
    pub by: C,
    /// Its weight; 0 = nothing.
    pub weight: u64,
    /// The most it may get; none = no cap.
    pub cap: Option<MicroUsdt>,
}

/// How a budget was shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    /// In the order of the claims.
    pub shares: Vec<MicroUsdt>,
    /// What nobody could take: back to the treasury.
    pub remainder: MicroUsdt,
}

/// A budget that is negative.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a budget of {budget} USDT cannot be shared")]
pub struct BadBudget {
    /// The refused budget.
    pub budget: MicroUsdt,
}

/// Fewer payees than this and the share cap does not apply: it could never be kept.
pub const PAYEES_FOR_SHARE_CAP_MIN: usize = 4;

/// Adds the cap on one payee's part of the budget (`PAYEE_SHARE_MAX_PPM`) to the claims' own caps.
///
/// # Errors
/// [`crate::money::MoneyError`] if the cap cannot be represented.
pub fn cap_shares(
    claims: &mut [Claim<NodeId>],
    budget: MicroUsdt,
    share_max: Ppm,
) -> Result<(), crate::money::MoneyError> {
    if claims.iter().filter(|c| c.weight > 0).count() >= PAYEES_FOR_SHARE_CAP_MIN {
        let most = budget.checked_mul_ppm_floor(share_max.0)?;
        claims.iter_mut().for_each(|c| c.cap = Some(c.cap.map_or(most, |cap| cap.min(most))));
    }
    Ok(())
}

/// Shares `budget` among `claims` by the largest remainder; left-over micro-units go one each to
/// the largest remainders, ties by a hash of period and claimant.
///
/// # Errors
/// [`BadBudget`] if the budget is negative.
pub fn split_largest_remainder<C: Claimant>(
    budget: MicroUsdt,
    claims: &[Claim<C>],
    period_start_s: i64,
) -> Result<Shares, BadBudget> {
    let mut left = u64::try_from(budget.0).map_err(|_| BadBudget { budget })?;
    let mut shares = vec![0_u64; claims.len()];
    let room = |claim: &Claim<C>, share: u64| {
        claim.cap.map_or(u64::MAX, |cap| u64::try_from(cap.0).unwrap_or(0)).saturating_sub(share)
    };
    // Each round either hands everything out or fills at least one cap, so there are at most as
    // many as claims.
    while left > 0 {
        let open: Vec<usize> = claims
            .iter()
            .zip(&shares)
            .enumerate()
            .filter(|(_, (c, s))| c.weight > 0 && room(c, **s) > 0)
            .map(|(i, _)| i)
            .collect();
        if open.is_empty() {
            break;
        }
        let mut handed_out = 0;
        for (place, share) in round(left, claims, &open, period_start_s) {
            if let (Some(claim), Some(slot)) = (claims.get(place), shares.get_mut(place)) {
                let taken = share.min(room(claim, *slot));
                *slot += taken;
                handed_out += taken;
            }
        }
        left -= handed_out;
    }
    let to_money = |micro: u64| MicroUsdt(i64::try_from(micro).unwrap_or(budget.0));
    Ok(Shares { shares: shares.into_iter().map(to_money).collect(), remainder: to_money(left) })
}

/// One round over the claims that are `open`: place and share of each, together exactly `budget`.
fn round<C: Claimant>(
    budget: u64,
    claims: &[Claim<C>],
    open: &[usize],
    period_start_s: i64,
) -> Vec<(usize, u64)> {
    let open: Vec<(usize, Claim<C>)> =
        open.iter().filter_map(|i| claims.get(*i).map(|c| (*i, *c))).collect();
    let sum: u128 = open.iter().map(|(_, c)| u128::from(c.weight)).sum();
    let mut parts: Vec<(usize, u64, u128, Digest)> = open
        .iter()
        .map(|(place, claim)| {
            let product = u128::from(budget) * u128::from(claim.weight);
            // A quotient by a sum that contains the weight is at most the budget.
            (
                *place,
                u64::try_from(product / sum).unwrap_or(budget),
                product % sum,
                tie_break(period_start_s, claim.by),
            )
        })
        .collect();
    parts.sort_unstable_by(|a, b| b.2.cmp(&a.2).then(a.3.cmp(&b.3)));
    let over = budget - parts.iter().map(|p| p.1).sum::<u64>();
    parts.iter_mut().zip(0..over).for_each(|(part, _)| part.1 += 1);
    parts.into_iter().map(|(place, share, ..)| (place, share)).collect()
}

fn tie_break(period_start_s: i64, by: impl Claimant) -> Digest {
    Digest::of(&Canonical::tagged("lucid/v1/split").i64(period_start_s).fixed(&by.bytes()).finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims(list: &[(u64, Option<i64>)]) -> Vec<Claim<NodeId>> {
        (1_u128..)
            .zip(list)
            .map(|(i, (weight, cap))| Claim {
                by: NodeId(uuid::Uuid::from_u128(i)),
                weight: *weight,
                cap: cap.map(MicroUsdt),
            })
            .collect()
    }
    fn shared(budget: i64, list: &[(u64, Option<i64>)]) -> (Vec<i64>, i64) {
        let shares = split_largest_remainder(MicroUsdt(budget), &claims(list), 0).unwrap();
        (shares.shares.iter().map(|s| s.0).collect(), shares.remainder.0)
    }

    #[test]
    fn the_largest_remainders_take_what_is_left_over() {
        assert_eq!(shared(10, &[(6, None), (3, None), (1, None)]), (vec![6, 3, 1], 0));
        assert_eq!(shared(100, &[(2, None), (1, None)]), (vec![67, 33], 0));
    }

    #[test]
    fn what_a_cap_cuts_off_is_shared_again() {
        assert_eq!(shared(100, &[(8, Some(10)), (1, None), (1, None)]), (vec![10, 45, 45], 0));
        assert_eq!(shared(100, &[(1, Some(10)), (1, Some(20))]), (vec![10, 20], 70));
    }

    #[test]
    fn without_weights_everything_goes_back() {
        assert_eq!(shared(100, &[(0, None), (0, None)]), (vec![0, 0], 100));
        assert!(split_largest_remainder::<NodeId>(MicroUsdt(-1), &[], 0).is_err());
    }

    #[test]
    fn the_share_cap_needs_four_payees() {
        let mut three = claims(&[(1, None); 3]);
        cap_shares(&mut three, MicroUsdt(100), Ppm(250_000)).unwrap();
        assert!(three.iter().all(|c| c.cap.is_none()));
        let mut four = claims(&[(1, None); 4]);
        cap_shares(&mut four, MicroUsdt(100), Ppm(250_000)).unwrap();
        assert!(four.iter().all(|c| c.cap == Some(MicroUsdt(25))));
    }

    proptest! {
        #[test]
        fn shares_and_remainder_are_the_budget(
            budget in 0_i64..=i64::MAX,
            list in prop::collection::vec((any::<u64>(), prop::option::of(0_i64..=i64::MAX)), 0..40),
            period in any::<i64>(),
        ) {
            let claims = claims(&list);
            let result = split_largest_remainder(MicroUsdt(budget), &claims, period).unwrap();
            let sum: i128 = result.shares.iter().map(|s| i128::from(s.0)).sum();
            prop_assert_eq!(sum + i128::from(result.remainder.0), i128::from(budget));
            for (claim, share) in claims.iter().zip(&result.shares) {
                prop_assert!(share.0 >= 0 && claim.cap.is_none_or(|cap| *share <= cap) && (claim.weight > 0 || share.0 == 0));
            }
            if claims.iter().any(|c| c.weight > 0 && c.cap.is_none()) {
                prop_assert_eq!(result.remainder.0, 0);
            }
        }

        #[test]
        fn the_order_of_claims_changes_no_share(weights in prop::collection::vec(0_u64..100, 1..20), budget in 0_i64..10_000) {
            let forward = claims(&weights.iter().map(|w| (*w, None)).collect::<Vec<_>>());
            let mut backward = forward.clone();
            backward.reverse();
            let one = split_largest_remainder(MicroUsdt(budget), &forward, 9).unwrap();
            let mut other = split_largest_remainder(MicroUsdt(budget), &backward, 9).unwrap();
            other.shares.reverse();
            prop_assert_eq!(one, other);
        }
    }
}
