use std::time::Instant;

use lucid_store::coord::{RedisFacts, probe_redis};

use super::{ANSWER_TIME_MAX, Finding, neighbours::Clocks, now_ms};
use crate::config::Config;

/// The oldest Redis that is tested with what we ask of it.
const VERSION_MIN: (u32, u32) = (6, 2);

pub async fn examine(config: &Config, clocks: &mut Clocks) -> Finding {
    let Some(url) = &config.coordination.redis_url else {
        return Finding::ok("redis", "not used: this process coordinates alone (REDIS_URI is not set)");
    };
    let began = Instant::now();
    match probe_redis(url, ANSWER_TIME_MAX).await {
        Ok(facts) => {
            let half_ms = i64::try_from(began.elapsed().as_millis() / 2).unwrap_or_default();
            clocks.add("Redis's clock", facts.now_ms.saturating_add(half_ms).saturating_sub(now_ms()));
            judged(&facts)
        }
        Err(error) => {
            let todo = "start Redis, or mend REDIS_URI; until then nobody pays, closes epochs or votes";
            Finding::fail("redis", error.to_string(), todo)
        }
    }
}

fn judged(facts: &RedisFacts) -> Finding {
    let found = format!("version {}, {}", facts.version, facts.role);
    if facts.role != "master" {
        return Finding::fail("redis", found, "name the primary in REDIS_URI: a replica grants no lease");
    }
    let mut numbers = facts.version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= VERSION_MIN => Finding::ok("redis", found),
        _ => Finding::warn("redis", found, format!("use {}.{} or newer: older ones are not tested", VERSION_MIN.0, VERSION_MIN.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn an_old_redis_is_a_warning_and_a_replica_a_failure() {
        let level = |version: &str, role: &str| judged(&RedisFacts { version: version.into(), role: role.into(), now_ms: 0 }).level;
        assert_eq!(level("7.0.15", "master"), Level::Ok);
        assert_eq!(level("6.2.0", "master"), Level::Ok);
        assert_eq!(level("6.0.16", "master"), Level::Warn);
        assert_eq!(level("unknown", "master"), Level::Warn);
        assert_eq!(level("7.0.15", "slave"), Level::Fail);
    }
}
