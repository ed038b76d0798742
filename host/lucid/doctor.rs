//! What may be wrong before or while the service runs, looked at from outside: nothing of the
//! service's is changed, and a store in use is left alone.

mod egress;
mod finding;
mod machine;
mod mongo;
mod neighbours;
mod policies;
mod redis;
mod store;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use finding::{Finding, Level};

use crate::{
    cli::LINKS_END,
    config::{Config, ConfigError, Flags, service_links},
};
use neighbours::Clocks;

/// Longest wait for an answer of another service.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);
/// How far a clock may be off before it is worth a line: a report's time is checked against ours.
const SKEW_MS_WARN: i64 = 2_000;
/// How far it may be off at all: half of what a registration allows.
const SKEW_MS_MAX: i64 = 60_000;

/// Looks at everything; one finding or more a subject, in the order of what needs what.
pub async fn examine(flags: &Flags) -> Vec<Finding> {
    let config = match Config::serve(flags) {
        Ok(config) => config,
        Err(ConfigError(problem)) => {
            return vec![Finding::fail(
                "configuration",
                problem,
                "mend the setting that is named; nothing else was looked at",
            )];
        }
    };
    let mut findings =
        vec![configuration(&config), policies::trusted(&config), machine::open_files(&config)];
    findings.extend(service_links().map(|found| Finding::warn("environment", found, LINKS_END)));
    let mut clocks = Clocks::default();
    if config.store.url.starts_with("mongodb") {
        findings.extend(mongo::examine(&config, &mut clocks).await);
    } else {
        findings.extend(store::examine(&config));
    }
    findings.extend(machine::disk(config.data_dir()));
    findings.extend(machine::loose_files(config.data_dir()));
    findings.extend(redis::examine(&config, &mut clocks).await);
    findings.push(egress::examine(&config));
    findings.extend(neighbours::examine(&config, &mut clocks).await);
    findings.push(skew(&clocks));
    findings
}

fn configuration(config: &Config) -> Finding {
    let auth = &config.auth;
    if auth.jwt_secret.is_none() && auth.jwt_secret_file.is_none() && auth.jwks().is_none() {
        let todo = "set JWT_SECRET_FILE (32 bytes or more) or API_GATEWAY_URL; `lucid serve` does not start without";
        return Finding::fail("configuration", "nobody's token could be checked", todo);
    }
    let chain = &config.chain;
    for file in [
        &auth.jwt_secret_file,
        &auth.jwt_secret_previous_file,
        &config.store.seal_keys_file,
        &config.rail.token_file,
        &chain.token_file,
        &chain.api_key_file,
    ]
    .into_iter()
    .flatten()
    {
        if let Err(error) = std::fs::read(file) {
            return Finding::fail(
                "configuration",
                format!("{}: {error}", file.display()),
                "make the file readable for the service's user",
            );
        }
    }
    // Not the store's whole URL: it may hold a password.
    let backend = config.store.url.split("://").next().unwrap_or_default();
    Finding::ok("configuration", format!("readable; store {backend}, port {}", config.server.port))
}

/// This machine's wall clock, Unix milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn skew(clocks: &Clocks) -> Finding {
    let todo = "let NTP (chrony, systemd-timesyncd) set the clocks of all machines";
    let Some((whose, ahead_ms)) = clocks.worst() else {
        return Finding::ok("clock", "nobody was there to compare it with");
    };
    let found = format!("{whose} is {:+.1} s from this machine's", ahead_ms as f64 / 1_000.0);
    match ahead_ms.abs() {
        off if off > SKEW_MS_MAX => Finding::fail("clock", found, todo),
        off if off > SKEW_MS_WARN => Finding::warn("clock", found, todo),
        _ => Finding::ok("clock", found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_clock_is_judged_in_both_directions() {
        let level = |clocks: &[(&'static str, i64)]| {
            let mut all = Clocks::default();
            clocks.iter().for_each(|&(whose, ahead_ms)| all.add(whose, ahead_ms));
            skew(&all).level
        };
        assert_eq!(level(&[]), Level::Ok);
        assert_eq!(level(&[("a", 1_900), ("b", -2_000)]), Level::Ok);
        assert_eq!(level(&[("a", 0), ("b", -2_100)]), Level::Warn);
        assert_eq!(level(&[("a", 61_000), ("b", -2_100)]), Level::Fail);
    }
}
