use std::time::Duration;

use lucid_coordination::{RedisFacts, probe_redis};

use super::{ANSWER_TIME_MAX, Finding, neighbours::Clocks, now_ms};
use crate::config::Config;

/// The oldest Redis that is tested with what we ask of it.
const VERSION_MIN: (u32, u32) = (6, 2);
/// Time of an answer from which requests are noticeably slower.
const LATENCY_WARN: Duration = Duration::from_millis(20);

pub async fn examine(config: &Config, clocks: &mut Clocks) -> Vec<Finding> {
    let Some(url) = &config.coordination.redis_url else {
        return vec![Finding::ok(
            "redis",
            "not used: this process coordinates alone (REDIS_URI is not set)",
        )];
    };
    let ca_pem = match config.coordination.ca_pem() {
        Ok(ca_pem) => ca_pem,
        Err(error) => {
            return vec![Finding::fail(
                "redis",
                error.0,
                "mend the setting: without Redis nobody pays, closes epochs or votes",
            )];
        }
    };
    match probe_redis(url, ca_pem, ANSWER_TIME_MAX).await {
        Ok(facts) => {
            let half_ms = i64::try_from(facts.latency.as_millis() / 2).unwrap_or_default();
            clocks.add(
                "Redis's clock",
                facts.now_ms.saturating_add(half_ms).saturating_sub(now_ms()),
            );
            vec![
                judged(&facts),
                speed(&facts, Duration::from_millis(u64::from(config.coordination.timeout_ms))),
                memory(&facts.eviction),
            ]
        }
        Err(error) => {
            let todo =
                "start Redis, or mend REDIS_URI; until then nobody pays, closes epochs or votes";
            vec![Finding::fail("redis", error.to_string(), todo)]
        }
    }
}

/// Each request to the API asks Redis once.
fn speed(facts: &RedisFacts, timeout: Duration) -> Finding {
    let found = format!("it answers in {:.1} ms", facts.latency.as_secs_f64() * 1_000.0);
    let todo = "use a Redis in the same network: each request waits for it, and after coordination.timeout_ms it counts as lost";
    match facts.latency {
        latency if latency > timeout => Finding::fail("redis latency", found, todo),
        latency if latency > LATENCY_WARN => Finding::warn("redis latency", found, todo),
        _ => Finding::ok("redis latency", found),
    }
}

/// Leases and counts are small and end by themselves; one that was evicted would be granted to
/// somebody else.
fn memory(eviction: &str) -> Finding {
    match eviction {
        "noeviction" => Finding::ok(
            "redis memory",
            "maxmemory-policy noeviction; persistence is not needed: nothing in it is kept",
        ),
        "unknown" => Finding::warn(
            "redis memory",
            "maxmemory-policy is not told",
            "see that it is noeviction",
        ),
        other => {
            let todo = "set maxmemory-policy noeviction: a lease that is evicted is granted again while its holder still counts on it";
            Finding::warn("redis memory", format!("maxmemory-policy {other}"), todo)
        }
    }
}

fn judged(facts: &RedisFacts) -> Finding {
    let found = format!("version {}, {}", facts.version, facts.role);
    if facts.role != "master" {
        return Finding::fail(
            "redis",
            found,
            "name the primary in REDIS_URI: a replica grants no lease",
        );
    }
    let mut numbers = facts.version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= VERSION_MIN => Finding::ok("redis", found),
        _ => Finding::warn(
            "redis",
            found,
            format!("use {}.{} or newer: older ones are not tested", VERSION_MIN.0, VERSION_MIN.1),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn facts(version: &str, role: &str, latency_ms: u64) -> RedisFacts {
        let latency = Duration::from_millis(latency_ms);
        RedisFacts {
            version: version.into(),
            role: role.into(),
            now_ms: 0,
            latency,
            eviction: "noeviction".into(),
        }
    }

    #[test]
    fn an_old_redis_is_a_warning_and_a_replica_a_failure() {
        let level = |version: &str, role: &str| judged(&facts(version, role, 1)).level;
        assert_eq!(level("7.0.15", "master"), Level::Ok);
        assert_eq!(level("6.2.0", "master"), Level::Ok);
        assert_eq!(level("6.0.16", "master"), Level::Warn);
        assert_eq!(level("unknown", "master"), Level::Warn);
        assert_eq!(level("7.0.15", "slave"), Level::Fail);
    }

    #[test]
    fn a_slow_redis_is_a_warning_one_slower_than_its_timeout_a_failure_and_one_that_evicts_a_warning()
     {
        let level = |latency_ms| {
            speed(&facts("7.0.15", "master", latency_ms), Duration::from_millis(250)).level
        };
        assert_eq!(
            [level(20), level(21), level(250), level(251)],
            [Level::Ok, Level::Warn, Level::Warn, Level::Fail]
        );
        assert_eq!(memory("noeviction").level, Level::Ok);
        assert_eq!(memory("allkeys-lru").level, Level::Warn);
        assert_eq!(memory("unknown").level, Level::Warn);
    }
}
