//! How many files and connections this process may have open.

use anyhow::{Context, Result};

/// Files that are not connections: databases, logs, policies, the connections to payment service
/// and chain.
const RESERVED: u64 = 256;

/// Raises the process's limit of open files as far as it may be raised; the answer says how far
/// that is.
pub fn raise_limit() -> Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")
}

/// How many of the connections that are wished for fit under a limit of open files.
pub fn connections(wished: usize, open_files_max: u64) -> usize {
    let fit = fitting(wished, open_files_max);
    if fit < wished {
        tracing::warn!(
            open_files_max,
            connections_max = fit,
            wished,
            "the limit of open files leaves fewer connections than server.connections_max"
        );
    }
    fit
}

/// How many of the connections that are wished for fit, without a word.
pub fn fitting(wished: usize, open_files_max: u64) -> usize {
    usize::try_from(open_files_max.saturating_sub(RESERVED))
        .unwrap_or(usize::MAX)
        .max(1)
        .min(wished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(connections(10_000, 20_000), 10_000);
        assert_eq!(connections(10_000, 1_024), 768);
        assert_eq!(connections(10_000, 100), 1);
    }
}
