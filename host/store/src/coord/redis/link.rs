use std::{
    future::Future,
    time::{Duration, Instant},
};

use lucid_ports::CoordinationError;
use parking_lot::Mutex;
use redis::{
    Client, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

/// How long after a failure nobody waits for Redis who can do without: longer than from one check to the next.
const BELIEVED_DOWN: Duration = Duration::from_secs(2);
/// Tries of one attempt to connect; every command makes another attempt.
const CONNECT_RETRIES: usize = 1;
/// Between them.
const CONNECT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// How Redis is reached, and by whom.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/db]`.
    pub url: String,
    /// What all keys and the channel begin with: replicas of one store share it, and nobody else.
    pub namespace: String,
    /// What this replica is called.
    pub replica: String,
    /// For one command.
    pub timeout: Duration,
}

/// A Redis URL that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("not a Redis url that can be used: {detail}")]
pub struct RedisUrlError {
    /// Why; it does not repeat the URL, which may hold a password.
    pub detail: String,
}

/// The one connection for commands.
pub(super) struct Link {
    client: Client,
    connection: ConnectionManager,
    timeout: Duration,
    down_until: Mutex<Option<Instant>>,
}

pub(super) fn client(url: &str) -> Result<Client, RedisUrlError> {
    Client::open(url).map_err(|error| RedisUrlError { detail: error.to_string() })
}

impl Link {
    /// Connects at the first command.
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, RedisUrlError> {
        let client = client(url)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(CONNECT_RETRIES)
            .set_min_delay(CONNECT_RETRY_DELAY)
            .set_max_delay(CONNECT_RETRY_DELAY)
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let connection =
            ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(|error| RedisUrlError { detail: error.to_string() })?;
        Ok(Self { client, connection, timeout, down_until: Mutex::new(None) })
    }

    /// The connection, for [`Link::timed`].
    pub(super) fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    /// For connections that do something else than commands.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for an answer as long as a command may take.
    pub(super) async fn timed<T>(&self, asked: impl Future<Output = RedisResult<T>> + Send) -> Result<T, CoordinationError> {
        let answer = tokio::time::timeout(self.timeout, asked).await;
        let detail = match answer {
            Ok(Ok(answer)) => {
                *self.down_until.lock() = None;
                return Ok(answer);
            }
            Ok(Err(error)) => told(&error),
            Err(_) => format!("no answer in {} ms", self.timeout.as_millis()),
        };
        *self.down_until.lock() = Some(Instant::now() + BELIEVED_DOWN);
        Err(CoordinationError::Unavailable { detail })
    }

    /// Whether it failed a moment ago: who can do without does not wait for it.
    pub(super) fn is_believed_down(&self) -> bool {
        self.down_until.lock().is_some_and(|until| Instant::now() < until)
    }
}

pub(super) fn told(error: &RedisError) -> String {
    error.to_string()
}
