use std::time::{Duration, Instant};

use lucid_ports::CoordinationError;

use super::link::{RedisUrlError, client, failure};

/// What a Redis says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisFacts {
    pub version: String,
    /// `master`, `slave`, … : a replica cannot be written to.
    pub role: String,
    /// Its clock, Unix milliseconds.
    pub now_ms: i64,
    /// Time of one question and its answer.
    pub latency: Duration,
    /// What it does when its memory is full: `maxmemory-policy`.
    pub eviction: String,
}

/// Asks a Redis who it is, and writes nothing.
///
/// # Errors
/// [`CoordinationError`] if it does not answer in time, refuses, or the URL cannot be used.
pub async fn probe_redis(
    url: &str,
    ca_pem: Option<Vec<u8>>,
    timeout: Duration,
) -> Result<RedisFacts, CoordinationError> {
    let unavailable = |detail: String| CoordinationError::Unavailable { detail };
    let client = client(url, ca_pem).map_err(|error: RedisUrlError| unavailable(error.detail))?;
    let asked = async move {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut questions = redis::pipe();
        questions
            .cmd("INFO")
            .arg("server")
            .cmd("INFO")
            .arg("replication")
            .cmd("INFO")
            .arg("memory")
            .cmd("TIME");
        let answers =
            questions.query_async::<(String, String, String, (i64, i64))>(&mut connection).await?;
        let asked = Instant::now();
        redis::cmd("PING").query_async::<String>(&mut connection).await?;
        Ok::<_, redis::RedisError>((answers, asked.elapsed()))
    };
    let ((server, replication, memory, (seconds, micros)), latency) =
        tokio::time::timeout(timeout, asked)
            .await
            .map_err(|_| unavailable(format!("no answer in {} ms", timeout.as_millis())))?
            .map_err(|error| failure(&error))?;
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
    };
    let now_ms = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
    let (version, role, eviction) = (
        field(&server, "redis_version"),
        field(&replication, "role"),
        field(&memory, "maxmemory_policy"),
    );
    Ok(RedisFacts { version, role, now_ms, latency, eviction })
}
