//! Hardware as registered, against limits with a tolerance: a vendor's "1 TB" is not everybody's.

use core::fmt::Display;

use lucid_policy_sdk::prelude::*;

use crate::{Registration, Settings};

/// The first thing wrong with the hardware, if it was told.
pub fn fault(settings: &Settings, claim: &Registration) -> Option<Reason> {
    if !claim.hardware_told.is_set() {
        return None;
    }
    let tolerance = settings.tolerance;
    outside("cores", claim.cores, count_range(settings.cores_min, settings.cores_max, tolerance))
        .or_else(|| outside("memory-bytes", claim.memory, byte_range(settings.memory_min, settings.memory_max, tolerance)))
        .or_else(|| outside("storage-bytes", claim.storage, byte_range(settings.storage_min, settings.storage_max, tolerance)))
}

/// The limits widened by the tolerance. Rounding the slack down keeps `value × 10⁶ ≥ min × (10⁶ − tolerance)` and
/// its counterpart exact for whole values.
fn byte_range(min: Bytes, max: Bytes, tolerance: Ppm) -> (Bytes, Bytes) {
    (min.saturating_sub(min.mul_ppm_floor(tolerance)), max.saturating_add(max.mul_ppm_floor(tolerance)))
}

fn count_range(min: Count, max: Count, tolerance: Ppm) -> (Count, Count) {
    (min.saturating_sub(min.mul_ppm_floor(tolerance)), max.saturating_add(max.mul_ppm_floor(tolerance)))
}

fn outside<T: Ord + Display>(field: &str, value: T, (min, max): (T, T)) -> Option<Reason> {
    if value < min {
        Some(format!("{field} is {value}, below the limit of {min} (tolerance included)").into())
    } else if value > max {
        Some(format!("{field} is {value}, above the limit of {max} (tolerance included)").into())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(cores: i64, memory: i64, storage: i64) -> Option<String> {
        let claim = Registration { hardware_told: Count::new(1), cores: Count::new(cores), memory: Bytes::new(memory), storage: Bytes::new(storage) };
        fault(&Settings::default(), &claim).map(|reason| reason.into_owned())
    }

    #[test]
    fn the_tolerance_widens_both_ends_of_every_limit() {
        assert_eq!(claim(1, 900_000_000, 9_000_000_000), None);
        assert_eq!(claim(140, 1_100_000_000_000, 110_000_000_000_000), None);
        assert!(claim(0, 900_000_000, 9_000_000_000).unwrap().starts_with("cores is 0, below"));
        assert!(claim(141, 900_000_000, 9_000_000_000).unwrap().starts_with("cores is 141, above"));
        assert!(claim(1, 899_999_999, 9_000_000_000).unwrap().starts_with("memory-bytes is 899999999, below"));
        assert!(claim(1, 1_100_000_000_001, 9_000_000_000).unwrap().starts_with("memory-bytes"));
        assert!(claim(1, 900_000_000, 8_999_999_999).unwrap().starts_with("storage-bytes"));
        assert!(claim(1, 900_000_000, 110_000_000_000_001).unwrap().starts_with("storage-bytes"));
    }

    #[test]
    fn hardware_that_was_not_told_is_not_judged() {
        assert_eq!(fault(&Settings::default(), &Registration::default()), None);
    }
}
