//! Takes memory and touches it until the host gives no more, then traps.

use core::hint::black_box;

use lucid_policy_sdk::prelude::*;

const BLOCK_BYTES: usize = 256 * 1024;

/// Hoards.
pub struct MemoryHog;

impl Scoring for MemoryHog {
    type Node = ();
    type Params = ();

    fn score(_: &Context<()>, (): &()) -> Result<Score, PolicyError> {
        let mut hoard = Vec::new();
        while black_box(true) {
            hoard.push(black_box(vec![0xA5_u8; BLOCK_BYTES]));
        }
        Ok(Score::new(Ppm::ONE))
    }
}

lucid_policy_sdk::scoring!(MemoryHog);
