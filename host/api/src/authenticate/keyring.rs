//! The gateway's keys, kept and renewed.
//!
//! One task fetches them ([`Keyring::keep`]). A request with a key that is not known asks that task
//! and waits for it: so there is one fetch at a time, and a request that goes away takes none with
//! it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use lucid_ports::{GatewayError, GatewayKeys, KeyMaterial};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Checker, Claims, Expected, NODE_KEY_ID, TokenError};

/// Longest wait of a request for a fetch that it asked for.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest wait between tries while the gateway gives no keys.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How the gateway's keys are kept.
#[derive(Debug, Clone, Copy)]
pub struct KeyringSettings {
    /// Between two fetches.
    pub refresh: Duration,
    /// Least time between two fetches, whoever asks.
    pub gap: Duration,
    /// Age at which keys that could not be renewed are not believed any more.
    pub age_max: Duration,
}

/// The keys of one fetch.
struct KeySet {
    checkers: HashMap<String, Checker>,
    fetched: Instant,
}

#[derive(Default)]
struct Asking {
    started: Option<Instant>,
    running: bool,
    wanted: bool,
}

/// The gateway's keys.
pub(super) struct Keyring {
    source: Arc<dyn GatewayKeys>,
    settings: KeyringSettings,
    expected: Expected,
    current: ArcSwapOption<KeySet>,
    asking: Mutex<Asking>,
    wanted: Notify,
    fetches: watch::Sender<u64>,
}

impl Keyring {
    pub(super) fn new(
        source: Arc<dyn GatewayKeys>,
        settings: KeyringSettings,
        expected: Expected,
    ) -> Self {
        Self {
            source,
            settings,
            expected,
            current: ArcSwapOption::empty(),
            asking: Mutex::default(),
            wanted: Notify::new(),
            fetches: watch::Sender::new(0),
        }
    }

    fn fresh(&self) -> Option<Arc<KeySet>> {
        self.current.load_full().filter(|set| set.fetched.elapsed() < self.settings.age_max)
    }

    /// What a token says, if its key is known; none if it is not.
    pub(super) fn check(&self, kid: &str, token: &str) -> Option<Result<Claims, TokenError>> {
        self.fresh()?.checkers.get(kid).map(|checker| checker.claims(token))
    }

    /// The same after a fetch, if one may be made now.
    pub(super) async fn check_renewed(&self, kid: &str, token: &str) -> Result<Claims, TokenError> {
        self.ask().await;
        match self.check(kid, token) {
            Some(checked) => checked,
            // What is known may not be all there is, and it is not the caller's fault that we
            // cannot say.
            None if self.fresh().is_none() => Err(TokenError::NoKeys),
            None => Err(TokenError::Invalid { why: "its key is not known".into() }),
        }
    }

    async fn ask(&self) {
        let mut fetches = self.fetches.subscribe();
        {
            let mut asking = self.asking.lock();
            if !asking.running {
                if asking.started.is_some_and(|started| started.elapsed() < self.settings.gap) {
                    return;
                }
                asking.wanted = true;
                self.wanted.notify_one();
            }
        }
        // Nobody fetches while the process stops: the token is judged by what is known.
        let _ = tokio::time::timeout(ANSWER_WAIT_MAX, fetches.changed()).await;
    }

    /// Fetches now, at the interval, and when asked, until told to stop. After each fetch `told`
    /// learns what is wrong, if anything is.
    pub(super) async fn keep(&self, stop: &CancellationToken, told: impl Fn(Option<&'static str>)) {
        let mut failures = 0_u32;
        loop {
            let fetched = tokio::select! {
                () = stop.cancelled() => return,
                fetched = self.fetch() => fetched,
            };
            let pause = match fetched {
                Ok(()) => {
                    failures = 0;
                    self.settings.refresh
                }
                Err(error) => {
                    if failures.is_multiple_of(10) {
                        tracing::warn!(%error, failures, "the gateway's keys could not be renewed; those that are known stay good for a time");
                    }
                    failures = failures.saturating_add(1);
                    self.settings.refresh.min(RETRY_MAX)
                }
            };
            told(self.trouble());
            let due = tokio::time::sleep(pause.max(self.settings.gap));
            tokio::pin!(due);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut due => break,
                    // The wish may be older than the fetch that just ended.
                    () = self.wanted.notified() => if self.asking.lock().wanted { break },
                }
            }
        }
    }

    async fn fetch(&self) -> Result<(), GatewayError> {
        *self.asking.lock() =
            Asking { started: Some(Instant::now()), running: true, wanted: false };
        let fetched = self.source.fetch().await;
        let outcome = if fetched.is_ok() { "ok" } else { "failed" };
        metrics::counter!("lucid_gateway_key_fetches_total", "outcome" => outcome).increment(1);
        let done = fetched.map(|keys| {
            // Our own key id is nobody else's.
            let keys = keys.into_iter().filter(|key| key.id != NODE_KEY_ID);
            let checkers = keys.map(|key| (key.id, self.checker(&key.material))).collect();
            self.current.store(Some(Arc::new(KeySet { checkers, fetched: Instant::now() })));
        });
        self.asking.lock().running = false;
        self.fetches.send_modify(|count| *count += 1);
        done
    }

    /// The key decides the algorithm.
    fn checker(&self, material: &KeyMaterial) -> Checker {
        let (key, algorithm) = match material {
            KeyMaterial::Rsa { modulus, exponent } => {
                (DecodingKey::from_rsa_raw_components(modulus, exponent), Algorithm::RS256)
            }
            KeyMaterial::Ed25519(point) => (DecodingKey::from_ed_der(point), Algorithm::EdDSA),
        };
        Checker { key, rules: self.expected.rules(algorithm, true) }
    }

    fn trouble(&self) -> Option<&'static str> {
        match self.current.load().as_ref() {
            None => Some("the gateway has given no keys yet: tokens signed by it are refused"),
            Some(set) if set.fetched.elapsed() >= self.settings.age_max => Some(
                "the gateway's keys could not be renewed for too long: tokens signed by it are refused",
            ),
            Some(_) => None,
        }
    }
}
