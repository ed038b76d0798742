//! Waits between tries that fail.

/// `first_ms` doubled `doublings` times; at most `max_ms`.
pub fn doubled_ms(first_ms: i64, doublings: u32, max_ms: i64) -> i64 {
    first_ms.saturating_mul(1_i64.checked_shl(doublings.min(62)).unwrap_or(i64::MAX)).min(max_ms)
}

#[cfg(test)]
mod tests {
    use super::doubled_ms;

    #[test]
    fn waits_double_up_to_the_longest_whatever_the_count() {
        let wait = |doublings| doubled_ms(250, doublings, 60_000);
        assert_eq!(
            [0, 1, 2, 7, 8, 63, u32::MAX].map(wait),
            [250, 500, 1_000, 32_000, 60_000, 60_000, 60_000]
        );
        assert_eq!(doubled_ms(i64::MAX / 2, 40, i64::MAX), i64::MAX);
    }
}
