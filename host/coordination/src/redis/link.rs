use std::{
    future::Future,
    time::{Duration, Instant},
};

use lucid_ports::CoordinationError;
use parking_lot::Mutex;
use redis::{
    Client, ErrorKind, RedisError, RedisResult, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

/// How long after a failure nobody waits for Redis who can do without: longer than from one check
/// to the next.
const BELIEVED_DOWN: Duration = Duration::from_secs(2);
/// Tries of one attempt to connect; every command makes another attempt.
const CONNECT_RETRIES: usize = 1;
/// Between them.
const CONNECT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Between two connections that are made because a server refuses or is silent.
const RENEWAL_GAP: Duration = Duration::from_millis(500);

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const NO_RIGHT: &str = "NOPERM";
const NO_RIGHT_IN_SCRIPT: &str = "The user executing the script can't";
const WRONG_PASSWORD: &str = "WRONGPASS";

/// Words of a server that does not do what it is asked, and what to do about it.
const REFUSALS: [(&str, &str); 8] = [
    (
        "READONLY",
        "it is a replica, perhaps since a fail-over: connecting again by name; if it lasts, name the primary",
    ),
    ("OOM", "its memory is full: raise its maxmemory, or give us a Redis of our own"),
    (
        NO_RIGHT,
        "its user may not do it: grant ~lucid:* &lucid:* and the commands of docs/operations.md, \"Redis\"",
    ),
    (WRONG_PASSWORD, "user or password are wrong: mend the URL"),
    ("NOAUTH", "it wants a password: put redis://user:password@ into the URL"),
    (
        "MISCONF",
        "it cannot write its snapshot: mend its disk, or turn stop-writes-on-bgsave-error off",
    ),
    ("MASTERDOWN", "it is a replica without its primary: connecting again by name"),
    ("LOADING", "it is starting: wait"),
];

/// How Redis is reached, and by whom.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/db]`, or `rediss://…` over TLS.
    pub url: String,
    /// Certificates that may have signed the server's, PEM; none: those that the system trusts.
    pub ca_pem: Option<Vec<u8>>,
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
    timeout: Duration,
    state: Mutex<State>,
}

struct State {
    connection: ConnectionManager,
    renewed_at: Instant,
    down_until: Option<Instant>,
}

pub(super) fn client(url: &str, ca_pem: Option<Vec<u8>>) -> Result<Client, RedisUrlError> {
    if ca_pem.as_deref().is_some_and(|pem| !String::from_utf8_lossy(pem).contains(PEM_BEGIN)) {
        return Err(RedisUrlError {
            detail: "the file of authorities holds no certificate in PEM form".into(),
        });
    }
    let made = match ca_pem {
        Some(_) => {
            Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: ca_pem })
        }
        None => Client::open(url),
    };
    made.map_err(|error| RedisUrlError { detail: error.to_string() })
}

/// Connects at its first command; looks the name up anew.
fn connection(client: &Client, timeout: Duration) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(CONNECT_RETRIES)
        .set_min_delay(CONNECT_RETRY_DELAY)
        .set_max_delay(CONNECT_RETRY_DELAY)
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

impl Link {
    /// Connects at the first command.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, RedisUrlError> {
        let client = client(&settings.url, settings.ca_pem.clone())?;
        let connection = connection(&client, settings.timeout)
            .map_err(|error| RedisUrlError { detail: error.to_string() })?;
        let state = State { connection, renewed_at: Instant::now(), down_until: None };
        Ok(Self { client, timeout: settings.timeout, state: Mutex::new(state) })
    }

    /// The connection, for [`Link::timed`].
    pub(super) fn connection(&self) -> ConnectionManager {
        self.state.lock().connection.clone()
    }

    /// For connections that do something else than commands.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for an answer as long as a command may take.
    pub(super) async fn timed<T>(
        &self,
        asked: impl Future<Output = RedisResult<T>> + Send,
    ) -> Result<T, CoordinationError> {
        let answer = tokio::time::timeout(self.timeout, asked).await;
        let error = match answer {
            Ok(Ok(answer)) => {
                self.state.lock().down_until = None;
                return Ok(answer);
            }
            Ok(Err(error)) => failure(&error),
            Err(_) => CoordinationError::Unavailable {
                detail: format!("no answer in {} ms", self.timeout.as_millis()),
            },
        };
        self.renew();
        Err(error)
    }

    /// The connection is to whom the name led once: a server that refuses or is silent may not be
    /// whom it leads to now.
    fn renew(&self) {
        let (now, mut state) = (Instant::now(), self.state.lock());
        state.down_until = Some(now + BELIEVED_DOWN);
        if now.duration_since(state.renewed_at) >= RENEWAL_GAP
            && let Ok(connection) = connection(&self.client, self.timeout)
        {
            state.connection = connection;
            state.renewed_at = now;
        }
    }

    /// Whether it failed a moment ago: who can do without does not wait for it.
    pub(super) fn is_believed_down(&self) -> bool {
        self.state.lock().down_until.is_some_and(|until| Instant::now() < until)
    }
}

fn has_wrong_password(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
}

/// What went wrong, in words that name what to do where the server said why.
pub(super) fn failure(error: &RedisError) -> CoordinationError {
    let detail = error.to_string();
    // Of a script Redis 6 says it in the middle of its own words.
    let is = |word: &str| {
        let said = error.code() == Some(word) || detail.contains(word);
        // A command inside a script, and a password, are refused in other words.
        said || (word == NO_RIGHT && detail.contains(NO_RIGHT_IN_SCRIPT))
            || (word == WRONG_PASSWORD && has_wrong_password(error))
    };
    let refusal = REFUSALS.iter().find(|(word, _)| is(word));
    match refusal {
        Some((word, todo)) => CoordinationError::Refused { detail: format!("{word}: {todo}") },
        None => CoordinationError::Unavailable { detail },
    }
}
