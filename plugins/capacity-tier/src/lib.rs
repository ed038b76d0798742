//! Three tiers of hardware: a node belongs to the highest one whose cores, memory and storage it all has.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        /// CPU cores as registered; 0 = not told.
        cores: Count = "cores",
        /// Memory as registered.
        memory: Bytes = "memory-bytes",
        /// Storage as registered.
        storage: Bytes = "storage-bytes",
    }
}

params! {
    /// What an operator may set.
    pub struct Settings {
        /// Multiplier of a node below the standard tier.
        small: Ppm = "small-multiplier", default 700_000, in 0..=10_000_000;
        /// Multiplier of the standard tier.
        standard: Ppm = "standard-multiplier", default 1_000_000, in 0..=10_000_000;
        /// Multiplier of the large tier.
        large: Ppm = "large-multiplier", default 1_300_000, in 0..=10_000_000;
        /// Cores of the standard tier.
        standard_cores: Count = "standard-cores", default 4, in 0..=1_024;
        /// Memory of the standard tier.
        standard_memory: Bytes = "standard-memory-bytes", default 8_000_000_000, in 0..=1_000_000_000_000_000;
        /// Storage of the standard tier.
        standard_storage: Bytes = "standard-storage-bytes", default 100_000_000_000, in 0..=1_000_000_000_000_000;
        /// Cores of the large tier.
        large_cores: Count = "large-cores", default 16, in 0..=1_024;
        /// Memory of the large tier.
        large_memory: Bytes = "large-memory-bytes", default 32_000_000_000, in 0..=1_000_000_000_000_000;
        /// Storage of the large tier.
        large_storage: Bytes = "large-storage-bytes", default 1_000_000_000_000, in 0..=1_000_000_000_000_000;
    }
}

/// The large tier asks for less than the standard one.
pub const TIERS_CROSSED: u32 = 1;

/// Weighs by hardware.
pub struct CapacityTier;

impl Scoring for CapacityTier {
    type Node = Node;
    type Params = Settings;

    fn check(settings: &Settings) -> Result<(), PolicyError> {
        let crossed = settings.large_cores < settings.standard_cores
            || settings.large_memory < settings.standard_memory
            || settings.large_storage < settings.standard_storage;
        if crossed {
            return Err(PolicyError::new(TIERS_CROSSED, "the large tier asks for less of something than the standard tier"));
        }
        Ok(())
    }

    fn score(ctx: &Context<Settings, Node>, node: &Node) -> Result<Score, PolicyError> {
        let Settings { small, standard, large, .. } = ctx.params;
        let has = |cores, memory, storage| node.cores >= cores && node.memory >= memory && node.storage >= storage;
        Ok(if has(ctx.params.large_cores, ctx.params.large_memory, ctx.params.large_storage) {
            Score::new(large).because("large tier")
        } else if has(ctx.params.standard_cores, ctx.params.standard_memory, ctx.params.standard_storage) {
            Score::new(standard).because("standard tier")
        } else {
            Score::new(small).because("small tier")
        })
    }
}

lucid_policy_sdk::scoring!(CapacityTier);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        assert!(golden::scoring::<CapacityTier>(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).unwrap() >= 4);
    }

    #[test]
    fn one_thing_too_little_is_the_lower_tier() {
        let call = native::Call::new()
            .column("cores", [16, 15, 16, 16])
            .column("memory-bytes", [32_000_000_000, 32_000_000_000, 31_999_999_999, 32_000_000_000])
            .column("storage-bytes", [1_000_000_000_000, 1_000_000_000_000, 1_000_000_000_000, 999_999_999_999]);
        assert_eq!(call.score::<CapacityTier>().unwrap().multipliers, [1_300_000, 1_000_000, 1_000_000, 1_000_000]);
    }
}
